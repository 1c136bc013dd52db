//! Owns: the proof of what is proposed.
//!
//! Must not know: files.

mod descriptions;
mod properties;
mod samples;
mod written;
mod yaml;

use std::collections::BTreeMap;

use super::{ProposeError, Sample, Wanted, from_openapi, from_samples};
use crate::rules::{Context, Diagnostic, Severity, Source, check};

const WANTED: Wanted<'static> = Wanted {
    collection: "contacts",
    upstream: "crm",
    upstream_known: false,
    base_url: None,
    path: None,
    records: None,
    id: None,
};

/// What is proposed by one sample, after it passed the check.
fn by_sample(wanted: &Wanted<'_>, text: &str) -> Result<String, ProposeError> {
    let proposed = from_samples(wanted, &[Sample { name: "answer.json", bytes: text.as_bytes() }])?;
    assert_passes(&proposed);
    assert_passes(&with_suggestions(&proposed));
    Ok(proposed)
}

/// What is proposed by a description, after it passed the check.
fn by_description(wanted: &Wanted<'_>, text: &str) -> Result<String, ProposeError> {
    let proposed = from_openapi(wanted, &Sample { name: "api.json", bytes: text.as_bytes() })?;
    assert_passes(&proposed);
    assert_passes(&with_suggestions(&proposed));
    Ok(proposed)
}

fn assert_passes(text: &str) {
    let errors: Vec<_> = checked(text).into_iter().filter(|one| one.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
}

/// What the check says of it.
fn checked(text: &str) -> Vec<Diagnostic> {
    let source = Source { path: "proposed.toml".to_owned(), text: text.to_owned(), defect: None };
    let vars = BTreeMap::new();
    check(&[source], &Context { vars: &vars, find_secret: &|_| Ok(()) }).diagnostics
}

/// As a person would make of it that follows every suggestion.
fn with_suggestions(text: &str) -> String {
    let follow = |line: &str| match line.strip_prefix('#') {
        Some(suggestion) if !suggestion.starts_with(' ') => format!("{suggestion}\n"),
        None if line.starts_with("direction = ") && text.contains(".write.") => String::new(),
        _ => format!("{line}\n"),
    };
    text.lines().map(follow).collect()
}

/// The lines that begin with one of these.
fn lines<'t>(text: &'t str, starts: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.trim_start_matches('#').starts_with(starts)).collect()
}

/// The error, in words.
#[track_caller]
fn refused(result: Result<String, ProposeError>) -> String {
    result.unwrap_err().to_string()
}
