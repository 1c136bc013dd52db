//! Owns: tests of listings: every way of paging, incremental reads, listings that do not end or are none.
//!
//! Must not know: writes.

use super::*;
use crate::record::TimeFormat;
use crate::rules::{NextAt, OffsetStep, Place, SinceFrom};
use crate::sandbox::{Conditional, CursorEnd, Envelope, Fault, Matcher, ResourceConfig, Since, SinceBy, Times};

fn query(name: &str) -> Place {
    Place::Query(name.to_owned())
}

fn sized(name: &str) -> (Place, u64) {
    (query(name), 2)
}

/// A sandbox that pages one way, and the rules for it.
fn kinds() -> Vec<(sandbox::Paging, Paging)> {
    let text = str::to_owned;
    let cursor = |end| sandbox::Paging::Cursor {
        param: text("after"),
        limit: text("limit"),
        next_at: text("paging.next.after"),
        end,
    };
    let by_cursor =
        || Paging::Cursor { next: NextAt::Body(path(".paging.next.after")), into: query("after"), more: None };
    vec![
        (
            sandbox::Paging::Page { page: "page".to_owned(), per_page: text("limit") },
            Paging::Page { into: Some(query("page")), start: 1, size: Some(sized("limit")), more: None },
        ),
        (
            sandbox::Paging::Page { page: "page".to_owned(), per_page: text("limit") },
            Paging::Page { into: Some(query("page")), start: 1, size: None, more: None },
        ),
        (
            sandbox::Paging::Offset { offset: "offset".to_owned(), limit: text("limit") },
            Paging::Offset {
                into: Some(query("offset")),
                start: 0,
                size: Some(sized("limit")),
                more: None,
                step: OffsetStep::Records,
            },
        ),
        (cursor(CursorEnd::Absent), by_cursor()),
        (cursor(CursorEnd::Null), by_cursor()),
        (cursor(CursorEnd::Empty), by_cursor()),
        (sandbox::Paging::LinkHeader { page: "page".to_owned(), per_page: text("limit") }, Paging::LinkHeader),
        (
            sandbox::Paging::NextUrl { next_at: text("next"), limit: text("limit") },
            Paging::NextUrl { next: NextAt::Body(path(".next")), more: None },
        ),
        (
            sandbox::Paging::Header { name: text("Next-Page"), limit: text("limit") },
            Paging::NextUrl { next: NextAt::Header(text("Next-Page")), more: None },
        ),
    ]
}

/// A client of a sandbox with `count` records in pages of two.
fn inside(paging: sandbox::Paging, count: usize) -> (Arc<Client>, Arc<Inside>, Arc<TestClock>) {
    let clock = TestClock::new();
    let config = ResourceConfig { paging, page_size: 2, ..ResourceConfig::at("/c") };
    let inside = Inside::new(config, &clock);
    inside.with(|sandbox| sandbox.config_mut().base_url = Some("https://api.example.com".to_owned()));
    inside.fill(count);
    (client(upstream("https://api.example.com"), inside.clone(), &clock), inside, clock)
}

fn rules(client: &Client, page: Paging) -> Binding {
    let mut rules = binding(client.upstream());
    let mut reading = read(page);
    reading.request = request("GET /c?limit=2");
    rules.read = Some(reading);
    rules
}

#[tokio::test]
async fn every_way_of_paging_reads_everything_once() {
    for count in [0, 1, 2, 3, 4, 5] {
        for (theirs, ours) in kinds() {
            let (client, _, _) = inside(theirs, count);
            let (pages, failure) = list(&client, rules(&client, ours.clone()), ListQuery::default()).await;
            assert_eq!(failure, None, "{ours:?}");
            let ids: Vec<String> = pages.into_iter().flatten().collect();
            let expected: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
            assert_eq!(ids, expected, "{ours:?}");
        }
    }
}

/// A server that gives less per page than it was asked for, and says so nowhere.
#[tokio::test]
async fn a_capped_page_is_not_the_last_one() {
    let kinds = [
        (
            sandbox::Paging::Page { page: "page".to_owned(), per_page: "per_page".to_owned() },
            Paging::Page { into: Some(query("page")), start: 1, size: Some((query("per_page"), 4)), more: None },
        ),
        (
            sandbox::Paging::Offset { offset: "offset".to_owned(), limit: "per_page".to_owned() },
            Paging::Offset {
                into: Some(query("offset")),
                start: 0,
                size: Some((query("per_page"), 4)),
                more: None,
                step: OffsetStep::Records,
            },
        ),
    ];
    // (records, longest page, requests): a short page ends it only after a full one.
    for (count, cap, requests) in [(5, 2, 4), (4, 2, 3), (1, 2, 2), (0, 2, 1), (5, 4, 2), (4, 4, 2), (3, 4, 2)] {
        for (theirs, ours) in kinds.clone() {
            let (client, inside, _) = inside(theirs, count);
            inside.with(|sandbox| sandbox.resource_config_mut("/c").unwrap().page_size_max = cap);
            let mut rules = rules(&client, ours.clone());
            rules.read.as_mut().unwrap().request = request("GET /c");
            let (pages, failure) = list(&client, rules, ListQuery::default()).await;
            assert_eq!(failure, None, "{ours:?}");
            let all = pages.concat().len();
            let asked = inside.with(|sandbox| sandbox.requests().count());
            assert_eq!((all, asked), (count, requests), "{count} records, {cap} per page, {ours:?}");
        }
    }
}

/// Where a listing that seems shorter than it is would delete, a page that follows a full one has to be there.
#[tokio::test]
async fn a_page_beyond_the_last_that_is_not_found_is_the_end_where_that_deletes_nothing() {
    let short = json!({"results": [{"id": "1"}]});
    let full = json!({"results": [{"id": "1"}, {"id": "2"}]});
    for (first, deletes, can_get, is_end) in [
        (&short, Deletes::None, false, true),
        (&short, Deletes::Absence, false, true),
        (&full, Deletes::None, false, true),
        (&full, Deletes::Tombstone, false, true),
        (&full, Deletes::Absence, true, true),
        (&full, Deletes::Absence, false, false),
    ] {
        let script = Script::new([ok(first), status(404)]);
        let client = client(upstream("https://api.example.com"), script, &TestClock::new());
        let mut ours = binding(client.upstream());
        let mut reading =
            read(Paging::Page { into: Some(query("page")), start: 1, size: Some((query("per_page"), 2)), more: None });
        reading.deletes = deletes;
        reading.get = reading.get.filter(|_| can_get);
        ours.read = Some(reading);
        let (pages, failure) = list(&client, ours, ListQuery::default()).await;
        assert_eq!((pages.len(), failure.is_none()), (1, is_end), "{first} {deletes:?} {can_get}");
    }
    let page = Paging::Page { into: Some(query("page")), start: 1, size: Some((query("per_page"), 2)), more: None };
    let (_, failure, _) = scripted(page, vec![status(404)]).await;
    assert_eq!(failure.unwrap().kind, FailureKind::NotFound, "the first page has to be there");
}

#[tokio::test]
async fn a_listing_resumes_from_its_checkpoint() {
    for (theirs, ours) in kinds() {
        let (client, _, _) = inside(theirs, 5);
        let mut first = Lister::new(client.clone(), Arc::new(rules(&client, ours.clone())), ListQuery::default());
        let page = first.page().await.unwrap().unwrap();
        let token = page.next.unwrap();
        assert_eq!((token.pages, token.records), (1, 2));
        let saved = serde_json::to_string(&token).unwrap();
        let query = ListQuery { resume: Some(serde_json::from_str(&saved).unwrap()), ..ListQuery::default() };
        let (pages, failure) = list(&client, rules(&client, ours.clone()), query).await;
        assert_eq!((pages.concat().join(","), failure), ("3,4,5".to_owned(), None), "{ours:?}");
    }
}

#[tokio::test]
async fn f32_cycling_cursor_ends_in_a_failure() {
    for fault in [Fault::RepeatCursor, Fault::CycleCursor] {
        for (theirs, ours) in kinds() {
            let (client, inside, _) = inside(theirs, 9);
            inside.with(|s| s.push_fault_times(Matcher::any(), fault.clone(), Times::Forever));
            let (pages, failure) = list(&client, rules(&client, ours.clone()), ListQuery::default()).await;
            let failure = failure.unwrap_or_else(|| panic!("{fault:?} {ours:?} ended after {pages:?}"));
            assert_eq!(failure.kind, FailureKind::BadAnswer, "{failure}");
            assert!(pages.len() <= 4, "{fault:?} {ours:?}: {pages:?}");
        }
    }
}

async fn scripted(
    page: Paging,
    answers: Vec<Result<Response, TransportError>>,
) -> (Vec<Vec<String>>, Option<Failure>, Vec<String>) {
    let script = Script::new(answers);
    let client = client(upstream("https://api.example.com/v1"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.read = Some(read(page));
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    (pages, failure, script.lines())
}

fn next_url() -> Paging {
    Paging::NextUrl { next: NextAt::Body(path(".next")), more: None }
}

#[tokio::test]
async fn f32_a_last_page_that_links_to_itself_is_not_complete() {
    let page = json!({"results": [{"id": "1"}], "next": "/v1/c"});
    let (pages, failure, _) = scripted(next_url(), vec![ok(&page)]).await;
    assert_eq!((pages.len(), failure.unwrap().kind), (0, FailureKind::BadAnswer));
}

/// Neither of these ever comes back to where it was, and none of them ends.
#[tokio::test]
async fn f32_a_listing_without_end_is_given_up() {
    let page =
        |n: usize, record: usize| ok(&json!({"results": [{"id": record.to_string()}], "next": format!("?p={n}")}));
    // Fresh cursors to the same page.
    let (pages, failure, lines) = scripted(next_url(), (0..5).map(|n| page(n, 7)).collect()).await;
    assert_eq!((pages.len(), lines.len()), (1, 2));
    assert!(failure.unwrap().words.contains("the listing shows the same page twice"));
    // A, B, A, B.
    let turns = [(1, 1), (2, 2), (1, 3), (2, 4)].map(|(n, record)| page(n, record));
    let (pages, failure, lines) = scripted(next_url(), turns.into()).await;
    assert_eq!((pages.len(), lines.len()), (2, 3));
    assert!(failure.unwrap().words.contains("the listing goes in circles"));
    // Fresh cursors to fresh pages: so many and no more.
    let script = Script::new((0..5).map(|n| page(n, n)));
    let client = client(upstream("https://api.example.com/v1"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.read = Some(read(next_url()));
    let at = PageToken {
        at: "https://api.example.com/v1/c?p=x".to_owned(),
        pages: 99_997,
        records: 1,
        full: false,
        slice: None,
        job: None,
    };
    let (pages, failure) = list(&client, rules, ListQuery { resume: Some(at), ..ListQuery::default() }).await;
    assert_eq!((pages.len(), script.lines().len()), (2, 3));
    assert!(failure.unwrap().words.contains("the listing does not end within 100000 pages"));
}

#[tokio::test]
async fn f26_an_error_body_is_no_record() {
    for (body, is_record) in [
        (r#"{"error":{"code":7,"message":"no"}}"#, false),
        ("{}", false),
        (r#"{"id":"1"}"#, true),
        (r#"{"name":null}"#, true),
        (r#"{"phone":"1","error":null}"#, true),
    ] {
        let script = Script::new([answer(200, &[("content-type", "application/json")], body)]);
        let client = client(upstream("https://api.example.com"), script, &TestClock::new());
        let got = get(&client, &binding(client.upstream()), &site("1")).await;
        assert_eq!(matches!(got, Ok(Got::Found(_))), is_record, "{body}: {got:?}");
        assert!(is_record || got.unwrap_err().kind == FailureKind::BadAnswer);
    }
}

#[tokio::test]
async fn an_empty_page_with_a_next_one_is_legal() {
    let pages = vec![
        ok(&json!({"results": [], "next": "?page=2"})),
        ok(&json!({"results": [{"id": "1"}], "next": "https://api.example.com/v1/c?page=3"})),
        ok(&json!({"results": [], "next": null})),
    ];
    let (pages, failure, lines) = scripted(next_url(), pages).await;
    assert_eq!((pages.concat(), failure), (vec!["1".to_owned()], None));
    assert_eq!(lines, ["GET /v1/c", "GET /v1/c?page=2", "GET /v1/c?page=3"]);
}

#[tokio::test]
async fn f36_a_next_link_to_a_foreign_host_is_not_followed() {
    let page = json!({"results": [{"id": "1"}], "next": "https://evil.test/c?page=2"});
    let (pages, failure, lines) = scripted(next_url(), vec![ok(&page)]).await;
    assert_eq!((pages.len(), lines.len()), (1, 1));
    assert_eq!(failure.unwrap().words, "host evil.test is not in allowed_hosts of upstream up");
    let link = answer(200, &[("link", r#"<https://evil.test/2>; rel="next""#)], r#"{"results":[{"id":"1"}]}"#);
    let (_, failure, lines) = scripted(Paging::LinkHeader, vec![link]).await;
    assert_eq!((failure.unwrap().kind, lines.len()), (FailureKind::Fatal, 1));
}

#[tokio::test]
async fn link_headers_as_they_come() {
    let link = r#"<https://api.example.com/v1/c?page=1,2>; title="a,b"; rel="prev", <c?page=3;x>; rel="foo NEXT""#;
    let pages = vec![answer(200, &[("link", link)], r#"{"results":[]}"#), ok(&json!({"results": []}))];
    let (_, failure, lines) = scripted(Paging::LinkHeader, pages).await;
    assert_eq!((failure, lines[1].as_str()), (None, "GET /v1/c?page=3;x"));
}

/// Taken for the end, each of these would make a part of the collection look like all of it.
#[tokio::test]
async fn s16_a_next_page_that_cannot_be_read_is_not_the_end() {
    let cursor = || Paging::Cursor { next: NextAt::Body(path(".next")), into: query("after"), more: None };
    let by_header = || Paging::NextUrl { next: NextAt::Header("Next-Page".to_owned()), more: None };
    let mut cases = Vec::new();
    for next in [r#""\ud800x""#, r#"{"after":"z"}"#, "[]", "true", "false"] {
        let body = format!(r#"{{"results":[{{"id":"1"}}],"next":{next}}}"#);
        cases.extend([cursor(), next_url()].map(|paging| (paging, answer(200, &[], &body))));
    }
    let listed = || answer(200, &[], r#"{"results":[{"id":"1"}]}"#).unwrap();
    let with = |name: &'static str, value: &[u8]| {
        let mut response = listed();
        response.headers.insert(name, ::http::HeaderValue::from_bytes(value).unwrap());
        Ok(response)
    };
    cases.push((Paging::LinkHeader, with("link", b"</c?q=\xe9&page=2>; rel=\"next\"")));
    cases.push((Paging::LinkHeader, with("link", b"</c?page=2; rel=\"next\"")));
    cases.push((by_header(), with("next-page", b"/c?q=\xe9&page=2")));
    for (paging, first) in cases {
        let shown = format!("{paging:?} {first:?}");
        let (pages, failure, lines) = scripted(paging, vec![first]).await;
        assert_eq!((pages.len(), lines.len(), failure.unwrap().kind), (0, 1, FailureKind::BadAnswer), "{shown}");
    }
    let link = "</v1/c?q=é&page=2>; rel=\"next\"; title=\"".as_bytes();
    let first = with("link", &[link, b"\xe9\""].concat());
    let (_, failure, lines) = scripted(Paging::LinkHeader, vec![first, Ok(listed())]).await;
    // The second answer repeats the first: what counts is where it was asked for.
    assert_eq!((lines[1].as_str(), failure.unwrap().kind), ("GET /v1/c?q=%C3%A9&page=2", FailureKind::BadAnswer));
}

/// An upstream that puts the key into the next page's address: what is kept of it does not hold the key (I19).
#[tokio::test]
async fn a_checkpoint_holds_no_secret_that_the_upstream_echoes() {
    let key = "canary%2Fkey%2B7731";
    let next = |page: u32, more: &str| format!("/v1/c?sig=a%2fb&k={key}&page={page}{more}#x");
    let pages = [next(2, ""), next(3, &format!("&token={key}")), String::new()];
    let script = Script::new(
        pages.iter().enumerate().map(|(at, next)| ok(&json!({"results": [{"id": at.to_string()}], "next": next}))),
    );
    let auth = Auth::ApiKey { place: query("k"), value: template("${key}") };
    let rules = Upstream { auth, ..upstream("https://api.example.com/v1") };
    let client = client(rules, script.clone(), &TestClock::new());
    let mut ours = binding(client.upstream());
    ours.read = Some(read(next_url()));
    let mut lister = Lister::new(client.clone(), Arc::new(ours), ListQuery::default());
    let mut kept = Vec::new();
    while let Some(page) = lister.page().await.unwrap() {
        kept.push(page.next.map(|next| next.at));
    }
    let first = "https://api.example.com/v1/c?sig=a%2fb&page=2#x".to_owned();
    assert_eq!(kept, [Some(first), None, None], "the second shows the key elsewhere, so it is not kept at all");
    let sent = |at: usize| script.lines()[at].matches("&k=").count();
    assert_eq!((script.lines().len(), sent(1), sent(2)), (3, 1, 1), "{:?}", script.lines());
    // The same of a mark.
    let script = Script::new([ok(&json!({"results": [], "next": null, "since": "canary/key+7731"}))]);
    let auth = Auth::Bearer { token: template("${key}") };
    let client = self::client(Upstream { auth, ..upstream("https://api.example.com") }, script, &TestClock::new());
    let mut ours = binding(client.upstream());
    ours.read.as_mut().unwrap().incremental = Incremental::Since {
        into: query("since"),
        from: SinceFrom::Body(path(".since")),
        format: TimeFormat::Rfc3339,
        lookback: Duration::ZERO,
        value: None,
    };
    let mut lister = Lister::new(client, Arc::new(ours), ListQuery::default());
    assert_eq!(lister.page().await.unwrap().unwrap().mark, None);
}

#[tokio::test]
async fn places_in_headers_and_bodies() {
    let script =
        Script::new([ok(&json!({"results": [{"id": "1"}], "next": "c2"})), ok(&json!({"results": [{"id": "2"}]}))]);
    let client = client(upstream("https://api.example.com"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    let into = Place::Body(path(".page.cursor"));
    let mut reading = read(Paging::Cursor { next: NextAt::Body(path(".next")), into, more: None });
    reading.request = request("POST /search");
    reading.incremental = Incremental::Since {
        into: Place::Header("If-Modified-Since".to_owned()),
        from: SinceFrom::UpdatedAt,
        format: TimeFormat::HttpDate,
        lookback: Duration::ZERO,
        value: None,
    };
    rules.read = Some(reading);
    let query = ListQuery { since: Some("Tue".to_owned()), ..ListQuery::default() };
    let (pages, failure) = list(&client, rules, query).await;
    assert_eq!((pages.len(), failure), (2, None));
    assert_eq!((script.body(0), script.body(1)), (Tree::Null, json!({"page": {"cursor": "c2"}})));
    assert_eq!(script.header(1, "if-modified-since").as_deref(), Some("Tue"));
}

#[tokio::test]
async fn since_goes_into_the_query_and_its_next_value_comes_from_the_first_page() {
    let theirs = sandbox::Paging::Header { name: "Next-Page".to_owned(), limit: "limit".to_owned() };
    let (client, inside, _) = inside(theirs, 3);
    inside.with(|sandbox| {
        let since = Since { param: "_since".to_owned(), by: SinceBy::Version, tombstones: true };
        let config = sandbox.resource_config_mut("/c").unwrap();
        config.since = Some(since);
        config.conditional = Conditional { record: false, collection: true };
    });
    let mut ours = rules(&client, Paging::NextUrl { next: NextAt::Header("Next-Page".to_owned()), more: None });
    ours.read.as_mut().unwrap().incremental = Incremental::Since {
        into: query("_since"),
        from: SinceFrom::Header("ETag".to_owned()),
        format: TimeFormat::UnixMs,
        lookback: Duration::ZERO,
        value: None,
    };
    let ours = Arc::new(ours);
    let mut lister = Lister::new(client.clone(), ours.clone(), ListQuery::default());
    let first = lister.page().await.unwrap().unwrap();
    assert_eq!(first.mark.as_deref(), Some("\"3\""));
    assert_eq!(lister.page().await.unwrap().unwrap().mark, None);
    let since = ListQuery { since: first.mark, ..ListQuery::default() };
    let mut lister = Lister::new(client, ours, since);
    assert_eq!(lister.page().await.unwrap().unwrap().records.len(), 0);
    let last = inside.with(|sandbox| sandbox.requests().last().unwrap().target.clone());
    assert_eq!(last, "/c?limit=2&_since=%223%22");
}

#[tokio::test]
async fn a_304_to_a_since_value_in_a_header_says_that_nothing_changed() {
    let next = || ok(&json!({"results": [{"id": "1"}], "next": "d"}));
    let since = || ListQuery { since: Some("Tue, 14 Nov 2023 22:13:20 GMT".to_owned()), ..ListQuery::default() };
    let header = Place::Header("If-Modified-Since".to_owned());
    for (into, query, answers, expected) in [
        (header.clone(), since(), vec![answer(304, &[], "")], None),
        (header.clone(), since(), vec![next(), answer(304, &[], "")], Some(FailureKind::BadAnswer)),
        (header, ListQuery::default(), vec![answer(304, &[], "")], Some(FailureKind::BadAnswer)),
        (query("since"), since(), vec![answer(304, &[], "")], Some(FailureKind::BadAnswer)),
    ] {
        let shown = format!("{into:?} {query:?}");
        let client = client(upstream("https://api.example.com"), Script::new(answers), &TestClock::new());
        let mut ours = binding(client.upstream());
        let mut reading =
            read(Paging::Cursor { next: NextAt::Body(path(".next")), into: self::query("after"), more: None });
        reading.incremental = Incremental::Since {
            into,
            from: SinceFrom::UpdatedAt,
            format: TimeFormat::HttpDate,
            lookback: Duration::ZERO,
            value: None,
        };
        ours.read = Some(reading);
        let mut lister = Lister::new(client, Arc::new(ours), query);
        let mut not_modified = false;
        let failure = loop {
            match lister.page().await {
                Ok(Some(page)) => not_modified |= page.not_modified,
                Ok(None) => break None,
                Err(failure) => break Some(failure.kind),
            }
        };
        assert_eq!((failure, not_modified), (expected, expected.is_none()), "{shown}");
    }
}

#[tokio::test]
async fn a_conditional_read_of_what_did_not_change() {
    let (client, inside, _) = inside(sandbox::Paging::None, 2);
    inside.with(|sandbox| {
        sandbox.resource_config_mut("/c").unwrap().conditional = Conditional { record: false, collection: true };
    });
    let mut ours = rules(&client, Paging::None);
    ours.read.as_mut().unwrap().incremental = Incremental::Conditional;
    let ours = Arc::new(ours);
    let first = Lister::new(client.clone(), ours.clone(), ListQuery::default()).page().await.unwrap().unwrap();
    assert!(!first.not_modified && first.records.len() == 2);
    let mut again = Lister::new(client, ours, ListQuery { etag: first.mark.clone(), ..ListQuery::default() });
    let page = again.page().await.unwrap().unwrap();
    assert!(page.not_modified && page.records.is_empty() && page.mark == first.mark);
    assert_eq!(again.page().await.unwrap().map(|page| page.records.len()), None);
}

#[tokio::test]
async fn s16_what_is_no_listing_fails_and_says_why() {
    let cases = [
        (Fault::HtmlBody, "GET /c 200: text/html, begins"),
        (Fault::GarbageJson, "GET /c 200: not JSON"),
        (Fault::ErrorBody200 { body: json!({"error": "x"}) }, "GET /c 200: no records at .results"),
        (Fault::ErrorBody200 { body: json!({"results": {}}) }, "what stands at .results is not an array"),
    ];
    for (fault, words) in cases {
        let (client, inside, _) = inside(sandbox::Paging::None, 2);
        inside.with(|sandbox| sandbox.push_fault(Matcher::any(), fault.clone()));
        let (pages, failure) = list(&client, rules(&client, Paging::None), ListQuery::default()).await;
        let failure = failure.unwrap();
        assert_eq!((pages.len(), failure.kind), (0, FailureKind::BadAnswer));
        assert!(failure.words.contains(words), "{failure}");
    }
}

/// A body that ends in the middle though its declared length is right: some proxies do that.
#[tokio::test]
async fn f28_json_that_ends_too_early_is_asked_for_again() {
    let whole = r#"{"results":[{"id":"1"}],"next":null,"more":true}"#;
    let cut = |end: usize| answer(200, &[("content-type", "application/json")], &whole[..end]);
    for end in [1, 20, 24, 31, 45, whole.len() - 1] {
        let (pages, failure, lines) = scripted(next_url(), vec![cut(end), cut(end), cut(whole.len())]).await;
        assert_eq!((pages.concat().len(), failure, lines.len()), (1, None, 3), "{}", &whole[..end]);
    }
    let (_, failure, lines) = scripted(next_url(), vec![cut(20), cut(20), cut(20), cut(20)]).await;
    let failure = failure.unwrap();
    assert_eq!((failure.kind, lines.len()), (FailureKind::BadAnswer, 4));
    let words =
        "GET /c 200: not JSON: ends inside a string at byte 20 (application/json, begins `{\"results\":[{\"id\":\"1`)";
    assert!(failure.words.starts_with(words) && failure.words.ends_with("(4 attempts)"), "{failure}");
    // Nothing at all, and what is no JSON from the start, will not be better the next time.
    for body in ["", "{]", "nothing here", r#"{"results":[]}}"#, r#"{"error":"no"}"#] {
        let (_, failure, lines) = scripted(next_url(), vec![answer(200, &[], body)]).await;
        assert_eq!((failure.unwrap().kind, lines.len()), (FailureKind::BadAnswer, 1), "{body}");
    }
    let script = Script::new([answer(200, &[], r#"{"id":"1","na"#), ok(&json!({"id": "1", "name": "Ann"}))]);
    let client = client(upstream("https://api.example.com"), script.clone(), &TestClock::new());
    assert!(matches!(get(&client, &binding(client.upstream()), &site("1")).await, Ok(Got::Found(_))));
    assert_eq!(script.lines(), ["GET /c/1", "GET /c/1"]);
}

#[tokio::test]
async fn a_gone_cursor_is_not_a_gone_collection() {
    let script = Script::new([status(410), status(410), status(410)]);
    let client = client(upstream("https://api.example.com"), script, &TestClock::new());
    let mut ours = binding(client.upstream());
    ours.read.as_mut().unwrap().incremental = Incremental::Since {
        into: query("sync"),
        from: SinceFrom::Body(path(".token")),
        format: TimeFormat::Rfc3339,
        lookback: Duration::ZERO,
        value: None,
    };
    let ours = Arc::new(ours);
    let token = PageToken { at: "c".to_owned(), pages: 1, records: 1, full: false, slice: None, job: None };
    for (query, kind) in [
        (ListQuery::default(), FailureKind::Gone),
        (ListQuery { since: Some("t".to_owned()), ..ListQuery::default() }, FailureKind::CursorExpired),
        (ListQuery { resume: Some(token), ..ListQuery::default() }, FailureKind::CursorExpired),
    ] {
        let failure = Lister::new(client.clone(), ours.clone(), query).page().await.unwrap_err();
        assert_eq!(failure.kind, kind);
    }
}

/// Only where an earlier listing stopped: the same answers to a page that follows another are failures.
#[tokio::test]
async fn a_place_to_go_on_from_that_is_refused_has_expired() {
    let cursor = || Paging::Cursor { next: NextAt::Body(path(".next")), into: query("after"), more: None };
    let page = || Paging::Page { into: Some(query("page")), start: 1, size: None, more: None };
    let rules = |client: &Client, page| Binding { read: Some(read(page)), ..binding(client.upstream()) };
    let token = |at: &str| PageToken { at: at.to_owned(), pages: 1, records: 1, full: false, slice: None, job: None };
    for (paging, at) in [(cursor(), "c"), (page(), "3"), (page(), "no number")] {
        for code in [400, 404, 410, 422, 403, 500] {
            let expires = matches!(code, 400 | 403 | 404 | 410 | 422) || at == "no number";
            let script = Script::new([status(code), status(code), status(code), status(code)]);
            let client = client(upstream("https://api.example.com"), script, &TestClock::new());
            let query = ListQuery { resume: Some(token(at)), ..ListQuery::default() };
            let mut lister = Lister::new(client.clone(), Arc::new(rules(&client, paging.clone())), query);
            let failure = lister.page().await.unwrap_err();
            assert_eq!(failure.kind == FailureKind::CursorExpired, expires, "{paging:?} {code}: {failure:?}");
        }
    }
    let going_on = ok(&json!({"results": [{"id": "1"}], "next": "d"}));
    let script = Script::new([going_on, status(400)]);
    let client = client(upstream("https://api.example.com"), script, &TestClock::new());
    let query = ListQuery { resume: Some(token("c")), ..ListQuery::default() };
    let (pages, failure) = list(&client, rules(&client, cursor()), query).await;
    assert_eq!((pages.len(), failure.unwrap().kind), (1, FailureKind::Invalid));
}

#[tokio::test]
async fn a_bare_array_and_a_point_read() {
    let (client, inside, _) = inside(sandbox::Paging::None, 2);
    inside.with(|sandbox| sandbox.resource_config_mut("/c").unwrap().envelope = Envelope::Bare);
    let mut ours = rules(&client, Paging::None);
    ours.read.as_mut().unwrap().records = path(".").into();
    let Ok(Got::Found(remote)) = get(&client, &ours, &site("2")).await else { panic!("not found") };
    assert_eq!(remote.version.as_deref(), Some("2"));
    assert_eq!(get(&client, &ours, &site("99")).await, Ok(Got::Missing));
    let found = only(find_by_field(&client, &ours, (0, &[&Value::Text("r2".to_owned())]), None).await).unwrap();
    assert_eq!((found.len(), &found[0].raw, &found[0].version), (1, &remote.raw, &remote.version));
    assert_eq!(only(find_by_path(&client, &ours, (&path(".id"), &["1"]), None).await).unwrap().len(), 1);
    assert_eq!(only(find_by_path(&client, &ours, (&path(".id"), &["none"]), None).await), Ok(vec![]));
    inside.with(sandbox::Sandbox::reset_stats);
    let several = find_by_path(&client, &ours, (&path(".id"), &["2", "none", "1"]), None).await.unwrap();
    let counts: Vec<usize> = several.iter().flatten().map(Vec::len).collect();
    assert_eq!((counts, inside.with(|sandbox| sandbox.requests().count())), (vec![1, 0, 1], 1));
    inside.with(|sandbox| sandbox.push_fault(Matcher::any(), Fault::HtmlBody));
    assert_eq!(get(&client, &ours, &site("2")).await.unwrap_err().kind, FailureKind::BadAnswer);
    inside.with(|sandbox| sandbox.push_fault(Matcher::any(), Fault::HtmlBody));
    assert!(only(find_by_path(&client, &ours, (&path(".id"), &["none"]), None).await).is_err());
    let (pages, failure) = list(&client, ours, ListQuery::default()).await;
    assert_eq!((pages.concat().len(), failure), (2, None));
}

/// A listing can be read ahead by a task of its own.
#[test]
fn everything_can_be_sent_to_a_task() {
    fn check<T: Send>(_: &T) {}
    let client = client(upstream("https://api.example.com"), Script::new([]), &TestClock::new());
    let rules = Arc::new(binding(client.upstream()));
    check(&Lister::new(client.clone(), rules.clone(), ListQuery::default()).page());
    let request = write(SendOp::Delete, Some("1"), &[]);
    check(&write_one(&client, &rules, &request));
    check(&write_batch(&client, &rules, vec![request.clone()]));
    check(&find_by_path(&client, &rules, (&path(".x"), &["1"]), None));
}
