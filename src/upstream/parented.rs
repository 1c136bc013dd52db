//! Owns: records that are listed under a parent: each has the parent's remote id, as if the upstream had written it there.
//!
//! Must not know: which parents there are.

use std::ops::Range;

use bytes::BytesMut;

use super::split::{find_values, token_text};
use super::{Page, Site, WriteRequest, Written};
use crate::record::{Json, Path, Step};
use crate::rules::Binding;

/// Writes the parent's id into each record of a page, as the member of this name; what the record has there counts for nothing.
pub fn tell_parent(page: &mut Page, name: &str, parent: &str) {
    let mut body = BytesMut::with_capacity(page.body.len() + page.records.len() * (name.len() + parent.len() + 8));
    let mut cut_down = Vec::new();
    for range in &mut page.records {
        let start = body.len();
        let record = page.body.get(range.clone()).unwrap_or_default();
        match tell(record, name, parent, true) {
            Some(told) => body.extend_from_slice(&told),
            None => body.extend_from_slice(record),
        }
        if page.cut_down.contains(&range.start) {
            cut_down.push(start);
        }
        *range = start..body.len();
    }
    (page.body, page.cut_down) = (body.freeze(), cut_down);
}

/// What came of a write, its record with the parent that the address named, or that it was seen under when the write was
/// decided: neither answers nor point reads say so. Where the write itself moves it, nothing does.
pub fn tell_whose(binding: &Binding, write: &WriteRequest, mut written: Written) -> Written {
    if let Written::Done { record: Some(remote), .. } | Written::Stale(Some(remote)) = &mut written {
        remote.raw = Site::after(binding, write, "").told(binding, std::mem::take(&mut remote.raw));
    }
    written
}

/// A record with its parent: in place of what it has there (`over`), or only where it has nothing. `None` where it stays as it is.
pub fn tell(record: &[u8], name: &str, parent: &str, over: bool) -> Option<Vec<u8>> {
    let value = Json::String(parent.to_owned()).to_string();
    match place(record, &member(name))? {
        Place::Over(there) if over => {
            Some([record.get(..there.start)?, value.as_bytes(), record.get(there.end..)?].concat())
        }
        Place::Over(_) => None,
        Place::At(at, is_alone) => {
            let key = Json::String(name.to_owned()).to_string();
            let comma: &[u8] = if is_alone { b"" } else { b"," };
            Some([record.get(..at)?, key.as_bytes(), b":", value.as_bytes(), comma, record.get(at..)?].concat())
        }
    }
}

/// The parent that a record was seen under.
pub fn seen_under(binding: &Binding, seen: &[u8]) -> Option<String> {
    let path = member(name_of(binding)?);
    let there = find_values(seen, &[&path]).ok()?.into_iter().next().flatten()?;
    token_text(seen, Some(&there))
}

/// The record without what was written into it here: as the upstream knows it.
pub fn as_known_there(binding: &Binding, mut record: Json) -> Json {
    if let (Some(name), Json::Object(members)) = (name_of(binding), &mut record) {
        members.retain(|(key, _)| key != name);
    }
    record
}

/// The member that tells the parent, where one does.
pub fn name_of(binding: &Binding) -> Option<&str> {
    binding.read.as_ref()?.parent.as_ref()?.name.as_deref()
}

/// Where that is.
pub fn member(name: &str) -> Path {
    Path { steps: vec![Step::Key(name.to_owned())] }
}

/// Where the member goes.
enum Place {
    /// In place of this value.
    Over(Range<usize>),
    /// Here, as the first one; and whether it is the only one.
    At(usize, bool),
}

/// What is no object has no place.
fn place(record: &[u8], path: &Path) -> Option<Place> {
    if record.first() != Some(&b'{') {
        return None;
    }
    if let Some(there) = find_values(record, &[path]).ok()?.into_iter().next().flatten() {
        return Some(Place::Over(there));
    }
    let next = record.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
    Some(Place::At(1, next == Some(&b'}')))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn each_record_of_a_page_has_its_parent_and_what_surrounds_it_stays() {
        let body = br#"[{"id":1,"of":null}, {} ,{ "id" : 2 },7,{"x":{"of":3}}]"#;
        let at = |text: &str| {
            let start = body.windows(text.len()).position(|some| some == text.as_bytes()).unwrap();
            start..start + text.len()
        };
        let records =
            vec![at(r#"{"id":1,"of":null}"#), at("{}"), at(r#"{ "id" : 2 }"#), at("7"), at(r#"{"x":{"of":3}}"#)];
        let now = chrono::DateTime::UNIX_EPOCH;
        let mut page = Page {
            body: Bytes::from_static(body),
            cut_down: vec![records[2].start],
            records,
            told: Vec::new(),
            next: None,
            not_modified: false,
            mark: None,
            requested_at: now,
            observed_at: now,
        };
        tell_parent(&mut page, "of", "a\"b");
        let shown: Vec<&str> =
            page.records.iter().map(|at| std::str::from_utf8(&page.body[at.clone()]).unwrap()).collect();
        assert_eq!(
            shown,
            [
                r#"{"id":1,"of":"a\"b"}"#,
                r#"{"of":"a\"b"}"#,
                r#"{"of":"a\"b", "id" : 2 }"#,
                "7",
                r#"{"of":"a\"b","x":{"of":3}}"#
            ]
        );
        assert_eq!(page.cut_down, [page.records[2].start]);
    }
}
