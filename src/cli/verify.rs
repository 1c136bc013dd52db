//! Owns: `verify`: what is wrong in the database, and what differs from upstreams, as text and as JSON.
//!
//! Must not know: how either is found.

use std::sync::Arc;

use serde::Serialize;

use crate::ops::{Compared, Difference, Finding, compare, verify, whole};
use crate::rules::Ruleset;

use super::args_keeping::VerifyArgs;
use super::beside::{Beside, each};
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style::{self, clean, count, paint, say};
use super::workspace::{SecretsAre, Workspace, select_collections};

/// The widest that a value is shown.
const VALUE_MAX: usize = 60;

/// What `verify --json` prints.
#[derive(Debug, Serialize)]
struct Verified {
    /// Nothing is wrong, and nothing differs.
    ok: bool,
    findings: Vec<Finding>,
    /// With `--deep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Vec<Compared>>,
}

/// Looks.
pub async fn run(args: &VerifyArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let secrets = if args.deep { SecretsAre::Needed } else { SecretsAre::Unused };
    let rules = workspace.rules(secrets, out)?;
    let findings = verify(&workspace.settings().database, &rules, workspace.busy_ms())?;
    let compared = if args.deep { Some(deep(args, workspace, &rules, out).await?) } else { None };
    let exit = exit(&findings, compared.as_deref().unwrap_or_default());
    let verified = Verified { ok: exit == Exit::IN_SYNC, findings, compared };
    out.show(&verified, |verified, _width| text(verified))?;
    Ok(exit)
}

async fn deep(
    args: &VerifyArgs,
    workspace: &Workspace,
    rules: &Arc<Ruleset>,
    out: &Out,
) -> Result<Vec<Compared>, CliError> {
    let names = select_collections(rules, &args.collections)?;
    let store = workspace.store_to_look()?;
    let clients = workspace.clients(rules)?;
    let beside = Beside::begin(workspace, each(&clients), out);
    let mut compared = Ok(Vec::new());
    for collection in names.iter().filter_map(|name| rules.collections.get(name)) {
        for binding in &collection.bindings {
            let (Ok(all), Some(client)) = (&mut compared, clients.get(&binding.upstream.name)) else { continue };
            match compare(store.as_ref(), collection, binding, client).await {
                Ok(one) => all.push(one),
                Err(error) => compared = Err(error),
            }
        }
    }
    beside.end(workspace, each(&clients), out).await;
    Ok(compared?)
}

fn exit(findings: &[Finding], compared: &[Compared]) -> Exit {
    let mut exit = if findings.is_empty() { Exit::IN_SYNC } else { Exit::ERROR };
    for one in compared {
        if one.differ + one.gone + one.unknown > 0 {
            exit = exit.or_worse(Exit::PENDING);
        }
        if one.error.is_some() {
            exit = exit.or_worse(Exit::UNAVAILABLE);
        }
    }
    exit
}

fn text(verified: &Verified) -> String {
    let mut text: String = verified.findings.iter().map(finding_text).collect();
    for one in verified.compared.iter().flatten() {
        text += &compared_text(one);
    }
    text + &verdict(&verified.findings)
}

fn verdict(findings: &[Finding]) -> String {
    let mendable = findings.iter().filter(|finding| finding.mendable).count() as u64;
    match findings.len() as u64 {
        0 => format!("{}: what the database says of itself is true\n", paint(style::GOOD, "nothing is wrong")),
        all => {
            let bad = paint(style::BAD, count(all, "finding"));
            format!("{bad}; {} can be mended without a guess: `reconciled repair` shows how\n", whole(mendable))
        }
    }
}

/// A finding, the first of what it is about, and its remedy.
pub fn finding_text(finding: &Finding) -> String {
    let mark = if finding.mendable { paint(style::CHANGED, "!") } else { paint(style::BAD, "×") };
    let mut text =
        format!("{mark} {}: {} ({})\n", paint(style::HEAD, finding.check), finding.found, whole(finding.count));
    for one in &finding.examples {
        let place = [&one.collection, &one.upstream].into_iter().flatten().map(|name| format!("{} ", clean(name)));
        text += &format!("    {}{}\n", place.collect::<String>(), clean(&one.subject));
    }
    let more = finding.count.saturating_sub(finding.examples.len() as u64);
    if more > 0 {
        text += &format!("    … and {} more\n", whole(more));
    }
    text + &format!("    → {}\n", finding.remedy)
}

fn compared_text(one: &Compared) -> String {
    let place = format!("{} at {}", clean(&one.collection), clean(&one.upstream));
    let mut text = format!(
        "{place}: {} compared, {} differ, {} gone, {} not to be had",
        count(one.records, "linked record"),
        whole(one.differ),
        whole(one.gone),
        whole(one.unknown),
    );
    if one.unlinked > 0 {
        text += &format!("; {} there are linked to nothing here", whole(one.unlinked));
    }
    text += "\n";
    text.extend(one.differences.iter().map(difference_text));
    let more = (one.differ + one.gone + one.unknown).saturating_sub(one.differences.len() as u64);
    if more > 0 {
        text += &format!("  … and {} more\n", whole(more));
    }
    if let Some(error) = &one.error {
        text += &format!("  {} {}\n", paint(style::BAD, "!"), clean(error));
    }
    text
}

fn difference_text(one: &Difference) -> String {
    let waits = if one.waits { "; a pass is to see to it already" } else { "" };
    let (record, remote_id) = (clean(&one.record), clean(&one.remote_id));
    let mut text = format!("  {} {record} ({remote_id}) {}{waits}\n", paint(style::CHANGED, "~"), one.what);
    for field in &one.fields {
        let (here, there) = (say(&field.local, VALUE_MAX), say(&field.upstream, VALUE_MAX));
        text += &format!("      {}: here {here}, there {there}\n", clean(&field.field));
    }
    if let Some(error) = &one.error {
        text += &format!("      {}\n", clean(error));
    }
    text
}
