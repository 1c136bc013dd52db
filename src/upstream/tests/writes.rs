//! Owns: tests of single writes: bodies, preconditions, answers, what failures mean.
//!
//! Must not know: batches.

use super::*;
use crate::rules::{NextAt, Place};
use crate::sandbox::{Concurrency, Fault, Matcher, ResourceConfig};

const BASE: &str = "https://api.example.com";

fn inside(config: ResourceConfig) -> (Arc<Client>, Arc<Inside>) {
    let clock = TestClock::new();
    let inside = Inside::new(config, &clock);
    (client(upstream(BASE), inside.clone(), &clock), inside)
}

fn things() -> (Arc<Client>, Arc<Inside>) {
    let (client, inside) = inside(ResourceConfig::at("/c"));
    let body = json!({"id": "1", "name": "Ann", "phone": "1", "secret_note": "keep"});
    inside.with(|sandbox| sandbox.insert("/c", &body, Utc.timestamp_opt(1_700_000_000, 0).unwrap()).unwrap());
    (client, inside)
}

/// The record `1` as a listing would show it.
async fn seen(client: &Client, rules: &Binding) -> Remote {
    match get(client, rules, &site("1")).await {
        Ok(Got::Found(remote)) => remote,
        other => panic!("{other:?}"),
    }
}

fn update(values: &[(usize, &str)], expected: &Remote) -> WriteRequest {
    WriteRequest {
        expected_version: expected.version.clone(),
        expected_raw: Some(expected.raw.clone()),
        attempts: 0,
        ..write(SendOp::Update, Some("1"), values)
    }
}

fn edit(inside: &Inside, patch: &Tree) {
    inside.with(|sandbox| sandbox.edit("/c", "1", patch, Utc.timestamp_opt(1_700_000_001, 0).unwrap()).unwrap());
}

#[tokio::test]
async fn a_create_answers_with_id_version_and_record() {
    let (client, _) = inside(ResourceConfig::at("/c"));
    let rules = binding(client.upstream());
    let Written::Done { remote_id, version, record, repeated: false } =
        write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann"), (2, "n")])).await
    else {
        panic!("not done")
    };
    let record = record.unwrap();
    assert_eq!((remote_id.as_str(), version.as_deref()), ("1", Some("1")));
    assert_eq!(rules.mapper.read(&record.raw).unwrap().slots[0].value(), Some(&Value::Text("Ann".to_owned())));
}

#[tokio::test]
async fn f21_a_create_whose_answer_is_lost_is_unknown_and_found_by_its_key() {
    let (client, inside) = inside(ResourceConfig::at("/c"));
    let mut rules = binding(client.upstream());
    rules.create.as_mut().unwrap().idempotency = Idempotency::Field(path(".external"));
    inside.with(|sandbox| sandbox.push_fault(Matcher::of(::http::Method::POST, "/c"), Fault::LostResponseAfterCommit));
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert!(matches!(&written, Written::Unknown(_)), "{written:?}");
    assert_eq!(inside.writes().len(), 1);
    assert_eq!(only(find_by_path(&client, &rules, (&path(".external"), &["op-1"]), None).await).unwrap().len(), 1);
}

#[tokio::test]
async fn f21_a_keyed_create_is_repeated_and_made_once() {
    let config = ResourceConfig { idempotency: Some(sandbox::Idempotency::default()), ..ResourceConfig::at("/c") };
    let (client, inside) = inside(config);
    let mut rules = binding(client.upstream());
    rules.create.as_mut().unwrap().idempotency =
        Idempotency::Key { into: Place::Header("Idempotency-Key".to_owned()), ttl: Duration::from_hours(24) };
    inside.with(|sandbox| sandbox.push_fault(Matcher::of(::http::Method::POST, "/c"), Fault::LostResponseAfterCommit));
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert!(matches!(&written, Written::Done { remote_id, .. } if remote_id == "1"), "{written:?}");
    assert_eq!((inside.writes().len(), inside.with(|sandbox| sandbox.all("/c").len())), (2, 1));
}

#[tokio::test]
async fn a_create_with_our_id_meets_an_existing_record() {
    let config =
        ResourceConfig { id: sandbox::IdStyle::Client, put: sandbox::Put::ReplaceOrCreate, ..ResourceConfig::at("/c") };
    let (client, inside) = inside(config);
    let mut rules = binding(client.upstream());
    let create = rules.create.as_mut().unwrap();
    (create.request, create.idempotency) = (request("PUT /c/{id}"), Idempotency::ClientId);
    let create = write(SendOp::Create, Some("mine"), &[(0, "Ann")]);
    let written = write_one(&client, &rules, &create).await;
    assert!(matches!(&written, Written::Done { remote_id, record: Some(_), .. } if remote_id == "mine"), "{written:?}");
    assert!(matches!(write_one(&client, &rules, &create).await, Written::Exists(_)));
    assert_eq!(inside.writes(), ["PUT /c/mine 201", "PUT /c/mine 412"]);
}

#[tokio::test]
async fn s32_an_update_is_conditional_and_stale_when_the_record_moved() {
    let (client, inside) = things();
    let rules = binding(client.upstream());
    let before = seen(&client, &rules).await;
    let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
    assert!(matches!(&written, Written::Done { version: Some(v), record: Some(_), .. } if v == "2"), "{written:?}");
    assert_eq!(inside.with(|s| s.requests().next_back().unwrap().json()), json!({"phone": "2"}));
    let Written::Stale(Some(now)) = write_one(&client, &rules, &update(&[(1, "3")], &before)).await else {
        panic!("not stale")
    };
    assert_eq!(now.version.as_deref(), Some("2"));
    let missing = WriteRequest { remote_id: Some("9".to_owned()), ..update(&[(1, "3")], &before) };
    assert!(matches!(write_one(&client, &rules, &missing).await, Written::Missing));
}

#[tokio::test]
async fn s32_an_update_by_reread_compares_what_is_mapped() {
    let (client, inside) = things();
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::Reread;
    let before = seen(&client, &rules).await;
    // s38: a new version and an unmapped field are no reason to stop.
    edit(&inside, &json!({"unmapped": 1}));
    assert!(matches!(write_one(&client, &rules, &update(&[(1, "2")], &before)).await, Written::Done { .. }));
    let Written::Stale(Some(now)) = write_one(&client, &rules, &update(&[(1, "3")], &before)).await else {
        panic!("not stale")
    };
    assert_eq!(now.version.as_deref(), Some("3"));
    assert_eq!(inside.writes().len(), 1);
}

#[tokio::test]
async fn an_unknown_version_is_read_first() {
    let (client, inside) = things();
    let rules = binding(client.upstream());
    let before = seen(&client, &rules).await;
    let blind = WriteRequest { expected_version: None, ..update(&[(1, "2")], &before) };
    assert!(matches!(write_one(&client, &rules, &blind).await, Written::Done { .. }));
    let sent = inside.with(|sandbox| sandbox.requests().next_back().unwrap().headers["if-match"].clone());
    assert_eq!(sent, "\"1\"");
    assert!(matches!(write_one(&client, &rules, &blind).await, Written::Stale(Some(_))));
    let nothing = WriteRequest { expected_raw: None, ..blind };
    assert!(matches!(write_one(&client, &rules, &nothing).await, Written::Stale(Some(_))));
    assert_eq!(inside.writes().len(), 1);
}

/// A redirect for the time being, or a careless server.
#[tokio::test]
async fn s11_another_record_in_the_answer_is_never_taken_for_the_one_that_was_asked_for() {
    let other = json!({"id": "5", "etag": "9", "name": "Eve", "phone": "7"});
    let moved = || answer(307, &[("location", "/c/5")], "");
    let script = Script::new([moved(), ok(&other), ok(&other), ok(&json!({"etag": "8", "name": "Ann"}))]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::Reread;
    let failure = get(&client, &rules, &site("1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OtherRecord);
    let words = "GET /c/1 200: record 1 was asked for, and record 5 is the answer";
    assert!(failure.words.starts_with(words), "{failure}");
    let expected = Remote { raw: raw(&json!({"id": "1", "name": "Ann"})), version: None, observed_at: client.now() };
    let written = write_one(&client, &rules, &update(&[(1, "2")], &expected)).await;
    assert!(matches!(&written, Written::Refused(said) if said.starts_with(words)), "{written:?}");
    assert_eq!(script.asked().len(), 3, "nothing is written on the word of another record");
    assert!(matches!(get(&client, &rules, &site("1")).await, Ok(Got::Found(_))), "the address named it");
}

/// After a merge some upstreams redirect, for good, from the record that is gone to the one that is left.
#[tokio::test]
async fn s11_an_address_that_moved_for_good_says_into_which_record_it_was_merged() {
    let other = json!({"id": "5", "etag": "9", "name": "Eve", "phone": "7"});
    let moved = |status: u16, to: &str| answer(status, &[("location", to)], "");
    let answers = [moved(301, "/c/5"), ok(&other), moved(308, "/c/4"), moved(301, "/c/5"), ok(&other)];
    let strayed = [moved(301, "/c/4"), moved(302, "/c/5"), ok(&other), moved(301, "/c/1b"), ok(&json!({"id": "1"}))];
    let script = Script::new(answers.into_iter().chain(strayed));
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::Reread;
    assert_eq!(get(&client, &rules, &site("1")).await, Ok(Got::Merged("5".to_owned())));
    let expected = Remote { raw: raw(&json!({"id": "1", "name": "Ann"})), version: None, observed_at: client.now() };
    let written = write_one(&client, &rules, &update(&[(1, "2")], &expected)).await;
    assert_eq!(written, Written::Merged("5".to_owned()));
    assert_eq!(script.asked().len(), 5, "nothing is written to the other one");
    assert_eq!(get(&client, &rules, &site("1")).await.unwrap_err().kind, FailureKind::OtherRecord);
    // An address that moved, but of the same record.
    assert!(matches!(get(&client, &rules, &site("1")).await, Ok(Got::Found(_))));
}

/// A record that was transferred out of the collection has an id there that may be another record's here.
#[tokio::test]
async fn s11_an_address_that_moved_for_good_to_another_collection_says_nothing_of_the_record_with_that_id_here() {
    let there = ok(&json!({"id": "5", "name": "Ann"}));
    let script = Script::new([answer(301, &[("location", "/others/5")], ""), there]);
    let client = client(upstream(BASE), script, &TestClock::new());
    let failure = get(&client, &binding(client.upstream()), &site("1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OtherRecord, "{failure}");
}

#[tokio::test]
async fn s51_a_full_body_keeps_what_the_mapping_does_not_know() {
    let (client, inside) = things();
    let mut rules = binding(client.upstream());
    let update_rules = rules.update.as_mut().unwrap();
    (update_rules.request, update_rules.body) = (request("PUT /c/{id}"), Body::Full);
    let before = seen(&client, &rules).await;
    let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
    assert!(matches!(written, Written::Done { .. }), "{written:?}");
    let now = inside.with(|sandbox| sandbox.get("/c", "1")).unwrap();
    assert_eq!((&now["phone"], &now["name"], &now["secret_note"]), (&json!("2"), &json!("Ann"), &json!("keep")));
    edit(&inside, &json!({"secret_note": "newer"}));
    assert!(matches!(write_one(&client, &rules, &update(&[(1, "3")], &before)).await, Written::Stale(_)));
    let unseen = WriteRequest { expected_raw: None, expected_version: None, ..update(&[(1, "3")], &before) };
    assert!(matches!(write_one(&client, &rules, &unseen).await, Written::Stale(Some(_))));
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    assert!(matches!(write_one(&client, &rules, &unseen).await, Written::Done { .. }));
    let now = inside.with(|sandbox| sandbox.get("/c", "1")).unwrap();
    assert_eq!((&now["phone"], &now["secret_note"]), (&json!("3"), &json!("newer")));
}

/// What a listing leaves out of its records is kept: a whole body is made of the point read, at the version decided on.
#[tokio::test]
async fn s51_a_full_body_is_not_made_of_a_summary() {
    let filter = || Body::Filter(crate::record::Filter::compile(".remote * .changed", &[]).unwrap());
    for body in [Body::Full, filter()] {
        for precondition in [None, Some(Precondition::Reread), Some(Precondition::None)] {
            let (client, inside) = things();
            let mut rules = binding(client.upstream());
            let update_rules = rules.update.as_mut().unwrap();
            (update_rules.request, update_rules.body) = (request("PUT /c/{id}"), body.clone());
            update_rules.precondition = precondition.unwrap_or_else(|| update_rules.precondition.clone());
            let whole = seen(&client, &rules).await;
            let summary = raw(&json!({"id": "1", "etag": "1", "name": "Ann", "phone": "1"}));
            let listed = Remote { raw: summary, ..whole };
            let written = write_one(&client, &rules, &update(&[(1, "2")], &listed)).await;
            assert!(matches!(written, Written::Done { .. }), "{written:?}");
            let now = inside.with(|sandbox| sandbox.get("/c", "1")).unwrap();
            assert_eq!((&now["phone"], &now["secret_note"]), (&json!("2"), &json!("keep")));
        }
    }
    // An edit of what is not mapped came in between: the point read is newer than what was decided on.
    let (client, inside) = things();
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().body = Body::Full;
    let before = seen(&client, &rules).await;
    edit(&inside, &json!({"secret_note": "newer"}));
    let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
    assert!(matches!(&written, Written::Stale(Some(now)) if now.version.as_deref() == Some("2")), "{written:?}");
    assert_eq!(inside.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn versions_go_into_query_and_body() {
    for (place, concurrency, field) in [
        (Place::Query("v".to_owned()), Concurrency { query: Some("v".to_owned()), ..Concurrency::ignored() }, false),
        (Place::Body(path(".etag")), Concurrency { body: true, ..Concurrency::ignored() }, true),
    ] {
        let (client, inside) = things();
        inside.with(|sandbox| sandbox.resource_config_mut("/c").unwrap().concurrency = concurrency);
        let mut rules = binding(client.upstream());
        rules.update.as_mut().unwrap().precondition = Precondition::Version { place, value: template("{version}") };
        let before = seen(&client, &rules).await;
        assert!(matches!(write_one(&client, &rules, &update(&[(1, "2")], &before)).await, Written::Done { .. }));
        let sent = inside.with(|sandbox| sandbox.requests().next_back().unwrap().clone());
        assert_eq!((sent.json()["etag"] == json!("1"), sent.target == "/c/1?v=1"), (field, !field));
        assert!(matches!(write_one(&client, &rules, &update(&[(1, "3")], &before)).await, Written::Stale(Some(_))));
    }
}

#[tokio::test]
async fn a_version_in_a_body_has_the_type_that_the_record_gives_it() {
    let into = |value| Precondition::Version { place: Place::Body(path(".etag")), value: template(value) };
    for (version, value, sent) in [
        (json!(9_007_199_254_740_993_u64), "{version}", json!(9_007_199_254_740_993_u64)),
        (json!("7"), "{version}", json!("7")),
        (json!(7), "v{version}", json!("v7")),
    ] {
        let script = Script::new([answer(204, &[], ""), answer(204, &[], "")]);
        let client = client(upstream(BASE), script.clone(), &TestClock::new());
        let mut rules = binding(client.upstream());
        rules.update.as_mut().unwrap().precondition = into(value);
        rules.delete.as_mut().unwrap().precondition = into(value);
        let text = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        let seen = raw(&json!({"id": "1", "etag": version, "phone": "1"}));
        let expected = Remote { raw: seen, version: Some(text), observed_at: client.now() };
        write_one(&client, &rules, &update(&[(1, "2")], &expected)).await;
        write_one(&client, &rules, &WriteRequest { op: SendOp::Delete, ..update(&[], &expected) }).await;
        assert_eq!((&script.body(0)["etag"], &script.body(1)["etag"]), (&sent, &sent));
    }
}

#[tokio::test]
async fn a_delete_that_finds_nothing_says_so() {
    let (client, _) = things();
    let rules = binding(client.upstream());
    let written = write_one(&client, &rules, &write(SendOp::Delete, Some("1"), &[])).await;
    assert!(matches!(&written, Written::Done { remote_id, .. } if remote_id == "1"), "{written:?}");
    assert_eq!(write_one(&client, &rules, &write(SendOp::Delete, Some("1"), &[])).await, Written::Missing);
}

#[tokio::test]
async fn f45_a_conflict_that_is_none_of_the_version_is_about_another_record() {
    let (client, inside) = things();
    let rules = binding(client.upstream());
    let before = seen(&client, &rules).await;
    inside.with(|sandbox| sandbox.push_fault(Matcher::of(::http::Method::PATCH, "/c"), Fault::status(409)));
    let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
    assert_eq!(written, Written::Hindered("PATCH /c/1 409: scripted fault".to_owned()));
}

#[tokio::test]
async fn f30_a_record_too_large_to_be_read_is_refused_and_stops_no_other() {
    let script = Script::new([Err(TransportError::TooLarge { limit: 9 })]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::Reread;
    let expected = Remote { raw: raw(&json!({"id": "1", "name": "Ann"})), version: None, observed_at: client.now() };
    let written = write_one(&client, &rules, &update(&[(1, "2")], &expected)).await;
    let words = "GET /c/1: answer larger than 9 bytes, the limit set by `body_max`";
    assert_eq!((written, script.asked().len()), (Written::Refused(words.to_owned()), 1));
}

/// One record that nobody may touch is that record's trouble; only refused credentials are everybody's (I10).
#[tokio::test]
async fn a_403_is_about_the_record_and_a_401_about_the_upstream() {
    let (client, inside) = things();
    let mut rules = binding(client.upstream());
    let before = seen(&client, &rules).await;
    for (method, precondition) in [
        (::http::Method::PATCH, rules.update.clone().unwrap().precondition),
        (::http::Method::GET, Precondition::Reread),
    ] {
        rules.update.as_mut().unwrap().precondition = precondition;
        let line = format!("{method} /c/1 403: the credentials do not allow this: scripted fault");
        inside.with(|sandbox| sandbox.push_fault(Matcher::of(method.clone(), "/c"), Fault::status(403)));
        let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
        assert_eq!(written, Written::Refused(line));
        inside.with(|sandbox| sandbox.push_fault(Matcher::of(method, "/c"), Fault::status(401)));
        let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
        assert!(matches!(written, Written::Stopped(_)), "{written:?}");
    }
}

/// A redirect says nothing about what was done, and asking for it in each pass would change nothing.
#[tokio::test]
async fn a_write_that_is_redirected_is_unknown_or_refused_and_never_follows() {
    let redirect = |inside: &Inside, method| {
        inside.with(|s| s.push_fault(Matcher::of(method, "/c"), Fault::Redirect { url: "/elsewhere".to_owned() }));
    };
    let (client, inside) = things();
    let mut rules = binding(client.upstream());
    redirect(&inside, ::http::Method::POST);
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Bob")])).await;
    assert!(matches!(written, Written::Unknown(_)), "{written:?}");
    rules.create.as_mut().unwrap().idempotency =
        Idempotency::Key { into: Place::Header("Idempotency-Key".to_owned()), ttl: Duration::from_hours(24) };
    redirect(&inside, ::http::Method::POST);
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Bob")])).await;
    let words = "POST /c 307: a redirect, and no write is sent on to another address";
    assert_eq!(written, Written::Refused(words.to_owned()));
    let before = seen(&client, &rules).await;
    for precondition in [Precondition::Reread, Precondition::None, rules.update.clone().unwrap().precondition] {
        rules.update.as_mut().unwrap().precondition = precondition;
        redirect(&inside, ::http::Method::PATCH);
        let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
        assert!(matches!(written, Written::Refused(_)), "{written:?}");
    }
    assert_eq!(inside.writes().len(), 5);
    // Where the record is not as it was, something came of it, or somebody else was there: evidence has to decide.
    let script = Script::new([answer(303, &[("location", "/x")], ""), ok(&json!({"id": "1", "phone": "2"}))]);
    let client = self::client(upstream(BASE), script, &TestClock::new());
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    let written = write_one(&client, &rules, &update(&[(1, "2")], &before)).await;
    assert!(matches!(written, Written::Unknown(_)), "{written:?}");
}

type Judge = fn(&Written) -> bool;

#[tokio::test]
async fn what_failures_mean_for_a_create() {
    let cases: [(u16, Judge); 7] = [
        (400, |w| matches!(w, Written::Refused(_))),
        (401, |w| matches!(w, Written::Stopped(_))),
        (403, |w| matches!(w, Written::Refused(_))),
        (404, |w| matches!(w, Written::Refused(_))),
        (409, |w| matches!(w, Written::Exists(_))),
        (422, |w| matches!(w, Written::Refused(_))),
        (500, |w| matches!(w, Written::Unknown(_))),
    ];
    for (code, expected) in cases {
        let (client, inside) = things();
        inside.with(|sandbox| sandbox.push_fault(Matcher::of(::http::Method::POST, "/c"), Fault::status(code)));
        let written =
            write_one(&client, &binding(client.upstream()), &write(SendOp::Create, None, &[(0, "Ann")])).await;
        assert!(expected(&written), "{code}: {written:?}");
    }
}

#[tokio::test]
async fn s33_a_partial_answer_is_not_taken_for_the_record() {
    let thin = json!({"id": "1", "etag": "9"});
    let script = Script::new([ok(&thin), ok(&thin), answer(204, &[], "")]);
    let client = client(upstream(BASE), script, &TestClock::new());
    let rules = binding(client.upstream());
    let expected = raw(&json!({"id": "1", "etag": "8", "name": "Ann", "phone": "1"}));
    let expected =
        Remote { raw: expected, version: Some("8".to_owned()), observed_at: Utc.timestamp_opt(0, 0).unwrap() };
    for version in [Some("9"), Some("9"), None] {
        let written = write_one(&client, &rules, &update(&[(1, "2")], &expected)).await;
        let version = version.map(str::to_owned);
        assert_eq!(written, Written::Done { remote_id: "1".to_owned(), version, record: None, repeated: false });
    }
}

#[tokio::test]
async fn ids_and_versions_are_captured_where_the_rules_say() {
    let script = Script::new([
        answer(201, &[("etag", "\"a1\"")], r#"{"data":{"uid":77,"record":{"id":"no"}}}"#),
        answer(201, &[("location", "https://api.example.com/c/88?x=1")], ""),
        answer(201, &[], "{}"),
    ]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    let create = rules.create.as_mut().unwrap();
    create.capture_id = Some(path(".data.uid"));
    create.capture_version = Some(NextAt::Header("ETag".to_owned()));
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert_eq!(
        written,
        Written::Done { remote_id: "77".to_owned(), version: Some("\"a1\"".to_owned()), record: None, repeated: false }
    );
    rules.create.as_mut().unwrap().capture_id = None;
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert!(matches!(&written, Written::Done { remote_id, .. } if remote_id == "88"), "{written:?}");
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann")])).await;
    assert!(matches!(&written, Written::Unknown(_)), "{written:?}");
}

#[tokio::test]
async fn only_what_may_be_written_enters_a_body() {
    let script = Script::new([ok(&json!({"id": "1", "name": "A"})), answer(204, &[], "")]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.mapper.fields[1].push = false;
    write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "A"), (1, "B"), (2, "C")])).await;
    assert_eq!(script.body(0), json!({"name": "A", "note": "C"}));
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    write_one(&client, &rules, &write(SendOp::Update, Some("1"), &[(0, "A"), (1, "B"), (2, "C")])).await;
    assert_eq!(script.body(1), json!({"name": "A"}));
}

#[tokio::test]
async fn a_body_by_filter() {
    let script = Script::new([answer(204, &[], "")]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    let filter = "{mask: (.changed | keys), was: .remote.name, person: .record}";
    let update_rules = rules.update.as_mut().unwrap();
    update_rules.body = Body::Filter(crate::record::Filter::compile(filter, &[]).unwrap());
    update_rules.precondition = Precondition::None;
    rules.read.as_mut().unwrap().get = None;
    let mut request = write(SendOp::Update, Some("1"), &[(1, "2")]);
    request.record.push((0, Value::Text("Ann".to_owned())));
    request.expected_raw = Some(raw(&json!({"id": "1", "name": "Old"})));
    write_one(&client, &rules, &request).await;
    let person = json!({"name": "Ann", "phone": "2"});
    assert_eq!(script.body(0), json!({"mask": ["phone"], "was": "Old", "person": person}));
}

#[tokio::test]
async fn s46_what_cannot_be_expressed_is_named_and_nothing_is_sent() {
    let script = Script::new([]);
    let client = client(upstream(BASE), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.mapper.fields[0].codec = Codec::Enum([("lead".to_owned(), "L".into())].into());
    let written = write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "customer"), (1, "2")])).await;
    assert!(matches!(&written, Written::Inexpressible(fields) if fields.len() == 1 && fields[0].0 == 0), "{written:?}");
    assert!(script.asked().is_empty());
}

/// What was done is not known where the answer to a write ends too early, whichever way; a read is asked again.
#[tokio::test]
async fn f28_a_write_whose_answer_ends_too_early_is_unknown() {
    let broken = || Err(TransportError::Broken("the body ended early".to_owned()));
    let cut = |status: u16| answer(status, &[("content-type", "application/json")], r#"{"id":"1","na"#);
    for (op, id, answers) in
        [(SendOp::Create, None, [broken(), cut(201)]), (SendOp::Update, Some("1"), [broken(), cut(200)])]
    {
        for one in answers {
            let script = Script::new([one]);
            let client = client(upstream("https://api.example.com"), script.clone(), &TestClock::new());
            let mut rules = binding(client.upstream());
            rules.update.as_mut().unwrap().precondition = Precondition::None;
            rules.read.as_mut().unwrap().get = None;
            rules.delete = None;
            let written = write_one(&client, &rules, &write(op, id, &[(0, "Ann")])).await;
            assert!(matches!(written, Written::Unknown(_)), "{written:?}");
            assert_eq!(script.lines().len(), 1, "it is not sent again blindly");
        }
    }
    // What is not JSON at all is how some say "done".
    let script = Script::new([answer(200, &[], "updated")]);
    let client = client(upstream("https://api.example.com"), script, &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    rules.read.as_mut().unwrap().get = None;
    let written = write_one(&client, &rules, &write(SendOp::Update, Some("1"), &[(0, "Ann")])).await;
    assert!(matches!(written, Written::Done { .. }), "{written:?}");
}

/// That a lost create is not found is proof, some time later; not so where a record that cannot be read may be it.
#[tokio::test]
async fn s02_a_search_that_meets_what_cannot_be_read_finds_out_nothing() {
    let search = async |records: Tree| {
        let script = Script::new([ok(&json!({ "results": records }))]);
        let client = client(upstream("https://api.example.com/v1"), script, &TestClock::new());
        let ours = binding(client.upstream());
        only(find_by_field(&client, &ours, (0, &[&Value::Text("Ann".to_owned())]), None).await).map(|found| found.len())
    };
    let bob = || json!({"id": "2", "name": "Bob"});
    for none in [json!([]), json!([{"id": "1", "name": null}]), json!([bob(), {"id": "1"}])] {
        assert_eq!(search(none.clone()).await, Ok(0), "{none}");
    }
    // Where no record shows the field at all, it is not for the search to find.
    for silent in [json!([{"id": "1"}]), json!([{"id": "1"}, {"id": "2", "phone": "1"}])] {
        let failure = search(silent.clone()).await.expect_err("nobody knows");
        assert!(failure.words.contains("shows no name"), "{silent}: {failure}");
    }
    for unread in [json!([{"id": "1", "name": ["Ann"]}]), json!([{"name": "Bob"}, 1]), json!([null])] {
        let failure = search(unread.clone()).await.expect_err("nobody knows");
        assert_eq!(failure.kind, FailureKind::BadAnswer, "{unread}: {failure}");
    }
    assert_eq!(search(json!([{"id": "1", "name": 7}, {"id": "2", "name": "Ann"}])).await, Ok(1), "this one is it");
}
