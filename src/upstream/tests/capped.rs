//! Owns: tests of listings that end after so many results: slices by time and by key, their checkpoints, what stops them.
//!
//! Must not know: writes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::TimeFormat;
use crate::rules::{CapSplit, CsvFormat, NextAt, PageCap, Place, SinceFrom};

/// An upstream that shows the first `cap` of what is asked for, a page at a time, in the order in which it has them.
#[derive(Clone)]
struct Capped {
    records: Vec<(u64, i64)>,
    cap: usize,
    size: usize,
    csv: bool,
    /// So many of the first slice's records are deleted once its first page was read; its search is not made anew.
    lost: usize,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Capped {
    fn new(records: Vec<(u64, i64)>, cap: usize, size: usize, csv: bool) -> Self {
        Self { records, cap, size, csv, lost: 0, asked: Arc::default() }
    }

    fn answer(&self, query: &BTreeMap<String, String>) -> Result<Response, TransportError> {
        let number = |name: &str| query.get(name).map(|text| text.parse::<i64>().unwrap());
        let (since, key) = (number("since").unwrap_or(i64::MIN), number("key").unwrap_or(-1));
        let from = usize::try_from(number("after").unwrap_or(0)).unwrap();
        let wanted = self.records.iter().filter(|(id, at)| *at >= since && i64::try_from(*id).unwrap() > key);
        let mut shown: Vec<&(u64, i64)> = wanted.take(self.cap).collect();
        if self.lost > 0 && !query.contains_key("since") && !query.contains_key("key") {
            shown.drain(self.size..self.size + self.lost);
        }
        let page = shown.iter().skip(from).take(self.size);
        let body = if self.csv {
            let rows: Vec<String> = page.map(|(id, at)| format!("{id},{at}\n")).collect();
            format!("id,at\n{}", rows.concat())
        } else {
            let records: Vec<Tree> = page.map(|(id, at)| json!({ "id": id, "at": at })).collect();
            json!({ "results": records }).to_string()
        };
        let next = (from + self.size).to_string();
        let now = self.asked.lock().unwrap().len().to_string();
        let more = (from + self.size < shown.len()).then_some(("x-next", next.as_str()));
        let headers: Vec<(&str, &str)> = more.into_iter().chain([("x-now", now.as_str())]).collect();
        answer(200, &headers, &body)
    }
}

impl Transport for Capped {
    fn exchange(&self, request: Outgoing) -> BoxFuture<'_, Result<Response, TransportError>> {
        let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        self.asked.lock().unwrap().push(request.url.query().unwrap_or_default().to_owned());
        Box::pin(std::future::ready(self.answer(&query)))
    }
}

fn place(name: &str) -> Place {
    Place::Query(name.to_owned())
}

fn rules(client: &Client, capped: &Capped, split: Option<CapSplit>) -> Arc<Binding> {
    let mut rules = binding(client.upstream());
    let updated_at = Some((lens(".at"), TimeFormat::UnixS));
    rules.mapper = Mapper::new(3, Probe { updated_at, ..Probe::of(lens(".id")) }, mapper().fields);
    rules.read = Some(reading(capped, split));
    Arc::new(rules)
}

fn reading(capped: &Capped, split: Option<CapSplit>) -> Read {
    let next = NextAt::Header("x-next".to_owned());
    let mut reading = read(Paging::Cursor { next, into: place("after"), more: None });
    if capped.csv {
        reading.format = BodyFormat::Csv(CsvFormat { delimiter: b',', empty_is_null: false });
    }
    reading.incremental = Incremental::Since {
        into: place("since"),
        from: SinceFrom::UpdatedAt,
        format: TimeFormat::UnixS,
        lookback: Duration::ZERO,
        value: None,
    };
    reading.cap = Some(PageCap { results: capped.cap as u64, split });
    reading
}

fn by_key() -> CapSplit {
    CapSplit::Key { key: path(".id"), into: place("key") }
}

struct Listed {
    ids: Vec<u64>,
    /// How many ids there were when each checkpoint was given.
    places: Vec<(usize, PageToken)>,
    marks: Vec<Option<String>>,
    failure: Option<Failure>,
}

fn list(capped: &Capped, split: Option<CapSplit>, query: ListQuery) -> Listed {
    let client = client(upstream("https://api.example.com"), Arc::new(capped.clone()), &TestClock::new());
    let rules = rules(&client, capped, split);
    list_by(client, &rules, query)
}

fn list_by(client: Arc<Client>, rules: &Arc<Binding>, query: ListQuery) -> Listed {
    let mut lister = Lister::new(client, Arc::clone(rules), query);
    let mut listed = Listed { ids: Vec::new(), places: Vec::new(), marks: Vec::new(), failure: None };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    loop {
        match runtime.block_on(lister.page()) {
            Ok(Some(page)) => {
                let ids = page.records.iter().map(|record| rules.mapper.id(&page.body[record.clone()]).unwrap());
                listed.ids.extend(ids.map(|id| id.parse::<u64>().unwrap()));
                listed.marks.push(page.mark);
                listed.places.extend(page.next.map(|next| (listed.ids.len(), next)));
            }
            Ok(None) => return listed,
            Err(failure) => {
                listed.failure = Some(failure);
                return listed;
            }
        }
    }
}

fn resume(token: &PageToken) -> ListQuery {
    let kept = serde_json::to_string(token).unwrap();
    ListQuery { resume: Some(serde_json::from_str(&kept).unwrap()), ..ListQuery::default() }
}

/// The times of records `1..`, in their order.
fn at(times: &[i64]) -> Vec<(u64, i64)> {
    (1..).zip(times.iter().copied()).collect()
}

#[test]
fn each_slice_begins_where_the_one_before_ended_and_shows_nothing_twice() {
    let capped = Capped::new(at(&[1, 1, 2, 3, 3, 3, 3, 4]), 5, 2, false);
    let listed = list(&capped, Some(CapSplit::Time), ListQuery::default());
    assert_eq!((listed.ids, listed.failure), ((1..=8).collect(), None));
    // A page of the second slice is a page of the first: that is no circle.
    let asked = ["", "after=2", "after=4", "since=3", "since=3&after=2", "since=3&after=4", "since=4"];
    assert_eq!(*capped.asked.lock().unwrap(), asked);
    let capped = Capped::new(at(&[9, 1, 4, 4, 4, 4, 4, 2]), 3, 2, true);
    let listed = list(&capped, Some(by_key()), ListQuery { since: Some("2".to_owned()), ..ListQuery::default() });
    assert_eq!((listed.ids, listed.failure), (vec![1, 3, 4, 5, 6, 7, 8], None));
    let asked = ["since=2", "since=2&after=2", "since=2&key=4", "since=2&after=2&key=4", "since=2&key=7"];
    assert_eq!(*capped.asked.lock().unwrap(), asked);
    // One that has no more than the cap allows is asked for once more, since nobody can tell.
    let capped = Capped::new(at(&[1, 2, 3]), 3, 9, false);
    assert_eq!(list(&capped, Some(CapSplit::Time), ListQuery::default()).ids, [1, 2, 3]);
    assert_eq!(capped.asked.lock().unwrap().len(), 2);
}

#[test]
fn the_next_listing_asks_for_what_changed_since_the_first_slice_and_not_since_a_later_one() {
    let capped = Capped::new(at(&[1; 8]), 3, 2, false);
    let client = client(upstream("https://api.example.com"), Arc::new(capped.clone()), &TestClock::new());
    let mut rules = binding(client.upstream());
    let mut reading = reading(&capped, Some(by_key()));
    reading.incremental = Incremental::Since {
        into: place("since"),
        from: SinceFrom::Header("x-now".to_owned()),
        format: TimeFormat::UnixS,
        lookback: Duration::ZERO,
        value: None,
    };
    rules.read = Some(reading);
    let listed = list_by(client, &Arc::new(rules), ListQuery::default());
    assert_eq!((listed.ids, listed.failure), ((1..=8).collect(), None));
    assert_eq!(listed.marks, [Some("1".to_owned()), None, None, None, None]);
}

#[test]
fn a_slice_that_lost_a_record_while_it_was_read_ends_before_its_cap_and_goes_on() {
    let times: Vec<i64> = (0..50).collect();
    for (split, csv) in [(CapSplit::Time, false), (by_key(), false), (by_key(), true)] {
        let mut capped = Capped::new(at(&times), 20, 7, csv);
        capped.lost = 1;
        let listed = list(&capped, Some(split.clone()), ListQuery::default());
        assert_eq!((listed.ids.len(), listed.failure), (49, None), "{split:?}");
        // One that ends there by itself has no more, in whatever order it comes.
        let mut backwards = at(&times[..19]);
        backwards.reverse();
        let listed = list(&Capped::new(backwards, 20, 7, csv), Some(split), ListQuery::default());
        assert_eq!((listed.ids.len(), listed.failure), (19, None));
    }
}

#[test]
fn a_listing_that_cannot_go_on_beyond_its_cap_is_not_complete() {
    let fails = |times: &[i64], split, words: &str| {
        let listed = list(&Capped::new(at(times), 3, 2, false), split, ListQuery::default());
        let failure = listed.failure.unwrap();
        assert_eq!(failure.kind, FailureKind::BadAnswer);
        assert!(failure.words.starts_with("GET /c: the listing reaches its cap of 3 results"), "{failure}");
        assert!(failure.words.contains(words), "{failure}");
    };
    fails(&[1, 2, 3], None, "does not say how it goes on");
    fails(&[1, 2, 2, 2, 3], Some(CapSplit::Time), "with one time of change, 2: it cannot be split by time");
    fails(&[3, 2, 1, 4], Some(CapSplit::Time), "do not come by `updated_at`, upwards");
    // Fewer than the cap need no order.
    let listed = list(&Capped::new(at(&[3, 1]), 3, 2, false), Some(CapSplit::Time), ListQuery::default());
    assert_eq!((listed.ids, listed.failure), (vec![1, 2], None));
    // Keys in no order at all; a key that leads nowhere.
    let mixed = Capped::new(vec![(5, 0), (20, 0), (3, 0), (9, 0)], 3, 3, false);
    assert!(
        list(&mixed, Some(by_key()), ListQuery::default()).failure.unwrap().words.contains("`page_cap.key`, upwards")
    );
    // As texts they are in order, and as texts they are asked for.
    let deaf = Capped::new(at(&[1, 2, 3, 4]), 3, 3, false);
    let split = CapSplit::Key { key: path(".id"), into: place("ignored") };
    assert!(
        list(&deaf, Some(split), ListQuery::default()).failure.unwrap().words.contains("does not heed `page_cap.into`")
    );
}

proptest! {
    /// Whatever there is, all of it is listed, each record once, or it is said that it cannot be; also from any checkpoint on.
    #[test]
    fn nothing_is_lost_or_doubled_between_slices(
        mut times in prop::collection::vec(0_i64..12, 0..40),
        cap in 1_usize..9,
        size in 1_usize..5,
        csv in any::<bool>(),
        split_by_time in any::<bool>(),
        stop in any::<prop::sample::Index>(),
    ) {
        if split_by_time {
            times.sort_unstable();
        }
        let capped = Capped::new(at(&times), cap, size, csv);
        let split = || Some(if split_by_time { CapSplit::Time } else { by_key() });
        let all: Vec<u64> = capped.records.iter().map(|(id, _)| *id).collect();
        let crowded = (0..12).any(|time| times.iter().filter(|one| **one == time).count() >= cap);
        let listed = list(&capped, split(), ListQuery::default());
        if let Some(failure) = &listed.failure {
            prop_assert!(split_by_time && crowded, "{}", failure);
            return Ok(());
        }
        prop_assert_eq!(&listed.ids, &all);
        if !listed.places.is_empty() {
            let (count, token) = stop.get(&listed.places);
            let rest = list(&capped, split(), resume(token));
            prop_assert_eq!(rest.failure, None);
            // What was left out as seen may come again; nothing is missing.
            let mut ids: Vec<u64> = listed.ids.iter().take(*count).copied().chain(rest.ids).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids, all);
        }
    }
}
