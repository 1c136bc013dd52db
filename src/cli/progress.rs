//! Owns: progress bars on the terminal while passes run.
//!
//! Must not know: what a pass does beyond the steps that it tells.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::reconcile::{Progress, Step};

use super::out::Out;

/// How often a bar is drawn anew where nothing happens.
const TICK: Duration = Duration::from_millis(200);
/// Frames per second.
const FRAMES: u8 = 10;

/// One bar per listing and one per push, on stderr, only on a terminal.
pub struct Bars {
    draw: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    /// Bars that show themselves only where they make sense.
    pub fn new(out: &Out) -> Self {
        let target = if out.shows_progress() {
            ProgressDrawTarget::stderr_with_hz(FRAMES)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { draw: MultiProgress::with_draw_target(target), bars: Mutex::default() }
    }

    fn update(&self, key: String, position: u64, total: Option<u64>, message: String) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(key).or_insert_with_key(|key| {
            let bar = self.draw.add(ProgressBar::no_length());
            bar.set_prefix(key.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        // An estimate that was overtaken is none.
        match total.filter(|total| *total >= position && *total > 0) {
            Some(total) => {
                bar.set_length(total);
                bar.set_style(known());
            }
            None => bar.set_style(unknown()),
        }
        bar.set_position(position);
        bar.set_message(message);
    }

    /// Takes all bars away for good: what is said from now on stands alone.
    pub fn end(&self) {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).drain().for_each(|(_, bar)| bar.finish_and_clear());
        self.draw.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn clear(&self, collection: &str) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.retain(|key, bar| {
            let ours = key.split(' ').next() == Some(collection);
            if ours {
                bar.finish_and_clear();
            }
            !ours
        });
    }
}

fn known() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {rate} {eta} left {msg}")
        .unwrap_or_else(|_bad_template| ProgressStyle::default_bar())
        .with_key("rate", rate)
}

fn unknown() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {spinner} {pos} {rate} for {elapsed} {msg}")
        .unwrap_or_else(|_bad_template| ProgressStyle::default_spinner())
        .with_key("rate", rate)
}

/// Whole records per second; below ten, tenths of them.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    out.write_str(&rate_text(state.per_sec())).ok();
}

fn rate_text(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}/s") } else { format!("{per_second:.0}/s") }
}

impl Drop for Bars {
    /// A command that is cut short leaves no bars behind.
    fn drop(&mut self) {
        self.end();
    }
}

impl Progress for Bars {
    fn step(&self, step: &Step<'_>) {
        match step {
            Step::Began { .. } => {}
            Step::Pulled { collection, upstream, records, changed, expected } => {
                let message = format!("{changed} new or changed");
                self.update(format!("{collection} ← {upstream}"), *records, *expected, message);
            }
            Step::Decided { collection, records } => {
                self.update(format!("{collection} decided"), *records, None, String::new());
            }
            Step::Pushed { collection, upstream, done, total } => {
                self.update(format!("{collection} → {upstream}"), *done, Some(*total), String::new());
            }
            Step::Ended { report } => self.clear(&report.collection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::PassReport;

    #[test]
    fn bars_live_as_long_as_their_collection() {
        let bars = Bars::new(&Out::new("never", false, true));
        bars.step(&Step::Pulled { collection: "a", upstream: "crm", records: 5, changed: 1, expected: Some(3) });
        bars.step(&Step::Pushed { collection: "ab", upstream: "crm", done: 1, total: 2 });
        let report = PassReport { collection: "a".to_owned(), ..PassReport::default() };
        bars.step(&Step::Ended { report: &report });
        let left: Vec<String> = bars.bars.lock().unwrap().keys().cloned().collect();
        assert_eq!(left, ["ab → crm"]);
        bars.end();
        assert!(bars.bars.lock().unwrap().is_empty());
    }

    #[test]
    fn a_rate_is_as_precise_as_it_is_of_use() {
        assert_eq!([rate_text(692.5655), rate_text(0.26)], ["693/s", "0.3/s"]);
    }
}
