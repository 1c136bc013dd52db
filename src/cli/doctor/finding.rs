//! Owns: one thing that was looked at, and how it is shown.
//!
//! Must not know: what is looked at.

use serde::Serialize;

use super::super::style::{self, paint};

/// How good it is; the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning,
    /// It must be put right.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `rules`, `database`, `upstream crm`, …
    pub check: String,
    /// How good it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn good(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, found: found.into(), remedy: None }
    }

    /// Worth a look.
    pub fn warning(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// It must be put right.
    pub fn error(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Error, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// One line, and one for the remedy.
    pub fn text(&self) -> String {
        let mark = match self.level {
            Level::Ok => paint(style::GOOD, "✓"),
            Level::Warning => paint(style::CHANGED, "!"),
            Level::Error => paint(style::BAD, "×"),
        };
        let (check, found) = (paint(style::HEAD, &self.check), style::clean(&self.found));
        let remedy = self.remedy.as_ref().map(|remedy| format!("    → {}\n", style::clean(remedy))).unwrap_or_default();
        format!("{mark} {check}: {found}\n{remedy}")
    }
}
