//! Owns: the part of the suite about what was asked of upstreams.
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
