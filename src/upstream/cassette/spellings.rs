//! Owns: the property that no text of a cassette can be read as a secret, however the secret was spelled in it.
//!
//! Must not know: how spellings are found: here they are undone, one after the other.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::mask::Kind;
use super::tape::Body;
use super::{MARK, Mask};
use crate::record::Json;
use crate::rules::CsvFormat;
use crate::upstream::Secrets;

/// A character in one of its spellings; what spells it may be spelled too.
fn spell(one: char, layers: u8, choices: &mut dyn Iterator<Item = u8>) -> String {
    let mut bytes = [0; 4];
    let bytes = one.encode_utf8(&mut bytes).as_bytes();
    let mut units = [0; 2];
    let units = one.encode_utf16(&mut units);
    let choice = choices.next().unwrap_or(0) % 9;
    let escape: String = match choice {
        _ if layers == 0 => return one.to_string(),
        1 => bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat(),
        2 => bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat(),
        3 => units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat(),
        4 => units.iter().map(|unit| format!("\\u{unit:04X}")).collect::<Vec<_>>().concat(),
        5 if one == ' ' => "+".to_owned(),
        5 if matches!(one, '"' | '\\' | '/') => format!("\\{one}"),
        6 if one == '"' => "\"\"".to_owned(),
        7 => format!("&#x{:X};", u32::from(one)),
        8 if one == '&' => "&amp;".to_owned(),
        _ => return one.to_string(),
    };
    escape.chars().map(|one| spell(one, layers - 1, choices)).collect()
}

fn unescaped(text: &str) -> String {
    let (mut units, mut rest): (Vec<u16>, &str) = (Vec::new(), text);
    while let Some(one) = rest.chars().next() {
        let code = rest.strip_prefix("\\u").and_then(|rest| u16::from_str_radix(rest.get(..4)?, 16).ok());
        let short = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        let (unit, passed) = match (code, short) {
            (Some(unit), _) => (vec![unit], 6),
            (None, Some(one @ ('"' | '\\' | '/'))) => (one.to_string().encode_utf16().collect(), 2),
            _ => (one.to_string().encode_utf16().collect(), one.len_utf8()),
        };
        units.extend(unit);
        rest = &rest[passed..];
    }
    String::from_utf16_lossy(&units)
}

fn without_percent(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        let code = std::str::from_utf8(tail.get(..2).unwrap_or_default()).unwrap_or_default();
        match u8::from_str_radix(code, 16) {
            Ok(byte) if *first == b'%' => (out.push(byte), rest = &tail[2..]),
            _ => (out.push(*first), rest = tail),
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn of_html(text: &str) -> String {
    let mut parts = text.split("&#x");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let one = part
            .split_once(';')
            .and_then(|(code, rest)| Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, rest)));
        if let Some((one, rest)) = one {
            out.push(one);
            out.push_str(rest);
        } else {
            out.push_str("&#x");
            out.push_str(part);
        }
    }
    out.replace("&amp;", "&")
}

/// Whether the text can be read as one with the secret in it.
fn reads_as(text: &str, secret: &str, layers: u8) -> bool {
    let undo: [&dyn Fn(&str) -> String; 6] = [
        &unescaped,
        &without_percent,
        &|text| without_percent(&text.replace('+', " ")),
        &|text| text.replace("\"\"", "\""),
        &of_html,
        &|text| text.replace('+', " "),
    ];
    let mut readings = BTreeSet::from([text.to_owned()]);
    for _ in 0..layers {
        let more: Vec<String> = readings.iter().flat_map(|text| undo.iter().map(|undo| undo(text))).collect();
        readings.extend(more);
    }
    readings.iter().any(|text| text.contains(secret))
}

fn shown(body: Option<Body>) -> String {
    match body.unwrap() {
        Body::LeftOut(_) => String::new(),
        body => String::from_utf8(body.bytes().unwrap().to_vec()).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_a_cassette_can_be_read_as_a_secret(
        secret in "[ -~äß€😀]{3,10}",
        choices in proptest::collection::vec(0_u8..9, 0..200),
        layers in 0_u8..3,
        around in "[a-z ]{0,4}",
    ) {
        prop_assume!(!MARK.contains(&secret) && !around.contains(&secret));
        let mask = Mask::new(Secrets::default(), &[]).unwrap();
        let own = Secrets::default().with([secret.clone()]);
        let mut choices = choices.into_iter();
        let spelled: String = secret.chars().map(|one| spell(one, layers, &mut choices)).collect();
        let text = format!("{around}{spelled}{around}");
        let json = Json::object([("a".to_owned(), Json::Array(vec![Json::String(text.clone())]))]).to_string();
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("k", &text).finish();
        let table = format!("a,b\n\"{}\",1\n", text.replace('"', "\"\""));
        let rows = Kind::Rows(CsvFormat { delimiter: b',', empty_is_null: false });
        let body = |text: &str, kind| shown(mask.body(&own, text.as_bytes(), kind));
        for clean in [
            body(&text, Kind::Text),
            body(&json, Kind::Text),
            body(&format!("{json}\n{{\"b\":1}}\n"), Kind::Text),
            body(&form, Kind::Form),
            body(&table, rows),
            mask.url(&own, &format!("https://up.test/a?{form}")),
            mask.url(&own, &format!("https://up.test/{}/b", crate::upstream::encode_segment(&text))),
        ] {
            prop_assert!(!reads_as(&clean, &secret, 3), "{:?} is in {}", secret, clean);
            prop_assert!(clean.contains(MARK), "{:?} of {} was not found in {}", secret, text, clean);
        }
        prop_assert!(Json::parse(body(&json, Kind::Text).as_bytes()).is_ok(), "JSON stays JSON");
        // What is no secret stays. (A character that is in no spelling of any other.)
        let other = Secrets::default().with([format!("{secret}🔒")]);
        prop_assert_eq!(shown(mask.body(&other, json.as_bytes(), Kind::Text)), json);
    }
}
