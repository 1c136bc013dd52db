//! Owns: how things stand, in lines for the log.
//!
//! Must not know: when it is asked for.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::rules::{Collection, Ruleset};
use crate::store::{ConflictFilter, IntentFilter, QuarantineFilter, Store, StoreError, View, read};

use super::schedule::next_due;

/// Beyond this, waiting things are not counted.
const COUNT_MAX: usize = 1000;

/// One line for each collection.
pub async fn lines(store: &dyn Store, rules: &Arc<Ruleset>, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    let rules = Arc::clone(rules);
    read(store, move |view| rules.in_order().into_iter().map(|collection| line(view, collection, now)).collect()).await
}

fn line(view: &dyn View, collection: &Collection, now: DateTime<Utc>) -> Result<String, StoreError> {
    let name = || Some(collection.name.clone());
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let last = view.last_pass(&collection.name)?;
    let began = last.as_ref().and_then(|pass| DateTime::from_timestamp_micros(pass.started_at));
    let mut said = match (&last, began) {
        (Some(pass), Some(began)) if pass.ended_at.is_none() => format!("pass {} runs since {}", pass.id, text(began)),
        (Some(pass), Some(began)) => {
            format!("pass {} ({}) of {}: {}", pass.id, pass.trigger, text(began), pass.outcome)
        }
        (Some(_) | None, _) => "no pass yet".to_owned(),
    };
    let next = collection.schedule.as_ref().and_then(|schedule| next_due(schedule, began, now));
    said += &next.map_or_else(|| ", none scheduled".to_owned(), |next| format!(", the next at {}", text(next)));
    let (conflicts, _) = view.conflict_count(&ConflictFilter { collection: name(), ..ConflictFilter::default() })?;
    let intents = IntentFilter { collection: name(), limit: COUNT_MAX, ..IntentFilter::default() };
    let aside = QuarantineFilter { collection: name(), limit: COUNT_MAX, ..QuarantineFilter::default() };
    let (writes, aside) = (view.intents(&intents)?.len(), view.quarantined(&aside)?.len());
    said += &format!("; {writes} writes wait, {conflicts} conflicts are open, {aside} records are set aside or wait");
    for halt in view.halts(Some(&collection.name), true)? {
        said += &format!("; halted: `reconciled approve {}` shows why", halt.id);
    }
    Ok(format!("{}: {said}", collection.name))
}
