//! Owns: what legal settings become.
//!
//! Must not know: mistakes.

use std::time::Duration;

use super::check_files;
use crate::record::{Codec, Json, Lens, TimeFormat};
use crate::rules::model::*;
use crate::rules::render;

const REST: &str = r#"
[upstream.a]
base_url = "https://a.example.com/v1/"
allowed_hosts = ["*.a.example.com"]
auth = { kind = "api_key", query = "key", value = "Token ${secret.k}" }
body_max = "512KiB"
error = [{ status = 409, class = "conflict" }, { status = [500, 502], when = ".x", class = "transient" }]

[collection.c]
full_scan = "1d"
schedule = "0 */5 * * * *"
timezone = "Europe/Zurich"
priority = ["a", "local"]
merge = ["latest", "source_priority"]
limits = { delete = 10, update = "30%" }
[collection.c.fields]
t = "text"
u = { type = "text", one_of = ["x", "y"] }
s = "set"
d = { type = "datetime", merge = "max" }
b = "boolean"
n = { type = "decimal", scale = 2, owner = "local" }

[binding.c.a]
id = ".id"
version = { header = "etag" }
updated_at = { path = ".at", format = "unix_ms" }
[binding.c.a.read]
request = { method = "POST", path = "/search", headers = { X-Q = "${secret.q}" } }
records = ".data.items[]"
page = { kind = "offset", into = "body.offset", size = { into = "body.limit", value = 50 } }
incremental = { kind = "since", into = "header.If-Modified-Since" }
get = { path = "/c/{id}", record = ".data" }
[binding.c.a.map]
t = '."odd key"'
u = { path = ".u", codec = { enum = { x = 1, y = true } } }
s = { path = ".s", codec = { split = ";" } }
d = { path = ".d", codec = "unix_s" }
b = { path = ".b", codec = { bool = ["Y", "N"] } }
n = { path = ".n", codec = "cents", direction = "push" }
[binding.c.a.write]
delete = "none"
[binding.c.a.write.create]
request = "POST /c"
idempotency = { field = ".external.id" }
capture = { version = { header = "etag" } }
[binding.c.a.write.update]
request = { method = "PUT", path = "/c/{id}", query = { filter = '{"a": 1}', v = "v-{version}" } }
body = '{data: .changed}'
[binding.c.a.write.batch]
request = "POST /c/batch"
ops = ["create", "update"]
items = ".in"
result = { items = ".out[]", by = { request_id = ".rid" }, status = ".code" }
"#;

fn rules() -> Ruleset {
    let (sources, checked) = check_files(&[("rest.toml", REST)]);
    assert!(checked.diagnostics.is_empty(), "{}", render(&checked.diagnostics, &sources, false, 120));
    checked.ruleset.expect("good")
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[test]
fn an_upstream_means_what_it_says() {
    let rules = rules();
    let a = &rules.upstreams["a"];
    assert_eq!(a.base_url.as_str(), "https://a.example.com/v1");
    assert_eq!(a.allowed_hosts, ["a.example.com", "*.a.example.com"]);
    let value = Template { parts: vec![text("Token "), Part::Secret("k".to_owned())] };
    assert_eq!(a.auth, Auth::ApiKey { place: Place::Query("key".to_owned()), value });
    assert_eq!(a.body_bytes_max, 512 * 1024);
    assert_eq!(a.errors[0].status, [409]);
    assert_eq!((a.errors[1].status.as_slice(), a.errors[1].class), ([500, 502].as_slice(), ErrorClass::Transient));
    assert_eq!((a.timeout.connect, a.timeout.total), (Duration::from_secs(10), Duration::from_mins(5)));
    assert_eq!((a.retry.attempts, a.retry.max_wait, a.concurrency), (4, Duration::from_mins(15), 4));
}

#[test]
fn a_collection_means_what_it_says() {
    let rules = rules();
    let c = &rules.collections["c"];
    let expression = "0 */5 * * * *".to_owned();
    assert_eq!(c.schedule, Some(Schedule::Cron { expression, timezone: chrono_tz::Europe::Zurich }));
    assert_eq!(c.full_scan, Some(Schedule::Every(Duration::from_hours(24))));
    assert_eq!(c.priority, [Origin::Upstream("a".to_owned()), Origin::Local]);
    assert_eq!(c.limits, Limits { delete: Some(Limit::Count(10)), update: Some(Limit::Share(0.3)), create: None });
    assert_eq!(c.fields[0].chain, [Policy::Latest, Policy::SourcePriority]);
    assert_eq!(c.fields[2].chain, [Policy::Set], "the collection's chain does not replace the merge of sets");
    assert_eq!(c.fields[3].chain, [Policy::Max]);
    assert_eq!(c.fields[5].owner, Some(Owner { origin: Origin::Local, drift: Drift::Revert }));
    assert_eq!(c.on_remote_delete, OnRemoteDelete::Queue);
}

#[test]
fn a_binding_reads_as_it_says() {
    let rules = rules();
    let binding = &rules.collections["c"].bindings[0];
    assert!(binding.pull && binding.push);
    assert_eq!(binding.version, Some(VersionAt::Header("etag".to_owned())));
    assert_eq!(binding.mapper.probe.version, None);
    let read = binding.read.as_ref().expect("reads");
    assert_eq!((read.request.method.as_str(), read.records.path.to_string().as_str()), ("POST", ".data.items"));
    assert!(!read.records.may_lack);
    let path = |text: &str| crate::record::Path::parse(text).expect("a path");
    let size = Some((Place::Body(path(".limit")), 50));
    let into = Some(Place::Body(path(".offset")));
    assert_eq!(read.page, Paging::Offset { into, start: 0, size, more: None, step: OffsetStep::Records });
    let since = Incremental::Since {
        into: Place::Header("If-Modified-Since".to_owned()),
        from: SinceFrom::UpdatedAt,
        format: TimeFormat::HttpDate,
        lookback: Duration::from_mins(2),
        value: None,
    };
    assert_eq!(read.incremental, since);
    assert_eq!(read.get.as_ref().expect("given").record, Some(path(".data")));
}

#[test]
fn a_mapping_means_what_it_says() {
    let rules = rules();
    let collection = &rules.collections["c"];
    let map = |name: &str| collection.bindings[0].mapper.field(collection.field(name).expect("known")).expect("mapped");
    assert!(matches!(&map("t").lens, Lens::Path(path) if path.to_string() == ".\"odd key\""));
    let Codec::Enum(tokens) = &map("u").codec else { panic!("an enum") };
    assert_eq!((&tokens["x"], &tokens["y"]), (&Json::Number("1".to_owned()), &Json::Bool(true)));
    assert_eq!(map("s").codec, Codec::Split(";".to_owned()));
    assert_eq!(map("d").codec, Codec::Time(TimeFormat::UnixS));
    assert_eq!(map("b").codec, Codec::BoolText { yes: "Y".to_owned(), no: "N".to_owned() });
    assert_eq!(map("n").codec, Codec::Cents);
    assert_eq!((map("n").pull, map("n").push, map("t").pull, map("t").push), (false, true, true, true));
}

#[test]
fn a_binding_writes_as_it_says() {
    let rules = rules();
    let binding = &rules.collections["c"].bindings[0];
    let create = binding.create.as_ref().expect("creates");
    assert_eq!((&create.body, &create.capture_id), (&Body::Full, &None));
    assert_eq!(create.capture_version, Some(NextAt::Header("etag".to_owned())));
    assert!(matches!(&create.idempotency, Idempotency::Field(path) if path.to_string() == ".external.id"));
    let update = binding.update.as_ref().expect("updates");
    assert_eq!(update.request.path.parts, [text("/c/"), Part::Hole("id".to_owned())]);
    assert_eq!(update.request.query[0].1.parts, [text("{\"a\": 1}")], "braces that are no hole are text");
    assert_eq!(update.request.query[1].1.parts, [text("v-"), Part::Hole("version".to_owned())]);
    assert!(matches!(&update.body, Body::Filter(filter) if filter.source() == "{data: .changed}"));
    assert_eq!(update.precondition, Precondition::Reread, "the default where there is a point read");
    let batch = &binding.batches[0];
    assert_eq!((batch.create, batch.update, batch.delete, batch.bisect), (true, true, false, true));
    assert_eq!((batch.items_max, batch.bytes_max), (100, 1_000_000));
    assert!(matches!(&batch.result.by, ResultBy::RequestId(path) if path.to_string() == ".rid"));
}

#[test]
fn a_quota_is_what_the_rules_say_or_the_longest_budget_of_a_day_or_a_month() {
    let of = |extra: &str| {
        let text = format!("[upstream.u]\nbase_url = \"https://a.example\"\n{extra}");
        let (_, checked) = check_files(&[("a.toml", &(text + BOUND))]);
        checked.ruleset.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics)).upstreams["u"].quota
    };
    let quota = |requests, cost_nano_usd, per| Some(Quota { requests, cost_nano_usd, per });
    let budget = |limit: u64, per: &str| format!("{{ limit = {limit}, per = \"{per}\" }}");
    let budgets = |each: &[String]| format!("budget = [{}]", each.join(", "));
    assert_eq!(of(""), None);
    assert_eq!(of(&budgets(&[budget(5, "1h"), budget(6, "2d")])), None);
    assert_eq!(of(&budgets(&[budget(5, "1h"), budget(6, "1d")])), quota(Some(6), None, QuotaPeriod::Day));
    let both = budgets(&[budget(9, "30d"), budget(6, "24h")]);
    assert_eq!(of(&both), quota(Some(9), None, QuotaPeriod::Month));
    let said = "budget = [{ limit = 6, per = \"1d\", cost_usd = 0.0001 }]\nquota = { cost_usd = 2 }";
    assert_eq!(of(said), quota(None, Some(2_000_000_000), QuotaPeriod::Month));
    assert_eq!(of("quota = { requests = 7, per = \"day\" }"), quota(Some(7), None, QuotaPeriod::Day));
}

#[test]
fn a_health_probe_asks_what_check_asks_unless_it_has_a_request_of_its_own() {
    let of = |extra: &str| {
        let text = format!("[upstream.u]\nbase_url = \"https://a.example\"\n{extra}");
        let (_, checked) = check_files(&[("a.toml", &(text + BOUND))]);
        let rules = checked.ruleset.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
        let health = rules.upstreams["u"].health.clone()?;
        Some((health.request.path.parts, health.every.as_secs(), health.timeout.as_secs()))
    };
    assert_eq!(of("check = { request = \"GET /me\" }"), None);
    let own =
        of("check = { request = \"GET /me\" }\nhealth = { request = \"GET /up\", every = \"5s\", timeout = \"2s\" }");
    assert_eq!(own, Some((vec![text("/up")], 5, 2)));
    let checks = of("check = { request = \"GET /me\" }\nhealth = { }");
    assert_eq!(checks, Some((vec![text("/me")], 60, 10)));
}

const BOUND: &str = r#"
[collection.c]
fields = { name = "text" }
[binding.c.u]
id = ".id"
direction = "pull"
map = { name = ".name" }
read = { request = "GET /c", records = ".[]" }
"#;
