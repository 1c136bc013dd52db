//! Claims about `filter`.

use std::collections::BTreeMap;

use crate::record::{Filter, Json};

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

fn run(source: &str, input: &str) -> String {
    let filter = Filter::compile(source, &[]).unwrap_or_else(|error| panic!("{source}: {error}"));
    match filter.run(&json(input), &[], 100) {
        Ok(outputs) => outputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn filters_give_their_outputs() {
    let check =
        |source: &str, input: &str, expected: &str| assert_eq!(run(source, input), expected, "{source} {input}");
    check("[.first, .last] | join(\" \")", r#"{"first":"Ann","last":"B"}"#, "\"Ann B\"");
    check(".results[] | select(.a > 1) | .a", r#"{"results":[{"a":1},{"a":2},{"a":3}]}"#, "2 3");
    check(
        "{event: \"Contact \\(.change)\", id: .record.id}",
        r#"{"change":"new","record":{"id":7}}"#,
        r#"{"event":"Contact new","id":7}"#,
    );
    check("empty", "1", "");
    check(".a?", "1", "");
    check(".x | fromdateiso8601", r#"{"x":"2024-01-31T09:30:00Z"}"#, "1706693400");
    check(".x | test(\"^a\")", r#"{"x":"abc"}"#, "true");
    check("reduce .[] as $x (0; . + $x)", "[1,2,3]", "6");
    check("[range(3)], [range(0; 6; 2)]", "null", "[0,1,2] [0,2,4]");
    check("[.[] | . * 2]", "[1,2.5]", "[2,5]");
    check(".a *= 3 | .b", r#"{"a":2,"b":1}"#, "1");
    check(".a *= 3 | .a", r#"{"a":2}"#, "6");
    check("6 / 2", "null", "3");
    check("[..] | length", "[[1],[2]]", "5");
    check("walk(if . == 1 then 2 else . end)", "[1,[1]]", "[2,[2]]");
    check(".s | ascii_downcase | ltrimstr(\"x\") | tonumber", r#"{"s":"X12"}"#, "12");
    check("(.a, .b) = 1", "{}", r#"{"a":1,"b":1}"#);
    check("with_entries(.value |= tostring)", r#"{"a":1}"#, r#"{"a":"1"}"#);
    check("tojson | fromjson", r#"{"a":[1,"x",0.10]}"#, r#"{"a":[1,"x",0.10]}"#);
    check("@base64 , (@base64 | @base64d)", "\"hé\"", "\"aMOp\" \"hé\"");
}

#[test]
fn numbers_that_a_filter_only_moves_keep_their_token() {
    let check =
        |source: &str, input: &str, expected: &str| assert_eq!(run(source, input), expected, "{source} {input}");
    check(".a", r#"{"a":0.10}"#, "0.10");
    check(
        "[.[] | {n: .}]",
        "[1e400,1.50,18446744073709551617]",
        r#"[{"n":1e400},{"n":1.50},{"n":18446744073709551617}]"#,
    );
    check(". + 1", "18446744073709551616", "18446744073709551617");
    check("tostring", "0.10", "\"0.10\"");
    check("-(.)", "0.10", "-0.10");
    check("0.10", "null", "0.10");
    let long = "9".repeat(5000);
    check(".", &long, &long);
}

#[test]
fn what_json_cannot_carry_is_an_error() {
    let check = |source: &str, input: &str, expected: &str| {
        let outcome = run(source, input);
        assert!(outcome.starts_with("error: ") && outcome.contains(expected), "{source}: {outcome}");
    };
    check("nan", "null", "NaN is no JSON number");
    check("1 / 0", "null", "inf is no JSON number");
    check("{(1): 2}", "null", "key");
    check("error(\"no way\")", "null", "no way");
    check(".a", "[1]", "cannot index");
    check("reduce range(0; 60) as $i (0; [., .])", "null", "more than 1000000 values");
    check("reduce range(0; 200) as $i (0; [.])", "null", "nested deeper");
    check(".a * .b", r#"{"a":"xxxxxxxxxx","b":1000000000}"#, "repeated that often");
    check(".a *= 1000000000", r#"{"a":"xxxxxxxxxx"}"#, "repeated that often");
    check("fromjson", &format!("\"{}\"", "[".repeat(100_000)), "nested deeper");
    check("tonumber", &format!("\"{}\"", "[".repeat(100_000)), "nested deeper");
    let long = run(".a | .b", &format!(r#"{{"a":"{}"}}"#, "x".repeat(10_000)));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn variables_are_given_in_order() {
    let filter = Filter::compile("[$b, .x, $a, $a * 2]", &["a", "b"]).unwrap();
    let outputs = filter.run(&json(r#"{"x":0}"#), &[json("1"), json("\"two\"")], 1).unwrap();
    assert_eq!(outputs[0].to_string(), r#"["two",0,1,2]"#);
    assert_eq!(filter.run(&json("1"), &[], 1).unwrap_err().to_string(), "compiled for 2 variables, run with 0",);
}

#[test]
fn variables_of_the_settings_are_texts_whatever_is_in_them() {
    let odd = r#"" | env | "\(1 + 1)\u0041"#;
    let vars =
        |value: &str| BTreeMap::from([("tenant".to_owned(), value.to_owned()), ("other".to_owned(), String::new())]);
    let check = |source: &str, value: &str, expected: &str| {
        let filter = Filter::compile_with(source, &["value"], &vars(value)).unwrap();
        let outputs = filter.run(&json(r#"{"x":"b"}"#), &[json("7")], 1).unwrap();
        assert_eq!(outputs[0].to_string(), expected, "{source}");
    };
    for odd in [odd, "", "7", "ä\n\0"] {
        let written = Json::String(odd.to_owned()).to_string();
        check("$vars.tenant", odd, &written);
        check(
            r#"{parent: {id: $vars."tenant"}, v: $value}"#,
            odd,
            &format!(r#"{{"parent":{{"id":{written}}},"v":7}}"#),
        );
        check(r#"[.x] | map({($vars["tenant"]): .})[0] | keys[0]"#, odd, &written);
    }
    check(r#""\(.x)/\($vars.tenant)/\($vars.other)""#, "a", r#""b/a/""#);
    check("reduce .x as $x (0; $vars.tenant) | . == $vars.tenant", odd, "true");
}

#[test]
fn a_filter_is_another_one_where_a_variable_in_it_has_another_value() {
    let filter = |source: &str, tenant: &str, other: &str| {
        let vars = [("tenant", tenant), ("other", other)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Filter::compile_with(source, &[], &vars.into()).unwrap()
    };
    assert_ne!(filter(".a == $vars.tenant", "a", ""), filter(".a == $vars.tenant", "b", ""));
    assert_eq!(filter(".a == $vars.tenant", "a", ""), filter(".a == $vars.tenant", "a", "b"));
    assert_eq!(filter(".a", "a", "").identity(), ".a", "what was linked under it before is under the same");
}

#[test]
fn outputs_stop_at_the_limit() {
    let filter = Filter::compile(".[]", &[]).unwrap();
    assert_eq!(filter.run(&json("[1,2,3]"), &[], 2).unwrap(), [json("1"), json("2")]);
    assert_eq!(filter.run(&json("[1,2,3]"), &[], 0).unwrap(), []);
}

#[test]
fn conditions_follow_jq_truth() {
    let check = |source: &str, input: &str, expected: bool| {
        assert_eq!(Filter::compile(source, &[]).unwrap().test(&json(input)).unwrap(), expected, "{source} {input}");
    };
    check(".deleted == true", r#"{"deleted":true}"#, true);
    check(".deleted", "{}", false);
    check(".a", r#"{"a":0}"#, true);
    check(".a", r#"{"a":""}"#, true);
    check("empty", "1", false);
    check("false, true", "1", false);
}

#[test]
fn what_is_impure_or_unbounded_does_not_compile_and_is_pointed_at() {
    let check = |source: &str, part: &str, reason: &str| {
        let error = Filter::compile(source, &["value"]).map(|_| ()).unwrap_err();
        assert!(error.reason.contains(reason), "{source}: {error}");
        let (offset, length) = error.span.unwrap_or_else(|| panic!("{source}: no span"));
        assert_eq!(&source[offset..offset + length], part, "{source}: {error}");
    };
    for (source, part) in [
        (".a | env", "env"),
        (".a + $ENV.HOME", "$ENV"),
        ("[inputs]", "inputs"),
        ("input", "input"),
        ("if . then halt else 1 end", "halt"),
        ("halt_error(3)", "halt_error"),
        ("debug(.)", "debug"),
        ("stderr", "stderr"),
        ("now - .t", "now"),
        (".t | localtime", "localtime"),
        ("\"at \\(now)\"", "now"),
        (".a[now]", "now"),
        ("{(now | tostring): 1}", "now"),
        (". as {(now): $x} | $x", "now"),
        ("try now catch now", "now"),
        ("reduce .[] as $x (now; .)", "now"),
        ("def f: f; f", "f"),
        ("repeat(.)", "repeat"),
        ("[.[] | while(. < 10; . + 1)]", "while"),
        ("until(. > 3; . + 1)", "until"),
        ("limit(3; infinite)", "infinite"),
        ("[range(.n)]", "range"),
        ("range(0; 1e9)", "range"),
        ("range(0; 10; 0)", "range"),
        ("range(0; 10; -1; 4)", "range"),
        ("recurse(.a)", "recurse"),
        ("[combinations]", "combinations"),
    ] {
        check(source, part, "is not allowed");
    }
    for (source, part) in [
        (".a | $vars", "$vars"),
        ("$vars[.a]", "$vars"),
        ("$vars[]", "$vars"),
        ("$vars.a.b", "$vars"),
        (". as $vars | .", "$vars"),
        (". as {$vars} | .", "$vars"),
        ("{$vars}", "$vars"),
        ("reduce .[] as $vars (0; .)", "$vars"),
    ] {
        check(source, part, "cannot stand here");
    }
    check(".a + $vars.tenant", "tenant", "there is no variable `$vars.tenant`; set it");
    check(".a | selct(.b)", "selct", "did you mean `select`?");
    check("map(1; 2)", "map", "does not take that many arguments");
    check("$valu", "$valu", "did you mean `$value`?");
    check("$nothing", "$nothing", "there is no variable `$nothing`");
    check("break $x", "$x", "there is no label");
    check(".a | )", ")", "expected");
    check(".a |", "", "found the end");
    check("", "", "found the end");
    check("{a", "{", "`{` is not closed");
    check(".a | \"x", "\"", "is not closed");
    check(".a é", "é", "expected token, found `é`");
    check(".a & .b", "&", "expected token");
    check("debug_empty", "debug_empty", "there is no filter");
    check("reconciled__main", "reconciled__main", "is not allowed");
    check(&"[".repeat(10_000), "[", "nested deeper");
}

#[test]
fn filters_and_mappers_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Filter>();
    shared::<crate::record::Mapper>();
}

#[test]
fn updates_that_wrap_what_they_visit_end() {
    assert_eq!(run("walk([.])", "[1,[2]]"), "[[[1],[[[2]]]]]");
    assert_eq!(run(".. |= [.]", "[1]"), "[[[1]]]");
}
