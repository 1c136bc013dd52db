//! Owns: how pages follow each other: the next request from the last answer, and the guards against going on for ever.
//!
//! Must not know: sending; what records mean. Everything here is pure.

use std::collections::BTreeSet;

use http::HeaderMap;
use url::Url;

use crate::record::{Json, Path};
use crate::rules::{NextAt, Paging, Place, Upstream};

use super::outcome::{Failure, FailureKind, PageToken};
use super::request::{Draft, join};

/// Pages of one listing, at most: what goes on beyond is taken for a listing without an end.
pub const PAGES_MAX: u64 = 1_000_000;

/// Puts the page's position into a request. `token` is `None` for the first page.
pub fn place(paging: &Paging, draft: &mut Draft, token: Option<&PageToken>) -> Result<(), Failure> {
    match paging {
        Paging::None | Paging::LinkHeader | Paging::NextUrl { .. } => Ok(()),
        Paging::Page { into, start, size } => {
            put_size(draft, size.as_ref())?;
            let at = token.map_or_else(|| start.to_string(), |token| token.at.clone());
            draft.put(into, &at)
        }
        Paging::Offset { into, size } => {
            put_size(draft, size.as_ref())?;
            let at = token.map_or_else(|| "0".to_owned(), |token| token.at.clone());
            draft.put(into, &at)
        }
        Paging::Cursor { into, .. } => token.map_or(Ok(()), |token| draft.put(into, &token.at)),
    }
}

fn put_size(draft: &mut Draft, size: Option<&(Place, u64)>) -> Result<(), Failure> {
    size.map_or(Ok(()), |(place, count)| draft.put(place, &count.to_string()))
}

/// True where the next page's position is a whole URL.
pub fn is_url(paging: &Paging) -> bool {
    matches!(paging, Paging::LinkHeader | Paging::NextUrl { .. })
}

/// What the last answer says about going on.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body; read as a tree only where a rule looks into it.
    pub body: &'a [u8],
    /// Records on the page.
    pub records: u64,
    /// The URL that was asked.
    pub url: &'a Url,
}

/// The position of the next page; `None` after the last one.
pub fn next(
    paging: &Paging,
    upstream: &Upstream,
    token: Option<&PageToken>,
    answer: &Answer<'_>,
) -> Result<Option<PageToken>, Failure> {
    let at = match paging {
        Paging::None => None,
        Paging::Page { start, size, .. } => {
            let now = number(token, *start)?;
            (!is_last(answer.records, size.as_ref())).then(|| (now + 1).to_string())
        }
        Paging::Offset { size, .. } => {
            let now = number(token, 0)?;
            (!is_last(answer.records, size.as_ref())).then(|| (now + answer.records).to_string())
        }
        Paging::Cursor { next, more, .. } => {
            let goes_on = match more {
                Some(filter) => {
                    filter.test(&tree(answer.body)?).map_err(|error| wrong(format!("page.more: {error}")))?
                }
                None => true,
            };
            if goes_on { find(next, answer)? } else { None }
        }
        Paging::LinkHeader => link_next(answer.headers).map(|url| absolute(upstream, answer.url, &url)).transpose()?,
        Paging::NextUrl { next } => find(next, answer)?.map(|url| absolute(upstream, answer.url, &url)).transpose()?,
    };
    let (pages, records) = token.map_or((0, 0), |token| (token.pages, token.records));
    let token = at.map(|at| PageToken { at, pages: pages + 1, records: records + answer.records });
    if token.as_ref().is_some_and(|token| token.pages >= PAGES_MAX) {
        return Err(wrong(format!("the listing has no end: {PAGES_MAX} pages were read")));
    }
    Ok(token)
}

/// An empty page ends; so does one that is shorter than what was asked for.
fn is_last(records: u64, size: Option<&(Place, u64)>) -> bool {
    records == 0 || size.is_some_and(|(_, size)| records < *size)
}

fn number(token: Option<&PageToken>, start: u64) -> Result<u64, Failure> {
    token.map_or(Ok(start), |token| {
        token.at.parse().map_err(|_bad| wrong(format!("the stored page position {} is no number", token.at)))
    })
}

fn find(next: &NextAt, answer: &Answer<'_>) -> Result<Option<String>, Failure> {
    let text = match next {
        NextAt::Header(name) => answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
        NextAt::Body(path) => text_at(path, answer.body)?,
    };
    Ok(text.filter(|text| !text.is_empty()))
}

/// A string or number at a path of a body; null and absent are `None`.
pub fn text_at(path: &Path, body: &[u8]) -> Result<Option<String>, Failure> {
    let raw = path.get_raw(body).map_err(|error| wrong(format!("the answer cannot be read: {error}")))?;
    let Some(raw) = raw else { return Ok(None) };
    Ok(match Json::parse(raw.get().as_bytes()).map_err(|error| wrong(error.to_string()))? {
        Json::String(text) => Some(text),
        Json::Number(token) => Some(token),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    })
}

fn tree(body: &[u8]) -> Result<Json, Failure> {
    Json::parse(body).map_err(|error| wrong(format!("the answer cannot be read: {error}")))
}

/// A next page's URL, absolute or relative to the page it stands on (RFC 3986 §5).
fn absolute(upstream: &Upstream, page: &Url, text: &str) -> Result<String, Failure> {
    let url = page.join(text).or_else(|_relative| join(&upstream.base_url, text).map_err(|failure| failure.words));
    url.map(String::from).map_err(|reason| wrong(format!("the next page's URL cannot be read: {reason}")))
}

/// The target of `rel="next"` in `Link` headers (RFC 8288). Commas and semicolons inside `<…>` and quotes do not separate.
pub fn link_next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(http::header::LINK).iter().filter_map(|value| value.to_str().ok()).find_map(link_next_in)
}

fn link_next_in(text: &str) -> Option<String> {
    for link in split_outside(text, ',') {
        let mut parts = split_outside(link, ';').into_iter();
        let target = parts.next()?.trim();
        let Some(url) = target.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else { continue };
        let is_next = parts.any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(url.to_owned());
        }
    }
    None
}

/// Splits at `separator`, but for those inside `<…>` or `"…"`.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut in_angle, mut in_quote, mut escaped) = (Vec::new(), 0, false, false, false);
    for (at, ch) in text.char_indices() {
        match ch {
            _ if escaped => escaped = false,
            '\\' if in_quote => escaped = true,
            '"' if !in_angle => in_quote = !in_quote,
            '<' if !in_quote => in_angle = true,
            '>' if !in_quote => in_angle = false,
            ch if ch == separator && !in_angle && !in_quote => {
                parts.extend(text.get(start..at));
                start = at + ch.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

/// Remembers where a listing has been: a position that comes again, or a page that holds the very same records as one
/// before it, never ends by itself.
#[derive(Clone, Debug, Default)]
pub struct LoopGuard {
    positions: BTreeSet<u64>,
    pages: BTreeSet<u64>,
}

impl LoopGuard {
    /// Takes a page in. `position` is where it goes on; `content` a hash of its records' bytes, `None` for an empty page.
    pub fn admit(&mut self, position: Option<&PageToken>, content: Option<u64>) -> Result<(), Failure> {
        if let Some(token) = position
            && !self.positions.insert(xxhash_rust::xxh3::xxh3_64(token.at.as_bytes()))
        {
            return Err(wrong(format!(
                "the listing goes round in circles: the same next page came twice (after {} pages)",
                token.pages
            )));
        }
        if let Some(content) = content
            && !self.pages.insert(content)
        {
            return Err(wrong("the listing goes round in circles: the same page of records came twice".to_owned()));
        }
        Ok(())
    }
}

/// An answer that is not what the rules describe.
pub fn wrong(words: String) -> Failure {
    Failure { kind: FailureKind::BadAnswer, status: None, words, retry_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_whatever_stands_around_it() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(link_next_in(text).as_deref(), expected, "{text}");
        check(r#"<https://a/x?page=2>; rel="next", <https://a/x?page=9>; rel="last""#, Some("https://a/x?page=2"));
        check(r#"<https://a/x?a=1,2;3>; title="x, rel=\"next\""; rel=next"#, Some("https://a/x?a=1,2;3"));
        check(r#"</x?p=2>; rel="prefetch next""#, Some("/x?p=2"));
        check(r#"<https://a/x>; rel="prev""#, None);
        check("nonsense", None);
    }

    #[test]
    fn f32_a_cycle_of_two_positions_is_noticed() {
        let token = |at: &str| PageToken { at: at.into(), pages: 1, records: 1 };
        let mut guard = LoopGuard::default();
        guard.admit(Some(&token("a")), Some(1)).unwrap();
        guard.admit(Some(&token("b")), Some(2)).unwrap();
        assert_eq!(guard.admit(Some(&token("a")), Some(3)).unwrap_err().kind, FailureKind::BadAnswer);
        assert!(guard.admit(None, Some(2)).is_err());
        assert!(guard.admit(None, None).is_ok());
    }
}
