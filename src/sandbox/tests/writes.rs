//! Owns: tests of writes: preconditions, keys, checks, batches.
//!
//! Must not know: listings.

use super::*;

#[test]
fn each_method_does_what_it_says() {
    let mut sandbox = filled(ResourceConfig::at("/c"), 1);
    let mut check = |line: &str, body: Value, status: u16, expected: Value| {
        let got = send(&mut sandbox, line, &[], &body);
        assert_eq!((got.status, got.body), (status, expected), "{line}");
    };
    let now = "2023-11-14T22:29:60.000Z".replace("29:60", "30:00");
    check(
        "POST /c",
        json!({"id": "mine", "etag": "9", "a": 1}),
        201,
        json!({"a": 1, "id": "2", "etag": "2", "updated_at": now}),
    );
    check(
        "PATCH /c/2",
        json!({"b": {"c": 1}, "a": null}),
        200,
        json!({"b": {"c": 1}, "id": "2", "etag": "3", "updated_at": now}),
    );
    check("PUT /c/2", json!({"d": 1}), 200, json!({"d": 1, "id": "2", "etag": "4", "updated_at": now}));
    check("DELETE /c/2", Value::Null, 204, Value::Null);
    let missing = json!({"error": {"code": "not_found", "message": "there is no record \"2\""}});
    check("GET /c/2", Value::Null, 404, missing.clone());
    check("DELETE /c/2", Value::Null, 404, missing.clone());
    check("PUT /c/2", json!({}), 404, missing);
    assert_eq!(send(&mut sandbox, "PUT /c", &[], &json!({})).status, 405);
    assert_eq!(send(&mut sandbox, "POST /c", &[], &json!([])).status, 400);
    let patch = [("content-type", "application/merge-patch+json")];
    assert_eq!(send(&mut sandbox, "PATCH /c/1", &patch, &json!({"n": 2})).status, 200);
    assert_eq!(send(&mut sandbox, "PATCH /c/1", &[("content-type", "text/csv")], &json!({})).status, 415);
    let stats = sandbox.stats();
    assert_eq!((stats.writes, stats.creates, stats.updates, stats.deletes), (5, 1, 3, 1));
}

#[test]
fn a_refused_method_is_405_even_if_it_reads() {
    let refused = vec![http::Method::GET, http::Method::DELETE];
    let mut sandbox = filled(ResourceConfig { refused, put: Put::Refused, ..ResourceConfig::at("/c") }, 1);
    let lines = ["GET /c", "GET /c/1", "DELETE /c/1", "PUT /c/1", "POST /c/1", "PATCH /c", "PATCH /c/1"];
    let statuses = lines.map(|line| send(&mut sandbox, line, &[], &json!({})).status);
    assert_eq!(statuses, [405, 405, 405, 405, 405, 405, 200]);
}

#[test]
fn a_client_may_choose_ids_where_it_is_let() {
    let config = ResourceConfig { id: IdStyle::Client, put: Put::ReplaceOrCreate, ..ResourceConfig::at("/c") };
    let mut sandbox = Sandbox::new(SandboxConfig::of([config]));
    let mut check = |line: &str, headers: &[(&str, &str)], body: Value, status: u16| {
        assert_eq!(send(&mut sandbox, line, headers, &body).status, status, "{line} {headers:?}");
    };
    check("PUT /c/a", &[("if-none-match", "*")], json!({"n": 1}), 201);
    check("PUT /c/a", &[("if-none-match", "*")], json!({"n": 2}), 412);
    check("PUT /c/a", &[], json!({"n": 3}), 200);
    check("POST /c", &[], json!({"id": "a"}), 409);
    check("POST /c", &[], json!({"id": "b"}), 201);
    check("POST /c", &[], json!({}), 400);
    check("DELETE /c/a", &[], Value::Null, 204);
    check("PUT /c/a", &[("if-none-match", "*")], json!({"n": 4}), 201);
    assert_eq!(sandbox.get("/c", "a").unwrap()["n"], json!(4));
}

#[test]
fn preconditions_hold_unless_the_api_has_none() {
    let headers = Concurrency::default();
    let body = Concurrency { headers: false, body: true, query: None };
    let query = Concurrency { headers: false, body: false, query: Some("v".into()) };
    let check = |concurrency: &Concurrency, line: &str, header: Option<(&str, &str)>, body: Value, status: u16| {
        let config = ResourceConfig { concurrency: concurrency.clone(), ..ResourceConfig::at("/c") };
        let mut sandbox = filled(config, 1);
        let headers: Vec<_> = header.into_iter().collect();
        assert_eq!(send(&mut sandbox, line, &headers, &body).status, status, "{concurrency:?} {line} {header:?}");
    };
    check(&headers, "PATCH /c/1", Some(("if-match", "\"1\"")), json!({}), 200);
    check(&headers, "PATCH /c/1", Some(("if-match", "\"2\"")), json!({}), 412);
    check(&headers, "PUT /c/1", Some(("if-match", "\"2\"")), json!({}), 412);
    check(&headers, "DELETE /c/1", Some(("if-match", "\"2\"")), Value::Null, 412);
    check(&headers, "DELETE /c/1", Some(("if-match", "*")), Value::Null, 204);
    check(&headers, "PATCH /c/9", Some(("if-match", "*")), json!({}), 412);
    check(&headers, "PATCH /c/1", None, json!({"etag": "0"}), 200);
    check(&body, "PATCH /c/1", None, json!({"etag": "1"}), 200);
    check(&body, "PATCH /c/1", None, json!({"etag": "0"}), 409);
    check(&body, "PATCH /c/1", Some(("if-match", "\"0\"")), json!({}), 200);
    check(&query, "DELETE /c/1?v=1", None, Value::Null, 204);
    check(&query, "DELETE /c/1?v=0", None, Value::Null, 409);
    check(&Concurrency::ignored(), "PATCH /c/1", Some(("if-match", "\"0\"")), json!({"etag": "0"}), 200);
}

#[test]
fn the_same_key_runs_once_and_another_payload_is_refused() {
    let keys = Idempotency { header: "Idempotency-Key".into(), mismatch_status: 409, keep_ms: 60_000 };
    let mut sandbox = filled(ResourceConfig { idempotency: Some(keys), ..ResourceConfig::at("/c") }, 0);
    let mut check = |seconds: i64, key: &str, n: i64, status: u16, id: &str| {
        let got = send_at(&mut sandbox, seconds, "POST /c", &[("idempotency-key", key)], &json!({"n": n}));
        assert_eq!((got.status, got.body["id"].as_str().unwrap_or("")), (status, id), "{seconds} {key} {n}");
    };
    check(0, "k", 1, 201, "1");
    check(1, "k", 1, 201, "1");
    check(1, "k", 2, 409, "");
    check(1, "l", 1, 201, "2");
    check(60, "k", 1, 201, "3");
    assert_eq!((sandbox.stats().creates, sandbox.stats().replayed), (3, 1));
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let config = ResourceConfig {
        unique: vec!["email".into()],
        checks: vec![("status".into(), Check::OneOf(vec![json!("lead")]))],
        normalise: vec![("email".into(), Normalise::Lowercase)],
        ..ResourceConfig::at("/c")
    };
    let mut sandbox = filled(config, 1);
    let mut check = |line: &str, body: Value, status: u16, field: Option<&str>| {
        let got = send(&mut sandbox, line, &[], &body);
        assert_eq!((got.status, got.body["error"]["field"].as_str()), (status, field), "{line} {body}");
    };
    check("PATCH /c/1", json!({"email": "A@x.io"}), 200, None);
    check("PATCH /c/1", json!({"email": "a@X.io"}), 200, None);
    check("POST /c", json!({"email": "a@x.IO"}), 409, Some("email"));
    check("POST /c", json!({"status": "won"}), 422, Some("status"));
    check("PATCH /c/1", json!({"status": "won"}), 422, Some("status"));
    check("POST /c", json!({"email": "b@x.io", "status": "lead"}), 201, None);
    assert_eq!(sandbox.get("/c", "2").unwrap()["email"], json!("b@x.io"));
}

#[test]
fn what_others_refer_to_cannot_be_deleted() {
    let child = Child { resource: "/p".into(), field: "company.id".into() };
    let mut sandbox = Sandbox::new(SandboxConfig::of([
        ResourceConfig { children: vec![child], delete_status: 200, ..ResourceConfig::at("/c") },
        ResourceConfig::at("/p"),
    ]));
    sandbox.insert("/c", &json!({"id": "1"}), at(0)).unwrap();
    sandbox.insert("/p", &json!({"id": "7", "company": {"id": "1"}}), at(0)).unwrap();
    assert_eq!(send(&mut sandbox, "DELETE /c/1", &[], &Value::Null).status, 409);
    sandbox.remove("/p", "7", at(1)).unwrap();
    let got = send(&mut sandbox, "DELETE /c/1", &[], &Value::Null);
    assert_eq!((got.status, &got.body["deleted"]), (200, &json!(true)));
}

fn batched(batch: Batch) -> Sandbox {
    let checks = vec![("n".into(), Check::OneOf((0..9).map(Value::from).collect()))];
    filled(ResourceConfig { batch: Some(batch), checks, ..ResourceConfig::at("/c") }, 2)
}

#[test]
fn a_batch_answers_item_by_item() {
    let mut sandbox = batched(Batch { match_field: Some("name".into()), ..Batch::default() });
    let inputs = json!({"inputs": [{"id": "1", "n": 5}, {"n": 6}, {"n": 99}, {"name": "r2", "n": 7}, {"id": "8"}, 3]});
    let got = send(&mut sandbox, "POST /c/batch", &[], &inputs);
    assert_eq!(got.status, 207);
    let results: Vec<_> = got.body["results"].as_array().unwrap().iter().collect();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 201, 422, 200, 404, 400]);
    assert_eq!(results[1], &json!({"id": "3", "status": 201, "etag": "4"}));
    assert_eq!(results[2]["error"]["code"], json!("invalid"));
    assert_eq!(sandbox.get("/c", "2").unwrap()["n"], json!(7));
    assert_eq!((sandbox.stats().creates, sandbox.stats().updates), (1, 2));
}

#[test]
fn a_batch_can_be_refused_as_a_whole() {
    let mut sandbox = batched(Batch { reject_all: true, items_max: 2, ..Batch::default() });
    let before = sandbox.all("/c");
    let mut check = |inputs: Value, status: u16| {
        assert_eq!(send(&mut sandbox, "POST /c/batch", &[], &json!({"inputs": inputs})).status, status);
    };
    check(json!([{"id": "1", "n": 5}, {"n": 99}]), 422);
    check(json!([{}, {}, {}]), 413);
    assert_eq!((sandbox.all("/c"), sandbox.stats().writes), (before, 0));
    let got = send(&mut sandbox, "POST /c/batch", &[], &json!({"inputs": [{"id": "1", "n": 5}, {"n": 8}]}));
    assert_eq!((got.status, sandbox.stats().writes), (200, 2));
}

#[test]
fn results_of_a_batch_can_come_unordered_by_request_id() {
    let mut sandbox = batched(Batch { request_id: Some("rid".into()), reversed: true, ..Batch::default() });
    let got =
        send(&mut sandbox, "POST /c/batch", &[], &json!({"inputs": [{"rid": "x", "n": 1}, {"rid": "y", "n": 2}]}));
    let of = |at: usize| (got.body["results"][at]["rid"].clone(), got.body["results"][at]["id"].clone());
    assert_eq!((of(0), of(1)), ((json!("y"), json!("4")), (json!("x"), json!("3"))));
    assert_eq!(sandbox.get("/c", "3").unwrap().get("rid"), None);
}

#[test]
fn a_batch_can_be_done_in_the_background() {
    let background = vec![std::time::Duration::from_secs(10)];
    let mut sandbox = batched(Batch { background, ..Batch::default() });
    let got = send_at(&mut sandbox, 100, "POST /c/batch", &[], &json!({"inputs": [{"n": 6}, {"n": 99}]}));
    assert_eq!((got.status, &got.body["job"]), (202, &json!("?job=0")));
    let mut state = |seconds: i64| send_at(&mut sandbox, seconds, "GET /c/batch?job=0", &[], &Value::Null).body;
    assert_eq!(state(105), json!({"state": "working"}));
    let done = state(111);
    assert_eq!((&done["state"], &done["results"][0]["status"]), (&json!("done"), &json!(201)));
    assert_eq!(done["results"][1]["status"], json!(422));
    assert_eq!(state(200), done);
    assert_eq!(sandbox.stats().creates, 1);
    assert_eq!(send(&mut sandbox, "GET /c/batch?job=1", &[], &Value::Null).status, 404);
}
