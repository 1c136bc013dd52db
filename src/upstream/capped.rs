//! Owns: listings that end, without a word, after so many results: how they go on, slice by slice, from a time or a key.
//!
//! Must not know: how pages follow each other, how requests are sent.
//!
//! Each slice is a listing of its own that begins where the one before ended, that place included: what was seen there
//! already is left out by its bytes. A slice can only be followed by another where its records came in order.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::paging::key_of;
use super::{ListQuery, Page};
use crate::record::{Json, Mapper, Probe, TimeFormat};
use crate::rules::{Binding, CapSplit, Incremental, PageCap, Read};

/// Slices of one listing, at most.
const SLICES_MAX: u64 = 100_000;

/// This share of a cap is near it.
const NEAR_SHARE: u64 = 20;

/// Where a listing stands in slices; a part of its checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slice {
    /// How many there were before.
    pub number: u64,
    /// The since-value, or the key as JSON, that it begins at; `None`: at the beginning.
    pub from: Option<String>,
    /// Nothing of it was read yet.
    pub begins: bool,
    /// Results of it so far, those that were seen before included.
    pub results: u64,
    /// The last place so far, written as `from` is.
    pub last: Option<String>,
    /// The last time so far, in microseconds.
    at: Option<i64>,
    /// Its records do not come by time.
    disorder: Disorder,
}

/// In which ways records did not come in order. Keys are in order in one way out of three, as databases sort them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "ways to sort, independent of each other")]
struct Disorder {
    time: bool,
    number: bool,
    text: bool,
    caseless: bool,
}

/// The slices of one listing.
#[derive(Debug, Default)]
pub struct Slices {
    /// The one that is read.
    pub now: Slice,
    /// Records at its last place.
    edge: HashSet<u64>,
    /// Records at the last place of the one before.
    seen: HashSet<u64>,
}

impl Slices {
    /// Goes on with this one.
    pub fn at(now: Slice) -> Self {
        Self { now, ..Self::default() }
    }

    /// What a listing asks for, where the slice begins at a time.
    pub fn query(&self, read: &Read, query: &ListQuery) -> ListQuery {
        let by_time = matches!(&read.cap, Some(PageCap { split: Some(CapSplit::Time), .. }));
        let since = self.now.from.clone().filter(|_| by_time).or_else(|| query.since.clone());
        ListQuery { since, ..query.clone() }
    }

    /// Takes note of a page's records, and takes those out of it that the slice before has shown as they are.
    pub fn note(&mut self, read: &Read, binding: &Binding, page: &mut Page) {
        self.now.begins = false;
        self.now.results += page.records.len() as u64;
        let Some(split) = read.cap.as_ref().and_then(|cap| cap.split.as_ref()) else { return };
        // Of a record that is known and unchanged nothing else is looked at: a whole mapping would cost more than all the rest.
        let probe = &binding.mapper.probe;
        let probe = Probe { updated_at: probe.updated_at.clone(), ..Probe::of(probe.id.clone()) };
        let times = Mapper::new(0, probe, Vec::new());
        let body = page.body.clone();
        page.records.retain(|range| {
            let raw = body.get(range.clone()).unwrap_or_default();
            let goes_on = match split {
                CapSplit::Time => self.now.pass_time(&times, raw, since_format(read)),
                CapSplit::Key { key, .. } => self.now.pass_key(key_of(raw, key)),
            };
            if goes_on {
                self.edge.clear();
            }
            let hash = xxh3_64(raw);
            self.edge.insert(hash);
            !self.seen.contains(&hash)
        });
    }

    /// Begins the next slice where this one has reached the cap; the error says why there is none.
    ///
    /// One that comes near it goes on as well: what is deleted while its pages are read makes it end before its cap.
    pub fn go_on(&mut self, read: &Read, since: Option<&str>) -> Result<bool, String> {
        let near = |cap: u64| cap - cap / NEAR_SHARE;
        let Some(cap) = read.cap.as_ref().filter(|cap| self.now.results >= near(cap.results)) else { return Ok(false) };
        let goes_on = self.next_slice(cap, since);
        if self.now.results < cap.results && goes_on.is_err() { Ok(false) } else { goes_on }
    }

    fn next_slice(&mut self, cap: &PageCap, since: Option<&str>) -> Result<bool, String> {
        let ends = format!("the listing reaches its cap of {} results", cap.results);
        let from = match &cap.split {
            None => {
                Err(format!("{ends}, and `page_cap` does not say how it goes on: what comes after them is not known"))
            }
            Some(CapSplit::Time) => self.now.after_time(&ends, since),
            Some(CapSplit::Key { .. }) => self.now.after_key(&ends),
        }?;
        if self.now.number >= SLICES_MAX {
            return Err(format!("{ends}, and does not end within {SLICES_MAX} times as many"));
        }
        self.now = Slice { number: self.now.number + 1, from: Some(from), begins: true, ..Slice::default() };
        self.seen = std::mem::take(&mut self.edge);
        Ok(true)
    }
}

impl Slice {
    /// Takes note of a record; true where it stands at another place than the one before.
    fn pass_time(&mut self, times: &Mapper, raw: &[u8], format: TimeFormat) -> bool {
        let Some(at) = times.read(raw).ok().and_then(|mapped| mapped.updated_at) else {
            self.disorder.time = true;
            return false;
        };
        self.disorder.time |= self.at.is_some_and(|before| at.timestamp_micros() < before);
        self.at = Some(at.timestamp_micros());
        self.moves_to(written(&format.write(at)))
    }

    fn pass_key(&mut self, key: Option<Json>) -> bool {
        let Some(key) = key else {
            self.disorder = Disorder { time: false, number: true, text: true, caseless: true };
            return false;
        };
        if let Some(before) = self.last.as_deref().and_then(|text| Json::parse(text.as_bytes()).ok()) {
            let (old, new) = (written(&before), written(&key));
            self.disorder.number |= !is_greater_number(&new, &old);
            self.disorder.text |= new <= old;
            self.disorder.caseless |= new.to_lowercase() <= old.to_lowercase();
        }
        self.moves_to(key.to_string())
    }

    fn moves_to(&mut self, place: String) -> bool {
        let moves = self.last.as_ref() != Some(&place);
        self.last = Some(place);
        moves
    }

    fn after_time(&self, ends: &str, since: Option<&str>) -> Result<String, String> {
        let Some(last) = self.last.clone().filter(|_| !self.disorder.time) else {
            return Err(format!(
                "{ends}, and its records do not come by `updated_at`, upwards: it cannot go on from the last one's"
            ));
        };
        if self.from.as_deref().or(since) == Some(last.as_str()) {
            return Err(format!(
                "{ends} with one time of change, {last}: it cannot be split by time (if there are fewer, the upstream \
                 does not heed `incremental.into`)"
            ));
        }
        Ok(last)
    }

    fn after_key(&self, ends: &str) -> Result<String, String> {
        let Disorder { number, text, caseless, .. } = self.disorder;
        let Some(last) = self.last.clone().filter(|_| !(number && text && caseless)) else {
            return Err(format!(
                "{ends}, and its records do not come by `page_cap.key`, upwards: it cannot go on from the last one's"
            ));
        };
        if self.from.as_ref() == Some(&last) {
            return Err(format!("{ends} again: the upstream does not heed `page_cap.into`"));
        }
        Ok(last)
    }
}

fn since_format(read: &Read) -> TimeFormat {
    match &read.incremental {
        Incremental::Since { format, .. } => *format,
        Incremental::None | Incremental::Conditional | Incremental::Token { .. } | Incremental::EventFeed(_) => {
            TimeFormat::Rfc3339
        }
    }
}

/// A text or a number as it goes into a request.
fn written(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// Whole numbers of any length.
fn is_greater_number(new: &str, old: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let significant = |text: &'_ str| text.trim_start_matches('0').to_owned();
    let (long, short) = (significant(new), significant(old));
    digits(new) && digits(old) && (long.len(), &long) > (short.len(), &short)
}
