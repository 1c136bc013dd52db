//! Owns: docs/metrics.md: what is published of metrics is what a scrape has.
//!
//! Must not know: where values come from.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::families::{ALL, Family, Label};

const HEAD: &str = "\
# Metrics

Made from the table in the program itself (`UPDATE_DOCS=1 cargo test --lib the_published`).

`GET /metrics` at the address of the setting `web.listen`, with `Authorization: Bearer TOKEN` (the secret `web_token`), in the text
format of Prometheus. Counters and histograms begin at 0 with each start of the daemon and only grow; gauges are read at each
scrape. A metric without a unit counts things, or is 0 or 1. The label `budget` is a budget of the rules in words, such as
`250000 per 86400 s GET /contacts*`: there are as many of them as the rules declare.

| metric | type | unit | labels | |
|---|---|---|---|---|
";

const TAIL: &str = r#"
```yaml
scrape_configs:
  - job_name: reconciled
    authorization: { credentials_file: /etc/prometheus/reconciled_token }
    static_configs: [{ targets: ["127.0.0.1:8480"] }]
```

What one of twenty requests of the last five minutes took longer than, and the part of them that failed:

```text
histogram_quantile(0.95, sum by (upstream, le) (rate(reconciled_upstream_request_duration_seconds_bucket[5m])))
sum by (upstream) (rate(reconciled_upstream_request_duration_seconds_count{outcome="failed"}[5m])) / sum by (upstream) (rate(reconciled_upstream_request_duration_seconds_count[5m]))
```

[`monitoring/grafana-dashboard.json`](monitoring/grafana-dashboard.json) is a dashboard for Grafana 10 or newer (import it and choose the data
source), [`monitoring/alerts.yaml`](monitoring/alerts.yaml) are alert rules for Prometheus, each with what to do
([guide](guide.md#alerts)).
"#;

fn labels(labels: &[Label]) -> String {
    let one = |label: &Label| {
        let values: Vec<String> = label.values.iter().map(|value| format!("`{value}`")).collect();
        if values.is_empty() {
            format!("`{}`", label.name)
        } else {
            format!("`{}` ({})", label.name, values.join(", "))
        }
    };
    labels.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for Family { name, kind, unit, labels: has, help } in ALL {
        writeln!(text, "| `{name}` | {kind} | {unit} | {} | {} |", labels(has), help.replace('|', "\\|")).unwrap();
    }
    text + TAIL
}

#[test]
fn the_published_metrics_are_current() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let current = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&at, &current).unwrap();
    }
    let found = std::fs::read_to_string(&at).unwrap();
    assert!(found == current, "docs/metrics.md is old: run UPDATE_DOCS=1 cargo test --lib the_published");
}

/// The conventions of Prometheus: base units and `_total` at the end of names, help in one line, nothing twice.
#[test]
fn names_say_type_and_unit() {
    let mut names = BTreeSet::new();
    for Family { name, kind, unit, labels, help } in ALL {
        assert!(names.insert(name), "{name} is there twice");
        let rest = name.strip_prefix("reconciled_").unwrap();
        assert!(rest.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
        assert!(["counter", "gauge", "histogram"].contains(kind), "{name}: {kind}");
        let stem = name.trim_end_matches("_total");
        let units = ["seconds", "bytes", "usd", "ratio", "requests"];
        // What counts requests is no quantity in requests.
        let named = units.into_iter().find(|unit| stem.ends_with(&format!("_{unit}"))).unwrap_or_default();
        assert!(*unit == named || (unit.is_empty() && *kind == "counter" && named == "requests"), "{name}: {unit}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        let mut seen = BTreeSet::new();
        for Label { name: label, values } in *labels {
            assert!(seen.insert(label) && *label != "le", "{name}: {label}");
            assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), values.len(), "{name}: {label}");
        }
    }
    assert!(names.len() > 45, "{}", names.len());
}
