//! Owns: tests of feeds of events: what is read anew, what counts as deleted, tokens, and what stops a feed.
//!
//! Must not know: writes.

use super::*;
use crate::record::Filter;
use crate::rules::{EventFeed, Place};

fn jq(source: &str) -> Filter {
    Filter::compile(source, &[]).unwrap()
}

fn feed() -> EventFeed {
    EventFeed {
        request: request("GET /events"),
        into: Place::Query("from".to_owned()),
        events: path(".events").into(),
        id: jq(".of"),
        when: Some(jq(".kind != \"note\"")),
        deleted: Some(jq(".kind == \"deleted\"")),
        next: jq(".next"),
        more: None,
        start_request: request("GET /start"),
        start_next: jq(".token"),
    }
}

fn lister(feed: EventFeed, transport: Arc<dyn Transport>, since: Option<&str>) -> Lister {
    let client = client(upstream("https://api.example.com"), transport, &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.read = Some(Read { incremental: Incremental::EventFeed(Box::new(feed)), ..read(Paging::None) });
    Lister::new(client, Arc::new(rules), ListQuery { since: since.map(str::to_owned), ..ListQuery::default() })
}

/// An upstream with many events in one answer, and a record of each.
struct Many;

impl Transport for Many {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let ids: Vec<String> = (0..230).map(|n| format!("r{n:03}")).collect();
        let all: Vec<(&str, &str)> = ids.iter().map(|id| ("made", id.as_str())).collect();
        Box::pin(std::future::ready(match request.url.path().strip_prefix("/c/") {
            Some(id) => ok(&json!({ "id": id, "name": "x" })),
            None => events("t1", &all),
        }))
    }
}

/// Records as text, what is told, and the mark, of each page.
type Shown = (Vec<String>, Vec<Told>, Option<String>);

async fn all(lister: &mut Lister) -> (Vec<Shown>, Option<Failure>) {
    let mut shown = Vec::new();
    loop {
        match lister.page().await {
            Ok(Some(page)) => {
                assert_eq!(page.next, None, "a feed is read from its token again");
                let text =
                    |record: &std::ops::Range<usize>| String::from_utf8_lossy(&page.body[record.clone()]).into_owned();
                shown.push((page.records.iter().map(text).collect(), page.told, page.mark));
            }
            Ok(None) => return (shown, None),
            Err(failure) => return (shown, Some(failure)),
        }
    }
}

fn events(next: &str, all: &[(&str, &str)]) -> Result<Response, TransportError> {
    let all: Vec<Tree> = all.iter().map(|(kind, of)| json!({ "kind": kind, "of": of })).collect();
    ok(&json!({ "events": all, "next": next }))
}

#[tokio::test]
async fn each_record_is_read_once_an_answer_and_the_last_event_about_it_counts() {
    let missing = || status(404);
    let record = |id: &str| ok(&json!({ "id": id, "n": 1.50, "name": "x" }));
    let script = Script::new([
        events(
            "t1",
            &[("made", "a"), ("deleted", "b"), ("note", "c"), ("changed", "a"), ("deleted", "d"), ("made", "d")],
        ),
        record("a"),
        missing(),
        missing(),
        events("t2", &[("deleted", "a")]),
        record("a"),
        events("t3", &[]),
    ]);
    let (shown, failure) = all(&mut lister(feed(), script.clone(), Some("t 0"))).await;
    assert_eq!(failure, None);
    let a = || vec![r#"{"id":"a","n":1.5,"name":"x"}"#.to_owned()];
    // Of `d`, which was made anew and is not there, nothing is known; `a` is there, whatever its event says.
    let expected =
        [(a(), vec![Told::Gone("b".to_owned())], None), (a(), vec![], None), (vec![], vec![], Some("t3".to_owned()))];
    assert_eq!(shown, expected);
    let asked = script.lines();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let expected = [
        "GET /events?from=t+0",
        "GET /c/a",
        "GET /c/b",
        "GET /c/d",
        "GET /events?from=t1",
        "GET /c/a",
        "GET /events?from=t2",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn many_records_are_handed_over_in_parts_and_the_token_comes_with_the_last() {
    let rules = EventFeed { more: Some(jq("false")), ..feed() };
    let (shown, failure) = all(&mut lister(rules, Arc::new(Many), Some("t0"))).await;
    assert_eq!(failure, None);
    let sizes: Vec<(usize, bool)> = shown.iter().map(|(records, _, mark)| (records.len(), mark.is_some())).collect();
    assert_eq!(sizes, [(100, false), (100, false), (30, true)]);
}

#[tokio::test]
async fn a_record_that_may_not_be_read_stops_no_other_and_an_upstream_that_fails_stops_all() {
    let script = Script::new([
        events("t1", &[("made", "a"), ("made", "b")]),
        status(403),
        ok(&json!({ "id": "b", "name": "x" })),
        events("t1", &[]),
    ]);
    let (shown, failure) = all(&mut lister(feed(), script.clone(), Some("t0"))).await;
    assert_eq!(failure, None);
    assert!(matches!(&shown[0].1[..], [Told::Unanswered(id, _)] if id == "a"), "{shown:?}");
    assert_eq!((shown[0].0.len(), shown[1].2.as_deref()), (1, Some("t1")));
    let script = Script::new([events("t1", &[("made", "a")]), status(401)]);
    let (shown, failure) = all(&mut lister(feed(), script.clone(), Some("t0"))).await;
    assert_eq!((shown.len(), failure.unwrap().kind), (0, FailureKind::Auth));
}

#[tokio::test]
async fn a_feed_that_makes_no_sense_or_has_expired_says_nothing() {
    let fails = async |answers: Vec<Result<Response, TransportError>>, kind, words: &str| {
        let (_, failure) = all(&mut lister(feed(), Script::new(answers), Some("t0"))).await;
        let failure = failure.unwrap();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.words.contains(words), "{failure}");
    };
    let bad = FailureKind::BadAnswer;
    let a = || ok(&json!({ "id": "a", "name": "x" }));
    fails(vec![events("t0", &[("made", "a")])], bad, "its next token was asked for before").await;
    let circle = vec![events("t1", &[("made", "a")]), a(), events("t0", &[("made", "a")])];
    fails(circle, bad, "its next token was asked for before").await;
    fails(vec![ok(&json!({ "events": [] }))], bad, "`next` finds neither a text nor a number").await;
    fails(vec![ok(&json!({ "events": [{ "kind": "made" }], "next": "t1" }))], bad, "`id` finds neither").await;
    fails(vec![ok(&json!({ "next": "t1" }))], bad, "no records at .events").await;
    fails(vec![status(410)], FailureKind::CursorExpired, "GET /events").await;
    fails(vec![events("", &[("made", "a")])], bad, "`next` is empty, although there are events").await;
}

/// Feeds whose tokens are events: where there is none, the last one stays.
#[tokio::test]
async fn an_answer_without_events_may_leave_the_token_where_it_is() {
    let script = Script::new([events("", &[])]);
    let (shown, failure) = all(&mut lister(feed(), script, Some("t7"))).await;
    assert_eq!((shown.len(), shown[0].2.as_deref(), failure), (1, Some("t7"), None));
}

#[tokio::test]
async fn a_listing_of_everything_begins_with_the_token_of_its_feed() {
    let script = Script::new([ok(&json!({ "token": 17 })), ok(&json!({ "results": [{ "id": "a" }] }))]);
    let (shown, failure) = all(&mut lister(feed(), script.clone(), None)).await;
    assert_eq!((shown[0].2.as_deref(), failure), (Some("17"), None));
    assert_eq!(script.lines(), ["GET /start", "GET /c"]);
    // Where nothing has ever happened there is no token yet; what is missing is no token, either.
    let script = Script::new([ok(&json!({ "token": "" })), ok(&json!({ "results": [{ "id": "a" }] }))]);
    let (shown, failure) = all(&mut lister(feed(), script, None)).await;
    assert_eq!((shown[0].2.as_deref(), failure), (None, None));
    let script = Script::new([ok(&json!({ "tokens": 17 }))]);
    let (shown, failure) = all(&mut lister(feed(), script.clone(), None)).await;
    assert!(shown.is_empty() && failure.unwrap().words.contains("`start.next` finds neither"));
}
