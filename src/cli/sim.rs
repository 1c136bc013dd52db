//! Owns: `sim`, for the developers of this program: runs seeds of the simulator, and shows the trace of one.
//!
//! Must not know: what a seed means.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sim::{Verdict, simulate};

use super::args::SimArgs;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style::count;

/// A worker whose database is a file waits for its store's thread at each step; meanwhile another one has the core.
const WORKERS_PER_CORE: usize = 2;

/// Runs the seeds, some for each core at once; those that fail are named with the command that replays them.
pub fn run(args: &SimArgs, out: &Out) -> Result<Exit, CliError> {
    let verdicts = simulated(args);
    let (mut failed, mut passes, mut crashes, mut deeds) = (0_u64, 0, 0, 0);
    for (seed, verdict) in &verdicts {
        if args.count == 1 {
            out.data(&(verdict.trace.join("\n") + "\n"))?;
        }
        for words in &verdict.broken {
            out.data(&format!("seed {seed}: {words}\n"))?;
        }
        if !verdict.broken.is_empty() {
            failed += 1;
            out.data(&format!("replay it: reconciled sim {seed}\n"))?;
        }
        passes += verdict.passes;
        crashes += verdict.crashes;
        deeds += verdict.deeds;
    }
    let seeds = count(verdicts.len() as u64, "seed");
    let (passes, edits) = (count(passes, "pass"), count(deeds as u64, "edit"));
    let crashes = if crashes == 1 { "1 crash".to_owned() } else { format!("{crashes} crashes") };
    let failed_words = count(failed, "seed");
    out.talk(&format!("{seeds}, {passes}, {crashes}, {edits} by others: {failed_words} failed"));
    Ok(if failed == 0 { Exit::IN_SYNC } else { Exit::ERROR })
}

/// What came of each seed.
fn simulated(args: &SimArgs) -> BTreeMap<u64, Verdict> {
    let (next, over, verdicts) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let work = || {
        while !over.load(Ordering::Acquire) {
            let at = next.fetch_add(1, Ordering::AcqRel);
            if at >= args.count {
                return;
            }
            let seed = args.seed.wrapping_add(at);
            let mut verdict = simulate(seed);
            if args.twice && verdict != simulate(seed) {
                verdict.broken.push("I18: the same seed gives another trace when it is run again".to_owned());
            }
            if args.first && !verdict.broken.is_empty() {
                over.store(true, Ordering::Release);
            }
            if args.count > 1 {
                verdict.trace.clear();
            }
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, verdict);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get) * WORKERS_PER_CORE;
    std::thread::scope(|scope| {
        for _worker in 0..workers {
            scope.spawn(work);
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}
