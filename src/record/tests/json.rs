//! Claims about `json`.

use std::collections::HashSet;

use proptest::prelude::*;

use crate::record::Json;

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_read_is_written_token_by_token() {
    let check = |text: &str, expected: &str| assert_eq!(parse(text).to_string(), expected);
    check(
        " { \"b\" : 0.10 , \"a\" : [ 1e400 , -0 , 1180591620717411303424 ] } ",
        r#"{"b":0.10,"a":[1e400,-0,1180591620717411303424]}"#,
    );
    check(r#""\u00e9\ud83d\ude00\n\"\\\/\u0001""#, "\"é😀\\n\\\"\\\\/\\u0001\"");
    check("[true,false,null,\"\",{},[]]", "[true,false,null,\"\",{},[]]");
    check(
        "\"a longer text than eight bytes, with \u{e9} and \u{4e16}\"",
        "\"a longer text than eight bytes, with é and 世\"",
    );
}

#[test]
fn f31_bad_documents_are_refused_with_their_path() {
    let check = |text: &str, path: &str, reason: &str| {
        let error = Json::parse(text.as_bytes()).unwrap_err();
        assert_eq!((error.path.as_str(), error.reason.contains(reason)), (path, true), "{text}: {error}");
    };
    check(r#"{"a":{"b":1,"c":2,"b":3}}"#, ".a.b", "duplicate key");
    check(r#"{"a":{"b":1,"\u0062":3}}"#, ".a.b", "duplicate key");
    check(r#"{"a":[0,"\ud800"]}"#, ".a[1]", "lone surrogate");
    check(r#"["\udc00"]"#, ".[0]", "lone surrogate");
    check(r#"["\ud800\ud800"]"#, ".[0]", "lone surrogate");
    check(r#"["\ud800x"]"#, ".[0]", "lone surrogate");
    check("{\"odd key\":tru}", ".\"odd key\"", "expected true, found `t` (byte 11)");
    check("[1,]", ".[1]", "expected a value, found `]`");
    check("[1 2]", ".", "expected `,` or `]`");
    check("{\"a\":1,}", ".", "expected a key");
    check("{\"a\" 1}", ".a", "expected `:`");
    check("{} {}", ".", "expected nothing more");
    check("01", ".", "expected nothing more");
    check("-", ".", "expected a digit");
    check("1.e5", ".", "expected a digit");
    check("\"a\u{1}\"", ".", "unescaped control character 0x01");
    check("\"a\nlong string with a newline\"", ".", "unescaped control character");
    check(r#""\x""#, ".", "unknown escape");
    check(r#""\u12g4""#, ".", "four hexadecimal digits");
    check("\"abc", ".", "ends inside a string");
    check("", ".", "found the end of the document");
    check("\u{feff}1", ".", "expected a value");
    let invalid = Json::parse(b"\"\xff\"").unwrap_err();
    assert!(invalid.reason.contains("not UTF-8 (byte 1)"), "{invalid}");
}

#[test]
fn f31_depth_is_limited() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::parse(nested(Json::DEPTH_MAX).as_bytes()).is_ok());
    let error = Json::parse(nested(Json::DEPTH_MAX + 1).as_bytes()).unwrap_err();
    assert!(error.reason.contains("nested deeper than 96 levels"), "{error}");
    assert!(Json::parse("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(Json::parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_wide_object_with_a_duplicate_is_refused() {
    let members: Vec<String> = (0..100).map(|number| format!("\"k{number}\":0")).collect();
    assert!(Json::parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok());
    let error = Json::parse(format!("{{{},\"k42\":1}}", members.join(",")).as_bytes()).unwrap_err();
    assert_eq!((error.path.as_str(), error.reason.as_str()), (".k42", "duplicate key"));
}

#[test]
fn equality_and_hash_are_by_meaning() {
    let check = |left: &str, right: &str, equal: bool| {
        let (left, right) = (parse(left), parse(right));
        assert_eq!(left == right, equal, "{left} {right}");
        assert_eq!(left.canonical().to_string() == right.canonical().to_string(), equal, "{left} {right}");
        if equal {
            assert_eq!([&left, &right].into_iter().collect::<HashSet<_>>().len(), 1, "{left} {right}");
        }
    };
    check(r#"{"a":1,"b":[0.10]}"#, r#"{"b":[1e-1],"a":1.0}"#, true);
    check("9007199254740993", "9007199254740992", false);
    check("0.1", "0.1000000000000000055511151231257827021181583404541015625", false);
    check("1e400", "1e401", false);
    check("[1,2]", "[2,1]", false);
    check("null", "\"\"", false);
    check(r#"{"a":null}"#, "{}", false);
    check("\"1\"", "1", false);
}

#[test]
fn serde_json_carries_numbers_exactly_both_ways() {
    let text = r#"{"n":[0.10,1e400,1180591620717411303424,-7],"s":"\u0001\"","e":{}}"#;
    let json = parse(text);
    assert_eq!(serde_json::to_string(&json).unwrap(), json.to_string());
    assert_eq!(serde_json::from_str::<Json>(text).unwrap().to_string(), json.to_string());
    assert_eq!(serde_json::Value::from(&parse("[0.5,12,\"a\",null]")), serde_json::json!([0.5, 12, "a", null]));
    assert_eq!(Json::from(serde_json::json!({"a": [1, 2.5]})), parse(r#"{"a":[1,2.5]}"#));
}

pub(super) fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?".prop_map(Json::Number),
        any::<String>().prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::btree_map("[a-c\"é ]{0,3}", inner, 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn text_reads_back_as_the_same_tree(json in any_json()) {
        let text = json.to_string();
        let back = Json::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(back.to_string(), text);
        let canonical = json.canonical();
        prop_assert_eq!(&canonical, &json);
        prop_assert_eq!(canonical.canonical().to_string(), canonical.to_string());
    }

    #[test]
    fn order_is_total_and_agrees_with_canonical_bytes(a in any_json(), b in any_json(), c in any_json()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        prop_assert_eq!(a == b, a.canonical().to_string() == b.canonical().to_string());
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[\\[\\]{}:,\"0-9eE.+\\-a-z\\\\ ]{0,24}") {
        for input in [bytes, text.into_bytes()] {
            let ours = Json::parse(&input);
            let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&input);
            match ours {
                Ok(_) => prop_assert!(theirs.is_ok(), "we read {:?}", input),
                Err(error) => prop_assert!(theirs.is_err() || error.reason.contains("surrogate") || error.reason.contains("duplicate"), "we refuse {:?}: {}", input, error),
            }
        }
    }
}
