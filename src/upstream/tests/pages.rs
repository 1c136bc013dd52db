//! Owns: tests of cutting records out of pages.
//!
//! Must not know: transports.

use super::super::split::{Split, SplitError, find_values, split_list, split_records, token_text};
use super::*;
use crate::rules::{ItemAt, ListAt};

fn records(body: &str, at: &str, others: &[&str]) -> Result<(Vec<String>, Vec<Option<String>>), SplitError> {
    let others: Vec<Path> = others.iter().map(|text| path(text)).collect();
    let Split { records, found, .. } = split_records(body.as_bytes(), &path(at), &others.iter().collect::<Vec<_>>())?;
    let texts = records.into_iter().map(|range| body[range].to_owned()).collect();
    Ok((texts, found.iter().map(|found| token_text(body.as_bytes(), found.as_ref())).collect()))
}

#[test]
fn a_list_that_may_be_left_out_is_empty_then_and_never_where_an_error_is_told() {
    let list = |body: &str, at: &str, may_lack: bool| {
        let split = split_list(body.as_bytes(), &ListAt { may_lack, ..path(at).into() }, &[&path(".next")]);
        split.map(|split| (split.records.len(), token_text(body.as_bytes(), split.found[0].as_ref())))
    };
    let next = || Some("t".to_owned());
    let (missing, no_list) = (SplitError::Missing(".d".to_owned()), SplitError::NotArray(".d".to_owned()));
    let cases = [
        (r#"{"next":"t","d":[{},{}]}"#, Ok((2, next()))),
        (r#"{"next":"t"}"#, Ok((0, next()))),
        (r#" {"d":null,"next":"t"}"#, Ok((0, next()))),
        (r#"{"error":null,"errors":null}"#, Ok((0, None))),
        ("{}", Ok((0, None))),
        (r#"{"error":{"code":400}}"#, Err(missing.clone())),
        (r#"{"errors":[]}"#, Err(missing.clone())),
        (r#"{"d":{}}"#, Err(no_list.clone())),
        (r#"{"d":"x"}"#, Err(no_list)),
        (r#"{"errors":0}"#, Err(missing.clone())),
        ("[]", Err(missing.clone())),
        ("\"d\"", Err(missing.clone())),
    ];
    for (body, expected) in cases {
        assert_eq!(list(body, ".d", true), expected, "{body}");
    }
    assert_eq!(list(r#"{"next":"t"}"#, ".d", false), Err(missing));
    let deeper = [
        (r#"{"next":"t"}"#, true),
        (r#"{"a":null,"next":"t"}"#, true),
        (r#"{"a":{"d":null},"next":"t"}"#, true),
        (r#"{"a":{},"next":"t"}"#, true),
        (r#"{"a":"no","next":"t"}"#, false),
        (r#"{"a":[],"next":"t"}"#, false),
        (r#"{"a":{"error":"no"},"next":"t"}"#, false),
        (r#"{"a":{"d":null},"errors":["no"],"next":"t"}"#, false),
    ];
    for (body, is_empty) in deeper {
        assert_eq!(list(body, ".a.d", true).ok(), is_empty.then(|| (0, next())), "{body}");
    }
    assert!(matches!(list(r#"{"next":"t""#, ".d", true), Err(SplitError::NotJson(..))), "what is cut short is none");
}

/// Body, path, other paths; records, other values.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], Vec<String>, Vec<Option<String>>);

#[test]
fn records_are_found_where_they_are() {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let some = |text: &str| Some(text.to_owned());
    let cases: [Case<'_>; 9] = [
        (r#"{"results":[{"a":1},{"b":"}]\""}]}"#, ".results", &[], list(&[r#"{"a":1}"#, r#"{"b":"}]\""}"#]), vec![]),
        ("[]", ".", &[], vec![], vec![]),
        (" [ {} , [1,2] , 3 ] ", ".", &[], list(&["{}", "[1,2]", "3"]), vec![]),
        (
            r#"{"meta":{"next":"c2","n":[1]},"data":{"items":[{"x":{"next":"no"}}]}}"#,
            ".data.items",
            &[".meta.next"],
            list(&[r#"{"x":{"next":"no"}}"#]),
            vec![some("c2")],
        ),
        (r#"{"d":[{}],"next":null}"#, ".d", &[".next"], list(&["{}"]), vec![None]),
        (r#"{"d":[{}],"next":""}"#, ".d", &[".next"], list(&["{}"]), vec![None]),
        (r#"{"d":[{}],"next":17}"#, ".d", &[".next", ".none"], list(&["{}"]), vec![some("17"), None]),
        (r#"{"\u0064":[{"é":"\\"}],"n":"\u00e9"}"#, ".d", &[".n"], list(&[r#"{"é":"\\"}"#]), vec![some("é")]),
        (
            r#"[{"id":1,"next":"x"},{"id":2}]"#,
            ".",
            &[".[0].next"],
            list(&[r#"{"id":1,"next":"x"}"#, r#"{"id":2}"#]),
            vec![some("x")],
        ),
    ];
    for (body, at, others, expected, found) in cases {
        assert_eq!(records(body, at, others), Ok((expected, found)), "{body}");
    }
    assert_eq!(records("\u{feff}[1]", ".", &[]).map(|found| found.0), Ok(list(&["1"])));
}

#[test]
fn s16_what_is_no_listing_is_never_an_empty_one() {
    let refused = [
        "",
        " ",
        "null",
        "<html>",
        "{",
        r#"{"results":[{"a":1}"#,
        r#"{"results":[{"a":1]}"#,
        r#"{"results":[{}{}]}"#,
        r#"{"results":[{},]}"#,
        r#"{"results":[{}]"#,
        r#"{"results":[{}]}}"#,
        r#"{"results":["abc]}"#,
        r#"{"results":[nope]}"#,
        r#"{"results":null}"#,
        r#"{"results":{}}"#,
        r#"{"error":"no"}"#,
        r#"{"results":[],"results":[{}]}"#,
        "[]",
        "[1,2",
        r#"{"results" []}"#,
        r#"{"results":[01]}"#,
    ];
    for body in refused {
        assert!(records(body, ".results", &[]).is_err(), "{body}");
    }
}

#[test]
fn f31_a_deep_record_does_not_hurt_the_others() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"[{{"a":1}},{deep},{{"b":2}}]"#);
    assert_eq!(records(&body, ".", &[]).unwrap().0.len(), 3);
}

#[test]
fn values_are_found_without_records() {
    let found = find_values(br#"{"a":{"b":[5,6]}}"#, &[&path(".a.b[1]"), &path(".a.c")]).unwrap();
    assert_eq!(found, [Some(13..14), None]);
}

/// Every prefix of a listing is refused, so that a truncated answer is never a shorter listing.
#[test]
fn f28_no_prefix_of_a_listing_is_a_listing() {
    let body = r#"{"next":"a\"b","results":[{"id":"1","n":[1,2,{"x":null}]},{"id":"2","t":"\\"}],"total":2}"#;
    for end in 0..body.len() {
        assert!(records(&body[..end], ".results", &[".next"]).is_err(), "{}", &body[..end]);
    }
    assert_eq!(records(body, ".results", &[".next"]).unwrap().0.len(), 2);
}

/// Records, and out of how many items.
type Found<'a> = Result<(&'a [&'a str], usize), SplitError>;

#[test]
fn records_are_found_deeper_in_the_items_of_an_array() {
    let list = |path: &str, item: ItemAt| ListAt { item, ..self::path(path).into() };
    let may_lack = |list: ListAt| ListAt { may_lack: true, ..list };
    let nodes = || list(".d.edges", ItemAt::Record(path(".node")));
    let items = || list(".groups", ItemAt::List(Box::new(path(".items").into())));
    let lacking = || list(".groups", ItemAt::List(Box::new(may_lack(path(".items").into()))));
    let deep = || list(".", ItemAt::List(Box::new(list(".", ItemAt::List(Box::new(path(".x").into()))))));
    let none = |at: &str, item: &str| Err(SplitError::NoneInItem { records: at.to_owned(), item: item.to_owned() });
    let cases: [(ListAt, &str, Found<'_>); 11] = [
        (
            nodes(),
            r#"{"d":{"edges":[{"cursor":"1","node":{"id":1}},{"node":null},{"node": [] }]}}"#,
            Err(SplitError::ListInItem(".d.edges[].node".to_owned())),
        ),
        (
            nodes(),
            r#"{"d":{"edges":[{"cursor":"1","node":{"id":1}},{"node":null}]},"next":2}"#,
            Ok((&[r#"{"id":1}"#, "null"], 2)),
        ),
        (nodes(), r#"{"d":{"edges":[]}}"#, Ok((&[], 0))),
        (nodes(), r#"{"d":{"edges":[{"cursor":"1"}]}}"#, none(".d.edges[].node", ".d.edges[0]")),
        (nodes(), r#"{"d":{"edges":[{"node":{}},7]}}"#, none(".d.edges[].node", ".d.edges[1]")),
        (
            items(),
            r#"{"groups":[{"items":[{"id":1}, 2 ]},{"items":[]},{"n":1,"items":[{"id":3}]}]}"#,
            Ok((&[r#"{"id":1}"#, "2", r#"{"id":3}"#], 3)),
        ),
        (items(), r#"{"groups":[{"items":[]},{}]}"#, none(".groups[].items[]", ".groups[1]")),
        (items(), r#"{"groups":[{"items":null}]}"#, none(".groups[].items[]", ".groups[0]")),
        (lacking(), r#"{"groups":[{},{"items":null},{"items":[{}]}]}"#, Ok((&["{}"], 3))),
        (
            lacking(),
            r#"{"groups":[{"items":[1],"items":[2]}]}"#,
            Err(SplitError::NotJson("a key that stands twice", 32)),
        ),
        (deep(), r#"[[{"x":[{},{"a":1}]}],[],[{"x":[]}]]"#, Ok((&["{}", r#"{"a":1}"#], 3))),
    ];
    for (list, body, expected) in cases {
        let split = split_list(body.as_bytes(), &list, &[&path(".next")]);
        let found = split.map(|split| {
            assert_eq!(token_text(body.as_bytes(), split.found[0].as_ref()).is_some(), body.contains("next"));
            (split.records.into_iter().map(|at| &body[at]).collect::<Vec<_>>(), split.items)
        });
        let expected = expected.map(|(texts, items)| (texts.to_vec(), items));
        assert_eq!(found, expected, "{list}: {body}");
    }
    assert_eq!(deep().to_string(), ".[][].x[]");
}

/// What stands in the place of a group, between one with a record and none behind it: how many records there are then, where
/// the array has to be there, and where it may be missing.
type Group<'a> = (&'a str, Option<usize>, Option<usize>);

#[test]
fn s16_a_group_without_its_records_is_never_an_empty_one() {
    let groups: [Group<'_>; 20] = [
        (r#"{"items":[{}]}"#, Some(2), Some(2)),
        (r#"{"items":[]}"#, Some(1), Some(1)),
        (r#"{"name":"a"}"#, None, Some(1)),
        (r#"{"items":null}"#, None, Some(1)),
        (r#"{"items":null,"error":null}"#, None, Some(1)),
        ("null", None, None),
        ("\"no\"", None, None),
        ("7", None, None),
        ("[]", None, None),
        (r#"{"items":{}}"#, None, None),
        (r#"{"items":"no"}"#, None, None),
        (r#"{"error":{"code":429}}"#, None, None),
        (r#"{"errors":["no"],"items":null}"#, None, None),
        (r#"{"errors":["no"],"items":[]}"#, None, None),
        (r#"{"errors":[{"message":"no"}],"items":[{}]}"#, None, None),
        (r#"{"error":"no","items":[{}]}"#, None, None),
        // A number of errors, a mark, or none.
        (r#"{"errors":3,"items":[{}]}"#, Some(2), Some(2)),
        (r#"{"error":false,"items":[{}]}"#, Some(2), Some(2)),
        (r#"{"errors":[ ],"error":"","items":[{}]}"#, Some(2), Some(2)),
        (r#"{"errors":null,"items":[]}"#, Some(1), Some(1)),
    ];
    for (group, strict, lenient) in groups {
        for (may_lack, expected) in [(false, strict), (true, lenient)] {
            let inner = ListAt { may_lack, ..path(".items").into() };
            let list = ListAt { item: ItemAt::List(Box::new(inner)), ..path(".groups").into() };
            let body = format!(r#"{{"groups":[{{"items":[{{}}]}},{group}]}}"#);
            let split = split_list(body.as_bytes(), &list, &[]);
            if expected.is_none() {
                let told = split.as_ref().unwrap_err().to_string();
                assert!(told.starts_with(".groups[1] ") && told.contains(".groups[].items[]"), "{told}");
            }
            assert_eq!(split.ok().map(|split| split.records.len()), expected, "{list}: {group}");
        }
    }
}

#[test]
fn s16_an_error_counts_where_it_stands_beside_the_records_of_a_group_and_not_where_it_is_them() {
    let list = |inner: &str| ListAt { item: ItemAt::List(Box::new(path(inner).into())), ..path(".groups").into() };
    let body = r#"{"groups":[{"page":{"errors":[{"id":1}],"items":[{}]}}]}"#;
    let lacking =
        SplitError::ErrorInItem { records: ".groups[].page.items[]".to_owned(), item: ".groups[0]".to_owned() };
    assert_eq!(split_list(body.as_bytes(), &list(".page.items"), &[]), Err(lacking));
    assert_eq!(split_list(body.as_bytes(), &list(".page.errors"), &[]).map(|split| split.records.len()), Ok(1));
}
