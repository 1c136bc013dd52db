//! Owns: cutting the records out of a page: the byte range of each, without reading any of them into a tree.
//!
//! Must not know: what a record says; how the page was fetched.

use std::ops::Range;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::{Path, Step};

/// Finds the array at `path` and returns where each of its elements stands in `body`. The whole body is checked to be JSON.
pub fn split(body: &[u8], path: &Path) -> Result<Vec<Range<usize>>, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let seen = Find { steps: &path.steps, base: text.as_ptr().addr(), out: &mut found }
        .deserialize(&mut reader)
        .and_then(|seen| reader.end().map(|()| seen))
        .map_err(|error| error.to_string())?;
    match seen {
        Seen::Array => Ok(found),
        Seen::Missing => Err(format!("there is no {path}")),
        Seen::Other => Err(format!("{path} is no array")),
    }
}

/// What stands at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Array,
    Missing,
    Other,
}

struct Find<'p, 'o> {
    steps: &'p [Step],
    base: usize,
    out: &'o mut Vec<Range<usize>>,
}

impl<'de> DeserializeSeed<'de> for Find<'_, '_> {
    type Value = Seen;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_, '_> {
    type Value = Seen;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        let Some((Step::Key(wanted), rest)) = self.steps.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(if self.steps.is_empty() { Seen::Other } else { Seen::Missing });
        };
        let mut seen = Seen::Missing;
        while let Some(is_it) = map.next_key_seed(Is(wanted))? {
            if is_it && seen == Seen::Missing {
                seen = map.next_value_seed(Find { steps: rest, base: self.base, out: &mut *self.out })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(seen)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        match self.steps.split_first() {
            None => {
                while let Some(raw) = seq.next_element::<&'de RawValue>()? {
                    let start = raw.get().as_ptr().addr() - self.base;
                    self.out.push(start..start + raw.get().len());
                }
                Ok(Seen::Array)
            }
            Some((Step::Index(wanted), rest)) => {
                let mut seen = Seen::Missing;
                let mut at = 0;
                loop {
                    let more = if at == *wanted {
                        let inner = Find { steps: rest, base: self.base, out: &mut *self.out };
                        seq.next_element_seed(inner)?.map(|found| seen = found).is_some()
                    } else {
                        seq.next_element::<IgnoredAny>()?.is_some()
                    };
                    if !more {
                        return Ok(seen);
                    }
                    at += 1;
                }
            }
            Some((Step::Key(_), _)) => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Seen::Missing)
            }
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(self.scalar())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(self.scalar())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(self.scalar())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(self.scalar())
    }

    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(self.scalar())
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(self.scalar())
    }
}

impl Find<'_, '_> {
    /// `null` and the like at the path itself are not an array; on the way there they mean that the path is missing.
    fn scalar(&self) -> Seen {
        if self.steps.is_empty() { Seen::Other } else { Seen::Missing }
    }
}

/// Compares a key without keeping it.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, path: &str, expected: Result<&[&str], &str>) {
        let found = split(body.as_bytes(), &Path::parse(path).unwrap());
        let found: Result<Vec<&str>, String> =
            found.map(|ranges| ranges.into_iter().map(|range| &body[range]).collect());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{body}: {found}"),
            (found, expected) => panic!("{body}: {found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn records_are_cut_out_as_they_stand() {
        check(r#"{"a":[ {"x":1} ,2, "é" ],"b":[3]}"#, ".a", Ok(&[r#"{"x":1}"#, "2", "\"é\""]));
        check(r#"{"b":{"c":[[1,2],[3]]}}"#, ".b.c[1]", Ok(&["3"]));
        check("[1,\n2]", ".", Ok(&["1", "2"]));
        check(r#"{"a":[]}"#, ".a", Ok(&[]));
    }

    #[test]
    fn s16_what_is_no_array_of_records_is_never_an_empty_page() {
        check(r#"{"error":"no"}"#, ".a", Err("no .a"));
        check(r#"{"a":null}"#, ".a", Err("no array"));
        check(r#"{"a":null}"#, ".a.b", Err("no .a.b"));
        check("null", ".", Err("no array"));
        check("<html>", ".a", Err("expected value"));
        check(r#"{"a":[1,2"#, ".a", Err("EOF"));
        check(r#"{"a":[1]} x"#, ".a", Err("trailing"));
    }
}
