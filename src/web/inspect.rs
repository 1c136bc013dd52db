//! Owns: what pages and API show and decide besides records and passes: plans of halts, many conflicts at once, rules,
//! webhooks, upstreams with their troubles, passes as charts.
//!
//! Must not know: HTML, HTTP.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::Serialize;

use crate::daemon::{Place, Standing};
use crate::ops::{self, Bulk, BulkDone, HaltView, Inbox, OpsError, Pass, UpstreamStatus, rfc3339, upstreams as states};
use crate::rules::{Collection, Diagnostic, Origin, Policy};
use crate::store::{HookState, PassRow, StoreError, View, read};

use super::site::Site;
use super::wires::{Wire, wires};

/// Passes that are looked at for what went wrong at upstreams.
const PASSES_MAX: usize = 100;
/// Troubles that are shown of one upstream.
const TROUBLES_MAX: usize = 5;
/// Passes of one chart.
pub const CHARTED_MAX: usize = 40;

/// What is known of an upstream.
#[derive(Debug, JsonSchema, Serialize)]
pub struct UpstreamView {
    /// Its name, and the engine's own state.
    #[serde(flatten)]
    pub status: UpstreamStatus,
    /// How much it may be asked at the moment.
    #[serde(flatten)]
    pub room: Room,
    /// What went wrong of late, the newest first.
    pub troubles: Vec<Trouble>,
}

/// How much an upstream may be asked.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct Room {
    /// Its budgets.
    pub budgets: Vec<BudgetUse>,
    /// So many requests may be under way at once: as many as it bears, as far as its answers tell.
    pub at_once: usize,
    /// The most that the rules allow.
    pub at_once_max: usize,
}

/// What is spent of a budget.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BudgetUse {
    /// In words: `10000 per 86400 s`, with the requests that it is for where it is not for all.
    pub budget: String,
    /// Requests that still count.
    pub spent: u64,
    /// So many may leave within the window.
    pub limit: u64,
    /// The window, in seconds.
    pub window_s: f64,
    /// Until the next request has room, in seconds; 0 where it has.
    pub wait_s: f64,
}

/// A pass that could not read or write an upstream.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Trouble {
    /// The pass.
    pub pass: i64,
    /// Its collection.
    pub collection: String,
    /// RFC 3339.
    pub at: Option<String>,
    /// What went wrong.
    pub error: String,
}

/// The rules in force, and what is said of their files.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RulesView {
    /// Names the rules in force.
    pub hash: String,
    /// Since when they are, RFC 3339.
    pub since: String,
    /// Why the files as they are now are refused, for people.
    pub refused: Option<String>,
    /// The files as they are now come into force when the running passes of these collections have ended.
    pub waits_for: Vec<String>,
    /// They change these: until then only edits and webhooks make passes of them.
    pub changes: Vec<String>,
    /// The files that were read last.
    pub files: Vec<String>,
    /// What is wrong with them, or deserves a look.
    pub diagnostics: Vec<Diagnostic>,
    /// What the rules in force say.
    pub collections: Vec<CollectionRules>,
}

/// What the rules say of a collection.
#[derive(Debug, JsonSchema, Serialize)]
pub struct CollectionRules {
    /// The collection.
    pub collection: String,
    /// Its upstreams; `pull` and `push` say what is taken from there and written to there.
    pub upstreams: Vec<BoundTo>,
    /// Its fields, in the order of the rules.
    pub fields: Vec<FieldRules>,
}

/// An upstream of a collection.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BoundTo {
    /// The upstream.
    pub upstream: String,
    /// Records are taken from there.
    pub pull: bool,
    /// Records are written to there.
    pub push: bool,
}

/// What the rules say of a field.
#[derive(Debug, JsonSchema, Serialize)]
pub struct FieldRules {
    /// The field.
    pub field: String,
    /// Its type.
    pub r#type: String,
    /// A record must have it.
    pub required: bool,
    /// How two edits are decided, in this order.
    pub merge: Vec<String>,
    /// The only side that may set it.
    pub owner: Option<String>,
}

/// The latest passes of a collection, the oldest first.
#[derive(Debug)]
pub struct Chart {
    /// The collection.
    pub collection: String,
    /// Its passes.
    pub points: Vec<Point>,
}

/// One pass of a chart.
#[derive(Debug, PartialEq, Eq)]
pub struct Point {
    /// The pass.
    pub pass: i64,
    /// Records written, here and at upstreams.
    pub written: u64,
    /// How long it took.
    pub millis: u64,
    /// How it ended.
    pub outcome: String,
}

impl Site {
    /// An open halt with its plan.
    pub async fn halt(&self, id: i64) -> Result<HaltView, OpsError> {
        let found = read(self.store.as_ref(), move |view| ops::open_halt(view, id)).await?;
        found.ok_or_else(|| OpsError::NotFound(format!("no halt {id} waits for approval")))
    }

    /// Rejects a halt.
    pub async fn reject(&self, id: i64) -> Result<String, OpsError> {
        let collection = self.front.reject(self.store.as_ref(), id).await?;
        tracing::info!("web: halt {id} of {collection} is rejected");
        Ok(collection)
    }

    /// Takes one side's say for many conflicts.
    pub async fn resolve_all(&self, bulk: Bulk, side: &str) -> Result<BulkDone, OpsError> {
        let rules = self.front.desk.standing().rules;
        let done = ops::resolve_all(self.store.as_ref(), &rules, bulk, side).await?;
        tracing::info!("web: {} conflicts are resolved at once, {} are left", done.decided, done.left);
        Ok(done)
    }

    /// Webhooks that came in.
    pub async fn webhooks(
        &self,
        state: Option<HookState>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Inbox, OpsError> {
        Ok(read(self.store.as_ref(), move |view| ops::inbox(view, state, after, limit)).await?)
    }

    /// Lets a webhook that could not be followed wait again.
    pub async fn retry_hook(&self, id: i64) -> Result<(), OpsError> {
        let (rules, now) = (self.front.desk.standing().rules, self.front.clock.now().timestamp_micros());
        ops::retry_hook(self.store.as_ref(), &rules, id, now).await?;
        tracing::info!("web: webhook {id} waits again");
        Ok(())
    }

    /// Forgets a webhook that could not be followed.
    pub async fn drop_hook(&self, id: i64) -> Result<(), OpsError> {
        ops::drop_hook(self.store.as_ref(), id).await?;
        tracing::info!("web: webhook {id} is dropped");
        Ok(())
    }

    /// The rules, and what is said of them.
    pub fn rules(&self) -> RulesView {
        let standing = self.front.desk.standing();
        let Standing { rules, rules_since, rules_refused, rules_wait_for, rules_change, said, .. } = standing;
        RulesView {
            hash: rules.hash.clone(),
            since: rules_since.to_rfc3339_opts(SecondsFormat::Secs, true),
            refused: rules_refused,
            waits_for: rules_wait_for,
            changes: rules_change,
            files: said.files.clone(),
            diagnostics: said.diagnostics.clone(),
            collections: rules.in_order().into_iter().map(|one| CollectionRules::of(one)).collect(),
        }
    }

    /// What is known of each upstream.
    pub async fn upstreams(&self) -> Result<Vec<UpstreamView>, OpsError> {
        let (Standing { rules, clients, .. }, now) = (self.front.desk.standing(), self.front.clock.now());
        let views = read(self.store.as_ref(), move |view| {
            let mut troubles = troubles(view)?;
            let mut rooms: BTreeMap<String, Room> =
                wires(view, &rules, &clients)?.into_iter().map(Wire::into_room).collect();
            let one = |status: UpstreamStatus| {
                let name = &status.upstream;
                let (troubles, room) = (troubles.remove(name), rooms.remove(name));
                UpstreamView { room: room.unwrap_or_default(), troubles: troubles.unwrap_or_default(), status }
            };
            Ok(states(view, &rules, now)?.into_iter().map(one).collect())
        });
        Ok(views.await?)
    }

    /// The latest passes of each collection.
    pub async fn charts(&self) -> Result<Vec<Chart>, OpsError> {
        let places = self.front.desk.standing().collections;
        let charts = read(self.store.as_ref(), move |view| {
            let chart = |place: &Place| {
                let rows = view.passes(Some(&place.collection), CHARTED_MAX)?;
                Ok(Chart {
                    collection: place.collection.clone(),
                    points: rows.iter().rev().filter_map(point).collect(),
                })
            };
            places.iter().map(chart).collect::<Result<Vec<_>, StoreError>>()
        });
        Ok(charts.await?)
    }
}

/// Of a pass that ended.
fn point(row: &PassRow) -> Option<Point> {
    let pass = Pass::from(row);
    Some(Point { pass: pass.id, written: pass.written(), millis: pass.took_ms?, outcome: pass.outcome })
}

fn troubles(view: &dyn View) -> Result<BTreeMap<String, Vec<Trouble>>, StoreError> {
    let mut all: BTreeMap<String, Vec<Trouble>> = BTreeMap::new();
    for row in view.passes(None, PASSES_MAX)? {
        for part in Pass::from(&row).upstreams {
            let Some(error) = part.error else { continue };
            let known = all.entry(part.upstream).or_default();
            if known.len() < TROUBLES_MAX {
                let at = row.ended_at.and_then(rfc3339);
                known.push(Trouble { pass: row.id, collection: row.collection.clone(), at, error });
            }
        }
    }
    Ok(all)
}

impl CollectionRules {
    fn of(collection: &Collection) -> Self {
        let bound = collection.bindings.iter();
        let field = |field: &crate::rules::Field| FieldRules {
            field: field.name.clone(),
            r#type: field.domain.ty.name().to_owned(),
            required: field.required,
            merge: field.chain.iter().map(|policy| policy_name(*policy).to_owned()).collect(),
            owner: field.owner.as_ref().map(|owner| Origin::name(&owner.origin).to_owned()),
        };
        Self {
            collection: collection.name.clone(),
            upstreams: bound
                .map(|one| BoundTo { upstream: one.upstream.name.clone(), pull: one.pull, push: one.push })
                .collect(),
            fields: collection.fields.iter().map(field).collect(),
        }
    }
}

/// As rules write it.
fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::SourcePriority => "source_priority",
        Policy::LocalEditWins => "local_edit_wins",
        Policy::Latest => "latest",
        Policy::Earliest => "earliest",
        Policy::Max => "max",
        Policy::Min => "min",
        Policy::PreferNonEmpty => "prefer_non_empty",
        Policy::Set => "set",
        Policy::Manual => "manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_charted_by_what_it_wrote_once_it_ended() {
        let row = |ended_at: Option<i64>, counts: &str| PassRow {
            id: 7,
            started_at: 1_000_000,
            ended_at,
            outcome: "ok".to_owned(),
            counts: counts.to_owned(),
            ..PassRow::default()
        };
        let counts = r#"{"local":{"created":1,"updated":2,"deleted":0},
            "upstreams":[{"written":{"created":0,"updated":3,"deleted":4},"planned":{"created":9}}]}"#;
        let expected = Point { pass: 7, written: 10, millis: 1_500, outcome: "ok".to_owned() };
        assert_eq!(point(&row(Some(2_500_000), counts)), Some(expected));
        assert_eq!(point(&row(Some(1_000_000), "{}")).map(|point| (point.written, point.millis)), Some((0, 0)));
        assert_eq!(point(&row(None, "{}")), None);
    }
}
