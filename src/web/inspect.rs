//! Owns: what pages and API show and decide besides records and passes: plans of halts, many conflicts at once, rules,
//! webhooks, upstreams with their troubles, passes as charts.
//!
//! Must not know: HTML, HTTP.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::daemon::{Place, Standing};
use crate::ops::{self, Bulk, BulkDone, HaltView, Inbox, OpsError, Pass, UpstreamStatus, rfc3339, upstreams as states};
use crate::rules::{Collection, Diagnostic, Origin, Policy};
use crate::store::{HookState, PassRow, StoreError, View, read};

use super::site::Site;

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
    /// Long budgets of which something is spent.
    pub budgets: Vec<BudgetUse>,
    /// What went wrong of late, the newest first.
    pub troubles: Vec<Trouble>,
}

/// What is spent of a budget.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BudgetUse {
    /// In words: `10000 per 86400 s`.
    pub budget: String,
    /// Requests that still count.
    pub spent: u64,
    /// So many there are.
    pub limit: u64,
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
        let Standing { rules, rules_since, rules_refused, said, .. } = self.front.desk.standing();
        RulesView {
            hash: rules.hash.clone(),
            since: rules_since.to_rfc3339_opts(SecondsFormat::Secs, true),
            refused: rules_refused,
            files: said.files.clone(),
            diagnostics: said.diagnostics.clone(),
            collections: rules.in_order().into_iter().map(|one| CollectionRules::of(one)).collect(),
        }
    }

    /// What is known of each upstream.
    pub async fn upstreams(&self) -> Result<Vec<UpstreamView>, OpsError> {
        let (rules, now) = (self.front.desk.standing().rules, self.front.clock.now());
        let views = read(self.store.as_ref(), move |view| {
            let mut troubles = troubles(view)?;
            let one = |status: UpstreamStatus| {
                let troubles = troubles.remove(&status.upstream).unwrap_or_default();
                UpstreamView { budgets: budgets(&status, now), troubles, status }
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

fn budgets(status: &UpstreamStatus, now: DateTime<Utc>) -> Vec<BudgetUse> {
    let state: Value = status.state.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let counts = |portion: &&Value| {
        let until = portion[0].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        until.is_some_and(|until| until > now)
    };
    let one = |kept: &Value| {
        let budget = kept["budget"].as_str()?.to_owned();
        let portions = kept["spent"].as_array()?;
        Some(BudgetUse {
            spent: portions.iter().filter(counts).filter_map(|portion| portion[1].as_u64()).sum(),
            limit: budget.split(' ').next()?.parse().ok()?,
            budget,
        })
    };
    state["budgets"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(one).collect()
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
    fn of_a_budget_counts_what_has_not_run_out() {
        let text = r#"{"budgets":[{"budget":"500 per 3600 s","spent":[["2026-01-01T00:00:00Z",3],["2026-01-01T02:00:00Z",40]]},
            {"budget":"many","spent":[]}]}"#;
        let status = UpstreamStatus { upstream: "crm".to_owned(), state: ops::raw(text), health: None };
        let now = DateTime::parse_from_rfc3339("2026-01-01T01:00:00Z").unwrap().to_utc();
        let found: Vec<(u64, u64)> = budgets(&status, now).iter().map(|one| (one.spent, one.limit)).collect();
        assert_eq!(found, [(40, 500)]);
    }
}
