//! Owns: `replay`: what the rules make of a cassette, offline: its records mapped, and a first pass into an empty database.
//!
//! Must not know: the layout of a cassette, which answer belongs to which request.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::Clock;
use crate::reconcile::{Engine, PassReport};
use crate::rules::Ruleset;
use crate::upstream::{Cassette, CassetteClock, Deck};

use super::args_rules::ReplayArgs;
use super::exit::{CliError, Exit, exit_of_outcome};
use super::fetch::{self, Fetched};
use super::looking::{Found, look_into};
use super::out::Out;
use super::record::{Bindings, add_parents, failures, first_passes, names_of, narrowed};
use super::report::plan_text;
use super::style;
use super::workspace::{SecretsAre, Workspace, offline_clients};

/// What `replay --json` prints.
#[derive(Debug, Serialize)]
struct Replayed {
    recorded_at: DateTime<Utc>,
    /// Members whose values were replaced in it.
    redacted: Vec<String>,
    /// Some records of each binding.
    bindings: Vec<Fetched>,
    /// What a first pass of each collection would do.
    passes: Vec<PassReport>,
    /// Requests that the rules make and that are not in it, each with the nearest one.
    missing: Vec<String>,
    /// What was not to be had, these among it.
    failures: Vec<String>,
}

/// Replays and prints.
pub async fn run(args: &ReplayArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let cassette = Arc::new(Cassette::read(&args.file)?);
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let bindings = choose(&rules, &cassette, &args.collections, out)?;
    let rules = Arc::new(narrowed(&rules, &bindings));
    if let Some(why) = &cassette.early {
        out.talk(&format!("the recording ended early: {why}; what it lacks is told as missing"));
    }
    let bindings_shown = look(args, &rules, &bindings, &cassette).await?;
    let deck = Arc::new(Deck::new(Arc::clone(&cassette)));
    let clock: Arc<dyn Clock> = Arc::new(CassetteClock::new(cassette.header.recorded_at));
    let clients = offline_clients(&rules, &deck, &clock)?;
    let scratch = workspace.empty_scratch()?;
    let (engine, _tables_are_new) = Engine::open(scratch.store(), rules, clients, clock).await?;
    let mut passes = first_passes(&engine, &bindings, &out.silenced()).await?;
    // It took no time.
    for report in &mut passes {
        report.phases.clear();
    }
    let (missing, failures) = (deck.missing(), failures(&passes));
    let of_passes = passes.iter().map(|report| exit_of_outcome(report.outcome));
    // Into an empty database everything is a change; nothing waits for anybody.
    let exit = of_passes.filter(|exit| *exit != Exit::PENDING).fold(Exit::IN_SYNC, Exit::or_worse);
    let exit = if missing.is_empty() { exit } else { exit.or_worse(Exit::UNAVAILABLE) };
    let header = &cassette.header;
    let (recorded_at, redacted) = (header.recorded_at, header.redacted.clone());
    let replayed = Replayed { recorded_at, redacted, bindings: bindings_shown, passes, missing, failures };
    out.show(&replayed, |replayed, width| text(replayed, args.all, width))?;
    Ok(exit)
}

/// The recorded bindings that the rules have still, as far as they were named, in the order of passes.
fn choose(rules: &Ruleset, cassette: &Cassette, named: &[String], out: &Out) -> Result<Bindings, CliError> {
    let recorded = &cassette.header.bindings;
    let in_order = rules.in_order();
    let all = in_order.iter().flat_map(|collection| &collection.bindings);
    let mut bindings: Bindings =
        all.map(|binding| (binding.collection.clone(), binding.upstream.name.clone())).collect();
    let known = names_of(&bindings);
    for name in recorded.iter().filter(|name| !known.contains(name)) {
        out.talk(&format!("{} was recorded, and the rules have it no more", style::clean(name)));
    }
    bindings.retain(|(of, at)| recorded.contains(&format!("{of}.{at}")));
    for name in named {
        if !bindings.iter().any(|(of, _)| of == name) {
            let names = recorded.join(", ");
            let words = format!("nothing of `{}` is in the cassette; it has {names}", style::clean(name));
            return Err(CliError::Usage(words));
        }
    }
    if bindings.is_empty() {
        let names = style::clean(&recorded.join(", "));
        return Err(CliError::Usage(format!("the rules have nothing of what was recorded ({names})")));
    }
    // The passes of others may be asked for as well: a child waits for its parent.
    if !named.is_empty() {
        let mut wanted: Bindings = bindings.iter().filter(|(of, _)| named.contains(of)).cloned().collect();
        add_parents(rules, &mut wanted, |_child, _parents| {});
        bindings.retain(|binding| wanted.contains(binding));
    }
    Ok(bindings)
}

/// Some records of each binding, read by itself.
async fn look(
    args: &ReplayArgs,
    rules: &Ruleset,
    bindings: &Bindings,
    cassette: &Arc<Cassette>,
) -> Result<Vec<Fetched>, CliError> {
    let deck = Arc::new(Deck::new(Arc::clone(cassette)));
    let clock: Arc<dyn Clock> = Arc::new(CassetteClock::new(cassette.header.recorded_at));
    let clients = offline_clients(rules, &deck, &clock)?;
    let mut shown = Vec::new();
    let all = rules.in_order().into_iter().flat_map(|collection| &collection.bindings);
    for binding in all.filter(|binding| binding.read.is_some()) {
        let Some(client) = clients.get(&binding.upstream.name) else { continue };
        let is_meant = bindings.iter().any(|(of, at)| *of == binding.collection && *at == binding.upstream.name);
        if !is_meant || args.limit == 0 {
            continue;
        }
        let mut found = Found::default();
        // Why it has no more is told by the pass.
        let ended = look_into((client, rules), binding, usize::from(args.limit), &mut found).await;
        found.more |= ended.is_err();
        shown.push(fetch::fetched(&binding.collection, binding, &found.records, found.more));
    }
    Ok(shown)
}

/// For people.
fn text(replayed: &Replayed, all: bool, width: usize) -> String {
    let mut text = String::new();
    for binding in &replayed.bindings {
        text += &fetch::text(binding, width);
    }
    text += &plan_text(&replayed.passes, all, width);
    for failure in &replayed.failures {
        writeln!(text, "{} {}", style::paint(style::BAD, "×"), style::clean(failure)).ok();
    }
    let told = |missing: &&String| !replayed.failures.iter().any(|failure| failure.contains(*missing));
    for missing in replayed.missing.iter().filter(told) {
        writeln!(text, "{} {}", style::paint(style::BAD, "×"), style::clean(missing)).ok();
    }
    let at = style::short(&replayed.recorded_at.to_rfc3339());
    writeln!(text, "{}", style::paint(style::DIM, format!("offline, by a recording of {at}"))).ok();
    text
}
