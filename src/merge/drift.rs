//! Owns: noticing that an upstream's schema changed under us: a field that many records showed is missing, empty or
//! unreadable all at once (s47, f35).
//!
//! Must not know: what becomes of single records: absence clears nothing, and what cannot be read stands still.

use std::collections::BTreeMap;

use crate::record::Slot;
use crate::rules::{Collection, Origin};

use super::guard::Tally;
use super::{Halt, Observation};

/// Of the linked records at an upstream; beyond, one field is taken for renamed, retyped or cleared by mistake.
pub(super) const SHARE_MAX: f64 = 0.10;

/// Fewer records than this say nothing about a schema.
const RECORDS_MIN: u64 = 5;

/// How many records lost the value of a field at once, by binding and field.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    lost: BTreeMap<(usize, usize), u64>,
}

impl Drift {
    /// Counts one record that was seen anew. `before` is what the record was when it was seen last, read as it is read now.
    pub fn add(&mut self, collection: &Collection, binding: usize, before: &[Slot], now: &Observation) {
        for field in suspects(collection, binding, now) {
            if before.get(field).and_then(Slot::value).is_some_and(|value| !value.is_empty()) {
                *self.lost.entry((binding, field)).or_default() += 1;
            }
        }
    }

    /// The halts that this gives reason for.
    pub fn halts(&self, collection: &Collection, tally: &Tally) -> Vec<Halt> {
        let over = self.lost.iter().filter_map(|(&(binding, field), &count)| {
            let total = tally.bindings.get(binding)?.total;
            let halt = Halt {
                target: Origin::Upstream(collection.bindings.get(binding)?.upstream.name.clone()),
                what: format!("schema: {}", collection.fields.get(field)?.name),
                count,
                total,
                limit: "10%".to_owned(),
            };
            (count >= RECORDS_MIN && exceeds(count, total)).then_some(halt)
        });
        over.collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "totals far below 2^52 records")]
fn exceeds(count: u64, total: u64) -> bool {
    count as f64 > SHARE_MAX * total as f64
}

/// The fields that are read there and of which this record shows no value.
fn suspects(collection: &Collection, binding: usize, now: &Observation) -> Vec<usize> {
    let Some(rules) = collection.bindings.get(binding).filter(|rules| rules.pull) else { return Vec::new() };
    let empty = |slot: Option<&Slot>| match slot {
        Some(Slot::Value(value)) => value.is_empty(),
        Some(Slot::Absent | Slot::Bad(_)) | None => true,
    };
    let read = |field: &usize| rules.mapper.field(*field).is_some_and(|map| map.pull);
    (0..collection.fields.len()).filter(read).filter(|&field| empty(now.slots.get(field))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::guard::Counts;
    use crate::merge::testkit::{collection, edit_map, observation, slots, text};

    #[test]
    fn f35_s47_a_field_that_many_records_lose_at_once_halts_and_few_or_scattered_ones_do_not() {
        let check = |total: u64, records: &[(&str, &str)], expected: &[&str]| {
            let collection = collection(vec![text("f"), text("g")], &["crm"]);
            let mut drift = Drift::default();
            for (before, now) in records {
                drift.add(&collection, 0, &slots(&collection, before), &observation(&collection, now));
            }
            let tally = Tally::new(Counts::default(), vec![Counts { total, ..Counts::default() }]);
            let halts = drift.halts(&collection, &tally);
            let told: Vec<String> =
                halts.iter().map(|halt| format!("{} {}/{}", halt.what, halt.count, halt.total)).collect();
            assert_eq!(told, expected);
        };
        check(5, &[("a b", "? b"); 5], &["schema: f 5/5"]);
        check(5, &[("a b", "! b"); 5], &["schema: f 5/5"]);
        check(5, &[("a b", "~ b"); 5], &["schema: f 5/5"]);
        check(5, &[("a b", "_ ?"); 5], &["schema: f 5/5", "schema: g 5/5"]);
        // Few records say nothing; nor do many, where there are many more; nor do those that never had a value.
        check(4, &[("a b", "? b"); 4], &[]);
        check(50, &[("a b", "? b"); 5], &[]);
        check(50, &[("a b", "? b"); 6], &["schema: f 6/50"]);
        check(5, &[("? b", "? b"); 5], &[]);
        check(5, &[("~ b", "! b"); 5], &[]);
        check(5, &[("a b", "c b"); 5], &[]);
    }

    #[test]
    fn a_field_that_is_only_written_is_none_of_our_business() {
        let mut rules = collection(vec![text("f")], &["crm"]);
        edit_map(&mut rules, 0, 0).pull = false;
        assert_eq!(suspects(&rules, 0, &observation(&rules, "?")), Vec::<usize>::new());
    }
}
