//! Owns: reaching into JSON by dotted paths, merge patches (RFC 7396), times as JSON.
//!
//! Must not know: what a record is.

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde_json::{Map, Value};

use super::config::TimeFormat;

/// A JSON object.
pub type Object = Map<String, Value>;

/// The value at `a.b.c`.
pub fn at<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    let (first, rest) = split(path);
    let value = object.get(first)?;
    match rest {
        None => Some(value),
        Some(rest) => at(value.as_object()?, rest),
    }
}

/// Sets the value at `a.b.c`; what is in the way and no object is replaced.
pub fn put(object: &mut Object, path: &str, value: Value) {
    let (first, rest) = split(path);
    let Some(rest) = rest else {
        object.insert(first.to_owned(), value);
        return;
    };
    let inner = object.entry(first).or_insert_with(|| Value::Object(Object::new()));
    if !inner.is_object() {
        *inner = Value::Object(Object::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

/// Takes the value at `a.b.c` out.
pub fn take(object: &mut Object, path: &str) -> Option<Value> {
    match split(path) {
        (first, None) => object.remove(first),
        (first, Some(rest)) => take(object.get_mut(first)?.as_object_mut()?, rest),
    }
}

/// Applies a merge patch (RFC 7396): objects merge, null removes, anything else replaces.
pub fn merge(target: &mut Object, patch: &Object) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(inner) => {
                let mut merged = match target.remove(key) {
                    Some(Value::Object(existing)) => existing,
                    _ => Object::new(),
                };
                merge(&mut merged, inner);
                target.insert(key.clone(), Value::Object(merged));
            }
            _ => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A scalar as it would stand in a query.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A time in one of the forms.
pub fn time(at: DateTime<Utc>, format: TimeFormat) -> Value {
    match format {
        TimeFormat::Rfc3339Ms => at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
        TimeFormat::UnixS => at.timestamp().into(),
        TimeFormat::UnixMs => at.timestamp_millis().into(),
    }
}

/// The reverse of [`time`], for a query parameter.
pub fn parse_time(text: &str, format: TimeFormat) -> Option<DateTime<Utc>> {
    match format {
        // A plus that was not escaped arrives as a blank.
        TimeFormat::Rfc3339Ms => {
            DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok().map(|time| time.with_timezone(&Utc))
        }
        TimeFormat::UnixS => Utc.timestamp_opt(text.parse().ok()?, 0).single(),
        TimeFormat::UnixMs => Utc.timestamp_millis_opt(text.parse().ok()?).single(),
    }
}

/// The time as precise as the form can say it.
pub fn round_time(at: DateTime<Utc>, format: TimeFormat) -> DateTime<Utc> {
    let rounded = match format {
        TimeFormat::UnixS => Utc.timestamp_opt(at.timestamp(), 0).single(),
        TimeFormat::Rfc3339Ms | TimeFormat::UnixMs => Utc.timestamp_millis_opt(at.timestamp_millis()).single(),
    };
    rounded.unwrap_or(at)
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn a_merge_patch_follows_the_examples_of_its_rfc() {
        let check = |target: Value, patch: Value, expected: Value| {
            let mut merged = object(target);
            merge(&mut merged, &object(patch));
            assert_eq!(Value::Object(merged), expected);
        };
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    #[test]
    fn a_dotted_path_reads_sets_and_takes() {
        let mut value = object(json!({"a": {"b": 1}, "c": 2}));
        assert_eq!(at(&value, "a.b"), Some(&json!(1)));
        assert_eq!(at(&value, "c.d"), None);
        put(&mut value, "c.d.e", json!(3));
        assert_eq!(take(&mut value, "a.b"), Some(json!(1)));
        assert_eq!(Value::Object(value), json!({"a": {}, "c": {"d": {"e": 3}}}));
    }

    #[test]
    fn a_time_comes_back_as_precise_as_its_form() {
        let at = Utc.timestamp_millis_opt(1_700_000_000_123).unwrap();
        for format in [TimeFormat::Rfc3339Ms, TimeFormat::UnixMs, TimeFormat::UnixS] {
            assert_eq!(parse_time(&text(&time(at, format)), format), Some(round_time(at, format)), "{format:?}");
        }
        assert_eq!(parse_time("2026-01-01T00:00:00 00:00", TimeFormat::Rfc3339Ms).unwrap().timestamp(), 1_767_225_600);
        assert_eq!(parse_time("soon", TimeFormat::UnixS), None);
    }
}
