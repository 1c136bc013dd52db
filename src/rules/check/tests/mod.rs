//! Owns: the proof of what the checker accepts and refuses.
//!
//! Must not know: how it gets there.

mod cases;
mod examples;
mod files;
mod meaning;
mod reference;
mod schema;

use std::collections::BTreeMap;

use super::passes::Checked;
use super::{Context, check};
use crate::rules::diagnostic::Source;

/// Checks files with the variables and secrets of the shipped rules.
fn check_files(files: &[(&str, &str)]) -> (Vec<Source>, Checked) {
    let sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned(), defect: None })
        .collect();
    let vars: BTreeMap<String, String> = [
        ("crm_url", "https://crm.example.com/v1"),
        ("billing_url", "https://billing.example.com/api/"),
        ("kinto_url", "http://127.0.0.1:8888/v1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let find_secret = |name: &str| if name.starts_with("un") { Err("looked at: nowhere".to_owned()) } else { Ok(()) };
    let checked = check(&sources, &Context { vars: &vars, find_secret: &find_secret });
    (sources, checked)
}
