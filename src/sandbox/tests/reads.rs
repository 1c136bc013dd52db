//! Owns: tests of listings and point reads.
//!
//! Must not know: writes.

use super::*;

/// Where a client that follows every next page gets: the ids page by page, as in `1,2 3,4 5`.
fn walk(sandbox: &mut Sandbox, first: &str, pages_max: usize, next: impl Fn(&Got) -> Option<String>) -> String {
    let mut pages = Vec::new();
    let mut target = Some(first.to_owned());
    while let Some(here) = target.take().filter(|_| pages.len() < pages_max) {
        let got = get(sandbox, &here);
        assert_eq!(got.status, 200, "{here}: {}", got.body);
        pages.push(got.ids());
        target = next(&got).map(|url| url.trim_start_matches("http://up:1").to_owned());
    }
    pages.join(" ")
}

fn paged(paging: Paging) -> ResourceConfig {
    ResourceConfig { paging, page_size: 2, page_size_max: 3, ..ResourceConfig::at("/c") }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn cursor(end: CursorEnd) -> Paging {
    Paging::Cursor { param: "after".into(), limit: "limit".into(), next_at: "paging.next.after".into(), end }
}

#[test]
fn a_listing_without_pages_has_everything_in_order_of_creation() {
    assert_eq!(get(&mut filled(ResourceConfig::at("/c"), 12), "/c").ids(), "1,2,3,4,5,6,7,8,9,10,11,12");
    let bare = ResourceConfig { envelope: Envelope::Bare, ..ResourceConfig::at("/c") };
    assert!(get(&mut filled(bare, 1), "/c").body.is_array());
}

#[test]
fn pages_by_number_and_offset_end_short_and_are_capped() {
    let page = Paging::Page { page: "page".into(), per_page: "per_page".into() };
    let offset = Paging::Offset { offset: "offset".into(), limit: "limit".into() };
    let check = |paging: &Paging, target: &str, expected: &str| {
        assert_eq!(get(&mut filled(paged(paging.clone()), 5), target).ids(), expected, "{target}");
    };
    check(&page, "/c", "1,2");
    check(&page, "/c?page=3", "5");
    check(&page, "/c?page=4", "");
    check(&page, "/c?page=2&per_page=99", "4,5");
    check(&offset, "/c", "1,2");
    check(&offset, "/c?offset=1&limit=3", "2,3,4");
    check(&offset, "/c?offset=9", "");
    assert_eq!(get(&mut filled(paged(page), 5), "/c?page=0").status, 400);
}

#[test]
fn each_way_to_name_the_next_page_leads_through_all_of_them() {
    let limit = || "limit".to_owned();
    let next_url = Paging::NextUrl { next_at: "next".into(), limit: limit() };
    let header = Paging::Header { name: "Next-Page".into(), limit: limit() };
    let link = Paging::LinkHeader { page: "page".into(), per_page: limit() };
    let keyset = Paging::Keyset { param: "after".into(), limit: limit(), has_more_at: "has_more".into() };

    let token = |got: &Got| text(&got.body["paging"]["next"]["after"]).map(|token| format!("/c?after={token}"));
    assert_eq!(walk(&mut filled(paged(cursor(CursorEnd::Absent)), 5), "/c", 9, token), "1,2 3,4 5");
    assert_eq!(walk(&mut filled(paged(next_url), 5), "/c?limit=3", 9, |got| text(&got.body["next"])), "1,2,3 4,5");
    let next_page = |got: &Got| got.header("next-page").map(str::to_owned);
    assert_eq!(walk(&mut filled(paged(header), 4), "/c", 9, next_page), "1,2 3,4");
    let rel_next = |got: &Got| {
        let links = got.header("link")?.to_owned();
        let next = links.split(", ").find(|link| link.ends_with("rel=\"next\""))?.to_owned();
        Some(next[1..next.find('>')?].to_owned())
    };
    assert_eq!(walk(&mut filled(paged(link), 5), "/c", 9, rel_next), "1,2 3,4 5");
    let last_id = |got: &Got| {
        let last = got.ids().rsplit(',').next()?.to_owned();
        got.body["has_more"].as_bool()?.then(|| format!("/c?after={last}"))
    };
    assert_eq!(walk(&mut filled(paged(keyset), 5), "/c", 9, last_id), "1,2 3,4 5");
}

#[test]
fn the_last_page_says_so_as_configured() {
    let check = |end: CursorEnd, expected: Option<Value>| {
        let got = get(&mut filled(paged(cursor(end)), 1), "/c");
        assert_eq!(got.body.pointer("/paging/next/after").cloned(), expected);
    };
    check(CursorEnd::Absent, None);
    check(CursorEnd::Null, Some(Value::Null));
    check(CursorEnd::Empty, Some(json!("")));
}

#[test]
fn a_cursor_survives_a_delete_before_it_but_an_offset_skips_a_record() {
    let mut by_cursor = filled(paged(cursor(CursorEnd::Absent)), 4);
    let token = text(&get(&mut by_cursor, "/c").body["paging"]["next"]["after"]).unwrap();
    by_cursor.remove("/c", "1", at(50)).unwrap();
    assert_eq!(get(&mut by_cursor, &format!("/c?after={token}")).ids(), "3,4");
    assert_eq!(get(&mut by_cursor, "/c?after=made-up").status, 400);

    let mut by_offset = filled(paged(Paging::Offset { offset: "offset".into(), limit: "limit".into() }), 4);
    by_offset.remove("/c", "1", at(50)).unwrap();
    assert_eq!(get(&mut by_offset, "/c?offset=2").ids(), "4");
}

#[test]
fn since_is_inclusive_by_time_and_exclusive_by_version() {
    let since = |by: SinceBy, format: TimeFormat| ResourceConfig {
        since: Some(Since { param: "since".into(), by, tombstones: false }),
        updated_at: Some(UpdatedAt { path: "meta.updated".into(), format }),
        ..ResourceConfig::at("/c")
    };
    let check = |by: SinceBy, format: TimeFormat, value: &str, expected: &str| {
        let mut sandbox = filled(since(by, format), 3);
        sandbox.edit("/c", "1", &json!({"n": 0}), at(4)).unwrap();
        assert_eq!(get(&mut sandbox, &format!("/c?since={value}")).ids(), expected, "{by:?} {value}");
    };
    check(SinceBy::UpdatedAt, TimeFormat::UnixS, "1700000003", "3,1");
    check(SinceBy::UpdatedAt, TimeFormat::UnixMs, "1700000003001", "1");
    check(SinceBy::UpdatedAt, TimeFormat::Rfc3339Ms, "2023-11-14T22:13:23.000Z", "3,1");
    check(SinceBy::Version, TimeFormat::UnixS, "3", "1");
    check(SinceBy::Version, TimeFormat::UnixS, "%222%22", "3,1");
    let mut sandbox = filled(since(SinceBy::UpdatedAt, TimeFormat::UnixS), 1);
    assert_eq!(get(&mut sandbox, "/c?since=soon").status, 400);
    assert_eq!(get(&mut sandbox, "/c").body["results"][0]["meta"]["updated"], json!(1_700_000_001));
}

#[test]
fn tombstones_appear_in_the_since_listing_only() {
    let check = |tombstones: bool, expected: &str| {
        let since = Some(Since { param: "since".into(), by: SinceBy::Version, tombstones });
        let mut sandbox = filled(ResourceConfig { since, ..ResourceConfig::at("/c") }, 3);
        sandbox.remove("/c", "2", at(9)).unwrap();
        assert_eq!(get(&mut sandbox, "/c").ids(), "1,3");
        let got = get(&mut sandbox, "/c?since=0");
        assert_eq!(got.ids(), expected);
        if tombstones {
            let tombstone = json!({"id": "2", "deleted": true, "etag": "4", "updated_at": "2023-11-14T22:13:29.000Z"});
            assert_eq!(got.body["results"][2], tombstone);
        }
    };
    check(true, "1,3,2");
    check(false, "1,3");
}

#[test]
fn archived_records_stay_readable_and_are_listed_as_configured() {
    let check = |listed: bool, expected: &str| {
        let config = ResourceConfig {
            delete: Delete::Archive { listed },
            removed_at: Some("archived".into()),
            archived_param: Some("archived".into()),
            ..ResourceConfig::at("/c")
        };
        let mut sandbox = filled(config, 2);
        assert_eq!(send(&mut sandbox, "DELETE /c/1", &[], &Value::Null).status, 204);
        assert_eq!(get(&mut sandbox, "/c").ids(), expected);
        assert_eq!(get(&mut sandbox, "/c?archived=true").ids(), "1");
        assert_eq!(get(&mut sandbox, "/c/1").body["archived"], json!(true));
        assert_eq!(send(&mut sandbox, "PATCH /c/1", &[], &json!({"archived": false})).body["archived"], json!(false));
        assert_eq!(get(&mut sandbox, "/c").ids(), "1,2");
    };
    check(true, "1,2");
    check(false, "2");
}

#[test]
fn conditional_reads_answer_304_until_something_changes() {
    let conditional = Conditional { record: true, collection: true };
    let mut sandbox = filled(ResourceConfig { conditional, ..ResourceConfig::at("/c") }, 2);
    let mut check = |target: &str, tags: &str, expected: u16| {
        let got = send(&mut sandbox, &format!("GET {target}"), &[("if-none-match", tags)], &Value::Null);
        assert_eq!(got.status, expected, "{target} {tags}");
        (got.header("etag").map(str::to_owned), sandbox.stats().not_modified)
    };
    assert_eq!(check("/c", "\"1\"", 200).0.as_deref(), Some("\"2\""));
    assert_eq!(check("/c", "\"2\"", 304).0.as_deref(), Some("\"2\""));
    assert_eq!(check("/c/1", "\"1\"", 304).0.as_deref(), Some("\"1\""));
    assert_eq!(check("/c/1", "\"0\", W/\"1\"", 304).1, 3);
    sandbox.edit("/c", "1", &json!({"n": 9}), at(9)).unwrap();
    assert_eq!(send(&mut sandbox, "GET /c", &[("if-none-match", "\"2\"")], &Value::Null).status, 200);
    assert_eq!(send(&mut sandbox, "GET /c/1", &[("if-none-match", "\"1\"")], &Value::Null).status, 200);
}

#[test]
fn filters_totals_and_escaped_ids_work() {
    let config = ResourceConfig {
        filters: vec![Filter { param: "name".into(), field: "name".into() }],
        total_at: Some("meta.total".into()),
        ..ResourceConfig::at("/v1/c")
    };
    let mut sandbox = Sandbox::new(SandboxConfig::of([config]));
    sandbox.insert("/v1/c", &json!({"id": "a@x/y", "name": "Ann B"}), at(0)).unwrap();
    sandbox.insert("/v1/c", &json!({"name": "Bob"}), at(0)).unwrap();
    let got = get(&mut sandbox, "/v1/c?name=Ann+B");
    assert_eq!((got.ids().as_str(), &got.body["meta"]["total"]), ("a@x/y", &json!(1)));
    assert_eq!(get(&mut sandbox, "/v1/c/a%40x%2Fy").status, 200);
    assert_eq!(get(&mut sandbox, "/v1/cc").status, 404);
    assert_eq!(sandbox.stats().records_served, 2);
}

#[test]
fn repeated_and_cycling_cursors_never_reach_the_end() {
    let check = |paging: Paging, fault: Fault, next: fn(&Got) -> Option<String>, expected: &str| {
        let mut sandbox = filled(paged(paging), 8);
        sandbox.push_fault_times(Matcher::exactly(http::Method::GET, "/c"), fault, Times::Forever);
        assert_eq!(walk(&mut sandbox, "/c", 6, next), expected);
    };
    let token = |got: &Got| text(&got.body["paging"]["next"]["after"]).map(|token| format!("/c?after={token}"));
    check(cursor(CursorEnd::Absent), Fault::RepeatCursor, token, "1,2 3,4 3,4 3,4 3,4 3,4");
    check(cursor(CursorEnd::Absent), Fault::CycleCursor, token, "1,2 3,4 5,6 3,4 5,6 3,4");
    let url = || Paging::NextUrl { next_at: "next".into(), limit: "limit".into() };
    check(url(), Fault::CycleCursor, |got| text(&got.body["next"]), "1,2 3,4 5,6 3,4 5,6 3,4");

    let by_number = |fault: Fault| {
        let mut sandbox = filled(paged(Paging::Page { page: "page".into(), per_page: "limit".into() }), 8);
        sandbox.push_fault_times(Matcher::any(), fault, Times::Forever);
        (1..=5).map(|n| get(&mut sandbox, &format!("/c?page={n}")).ids()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(by_number(Fault::RepeatCursor), "1,2 1,2 1,2 1,2 1,2");
    assert_eq!(by_number(Fault::CycleCursor), "1,2 3,4 1,2 3,4 1,2");
}
