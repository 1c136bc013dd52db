//! Claims about `value`.

use proptest::prelude::*;

use super::json::any_json;
use crate::record::{Column, Domain, FieldType, Json, Real, Value};

pub(super) fn types() -> Vec<FieldType> {
    vec![
        FieldType::Text,
        FieldType::Integer,
        FieldType::Real,
        FieldType::Decimal { scale: 2 },
        FieldType::Boolean,
        FieldType::Date,
        FieldType::Datetime,
        FieldType::Json,
        FieldType::Set,
        FieldType::List { key: None },
        FieldType::Ref { to: "companies".to_owned() },
    ]
}

fn instant() -> impl Strategy<Value = chrono::DateTime<chrono::Utc>> {
    // Years 1 to 9999.
    (-62_135_596_800_000_000_i64..253_402_300_799_999_999)
        .prop_map(|micros| chrono::DateTime::from_timestamp_micros(micros).unwrap())
}

/// A value of the type, as a canonical one can look.
pub(super) fn value_of(ty: &FieldType) -> BoxedStrategy<Value> {
    match ty {
        FieldType::Text => any::<String>().prop_map(Value::Text).boxed(),
        FieldType::Integer => any::<i64>().prop_map(Value::Integer).boxed(),
        FieldType::Real => any::<f64>().prop_filter_map("finite", |x| Real::new(x).map(Value::Real)).boxed(),
        FieldType::Decimal { scale } => {
            let scale = *scale;
            any::<i64>().prop_map(move |units| Value::Decimal(rust_decimal::Decimal::new(units, scale))).boxed()
        }
        FieldType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        FieldType::Date => instant().prop_map(|at| Value::Date(at.date_naive())).boxed(),
        FieldType::Datetime => instant().prop_map(Value::Datetime).boxed(),
        FieldType::Json => any_json().prop_map(Value::Json).boxed(),
        FieldType::Set => prop::collection::btree_set(any::<String>(), 0..4).prop_map(Value::Set).boxed(),
        FieldType::List { .. } => prop::collection::vec(any_json(), 0..4).prop_map(Value::List).boxed(),
        FieldType::Ref { .. } => "[a-z0-9]{1,8}".prop_map(Value::Ref).boxed(),
    }
}

/// A type and one of its values, or none.
pub(crate) fn typed_value() -> impl Strategy<Value = (FieldType, Value)> {
    prop::sample::select(types())
        .prop_flat_map(|ty| (Just(ty.clone()), prop_oneof![9 => value_of(&ty), 1 => Just(Value::Null)]))
}

proptest! {
    #[test]
    fn columns_and_json_read_back_as_the_same_value((ty, value) in typed_value()) {
        let domain = Domain::of(ty.clone());
        let back = Value::from_column(&ty, &value.to_column()).unwrap();
        prop_assert!(domain.same(&back, &value), "column {:?}", value.to_column());
        let back = Value::from_json(&ty, &value.to_json()).unwrap();
        prop_assert!(domain.same(&back, &value), "json {}", value.to_json());
        let canonical = domain.canonical(&value);
        prop_assert_eq!(domain.canonical(&canonical).to_json().to_string(), canonical.to_json().to_string());
        prop_assert_eq!(back.to_column() == canonical.to_column(), true);
    }
}

fn shown(value: Result<Value, crate::record::FieldError>) -> String {
    match value {
        Ok(value) => format!("{} {}", kind(&value), value.to_json()),
        Err(error) => format!("bad: {error}"),
    }
}

fn kind(value: &Value) -> String {
    let debug = format!("{value:?}");
    debug.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
}

#[test]
fn columns_written_by_other_programs_are_read_where_they_mean_one_thing() {
    let check = |ty: FieldType, column: Column, expected: &str| {
        assert_eq!(shown(Value::from_column(&ty, &column)), expected, "{} {column:?}", ty.name());
    };
    let text = |text: &str| Column::Text(text.to_owned());
    let money = || FieldType::Decimal { scale: 2 };
    check(FieldType::Text, Column::Integer(12), "text \"12\"");
    check(FieldType::Text, text(""), "text \"\"");
    check(FieldType::Text, Column::Null, "null null");
    check(FieldType::Text, Column::Real(1.5), "bad: expected a string, found number 1.5");
    check(FieldType::Integer, Column::Real(3.0), "integer 3");
    check(FieldType::Integer, text("12"), "integer 12");
    check(FieldType::Integer, Column::Real(3.5), "bad: expected a whole number, found number 3.5");
    check(FieldType::Integer, text("twelve"), "bad: expected a whole number, found string \"twelve\"");
    check(FieldType::Real, Column::Integer(2), "real 2.0");
    check(money(), Column::Integer(12), "decimal \"12.00\"");
    check(money(), Column::Real(12.5), "decimal \"12.50\"");
    check(money(), text("0.10"), "decimal \"0.10\"");
    check(
        money(),
        Column::Real(0.125),
        "bad: expected at most 2 digits after the point (they are never rounded), found number 0.125",
    );
    check(FieldType::Boolean, Column::Integer(1), "boolean true");
    check(FieldType::Boolean, text("False"), "boolean false");
    check(FieldType::Boolean, Column::Integer(2), "bad: expected a boolean as 0 or 1, found number 2");
    check(FieldType::Boolean, text("ja"), "bad: expected a boolean as true, false, 0 or 1, found string \"ja\"");
    check(FieldType::Date, text("2024-02-29"), "date \"2024-02-29\"");
    check(FieldType::Date, text("2023-02-29"), "bad: expected a date such as 2024-01-31, found string \"2023-02-29\"");
    check(FieldType::Datetime, text("2024-01-31 09:30:00"), "datetime \"2024-01-31T09:30:00Z\"");
    check(
        FieldType::Datetime,
        Column::Integer(0),
        "bad: expected a date-time such as 2024-01-31T09:30:00Z, found number 0",
    );
    check(FieldType::Json, text(" {\"b\":1.0, \"a\":2}"), "json {\"a\":2,\"b\":1}");
    check(FieldType::Json, Column::Integer(5), "json 5");
    check(FieldType::Json, text("null"), "null null");
    check(
        FieldType::Json,
        text("{a}"),
        "bad: expected JSON text, found string \"{a}\": expected a key in double quotes, found `a` (byte 1) at .",
    );
    check(FieldType::Set, text("[\"b\",\"a\",\"b\"]"), "set [\"a\",\"b\"]");
    check(FieldType::Set, text("[1]"), "bad: expected an array of strings; this member is none, found number 1");
    check(FieldType::List { key: None }, text("[2,1.0]"), "list [2,1]");
    check(FieldType::Ref { to: "x".to_owned() }, Column::Integer(7), "ref \"7\"");
}

#[test]
fn empty_is_null_blank_or_without_members() {
    let check = |ty: FieldType, json: &str, expected: bool| {
        let value = Value::from_json(&ty, &Json::parse(json.as_bytes()).unwrap()).unwrap();
        assert_eq!(value.is_empty(), expected, "{json}");
    };
    check(FieldType::Text, "null", true);
    check(FieldType::Text, "\" \\t\"", true);
    check(FieldType::Text, "\"a\"", false);
    check(FieldType::Set, "[]", true);
    check(FieldType::List { key: None }, "[null]", false);
    check(FieldType::Json, "{}", true);
    check(FieldType::Json, "0", false);
    check(FieldType::Integer, "0", false);
    check(FieldType::Boolean, "false", false);
}

#[test]
fn values_print_for_people() {
    let check = |ty: FieldType, json: &str, expected: &str| {
        let value = Value::from_json(&ty, &Json::parse(json.as_bytes()).unwrap()).unwrap();
        assert_eq!(value.to_string(), expected);
    };
    check(FieldType::Text, "null", "∅");
    check(FieldType::Text, "\"a b\"", "a b");
    check(FieldType::Set, "[\"b\",\"a\"]", "{a, b}");
    check(FieldType::Decimal { scale: 3 }, "0.1", "0.100");
    check(FieldType::Datetime, "\"2024-01-31T10:30:00.5+01:00\"", "2024-01-31T09:30:00.500Z");
    check(FieldType::Json, "{\"a\":[1]}", "{\"a\":[1]}");
}
