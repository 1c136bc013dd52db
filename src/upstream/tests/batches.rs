//! Owns: tests of batches: per-item results, halving, what never goes in one.
//!
//! Must not know: single writes' bodies.

use super::*;
use crate::record::{Filter, Lens};
use crate::rules::{Batch, BatchResult, ResultBy, ResultsAt};
use crate::sandbox::{Check, Fault, Matcher, ResourceConfig};

const BASE: &str = "https://api.example.com";

fn batch(by: ResultBy) -> Batch {
    Batch {
        request: request("POST /c/batch"),
        create: true,
        update: true,
        delete: false,
        items: path(".inputs"),
        item: None,
        item_name: None,
        items_max: 3,
        bytes_max: 1 << 20,
        result: BatchResult {
            items: ResultsAt::Array(path(".results")),
            by,
            id: Some(path(".id")),
            version: Some(path(".etag")),
            status: Some(Lens::Path(path(".status"))),
            error: Some(path(".error")),
            record: None,
            retry_after: None,
        },
        bisect: true,
        job: None,
    }
}

fn inside(theirs: sandbox::Batch) -> (Arc<Client>, Arc<Inside>) {
    let config = ResourceConfig {
        batch: Some(theirs),
        checks: vec![("name".to_owned(), Check::CharsMax(5))],
        ..ResourceConfig::at("/c")
    };
    let clock = TestClock::new();
    let inside = Inside::new(config, &clock);
    (client(upstream(BASE), inside.clone(), &clock), inside)
}

fn rules(client: &Client, ours: Batch) -> Binding {
    let mut rules = binding(client.upstream());
    rules.batches = vec![ours];
    rules
}

fn creates(names: &[&str]) -> Vec<WriteRequest> {
    let one = |(at, name): (usize, &&str)| WriteRequest {
        key: format!("k{at}"),
        ..write(SendOp::Create, None, &[(0, name)])
    };
    names.iter().enumerate().map(one).collect()
}

/// `1@1` for done with id and version, else the kind.
fn short(written: &[Written]) -> Vec<String> {
    let one = |written: &Written| match written {
        Written::Done { remote_id, version, .. } => format!("{remote_id}@{}", version.as_deref().unwrap_or("-")),
        Written::Refused(_) => "refused".to_owned(),
        Written::Unknown(_) => "unknown".to_owned(),
        Written::Unnamed(_) => "unnamed".to_owned(),
        Written::NotDone(_) => "not done".to_owned(),
        Written::Missing => "missing".to_owned(),
        other => format!("{other:?}"),
    };
    written.iter().map(one).collect()
}

#[tokio::test]
async fn s49_one_bad_item_is_refused_alone() {
    let (client, inside) = inside(sandbox::Batch::default());
    let rules = rules(&client, batch(ResultBy::Index));
    let written = write_batch(&client, &rules, creates(&["a", "too long", "c", "d"])).await;
    assert_eq!(short(&written), ["1@1", "refused", "2@2", "3@3"]);
    assert_eq!(inside.writes(), ["POST /c/batch 207", "POST /c/batch 200"]);
    let Written::Refused(words) = &written[1] else { panic!() };
    assert!(words.starts_with("create in a batch, 422: "), "{words}");
}

#[tokio::test]
async fn s50_a_batch_refused_as_a_whole_is_halved() {
    let (client, inside) = inside(sandbox::Batch { reject_all: true, ..sandbox::Batch::default() });
    let ours = Batch { items_max: 8, ..batch(ResultBy::Index) };
    let names = ["a", "b", "c", "d", "e", "too long", "g", "h"];
    let written = write_batch(&client, &rules(&client, ours), creates(&names)).await;
    assert_eq!(short(&written), ["1@1", "2@2", "3@3", "4@4", "5@5", "refused", "6@6", "7@7"]);
    assert_eq!(inside.with(|sandbox| sandbox.all("/c").len()), 7);
    let (client, _) = self::inside(sandbox::Batch { reject_all: true, ..sandbox::Batch::default() });
    let ours = Batch { bisect: false, ..batch(ResultBy::Index) };
    let written = write_batch(&client, &rules(&client, ours), creates(&["a", "too long"])).await;
    assert_eq!(short(&written), ["not done", "not done"]);
}

#[tokio::test]
async fn a_batch_at_the_wrong_address_is_neither_halved_nor_blamed_on_its_items() {
    for code in [404, 405, 410] {
        let (client, inside) = inside(sandbox::Batch::default());
        let rules = rules(&client, batch(ResultBy::Index));
        for names in [&["a", "b", "c"][..], &["a"]] {
            inside.with(|s| s.push_fault(Matcher::any(), Fault::status(code)));
            let written = write_batch(&client, &rules, creates(names)).await;
            assert!(short(&written).iter().all(|one| one == "not done"), "{code}: {written:?}");
        }
        assert_eq!(inside.writes().len(), 2);
    }
}

#[tokio::test]
async fn f45_results_find_their_items_by_request_id() {
    let theirs = sandbox::Batch { request_id: Some("rid".to_owned()), reversed: true, ..sandbox::Batch::default() };
    let (client, _) = inside(theirs);
    let ours = Batch {
        item: Some(Filter::compile(".body + {rid: .key}", &[]).unwrap()),
        ..batch(ResultBy::RequestId(path(".rid")))
    };
    let written = write_batch(&client, &rules(&client, ours), creates(&["a", "too long", "c"])).await;
    assert_eq!(short(&written), ["1@1", "refused", "2@2"]);
}

#[tokio::test]
async fn f45_updates_are_settled_by_id_and_a_missing_result_is_unknown() {
    let (client, inside) = inside(sandbox::Batch { reversed: true, ..sandbox::Batch::default() });
    inside.fill(2);
    let mut rules = rules(&client, batch(ResultBy::Id));
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    let updates = |ids: &[&str]| ids.iter().map(|id| write(SendOp::Update, Some(id), &[(1, "7")])).collect::<Vec<_>>();
    let written = write_batch(&client, &rules, updates(&["1", "9", "2"])).await;
    assert_eq!(short(&written), ["1@3", "missing", "2@4"]);
    let partial = json!({"results": [{"id": "2", "status": 200, "etag": "5"}]});
    inside.with(|s| s.push_fault(Matcher::any(), Fault::ErrorBody200 { body: partial.clone() }));
    assert_eq!(short(&write_batch(&client, &rules, updates(&["1", "2"])).await), ["unnamed", "2@5"]);
    // By position, answers that are fewer or in another order prove nothing.
    rules.batches[0].result.by = ResultBy::Index;
    inside.with(|s| s.push_fault(Matcher::any(), Fault::ErrorBody200 { body: partial }));
    assert_eq!(short(&write_batch(&client, &rules, updates(&["1", "2"])).await), ["unnamed", "unnamed"]);
    assert_eq!(short(&write_batch(&client, &rules, updates(&["1", "2"])).await), ["unnamed", "unnamed"]);
}

#[tokio::test]
async fn a_403_of_one_item_or_of_a_batch_with_one_such_item_is_that_items_own() {
    let (client, inside) = inside(sandbox::Batch::default());
    let rules = rules(&client, batch(ResultBy::Index));
    let results = json!({"results": [{"id": "1", "status": 201}, {"status": 403}, {"status": 401}]});
    inside.with(|s| s.push_fault(Matcher::any(), Fault::ErrorBody200 { body: results }));
    let written = write_batch(&client, &rules, creates(&["a", "b", "c"])).await;
    assert!(matches!(written[2], Written::Stopped(_)), "{written:?}");
    assert_eq!(short(&written[..2]), ["1@-", "refused"]);
    for _ in 0..3 {
        inside.with(|s| s.push_fault(Matcher::any(), Fault::status(403)));
    }
    let written = write_batch(&client, &rules, creates(&["a", "b", "c"])).await;
    assert_eq!(short(&written), ["refused", "1@1", "2@2"]);
}

#[tokio::test]
async fn f28_a_batch_without_an_answer_is_unknown_and_not_repeated() {
    let (client, inside) = inside(sandbox::Batch::default());
    let rules = rules(&client, batch(ResultBy::Index));
    inside.with(|sandbox| sandbox.push_fault(Matcher::any(), Fault::LostResponseAfterCommit));
    assert_eq!(short(&write_batch(&client, &rules, creates(&["a", "b"])).await), ["unknown", "unknown"]);
    assert_eq!(inside.writes().len(), 1);
    inside.with(|sandbox| sandbox.push_fault(Matcher::any(), Fault::throttled("99999")));
    assert_eq!(short(&write_batch(&client, &rules, creates(&["a", "b"])).await), ["not done", "not done"]);
}

#[tokio::test]
async fn items_are_requests_with_the_path_of_the_base_url() {
    let responses = json!({"responses": [
        {"status": 200, "body": {"data": {"id": "a b", "etag": 7, "name": "Ann", "phone": "2"}}},
        {"status": 412, "body": {"message": "changed"}},
        {"status": 200, "body": {"data": {"deleted": true}}},
    ]});
    let script = Script::new([ok(&responses)]);
    let client = client(upstream("https://api.example.com/v1"), script.clone(), &TestClock::new());
    let filter = r#"{method, path, body: {data: .body}} + (if .version then {headers: {"If-Match": "\"\(.version)\""}} else {} end)"#;
    let mut ours = batch(ResultBy::Index);
    ours.request = request("POST /batch");
    (ours.delete, ours.items_max) = (true, 25);
    ours.items = path(".requests");
    ours.item = Some(Filter::compile(filter, &[]).unwrap());
    ours.result = BatchResult {
        items: ResultsAt::Array(path(".responses")),
        by: ResultBy::Index,
        id: None,
        version: None,
        status: Some(Lens::Path(path(".status"))),
        error: None,
        record: Some(path(".body.data")),
        retry_after: None,
    };
    let update = |id: &str| WriteRequest {
        expected_version: Some("5".to_owned()),
        expected_raw: Some(raw(&json!({"id": id, "etag": "5"}))),
        attempts: 0,
        ..write(SendOp::Update, Some(id), &[(1, "2")])
    };
    let writes = vec![update("a b"), update("c"), write(SendOp::Delete, Some("d"), &[])];
    let written = write_batch(&client, &rules(&client, ours), writes).await;
    let items = script.body(0)["requests"].clone();
    let headers = json!({"If-Match": "\"5\""});
    let first = json!({"method": "PATCH", "path": "/v1/c/a%20b", "body": {"data": {"phone": "2"}}, "headers": headers});
    assert_eq!(items[0], first);
    assert_eq!((&items[2]["method"], &items[2]["path"]), (&json!("DELETE"), &json!("/v1/c/d")));
    assert!(matches!(&written[0], Written::Done { version: Some(v), record: Some(_), .. } if v == "7"), "{written:?}");
    assert_eq!(written[1], Written::Stale(None));
    assert!(matches!(&written[2], Written::Done { remote_id, .. } if remote_id == "d"));
}

#[tokio::test]
async fn a_write_whose_precondition_no_item_carries_goes_alone() {
    let (client, inside) = inside(sandbox::Batch::default());
    inside.fill(1);
    let rules = rules(&client, batch(ResultBy::Id));
    let update =
        WriteRequest { expected_version: Some("1".to_owned()), ..write(SendOp::Update, Some("1"), &[(1, "7")]) };
    assert_eq!(short(&write_batch(&client, &rules, vec![update]).await), ["1@2"]);
    assert_eq!(inside.writes(), ["PATCH /c/1 200"]);
}

/// The body is `{"inputs":[…]}`, 13 bytes around items of 12 and the commas between them.
#[tokio::test]
async fn chunks_keep_to_count_and_to_the_bytes_of_the_whole_body() {
    let longest = |inside: &Inside| inside.with(|s| s.requests().map(|r| r.json().to_string().len()).max());
    for (bytes_max, requests, longest_body) in [(38, 2, 38), (37, 3, 25), (1 << 20, 1, 51)] {
        let (client, inside) = inside(sandbox::Batch::default());
        let ours = Batch { bytes_max, items_max: 50, ..batch(ResultBy::Index) };
        let written = write_batch(&client, &rules(&client, ours), creates(&["a", "b", "c"])).await;
        assert_eq!((short(&written).join(" "), inside.writes().len()), ("1@1 2@2 3@3".to_owned(), requests));
        assert_eq!(longest(&inside), Some(longest_body));
    }
    let (client, inside) = inside(sandbox::Batch::default());
    let ours = Batch { bytes_max: 24, ..batch(ResultBy::Index) };
    let written = write_batch(&client, &rules(&client, ours), creates(&["a"])).await;
    let words = "12 bytes are more than the 11 that a batch has room for";
    assert_eq!((&written[0], inside.writes().len()), (&Written::Refused(words.to_owned()), 0));
}

/// Each item of a 207 is its own outcome; what is to be tried again knows when, later each time.
#[tokio::test]
async fn f45_items_that_meet_a_limit_or_a_passing_failure_know_when_to_come_back() {
    let body = json!({"results": [
        {"id": "1", "status": 200, "etag": "2"}, {"id": "2", "status": 429}, {"id": "3", "status": 503},
        {"id": "4", "status": 422}, {"id": "5", "status": 404}, {"id": "6", "status": 412},
    ]});
    for (header, attempts, within) in [(None, 0, 1..=2), (None, 3, 8..=16), (Some("30"), 0, 30..=33)] {
        let headers: Vec<(&str, &str)> = header.iter().map(|text| ("retry-after", *text)).collect();
        let script = Script::new([answer(207, &headers, &body.to_string()), status(200)]);
        let clock = TestClock::new();
        let client = client(upstream(BASE), script, &clock);
        let mut rules = rules(&client, Batch { items_max: 9, ..batch(ResultBy::Id) });
        rules.update.as_mut().unwrap().precondition = Precondition::None;
        let writes = ["1", "2", "3", "4", "5", "6"]
            .map(|id| WriteRequest { attempts, ..write(SendOp::Update, Some(id), &[(1, "7")]) });
        let written = write_batch(&client, &rules, writes.into()).await;
        let kinds = ["1@2", "not done", "unknown", "refused", "missing", "Stale(None)"];
        assert_eq!(short(&written), kinds);
        let (Written::NotDone(limited), Written::Unknown(failed)) = (&written[1], &written[2]) else { panic!() };
        let seconds = |failure: &Failure| (failure.retry_at.unwrap() - clock.now()).num_milliseconds() / 1000;
        assert!(within.contains(&seconds(limited)), "{header:?} {attempts}: {limited:?}");
        assert!(failed.retry_at.unwrap() > clock.now() && seconds(failed) <= 60);
        // The limit is that of the upstream: nothing else leaves before, either.
        let other = client.build(&request("GET /c"), &Holes::default()).unwrap();
        assert!(client.send(other, Safety::Read).await.is_ok());
        assert!(within.contains(&i64::try_from(clock.elapsed().as_secs()).unwrap()), "{:?}", clock.elapsed());
    }
}

fn changes(ids: &[&str]) -> Vec<WriteRequest> {
    ids.iter().map(|id| write(SendOp::Update, Some(id), &[(1, "7")])).collect()
}

/// A limit that is told beside the item's own status, not by the header of the whole answer.
#[tokio::test]
async fn an_item_that_meets_a_limit_waits_for_as_long_as_its_own_result_asks() {
    let wait = |text: &str| json!({"Retry-After": text});
    for (own, header, within) in [("30", None, 30..=33), ("30", Some("5"), 30..=33), ("soon", Some("5"), 1..=2)] {
        let body = json!({"results": [{"id": "1", "status": 200, "etag": "2"}, {"id": "2", "status": 429, "headers": wait(own)}]});
        let headers: Vec<(&str, &str)> = header.iter().map(|text| ("retry-after", *text)).collect();
        let script = Script::new([answer(200, &headers, &body.to_string()), status(200)]);
        let clock = TestClock::new();
        let client = client(upstream(BASE), script, &clock);
        let mut ours = batch(ResultBy::Id);
        ours.result.retry_after = Some(path(".headers.\"Retry-After\""));
        let mut rules = rules(&client, ours);
        rules.update.as_mut().unwrap().precondition = Precondition::None;
        let written = write_batch(&client, &rules, changes(&["1", "2"])).await;
        let Written::NotDone(limited) = &written[1] else { panic!("{written:?}") };
        let seconds = (limited.retry_at.unwrap() - clock.now()).num_milliseconds() / 1000;
        assert!(within.contains(&seconds), "{own} {header:?}: {limited:?}");
        let other = client.build(&request("GET /c"), &Holes::default()).unwrap();
        assert!(client.send(other, Safety::Read).await.is_ok());
        assert!(within.contains(&i64::try_from(clock.elapsed().as_secs()).unwrap()), "{:?}", clock.elapsed());
    }
}

/// The body is `{"inputs":{…}}`, 13 bytes around items of 11, their names of 8 with the colon, and the commas between them.
#[tokio::test]
async fn items_that_are_members_of_an_object_have_names_of_their_own_and_are_measured_with_them() {
    let filter = |text: &str| Some(Filter::compile(text, &[]).unwrap());
    for (bytes_max, requests) in [(52, 1), (51, 2)] {
        let body = json!({"results": [{"id": "1", "etag": "2"}, {"id": "2", "etag": "3"}]}).to_string();
        let script = Script::new([answer(200, &[], &body), answer(200, &[], &body)]);
        let client = client(upstream(BASE), script.clone(), &TestClock::new());
        let ours = Batch {
            bytes_max,
            item: filter("{a: 12345}"),
            item_name: filter("\"\\(.op[:1])/\\(.id)\\\"\""),
            ..batch(ResultBy::Id)
        };
        let mut rules = rules(&client, ours);
        rules.update.as_mut().unwrap().precondition = Precondition::None;
        assert_eq!(short(&write_batch(&client, &rules, changes(&["1", "2"])).await), ["1@2", "2@3"]);
        assert_eq!(script.asked().len(), requests);
        let first = script.body(0);
        assert_eq!(first["inputs"]["u/1\""], json!({"a": 12345}), "{first}");
        assert!(u64::try_from(first.to_string().len()).unwrap() <= bytes_max, "{first}");
    }
    let client = client(upstream(BASE), Script::new([]), &TestClock::new());
    let mut rules = rules(&client, Batch { item_name: filter("7"), ..batch(ResultBy::Id) });
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    let written = write_batch(&client, &rules, changes(&["1"])).await;
    assert_eq!(written, [Written::Refused("`item_name` gives no text".to_owned())]);
}
