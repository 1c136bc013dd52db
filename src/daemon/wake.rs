//! Owns: what waits in the store for a pass: edits, decisions of people, webhooks, work that may be tried again later; pauses.
//!
//! Must not know: when passes are made.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use crate::merge::IntentState;
use crate::reconcile::{asked_until, has_listed_nothing, reauth_required};
use crate::rules::Ruleset;
use crate::store::{ConflictFilter, ConflictRow, IntentFilter, PassRow, Store, StoreError, View, read, write};

use super::event::Mark;
use super::job::jitter;

/// Writes that wait are looked through up to this many.
const WRITES_MAX: usize = 1000;
/// How long after a pass that came to nothing the next one is made, whatever the schedule says; each time in a row it is twice
/// as long, and never longer than `AGAIN_MAX`. Up to a fifth more is drawn.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
/// See `AGAIN_FIRST`.
const AGAIN_MAX: Duration = Duration::from_mins(10);
/// So many passes are looked through for those that came to nothing in a row: 8 are enough for `AGAIN_MAX`, and there may be others
/// among them that were about few records.
const PASSES_MAX: usize = 64;

/// Until when an upstream is left alone is kept to the nearest second: whoever comes back then may be so much too early.
const ROUNDED: TimeDelta = TimeDelta::milliseconds(500);

/// What the store says of a collection.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which.
    pub collection: String,
    /// What waits for a pass.
    pub mark: Mark,
    /// It rests.
    pub paused: bool,
}

/// What the store says of each of these collections.
pub async fn notices(store: &dyn Store, collections: Vec<String>) -> Result<Vec<Notice>, StoreError> {
    let notice = |view: &dyn View, collection: String| {
        let (mark, paused) = (mark(view, collection.clone())?, is_paused(view, &collection)?);
        Ok(Notice { collection, mark, paused })
    };
    read(store, move |view| collections.into_iter().map(|name| notice(view, name)).collect()).await
}

fn mark(view: &dyn View, collection: String) -> Result<Mark, StoreError> {
    let edit = view.collection_key(&collection)?.map_or(Ok(0), |key| view.newest_edit(key))?;
    let hooked = view.newest_hook(&collection)?;
    let halts = view.halts(Some(&collection), true)?;
    let resolved = ConflictFilter { collection: Some(collection), resolved_only: true, ..ConflictFilter::default() };
    let resolved = view.conflicts(&resolved)?;
    Ok(Mark {
        edit,
        approved: halts.iter().filter_map(|halt| halt.approved_at).max().unwrap_or(0),
        resolved: name_of(&resolved),
        hooked,
    })
}

/// Another number for other resolutions.
fn name_of(resolved: &[ConflictRow]) -> u64 {
    let mut hash = Xxh3::new();
    for row in resolved {
        hash.update(&row.id.to_le_bytes());
        hash.update(row.resolution.as_deref().unwrap_or_default().as_bytes());
        hash.update(&[0]);
    }
    if resolved.is_empty() { 0 } else { hash.digest().max(1) }
}

/// The first moment after the last pass began at which work of a collection that it had to leave may be tried again.
pub async fn retry_at(
    store: &dyn Store,
    rules: &Arc<Ruleset>,
    collection: &str,
    began: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let (rules, name) = (Arc::clone(rules), collection.to_owned());
    read(store, move |view| {
        let filter = IntentFilter {
            collection: Some(name.clone()),
            states: IntentState::OPEN.into_iter().chain(IntentState::SENDABLE).collect(),
            limit: WRITES_MAX,
            ..IntentFilter::default()
        };
        let writes = view.intents(&filter)?;
        let mut next: Option<DateTime<Utc>> = None;
        for binding in rules.collections.get(&name).iter().flat_map(|collection| &collection.bindings) {
            let upstream = &binding.upstream.name;
            let waits = writes.iter().filter(|write| write.upstream == *upstream).filter_map(|write| write.not_before);
            let first = waits.min().and_then(DateTime::from_timestamp_micros);
            // A write whose time has come waits all the same while its upstream wants to be left alone.
            let left_alone = asked_until(view, upstream)?.and_then(|until| until.checked_add_signed(ROUNDED));
            let at = first.max(left_alone).filter(|at| began.is_none_or(|began| *at > began));
            next = [next, at].into_iter().flatten().min();
        }
        Ok([next, again_at(view, &name)?].into_iter().flatten().min())
    })
    .await
}

/// When a collection is tried again whose last pass failed, or met an upstream that was not to be had: one that did not say until
/// when, and does not wait for a person to sign in.
fn again_at(view: &dyn View, collection: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let passes = view.passes(Some(collection), PASSES_MAX)?;
    let came_to_nothing = |pass: &&PassRow| matches!(pass.outcome.as_str(), "failed" | "unavailable");
    // That one went well which was about few records says nothing of what others left.
    let tells = |pass: &&PassRow| came_to_nothing(pass) || !has_listed_nothing(pass);
    let in_a_row = passes.iter().filter(tells).take_while(came_to_nothing);
    let (of_few, of_all): (Vec<&PassRow>, Vec<&PassRow>) = in_a_row.partition(|pass| has_listed_nothing(pass));
    // Nor do those that are made for every edit put off when the rest is tried again.
    let (Some(last), in_a_row) = (of_all.first().or(of_few.last()), of_all.len().max(1)) else { return Ok(None) };
    let ended = last.ended_at.unwrap_or(last.started_at);
    if last.outcome == "unavailable" {
        let mut is_worth_it = false;
        for upstream in lacking(last) {
            let said_when = asked_until(view, &upstream)?.is_some_and(|until| until.timestamp_micros() > ended);
            is_worth_it |= !said_when && reauth_required(view, &upstream)?.is_none();
        }
        if !is_worth_it {
            return Ok(None);
        }
    }
    Ok(after(collection, ended, in_a_row))
}

/// How many passes in a row have failed or came to no end, the last ones of a collection, in whichever process; none where the
/// database cannot be read.
pub async fn errors_in_a_row(store: &dyn Store, collection: &str) -> usize {
    let name = collection.to_owned();
    let passes = read(store, move |view| view.passes(Some(&name), PASSES_MAX)).await.unwrap_or_default();
    passes.iter().take_while(|pass| matches!(pass.outcome.as_str(), "failed" | "interrupted")).count()
}

/// When it is tried again after a pass that ended in an error just now, the last of so many in a row. Where the database could
/// not be written to it does not say that there was one; then what is known from it is of earlier passes, or nothing.
pub fn after_error(
    collection: &str,
    in_a_row: usize,
    known: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let again = after(collection, now.timestamp_micros(), in_a_row);
    [known.filter(|at| *at > now), again].into_iter().flatten().min()
}

/// When the next pass is made where so many in a row came to nothing, and the last of these ended then.
fn after(collection: &str, ended: i64, in_a_row: usize) -> Option<DateTime<Utc>> {
    let times = u32::try_from(in_a_row.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = AGAIN_FIRST.saturating_mul(2_u32.saturating_pow(times)).min(AGAIN_MAX);
    let wait = wait + jitter(collection, ended, wait / 5);
    DateTime::from_timestamp_micros(ended)?.checked_add_signed(TimeDelta::from_std(wait).ok()?)
}

/// The upstreams that a pass could not read or write.
fn lacking(pass: &PassRow) -> Vec<String> {
    let counts: Value = serde_json::from_str(&pass.counts).unwrap_or_default();
    let upstreams = counts["upstreams"].as_array().into_iter().flatten();
    let lacking = upstreams.filter(|one| one["error"].is_string());
    lacking.filter_map(|one| one["upstream"].as_str()).map(str::to_owned).collect()
}

/// Whether a collection rests.
pub fn is_paused(view: &dyn View, collection: &str) -> Result<bool, StoreError> {
    Ok(view.note(&note_of(collection))?.as_deref() == Some("true"))
}

/// Keeps that a collection rests, or goes on, for this process and the next.
pub async fn set_paused(store: &dyn Store, collection: &str, paused: bool) -> Result<(), StoreError> {
    let name = note_of(collection);
    write(store, move |tx| tx.set_note(&name, if paused { "true" } else { "false" })).await
}

fn note_of(collection: &str) -> String {
    format!("{collection} is paused")
}

#[cfg(test)]
mod tests {
    use crate::store::{OpenOptions, SqliteStore};

    use super::*;

    const ENDED: i64 = 1_000_000_000;

    /// How long after its end a collection is tried again whose passes ended so, the last one last. `unavailable` may have a
    /// colon behind it and the upstreams that were not to be had; passes about few records are marked so.
    async fn waits(outcomes: &[&str], states: &[(&'static str, &'static str)]) -> Option<Duration> {
        let store = SqliteStore::open(&OpenOptions::memory()).unwrap();
        for (at, outcome) in (0..).zip(outcomes) {
            let (outcome, lacking) = outcome.split_once(':').unwrap_or((outcome, "crm"));
            let (read, outcome) =
                outcome.strip_prefix("few ").map_or(("full", outcome), |outcome| ("targeted", outcome));
            let one = |name: &str| serde_json::json!({ "upstream": name, "error": "503", "read": read });
            let all: Vec<Value> =
                lacking.split(',').map(one).chain([serde_json::json!({ "upstream": "well" })]).collect();
            let row = PassRow {
                collection: "contacts".to_owned(),
                outcome: outcome.to_owned(),
                started_at: at,
                ended_at: Some(ENDED),
                counts: serde_json::json!({ "upstreams": all }).to_string(),
                ..PassRow::default()
            };
            let other = PassRow { collection: "others".to_owned(), outcome: "failed".to_owned(), ..row.clone() };
            write(&store, move |tx| [row, other].iter().try_for_each(|row| tx.begin_pass(row).map(drop)))
                .await
                .unwrap();
        }
        for (name, state) in states.iter().copied() {
            write(&store, move |tx| tx.set_upstream_state(name, state)).await.unwrap();
        }
        let at = read(&store, |view| again_at(view, "contacts")).await.unwrap();
        at.map(|at| Duration::from_micros(u64::try_from(at.timestamp_micros() - ENDED).unwrap()))
    }

    #[tokio::test]
    async fn a_pass_that_came_to_nothing_is_made_again_and_less_and_less_often() {
        let about = |seconds: u128| seconds * 1000..seconds * 1200;
        let mut row = vec!["unavailable", "ok"];
        for seconds in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            row.push(if row.len() % 2 == 0 { "unavailable" } else { "failed" });
            let wait = waits(&row, &[]).await.unwrap();
            assert!(about(seconds).contains(&wait.as_millis()), "{row:?}: {wait:?}");
        }
        for other in ["ok", "conflicts", "pending", "halted", "interrupted"] {
            row.push(other);
            assert_eq!(waits(&row, &[]).await, None, "{row:?}");
        }
        assert_eq!(waits(&[], &[]).await, None);
    }

    #[tokio::test]
    async fn passes_about_few_records_neither_make_up_for_what_was_left_nor_put_it_off() {
        for (passes, seconds) in [
            (&["ok", "unavailable", "unavailable", "few ok", "few conflicts"][..], 10),
            (&["unavailable", "unavailable", "few unavailable", "few ok", "few unavailable"], 10),
            (&["ok", "few unavailable", "few unavailable", "few unavailable"], 5),
        ] {
            let wait = waits(passes, &[]).await.unwrap();
            assert!((seconds * 1000..seconds * 1200).contains(&wait.as_millis()), "{passes:?}: {wait:?}");
        }
        assert_eq!(waits(&["unavailable", "ok", "few ok"], &[]).await, None);
    }

    #[tokio::test]
    async fn f16_errors_in_a_row_are_counted_over_a_restart() {
        let store = SqliteStore::open(&OpenOptions::memory()).unwrap();
        for (outcome, expected) in
            [("ok", 0), ("interrupted", 1), ("failed", 2), ("interrupted", 3), ("unavailable", 0)]
        {
            let row = PassRow { collection: "contacts".to_owned(), outcome: outcome.to_owned(), ..PassRow::default() };
            write(&store, move |tx| tx.begin_pass(&row).map(drop)).await.unwrap();
            assert_eq!(errors_in_a_row(&store, "contacts").await, expected, "{outcome}");
            assert_eq!(errors_in_a_row(&store, "others").await, 0);
        }
    }

    #[tokio::test]
    async fn an_upstream_that_said_until_when_or_waits_for_a_person_is_left_alone() {
        let (asked, past) = (
            ("crm", r#"{"asked_until":"2026-01-01T00:00:00Z"}"#),
            ("crm", r#"{"asked_until":"1970-01-01T00:00:01Z"}"#),
        );
        let open = ("crm", r#"{"breaker":{"state":"open","until":"2026-01-01T00:00:00Z"}}"#);
        let reauth = ("crm", r#"{"reauth":"the grant is over"}"#);
        for (state, passes, expected) in [
            (asked, "unavailable", false),
            (open, "unavailable", false),
            (reauth, "unavailable", false),
            (past, "unavailable", true),
            (asked, "unavailable:crm,erp", true),
            (asked, "unavailable:erp", true),
            (asked, "failed", true),
        ] {
            assert_eq!(waits(&[passes], &[state]).await.is_some(), expected, "{state:?} {passes}");
        }
    }
    #[test]
    fn f16_a_pass_that_stands_nowhere_is_made_again_and_less_and_less_often() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let now = at(1_000_000);
        let waits = |in_a_row, known| {
            let again = after_error("contacts", in_a_row, known, now).unwrap();
            (again - now).num_milliseconds()
        };
        for (in_a_row, seconds) in [(1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (9, 600), (usize::MAX, 600)] {
            let expected = seconds * 1000..seconds * 1200;
            assert!(expected.contains(&waits(in_a_row, None)), "{in_a_row}");
            assert_eq!(waits(in_a_row, Some(now)), waits(in_a_row, None), "what is known is of an earlier pass");
            assert_eq!(waits(in_a_row, Some(at(1_003_600))), waits(in_a_row, None), "no need to wait so long");
            assert_eq!(waits(in_a_row, Some(at(1_000_002))), 2000, "something is to be done before");
        }
    }
}
