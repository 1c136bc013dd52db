//! Owns: records that nothing tells of any more, neither that they are there nor that they are gone: in sight until something does.
//!
//! Must not know: how records are asked for; what follows from an answer.

use std::sync::Arc;

use crate::merge::LinkState;
use crate::record::RecordId;
use crate::store::{self, LinkId, QuarantineRow, Store, StoreError, View};
use crate::upstream::Site;

use super::absence::{self, STAGE};
use super::context::{Pass, local_subject};
use super::pulled::Pulled;

/// Records that are set aside so, at most; how many there are in all is in the note of the pass.
const KEPT_MAX: usize = 1000;

/// What such a record is known by among others that are set aside at the same stage.
const UNTOLD: &str = "untold";

/// Sets aside what was not listed, where nothing can be asked for it.
pub async fn keep(
    store: &dyn Store,
    pass: &Arc<Pass>,
    at: usize,
    missing: &[(Site, LinkId)],
) -> Result<(), StoreError> {
    let links: Vec<LinkId> = missing.iter().take(KEPT_MAX).map(|(_, link)| *link).collect();
    if links.is_empty() {
        return Ok(());
    }
    let pass = Arc::clone(pass);
    store::write(store, move |tx| {
        for link in links {
            let Some(row) = tx.link(link)? else { continue };
            let upstream = pass.upstream(at);
            let reason = format!(
                "{} was not listed when {upstream} had told of no deletes for some time: whether it was deleted there is not \
                 known; delete it here if it was, or write `get` in `read` and read everything once more (`--full`)",
                row.remote_id
            );
            tx.put_quarantine(&QuarantineRow {
                collection: pass.collection.name.clone(),
                upstream: upstream.to_owned(),
                subject: local_subject(&row.record),
                stage: STAGE.into(),
                reason,
                inputs: UNTOLD.into(),
                since: pass.micros(),
                pass: pass.id,
            })?;
        }
        Ok(())
    })
    .await
}

/// What an earlier pass set aside is over where this one was shown the record, or where it is tied to nothing there any more.
/// Whether any are left that could not be asked for.
pub async fn take_back(store: &dyn Store, pass: &Arc<Pass>, pulled: &Pulled) -> Result<bool, StoreError> {
    let (pass, at, seen) = (Arc::clone(pass), pulled.binding, Arc::clone(&pulled.seen));
    let (decided, left) = store::read(store, move |view| {
        let (mut decided, mut left) = (Vec::new(), false);
        for row in absence::earlier(view, &pass, at)? {
            let is_open = is_open(view, &pass, at, &row, |link| seen.contains(link.0.unsigned_abs()))?;
            left |= is_open && row.inputs == UNTOLD;
            if !is_open {
                decided.push(row);
            }
        }
        Ok((decided, left))
    })
    .await?;
    absence::clear(store, decided).await?;
    Ok(left)
}

fn is_open(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    row: &QuarantineRow,
    is_listed: impl Fn(LinkId) -> bool,
) -> Result<bool, StoreError> {
    let links = view.links_of(&RecordId(row.subject.clone()))?;
    Ok(links.iter().any(|link| {
        let is_old = link.observed_at < row.since;
        link.binding == pass.binding_key(at) && link.state == LinkState::Live && is_old && !is_listed(link.link)
    }))
}
