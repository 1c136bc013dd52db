//! Owns: which webhooks a pass has followed, and which none can follow any more.
//!
//! Must not know: how webhooks come in.
//!
//! A webhook is a hint that something changed; what it is the listings show. It is followed by a pass that began after it
//! came and read its upstream without a failure.

use crate::rules::Ruleset;
use crate::store::{StoreError, Tx};

use super::report::{Outcome, PassReport};

/// Why a webhook is followed by none.
const UNBOUND: &str = "the rules bind its collection to its upstream no more";

/// Settles what waited when the pass began; `up_to` is the newest of it.
pub fn settle(tx: &mut dyn Tx, report: &PassReport, up_to: i64) -> Result<(), StoreError> {
    match report.outcome {
        Outcome::Failed | Outcome::Halted => return Ok(()),
        Outcome::Ok | Outcome::Pending | Outcome::Conflicts | Outcome::Unavailable => {}
    }
    if up_to == 0 || report.dry_run {
        return Ok(());
    }
    for upstream in report.upstreams.iter().filter(|one| one.error.is_none()) {
        tx.settle_hooks(&report.collection, &upstream.upstream, up_to)?;
    }
    Ok(())
}

/// What waits for a collection that the rules no longer bind to the upstream will never be followed.
pub fn bury(tx: &mut dyn Tx, rules: &Ruleset) -> Result<(), StoreError> {
    for (collection, upstream) in tx.hook_places()? {
        let rules = rules.collections.get(&collection);
        let is_bound = rules.is_some_and(|rules| rules.bindings.iter().any(|one| one.upstream.name == upstream));
        if !is_bound {
            tx.bury_hooks(&collection, &upstream, UNBOUND)?;
        }
    }
    Ok(())
}
