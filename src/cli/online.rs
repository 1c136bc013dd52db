//! Owns: the part of `check --online` that talks to upstreams: who we are there, and one mapped record per binding.
//!
//! Must not know: rules diagnostics.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ops::raw;
use crate::record::{Mapped, Slot};
use crate::rules::{Binding, Collection, Ruleset};
use crate::upstream::{Client, Failure};

use super::beside::{Beside, each, reason};
use super::exit::CliError;
use super::looking::first_records;
use super::out::Out;
use super::style;
use super::workspace::Workspace;

/// What an upstream said to its health probe.
#[derive(Debug, Serialize)]
pub struct Answer {
    upstream: String,
    ok: bool,
    /// False where the rules name no request to ask with; then only the listings tell.
    asked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One record as a binding maps it.
#[derive(Debug, Serialize)]
pub struct Sample {
    collection: String,
    upstream: String,
    /// The remote id; absent where the listing is empty or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Fields that the record shows; `null` where it says null.
    fields: Vec<SampleField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What becomes of a record like this one, where it is not synchronised: a tombstone, archived, out of scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    apart: Option<String>,
    /// True where the listing itself failed, not only what is in it.
    unavailable: bool,
}

#[derive(Debug, Serialize)]
struct SampleField {
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
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

impl Online {
    /// How many upstreams did not answer as they should, to the probe or to a listing.
    pub fn failures(&self) -> u64 {
        self.answers.iter().filter(|answer| !answer.ok).count() as u64
    }
}

/// Asks all upstreams.
pub async fn ask(workspace: &Workspace, rules: &Arc<Ruleset>, out: &Out) -> Result<Online, CliError> {
    let clients = workspace.clients_to_look(rules)?;
    let beside = Beside::begin(workspace, each(&clients), out);
    let mut answers = Vec::new();
    for (name, client) in &clients {
        out.talk(&format!("asking {name} …"));
        let asked = rules.upstreams.get(name).is_some_and(|upstream| upstream.check.is_some());
        answers.push(answer(name.clone(), asked, client.check().await));
    }
    let mut samples = Vec::new();
    for collection in rules.in_order() {
        for binding in &collection.bindings {
            let name = &binding.upstream.name;
            let Some(answer) = answers.iter_mut().find(|answer| answer.upstream == *name && answer.ok) else {
                continue;
            };
            let (Some(client), Some(_)) = (clients.get(name), &binding.read) else { continue };
            let sample = sample(client, rules, collection, binding).await;
            answer.note(&sample);
            samples.push(sample);
        }
    }
    beside.end(workspace, each(&clients), out).await;
    Ok(Online { answers, samples })
}

impl Answer {
    /// An upstream whose listing fails is no good, whatever its probe said.
    fn note(&mut self, sample: &Sample) {
        if sample.unavailable {
            self.ok = false;
            self.error.clone_from(&sample.error);
        }
    }
}

/// The first record of the listing, as the binding maps it.
async fn sample(client: &Arc<Client>, rules: &Ruleset, collection: &Collection, binding: &Arc<Binding>) -> Sample {
    let mut sample = Sample {
        collection: collection.name.clone(),
        upstream: binding.upstream.name.clone(),
        id: None,
        fields: Vec::new(),
        error: None,
        apart: None,
        unavailable: false,
    };
    let found = match first_records(client, rules, binding, 1).await {
        Ok(found) => found,
        Err(failure) => {
            sample.error = Some(reason(&failure));
            sample.unavailable = true;
            return sample;
        }
    };
    let Some(raw) = found.records.first() else {
        sample.error = Some("the listing is empty; there is nothing to show".to_owned());
        return sample;
    };
    match binding.mapper.read(raw) {
        Ok(mapped) => {
            let slots = collection.fields.iter().zip(&mapped.slots);
            sample.fields = slots.filter_map(|(field, slot)| sample_field(&field.name, slot)).collect();
            sample.apart = apart(&mapped).map(str::to_owned);
            sample.id = Some(mapped.id);
        }
        Err(error) => sample.error = Some(error.to_string()),
    }
    sample
}

/// Why the rules do not take this record for one to synchronise.
pub fn apart(mapped: &Mapped) -> Option<&'static str> {
    if mapped.deleted {
        Some("deleted there: the tombstone condition is true of it (`deletes.when`)")
    } else if mapped.merged_into.is_some() {
        Some("merged into another record there (`merged_into`)")
    } else if mapped.archived {
        Some("archived there, so it is left alone (`archived` is true of it)")
    } else if !mapped.in_scope {
        Some("out of scope, so it is left alone (`where` is not true of it)")
    } else {
        None
    }
}

fn sample_field(name: &str, slot: &Slot) -> Option<SampleField> {
    let (value, error) = match slot {
        Slot::Absent => return None,
        Slot::Value(value) => (Some(value.to_json().to_string()), None),
        Slot::Bad(error) => (None, Some(error.reason.clone())),
    };
    Some(SampleField { field: name.to_owned(), value: value.as_deref().and_then(raw), error })
}

fn answer(upstream: String, asked: bool, result: Result<Option<String>, Failure>) -> Answer {
    match result {
        Ok(account) => Answer { upstream, ok: true, asked, account, error: None },
        Err(failure) => Answer { upstream, ok: false, asked, account: None, error: Some(reason(&failure)) },
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
                (None, None) if answer.asked => "it answers; the rules name no account to look for".to_owned(),
                (None, None) => "not asked: the rules have no `check` for it".to_owned(),
            };
            vec![answer.upstream.clone(), if answer.ok { "ok" } else { "failed" }.to_owned(), words]
        })
        .collect();
    let mut text = style::table(width, &["upstream", "check", "answer"], rows);
    for sample in samples {
        let id = sample.id.as_deref().map(style::clean).unwrap_or_default();
        text += &style::heading(&format!("{} at {} {id}", sample.collection, sample.upstream));
        if let Some(error) = &sample.error {
            writeln!(text, "  {}", style::paint(style::BAD, style::clean(error))).ok();
        }
        if let Some(apart) = &sample.apart {
            writeln!(text, "  {} {apart}", style::paint(style::CHANGED, "!")).ok();
        }
        for field in &sample.fields {
            let shown = match (&field.error, &field.value) {
                (Some(error), _) => style::paint(style::BAD, style::clean(error)),
                (None, value) => style::cut(
                    &style::value_or_dash(value.as_deref().map(RawValue::get)),
                    width.saturating_sub(24).max(20),
                ),
            };
            writeln!(text, "  {:<20}  {shown}", field.field).ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_samples_are_shown_side_by_side() {
        let one = |upstream: &str, ok, asked, account: Option<&str>, error: Option<&str>| {
            let (account, error) = (account.map(str::to_owned), error.map(str::to_owned));
            Answer { upstream: upstream.to_owned(), ok, asked, account, error }
        };
        let answers = [
            one("crm", true, true, Some("a1"), None),
            one("erp", false, true, None, Some("GET /me: 401")),
            one("shop", true, false, None, None),
        ];
        let field = |field: &str, value: Option<&str>, error: Option<&str>| SampleField {
            field: field.to_owned(),
            value: value.and_then(raw),
            error: error.map(str::to_owned),
        };
        let samples = [Sample {
            collection: "contacts".to_owned(),
            upstream: "crm".to_owned(),
            id: Some("c7".to_owned()),
            fields: vec![field("name", Some("\"Ann\""), None), field("seen_at", None, Some("no date"))],
            error: None,
            apart: None,
            unavailable: false,
        }];
        insta::assert_snapshot!(style::bare(&text(&answers, &samples, 60)));
    }
}
