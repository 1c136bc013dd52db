//! Owns: `record`: a first pass into an empty database, whose requests and answers are written on a cassette.
//!
//! Must not know: the layout of a cassette, what is masked in it.

use std::sync::Arc;

use serde::Serialize;

use crate::reconcile::{Engine, PassOptions, PassReport};
use crate::rules::Ruleset;
use crate::upstream::{CassetteError, Header, Limits, Mask, Recorded, Tape};

use super::args_rules::RecordArgs;
use super::beside::{Beside, each};
use super::exit::{CliError, Exit};
use super::find::nearest;
use super::looking::parents_binding;
use super::out::Out;
use super::progress::Bars;
use super::stop::Stop;
use super::style;
use super::workspace::{SecretsAre, Workspace, usable};

/// What `record --json` prints.
#[derive(Debug, Serialize)]
struct Told {
    file: String,
    bindings: Vec<String>,
    #[serde(flatten)]
    recorded: Recorded,
    /// What upstreams did not give, each with its reason.
    failures: Vec<String>,
}

impl From<CassetteError> for CliError {
    fn from(error: CassetteError) -> Self {
        match error {
            CassetteError::Exists(_) => Self::Usage(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

/// Records. A signal ends it, and nothing is left of it.
pub async fn run(args: &RecordArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let mut stop = Stop::listen();
    tokio::select! {
        biased;
        () = stop.asked() => Err(CliError::Other("interrupted; there is no cassette".to_owned())),
        made = make(args, workspace, out) => made,
    }
}

async fn make(args: &RecordArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let examined = workspace.examine(SecretsAre::Needed)?;
    let rules = usable(&examined, out)?;
    let bindings = choose(&rules, &args.what, out)?;
    let rules = Arc::new(narrowed(&rules, &bindings));
    let clock = workspace.clock();
    let mask = Mask::new(workspace.named_secrets(&examined), &args.redact).map_err(CliError::Other)?;
    let header = Header::new(clock.now(), names_of(&bindings), args.redact.clone());
    let limits = Limits { bytes: args.max_mb * 1_000_000, requests: args.requests };
    let tape = Arc::new(Tape::begin(&args.to, &header, mask, limits)?);
    let scratch = workspace.empty_scratch()?;
    let clients = workspace.recorded_clients(&rules, &tape)?;
    let (engine, _tables_are_new) = Engine::open(scratch.store(), Arc::clone(&rules), clients, clock).await?;
    let beside = Beside::begin(workspace, each(engine.clients()), out);
    let reports = first_passes(&engine, &bindings, out).await;
    beside.end(workspace, each(engine.clients()), out).await;
    let reports = reports?;
    let recorded = tape.finish()?;
    // What the cassette has no more room for is told by its end.
    let failures = if recorded.early.is_some() { Vec::new() } else { failures(&reports) };
    let exit = if failures.is_empty() { Exit::IN_SYNC } else { Exit::UNAVAILABLE };
    let told = Told { file: args.to.display().to_string(), bindings: names_of(&bindings), recorded, failures };
    out.show(&told, |told, _| text(told))?;
    Ok(exit)
}

/// Collections with upstreams.
pub type Bindings = Vec<(String, String)>;

/// Those as people name them.
pub fn names_of(bindings: &Bindings) -> Vec<String> {
    bindings.iter().map(|(collection, upstream)| format!("{collection}.{upstream}")).collect()
}

/// The rules with these bindings only.
pub fn narrowed(rules: &Ruleset, bindings: &Bindings) -> Ruleset {
    rules.only(|collection, upstream| bindings.iter().any(|(of, at)| of == collection && at == upstream))
}

/// The bindings that are read and that somebody named, in the order of passes, with those whose records are their parents.
fn choose(rules: &Ruleset, named: &[String], out: &Out) -> Result<Bindings, CliError> {
    let in_order = rules.in_order();
    let all: Bindings = in_order
        .iter()
        .flat_map(|collection| collection.bindings.iter().filter(|binding| binding.read.is_some()))
        .map(|binding| (binding.collection.clone(), binding.upstream.name.clone()))
        .collect();
    let is_meant = |name: &str, (of, at): &(String, String)| name == of || name == at || name == format!("{of}.{at}");
    for name in named {
        if !all.iter().any(|binding| is_meant(name, binding)) {
            let names = names_of(&all);
            let known: Vec<&str> =
                names.iter().map(String::as_str).chain(all.iter().flat_map(|(of, at)| [of.as_str(), at])).collect();
            let remedy = nearest(name, &known);
            return Err(CliError::Usage(format!("nothing that is read is called `{}`; {remedy}", style::clean(name))));
        }
    }
    let mut chosen: Bindings = all
        .iter()
        .filter(|binding| named.is_empty() || named.iter().any(|name| is_meant(name, binding)))
        .cloned()
        .collect();
    add_parents(rules, &mut chosen, |of, (parent, upstream)| {
        out.talk(&format!("{parent}.{upstream} is recorded as well: it has the parents of {of}"));
    });
    let place = |binding: &(String, String)| all.iter().position(|one| one == binding);
    chosen.sort_by_key(place);
    Ok(chosen)
}

/// Adds those whose records are the parents of what is listed, and theirs; `tell` hears of each, and of whom it has the parents.
pub fn add_parents(rules: &Ruleset, chosen: &mut Bindings, mut tell: impl FnMut(&str, &(String, String))) {
    let mut at = 0;
    while let Some((of, upstream)) = chosen.get(at).cloned() {
        at += 1;
        let bindings = rules.collections.get(&of).into_iter().flat_map(|collection| &collection.bindings);
        let Some(binding) = bindings.into_iter().find(|binding| binding.upstream.name == upstream) else { continue };
        let Some(parent) = binding.read.as_ref().and_then(|read| read.parent.as_ref()) else { continue };
        let Ok(parents) = parents_binding(rules, binding, parent) else { continue };
        let parents = (parents.collection.clone(), upstream);
        if !chosen.contains(&parents) {
            tell(&of, &parents);
            chosen.push(parents);
        }
    }
}

/// A pass of each collection, that nothing follows from.
pub async fn first_passes(engine: &Engine, bindings: &Bindings, out: &Out) -> Result<Vec<PassReport>, CliError> {
    let options = PassOptions { trigger: "plan".to_owned(), full: false, dry_run: true, all_changes: true };
    let bars = Bars::new(out);
    let mut collections: Vec<&String> = bindings.iter().map(|(collection, _)| collection).collect();
    collections.dedup();
    let mut reports = Vec::new();
    for collection in collections {
        reports.push(engine.pass(collection, &options, &bars).await?);
    }
    Ok(reports)
}

/// What upstreams did not give, each told once.
pub fn failures(reports: &[PassReport]) -> Vec<String> {
    let of_report = |report: &PassReport| {
        let failed = report
            .upstreams
            .iter()
            .filter_map(|one| Some(format!("{} at {}: {}", report.collection, one.upstream, one.error.as_ref()?)));
        failed.collect::<Vec<_>>()
    };
    reports.iter().flat_map(of_report).collect()
}

fn text(told: &Told) -> String {
    let Recorded { requests, early, left_out, .. } = &told.recorded;
    let requests = style::count(*requests, "request");
    let mut text = format!("{}: {requests}, of {}\n", told.file, told.bindings.join(", "));
    if let Some(early) = early {
        text += &format!("it ended early: {early} (`--requests`, `--max-mb`)\n");
    }
    if *left_out > 0 {
        text +=
            &format!("{} left out: `--redact` finds nothing in what is not JSON\n", style::count(*left_out, "body"));
    }
    for failure in &told.failures {
        text += &format!("{} {}\n", style::paint(style::BAD, "×"), style::clean(failure));
    }
    text + "no secret of the rules is in it; look through it for personal data before you pass it on (`--redact`)\n"
}
