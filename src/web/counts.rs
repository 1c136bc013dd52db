//! Owns: how many records and links large collections have: counted after each pass, beside the questions that want to know.
//!
//! Must not know: who asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;

use crate::daemon::{Desk, Heard};
use crate::ops::{Counted, count};
use crate::rules::Collection;
use crate::store::{Store, StoreError, View, read};

/// So many are counted while somebody waits: that takes a few milliseconds.
const AT_ONCE_MAX: u64 = 10_000;

/// What was counted last, by collection.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<String, Counted>>);

impl Counts {
    /// As it is now where that is quickly counted; else as it was after the last pass; else as far as was counted.
    pub fn of(&self, view: &dyn View, collection: &Collection) -> Result<Counted, StoreError> {
        let now = count(view, collection, AT_ONCE_MAX)?;
        if now.is_whole {
            return Ok(now);
        }
        Ok(self.known().get(&collection.name).cloned().unwrap_or(now))
    }

    /// Counts large collections at the start and after each pass.
    pub async fn keep(self: Arc<Self>, desk: &Desk, store: &dyn Store) {
        let mut heard = desk.listen();
        let all =
            || desk.standing().collections.into_iter().map(|place| place.collection).collect::<BTreeSet<String>>();
        let mut due = all();
        loop {
            while let Some(name) = due.pop_first() {
                let Some(collection) = desk.standing().rules.collections.get(&name).cloned() else { continue };
                let known = Arc::clone(&self);
                let counted = read(store, move |view| {
                    if count(view, &collection, AT_ONCE_MAX)?.is_whole {
                        return Ok(());
                    }
                    let counted = count(view, &collection, u64::MAX)?;
                    known.known().insert(collection.name.clone(), counted);
                    Ok(())
                });
                if let Err(error) = counted.await {
                    tracing::debug!("{name} is not counted: {error}");
                }
            }
            match heard.recv().await {
                Ok(Heard::Ended { collection, .. }) => {
                    due.insert(collection);
                }
                Ok(Heard::Step { .. }) => {}
                Err(RecvError::Lagged(_)) => due = all(),
                // Nobody speaks any more; whoever asks may still do so.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
