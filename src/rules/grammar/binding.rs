//! Owns: the shape of `[binding.COLLECTION.UPSTREAM]`: identity, reading, mapping.
//!
//! Must not know: writing (that is `write`).

use super::{
    CapSplitWord, CodecWord, DeletesEndpoint, Direction, EmptyField, OnScopeExit, Parent, ReadJob, RequestShape, Write,
};
use crate::record::TimeFormat;
use crate::rules::model::OffsetStep;
use crate::rules::shape::{Either, List, Named, kinds, table};
use crate::rules::units::{Jq, Period, Text, Token};

table! {
    /// A collection at an upstream: how to read, map and write it.
    Binding, "a binding table" {
        /// pull, push or both. Default both.
        direction: Direction,
        /// Where the remote id is in a record.
        id: Jq = required,
        /// Where the version of a record is: a path, or `{ header = "ETag" }` of point reads and writes.
        version: PathOrHeader,
        /// Where a record's time of change is: a path (rfc3339), or `{ path, format }`.
        updated_at: Either<Jq, UpdatedAt>,
        /// Where a record's time of creation is: an id whose record shows another one was given to something else.
        created_at: Jq,
        /// Where a record says into which other one it was merged: the remote id of that one. What is tied to it follows it there.
        merged_into: Jq,
        /// When a record is archived: a jq condition over it. It is no delete; the record is left alone until it is taken back.
        archived: Jq,
        /// The scope: a jq condition over a record.
        r#where: Jq,
        /// What happens to records that leave the scope. Default detach, and the only choice.
        on_scope_exit: OnScopeExit,
        /// How to list and to read.
        read: Read,
        /// Field by field: a path, or a table.
        map: Named<Either<Jq, MapEntry>> = required,
        /// How to write.
        write: Write,
    }
}

/// A place in the body, or a header.
pub type PathOrHeader = Either<Jq, HeaderAt>;

table! {
    /// A value that comes in a header.
    HeaderAt, "{ header = \"…\" }" {
        /// The header's name.
        header: Text = required,
    }
}

table! {
    /// A record's time of change.
    UpdatedAt, "a table with `path` and `format`" {
        /// Where it is.
        path: Jq = required,
        /// rfc3339, `unix_s`, `unix_ms` or `http_date`. Default rfc3339.
        format: TimeFormat,
    }
}

table! {
    /// How a binding is listed and read.
    Read, "a read table" {
        /// The listing.
        request: RequestShape,
        /// What an answer of the listing is: json, ndjson or csv. Default json.
        format: BodyFormat,
        /// The array of records in a JSON answer, e.g. `.results[]`, or `.[]` where the answer is the array.
        records: Jq,
        /// How pages follow each other. Default none: one answer holds all.
        page: Page,
        /// How to read only what changed. Default none: every pass reads everything.
        incremental: Incremental,
        /// How deletes show. Default none: they do not.
        deletes: Deletes,
        /// The point read of one record, with `{id}`: for confirmation and re-reading.
        get: RequestShape,
        /// How long the listing may lag behind writes: before, that it does not show a create of ours proves nothing. Default 1m.
        lag: Period,
        /// After how many results the listing ends without a word, and how it goes on then. Default: it does not end so.
        page_cap: PageCap,
        /// One listing per record of another collection. Default: one listing of all.
        parent: Parent,
        /// An export that is made in the background before it is listed. Default: the listing is there at once.
        job: ReadJob,
    }
}

kinds! {
    /// What an answer of a listing is.
    BodyFormat, "a format: \"json\", \"ndjson\" or \"csv\"" {
        /// One JSON document with an array of records.
        "json" => Json(PageNone) = bare,
        /// A JSON object a line (JSON Lines): each is a record.
        "ndjson" => Ndjson(PageNone) = bare,
        /// A header and rows (RFC 4180): each row is a record, an object of texts by the header's names.
        "csv" => Csv(CsvFormat) = bare,
    }
}

table! {
    /// How CSV is written there.
    CsvFormat, "a csv table such as { kind = \"csv\", delimiter = \";\" }" {
        /// The one character between fields. Default a comma.
        delimiter: Text,
        /// What an empty field is: text or null. Default text.
        empty: EmptyField,
    }
}

kinds! {
    /// How pages follow each other.
    #[expect(clippy::enum_variant_names, reason = "named as in the language")]
    Page, "a paging table such as { kind = \"page\", into = \"query.page\" }" {
        /// One answer holds all.
        "none" => None(PageNone) = bare,
        /// Numbered pages; ends as `more`, `pages` or `total` say, else with an empty page, or a short one after a full one.
        "page" => Page(PageNumber),
        /// Offsets; ends as `more` or `total` say, else with an empty page, or a short one after a full one.
        "offset" => Offset(PageOffset),
        /// A token in the answer goes into the next request; absent, null or empty ends.
        "cursor" => Cursor(PageCursor),
        /// `Link: <…>; rel="next"` (RFC 8288).
        "link_header" => LinkHeader(PageNone) = bare,
        /// The answer holds the next page's URL.
        "next_url" => NextUrl(PageNextUrl),
        /// After the last record's key; ends as `more` says, else with an empty page, or a short one after a full one.
        "keyset" => Keyset(PageKeyset),
    }
}

table! {
    /// Nothing to set.
    PageNone, "a table" {}
}

table! {
    /// Numbered pages.
    PageNumber, "a page table" {
        /// Where the number goes, e.g. `query.page`. Default: into `{page}`, which stands in the request.
        into: Text,
        /// The first page's number. Default 1.
        start: u64,
        /// The page size.
        size: PageSize,
        /// What says that more pages follow: a jq condition over the answer, or `{ header = "…" }`. A short page is the last one only by it.
        more: PathOrHeader,
        /// Instead: where the answer says how many pages there are, or the last one's number where the first is 1: a path, or `{ header = "…" }`.
        pages: PathOrHeader,
        /// Instead: where the answer says how many records the listing shows in all: a path, or `{ header = "…" }`.
        total: PathOrHeader,
    }
}

table! {
    /// Offsets.
    PageOffset, "an offset table" {
        /// Where the offset goes, e.g. `query.offset`. Default: into `{offset}`, which stands in the request.
        into: Text,
        /// The first record's offset. Default 0.
        start: u64,
        /// The page size.
        size: PageSize,
        /// What says that more pages follow: a jq condition over the answer, or `{ header = "…" }`. A short page is the last one only by it.
        more: PathOrHeader,
        /// Instead: where the answer says how many records there are in all: a path, or `{ header = "…" }`.
        total: PathOrHeader,
        /// How far the next page is: records (as many as the page shows) or size (where a page leaves out some of those that it counts). Default records.
        step: OffsetStep,
    }
}

table! {
    /// The page size.
    PageSize, "a size table such as { into = \"query.per_page\", value = 100 }" {
        /// Where it goes, e.g. `query.per_page`.
        into: Text = required,
        /// Records per page.
        value: u64 = required,
    }
}

table! {
    /// A cursor.
    PageCursor, "a cursor table" {
        /// Where the token is: a path, or `{ header = "…" }`.
        next: PathOrHeader = required,
        /// Where it goes: `query.NAME`, `header.NAME` or `body.PATH`.
        into: Text = required,
        /// What says that more pages follow: a jq condition over the answer, or `{ header = "…" }`; false ends even where a token is given.
        more: PathOrHeader,
    }
}

table! {
    /// After the last record's key.
    PageKeyset, "a keyset table" {
        /// Plain path of the key in a record, e.g. `.id`. The listing must be sorted by it, upwards.
        key: Jq = required,
        /// Where the last one goes: `query.NAME`, `header.NAME` or `body.PATH`.
        into: Text = required,
        /// The page size.
        size: PageSize,
        /// What says that more pages follow: a jq condition over the answer, or `{ header = "…" }`. A short page is the last one only by it.
        more: PathOrHeader,
    }
}

table! {
    /// A next-URL.
    PageNextUrl, "a next_url table" {
        /// Where the URL is: a path, or `{ header = "Next-Page" }`.
        next: PathOrHeader = required,
        /// What says that more pages follow: a jq condition over the answer, or `{ header = "…" }`; false ends even where a URL is given.
        more: PathOrHeader,
    }
}

table! {
    /// A listing that ends after so many results, however many there are.
    PageCap, "a page_cap table such as { results = 10_000, split = \"time\" }" {
        /// So many.
        results: u64 = required,
        /// How it goes on: time (from the last `updated_at` on) or key (after the last key). Default: it cannot, and fails.
        split: CapSplitWord,
        /// With `key`: plain path of the key in a record. Default the binding's `id`. The listing must be sorted by it, upwards.
        key: Jq,
        /// With `key`: where the last one goes: `query.NAME`, `header.NAME` or `body.PATH`.
        into: Text,
    }
}

kinds! {
    /// How to read only what changed.
    #[expect(clippy::large_enum_variant, reason = "one for each binding, while rules are checked")]
    Incremental, "an incremental table such as { kind = \"since\", into = \"query.since\" }" {
        /// Every pass reads everything.
        "none" => None(PageNone) = bare,
        /// Changed since a moment or a token, inclusive.
        "since" => Since(Since),
        /// `If-None-Match` with the listing's `ETag`; 304 means that nothing changed.
        "conditional" => Conditional(PageNone) = bare,
        /// A token that the last page of a listing gives leads to what changed since: sync tokens, delta links.
        "token" => Token(SyncToken),
        /// A feed of events names the records that have changed, and each of them is read by `get`.
        "event_feed" => EventFeed(EventFeed),
    }
}

table! {
    /// Changed since.
    Since, "a since table" {
        /// Where it goes: `query.NAME` or `header.NAME`.
        into: Text = required,
        /// Where the next value comes from: a path in the first page's body, or `{ header = "ETag" }`. Default: the greatest `updated_at` seen.
        from: PathOrHeader,
        /// How an instant is written there. Default: as `updated_at` is, and `http_date` in `If-Modified-Since`.
        format: TimeFormat,
        /// Overlap with the time before. Default 2m.
        lookback: Period,
        /// What is sent there, e.g. `"updated_at:>='{since}'"`: text with the hole `{since}`. Default: the value alone.
        value: Text,
    }
}

table! {
    /// A token for what changed since.
    SyncToken, "a token table" {
        /// Where the last page of a listing has it: a path, or `{ header = "…" }`.
        next: PathOrHeader = required,
        /// Where it goes in the next listing: `query.NAME`, `header.NAME` or `body.PATH`. Default: it is the URL to ask (a delta link).
        into: Text,
    }
}

table! {
    /// A feed of events.
    EventFeed, "an event_feed table" {
        /// The feed: GET or POST.
        request: RequestShape = required,
        /// Where the token goes from which it goes on: `query.NAME`, `header.NAME` or `body.PATH`.
        into: Text = required,
        /// The array of events in its answer, e.g. `.changes[]`.
        events: Jq = required,
        /// jq over an event: the remote id of its record.
        id: Jq = required,
        /// jq condition over an event: others count for nothing. Default: all count.
        when: Jq,
        /// jq condition over an event that says that the record was deleted. It is followed where `get` says so, too. Default: none says so.
        deleted: Jq,
        /// jq over an answer: the next token.
        next: Jq = required,
        /// jq condition over an answer that says that there is more now. Default: while there are events.
        more: Jq,
        /// Where the first token comes from, which is asked for before everything is listed.
        start: FeedStart = required,
    }
}

table! {
    /// The first token of a feed.
    FeedStart, "a start table" {
        /// What answers with it: GET or POST.
        request: RequestShape = required,
        /// jq over that answer: the token.
        next: Jq = required,
    }
}

kinds! {
    /// How deletes show.
    #[expect(clippy::large_enum_variant, reason = "one for each binding, while rules are checked")]
    Deletes, "a deletes table such as { kind = \"tombstone\", when = \".deleted == true\" }" {
        /// They do not.
        "none" => None(PageNone) = bare,
        /// Deleted records are listed with a mark.
        "tombstone" => Tombstone(Tombstone),
        /// Missing from a complete generation, confirmed by a point read where there is one.
        "absence" => Absence(PageNone) = bare,
        /// An address of its own tells them; followed where `get` says so, too.
        "endpoint" => Endpoint(DeletesEndpoint),
    }
}

table! {
    /// Deleted records are listed with a mark.
    Tombstone, "a tombstone table" {
        /// jq condition over a record that is true for deleted ones.
        when: Jq = required,
        /// How long deleted records are listed. After a longer gap everything is compared, and nothing is deleted in that pass. Default: for ever.
        horizon: Period,
    }
}

table! {
    /// How one field stands in a record.
    MapEntry, "a map table" {
        /// A plain path; it reads and writes.
        path: Jq,
        /// A jq filter that reads; one-way unless `put` is given.
        get: Jq,
        /// A jq filter that writes: `.` is the body so far, `$value` the value.
        put: Jq,
        /// How the value is written there.
        codec: Either<CodecWord, Codec>,
        /// pull, push or both. Default the binding's.
        direction: Direction,
        /// Written when the record is created, never afterwards. Default false.
        create_only: bool,
    }
}

table! {
    /// A codec with settings; exactly one of its keys.
    Codec, "a codec table such as { split = \";\" }" {
        /// Our text and the upstream's token for it, both unique.
        r#enum: Named<Token>,
        /// A set or list as one text with this separator.
        split: Text,
        /// A boolean as two texts, true first: `["yes", "no"]`.
        bool: List<Text>,
    }
}
