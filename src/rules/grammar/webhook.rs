//! Owns: the shape of `[upstream.NAME.webhook]`.
//!
//! Must not know: how signatures are made, what follows from a webhook.

use super::{HookSchemeWord, PathOrHeader};
use crate::rules::model::{HookAction, SignatureEncoding};
use crate::rules::shape::{List, table};
use crate::rules::units::{Jq, Period, Text};

table! {
    /// Webhooks that an upstream sends to `/webhooks/NAME`: how they are signed, and what each is about.
    Webhook, "a webhook table" {
        /// How they are signed: standard, github, stripe, slack, shopify or hmac.
        scheme: HookSchemeWord = required,
        /// The shared secrets; any of them may have signed, so that one can be replaced. Each is `${secret.NAME}`.
        secrets: List<Text> = required,
        /// How far the time of signing may lie from now, either way; for schemes that sign a time. 1s to 1h. Default 5m.
        tolerance: Period,
        /// What tells a repeated delivery: a plain path in the body, or `{ header = "…" }`. Default: what the scheme has for it.
        delivery: PathOrHeader,
        /// Scheme hmac: the header of the signature. Default `X-Signature`.
        header: Text,
        /// Scheme hmac: what stands before the signature in its header, e.g. `sha256=`. Default nothing.
        prefix: Text,
        /// Scheme hmac: hex or base64. Default hex.
        encoding: SignatureEncoding,
        /// Scheme hmac: the header of the time of signing, in seconds since 1970. Default none.
        timestamp: Text,
        /// Scheme hmac: what is signed; holes are `{body}`, `{timestamp}`, `{id}` (the delivery's header). Default `{body}`.
        content: Text,
        /// What webhooks are about; the first that matches counts.
        event: List<HookEvent> = required,
    }
}

table! {
    /// What a webhook is about.
    HookEvent, "an event table" {
        /// jq condition over the body. Default: every webhook.
        when: Jq,
        /// The collection that a pass is made of; it is bound to this upstream.
        collection: Text = required,
        /// Plain path of the record's remote id in the body. Default: it is about the collection as a whole.
        id: Jq,
        /// What it says: fetch (something is new or changed), apply (it is now as the body shows it) or delete. Default fetch.
        action: HookAction,
        /// Action apply: plain path of the record in the body, all of it, as listings show it. It counts where it is newer than
        /// what is known; else the record is read from the upstream.
        record: Jq,
    }
}
