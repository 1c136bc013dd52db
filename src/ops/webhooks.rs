//! Owns: webhooks that came in, as people look at them; what they decide about those that could not be followed.
//!
//! Must not know: signatures, HTTP; how passes follow them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::Ruleset;
use crate::store::{
    HOOKS_WAITING_MAX, HookFilter, HookRow, HookState, HookTaken, Micros, Store, StoreError, View, read, write,
};

use super::error::OpsError;
use super::page::{cut_page, with_one_more};
use super::text::rfc3339;

/// How many that could not be followed are listed with the rest of a status.
const DEAD_LISTED_MAX: usize = 20;

/// A webhook that came in.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct HookView {
    /// Its number.
    pub id: i64,
    /// `waiting`, `done`, `replaced`, `ignored`, `dead`.
    pub state: String,
    /// Who sent it.
    pub upstream: String,
    /// What tells a repeat of it.
    pub delivery: String,
    /// RFC 3339.
    pub received_at: Option<String>,
    /// `fetch`, `apply`, `delete`; absent where that is not known.
    pub event: Option<String>,
    /// The collection that it is about.
    pub collection: Option<String>,
    /// The record that it is about; absent: the collection as a whole.
    pub remote_id: Option<String>,
    /// Why it could not be followed.
    pub reason: Option<String>,
}

/// Webhooks that came in.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Inbox {
    /// For which a pass is still to look.
    pub waiting: u64,
    /// That could not be followed.
    pub dead: u64,
    /// The newest, first.
    pub webhooks: Vec<HookView>,
    /// `after` of the next page; absent on the last one.
    pub next: Option<i64>,
}

impl From<HookRow> for HookView {
    fn from(HookRow { id, hook }: HookRow) -> Self {
        Self {
            id,
            state: hook.state.name().to_owned(),
            upstream: hook.upstream,
            delivery: hook.delivery,
            received_at: rfc3339(hook.received_at),
            event: (!hook.event.is_empty()).then_some(hook.event),
            collection: hook.collection,
            remote_id: hook.remote_id,
            reason: hook.error,
        }
    }
}

/// How many wait, and the newest that could not be followed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct InboxStatus {
    /// For which a pass is still to look.
    pub waiting: u64,
    /// That could not be followed within the last 30 days.
    pub dead: u64,
    /// The newest of these.
    pub dead_letters: Vec<HookView>,
}

/// Looks it up.
pub fn inbox_status(view: &dyn View) -> Result<InboxStatus, StoreError> {
    let Inbox { waiting, dead, webhooks, .. } = inbox(view, Some(HookState::Dead), None, DEAD_LISTED_MAX)?;
    Ok(InboxStatus { waiting, dead, dead_letters: webhooks })
}

/// The newest, of one state or of all; `after`: only those that came before this one.
pub fn inbox(view: &dyn View, state: Option<HookState>, after: Option<i64>, limit: usize) -> Result<Inbox, StoreError> {
    let filter = HookFilter { state, before: after, limit: with_one_more(limit), ..HookFilter::default() };
    let mut rows = view.hooks(&filter)?;
    let next = cut_page(&mut rows, limit).map(|row| row.id);
    Ok(Inbox {
        waiting: view.hook_count(HookState::Waiting)?,
        dead: view.hook_count(HookState::Dead)?,
        next,
        webhooks: rows.into_iter().map(HookView::from).collect(),
    })
}

/// Lets one that could not be followed wait for a pass again.
pub async fn retry_hook(store: &dyn Store, rules: &Ruleset, id: i64, now: Micros) -> Result<(), OpsError> {
    let filter = HookFilter { id: Some(id), state: Some(HookState::Dead), limit: 1, ..HookFilter::default() };
    let rows = read(store, move |view| view.hooks(&filter)).await?;
    let Some(HookRow { hook, .. }) = rows.into_iter().next() else { return Err(no_such(id)) };
    let Some(collection) = &hook.collection else {
        return Err(OpsError::Refused(format!(
            "webhook {id} says of no collection that it is about it: no pass can follow it"
        )));
    };
    let bindings = rules.collections.get(collection).map(|collection| &collection.bindings);
    if !bindings.is_some_and(|all| all.iter().any(|binding| binding.upstream.name == hook.upstream)) {
        return Err(OpsError::Refused(format!("the rules do not bind `{collection}` to `{}`", hook.upstream)));
    }
    match write(store, move |tx| tx.retry_hook(id, now, HOOKS_WAITING_MAX)).await? {
        Some(HookTaken::New | HookTaken::Duplicate) => Ok(()),
        Some(HookTaken::Full) => Err(OpsError::Refused(format!("{HOOKS_WAITING_MAX} webhooks wait already"))),
        None => Err(no_such(id)),
    }
}

/// Forgets one that could not be followed.
pub async fn drop_hook(store: &dyn Store, id: i64) -> Result<(), OpsError> {
    if write(store, move |tx| tx.drop_hook(id)).await? { Ok(()) } else { Err(no_such(id)) }
}

fn no_such(id: i64) -> OpsError {
    OpsError::NotFound(format!("no webhook {id} is among those that could not be followed"))
}
