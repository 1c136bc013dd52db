//! Claims about `domain`.

use proptest::prelude::*;

use crate::record::{Domain, FieldType, Json, Normalize, Path, Value};

fn text(normalize: &[Normalize]) -> Domain {
    Domain { normalize: normalize.to_vec(), ..Domain::of(FieldType::Text) }
}

#[test]
fn canonical_text_takes_the_declared_steps_in_order() {
    use Normalize::{CollapseSpace, Digits, Lowercase, Nfc, Trim, Uppercase};
    let check = |steps: &[Normalize], from: &str, expected: &str| {
        assert_eq!(text(steps).canonical(&Value::Text(from.to_owned())), Value::Text(expected.to_owned()), "{steps:?}");
    };
    check(&[], " Ann ", " Ann ");
    check(&[Trim, Lowercase], " Ann@X.io ", "ann@x.io");
    check(&[Uppercase], "straße", "STRASSE");
    check(&[Digits], "+44 (0)20 7946 0000", "4402079460000");
    check(&[Trim, CollapseSpace], " a \t\u{a0} b ", "a b");
    check(&[Nfc], "e\u{301}", "é");
    check(&[Lowercase], "ΣΑΣ", "σας");
}

#[test]
fn s44_values_are_equal_by_their_declared_type() {
    let check = |ty: FieldType, left: &str, right: &str, expected: bool| {
        let read = |text: &str| Value::from_json(&ty, &Json::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(Domain::of(ty.clone()).same(&read(left), &read(right)), expected, "{left} {right}");
    };
    check(FieldType::Decimal { scale: 2 }, "\"0.10\"", "0.1", true);
    check(FieldType::Decimal { scale: 2 }, "1e1", "10.00", true);
    check(FieldType::Decimal { scale: 2 }, "0.1", "0.11", false);
    check(FieldType::Datetime, "\"2024-01-31T10:30:00+01:00\"", "\"2024-01-31T09:30:00.000Z\"", true);
    check(FieldType::Datetime, "\"2024-01-31T10:30:00.0000001Z\"", "\"2024-01-31T10:30:00Z\"", true);
    check(FieldType::Datetime, "\"2024-01-31T10:30:00.000001Z\"", "\"2024-01-31T10:30:00Z\"", false);
    check(FieldType::Json, r#"{"a":1.0,"b":[1]}"#, r#"{"b":[1e0],"a":1}"#, true);
    check(FieldType::Real, "1", "1.0", true);
    check(FieldType::Real, "0", "-0.0", true);
    check(FieldType::Text, "null", "\"\"", false);
    check(FieldType::Set, r#"["a","b"]"#, r#"["b","a"]"#, true);
    check(FieldType::List { key: None }, r#"["a","b"]"#, r#"["b","a"]"#, false);
}

#[test]
fn s48_set_members_are_equal_under_their_normalisation() {
    let domain = Domain { normalize: vec![Normalize::Lowercase], ..Domain::of(FieldType::Set) };
    let set = |members: &[&str]| Value::Set(members.iter().map(ToString::to_string).collect());
    assert!(domain.same(&set(&["VIP", "eu"]), &set(&["EU", "vip", "Vip"])));
}

#[test]
fn s48_the_order_of_a_list_counts_unless_its_items_have_a_key() {
    let list = |text: &str| match Json::parse(text.as_bytes()) {
        Ok(Json::Array(items)) => Value::List(items),
        other => panic!("{other:?}"),
    };
    let keyed = Domain::of(FieldType::List { key: Path::parse(".sku") });
    let plain = Domain::of(FieldType::List { key: None });
    let check = |left: &str, right: &str, expected: bool| {
        assert_eq!(keyed.same(&list(left), &list(right)), expected, "{left} {right}");
        assert!(!plain.same(&list(left), &list(right)));
    };
    check(r#"[{"sku":"b","n":1},{"sku":"a","n":2}]"#, r#"[{"sku":"a","n":2.0},{"n":1,"sku":"b"}]"#, true);
    check(r#"[{"sku":"b","n":1},{"sku":"a","n":2}]"#, r#"[{"sku":"a","n":3},{"sku":"b","n":1}]"#, false);
    check(r#"[{"sku":"b"},{"sku":"a"}]"#, r#"[{"sku":"a"}]"#, false);
    // Items without the key, or with one they share, keep their order among themselves.
    check(r#"[{"x":1},{"sku":"a"},{"x":2}]"#, r#"[{"sku":"a"},{"x":1},{"x":2}]"#, true);
    check(r#"[{"x":1},{"x":2}]"#, r#"[{"x":2},{"x":1}]"#, false);
}

#[test]
fn match_texts_fold_and_placeholders_never_match() {
    let check = |from: &str, expected: Option<&str>| {
        assert_eq!(text(&[]).match_text(&Value::Text(from.to_owned())).as_deref(), expected, "{from}");
    };
    check("  Ann   Smith ", Some("ann smith"));
    check("STRASSE", Some("strasse"));
    check("Straße", Some("strasse"));
    check("ﬁne\u{a0}x", Some("fine x"));
    check("E\u{301}a", Some("éa"));
    for nothing in ["", "  ", "N/A", "none", "Unknown", "-", "???", "test@test.com", "noreply@x.io", "00000", "(none)"]
    {
        check(nothing, None);
    }
    check("0", Some("0"));
    check("testing", Some("testing"));
    assert_eq!(text(&[]).match_text(&Value::Null), None);
    let money = Domain::of(FieldType::Decimal { scale: 2 });
    assert_eq!(money.match_text(&Value::Decimal(rust_decimal::Decimal::new(1250, 2))).as_deref(), Some("12.5"));
}

proptest! {
    #[test]
    fn normalisation_is_idempotent(from in any::<String>(), steps in prop::collection::vec(prop::sample::select(vec![
        Normalize::Trim, Normalize::Lowercase, Normalize::Uppercase, Normalize::Digits, Normalize::CollapseSpace, Normalize::Nfc,
    ]), 0..5)) {
        let domain = text(&steps);
        let once = domain.canonical(&Value::Text(from));
        prop_assert_eq!(domain.canonical(&once), once);
    }
}
