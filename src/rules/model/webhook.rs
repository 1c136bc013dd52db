//! Owns: the checked form of `[upstream.NAME.webhook]`.
//!
//! Must not know: how signatures are made, what follows from a webhook.

use std::time::Duration;

use super::{NextAt, SignatureEncoding, Template};
use crate::record::{Filter, Path};

/// Webhooks that an upstream sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// How they are signed.
    pub scheme: HookScheme,
    /// The shared secrets; any of them may have signed. At least one.
    pub secrets: Vec<Template>,
    /// How far the time of signing may lie from now, either way (default 5 min).
    pub tolerance: Duration,
    /// What tells a repeated delivery; `None`: what the scheme has for it.
    pub delivery: Option<NextAt>,
    /// What they are about; the first that matches counts.
    pub events: Vec<HookEvent>,
}

/// How webhooks are signed; all by HMAC-SHA256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookScheme {
    /// Standard Webhooks.
    Standard,
    /// GitHub.
    Github,
    /// Stripe.
    Stripe,
    /// Slack.
    Slack,
    /// Shopify.
    Shopify,
    /// As the rules describe it.
    Hmac(HmacScheme),
}

/// A scheme that the rules describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacScheme {
    /// The header of the signature.
    pub header: String,
    /// What stands before the signature.
    pub prefix: String,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// The header of the time of signing, in seconds since 1970; it is part of what is signed.
    pub timestamp: Option<String>,
    /// What is signed: holes `body`, `timestamp`, `id`.
    pub content: Template,
}

/// What a webhook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEvent {
    /// Condition over the body; `None`: every webhook.
    pub when: Option<Filter>,
    /// The collection that a pass is made of.
    pub collection: String,
    /// Where the record's remote id is; `None`: it is about the collection as a whole.
    pub id: Option<Path>,
    /// What it says.
    pub action: HookAction,
    /// Where the whole record is; for [`HookAction::Apply`].
    pub record: Option<Path>,
}

/// What a webhook says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// It is new or has changed.
    Fetch,
    /// It has changed to what is in the body: so it is, where that is newer than what is known.
    Apply,
    /// It is gone.
    Delete,
}

impl HookAction {
    /// As written in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Apply => "apply",
            Self::Delete => "delete",
        }
    }
}
