//! What was measured, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How often something was tried.
#[derive(Debug, Default)]
pub struct Tried {
    /// It was its turn.
    pub drawn: u64,
    /// It could be done.
    pub done: u64,
    /// How long all of it took.
    pub took: Duration,
}

/// What happened.
#[derive(Default)]
pub struct Counts {
    /// By act.
    pub acts: BTreeMap<&'static str, Tried>,
    /// Lives that are over.
    pub lives: Vec<Figures>,
    /// Edits by side.
    pub edits: BTreeMap<&'static str, u64>,
}

/// Resident memory at a time of a life.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Since it began, in seconds.
    pub at_s: f64,
    /// In KiB.
    pub rss_kib: u32,
}

/// What one life came to.
pub struct Figures {
    /// The signal that ended it.
    pub how: &'static str,
    /// How long it was, in seconds.
    pub length_s: f64,
    /// Passes that it told of.
    pub passes: u64,
    /// Its memory.
    pub memory: Vec<Sample>,
    /// Descriptors each time it was at rest, without connections to upstreams.
    pub at_rest: Vec<usize>,
    /// The most connections that were kept for the next pass.
    pub kept_max: usize,
    /// The most that were open.
    pub open_max: usize,
}

/// Lives that are shorter than this are too young to say much about their memory, in seconds.
const YOUNG_S: f64 = 60.0;
/// Memory may grow by so much from the second quarter of a life to its last, in KiB.
const GROWTH_MAX_KIB: u32 = 4 * 1024;
/// The same in a young life, whose caches fill.
const YOUNG_GROWTH_MAX_KIB: u32 = 12 * 1024;
/// At rest there may be so many descriptors more than the first time: readers of the database come when they are needed.
const OPEN_MORE_MAX: usize = 3;
/// Connections that may be kept to two upstreams.
const KEPT_MAX: usize = 16;
/// Descriptors that may be open at once.
const OPEN_MAX: usize = 64;

impl Figures {
    /// The median of a quarter, counted from 0; 0 where nothing was measured.
    pub fn quarter(&self, nth: usize) -> u32 {
        let all = &self.memory;
        let mut kib: Vec<u32> =
            all[all.len() * nth / 4..all.len() * (nth + 1) / 4].iter().map(|one| one.rss_kib).collect();
        kib.sort_unstable();
        kib.get(kib.len() / 2).copied().unwrap_or(0)
    }

    /// How memory grows in the second half, in KiB a minute: the slope of the line with the least squares.
    pub fn slope(&self) -> f64 {
        let half = &self.memory[self.memory.len() / 2..];
        let Ok(count) = u32::try_from(half.len()).map(f64::from) else { return 0.0 };
        let mean = |of: &dyn Fn(&Sample) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (at, kib) = (mean(&|one| one.at_s), mean(&|one| f64::from(one.rss_kib)));
        let spread: f64 = half.iter().map(|one| (one.at_s - at).powi(2)).sum();
        let together: f64 = half.iter().map(|one| (one.at_s - at) * (f64::from(one.rss_kib) - kib)).sum();
        if spread > 0.0 { together / spread * 60.0 } else { 0.0 }
    }

    /// What is not flat: memory, or descriptors.
    pub fn grown(&self) -> Option<String> {
        let (before, after) = (self.quarter(1), self.quarter(3));
        let more = if self.length_s < YOUNG_S { YOUNG_GROWTH_MAX_KIB } else { GROWTH_MAX_KIB };
        if before > 0 && after > before + more {
            return Some(format!("memory grew from {before} to {after} KiB"));
        }
        if self.open_max > OPEN_MAX || self.kept_max > KEPT_MAX {
            return Some(format!("{} descriptors, {} connections are kept", self.open_max, self.kept_max));
        }
        let first = self.at_rest.first().copied().unwrap_or(0);
        let is_more = self.at_rest.iter().any(|open| *open > first + OPEN_MORE_MAX);
        is_more.then(|| format!("descriptors at rest: {:?}", self.at_rest))
    }

    fn row(&self, nth: usize) -> String {
        let rest = |open: Option<&usize>| open.map_or_else(|| "-".to_owned(), usize::to_string);
        format!(
            "{nth:>4}  {:<4}  {:>7.0}  {:>6}  {:>9}  {:>9}  {:>+9.1}  {:>5}  {:>4}  {:>3}  {:>4}  {:>3}",
            self.how,
            self.length_s,
            self.passes,
            self.quarter(1),
            self.quarter(3),
            self.slope(),
            self.at_rest.len(),
            rest(self.at_rest.first()),
            rest(self.at_rest.last()),
            self.kept_max,
            self.open_max
        )
    }
}

impl Counts {
    /// Somebody edited something there.
    pub fn edit(&mut self, side: &'static str) {
        *self.edits.entry(side).or_default() += 1;
    }

    /// All of it, for people.
    pub fn table(&self) -> String {
        let mut text =
            String::from("life  end   seconds  passes  KiB in Q2  KiB in Q4  KiB / min  rests  open  end  kept  max\n");
        for (nth, life) in self.lives.iter().enumerate() {
            writeln!(text, "{}", life.row(nth + 1)).unwrap();
        }
        text.push_str("\nwhat                                  tried   done  seconds\n");
        for (name, tried) in &self.acts {
            writeln!(text, "{name:<36} {:>6} {:>6} {:>8.1}", tried.drawn, tried.done, tried.took.as_secs_f64())
                .unwrap();
        }
        let edits: Vec<String> = self.edits.iter().map(|(side, count)| format!("{count} {side}")).collect();
        writeln!(text, "\nedits: {}", edits.join(", ")).unwrap();
        text
    }
}

#[test]
fn what_grows_is_found_and_what_is_flat_is_not() {
    let life = |rss_kib: fn(u32) -> u32| {
        let memory = (0..240).map(|at| Sample { at_s: f64::from(at), rss_kib: rss_kib(at) }).collect();
        Figures { how: "TERM", length_s: 240.0, passes: 0, memory, at_rest: vec![20, 23], kept_max: 5, open_max: 30 }
    };
    let flat = life(|at| 40_000 + at % 7);
    assert_eq!(flat.grown(), None);
    assert!(flat.slope().abs() < 1.0, "{}", flat.slope());
    let grows = life(|at| 40_000 + at * 60);
    assert!((grows.slope() - 3_600.0).abs() < 0.1, "{}", grows.slope());
    assert_eq!((grows.quarter(1), grows.quarter(3)), (40_000 + 90 * 60, 40_000 + 210 * 60));
    assert_eq!(grows.grown().unwrap(), "memory grew from 45400 to 52600 KiB");
    let leaks = Figures { at_rest: vec![20, 24], ..life(|_| 40_000) };
    assert_eq!(leaks.grown().unwrap(), "descriptors at rest: [20, 24]");
}
