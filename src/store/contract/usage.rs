//! Owns: the part of the suite about what was asked of upstreams, and how they answered.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use crate::store::*;

pub(in crate::store) fn what_was_asked_of_an_upstream_adds_up_by_day_and_what_is_old_is_forgotten(on: &Fixture) {
    let usage = Usage {
        requests: 5,
        retries: 1,
        refused: 2,
        throttled: 3,
        failed: 4,
        sent_bytes: 10,
        received_bytes: 1 << 40,
        cost_nano_usd: 500_000,
    };
    let row = |day, upstream: &str, usage| UsageRow { day, upstream: upstream.to_owned(), usage };
    for (day, upstream) in [(20_001, "crm"), (20_000, "crm"), (20_001, "erp"), (20_001, "crm")] {
        on.write(move |tx| tx.add_usage(&row(day, upstream, usage))).expect("added");
    }
    let twice = Usage {
        requests: 10,
        retries: 2,
        refused: 4,
        throttled: 6,
        failed: 8,
        sent_bytes: 20,
        received_bytes: 2 << 40,
        cost_nano_usd: 1_000_000,
    };
    let all = [row(20_000, "crm", usage), row(20_001, "crm", twice), row(20_001, "erp", usage)];
    assert_eq!(on.read(|view| view.usage(None, 0)), all);
    assert_eq!(on.read(|view| view.usage(Some("crm"), 20_001)), all[1..2]);
    on.write(|tx| tx.forget_usage(20_001)).expect("forgotten");
    assert_eq!(on.read(|view| view.usage(None, 0)), all[1..]);
}

pub(in crate::store) fn whether_an_upstream_is_up_and_its_latency_read_back_and_old_latency_is_forgotten(on: &Fixture) {
    assert_eq!(on.read(|view| view.health("crm")), None);
    let up = HealthRow { upstream: "crm".to_owned(), up: true, since: 5, seen_at: 6, error: None, error_at: None };
    let down =
        HealthRow { up: false, since: 7, error: Some("GET /me: 503".to_owned()), error_at: Some(7), ..up.clone() };
    for row in [&up, &down] {
        let given = row.clone();
        on.write(move |tx| tx.set_health(&given)).expect("kept");
        assert_eq!(on.read(|view| view.health("crm")).as_ref(), Some(row));
    }
    assert_eq!(on.read(|view| view.health("erp")), None);
    let row =
        |grain, at, failed| LatencyRow { upstream: "crm".to_owned(), grain, at, failed, buckets: format!("{at}:1") };
    let rows = [
        row(Grain::Minute, 60, 0),
        row(Grain::Minute, 120, 1),
        row(Grain::Hour, 0, 0),
        row(Grain::Minute, 120, 2),
        LatencyRow { upstream: "erp".to_owned(), ..row(Grain::Minute, 60, 0) },
    ];
    for row in rows {
        on.write(move |tx| tx.set_latency(&row)).expect("kept");
    }
    let minutes = |from| on.read(move |view| view.latency("crm", Grain::Minute, from));
    assert_eq!(minutes(0), [row(Grain::Minute, 60, 0), row(Grain::Minute, 120, 2)]);
    assert_eq!(minutes(61).len(), 1);
    on.write(|tx| tx.forget_latency(Grain::Minute, 120)).expect("forgotten");
    assert_eq!(minutes(0).len(), 1);
    assert_eq!(on.read(|view| view.latency("crm", Grain::Hour, 0)), [row(Grain::Hour, 0, 0)]);
    assert_eq!(on.read(|view| view.latency("erp", Grain::Minute, 0)), []);
}
