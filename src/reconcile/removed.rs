//! Owns: what becomes of a link whose record we had deleted or archived.
//!
//! Must not know: how that is sent; what others do to the record later.

use std::sync::Arc;

use crate::merge::LinkState;
use crate::rules::Binding;
use crate::store::{LinkRow, StoreError, Tx};
use crate::upstream::{self, Client, Got, SendOp, Site, Written};

use super::context::Pass;
use super::floor;
use super::push::Ready;

/// Marks the link of a record that is gone, or archived, by an acknowledged write.
pub fn settle(tx: &mut dyn Tx, pass: &Pass, op: SendOp, link: &LinkRow) -> Result<(), StoreError> {
    // When it was done, and not when the pass began: listings may lag for so long from then on.
    let now = pass.clock.now().timestamp_micros();
    if op != SendOp::Archive {
        return tx.set_link_gone(link.link, floor::NOT_LISTED, now);
    }
    // A listing that lags shows the bytes that are known, and they count as unchanged; the archived record is news.
    tx.set_link_gone(link.link, link.fingerprint, now)?;
    tx.set_link_state(link.link, LinkState::Archived)
}

/// Looks whether an acknowledged archive has archived the record: the next listing would show the bytes that are known, and
/// nobody would notice that it has not.
pub async fn look(client: &Arc<Client>, rules: &Binding, ready: &Ready, done: Written) -> Written {
    let Some(remote_id) = &ready.request.remote_id else { return done };
    let site = Site::of_write(rules, &ready.request);
    let Ok(Got::Found(now)) = upstream::get(client, rules, &site).await else { return done };
    let archived = rules.mapper.read(&now.raw).is_ok_and(|mapped| mapped.archived);
    if archived || !upstream::is_as_expected(rules, &ready.request, now.version.as_deref(), &now) {
        return done;
    }
    Written::Refused(format!("the archive of {remote_id} was accepted, but a point read shows it as it was"))
}
