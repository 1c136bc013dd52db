//! Owns: the shape of what a listing may have beside itself: an address that tells deletes, parents under which it is read.
//!
//! Must not know: how a listing is paged (that is `binding`).

use super::{Page, PageNone, ParentIds, RequestShape, Since, SyncToken, UpdatedAt};
use crate::rules::shape::{Either, kinds, table};
use crate::rules::units::{Jq, Period, Text};

table! {
    /// An address of its own tells what was deleted.
    DeletesEndpoint, "an endpoint table" {
        /// What lists deleted records: GET or POST.
        request: RequestShape = required,
        /// The array in its answer, e.g. `.results[]`: each item names a record.
        items: Jq = required,
        /// jq over an item: the remote id of the record. Default the binding's `id`.
        id: Jq,
        /// Where an item says when the record was deleted: a path (rfc3339), or `{ path, format }`.
        deleted_at: Either<Jq, UpdatedAt>,
        /// How pages follow each other. Default none: one answer holds all.
        page: Page,
        /// How to read only what was deleted since. Default none: all of it in every pass.
        incremental: DeletedSince,
        /// How long deleted records are told. After a longer gap everything is compared, and nothing is deleted in that pass. Default: for ever.
        horizon: Period,
    }
}

kinds! {
    /// How to read only what was deleted since.
    DeletedSince, "an incremental table such as { kind = \"since\", into = \"query.since\" }" {
        /// All of it in every pass.
        "none" => None(PageNone) = bare,
        /// Deleted since a moment (the greatest `deleted_at` seen) or a token, inclusive.
        "since" => Since(Since),
        /// A token that the last page gives leads to what was deleted since.
        "token" => Token(SyncToken),
    }
}

table! {
    /// One listing per parent record.
    Parent, "a parent table such as { collection = \"companies\", as = \"company_id\" }" {
        /// The collection whose records at the same upstream are the parents; their remote ids are `{parent}` in the listing's request.
        collection: Text = required,
        /// The member that holds the parent's remote id in each record, as if the upstream had written it there. Default: there is none.
        r#as: Text,
        /// Whether no two parents have a record with the same id (`unique`, the default), or they may (`per_parent`): a record's remote id is then `PARENT/ID`.
        ids: ParentIds,
        /// So many parents are named in one request, with commas between them. Default 1.
        batch: u64,
    }
}
