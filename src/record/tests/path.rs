//! Claims about `path`.

use crate::record::{Json, Path, Step};

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap_or_else(|| panic!("{text} is a plain path"))
}

#[test]
fn plain_paths_are_read_and_printed() {
    let check = |text: &str, steps: &[Step], shown: &str| {
        let path = path(text);
        assert_eq!(path.steps, steps, "{text}");
        assert_eq!(path.to_string(), shown, "{text}");
        assert_eq!(Path::parse(shown), Some(path), "{text}");
    };
    check(".", &[], ".");
    check(" .a.b ", &[key("a"), key("b")], ".a.b");
    check(".\"odd key\".x", &[key("odd key"), key("x")], ".\"odd key\".x");
    check(".[\"k\"][0]", &[key("k"), Step::Index(0)], ".k[0]");
    check(".items[12].\"$id\"", &[key("items"), Step::Index(12), key("$id")], ".items[12].\"$id\"");
    check(".[0].a", &[Step::Index(0), key("a")], ".[0].a");
    check(".a[ \"b\\n\" ]", &[key("a"), key("b\n")], ".a.\"b\\n\"");
    check(".and", &[key("and")], ".and");
}

#[test]
fn filters_are_no_plain_paths() {
    for text in [
        "",
        "a",
        ".a[]",
        ".a?",
        "..",
        ".a.",
        ".a | .b",
        ".a[-1]",
        ".a[1:2]",
        ".\"\\(.b)\"",
        ".1",
        ".a b",
        "$x.a",
        ".a-b",
        ".[",
        ".[\"a\"",
    ] {
        assert_eq!(Path::parse(text), None, "{text}");
    }
}

#[test]
fn get_distinguishes_null_from_nothing() {
    let document = br#"{"a":{"b":null,"n":0.10},"l":[1,{"x":"y"}],"s":"t"}"#;
    let json = Json::parse(document).unwrap();
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(path(text).get(&json).map(ToString::to_string).as_deref(), expected, "{text}");
    };
    check(".a.b", Some("null"));
    check(".a.n", Some("0.10"));
    check(".a.c", None);
    check(".a.b.c", None);
    check(".s.x", None);
    check(".s[0]", None);
    check(".l[1].x", Some("\"y\""));
    check(".l[2]", None);
    check(".l.x", None);
    check(".", Some(std::str::from_utf8(document).unwrap()));
}

#[test]
fn put_changes_its_place_only() {
    let check = |document: &str, at: &str, expected: Result<&str, &str>| {
        let mut json = Json::parse(document.as_bytes()).unwrap();
        let done = path(at).put(&mut json, Json::from(7)).map(|()| json.to_string()).map_err(|error| error.to_string());
        assert_eq!(done.as_deref().map_err(String::as_str), expected, "{document} {at}");
    };
    check("{}", ".a.b", Ok(r#"{"a":{"b":7}}"#));
    check(r#"{"x":0.10,"a":{"b":1,"c":2}}"#, ".a.b", Ok(r#"{"x":0.10,"a":{"b":7,"c":2}}"#));
    check(r#"{"a":null}"#, ".a.b", Ok(r#"{"a":{"b":7}}"#));
    check(r#"{"l":[1]}"#, ".l[0]", Ok(r#"{"l":[7]}"#));
    check(r#"{"l":[1]}"#, ".l[1].x", Ok(r#"{"l":[1,{"x":7}]}"#));
    check("{}", ".l[0]", Ok(r#"{"l":[7]}"#));
    check("1", ".", Ok("7"));
    check(r#"{"l":[1]}"#, ".l[2]", Err("cannot set item 2 of an array of 1 at .l"));
    check(r#"{"a":"s"}"#, ".a.b", Err("cannot set `b` in a string, an object is needed at .a"));
    check(r#"{"a":{}}"#, ".a[0]", Err("cannot set item 0 in an object, an array is needed at .a"));
}
