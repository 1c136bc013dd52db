//! Owns: finding a text in another one however it is spelled there: as it is, or in escapes of JSON, of addresses and forms, of
//! CSV and HTML, also one inside the other (an address in JSON that is a string of JSON).
//!
//! Must not know: what is looked for, what is done with it.

use std::ops::Range;

/// So many spellings are undone, one inside the other.
const LAYERS_MAX: u8 = 3;
/// Every escape begins with one of these, whatever spells its first character.
const ESCAPES: &[u8] = b"%\\+&\"";

/// Where the text stands, in whatever spelling. Places of one text do not overlap.
pub fn find_spelled(text: &str, wanted: &str) -> Vec<Range<usize>> {
    let Some(first) = wanted.as_bytes().first() else { return Vec::new() };
    let bytes = text.as_bytes();
    let may_begin = |byte: &u8| byte == first || ESCAPES.contains(byte);
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(skipped) = bytes.get(at..).and_then(|rest| rest.iter().position(may_begin)) {
        let start = at + skipped;
        let end = end_of(bytes, start, wanted);
        found.extend(end.map(|end| start..end));
        at = end.unwrap_or(start + 1);
    }
    found
}

/// Where the text ends that begins there; the furthest, where it can be read in several ways.
fn end_of(bytes: &[u8], start: usize, wanted: &str) -> Option<usize> {
    let mut ends = vec![start];
    for one in wanted.chars() {
        let mut next = Vec::new();
        for at in ends {
            pass(bytes, at, one, LAYERS_MAX, &mut next);
        }
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// Adds where the character ends that begins there, for each way to read it. Within an escape each character may be spelled too.
fn pass(bytes: &[u8], at: usize, one: char, layers: u8, ends: &mut Vec<usize>) {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut buffer = [0; 4];
    let plain = one.encode_utf8(&mut buffer).as_bytes();
    if rest.starts_with(plain) {
        add(ends, at + plain.len());
    }
    let Some(inner) = layers.checked_sub(1).filter(|_| rest.first().is_some_and(|byte| ESCAPES.contains(byte))) else {
        return;
    };
    let mut spelled = |escape: &str| pass_all(bytes, &[at], escape, inner, ends);
    match one {
        // In a form.
        ' ' => spelled("+"),
        // In quotes of CSV.
        '"' => spelled("\"\""),
        _ => {}
    }
    match rest.first() {
        Some(b'+') => return,
        Some(b'"') if one != '"' => return,
        _ => {}
    }
    if let Some(short) = short_escape(one) {
        spelled(short);
    }
    let percent = plain.iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    spelled(&percent);
    let mut units = [0; 2];
    let units = one.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
    spelled(&units);
    if let Some(name) = entity(one) {
        spelled(name);
    }
    for leading in ["", "0"] {
        spelled(&format!("&#x{leading}{:x};", u32::from(one)));
        spelled(&format!("&#{leading}{};", u32::from(one)));
    }
}

/// The same for a whole escape, the digits of which are of either case.
fn pass_all(bytes: &[u8], from: &[usize], escape: &str, layers: u8, ends: &mut Vec<usize>) {
    let mut places = from.to_vec();
    for (nth, one) in escape.chars().enumerate() {
        let mut next = Vec::new();
        for at in places {
            pass(bytes, at, one, layers, &mut next);
            if nth > 0 && one.is_ascii_hexdigit() && one.is_ascii_lowercase() {
                pass(bytes, at, one.to_ascii_uppercase(), layers, &mut next);
            }
        }
        if next.is_empty() {
            return;
        }
        places = next;
    }
    for end in places {
        add(ends, end);
    }
}

fn add(ends: &mut Vec<usize>, end: usize) {
    if !ends.contains(&end) {
        ends.push(end);
    }
}

/// RFC 8259, section 7.
fn short_escape(one: char) -> Option<&'static str> {
    Some(match one {
        '"' => "\\\"",
        '\\' => "\\\\",
        '/' => "\\/",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => return None,
    })
}

fn entity(one: char) -> Option<&'static str> {
    Some(match one {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        _ => return None,
    })
}
