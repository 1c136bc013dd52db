//! Owns: `sim`, for the developers of this program: runs seeds of the simulator, and shows the trace of one.
//!
//! Must not know: what a seed means.

use crate::sim::simulate;

use super::args::SimArgs;
use super::exit::{CliError, Exit};
use super::out::Out;

/// Runs the seeds; those that fail are named with the command that replays them.
pub fn run(args: &SimArgs, out: &Out) -> Result<Exit, CliError> {
    let mut failed = 0_u64;
    let (mut passes, mut crashes, mut deeds) = (0, 0, 0);
    for seed in args.seed..args.seed.saturating_add(args.count) {
        let mut verdict = simulate(seed);
        if args.twice && verdict != simulate(seed) {
            verdict.broken.push("I18: the same seed gives another trace when it is run again".to_owned());
        }
        if args.count == 1 {
            out.data(&(verdict.trace.join("\n") + "\n"))?;
        }
        for words in &verdict.broken {
            out.data(&format!("seed {seed}: {words}\n"))?;
        }
        if !verdict.broken.is_empty() {
            failed += 1;
            out.data(&format!("replay it: reconciled sim {seed}\n"))?;
            if args.first {
                return Ok(Exit::ERROR);
            }
        }
        passes += verdict.passes;
        crashes += verdict.crashes;
        deeds += verdict.deeds;
    }
    let count = args.count;
    out.talk(&format!(
        "{count} seeds, {passes} passes, {crashes} crashes, {deeds} edits by others: {failed} seeds failed"
    ));
    Ok(if failed == 0 { Exit::IN_SYNC } else { Exit::ERROR })
}
