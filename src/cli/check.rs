//! Owns: `check`: everything that can be said about rules, settings and secrets, and with `--online` about upstreams.
//!
//! Must not know: the rules language; how HTTP is spoken.

use serde::Serialize;

use crate::rules::{Diagnostic, Ruleset, Severity, render};

use super::args_rules::CheckArgs;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style::{self, count};
use super::workspace::{Examined, SecretsAre, Workspace};

/// What `check --json` prints.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    errors: u64,
    warnings: u64,
    files: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    missing_secrets: Vec<Secret>,
    /// Only where the rules can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Extent>,
    /// Only with `--online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstreams: Option<Vec<super::online::Answer>>,
    /// Only with `--online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<super::online::Sample>>,
}

#[derive(Debug, Serialize)]
struct Secret {
    name: String,
    looked_at: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Extent {
    upstreams: Vec<String>,
    collections: Vec<String>,
    hash: String,
}

/// Checks and prints.
pub async fn run(args: &CheckArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let examined = workspace.examine(SecretsAre::Needed)?;
    let mut findings = gather(&examined);
    let mut unavailable = 0;
    let mut exit = if findings.ok { Exit::IN_SYNC } else { Exit::USAGE };
    if let (true, Some(rules)) = (args.online && findings.ok, &examined.rules) {
        let online = super::online::ask(workspace, rules, out).await?;
        unavailable = online.failures();
        if unavailable > 0 {
            findings.ok = false;
            exit = exit.or_worse(Exit::UNAVAILABLE);
        }
        findings.upstreams = Some(online.answers);
        findings.samples = Some(online.samples);
    }
    if out.is_json() {
        out.json(&findings)?;
    } else {
        let drawn = render(&examined.diagnostics, &examined.sources, true, out.width());
        out.data(&text(&findings, &drawn, unavailable, out.width()))?;
    }
    Ok(exit)
}

fn gather(examined: &Examined) -> Findings {
    let of = |severity| examined.diagnostics.iter().filter(|note| note.severity == severity).count() as u64;
    Findings {
        ok: examined.rules.is_some() && examined.missing.is_empty(),
        errors: of(Severity::Error),
        warnings: of(Severity::Warning),
        files: examined.sources.iter().map(|source| source.path.clone()).collect(),
        diagnostics: examined.diagnostics.clone(),
        missing_secrets: examined
            .missing
            .iter()
            .map(|missing| Secret { name: missing.name.clone(), looked_at: missing.looked.clone() })
            .collect(),
        rules: examined.rules.as_deref().map(extent),
        upstreams: None,
        samples: None,
    }
}

fn extent(rules: &Ruleset) -> Extent {
    Extent {
        upstreams: rules.upstreams.keys().cloned().collect(),
        collections: rules.in_order().into_iter().map(|collection| collection.name.clone()).collect(),
        hash: rules.hash.clone(),
    }
}

fn text(findings: &Findings, drawn: &str, unavailable: u64, width: usize) -> String {
    let mut text = drawn.to_owned();
    if let Some(answers) = &findings.upstreams {
        text += &super::online::text(answers, findings.samples.as_deref().unwrap_or_default(), width);
    }
    let files = count(findings.files.len() as u64, "file");
    let verdict = match &findings.rules {
        Some(rules) if findings.missing_secrets.is_empty() => {
            let upstreams = count(rules.upstreams.len() as u64, "upstream");
            let collections = count(rules.collections.len() as u64, "collection");
            let extent = format!("{files}: {upstreams}, {collections}");
            match unavailable {
                0 => format!("{} {extent}", style::paint(style::GOOD, "ok")),
                number => {
                    let failed = format!("{} failed", count(number, "upstream"));
                    format!("{}; the rules are good: {extent}", style::paint(style::BAD, failed))
                }
            }
        }
        _ => format!("{} {files}: {}", style::paint(style::BAD, "not usable"), count(findings.errors, "error")),
    };
    let warnings =
        if findings.warnings > 0 { format!(", {}", count(findings.warnings, "warning")) } else { String::new() };
    text + &verdict + &warnings + "\n"
}
