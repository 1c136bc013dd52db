//! Owns: the shape of `[binding.COLLECTION.UPSTREAM.write]`.
//!
//! Must not know: reading and mapping (that is `binding`).

use super::{ByWord, ClientId, Job, OnRejectAll, Op, PathOrHeader, RequestShape, Transition};
use crate::rules::shape::{Either, List, OneOrMany, table};
use crate::rules::units::{Jq, Period, Size, Text};

table! {
    /// How to write.
    Write, "a write table" {
        /// How to create.
        create: Create,
        /// How to update.
        update: Update,
        /// How to delete; `none` says that what is deleted here stays there.
        delete: Either<NoDelete, Delete>,
        /// How to archive: sent in place of a delete where the collection says `on_local_delete = "archive"`.
        archive: Delete,
        /// Changes of a field that are calls of their own. Of several that fit, the first is taken.
        transition: List<Transition>,
        /// How to write many at once: a table, or several where operations have an address each.
        batch: OneOrMany<Batch>,
    }
}

table! {
    /// How to create.
    Create, "a create table" {
        /// The request, e.g. `POST /contacts`.
        request: RequestShape = required,
        /// full (all mapped fields, the default), or a jq filter over `{record, changed, remote, id, key}`.
        body: Jq,
        /// Where the answer holds id and version. Default: where records have them.
        capture: Capture,
        /// How a repeated create is prevented. Default none.
        idempotency: IdempotencyShape,
        /// The field by which the upstream finds a record that is there, and updates it instead.
        upsert: Text,
    }
}

table! {
    /// Where the answer of a create holds what is to be kept.
    Capture, "a capture table" {
        /// Plain path of the new id.
        id: Jq,
        /// Where the new version is.
        version: PathOrHeader,
    }
}

table! {
    /// How a create is made safe to repeat; exactly one of `header`, `query`, `match`, `field`, `client_id`.
    IdempotencyShape, "an idempotency table such as { header = \"Idempotency-Key\" }" {
        /// The header that carries the operation's id.
        header: Text,
        /// The query parameter that carries the operation's id.
        query: Text,
        /// How long the upstream remembers the id in the header or the query. Default 24h.
        ttl: Period,
        /// The field by which a created record is found again in the listing. Its value stands in the request's hole `{match}`, where it has one.
        r#match: Text,
        /// Plain path of a field of the remote record that carries the operation's id.
        field: Jq,
        /// We choose the remote id: PUT to a path with `{id}` and `If-None-Match: *`.
        client_id: ClientId,
    }
}

table! {
    /// How to update.
    Update, "an update table" {
        /// The request, e.g. `PATCH /contacts/{id}`.
        request: RequestShape = required,
        /// changed (the default), full (the remote record with our values put in), or a jq filter over `{record, changed, remote, id, key}`.
        body: Jq,
        /// What makes the write conditional: a place for the version, reread, or none. Default reread where there is `read.get`.
        precondition: Either<PreconditionWord, Precondition>,
    }
}

table! {
    /// How to delete, or to archive.
    Delete, "a delete table" {
        /// The request, e.g. `DELETE /contacts/{id}`.
        request: RequestShape = required,
        /// What makes the delete conditional: a place for the version, reread, or none. Default reread where there is `read.get`.
        precondition: Either<PreconditionWord, Precondition>,
    }
}

/// Nothing is deleted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDelete {
    /// What is deleted here stays there.
    None,
}

crate::rules::shape::words! { NoDelete, "NoDelete", "a delete table, or \"none\"" {
    "none" => Self::None,
} }

impl Write {
    /// How to delete, where that is said.
    pub fn delete_table(&self) -> Option<&Delete> {
        match &self.delete.get()?.value {
            Either::Table(table) => Some(table),
            Either::Short(NoDelete::None) => None,
        }
    }
}

/// A precondition without settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreconditionWord {
    /// Read again immediately before.
    Reread,
    /// Nothing.
    None,
}

crate::rules::shape::words! { PreconditionWord, "PreconditionWord", "\"reread\" or \"none\"" {
    "reread" => Self::Reread,
    "none" => Self::None,
} }

table! {
    /// The version goes along; exactly one of `header`, `query`, `body`.
    Precondition, "a table such as { header = \"If-Match\", value = '\"{version}\"' }" {
        /// The header, e.g. `If-Match`.
        header: Text,
        /// The query parameter.
        query: Text,
        /// Plain path in the body.
        body: Jq,
        /// With `{version}`, quoted as the upstream wants it. Default `{version}`.
        value: Text,
    }
}

table! {
    /// How to write many at once.
    Batch, "a batch table" {
        /// The request, e.g. `POST /contacts/batch`.
        request: RequestShape = required,
        /// Which operations go in batches; each also needs its own `[….write.OP]`.
        ops: List<Op> = required,
        /// Plain path in the body where the array of items (with `item_name`, the object of them) goes.
        items: Jq = required,
        /// The shape of one item: a jq filter over `{op, id, version, method, path, body, key}`. Default the body with its id put in.
        item: Jq,
        /// Where the items are members of an object, not of an array: the name of each, a jq filter over the same as `item`.
        item_name: Jq,
        /// Items per request, at most. Default 100.
        max_items: u64,
        /// Bytes of body per request, at most. Default 1MB.
        max_bytes: Size,
        /// How each item's result is found.
        result: BatchResult = required,
        /// A batch that is refused as a whole: bisect (the default) or fail.
        on_reject_all: OnRejectAll,
        /// The answer announces a job, whose own answer has the results. Default: the answer has them.
        job: Job,
    }
}

table! {
    /// Per-item results of a batch.
    BatchResult, "a result table" {
        /// The results in the answer: an array, e.g. `.results[]`, or what a jq filter gives, where failures stand apart; with `job`, in the answer that says that it has ended.
        items: Jq = required,
        /// How a result finds its item: index (same position), id (same remote id), `request_id` (our operation id at `.request_id`, or `{ request_id = PATH }`), or `{ index = PATH }` where a result says its item's position, from 0.
        by: Either<ByWord, ByPath> = required,
        /// Plain path of the remote id in a result.
        id: Jq,
        /// Plain path of the new version in a result.
        version: Jq,
        /// jq over a result: an HTTP-like status, or null where it has none.
        status: Jq,
        /// Plain path of the error in a result; absent or null means success.
        error: Jq,
        /// Plain path of the record as it now is in a result.
        record: Jq,
        /// Plain path of how long a result that says 429 asks to wait, as in `Retry-After`: seconds or a date. Default the answer's own header.
        retry_after: Jq,
    }
}

table! {
    /// What a result says of its item; one of the two.
    ByPath, "{ request_id = \"…\" } or { index = \"…\" }" {
        /// Plain path of the operation id in a result.
        request_id: Jq,
        /// Plain path of the item's position, from 0, in a result.
        index: Jq,
    }
}
