//! Owns: what the running passes are at: one line each for people, and the same for whoever listens.
//!
//! Must not know: who reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::reconcile::{PassReport, Progress, Step};

/// Lines that a slow listener may lag behind; the oldest are lost to it.
const BACKLOG: usize = 256;

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A pass is at something else.
    Step {
        /// Of this collection.
        collection: String,
        /// For people.
        text: String,
    },
    /// A pass ended.
    Ended {
        /// Of this collection.
        collection: String,
        /// How many passes had been started before it.
        number: u64,
        /// What came of it, or why there is no report.
        report: Result<Arc<PassReport>, String>,
    },
}

/// Hears the steps of passes and passes them on.
pub struct Doing {
    at: Mutex<BTreeMap<String, String>>,
    listeners: broadcast::Sender<Heard>,
    next: Arc<dyn Progress>,
}

impl Doing {
    /// Nothing yet; `next` hears every step as well.
    pub fn new(next: Arc<dyn Progress>) -> Self {
        Self { at: Mutex::default(), listeners: broadcast::Sender::new(BACKLOG), next }
    }

    /// A pass is about to begin.
    pub fn begins(&self, collection: &str) {
        self.note(&Step::Began { collection });
    }

    /// A pass is over: nothing is under way there.
    pub fn ended(&self, collection: &str, number: u64, report: Result<Arc<PassReport>, String>) {
        self.now().remove(collection);
        let collection = collection.to_owned();
        // Nobody may be listening.
        self.listeners.send(Heard::Ended { collection, number, report }).ok();
    }

    /// A pass over single records was made while another one runs, which goes on.
    pub fn between(&self, report: &PassReport) {
        let (here, there) = (report.local.total(), report.remote_writes());
        let text = format!("{here} changes here and {there} writes upstream in between, by pass {}", report.pass);
        self.say(&report.collection, text);
    }

    /// A pass came to nothing: another one is made in its place.
    pub fn undone(&self, collection: &str) {
        self.now().remove(collection);
    }

    /// The steps that are under way, in one line; `None` between passes.
    pub fn text(&self) -> Option<String> {
        let at = self.now();
        (!at.is_empty()).then(|| at.values().cloned().collect::<Vec<_>>().join("; "))
    }

    /// The step of one collection's pass.
    pub fn of(&self, collection: &str) -> Option<String> {
        self.now().get(collection).cloned()
    }

    /// Hears everything from now on.
    pub fn listen(&self) -> broadcast::Receiver<Heard> {
        self.listeners.subscribe()
    }

    fn note(&self, step: &Step<'_>) {
        if let Some((collection, text)) = step_words(step) {
            self.say(collection, text);
        }
    }

    fn say(&self, collection: &str, text: String) {
        let said = format!("{collection}: {text}");
        self.now().insert(collection.to_owned(), said);
        self.listeners.send(Heard::Step { collection: collection.to_owned(), text }).ok();
    }

    fn now(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Doing {
    fn step(&self, step: &Step<'_>) {
        self.note(step);
        self.next.step(step);
    }
}

/// The collection of a step, and what it is, for people; `None` for the end.
pub fn step_words<'a>(step: &Step<'a>) -> Option<(&'a str, String)> {
    Some(match step {
        Step::Began { collection } => (collection, "a pass begins".to_owned()),
        Step::Pulled { collection, upstream, records, expected: Some(expected), .. } if expected >= records => {
            (collection, format!("{records} of about {expected} records read from {upstream}"))
        }
        Step::Pulled { collection, upstream, records, .. } => {
            (collection, format!("{records} records read from {upstream}"))
        }
        Step::Decided { collection, records } => (collection, format!("{records} records decided")),
        Step::Pushed { collection, upstream, done, total } => {
            (collection, format!("{done} of {total} writes sent to {upstream}"))
        }
        Step::Ended { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Silent;

    #[test]
    fn each_step_has_a_line_and_after_a_pass_there_is_none() {
        let doing = Doing::new(Arc::new(Silent));
        let mut heard = doing.listen();
        let told = |step: Step<'_>| {
            doing.step(&step);
            doing.text()
        };
        let (collection, upstream) = ("contacts", "crm");
        let pulled = |expected| Step::Pulled { collection, upstream, records: 20, changed: 1, expected };
        assert_eq!(told(Step::Began { collection }).as_deref(), Some("contacts: a pass begins"));
        assert_eq!(told(pulled(Some(90))).as_deref(), Some("contacts: 20 of about 90 records read from crm"));
        assert_eq!(told(pulled(Some(9))).as_deref(), Some("contacts: 20 records read from crm"));
        let other = told(Step::Decided { collection: "deals", records: 3 });
        assert_eq!(other.as_deref(), Some("contacts: 20 records read from crm; deals: 3 records decided"));
        let pushed = Step::Pushed { collection, upstream, done: 1, total: 2 };
        assert_eq!(told(pushed).as_deref(), Some("contacts: 1 of 2 writes sent to crm; deals: 3 records decided"));
        assert!(matches!(heard.try_recv(), Ok(Heard::Step { text, .. }) if text == "a pass begins"));
        doing.ended("contacts", 1, Ok(Arc::default()));
        assert_eq!((doing.of("contacts"), doing.text().as_deref()), (None, Some("deals: 3 records decided")));
    }
}
