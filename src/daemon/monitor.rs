//! Owns: what the daemon does about upstreams beside passes: asks them whether they are well, and writes down every few
//! seconds what was asked of them and how they answered.
//!
//! Must not know: when passes run; what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::reconcile::Engine;

/// How long a count may be missing from the database.
const KEPT_EVERY: Duration = Duration::from_secs(5);
/// The same of what was asked while no pass ran: by a plan, or to renew a token.
const KEPT_EVERY_IDLE: Duration = Duration::from_mins(1);

/// What it goes by.
#[derive(Clone)]
struct Work {
    engine: Arc<Engine>,
    /// A pass runs.
    busy: bool,
}

/// Works beside passes until it is dropped.
pub struct Monitor {
    work: watch::Sender<Work>,
    tasks: JoinSet<()>,
}

impl Monitor {
    /// Begins.
    pub fn start(engine: &Arc<Engine>, clock: Arc<dyn Clock>) -> Self {
        let (tell, told) = watch::channel(Work { engine: Arc::clone(engine), busy: false });
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_over(told, clock));
        Self { work: tell, tasks }
    }

    /// Ends. Nothing of it holds the engine any more, nor the database below that.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// Other rules are in force.
    pub fn renew(&self, engine: &Arc<Engine>) {
        self.work.send_modify(|work| work.engine = Arc::clone(engine));
    }

    /// A pass runs, or none does any more: only then is it worth looking often.
    pub fn set_busy(&self, busy: bool) {
        self.work.send_if_modified(|work| std::mem::replace(&mut work.busy, busy) != busy);
    }
}

async fn watch_over(mut work: watch::Receiver<Work>, clock: Arc<dyn Clock>) {
    let mut due = Due::default();
    let mut asked = FuturesUnordered::new();
    let (mut kept, mut was_busy) = (clock.monotonic(), false);
    loop {
        let Work { engine: at_work, busy } = work.borrow_and_update().clone();
        let now = clock.monotonic();
        // The last requests of a pass are written down when it ends.
        let keep_at = match (was_busy, busy) {
            (true, false) => now,
            (_, true) => kept + KEPT_EVERY,
            (false, false) => kept + KEPT_EVERY_IDLE,
        };
        was_busy = busy;
        let probes: Vec<(String, Duration)> = at_work.probes().map(|(name, every)| (name.to_owned(), every)).collect();
        for name in due.take(&probes, now) {
            let engine = Arc::clone(&at_work);
            asked.push(async move {
                // What is wrong with the store, the next pass finds out.
                engine.probe(&name).await.ok();
                name
            });
        }
        if now >= keep_at {
            // What could not be written down is tried again.
            at_work.keep_usage().await.ok();
            kept = clock.monotonic();
        }
        let keep_at = kept + if busy { KEPT_EVERY } else { KEPT_EVERY_IDLE };
        let next = due.next().map_or(keep_at, |next| next.min(keep_at));
        tokio::select! {
            biased;
            Some(name) = asked.next() => {
                due.ended(&name);
                was_busy = true;
            }
            Ok(()) = work.changed() => {}
            () = clock.sleep(next.saturating_sub(clock.monotonic())) => {}
        }
    }
}

/// When upstreams are to be asked.
#[derive(Debug, Default)]
struct Due {
    at: BTreeMap<String, Duration>,
    under_way: BTreeSet<String>,
}

impl Due {
    /// Those that are to be asked now. One that is still being asked is not asked again.
    fn take(&mut self, probes: &[(String, Duration)], now: Duration) -> Vec<String> {
        self.at.retain(|name, _| probes.iter().any(|(known, _)| known == name));
        let mut taken = Vec::new();
        for (name, every) in probes {
            let at = self.at.entry(name.clone()).or_insert(now);
            // The rules may want it more often than before.
            *at = (*at).min(now + *every);
            if *at <= now {
                *at = now + *every;
                if self.under_way.insert(name.clone()) {
                    taken.push(name.clone());
                }
            }
        }
        taken
    }

    fn ended(&mut self, name: &str) {
        self.under_way.remove(name);
    }

    fn next(&self) -> Option<Duration> {
        self.at.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::clock::SystemClock;
    use crate::rules::{Context, Source, check};
    use crate::store::{OpenOptions, SqliteStore};

    #[tokio::test]
    async fn f07_when_it_has_ended_nothing_of_it_keeps_the_database_open() {
        let store = Arc::new(SqliteStore::open(&OpenOptions::memory()).unwrap());
        let companies = include_str!("../../sync-rules/examples/kinto/companies.toml");
        let text = format!("{companies}\n[upstream.kinto]\nbase_url = \"http://127.0.0.1:9\"\n");
        let sources = [Source { path: "companies.toml".into(), text, defect: None }];
        let context = Context { vars: &BTreeMap::new(), find_secret: &|_: &str| Ok(()) };
        let rules = Arc::new(check(&sources, &context).ruleset.unwrap());
        let clock = Arc::new(SystemClock::new());
        let opened = Engine::open(Arc::clone(&store) as _, rules, BTreeMap::new(), Arc::clone(&clock) as _).await;
        let engine = Arc::new(opened.unwrap().0);
        let monitor = Monitor::start(&engine, clock);
        // It is at work, or waits.
        tokio::task::yield_now().await;
        monitor.end().await;
        drop(engine);
        assert_eq!(Arc::strong_count(&store), 1);
    }

    #[test]
    fn an_upstream_is_asked_at_once_and_then_as_often_as_its_rules_say() {
        let mut due = Due::default();
        let seconds = Duration::from_secs;
        let probes = |crm: u64, erp: Option<u64>| {
            let one = |name: &str, every| (name.to_owned(), seconds(every));
            std::iter::once(one("crm", crm)).chain(erp.map(|every| one("erp", every))).collect::<Vec<_>>()
        };
        assert_eq!(due.take(&probes(60, Some(10)), seconds(100)), ["crm", "erp"]);
        due.ended("crm");
        assert_eq!(due.next(), Some(seconds(110)));
        assert_eq!(due.take(&probes(60, Some(10)), seconds(110)), Vec::<String>::new(), "erp is still being asked");
        due.ended("erp");
        assert_eq!((due.take(&probes(60, Some(10)), seconds(119)).len(), due.next()), (0, Some(seconds(120))));
        assert_eq!(due.take(&probes(60, Some(10)), seconds(120)), ["erp"]);
        // The rules change: one is to be asked more often, the other no more.
        assert_eq!((due.take(&probes(5, None), seconds(121)).len(), due.next()), (0, Some(seconds(126))));
        assert_eq!(due.take(&probes(5, None), seconds(126)), ["crm"]);
    }
}
