//! Owns: listings that are asked for by a body: searches, GraphQL; pages after the last record's key.
//!
//! Must not know: sockets.

use super::*;
use crate::rules::{JsonTemplate, More, NextAt, Place};

fn fixed(json: &Tree) -> JsonTemplate {
    JsonTemplate::Fixed(crate::record::Json::parse(json.to_string().as_bytes()).unwrap())
}

fn search(page: Paging, records: &str, body: Option<JsonTemplate>, script: &Arc<Script>) -> (Arc<Client>, Binding) {
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    let method = if body.is_some() { "POST" } else { "GET" };
    rules.read = Some(Read {
        request: Request { body, ..request(&format!("{method} /c")) },
        records: path(records).into(),
        ..read(page)
    });
    (client, rules)
}

fn keyset(key: &str, into: Place, size: Option<u64>) -> Paging {
    let size = size.map(|size| (Place::Query("limit".to_owned()), size));
    Paging::Keyset { key: path(key), into, size, more: None }
}

fn results(ids: &[&str]) -> Result<Response, TransportError> {
    let records: Vec<Tree> =
        ids.iter().map(|id| json!({ "id": id, "n": 9_007_199_254_740_993_u64, "name": "x" })).collect();
    ok(&json!({ "results": records }))
}

#[tokio::test]
async fn a_keyset_goes_on_after_the_last_key() {
    let after = || Place::Query("after".to_owned());
    // With a size a short page after a full one ends it; without one only an empty page does.
    for (size, answers, asked) in [
        (Some(2), vec![results(&["a", "b&c"]), results(&["d"])], vec!["GET /c?limit=2", "GET /c?limit=2&after=b%26c"]),
        (Some(2), vec![results(&["a"]), results(&[])], vec!["GET /c?limit=2", "GET /c?limit=2&after=a"]),
        (
            None,
            vec![results(&["a", "b"]), results(&["c"]), results(&[])],
            vec!["GET /c", "GET /c?after=b", "GET /c?after=c"],
        ),
        (None, vec![results(&[])], vec!["GET /c"]),
    ] {
        let script = Script::new(answers);
        let (client, rules) = search(keyset(".id", after(), size), ".results", None, &script);
        let (_, failure) = list(&client, rules, ListQuery::default()).await;
        assert_eq!((failure, script.lines()), (None, asked.into_iter().map(str::to_owned).collect()));
    }
}

#[tokio::test]
async fn a_key_keeps_its_kind_in_a_body_and_is_exact() {
    let script = Script::new([results(&["a"]), results(&[])]);
    let body = fixed(&json!({ "filter": { "type": "person" } }));
    let into = Place::Body(path(".filter.after"));
    let (client, rules) = search(keyset(".n", into, None), ".results", Some(body), &script);
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    assert_eq!((pages.len(), failure), (2, None));
    let sent = |at: usize| String::from_utf8(script.asked()[at].body.clone().unwrap().to_vec()).unwrap();
    assert_eq!(sent(0), r#"{"filter":{"type":"person"}}"#);
    assert_eq!(sent(1), r#"{"filter":{"type":"person","after":9007199254740993}}"#);
}

#[tokio::test]
async fn a_keyset_that_cannot_go_on_is_no_short_listing() {
    let after = || Place::Query("after".to_owned());
    for (answers, words) in [
        (
            vec![ok(&json!({ "results": [{ "id": null }] }))],
            "the last record has no key at .id: neither a text nor a number",
        ),
        (vec![results(&["a", "b"]), results(&["a", "b"])], "the listing shows the same page twice"),
        (
            vec![results(&["a", "b"]), results(&["c", "b"])],
            "the listing goes in circles: its next page was read before",
        ),
    ] {
        let script = Script::new(answers);
        let (client, rules) = search(keyset(".id", after(), None), ".results", None, &script);
        let (_, failure) = list(&client, rules, ListQuery::default()).await;
        let failure = failure.unwrap();
        assert!(failure.kind == FailureKind::BadAnswer && failure.words.contains(words), "{}", failure.words);
    }
}

#[tokio::test]
async fn a_keyset_resumes_where_it_stopped() {
    let script = Script::new([results(&["d"]), results(&[])]);
    let (client, rules) = search(keyset(".id", Place::Query("after".to_owned()), None), ".results", None, &script);
    let resume = Some(PageToken { at: "\"c\"".to_owned(), pages: 3, records: 3, full: false, slice: None, job: None });
    let (pages, failure) = list(&client, rules, ListQuery { resume, ..ListQuery::default() }).await;
    assert_eq!((pages.concat(), failure), (vec!["d".to_owned()], None));
    assert_eq!(script.lines(), ["GET /c?after=c", "GET /c?after=d"]);
}

#[tokio::test]
async fn a_graphql_connection_is_a_body_with_a_cursor() {
    let connection = |ids: &[&str], end: &str, more: bool| {
        let nodes: Vec<Tree> = ids.iter().map(|id| json!({ "id": id })).collect();
        let info = json!({ "endCursor": end, "hasNextPage": more });
        ok(&json!({ "data": { "contacts": { "nodes": nodes, "pageInfo": info } } }))
    };
    let query = "query($after: String) { contacts(first: 2, after: $after) { nodes { id } pageInfo { endCursor hasNextPage } } }";
    let page = Paging::Cursor {
        next: NextAt::Body(path(".data.contacts.pageInfo.endCursor")),
        into: Place::Body(path(".variables.after")),
        more: Some(More::Flag(NextAt::Body(path(".data.contacts.pageInfo.hasNextPage")))),
    };
    let script = Script::new([connection(&["1", "2"], "Mg==", true), connection(&["3"], "Mw==", false)]);
    let (client, rules) = search(page, ".data.contacts.nodes", Some(fixed(&json!({ "query": query }))), &script);
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    assert_eq!((pages.concat(), failure), (vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], None));
    assert_eq!(script.body(0), json!({ "query": query }));
    assert_eq!(script.body(1), json!({ "query": query, "variables": { "after": "Mg==" } }));
    assert_eq!(script.header(1, "content-type").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn a_graphql_answer_that_tells_of_errors_is_no_whole_page() {
    let answer = |errors: Tree| {
        let nodes = json!([{ "id": "1" }]);
        Script::new([ok(&json!({ "errors": errors, "data": { "contacts": { "nodes": nodes } } }))])
    };
    let body = || Some(fixed(&json!({ "query": "{ contacts { nodes { id } } }" })));
    for none in [json!(null), json!([])] {
        let (client, rules) = search(Paging::None, ".data.contacts.nodes", body(), &answer(none));
        let (pages, failure) = list(&client, rules, ListQuery::default()).await;
        assert_eq!((pages.concat(), failure), (vec!["1".to_owned()], None));
    }
    let partial = || answer(json!([{ "message": "timed out", "path": ["contacts", "nodes", 1] }]));
    let (client, rules) = search(Paging::None, ".data.contacts.nodes", body(), &partial());
    let (pages, failure) = list(&client, rules, ListQuery::default()).await;
    assert_eq!(pages.concat(), Vec::<String>::new());
    let words = failure.unwrap().words;
    assert!(words.contains("its `errors` say that not all could be had"), "{words}");
    // Elsewhere it may mean something else.
    let (client, rules) = search(Paging::None, ".data.contacts.nodes", None, &partial());
    assert_eq!(list(&client, rules, ListQuery::default()).await.1, None);
}

#[tokio::test]
async fn a_point_read_names_its_record_in_a_body() {
    let script = Script::new([ok(&json!({ "data": { "id": "7", "name": "x" } }))]);
    let (client, mut rules) = search(Paging::None, ".results", None, &script);
    let body = JsonTemplate::Object(vec![
        ("ids".to_owned(), JsonTemplate::List(vec![JsonTemplate::Text(template("{id}"))])),
        ("all".to_owned(), fixed(&json!(true))),
    ]);
    let get = Request { body: Some(body), record: Some(path(".data")), ..request("POST /c/read") };
    rules.read.as_mut().unwrap().get = Some(get);
    assert!(matches!(super::super::get(&client, &rules, &site("7")).await, Ok(Got::Found(_))));
    assert_eq!(script.body(0), json!({ "ids": ["7"], "all": true }));
}

fn by_token(script: &Arc<Script>, into: Option<Place>, page: Paging) -> (Arc<Client>, Binding) {
    let (client, mut rules) = search(page, ".items", None, script);
    rules.read.as_mut().unwrap().incremental = Incremental::Token { next: NextAt::Body(path(".sync")), into };
    (client, rules)
}

async fn marks(client: &Arc<Client>, rules: Binding, since: Option<&str>) -> Result<Vec<Option<String>>, Failure> {
    let query = ListQuery { since: since.map(str::to_owned), ..ListQuery::default() };
    let mut lister = Lister::new(client.clone(), Arc::new(rules), query);
    let mut marks = Vec::new();
    while let Some(page) = lister.page().await? {
        marks.push(page.mark);
    }
    Ok(marks)
}

fn by_cursor() -> Paging {
    Paging::Cursor { next: NextAt::Body(path(".next")), into: Place::Query("page".to_owned()), more: None }
}

#[tokio::test]
async fn a_sync_token_is_on_the_last_page_and_goes_into_every_request() {
    let answers =
        || [ok(&json!({ "items": [{ "id": "1" }], "next": "p2" })), ok(&json!({ "items": [], "sync": "t2" }))];
    let into = || Some(Place::Query("token".to_owned()));
    let script = Script::new(answers());
    let (client, rules) = by_token(&script, into(), by_cursor());
    assert_eq!(marks(&client, rules, None).await, Ok(vec![None, Some("t2".to_owned())]));
    assert_eq!(script.lines(), ["GET /c", "GET /c?page=p2"]);
    let script = Script::new(answers());
    let (client, rules) = by_token(&script, into(), by_cursor());
    assert_eq!(marks(&client, rules, Some("t1")).await, Ok(vec![None, Some("t2".to_owned())]));
    assert_eq!(script.lines(), ["GET /c?token=t1", "GET /c?token=t1&page=p2"]);
}

#[tokio::test]
async fn a_delta_link_is_asked_as_it_is_and_pages_follow_it() {
    let script = Script::new([
        ok(&json!({ "items": [{ "id": "1" }], "next": "/c/delta?skip=2" })),
        ok(&json!({ "items": [], "sync": "https://up.test/c/delta?token=t2" })),
    ]);
    let (client, rules) = by_token(&script, None, Paging::NextUrl { next: NextAt::Body(path(".next")), more: None });
    let found = marks(&client, rules, Some("https://up.test/c/delta?token=t1")).await;
    assert_eq!(found, Ok(vec![None, Some("https://up.test/c/delta?token=t2".to_owned())]));
    assert_eq!(script.lines(), ["GET /c/delta?token=t1", "GET /c/delta?skip=2"]);

    // One that leads elsewhere gets no request, whoever gave it.
    let script = Script::new([]);
    let (client, rules) = by_token(&script, None, Paging::None);
    let failure = marks(&client, rules, Some("https://evil.test/c?token=t1")).await.unwrap_err();
    assert!(failure.words.contains("evil.test is not in allowed_hosts"), "{}", failure.words);
}

#[tokio::test]
async fn a_listing_without_its_next_token_is_not_the_whole_answer_and_an_expired_one_begins_anew() {
    let into = || Some(Place::Query("token".to_owned()));
    let script = Script::new([ok(&json!({ "items": [] }))]);
    let (client, rules) = by_token(&script, into(), Paging::None);
    let failure = marks(&client, rules, None).await.unwrap_err();
    assert!(
        failure.kind == FailureKind::BadAnswer && failure.words.contains("`incremental.next`"),
        "{}",
        failure.words
    );
    let script = Script::new([status(410)]);
    let (client, rules) = by_token(&script, into(), Paging::None);
    assert_eq!(marks(&client, rules, Some("t1")).await.unwrap_err().kind, FailureKind::CursorExpired);
}
