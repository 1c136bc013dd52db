//! Owns: the part of `check --online` that talks to upstreams: who we are there, and one mapped record per binding.
//!
//! Must not know: rules diagnostics.

use std::sync::Arc;

use serde::Serialize;

use crate::rules::Ruleset;

use super::exit::CliError;
use super::out::Out;
use super::style;
use super::workspace::Workspace;

/// What an upstream said to its health probe.
#[derive(Debug, Serialize)]
pub struct Answer {
    upstream: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Answer {
    /// True where the upstream did not answer as it should.
    pub fn is_failure(&self) -> bool {
        !self.ok
    }
}

/// One record as a binding maps it.
#[derive(Debug, Serialize)]
pub struct Sample {
    collection: String,
    upstream: String,
    /// Absent where the listing is empty or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Field name → canonical JSON, `null` where it says null; unmapped fields are left out.
    fields: Vec<SampleField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct SampleField {
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Everything that was asked.
pub struct Online {
    /// Per upstream.
    pub answers: Vec<Answer>,
    /// Per binding.
    pub samples: Vec<Sample>,
}

/// Asks all upstreams.
pub async fn ask(workspace: &Workspace, rules: &Arc<Ruleset>, out: &Out) -> Result<Online, CliError> {
    let scratch = workspace.scratch(false).await?;
    let engine = workspace.engine(scratch.store(), rules, out).await?;
    let answers = engine.check_online().await.into_iter().map(|(upstream, result)| answer(upstream, result)).collect();
    Ok(Online { answers, samples: Vec::new() })
}

fn answer(upstream: String, result: Result<Option<String>, crate::upstream::Failure>) -> Answer {
    match result {
        Ok(account) => Answer { upstream, ok: true, account, error: None },
        Err(failure) => Answer { upstream, ok: false, account: None, error: Some(failure.to_string()) },
    }
}

/// For people.
pub fn text(answers: &[Answer], samples: &[Sample], width: usize) -> String {
    let rows = answers
        .iter()
        .map(|answer| {
            let words = match (&answer.error, &answer.account) {
                (Some(error), _) => style::clean(error),
                (None, Some(account)) => format!("account {}", style::clean(account)),
                (None, None) => "no account in the answer".to_owned(),
            };
            vec![answer.upstream.clone(), if answer.ok { "ok" } else { "failed" }.to_owned(), words]
        })
        .collect();
    let mut text = style::table(width, &["upstream", "check", "answer"], rows);
    for sample in samples {
        let id = sample.id.as_deref().map(style::clean).unwrap_or_default();
        text += &style::heading(&format!("{} at {} {id}", sample.collection, sample.upstream));
        if let Some(error) = &sample.error {
            text += &format!("  {}\n", style::paint(style::BAD, style::clean(error)));
        }
        for field in &sample.fields {
            let shown = match (&field.error, &field.value) {
                (Some(error), _) => style::paint(style::BAD, style::clean(error)),
                (None, value) => style::cut(&style::value_or_dash(value.as_deref()), width.saturating_sub(24).max(20)),
            };
            text += &format!("  {:<20}  {shown}\n", field.field);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_samples_are_shown_side_by_side() {
        let answers = [
            Answer { upstream: "crm".to_owned(), ok: true, account: Some("a1".to_owned()), error: None },
            Answer { upstream: "erp".to_owned(), ok: false, account: None, error: Some("GET /me: 401".to_owned()) },
        ];
        let field = |field: &str, value: Option<&str>, error: Option<&str>| SampleField {
            field: field.to_owned(),
            value: value.map(str::to_owned),
            error: error.map(str::to_owned),
        };
        let samples = [Sample {
            collection: "contacts".to_owned(),
            upstream: "crm".to_owned(),
            id: Some("c7".to_owned()),
            fields: vec![field("name", Some("\"Ann\""), None), field("seen_at", None, Some("no date"))],
            error: None,
        }];
        insta::assert_snapshot!(style::bare(&text(&answers, &samples, 60)));
    }
}
