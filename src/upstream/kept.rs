//! Owns: what is known of an upstream beyond the life of a process, as it is stored.
//!
//! Must not know: where it is stored; what it is used for.

use chrono::{DateTime, Utc};

/// What one process leaves to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// The upstream asked to be left alone until then.
    #[serde(default)]
    pub asked_until: Option<DateTime<Utc>>,
    /// The circuit breaker, where it is not simply closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<KeptBreaker>,
    /// What was spent of long budgets, as earlier versions kept it here.
    #[serde(default, skip_serializing)]
    pub budgets: Vec<KeptBudget>,
    /// Why a person has to sign in (again) before anything is asked there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reauth: Option<String>,
}

/// The breaker of an upstream that fails.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeptBreaker {
    /// `open`: nothing is sent before `until`; then probes are. `closed`: it may open soon.
    pub state: BreakerState,
    /// When probes begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// How often it opened in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub openings: u32,
    /// The latest calls while it is closed, the oldest first: `x` failed, `.` did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recent: String,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls leave.
    Closed,
    /// None leave before a time; then probes do.
    Open,
}

/// What was spent of one budget.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeptBudget {
    /// The budget in words.
    pub budget: String,
    /// When so many requests stop counting.
    pub spent: Vec<(DateTime<Utc>, u64)>,
}

impl Kept {
    /// True where nothing of it matters any more.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.asked_until.is_none_or(|until| until <= now)
            && self.breaker.is_none()
            && self.reauth.is_none()
            && self.budgets.iter().flat_map(|budget| &budget.spent).all(|(until, _)| *until <= now)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
