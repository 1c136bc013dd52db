//! Owns: tests of the fault script: one per fault, and which requests it hits.
//!
//! Must not know: sockets.

use http::Method;

use super::*;

/// What a `PATCH /c/1 {"n": 9}` meets under a fault, and what `n` is upstream afterwards.
fn patch_under(fault: Fault) -> (Got, Value) {
    let mut sandbox = filled(ResourceConfig::at("/c"), 1);
    sandbox.push_fault(Matcher::of(Method::PATCH, "/c/"), fault);
    let got = send(&mut sandbox, "PATCH /c/1", &[], &json!({"n": 9, "name": "new"}));
    (got, sandbox.get("/c", "1").unwrap()["n"].clone())
}

#[test]
fn each_fault_has_the_effect_and_the_delivery_it_promises() {
    let check = |fault: Fault, status: u16, deliver: Deliver, done: bool| {
        let (got, n) = patch_under(fault.clone());
        assert_eq!((got.status, &got.deliver, n == json!(9)), (status, &deliver, done), "{fault:?}");
        got
    };
    check(Fault::status(503), 503, Deliver::Now, false);
    assert_eq!(check(Fault::throttled("7"), 429, Deliver::Now, false).header("retry-after"), Some("7"));
    let slow = Deliver::Slow { delay_ms: 5, bytes_per_chunk: 1 };
    check(Fault::Slow { delay_ms: 5, bytes_per_chunk: 1 }, 200, slow, true);
    check(Fault::LostResponseAfterCommit, 200, Deliver::Lost, true);
    check(Fault::LostRequestBeforeCommit, 503, Deliver::Lost, false);
    check(Fault::TruncatedBody { after: Some(3) }, 200, Deliver::Truncated { after: 3 }, true);
    let html = check(Fault::HtmlBody, 200, Deliver::Now, false);
    assert_eq!(html.header("content-type"), Some("text/html"));
    assert_eq!(check(Fault::GarbageJson, 200, Deliver::Now, true).body, Value::Null);
    assert_eq!(check(Fault::HugeRecord { bytes: 5 }, 200, Deliver::Now, true).body["padding"], json!("xxxxx"));
    let redirect = check(Fault::Redirect { url: "http://evil.test/".into() }, 307, Deliver::Now, false);
    assert_eq!(redirect.header("location"), Some("http://evil.test/"));
    let merged = check(Fault::Moved { url: "/c/2".into() }, 301, Deliver::Now, false);
    assert_eq!(merged.header("location"), Some("/c/2"));
    let error = json!({"ok": false});
    assert_eq!(check(Fault::ErrorBody200 { body: error.clone() }, 200, Deliver::Now, false).body, error);
}

#[test]
fn a_wrong_content_length_declares_more_than_comes() {
    let (got, _) = patch_under(Fault::WrongContentLength { extra: 7 });
    let length = got.response.body().len();
    assert_eq!(got.deliver, Deliver::Truncated { after: length });
    assert_eq!(got.header("content-length"), Some((length + 7).to_string().as_str()));
}

#[test]
fn a_partial_patch_ignores_fields_and_succeeds() {
    let (got, n) = patch_under(Fault::PartialPatch { ignored: vec!["n".into()] });
    assert_eq!((got.status, &got.body["name"], n), (200, &json!("new"), json!(1)));
    let mut sandbox = filled(ResourceConfig::at("/c"), 1);
    sandbox.push_fault_times(Matcher::any(), Fault::PartialPatch { ignored: vec!["n".into()] }, Times::Forever);
    let put = send(&mut sandbox, "PUT /c/1", &[], &json!({"n": 9}));
    assert_eq!((&put.body["n"], put.body.get("name")), (&json!(1), None));
    assert_eq!(send(&mut sandbox, "POST /c", &[], &json!({"n": 9, "m": 1})).body.get("n"), None);
}

#[test]
fn an_empty_listing_is_complete_and_well_formed() {
    let paging = Paging::Page { page: "page".into(), per_page: "limit".into() };
    let config = ResourceConfig { paging, total_at: Some("total".into()), ..ResourceConfig::at("/c") };
    let mut sandbox = filled(config, 3);
    sandbox.push_fault(Matcher::exactly(Method::GET, "/c"), Fault::EmptyListing);
    assert_eq!(get(&mut sandbox, "/c").body, json!({"results": [], "total": 0}));
    assert_eq!(get(&mut sandbox, "/c").ids(), "1,2,3");
}

#[test]
fn a_stale_read_shows_the_state_before_the_last_write() {
    let mut sandbox = filled(ResourceConfig::at("/c"), 2);
    send(&mut sandbox, "PATCH /c/1", &[], &json!({"n": 9}));
    send(&mut sandbox, "PATCH /c/7", &[], &json!({"n": 9}));
    sandbox.push_fault_times(Matcher::of(Method::GET, "/c"), Fault::StaleRead, Times::Count(2));
    assert_eq!(get(&mut sandbox, "/c/1").body["n"], json!(1));
    assert_eq!(get(&mut sandbox, "/c").body["results"][0]["etag"], json!("1"));
    assert_eq!(get(&mut sandbox, "/c/1").body["n"], json!(9));

    sandbox.remove("/c", "2", at(50)).unwrap();
    sandbox.push_fault(Matcher::any(), Fault::StaleRead);
    assert_eq!(get(&mut sandbox, "/c").ids(), "1,2");
    send(&mut sandbox, "POST /c", &[], &json!({}));
    sandbox.push_fault(Matcher::any(), Fault::StaleRead);
    assert_eq!(get(&mut sandbox, "/c").ids(), "1");
}

#[test]
fn a_huge_record_is_the_first_of_a_listing() {
    let mut sandbox = filled(ResourceConfig::at("/c"), 2);
    sandbox.push_fault(Matcher::any(), Fault::HugeRecord { bytes: 1000 });
    let got = get(&mut sandbox, "/c");
    assert_eq!(got.body["results"][0]["padding"].as_str().map(str::len), Some(1000));
    assert_eq!(got.body["results"][1].get("padding"), None);
}

#[test]
fn a_lost_answer_is_replayed_to_the_same_key() {
    let config = ResourceConfig { idempotency: Some(Idempotency::default()), ..ResourceConfig::at("/c") };
    let mut sandbox = filled(config, 0);
    sandbox.push_fault(Matcher::of(Method::POST, "/c"), Fault::LostResponseAfterCommit);
    let key = [("idempotency-key", "k")];
    assert_eq!(send(&mut sandbox, "POST /c", &key, &json!({"n": 1})).deliver, Deliver::Lost);
    assert_eq!(send(&mut sandbox, "POST /c", &key, &json!({"n": 1})).body["id"], json!("1"));
    assert_eq!(sandbox.all("/c").len(), 1);
}

#[test]
fn a_fault_hits_the_requests_it_is_for_as_often_as_it_should() {
    let check = |matcher: Matcher, times: Times, expected: [u16; 5]| {
        let mut sandbox = filled(ResourceConfig::at("/c"), 1);
        sandbox.push_fault_times(matcher, Fault::status(500), times);
        let lines = ["GET /c", "GET /c/1", "GET /c?x=1", "PATCH /c/1", "GET /c"];
        assert_eq!(lines.map(|line| send(&mut sandbox, line, &[], &json!({})).status), expected);
    };
    let once = Times::Count(1);
    check(Matcher::any(), once, [500, 200, 200, 200, 200]);
    check(Matcher::any().nth(2), Times::Count(2), [200, 500, 500, 200, 200]);
    check(Matcher::any().nth(3), Times::Forever, [200, 200, 500, 500, 500]);
    check(Matcher::exactly(Method::GET, "/c").nth(2), once, [200, 200, 500, 200, 200]);
    check(Matcher::of(Method::GET, "/c/"), Times::Forever, [200, 500, 200, 200, 200]);
    check(Matcher::of(Method::PATCH, "/"), Times::Forever, [200, 200, 200, 500, 200]);
    check(Matcher::containing("x=1"), once, [200, 200, 500, 200, 200]);
}

#[test]
fn faults_queue_up_and_can_be_taken_back() {
    let mut sandbox = filled(ResourceConfig::at("/c"), 1);
    sandbox.push_fault(Matcher::any(), Fault::status(500));
    sandbox.push_fault(Matcher::any(), Fault::status(502));
    let forever = sandbox.push_fault_times(Matcher::any(), Fault::status(504), Times::Forever);
    let mut statuses = || [(); 3].map(|()| get(&mut sandbox, "/c").status);
    assert_eq!(statuses(), [500, 502, 504]);
    sandbox.clear_fault(forever);
    assert_eq!((get(&mut sandbox, "/c").status, sandbox.has_faults()), (200, false));
    let fault = sandbox.requests().next().unwrap().fault.clone();
    assert!(fault.is_some_and(|fault| fault.starts_with("Status")));
    assert_eq!(sandbox.stats().faults, 3);
}
