//! Owns: listings whose answers say whether more follows: what a short, an empty and a full page mean then, and what it is worth
//! when nothing is said.
//!
//! Must not know: what is done with records.

use super::*;
use crate::record::Filter;
use crate::rules::{More, NextAt, OffsetStep, Place};

fn place(name: &str) -> Place {
    Place::Query(name.to_owned())
}

fn in_body(text: &str) -> NextAt {
    NextAt::Body(path(text))
}

fn in_header() -> NextAt {
    NextAt::Header("X-Said".to_owned())
}

fn page(more: More) -> Paging {
    Paging::Page { into: Some(place("p")), start: 1, size: Some((place("n"), 2)), more: Some(more) }
}

fn offset(more: More, step: OffsetStep) -> Paging {
    Paging::Offset { into: Some(place("o")), start: 0, size: Some((place("n"), 2)), more: Some(more), step }
}

fn keyset(more: More) -> Paging {
    Paging::Keyset { key: path(".id"), into: place("k"), size: Some((place("n"), 2)), more: Some(more) }
}

/// The records of each page, and what it says.
type Pages<'a> = Vec<(&'a [&'a str], Tree)>;

/// What is listed of such pages, why that ends too early, what was asked.
async fn listed(page: Paging, pages: &[(&[&str], Tree)]) -> (String, Option<String>, Vec<String>) {
    let answers = pages.iter().map(|(ids, said)| {
        let records: Vec<Tree> = ids.iter().map(|id| json!({ "id": id })).collect();
        let header = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        answer(200, &[("x-said", &header)], &json!({ "results": records, "said": said, "next": null }).to_string())
    });
    let script = Script::new(answers.chain([status(404)]));
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.read = Some(read(page));
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    let asked = script.lines().iter().map(|line| line.trim_start_matches("GET /c?n=2").to_owned()).collect();
    (pages.concat().join(""), failure.map(|failure| failure.words), asked)
}

#[tokio::test]
async fn what_an_answer_says_of_the_end_counts_and_not_the_length_of_its_page() {
    let flag = || More::Flag(in_body(".said"));
    let more_than = |text: &str| More::Filter(Filter::compile(text, &[]).unwrap());
    let by_size = OffsetStep::Size;
    let by_records = OffsetStep::Records;
    let (yes, no) = (json!(true), json!(false));
    let cases: Vec<(Paging, Pages<'_>, &[&str])> = vec![
        // Short and empty pages before the end, and a full one at it.
        (
            page(flag()),
            vec![(&["a"], yes.clone()), (&[], yes.clone()), (&["b", "c"], no.clone())],
            &["&p=1", "&p=2", "&p=3"],
        ),
        (
            page(flag()),
            vec![(&["a", "b"], yes.clone()), (&["c"], yes.clone()), (&[], no.clone())],
            &["&p=1", "&p=2", "&p=3"],
        ),
        (
            page(More::Flag(in_header())),
            vec![(&["a"], json!("True")), (&["b", "c"], json!("false"))],
            &["&p=1", "&p=2"],
        ),
        (page(more_than(".said < 2")), vec![(&["a"], json!(1)), (&["b", "c"], json!(2))], &["&p=1", "&p=2"]),
        // So many pages, or records, in all.
        (
            page(More::Pages(in_body(".said"))),
            vec![(&["a"], json!(3)), (&[], json!(3)), (&["b", "c"], json!("3"))],
            &["&p=1", "&p=2", "&p=3"],
        ),
        (page(More::Pages(in_header())), vec![(&[], json!(0))], &["&p=1"]),
        (page(More::Total(in_header())), vec![(&["a"], json!(3)), (&["b", "c"], json!(3))], &["&p=1", "&p=2"]),
        (page(More::Total(in_body(".said"))), vec![(&["a", "b"], json!(3)), (&["c"], json!(2))], &["&p=1", "&p=2"]),
        // By offsets of what was shown, or of whole pages.
        (offset(flag(), by_records), vec![(&["a"], yes.clone()), (&["b", "c"], no.clone())], &["&o=0", "&o=1"]),
        (
            offset(flag(), by_size),
            vec![(&["a"], yes.clone()), (&[], yes.clone()), (&["b", "c"], no.clone())],
            &["&o=0", "&o=2", "&o=4"],
        ),
        (
            offset(More::Total(in_body(".said")), by_records),
            vec![(&["a", "b"], json!(3)), (&["c"], json!(3))],
            &["&o=0", "&o=2"],
        ),
        (
            offset(More::Total(in_body(".said")), by_size),
            vec![(&["a"], json!(5)), (&["b"], json!(5)), (&["c"], json!(5))],
            &["&o=0", "&o=2", "&o=4"],
        ),
        // After the last key.
        (keyset(flag()), vec![(&["a"], yes.clone()), (&["b", "c"], no.clone())], &["", "&k=a"]),
        (keyset(flag()), vec![(&["a", "b"], yes), (&["c"], no.clone())], &["", "&k=b"]),
        (keyset(flag()), vec![(&[], no)], &[""]),
    ];
    for (paging, pages, asked) in cases {
        let all: String = pages.iter().flat_map(|(ids, _)| ids.iter().copied()).collect();
        let shown = format!("{paging:?}");
        assert_eq!(
            listed(paging, &pages).await,
            (all, None, asked.iter().map(ToString::to_string).collect()),
            "{shown}"
        );
    }
}

/// Taken for the end, each of these would make a part of the collection look like all of it.
#[tokio::test]
async fn an_answer_that_does_not_say_whether_more_follows_is_not_the_end() {
    let flag = || More::Flag(in_body(".said"));
    let pages = || More::Pages(in_body(".said"));
    let total = || More::Total(in_body(".said"));
    let (yes, by_records) = (json!(true), OffsetStep::Records);
    let cursor = |more| Paging::Cursor { next: in_body(".next"), into: place("k"), more: Some(more) };
    let neither = "is neither true nor false, so that nothing says whether more pages follow";
    let cases: Vec<(Paging, Pages<'_>, &str)> = vec![
        (page(flag()), vec![(&["a"], Tree::Null)], neither),
        (page(flag()), vec![(&["a"], json!("true"))], "write more = \".said == true\""),
        (page(More::Flag(in_header())), vec![(&["a"], json!("soon"))], "header X-Said is neither true nor false"),
        (
            page(pages()),
            vec![(&["a"], Tree::Null)],
            ".said does not say how many pages there are in all; leave `pages` out",
        ),
        (
            page(More::Total(in_header())),
            vec![(&["a"], json!(-1))],
            "header X-Said does not say how many records there are",
        ),
        (
            page(total()),
            vec![(&["a"], json!(2)), (&[], json!(2))],
            "an empty page after 1 records, although there are more",
        ),
        (offset(flag(), by_records), vec![(&["a"], yes.clone()), (&[], yes.clone())], "write step = \"size\""),
        (keyset(flag()), vec![(&["a"], yes.clone()), (&[], yes.clone())], "shows no record to go on after"),
        (cursor(flag()), vec![(&["a"], yes.clone())], "the answer says that more follows, and not where"),
        // What the answer says is there has to be there, whatever that would delete.
        (page(flag()), vec![(&["a"], yes.clone())], "404"),
        (page(pages()), vec![(&["a"], json!(2))], "404"),
        (offset(total(), by_records), vec![(&["a"], json!(2))], "404"),
    ];
    for (paging, pages, words) in cases {
        let shown = format!("{paging:?}");
        let failure = listed(paging, &pages).await.1.unwrap_or_default();
        assert!(failure.contains(words), "{shown}: {failure:?}");
    }
}

/// Then it does not matter what stands where the next token would.
#[tokio::test]
async fn more_that_is_false_ends_a_listing() {
    let paging =
        Paging::Cursor { next: in_body(".last"), into: place("after"), more: Some(More::Flag(in_body(".has_more"))) };
    let script = Script::new([
        ok(&json!({"results": [{"id": "1"}], "has_more": true, "last": 7})),
        ok(&json!({"results": [{"id": "2"}], "has_more": false, "last": {"id": 8}})),
    ]);
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let rules = Binding { read: Some(read(paging)), ..binding(client.upstream()) };
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    assert_eq!((pages.concat().len(), failure), (2, None));
    assert_eq!(script.lines(), ["GET /c", "GET /c?after=7"]);
}
