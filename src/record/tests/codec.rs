//! Claims about `codec`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::json::any_json;
use super::value::{types, value_of};
use crate::record::token::Token;
use crate::record::{Codec, Domain, FieldType, Json, TimeFormat, Value};

const PLAIN: Codec = Codec::Plain { as_string: false };
const PLAIN_TEXT: Codec = Codec::Plain { as_string: true };

fn lifecycle() -> Codec {
    let entries = [("lead", Json::from("L")), ("customer", Json::from("C")), ("lost", Json::from(3))];
    Codec::Enum(entries.into_iter().map(|(key, token)| (key.to_owned(), token)).collect())
}

fn yes_no() -> Codec {
    Codec::BoolText { yes: "yes".to_owned(), no: "no".to_owned() }
}

fn money() -> FieldType {
    FieldType::Decimal { scale: 2 }
}

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

/// Reads the token; on success the canonical JSON of the value.
fn read(codec: &Codec, ty: FieldType, token: &str) -> Result<String, String> {
    let value = codec.read_token(&Domain::of(ty), Token::from(&parse(token)));
    value.map(|value| value.to_json().to_string()).map_err(|error| error.reason)
}

fn check_read(codec: &Codec, ty: FieldType, token: &str, expected: Result<&str, &str>) {
    let name = ty.name();
    assert_eq!(read(codec, ty, token).as_deref().map_err(String::as_str), expected, "{name} {token}");
}

#[test]
fn plain_tokens_are_read_by_type() {
    let check = |ty: FieldType, token: &str, expected: Result<&str, &str>| check_read(&PLAIN, ty, token, expected);
    for ty in types() {
        check(ty, "null", Ok("null"));
    }
    check(FieldType::Text, "\"\"", Ok("\"\""));
    check(FieldType::Text, "12", Err("expected a string, found number 12"));
    check(FieldType::Text, "true", Err("expected a string, found boolean true"));
    check(FieldType::Integer, "\"12\"", Ok("12"));
    check(FieldType::Integer, "1.20e1", Ok("12"));
    check(FieldType::Integer, "-9223372036854775808", Ok("-9223372036854775808"));
    check(
        FieldType::Integer,
        "9223372036854775808",
        Err("expected a whole number of at most 64 bits, found number 9223372036854775808"),
    );
    check(FieldType::Integer, "1e400", Err("expected a whole number of at most 64 bits, found number 1e400"));
    check(FieldType::Integer, "\"007\"", Err("expected a whole number, found string \"007\""));
    check(FieldType::Integer, "\" 7\"", Err("expected a whole number, found string \" 7\""));
    check(FieldType::Integer, "\"\"", Err("expected a whole number, found string \"\""));
    check(FieldType::Real, "\"1.5\"", Ok("1.5"));
    check(FieldType::Real, "-0", Ok("0.0"));
    check(FieldType::Real, "1e400", Err("expected a number within the range of a double, found number 1e400"));
    check(money(), "0.10", Ok("\"0.10\""));
    check(money(), "0.1", Ok("\"0.10\""));
    check(money(), "\"12.500\"", Ok("\"12.50\""));
    check(
        money(),
        "0.105",
        Err("expected at most 2 digits after the point (they are never rounded), found number 0.105"),
    );
    check(money(), "1e40", Err("expected a decimal of at most 28 digits, found number 1e40"));
    check(
        money(),
        "99999999999999999999999999999",
        Err("expected a decimal of at most 28 digits, found number 99999999999999999999999999999"),
    );
    check(FieldType::Boolean, "\"true\"", Err("expected true or false, found string \"true\""));
    check(FieldType::Boolean, "1", Err("expected true or false, found number 1"));
    check(FieldType::Date, "\"2024-01-31\"", Ok("\"2024-01-31\""));
    check(
        FieldType::Date,
        "\"2024-01-31T00:00:00Z\"",
        Err("expected a date such as 2024-01-31, found string \"2024-01-31T00:00:00Z\""),
    );
    check(FieldType::Json, "{\"b\":0.10,\"a\":1e400}", Ok("{\"a\":1e400,\"b\":0.1}"));
    check(FieldType::Set, "[\"b\",\"a\",\"b\"]", Ok("[\"a\",\"b\"]"));
    check(FieldType::Set, "\"a\"", Err("expected an array of strings, found string \"a\""));
    check(FieldType::List { key: None }, "{\"a\":1}", Err("expected an array, found object {\"a\":1}"));
    check(FieldType::Ref { to: "x".to_owned() }, "12.0", Ok("\"12\""));
    check(FieldType::Ref { to: "x".to_owned() }, "\"c7\"", Ok("\"c7\""));
    check(
        FieldType::Ref { to: "x".to_owned() },
        "\"\"",
        Err("expected an id, as a string or a number, found string \"\""),
    );
}

#[test]
fn messages_show_a_short_excerpt() {
    let error = read(&PLAIN, FieldType::Integer, &format!("\"{}\"", "é".repeat(500))).unwrap_err();
    assert_eq!(error, format!("expected a whole number, found string \"{}…\"", "é".repeat(39)));
}

#[test]
fn s46_an_unknown_enum_value_is_named_on_both_ways() {
    check_read(&lifecycle(), FieldType::Text, "\"C\"", Ok("\"customer\""));
    check_read(&lifecycle(), FieldType::Text, "3.0", Ok("\"lost\""));
    check_read(&lifecycle(), FieldType::Set, "[\"L\",3]", Ok("[\"lead\",\"lost\"]"));
    check_read(
        &lifecycle(),
        FieldType::Text,
        "\"Q\"",
        Err("expected a mapped value (\"C\", \"L\", \"3\"), found string \"Q\""),
    );
    let written = lifecycle().write(&Domain::of(FieldType::Text), &Value::Text("vip".to_owned()));
    assert_eq!(written.unwrap_err().reason, "no mapped value for \"vip\"; mapped are \"customer\", \"lead\", \"lost\"");
    let flag = Codec::Enum(BTreeMap::from([("true".to_owned(), Json::from(1)), ("false".to_owned(), Json::from(0))]));
    check_read(&flag, FieldType::Boolean, "1", Ok("true"));
    assert_eq!(flag.write(&Domain::of(FieldType::Boolean), &Value::Boolean(false)).unwrap(), Json::from(0));
}

#[test]
fn a_value_outside_one_of_is_refused() {
    let domain = Domain {
        normalize: vec![crate::record::Normalize::Lowercase],
        one_of: Some(vec!["lead".to_owned(), "lost".to_owned()]),
        ..Domain::of(FieldType::Text)
    };
    assert_eq!(PLAIN.read_token(&domain, Token::from(&Json::from("LEAD"))).unwrap(), Value::Text("LEAD".to_owned()));
    let error = PLAIN.read_token(&domain, Token::from(&Json::from("vip"))).unwrap_err();
    assert_eq!(error.reason, "expected one of \"lead\", \"lost\", found \"vip\"");
}

#[test]
fn special_codecs_read_their_form_only() {
    check_read(&Codec::Cents, money(), "1250", Ok("\"12.50\""));
    check_read(&Codec::Cents, money(), "\"-5\"", Ok("\"-0.05\""));
    check_read(&Codec::Cents, money(), "12.5", Err("expected a whole number of the smallest unit, found number 12.5"));
    check_read(&Codec::Cents, FieldType::Integer, "1", Err("the codec cents is for decimal fields, not for integer"));
    let split = Codec::Split(";".to_owned());
    check_read(&split, FieldType::Set, "\" b; a;;b \"", Ok("[\"a\",\"b\"]"));
    check_read(&split, FieldType::List { key: None }, "\"b;a\"", Ok("[\"b\",\"a\"]"));
    check_read(&split, FieldType::Set, "\"\"", Ok("[]"));
    check_read(&split, FieldType::Set, "[\"a\"]", Err("expected one text separated by \";\", found array [\"a\"]"));
    check_read(&yes_no(), FieldType::Boolean, "\"yes\"", Ok("true"));
    check_read(&yes_no(), FieldType::Boolean, "\"Yes\"", Err("expected \"yes\" or \"no\", found string \"Yes\""));
    check_read(&Codec::Time(TimeFormat::UnixMs), FieldType::Datetime, "1000", Ok("\"1970-01-01T00:00:01Z\""));
    check_read(&Codec::Time(TimeFormat::UnixS), FieldType::Date, "86400", Ok("\"1970-01-02\""));
    check_read(
        &Codec::Time(TimeFormat::UnixS),
        FieldType::Text,
        "1",
        Err("a time codec is for date and datetime fields, not for text"),
    );
}

#[test]
fn values_are_written_as_the_codec_says() {
    let check = |codec: &Codec, ty: FieldType, canonical: &str, expected: Result<&str, &str>| {
        let value = Value::from_json(&ty, &parse(canonical)).unwrap();
        let token =
            codec.write(&Domain::of(ty.clone()), &value).map(|token| token.to_string()).map_err(|error| error.reason);
        assert_eq!(token.as_deref().map_err(String::as_str), expected, "{} {canonical}", ty.name());
    };
    let company = || FieldType::Ref { to: "companies".to_owned() };
    check(&PLAIN, money(), "\"12.5\"", Ok("12.50"));
    check(&PLAIN_TEXT, money(), "\"12.5\"", Ok("\"12.50\""));
    check(&PLAIN, FieldType::Integer, "7", Ok("7"));
    check(&PLAIN_TEXT, FieldType::Integer, "7", Ok("\"7\""));
    check(&PLAIN, FieldType::Real, "1e300", Ok("1e300"));
    check(&PLAIN, company(), "\"12\"", Ok("12"));
    check(&PLAIN, company(), "\"012\"", Ok("\"012\""));
    check(&PLAIN, company(), "\"c7\"", Ok("\"c7\""));
    check(&PLAIN_TEXT, company(), "\"12\"", Ok("\"12\""));
    check(&PLAIN, FieldType::Json, "{\"b\":0.10,\"a\":1}", Ok("{\"b\":0.10,\"a\":1}"));
    check(&PLAIN, FieldType::Text, "null", Ok("null"));
    check(&Codec::Cents, money(), "\"12.5\"", Ok("1250"));
    check(&Codec::Split("; ".to_owned()), FieldType::Set, "[\"b\",\"a\"]", Ok("\"a; b\""));
    check(
        &Codec::Split(";".to_owned()),
        FieldType::Set,
        "[\"a;b\"]",
        Err("\"a;b\" is empty, has blanks around it or collides with the separator \";\""),
    );
    check(
        &Codec::Split(";".to_owned()),
        FieldType::List { key: None },
        "[1]",
        Err("only texts can be joined into one text; this list has other items"),
    );
    check(&yes_no(), FieldType::Boolean, "false", Ok("\"no\""));
    check(&yes_no(), FieldType::Text, "\"x\"", Err("cannot write x of a text field as booleans as texts"));
    check(&Codec::Time(TimeFormat::UnixS), FieldType::Date, "\"1970-01-02\"", Ok("86400"));
}

fn separator() -> impl Strategy<Value = String> {
    prop::sample::select(vec![";", ",", "; ", " ", "aa", "||"]).prop_map(str::to_owned)
}

fn millis(value: Value) -> Value {
    match value {
        Value::Datetime(at) => Value::Datetime(chrono::DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap()),
        other => other,
    }
}

fn seconds(value: Value) -> Value {
    match value {
        Value::Datetime(at) => Value::Datetime(chrono::DateTime::from_timestamp(at.timestamp(), 0).unwrap()),
        other => other,
    }
}

/// Every codec with each type that it is for, and values that its format can carry.
fn carried() -> impl Strategy<Value = (Codec, FieldType, Value)> {
    let plain = prop::sample::select(types())
        .prop_flat_map(|ty| (any::<bool>(), Just(ty.clone()), value_of(&ty)))
        .prop_map(|(as_string, ty, value)| (Codec::Plain { as_string }, ty, value));
    let keys = || prop::sample::select(vec!["lead", "customer", "lost"]).prop_map(str::to_owned);
    let time =
        prop::sample::select(vec![TimeFormat::Rfc3339, TimeFormat::UnixS, TimeFormat::UnixMs, TimeFormat::HttpDate]);
    let time = (time, prop::sample::select(vec![FieldType::Date, FieldType::Datetime]))
        .prop_flat_map(|(format, ty)| (Just(format), Just(ty.clone()), value_of(&ty)))
        .prop_map(|(format, ty, value)| {
            let value = match format {
                TimeFormat::Rfc3339 | TimeFormat::UnixS => value,
                TimeFormat::UnixMs => millis(value),
                TimeFormat::HttpDate => seconds(value),
            };
            (Codec::Time(format), ty, value)
        });
    prop_oneof![
        plain,
        keys().prop_map(|key| (lifecycle(), FieldType::Text, Value::Text(key))),
        prop::collection::btree_set(keys(), 0..3).prop_map(|keys| (lifecycle(), FieldType::Set, Value::Set(keys))),
        value_of(&money()).prop_map(|value| (Codec::Cents, money(), value)),
        time,
        (separator(), prop::collection::btree_set("[ab;,| é]{0,4}", 0..4)).prop_map(|(separator, members)| (
            Codec::Split(separator),
            FieldType::Set,
            Value::Set(members)
        )),
        (separator(), prop::collection::vec("[ab;,| é]{0,4}", 0..4)).prop_map(|(separator, members)| {
            let items = members.into_iter().map(Json::String).collect();
            (Codec::Split(separator), FieldType::List { key: None }, Value::List(items))
        }),
        any::<bool>().prop_map(|value| (yes_no(), FieldType::Boolean, Value::Boolean(value))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn i14_what_is_written_reads_back_as_the_same((codec, ty, value) in carried()) {
        let domain = Domain::of(ty);
        match codec.write(&domain, &value) {
            Ok(token) => {
                let back = codec.read_token(&domain, Token::from(&token)).map_err(|error| TestCaseError::fail(error.reason))?;
                prop_assert!(domain.same(&back, &value), "{:?} wrote {} and read {:?}", codec, token, back);
            }
            // Only texts that cannot be joined may be refused.
            Err(error) => prop_assert!(matches!(codec, Codec::Split(_)), "{}", error),
        }
    }

    #[test]
    fn i14_what_is_read_is_written_as_the_same(token in any_json(), (codec, ty, _) in carried()) {
        let domain = Domain::of(ty);
        if let Ok(value) = codec.read_token(&domain, Token::from(&token)) {
            let written = codec.write(&domain, &value).map_err(|error| TestCaseError::fail(error.reason))?;
            let back = codec.read_token(&domain, Token::from(&written)).map_err(|error| TestCaseError::fail(error.reason))?;
            prop_assert!(domain.same(&back, &value), "{} became {}", token, written);
        }
    }
}
