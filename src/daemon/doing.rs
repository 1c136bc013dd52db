//! Owns: what the running pass is at, in one line for people.
//!
//! Must not know: who reads it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::reconcile::{Progress, Step};

/// Hears the steps of passes and passes them on.
pub struct Doing {
    text: Mutex<Option<String>>,
    next: Arc<dyn Progress>,
}

impl Doing {
    /// Nothing yet; `next` hears everything as well.
    pub fn new(next: Arc<dyn Progress>) -> Self {
        Self { text: Mutex::default(), next }
    }

    /// A pass is about to begin.
    pub fn begins(&self, collection: &str) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = words(&Step::Began { collection });
    }

    /// The step that is under way; `None` between passes.
    pub fn text(&self) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Progress for Doing {
    fn step(&self, step: &Step<'_>) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = words(step);
        self.next.step(step);
    }
}

fn words(step: &Step<'_>) -> Option<String> {
    Some(match step {
        Step::Began { collection } => format!("{collection}: a pass begins"),
        Step::Pulled { collection, upstream, records, expected: Some(expected), .. } if expected >= records => {
            format!("{collection}: {records} of about {expected} records read from {upstream}")
        }
        Step::Pulled { collection, upstream, records, .. } => {
            format!("{collection}: {records} records read from {upstream}")
        }
        Step::Decided { collection, records } => format!("{collection}: {records} records decided"),
        Step::Pushed { collection, upstream, done, total } => {
            format!("{collection}: {done} of {total} writes sent to {upstream}")
        }
        Step::Ended { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{PassReport, Silent};

    #[test]
    fn each_step_has_a_line_and_after_a_pass_there_is_none() {
        let doing = Doing::new(Arc::new(Silent));
        let told = |step: Step<'_>| {
            doing.step(&step);
            doing.text()
        };
        let (collection, upstream) = ("contacts", "crm");
        let pulled = |expected| Step::Pulled { collection, upstream, records: 20, changed: 1, expected };
        assert_eq!(told(Step::Began { collection }).as_deref(), Some("contacts: a pass begins"));
        assert_eq!(told(pulled(Some(90))).as_deref(), Some("contacts: 20 of about 90 records read from crm"));
        assert_eq!(told(pulled(Some(9))).as_deref(), Some("contacts: 20 records read from crm"));
        assert_eq!(told(Step::Decided { collection, records: 3 }).as_deref(), Some("contacts: 3 records decided"));
        let pushed = Step::Pushed { collection, upstream, done: 1, total: 2 };
        assert_eq!(told(pushed).as_deref(), Some("contacts: 1 of 2 writes sent to crm"));
        assert_eq!(told(Step::Ended { report: &PassReport::default() }), None);
    }
}
