//! Owns: binding the next passes to saved plans.
//!
//! Must not know: files; how passes are started.

use std::collections::BTreeMap;

use crate::reconcile::{bind, unbind};
use crate::store::{self, Store};

use super::OpsError;

/// The next pass over each of these collections makes the plan of this fingerprint, or changes nothing.
pub async fn bind_plans(store: &dyn Store, plans: &BTreeMap<String, String>) -> Result<(), OpsError> {
    let plans = plans.clone();
    let bound = move |tx: &mut dyn store::Tx| plans.iter().try_for_each(|(name, plan)| bind(tx, name, plan));
    Ok(store::write(store, bound).await?)
}

/// They are bound to none.
pub async fn unbind_plans(store: &dyn Store, plans: &BTreeMap<String, String>) -> Result<(), OpsError> {
    let plans = plans.clone();
    Ok(store::write(store, move |tx| plans.keys().try_for_each(|name| unbind(tx, name))).await?)
}
