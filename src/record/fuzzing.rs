//! Owns: what holds for any path, document and instant, as assertions for `fuzz/` and tests.
//!
//! Must not know: fields, rules.

use super::token::Token;
use super::{Filter, Json, Path, TimeFormat};

/// The first line is a path, the rest a document. Lens laws (I14): what is put is what is got, putting back what was got
/// changes nothing, the later put counts, and nothing off the path moves. A path reads what jq reads.
pub fn check_paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, document) = text.split_once('\n').unwrap_or((text, "null"));
    let source = path;
    let Some(path) = Path::parse(source) else { return };
    assert_eq!(Path::parse(&path.to_string()).as_ref(), Some(&path), "{path} is written otherwise than it is read");
    let Ok(document) = Json::parse(document.as_bytes()) else { return };
    let got = path.get(&document).cloned();
    if let Some(got) = &got {
        let mut same = document.clone();
        assert_eq!(path.put(&mut same, got.clone()), Ok(()));
        assert_eq!(same, document, "putting back what was got");
    }
    let (one, other) = (Json::Number("17".into()), Json::Array(vec![Json::Null]));
    let mut changed = document.clone();
    if path.put(&mut changed, one.clone()).is_ok() {
        assert_eq!(path.get(&changed), Some(&one), "what is put is what is got");
        let mut twice = changed.clone();
        assert_eq!(path.put(&mut twice, other.clone()), Ok(()));
        let mut once = document.clone();
        assert_eq!(path.put(&mut once, other), Ok(()));
        assert_eq!(twice, once, "the later put counts");
        if let Some(got) = got.clone() {
            assert_eq!(path.put(&mut changed, got), Ok(()));
            assert_eq!(changed, document, "nothing off the path moves");
        }
    } else {
        assert_eq!(got, None, "what can be got can be put");
    }
    if source.len() < 200 && document.to_string().len() < 2000 {
        let Ok(filter) = Filter::compile(&path.to_string(), &[]) else { return };
        if let Ok(outputs) = filter.run(&document, &[], 2) {
            assert_eq!(outputs, [got.unwrap_or(Json::Null)], "jq reads otherwise at {path}");
        }
    }
}

/// Two JSON tokens read as instants: what is written of one reads as it, to what the format can say; and the order of two
/// survives.
pub fn check_instants(left: &[u8], right: &[u8]) {
    let token = |bytes: &[u8]| match Json::parse(bytes) {
        Ok(Json::String(text)) => Some(Json::String(text)),
        Ok(Json::Number(text)) => Some(Json::Number(text)),
        Ok(_) | Err(_) => None,
    };
    for format in [TimeFormat::Rfc3339, TimeFormat::UnixS, TimeFormat::UnixMs, TimeFormat::HttpDate] {
        let read = |json: &Json| format.read_token(&Token::from(json)).ok();
        let instant = |bytes: &[u8]| read(&token(bytes)?);
        let (Some(one), Some(two)) = (instant(left), instant(right)) else { continue };
        let Some((kept_one, kept_two)) = read(&format.write(one)).zip(read(&format.write(two))) else {
            unreachable!("{format:?} cannot read what it wrote of {one} or {two}");
        };
        assert_eq!(read(&format.write(kept_one)), Some(kept_one), "{format:?} does not come to rest");
        assert!((one - kept_one).abs() < chrono::TimeDelta::seconds(1), "{format:?}: {one} became {kept_one}");
        assert!(one > two || kept_one <= kept_two, "{format:?}: the order of {one} and {two}");
    }
}
