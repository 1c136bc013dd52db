//! Metrics of a running daemon, as a monitoring system sees them: held against docs/metrics.md, and against what was really asked.
//!
//! With `RECONCILED_TESTS_MONITORING=DIR` the scrape and the questions of the dashboard are kept there, for `tests/monitoring/run`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::{Value, json};

use crate::daemon::hourly;
use crate::web::{get, listening, metrics, post};

/// A metric as docs/metrics.md has it.
struct Documented {
    kind: String,
    /// Each with the values that it may have, where they are listed.
    labels: Vec<(String, Vec<String>)>,
    help: String,
}

/// One line of a scrape.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    text: String,
}

impl Sample {
    fn value(&self) -> f64 {
        self.text.parse().unwrap()
    }
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn documented() -> BTreeMap<String, Documented> {
    let text = fs::read_to_string(root("docs/metrics.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `reconciled_"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, _unit, labels, help] = cells[..] else { panic!("{line}") };
        let label = |text: &str| {
            let mut words = text.split('`').skip(1).step_by(2).map(str::to_owned);
            (words.next().unwrap(), words.collect())
        };
        let labels = labels.split_inclusive([')']).flat_map(|part| match part.split_once('(') {
            // Before a label with values there may be some without.
            Some((before, values)) => {
                let mut names: Vec<String> =
                    before.split('`').skip(1).step_by(2).map(|name| format!("`{name}`")).collect();
                let last = names.pop().unwrap();
                names.push(format!("{last} {values}"));
                names
            }
            None => part.split('`').skip(1).step_by(2).map(|name| format!("`{name}`")).collect(),
        });
        let labels = labels.map(|text| label(&text)).collect();
        let name = name.trim_matches('`').to_owned();
        (name, Documented { kind: kind.to_owned(), labels, help: help.to_owned() })
    };
    rows.map(row).collect()
}

/// The samples of a scrape; label values here have neither quotes nor commas.
fn samples(text: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').and_then(|all| all.split_once('{')).unwrap_or((series, ""));
        let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
        let labels = pairs.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned())).collect();
        Sample { name: name.to_owned(), labels, text: value.to_owned() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// The value of the only sample that has this name and these values of labels.
fn text<'a>(samples: &'a [Sample], name: &str, labels: &[(&str, &str)]) -> &'a str {
    let has = |sample: &&Sample| {
        let given = |(label, value): &(&str, &str)| sample.labels.iter().any(|(one, is)| one == label && is == value);
        sample.name == name && labels.iter().all(given)
    };
    let found: Vec<&Sample> = samples.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    &found[0].text
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    text(samples, name, labels).parse().unwrap()
}

/// The same of what counts things.
fn count(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> usize {
    text(samples, name, labels).parse().unwrap()
}

/// The metric that a sample belongs to, and what its type adds to the name.
fn family<'a>(name: &'a str, known: &BTreeMap<String, Documented>) -> (&'a str, &'a str) {
    if known.contains_key(name) {
        return (name, "");
    }
    let suffix = ["_bucket", "_sum", "_count"].into_iter().find(|suffix| name.ends_with(suffix)).unwrap_or_default();
    name.split_at(name.len() - suffix.len())
}

const SETTINGS: &str = "budget = [{ limit = 1000, per = \"1s\" }, \
     { limit = 40, per = \"1h\", match = { path = \"/contacts*\", method = \"GET\" }, cost_usd = 0.001 }]\n\
     quota = { requests = 50, cost_usd = 0.002 }";
const HOURLY: (&str, &str) = ("budget", "40 per 3600 s GET /contacts*");

#[test]
fn a_scrape_has_the_types_labels_and_words_that_are_documented() {
    let world = hourly();
    world.settings_of_upstreams(SETTINGS);
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let text = metrics(&address);
    assert_eq!(daemon.stops().0, Some(0));
    let known = documented();
    let said = |start: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(start)?.split_once(' '));
        lines.map(|(name, words)| (name.to_owned(), words.to_owned())).collect()
    };
    let of = |words: fn(&Documented) -> &String| -> BTreeMap<String, String> {
        known.iter().map(|(name, one)| (name.clone(), words(one).clone())).collect()
    };
    assert_eq!(said("# TYPE "), of(|one| &one.kind));
    assert_eq!(said("# HELP "), of(|one| &one.help));
    let mut seen = BTreeSet::new();
    let mut series = BTreeSet::new();
    for sample in samples(&text) {
        let value = sample.value();
        let Sample { name, labels, .. } = sample;
        let (family, suffix) = family(&name, &known);
        let one = known.get(family).unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(one.kind == "histogram", !suffix.is_empty(), "{name}");
        let mut names: Vec<&str> = one.labels.iter().map(|(name, _)| name.as_str()).collect();
        names.extend((suffix == "_bucket").then_some("le"));
        assert_eq!(labels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names, "{name}");
        for ((label, given), (_, allowed)) in labels.iter().zip(&one.labels) {
            assert!(allowed.is_empty() || allowed.contains(given), "{name}: {label}={given}");
        }
        assert!(value >= 0.0, "{name}");
        assert!(series.insert((name.clone(), labels.clone())), "{name} {labels:?} is there twice");
        seen.insert(family.to_owned());
    }
    // This upstream signs nobody in and sends no webhooks; other tests have some that do.
    let unseen: Vec<&String> = known.keys().filter(|name| !seen.contains(*name)).collect();
    assert_eq!(unseen, ["reconciled_upstream_reauth_required", "reconciled_webhooks_total"]);
    keep(&text);
}

/// For promtool: the scrape, and what the dashboard asks as rules, with its variables filled in.
fn keep(scrape: &str) {
    let Some(folder) = std::env::var_os("RECONCILED_TESTS_MONITORING").map(PathBuf::from) else { return };
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(root("docs/monitoring/grafana-dashboard.json")).unwrap()).unwrap();
    let asked = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules: Vec<Value> = asked
        .enumerate()
        .map(|(at, target)| {
            let asks = target["expr"].as_str().unwrap();
            let mut asks = asks.replace("$__rate_interval", "5m");
            for variable in ["$instance", "$collection", "$upstream"] {
                asks = asks.replace(variable, ".*");
            }
            assert!(!asks.contains('$'), "a variable that is not filled in: {asks}");
            json!({ "record": format!("panel:{at}"), "expr": asks })
        })
        .collect();
    fs::write(folder.join("scrape.txt"), scrape).unwrap();
    // JSON is YAML.
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    fs::write(folder.join("dashboard.yaml"), rules.to_string()).unwrap();
}

#[test]
fn requests_are_counted_by_how_they_end_and_buckets_add_up() {
    let world = hourly();
    world.settings_of_upstreams(SETTINGS);
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let before = samples(&metrics(&address));
    let outcomes = |samples: &[Sample]| {
        let name = "reconciled_upstream_request_duration_seconds_count";
        ["ok", "refused", "throttled", "failed"].map(|outcome| count(samples, name, &[("outcome", outcome)]))
    };
    let [ok, ..] = outcomes(&before);
    let sent = || world.at("crm", |crm| crm.requests().count());
    assert_eq!(outcomes(&before), [sent(), 0, 0, 0]);
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::status(503)));
    assert_eq!(post(&address, "/api/v1/sync", &json!({})).0, 200);
    daemon.logs("pass 2 of contacts");
    let after = samples(&metrics(&address));
    let [ok_now, _, _, failed] = outcomes(&after);
    assert_eq!((failed, ok_now + failed), (1, sent()));
    assert!(ok_now > ok);
    // One that answers so bears less than the four at once that are allowed.
    let at_once = |samples: &[Sample]| {
        ["limit", "max"].map(|name| count(samples, &format!("reconciled_upstream_concurrency_{name}"), &[]))
    };
    assert_eq!((at_once(&before), at_once(&after)), ([4, 4], [3, 4]));
    let crm = &get(&address, "/api/v1/upstreams")["upstreams"][0];
    assert_eq!((&crm["at_once"], &crm["at_once_max"]), (&json!(3), &json!(4)));
    for (name, expected) in [("reconciled_upstream_retries_total", 1), ("reconciled_upstream_sent_bytes_total", 0)] {
        assert_eq!(count(&after, name, &[("upstream", "crm")]), expected, "{name}");
    }
    assert_eq!(count(&after, "reconciled_upstream_waits_total", &[("reason", "retry")]), 1);
    assert!(value(&after, "reconciled_upstream_wait_seconds_total", &[("reason", "retry")]) > 0.0);
    assert_eq!(count(&after, "reconciled_upstream_waits_total", &[("reason", "room")]), 0);
    // Nothing that counts ever shrinks; each bucket has what the one before it has.
    let grows = |name: &str| ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
    let find =
        |one: &Sample| after.iter().find(|now| now.name == one.name && now.labels == one.labels).unwrap().value();
    assert!(before.iter().filter(|one| grows(&one.name)).all(|one| find(one) >= one.value()));
    let buckets: Vec<usize> = after
        .iter()
        .filter(|one| one.name.ends_with("upstream_request_duration_seconds_bucket"))
        .filter(|one| one.labels.iter().any(|(_, value)| value == "ok"))
        .map(|one| one.text.parse().unwrap())
        .collect();
    assert!(buckets.len() > 10 && buckets.is_sorted(), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&ok_now));
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn budgets_tell_what_is_left_and_when_there_is_room_also_after_a_restart() {
    let world = hourly();
    world.settings_of_upstreams(
        "budget = [{ limit = 40, per = \"1h\", match = { path = \"/contacts*\", method = \"GET\" } }]",
    );
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let used = |samples: &[Sample]| count(samples, "reconciled_budget_used_requests", &[HOURLY]);
    let now = samples(&metrics(&address));
    let first = used(&now);
    let reads = || world.at("crm", |crm| crm.requests().filter(|one| one.line().starts_with("GET ")).count());
    assert_eq!(first, reads());
    let of = |name: &str| count(&now, &format!("reconciled_budget_{name}"), &[HOURLY, ("upstream", "crm")]);
    let found = ["limit_requests", "window_seconds", "remaining_requests", "wait_seconds"].map(of);
    assert_eq!(found, [40, 3600, 40 - first, 0]);
    let share = value(&now, "reconciled_budget_used_ratio", &[HOURLY]) * 40.0;
    assert_eq!(share.round().to_string(), first.to_string());
    assert_eq!(daemon.stops().0, Some(0));

    // No pass is due for an hour: what is told is what the process before left.
    let (daemon, address) = listening(&world, &[]);
    assert_eq!(used(&samples(&metrics(&address))), first);
    assert_eq!(daemon.stops().0, Some(0));

    // The whole budget is spent: there is room when its first requests leave the window.
    let spent = rusqlite::Connection::open(world.path("data.db.budgets")).unwrap();
    let left = |minutes: u64| minutes * 60_000_000;
    let times = format!("unixepoch('now') * 1000000, unixepoch('now') * 1000000 + {}", left(50));
    let portions = format!("'[[{}, 25], [{}, 17]]'", left(30), left(50));
    let held = format!("values ('crm: per 3600 s GET /contacts*', 'another', {times}, {portions})");
    spent.execute_batch(&format!("delete from held; insert into held {held}")).unwrap();
    drop(spent);
    let (daemon, address) = listening(&world, &[]);
    let now = samples(&metrics(&address));
    assert_eq!(used(&now), 42);
    assert_eq!(count(&now, "reconciled_budget_remaining_requests", &[HOURLY]), 0);
    let wait = value(&now, "reconciled_budget_wait_seconds", &[HOURLY]);
    assert!(wait > 1_700.0 && wait <= 1_800.0, "{wait}");
    let budget = &get(&address, "/api/v1/upstreams")["upstreams"][0]["budgets"][0];
    assert_eq!((&budget["spent"], &budget["limit"]), (&json!(42), &json!(40)));
    assert!(budget["wait_s"].as_f64() > Some(1_600.0), "{budget}");
    assert_eq!(daemon.stops().0, Some(0));
}

/// The cases are run by promtool, where it is (`tests/monitoring/run`).
#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let alerts = fs::read_to_string(root("docs/monitoring/alerts.yaml")).unwrap();
    let cases = fs::read_to_string(root("tests/monitoring/alerts.yaml")).unwrap();
    let named = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let mut count = 0;
    for name in named {
        let of_it: Vec<&str> = cases.split("alertname: ").skip(1).filter(|rest| rest.starts_with(name)).collect();
        let fires = of_it.iter().any(|case| case.lines().nth(1).is_some_and(|line| line.contains("exp_alerts: [{")));
        let rests = of_it.iter().any(|case| case.lines().nth(1).is_some_and(|line| line.contains("exp_alerts: []")));
        assert!(fires && rests, "{name}");
        count += 1;
    }
    assert!(count > 14);
}
