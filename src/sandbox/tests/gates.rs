//! Owns: tests of who is let in, and of what is remembered of requests.
//!
//! Must not know: records.

use super::*;

#[test]
fn only_the_right_credentials_are_let_in_and_none_is_logged() {
    let key = Auth::ApiKey { header: "X-Api-Key".into(), key: "s3cret".into() };
    let basic = Auth::Basic { user: "ann".into(), password: "s3cret".into() };
    let bearer = Auth::Bearer { token: "s3cret".into() };
    let check = |auth: &Auth, headers: &[(&str, &str)], status: u16| {
        let mut sandbox = Sandbox::new(SandboxConfig { auth: auth.clone(), ..SandboxConfig::default() });
        assert_eq!(send(&mut sandbox, "GET /me", headers, &Value::Null).status, status, "{auth:?} {headers:?}");
        assert!(!format!("{:?}", sandbox.requests().collect::<Vec<_>>()).contains("s3cret"));
    };
    check(&Auth::None, &[("authorization", "Bearer s3cret")], 200);
    check(&key, &[("x-api-key", "s3cret")], 200);
    check(&key, &[("x-api-key", "wrong")], 401);
    check(&basic, &[("authorization", "Basic YW5uOnMzY3JldA==")], 200);
    check(&basic, &[("authorization", "Basic YW5uOg==")], 401);
    check(&bearer, &[("authorization", "bearer s3cret")], 200);
    check(&bearer, &[], 401);
}

#[test]
fn the_account_is_where_it_was_put() {
    let account = Account { path: "/v2/whoami".into(), id_at: "user.org".into(), id: "o1".into() };
    let mut sandbox = Sandbox::new(SandboxConfig { account: Some(account), ..SandboxConfig::default() });
    assert_eq!(get(&mut sandbox, "/v2/whoami").body, json!({"user": {"org": "o1"}}));
    assert_eq!(get(&mut sandbox, "/me").status, 404);
}

#[test]
fn beyond_the_limit_nothing_happens_but_429() {
    let limit = RateLimit { burst: 1, refill_ms: 5000, headers: true, retry_after: RetryAfter::Seconds };
    let mut sandbox = filled(ResourceConfig::at("/c"), 0);
    sandbox.config_mut().rate_limit = Some(limit);
    let mut check = |seconds: i64, status: u16, retry_after: Option<&str>, remaining: &str| {
        let got = send_at(&mut sandbox, seconds, "POST /c", &[], &json!({}));
        let said = (got.status, got.header("retry-after"), got.header("x-ratelimit-remaining"));
        assert_eq!(said, (status, retry_after, Some(remaining)));
    };
    check(0, 201, None, "0");
    check(1, 429, Some("4"), "0");
    check(5, 201, None, "0");
    assert_eq!((sandbox.stats().throttled, sandbox.stats().writes), (1, 2));
}

#[test]
fn the_log_is_bounded_and_the_counters_are_not() {
    let mut sandbox = filled(ResourceConfig::at("/c"), 1);
    sandbox.config_mut().log_requests_max = 2;
    for line in ["GET /c?x=1", "PATCH /c/1", "GET /nowhere"] {
        send(&mut sandbox, line, &[], &json!({"n": 5}));
    }
    let lines: Vec<_> = sandbox.requests().map(|entry| (entry.number, entry.line(), entry.status)).collect();
    assert_eq!(lines, [(2, "PATCH /c/1".to_owned(), 200), (3, "GET /nowhere".to_owned(), 404)]);
    let write = sandbox.requests().find(|entry| entry.is_write()).unwrap();
    assert_eq!((write.json(), write.headers["host"].as_str()), (json!({"n": 5}), "up:1"));
    assert_eq!(sandbox.stats().requests_total(), 3);
    assert_eq!(sandbox.stats().requests_of(&http::Method::PATCH, PathKind::Record), 1);
    sandbox.reset_stats();
    assert_eq!((sandbox.stats().requests_total(), sandbox.requests().count()), (0, 0));
}

#[test]
fn the_same_calls_give_the_same_answers() {
    let run = || {
        let mut sandbox = filled(ResourceConfig::at("/c"), 3);
        let lines = ["POST /c", "PATCH /c/2", "GET /c", "DELETE /c/1", "GET /c"];
        lines.map(|line| send(&mut sandbox, line, &[], &json!({"n": 1})).response.into_body())
    };
    assert_eq!(run(), run());
}
