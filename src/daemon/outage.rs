//! Owns: which upstreams were not to be had in the last passes, so that each outage is told once, and that it is over.
//!
//! Must not know: how it is told; how upstreams are asked.

use std::collections::BTreeMap;

use crate::reconcile::{PassReport, UpstreamReport};

/// An upstream; the collection, where it is out of reach for that one only.
type Key = (String, Option<String>);

/// What is out of reach, and how many passes went without it.
#[derive(Debug, Default)]
pub struct Outages(BTreeMap<Key, u64>);

/// What a pass says of that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// An upstream is out of reach that was not before.
    pub begins: bool,
    /// These are there again, and so many passes went without each.
    pub over: Vec<(String, u64)>,
}

impl Outages {
    /// Takes up a pass. `is_down`: whether an upstream is, by its last answer, whoever asks it.
    pub fn take(&mut self, report: &PassReport, is_down: impl Fn(&str) -> bool) -> News {
        let mut news = News::default();
        for one in &report.upstreams {
            let name = &one.upstream;
            let (all, own) = ((name.clone(), None), (name.clone(), Some(report.collection.clone())));
            if one.error.is_some() {
                let key = if is_down(name) || self.0.contains_key(&all) { all } else { own };
                let passes = self.0.entry(key).or_default();
                news.begins |= *passes == 0;
                *passes += 1;
            } else if is_well(one) {
                let without: u64 = [all, own].iter().filter_map(|key| self.0.remove(key)).sum();
                if without > 0 {
                    news.over.push((name.clone(), without));
                }
            }
        }
        news
    }
}

/// Whether anything was asked there. A pass over single records may have had nothing to ask.
fn is_well(one: &UpstreamReport) -> bool {
    one.has_listed() || one.listed > 0 || one.written.total() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass of a collection at crm: how it read, how many it saw, and what went wrong.
    fn pass(collection: &str, read: &str, listed: u64, error: Option<&str>) -> PassReport {
        let (upstream, read, error) = ("crm".to_owned(), read.to_owned(), error.map(str::to_owned));
        let upstreams = vec![UpstreamReport { upstream, read, listed, error, ..UpstreamReport::default() }];
        PassReport { collection: collection.to_owned(), upstreams, ..PassReport::default() }
    }

    #[test]
    fn each_outage_is_told_once_and_its_end() {
        let (fine, failing) = (None, Some("503"));
        let rows = [
            ("contacts", "full", 5, fine, false, "fine"),
            ("contacts", "skipped", 0, failing, true, "begins"),
            ("contacts", "targeted", 0, failing, true, "goes on"),
            ("deals", "full", 0, failing, true, "goes on for all"),
            ("deals", "skipped", 0, failing, false, "it hangs meanwhile"),
            ("contacts", "targeted", 0, fine, true, "nothing was asked there"),
            ("deals", "incremental", 0, fine, false, "over after 4"),
            ("contacts", "targeted", 1, fine, false, "fine"),
            ("contacts", "full", 0, Some("403"), false, "begins"),
            ("deals", "full", 0, Some("404"), false, "begins, and is another one"),
            ("contacts", "full", 0, Some("403"), false, "goes on"),
            ("deals", "full", 9, fine, false, "over after 1"),
            ("contacts", "full", 0, Some("503"), true, "begins, and for all"),
            ("contacts", "full", 9, fine, false, "over after 3"),
        ];
        let mut outages = Outages::default();
        for (at, (collection, read, listed, error, is_down, expected)) in rows.into_iter().enumerate() {
            let news = outages.take(&pass(collection, read, listed, error), |_| is_down);
            let over = expected.strip_prefix("over after ").and_then(|passes| passes.parse().ok());
            let over = over.map(|passes| ("crm".to_owned(), passes)).into_iter().collect();
            assert_eq!(news, News { begins: expected.starts_with("begins"), over }, "row {at}: {expected}");
        }
    }
}
