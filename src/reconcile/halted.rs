//! Owns: the plan of a halted pass, kept for whoever is to approve it.
//!
//! Must not know: guards; how a plan is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::{HaltRow, StoreError, Tx, View};

use super::report::Change;

/// Kept at most, in bytes of JSON: a plan may concern large records.
const PLAN_BYTES_MAX: usize = 1 << 20;

/// What a halted pass would have changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HaltedPlan {
    /// The first changes, as `plan` lists them.
    pub changes: Vec<Change>,
    /// Changes beyond the list.
    pub omitted: u64,
}

/// A plan as it is kept: bound to one halt.
#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    #[serde(flatten)]
    plan: HaltedPlan,
}

impl HaltedPlan {
    /// As much of these changes as is kept.
    pub fn of(changes: &[Change], omitted: u64) -> Self {
        let mut bytes = 0;
        let fits = |change: &&Change| {
            bytes += serde_json::to_vec(change).map_or(PLAN_BYTES_MAX, |json| json.len());
            bytes <= PLAN_BYTES_MAX
        };
        let kept: Vec<Change> = changes.iter().take_while(fits).cloned().collect();
        let left = changes.len() - kept.len();
        Self { changes: kept, omitted: omitted.saturating_add(left as u64) }
    }
}

/// Keeps the plan of a halt. A collection has one open halt, so that there is one plan of it.
pub fn keep(tx: &mut dyn Tx, row: &HaltRow, plan: HaltedPlan) -> Result<(), StoreError> {
    let kept = Kept { fingerprint: row.fingerprint.clone(), plan };
    tx.set_note(&note_name(&row.collection), &serde_json::to_string(&kept).unwrap_or_default())
}

/// The plan is needed no more.
pub fn forget(tx: &mut dyn Tx, collection: &str) -> Result<(), StoreError> {
    tx.set_note(&note_name(collection), "null")
}

/// The plan that an approval of this halt lets through; `None` where it was made before plans were kept.
pub fn halted_plan(view: &dyn View, row: &HaltRow) -> Result<Option<HaltedPlan>, StoreError> {
    let text = view.note(&note_name(&row.collection))?.unwrap_or_default();
    let kept: Option<Kept> = serde_json::from_str(&text).unwrap_or_default();
    Ok(kept.filter(|kept| kept.fingerprint == row.fingerprint).map(|kept| kept.plan))
}

fn note_name(collection: &str) -> String {
    format!("plan that {collection} halted with")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::FieldChange;

    #[test]
    fn as_much_is_kept_as_there_is_room_for_and_the_rest_is_counted() {
        let change = |bytes: usize| Change {
            collection: "contacts".into(),
            record: "1".into(),
            title: String::new(),
            target: "crm".into(),
            action: "update".into(),
            fields: vec![FieldChange {
                field: "note".into(),
                before: None,
                after: Some("x".repeat(bytes)),
                rule: String::new(),
                winner: None,
            }],
            request: None,
            rule: None,
            atomic: true,
            note: None,
            conflict: None,
        };
        let check = |sizes: &[usize], omitted: u64, expected: (usize, u64)| {
            let changes: Vec<Change> = sizes.iter().map(|size| change(*size)).collect();
            let plan = HaltedPlan::of(&changes, omitted);
            assert_eq!((plan.changes.len(), plan.omitted), expected, "{sizes:?}");
        };
        check(&[], 0, (0, 0));
        check(&[10, 10], 7, (2, 7));
        check(&[10, PLAN_BYTES_MAX, 10], 7, (1, 9));
    }
}
