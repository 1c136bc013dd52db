//! Owns: tests of jobs: how they are asked, when they are given up, what they say of items, exports that they make.
//!
//! Must not know: how intents keep them.

use super::*;
use crate::record::Filter;
use crate::rules::{Batch, BatchResult, Export, Job, NextAt, Poll, ResultBy};
use crate::upstream::{JobMark, Patience, ToldByJob, finish_batch, write_batch};

fn filter(text: &str) -> Filter {
    Filter::compile(text, &[]).unwrap()
}

fn job(poll: Poll) -> Job {
    Job {
        poll,
        done: filter(".state == \"done\""),
        failed: Some(filter(".state == \"failed\"")),
        every: Duration::from_secs(5),
        timeout: Duration::from_mins(1),
    }
}

fn by_url() -> Poll {
    Poll::Url(NextAt::Body(path(".url")))
}

fn stage(
    poll: Poll,
    answers: Vec<Result<Response, TransportError>>,
) -> (Arc<Client>, Arc<Script>, Arc<TestClock>, Binding) {
    let clock = TestClock::new();
    let script = Script::new(answers);
    let client = client(upstream("https://api.example.com/v1"), script.clone(), &clock);
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    rules.batches = vec![Batch {
        request: request("POST /batch"),
        create: true,
        update: true,
        delete: false,
        items: path(".items"),
        item: None,
        item_name: None,
        items_max: 10,
        bytes_max: 1 << 20,
        result: BatchResult {
            items: crate::rules::ResultsAt::Array(path(".results")),
            by: ResultBy::IndexAt(path(".at")),
            id: Some(path(".id")),
            version: None,
            status: None,
            error: Some(path(".error")),
            record: None,
            retry_after: None,
        },
        bisect: true,
        job: Some(job(poll)),
    }];
    (client, script, clock, rules)
}

fn updates() -> Vec<WriteRequest> {
    ["1", "2", "3"].map(|id| write(SendOp::Update, Some(id), &[(1, "7")])).into()
}

fn marks(written: &[Written]) -> Vec<JobMark> {
    let mark = |written: &Written| match written {
        Written::Working(mark) => mark.clone(),
        other => panic!("{other:?}"),
    };
    written.iter().map(mark).collect()
}

/// Sends all, and asks about those at these positions.
async fn told(
    client: &Client,
    rules: &Binding,
    positions: &[usize],
    patience: Patience,
) -> Result<Vec<String>, FailureKind> {
    let writes = updates();
    let marks = marks(&write_batch(client, rules, writes.clone()).await);
    let items: Vec<(&WriteRequest, &JobMark)> = positions.iter().map(|at| (&writes[*at], &marks[*at])).collect();
    match finish_batch(client, rules, &items, patience).await {
        ToldByJob::Each(outcomes) => Ok(outcomes.iter().map(short).collect()),
        ToldByJob::AtWork(failure) => Err(failure.kind),
    }
}

fn short(written: &Written) -> String {
    match written {
        Written::Done { remote_id, .. } => remote_id.clone(),
        Written::Refused(words) => words.clone(),
        Written::Unknown(failure) if failure.words.contains("the job failed: out of order") => "failed".to_owned(),
        Written::Unknown(_) => "unknown".to_owned(),
        Written::Unnamed(_) => "unnamed".to_owned(),
        other => format!("{other:?}"),
    }
}

fn working() -> Result<Response, TransportError> {
    ok(&json!({"state": "working"}))
}

#[tokio::test]
async fn a_job_is_asked_until_it_ends_and_what_it_says_of_each_item_counts() {
    let results = json!({"state": "done", "results": [{"at": 2, "id": "3"}, {"at": 0, "id": "1", "error": "no"}]});
    let slow = answer(200, &[("retry-after", "20")], "{\"state\":\"working\"}");
    let answers = vec![ok(&json!({"url": "../jobs/7?x=1"})), working(), slow, ok(&results)];
    let (client, script, clock, rules) = stage(by_url(), answers);
    let found = told(&client, &rules, &[0, 1, 2], Patience::UntilEnd).await;
    assert_eq!(found, Ok(vec!["update in a batch: no".to_owned(), "unnamed".to_owned(), "3".to_owned()]));
    assert_eq!(script.lines(), ["POST /v1/batch", "GET /jobs/7?x=1", "GET /jobs/7?x=1", "GET /jobs/7?x=1"]);
    assert_eq!(clock.elapsed(), Duration::from_secs(5 + 5 + 20), "as often as the rules say, or the upstream asks for");

    // By position, a part of the items is told from all of them.
    let all = json!({"state": "done", "results": [{"id": "1"}, {"id": "2"}, {"id": "3"}]});
    let (client, _, _, mut rules) = stage(by_url(), vec![ok(&json!({"url": "/jobs/7"})), ok(&all)]);
    rules.batches[0].result.by = ResultBy::Index;
    assert_eq!(told(&client, &rules, &[2], Patience::AskOnce).await, Ok(vec!["3".to_owned()]));
    let few = json!({"state": "done", "results": [{"id": "3"}]});
    let (client, _, _, mut rules) = stage(by_url(), vec![ok(&json!({"url": "/jobs/7"})), ok(&few)]);
    rules.batches[0].result.by = ResultBy::Index;
    assert_eq!(told(&client, &rules, &[2], Patience::AskOnce).await, Ok(vec!["unnamed".to_owned()]));
}

#[tokio::test]
async fn a_job_is_known_by_an_id_or_a_header_as_well() {
    let status = Request { method: "POST".to_owned(), ..request("POST /jobs/{job}") };
    let by_id = Poll::Status { id: NextAt::Body(path(".job.id")), request: status };
    let done = json!({"state": "done", "results": [{"at": 0, "id": "1"}]});
    let (client, script, ..) = {
        let (client, script, clock, rules) = stage(by_id, vec![ok(&json!({"job": {"id": "a/b"}})), ok(&done)]);
        assert_eq!(told(&client, &rules, &[0], Patience::UntilEnd).await, Ok(vec!["1".to_owned()]));
        (client, script, clock)
    };
    assert_eq!(script.lines()[1], "POST /v1/jobs/a%2Fb");
    drop(client);

    let by_header = Poll::Url(NextAt::Header("location".to_owned()));
    let announced = answer(202, &[("location", "https://api.example.com/v1/jobs/8")], "{}");
    let (client, script, _, rules) = stage(by_header, vec![announced, ok(&done)]);
    assert_eq!(told(&client, &rules, &[0], Patience::UntilEnd).await, Ok(vec!["1".to_owned()]));
    assert_eq!(script.lines()[1], "GET /v1/jobs/8");
}

#[tokio::test]
async fn what_announces_no_job_is_unknown_unless_it_has_ended() {
    let (client, script, _, rules) = stage(by_url(), vec![ok(&json!({"state": "queued"}))]);
    assert!(write_batch(&client, &rules, updates()).await.iter().all(|one| matches!(one, Written::Unknown(_))));
    assert_eq!(script.lines().len(), 1, "and is not sent again");
    let done = json!({"state": "done", "results": [{"at": 0, "id": "1"}, {"at": 1, "id": "2"}, {"at": 2, "id": "3"}]});
    let (client, _, _, rules) = stage(by_url(), vec![ok(&done)]);
    assert!(write_batch(&client, &rules, updates()).await.iter().all(|one| matches!(one, Written::Done { .. })));
}

#[tokio::test]
async fn a_job_that_cannot_be_asked_may_be_at_work_and_one_that_is_not_known_is_over_in_time() {
    let announced = || ok(&json!({"url": "/jobs/7"}));
    let (client, _, clock, rules) =
        stage(by_url(), [announced()].into_iter().chain((0..13).map(|_| working())).collect());
    assert_eq!(told(&client, &rules, &[0], Patience::UntilEnd).await, Err(FailureKind::NotDone));
    assert_eq!(clock.elapsed(), Duration::from_mins(1), "given up when its time is over");

    // It may not be there yet; nor does a page of HTML say anything.
    let html = || answer(200, &[("content-type", "text/html")], "<html>");
    let answers =
        vec![announced(), status(404), html(), ok(&json!({"state": "done", "results": [{"at": 0, "id": "1"}]}))];
    let (client, _, _, rules) = stage(by_url(), answers);
    assert_eq!(told(&client, &rules, &[0], Patience::UntilEnd).await, Ok(vec!["1".to_owned()]));
    let (client, _, clock, rules) = stage(by_url(), vec![announced(), status(404), status(404), status(410)]);
    assert_eq!(told(&client, &rules, &[0], Patience::AskOnce).await, Err(FailureKind::NotFound));
    let writes = updates();
    let mark = JobMark { at: "https://api.example.com/jobs/7".to_owned(), index: 0, count: 3, since: clock.now() };
    clock.sleep(Duration::from_mins(2)).await;
    for _ in 0..2 {
        let found = finish_batch(&client, &rules, &[(&writes[0], &mark)], Patience::AskOnce).await;
        assert!(matches!(&found, ToldByJob::Each(each) if short(&each[0]) == "unknown"), "{found:?}");
    }
}

#[tokio::test]
async fn a_job_that_failed_says_what_it_says_and_the_rest_is_unknown() {
    let failed = json!({"state": "failed", "message": "out of order", "results": [{"at": 1, "id": "2"}]});
    let (client, _, _, rules) = stage(by_url(), vec![ok(&json!({"url": "/jobs/7"})), ok(&failed)]);
    let found = told(&client, &rules, &[0, 1], Patience::UntilEnd).await;
    assert_eq!(found, Ok(vec!["failed".to_owned(), "2".to_owned()]));
}

#[tokio::test]
async fn a_write_that_a_job_gave_back_goes_alone() {
    let (client, script, _, rules) = stage(by_url(), vec![ok(&json!({"id": "1", "name": "a", "phone": "7"}))]);
    let alone = WriteRequest { alone: true, ..updates().remove(0) };
    assert!(matches!(&write_batch(&client, &rules, vec![alone]).await[..], [Written::Done { .. }]));
    assert_eq!(script.lines(), ["PATCH /v1/c/1"]);
}

#[tokio::test]
async fn an_export_shows_things_as_of_when_it_was_asked_for() {
    let (client, script, clock, mut rules) = stage(
        by_url(),
        vec![
            ok(&json!({"url": "/jobs/7"})),
            working(),
            ok(&json!({"state": "done", "files": ["/files/1", "https://files.example.net/2?key=k"]})),
            answer(200, &[], "{\"id\":\"1\"}\n"),
            answer(200, &[], "{\"id\":\"2\"}\n"),
        ],
    );
    rules.read = Some(Read {
        format: BodyFormat::Ndjson,
        export: Some(Box::new(Export {
            request: request("POST /exports"),
            job: job(by_url()),
            urls: Some(filter(".files[]")),
        })),
        ..read(Paging::None)
    });
    let asked_at = clock.now();
    let mut lister = Lister::new(client, Arc::new(rules), ListQuery::default());
    let first = lister.page().await.unwrap().unwrap();
    assert_eq!((first.requested_at, first.observed_at), (asked_at, asked_at));
    assert!(clock.now() > asked_at);
    let next = first.next.unwrap();
    assert_eq!((next.at.as_str(), next.records, next.job.is_some()), ("1", 1, true));
    // The second file is somebody else's, whom these rules do not allow.
    assert_eq!(lister.page().await.unwrap_err().kind, FailureKind::Fatal);
    assert_eq!(script.lines(), ["POST /v1/exports", "GET /jobs/7", "GET /jobs/7", "GET /files/1"]);
}
