//! Owns: listings as a state machine without I/O: the request of each page, what its answer holds, whether and how it goes on.
//!
//! Must not know: how requests are sent, what records say.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderMap;
use url::Url;
use xxhash_rust::xxh3::Xxh3;

use super::formats::split_body;
use super::more::Told;
use super::split::{Split, next_text, token_text};
use super::table::Columns;
use super::{Built, Failure, FailureKind, ListQuery, PageToken, Response, plain};
use crate::record::{Json, Path, Step};
use crate::rules::{
    BodyFormat, Deletes, Incremental, More, NextAt, OffsetStep, Paging, Part, Place, Read, SinceFrom, Template,
};

/// Pages of one listing, at most.
pub const PAGES_MAX: u64 = 100_000;

/// What a page's answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Where each record stands.
    pub records: Vec<Range<usize>>,
    /// Where the records are rows: what is written out of them.
    pub columns: Option<Columns>,
    /// How to go on.
    pub next: Option<PageToken>,
    /// The since-value or `ETag` of the first page.
    pub mark: Option<String>,
}

/// The request of the page at `token` (`None`: the first), from the listing's own request.
pub fn page_request(
    mut built: Built,
    read: &Read,
    query: &ListQuery,
    token: Option<&PageToken>,
) -> Result<Built, Failure> {
    // What is listed was made by a request of its own, and that said since when.
    if read.export.is_none() {
        set_since(&mut built, read, query, token)?;
    }
    match &read.page {
        Paging::None => {}
        Paging::Page { into, start, size, .. } | Paging::Offset { into, start, size, .. } => {
            set_size(&mut built, size.as_ref())?;
            set_count(&mut built, into.as_ref(), number(token, *start)?)?;
        }
        Paging::Cursor { into, .. } => {
            if let Some(token) = token {
                built.set(into, &token.at)?;
            }
        }
        Paging::Keyset { into, size, .. } => {
            set_size(&mut built, size.as_ref())?;
            if let Some(token) = token {
                set_key(&mut built, into, &token.at)?;
            }
        }
        Paging::LinkHeader | Paging::NextUrl { .. } => {
            if let Some(token) = token {
                built.url = next_url(&token.at)?;
            }
        }
    }
    if let (Incremental::Conditional, Some(etag), None) = (&read.incremental, &query.etag, token) {
        built.set_header("if-none-match", &plain(etag))?;
        built.conditional = true;
    }
    Ok(built)
}

/// What stands in the hole of counted pages, where the rules have one; `None` where they say a place.
pub fn count_of(read: &Read, token: Option<&PageToken>) -> Result<Option<String>, Failure> {
    match &read.page {
        Paging::Page { into: None, start, .. } | Paging::Offset { into: None, start, .. } => {
            number(token, *start).map(|number| Some(number.to_string()))
        }
        _ => Ok(None),
    }
}

/// Puts the since-value or the token of an incremental reading where it goes.
pub fn set_since(built: &mut Built, read: &Read, query: &ListQuery, token: Option<&PageToken>) -> Result<(), Failure> {
    let by_url = is_by_url(&read.page);
    if let (Incremental::Since { into, value, .. }, Some(since)) = (&read.incremental, &query.since)
        && !(by_url && token.is_some() && matches!(into, Place::Query(_)))
    {
        match value {
            Some(value) => built.set(into, &around(value, since, count_of(read, token)?.as_deref()))?,
            None => built.set(into, since)?,
        }
        // Asked as a condition, nothing new is 304. A later page has no such answer.
        built.conditional = token.is_none() && matches!(into, Place::Header(_));
    }
    if let (Incremental::Token { into, .. }, Some(since)) = (&read.incremental, &query.since) {
        match into {
            Some(into) if !(by_url && token.is_some() && matches!(into, Place::Query(_))) => built.set(into, since)?,
            None if token.is_none() => built.url = next_url(since)?,
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// The text that has the moment in it, and where the page begins. There are no secrets in it.
fn around(value: &Template, since: &str, count: Option<&str>) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Hole(hole) if hole == "since" => since.to_owned(),
        Part::Hole(_) => count.unwrap_or_default().to_owned(),
        Part::Secret(_) => String::new(),
    };
    value.parts.iter().map(part).collect()
}

/// Whether the next page's URL comes whole, with all that its query says.
pub fn is_by_url(page: &Paging) -> bool {
    matches!(page, Paging::LinkHeader | Paging::NextUrl { .. })
}

/// Reads a page's answer. The error says what is wrong with it; the caller adds whose answer it is.
pub fn parse_page(
    read: &Read,
    response: &Response,
    requested: &Url,
    token: Option<&PageToken>,
) -> Result<Parsed, String> {
    let others: Vec<&Path> = sought(read, token).into_iter().flatten().collect();
    let (split, columns) = split_body(read, &response.body, &others).map_err(|error| error.to_string())?;
    let last = || last_record(&response.body, &split, columns.as_ref());
    let parsed = go_on(read, response, requested, token, (split.items, &last), &split.found)?;
    Ok(Parsed { records: split.records, columns, ..parsed })
}

/// The same, of an answer whose records were handed over as they came, out of so many items, with this last one. Its body is what stood
/// around them.
pub fn conclude_page(
    read: &Read,
    response: &Response,
    requested: &Url,
    token: Option<&PageToken>,
    (count, last): (usize, &Bytes),
) -> Result<Parsed, String> {
    let others: Vec<&Path> = sought(read, token).into_iter().flatten().collect();
    let found = match read.format {
        BodyFormat::Json => split_body(read, &response.body, &others).map_err(|error| error.to_string())?.0.found,
        BodyFormat::Ndjson | BodyFormat::Csv(_) => vec![None; others.len()],
    };
    go_on(read, response, requested, token, (count, &|| last.clone()), &found)
}

/// GraphQL answers with the data that could be had and, beside it, `errors` about the rest, which is null or missing then
/// (<https://spec.graphql.org/October2021/#sec-Errors>): that is no whole page, and says nothing about what is not in it.
fn errors_path(read: &Read) -> Option<&'static Path> {
    static ERRORS: LazyLock<Path> = LazyLock::new(|| Path { steps: vec![Step::Key("errors".to_owned())] });
    let starts_at_data = matches!(read.records.path.steps.first(), Some(Step::Key(key)) if key == "data");
    let is_graphql = read.format == BodyFormat::Json && read.request.method == "POST" && starts_at_data;
    is_graphql.then(|| &*ERRORS)
}

fn tells_errors(told: &[u8]) -> bool {
    told != b"null" && !told.iter().all(|byte| byte.is_ascii_whitespace() || b"[]".contains(byte))
}

fn next_path(read: &Read) -> Option<&Path> {
    match &read.page {
        Paging::Cursor { next: NextAt::Body(path), .. } | Paging::NextUrl { next: NextAt::Body(path), .. } => {
            Some(path)
        }
        _ => None,
    }
}

fn mark_path<'r>(read: &'r Read, token: Option<&PageToken>) -> Option<&'r Path> {
    match &read.incremental {
        Incremental::Since { from: SinceFrom::Body(path), .. } if token.is_none() => Some(path),
        Incremental::Token { next: NextAt::Body(path), .. } => Some(path),
        _ => None,
    }
}

/// What is looked for beside the records: errors, the next page, whether more follows, the mark. Each where the rules want it.
fn sought<'r>(read: &'r Read, token: Option<&PageToken>) -> [Option<&'r Path>; 4] {
    let more = read.page.more().and_then(More::path);
    [errors_path(read), next_path(read), more, mark_path(read, token)]
}

/// What was found of that, in the same order.
fn placed(sought: &[Option<&Path>; 4], found: &[Option<Range<usize>>]) -> [Option<Range<usize>>; 4] {
    let mut found = found.iter().cloned();
    sought.map(|path| path.and_then(|_| found.next().flatten()))
}

/// How a listing goes on behind an answer; its records are yet to be added.
fn go_on(
    read: &Read,
    response: &Response,
    requested: &Url,
    token: Option<&PageToken>,
    (count, last): (usize, &dyn Fn() -> Bytes),
    found: &[Option<Range<usize>>],
) -> Result<Parsed, String> {
    let [errors, next, more, found_mark] = placed(&sought(read, token), found);
    if errors.and_then(|at| response.body.get(at)).is_some_and(tells_errors) {
        let what =
            "its `errors` say that not all could be had; an `error` rule of the upstream may say what that means";
        return Err(what.to_owned());
    }
    let in_body = || next_text(&response.body, next.as_ref());
    let first_mark = match &read.incremental {
        _ if token.is_some() => None,
        Incremental::Token { .. } => None,
        Incremental::Since { from: SinceFrom::Header(name), .. } => header_text(&response.headers, name),
        Incremental::Conditional => header_text(&response.headers, "etag"),
        _ => token_text(&response.body, found_mark.as_ref()),
    };
    let pages = token.map_or(0, |token| token.pages) + 1;
    let records = token.map_or(0, |token| token.records) + u64::try_from(count).unwrap_or(0);
    let told = Told { response, at: more, records, pages };
    let at = decide_next(read, requested, token, (count, last), &told, &in_body)?;
    let mark = match &read.incremental {
        Incremental::Token { next, into } if at.is_none() => {
            let last = match next {
                NextAt::Body(_) => next_text(&response.body, found_mark.as_ref())?,
                NextAt::Header(name) => next_header(&response.headers, name)?,
            };
            let last = if into.is_none() { absolute(requested, last)? } else { last };
            // Without it every listing would be one of everything, and nobody would know why.
            Some(last.ok_or("the listing ends without the token that the next one begins with (`incremental.next`)")?)
        }
        _ => first_mark,
    };
    if at.is_some() && pages >= PAGES_MAX {
        return Err(format!("the listing does not end within {PAGES_MAX} pages"));
    }
    let full = was_full(token) || fills(&read.page, count);
    let next = at.map(|at| PageToken { at, pages, records, full, slice: None, job: None });
    Ok(Parsed { records: Vec::new(), columns: None, next, mark })
}

/// True where 404 to the page at `token` is the end of the listing: counted pages, of which nothing says how many there
/// are. After a page that was not full it was asked for on suspicion only. After a full one it may as well be that the
/// address fails just now, and then the listing is shorter than it seems: it is the end where that deletes nothing,
/// because absence is no evidence here or is confirmed record by record.
pub fn is_extra(read: &Read, token: Option<&PageToken>) -> bool {
    let deletes_nothing = read.deletes != Deletes::Absence || read.get.is_some();
    let is_guessed = counts_pages(read) && read.page.more().is_none();
    is_guessed && token.is_some_and(|token| !token.full || deletes_nothing)
}

/// Whether a page begins after so many records, whichever those are by then.
pub fn counts_pages(read: &Read) -> bool {
    matches!(read.page, Paging::Page { .. } | Paging::Offset { .. })
}

fn was_full(token: Option<&PageToken>) -> bool {
    token.is_some_and(|token| token.full)
}

fn fills(page: &Paging, records: usize) -> bool {
    let size = match page {
        Paging::Page { size, .. } | Paging::Offset { size, .. } | Paging::Keyset { size, .. } => size.as_ref(),
        Paging::None | Paging::Cursor { .. } | Paging::LinkHeader | Paging::NextUrl { .. } => None,
    };
    size.is_some_and(|(_, size)| u64::try_from(records).is_ok_and(|records| records >= *size))
}

fn decide_next(
    read: &Read,
    requested: &Url,
    token: Option<&PageToken>,
    (count, last): (usize, &dyn Fn() -> Bytes),
    told: &Told<'_>,
    in_body: &dyn Fn() -> Result<Option<String>, String>,
) -> Result<Option<String>, String> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    // A server may give less than what is asked for, without a word: a short page ends the listing only where it gave as
    // much before. Else one more page is asked for.
    let ends_by_length = |size: &Option<(Place, u64)>| {
        count == 0 || (was_full(token) && size.as_ref().is_some_and(|(_, size)| count < *size))
    };
    let goes_on = |more: &Option<More>, size: &Option<(Place, u64)>, records: u64| match more {
        Some(more) => told.follows(more, records),
        None => Ok(!ends_by_length(size)),
    };
    let here = |start| number(token, start).map_err(|failure| failure.words);
    let next_at = |next: &NextAt| match next {
        NextAt::Body(_) => in_body(),
        NextAt::Header(name) => next_header(&told.response.headers, name),
    };
    match &read.page {
        Paging::None => Ok(None),
        Paging::Page { size, start, more, .. } => {
            let goes_on = goes_on(more, size, told.records)?;
            if goes_on && count == 0 && matches!(more, Some(More::Total(_))) {
                return Err(format!(
                    "an empty page after {} records, although there are more in all: if `total` counts others as well, leave it out",
                    told.records
                ));
            }
            Ok(goes_on.then_some(here(*start)? + 1).map(|number| number.to_string()))
        }
        Paging::Offset { size, start, more, step, .. } => {
            let far = match (step, size) {
                (OffsetStep::Size, Some((_, size))) => *size,
                (OffsetStep::Size, None) | (OffsetStep::Records, _) => count,
            };
            let next = here(*start)? + far;
            let goes_on = goes_on(more, size, next - start)?;
            if goes_on && far == 0 {
                return Err(
                    "an empty page says that more follows, and not from which offset on: if offsets count what a page \
                            leaves out, write step = \"size\""
                        .to_owned(),
                );
            }
            Ok(goes_on.then(|| next.to_string()))
        }
        Paging::Keyset { key, size, more, .. } => match goes_on(more, size, told.records)? {
            true if count == 0 => {
                Err("an empty page says that more follows, and shows no record to go on after".to_owned())
            }
            true => last_key(&last(), key).map(Some),
            false => Ok(None),
        },
        Paging::Cursor { next, more, .. } => told.leads_on(more.as_ref(), next_at(next)),
        Paging::LinkHeader => absolute(requested, next_link(&told.response.headers)?),
        Paging::NextUrl { next, more } => absolute(requested, told.leads_on(more.as_ref(), next_at(next))?),
    }
}

fn last_record(body: &Bytes, split: &Split, columns: Option<&Columns>) -> Bytes {
    let Some(range) = split.records.last() else { return Bytes::new() };
    match columns {
        Some(columns) => Bytes::from(columns.write_out(body, std::slice::from_ref(range), usize::MAX).0),
        None => body.slice(range.clone()),
    }
}

/// A record's key as a JSON token: a number stays one where it goes into a body.
fn last_key(record: &[u8], key: &Path) -> Result<String, String> {
    let found = key_of(record, key).map(|found| found.to_string());
    found.ok_or_else(|| format!("the last record has no key at {key}: neither a text nor a number"))
}

/// The text or the number at `key` in a record.
pub fn key_of(record: &[u8], key: &Path) -> Option<Json> {
    let json = Json::parse(record).ok()?;
    key.get(&json).filter(|found| matches!(found, Json::String(_) | Json::Number(_))).cloned()
}

/// Puts a key, as JSON, at its place.
pub fn set_key(built: &mut Built, into: &Place, token: &str) -> Result<(), Failure> {
    match (Json::parse(token.as_bytes()), into) {
        (Ok(key), Place::Body(path)) => built.set_body(path, key),
        (Ok(Json::String(text) | Json::Number(text)), _) => built.set(into, &text),
        _ => Err(Failure::new(FailureKind::BadAnswer, "the saved place in the listing is no key")),
    }
}

fn next_url(text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .map_err(|error| Failure::new(FailureKind::BadAnswer, format!("the next page's URL cannot be read: {error}")))
}

fn absolute(requested: &Url, next: Option<String>) -> Result<Option<String>, String> {
    let Some(next) = next else { return Ok(None) };
    match requested.join(&next) {
        Ok(url) => Ok(Some(url.into())),
        Err(error) => Err(format!("the next page's URL cannot be read: {error}")),
    }
}

fn set_size(built: &mut Built, size: Option<&(Place, u64)>) -> Result<(), Failure> {
    match size {
        Some((place, size)) => built.set_number(place, *size),
        None => Ok(()),
    }
}

fn set_count(built: &mut Built, into: Option<&Place>, number: u64) -> Result<(), Failure> {
    match into {
        Some(place) => built.set_number(place, number),
        None => Ok(()),
    }
}

fn number(token: Option<&PageToken>, start: u64) -> Result<u64, Failure> {
    let Some(token) = token else { return Ok(start) };
    let broken = |_no_number| Failure::new(FailureKind::BadAnswer, "the saved place in the listing is no number");
    token.at.parse().map_err(broken)
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A header that says how a listing goes on; one that cannot be read is not the end.
fn next_header(headers: &HeaderMap, name: &str) -> Result<Option<String>, String> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_no_utf8| format!("header {name} is not UTF-8"))?.trim();
    // As in a body: null says that there is nothing more.
    Ok((!text.is_empty() && text != "null").then(|| text.to_owned()))
}

/// The target of `rel="next"` (RFC 8288). Commas and semicolons inside `<…>` and quotes do not separate.
pub(super) fn next_link(headers: &HeaderMap) -> Result<Option<String>, String> {
    for value in headers.get_all(http::header::LINK) {
        // Only the target has to be readable: a title in another encoding is of no concern.
        let text = String::from_utf8_lossy(value.as_bytes());
        let mut rest = text.as_ref();
        while let Some((_, tail)) = rest.split_once('<') {
            let (target, tail) = tail.split_once('>').ok_or("the Link header cannot be read: a `>` is missing")?;
            let (parameters, tail) = tail.split_at(end_of_link(tail));
            if parameters.split(';').any(is_next) {
                if target.contains(char::REPLACEMENT_CHARACTER) {
                    return Err("the next page's URL in the Link header is not UTF-8".to_owned());
                }
                return Ok(Some(target.trim().to_owned()));
            }
            rest = tail;
        }
    }
    Ok(None)
}

fn end_of_link(text: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn is_next(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        let relations = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel")
            && relations.split_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
    })
}

/// So many pages in a row may show nothing and lead on, as those do that are filtered after they were counted.
const EMPTY_MAX: usize = 500;

/// Notices a listing that goes in circles: a place that was there before, or a whole page that was.
#[derive(Clone, Debug, Default)]
pub struct LoopGuard {
    places: HashSet<u64>,
    pages: HashSet<u64>,
    /// Pages without records, in a row.
    empty: usize,
}

impl LoopGuard {
    /// Remembers where a page was read.
    pub fn enter(&mut self, place: &str) {
        self.places.insert(xxhash_rust::xxh3::xxh3_64(place.as_bytes()));
    }

    /// Checks a page that was read and where it wants to go on.
    pub fn check(&mut self, parsed: &Parsed, body: &[u8]) -> Result<(), String> {
        let at = |record: Option<&Range<usize>>| record.and_then(|at| body.get(at.clone())).unwrap_or_default();
        let (first, last) = (at(parsed.records.first()), at(parsed.records.last()));
        self.check_ends((first, last), parsed.records.len(), parsed.next.as_ref())
    }

    /// The same, by the first and the last of so many records.
    pub fn check_ends(
        &mut self,
        (first, last): (&[u8], &[u8]),
        count: usize,
        next: Option<&PageToken>,
    ) -> Result<(), String> {
        if count > 0 {
            let mut hash = Xxh3::new();
            hash.update(first);
            hash.update(last);
            hash.update(&count.to_le_bytes());
            if !self.pages.insert(hash.digest()) {
                return Err("the listing shows the same page twice".to_owned());
            }
        }
        self.empty = if count > 0 { 0 } else { self.empty + 1 };
        if self.empty >= EMPTY_MAX && next.is_some() {
            return Err(format!("{EMPTY_MAX} pages in a row show nothing and say that more follows"));
        }
        match next {
            Some(next) if !self.places.insert(xxhash_rust::xxh3::xxh3_64(next.at.as_bytes())) => {
                Err("the listing goes in circles: its next page was read before".to_owned())
            }
            _ => Ok(()),
        }
    }
}
