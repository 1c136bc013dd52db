//! Owns: what is kept of an upstream between processes: whose account it is, and what its client learnt of it.
//!
//! Must not know: what is read or written there; how a halt is shown and approved.
//!
//! The account is asked for (`check.account` in the rules) before a process reads or writes anything at the upstream, and
//! pinned the first time. Credentials that lead to another one would make strangers of all records: that halts (s60).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::merge::{Halt, LinkState};
use crate::record::hex;
use crate::rules::Origin;
use crate::store::{self, Store, StoreError, View};
use crate::upstream::{BreakerState, Client, Kept};

use super::context::Pass;

/// What a halt about an account is called.
const ACCOUNT: &str = "account";

/// The state text of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct UpstreamState {
    /// What its client learnt.
    #[serde(flatten)]
    kept: Kept,
    /// The account that its records belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

/// Whose account an upstream's credentials lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The pinned one, or the rules do not say where an account names itself.
    Known,
    /// It could not be asked, with the reason.
    Unasked(String),
    /// Another than the pinned one.
    Other {
        /// The pinned one.
        pinned: String,
        /// The one that answered.
        now: String,
    },
}

async fn load(store: &dyn Store, name: &str) -> Result<UpstreamState, StoreError> {
    let name = name.to_owned();
    let text = store::read(store, move |view| view.upstream_state(&name)).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Until when an upstream asked to be left alone, or its circuit breaker lets nothing through.
pub fn asked_until(view: &dyn View, upstream: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let kept = kept(view, upstream)?;
    Ok(kept.asked_until.max(kept.breaker.and_then(|breaker| breaker.until)))
}

/// Whether the circuit breaker of an upstream lets nothing through, as of the last pass that spoke to it.
pub fn breaker_is_open(view: &dyn View, upstream: &str) -> Result<bool, StoreError> {
    Ok(kept(view, upstream)?.breaker.is_some_and(|breaker| breaker.state == BreakerState::Open))
}

/// Why a person has to sign in at an upstream (again), as of the last pass that wanted to speak to it.
pub fn reauth_required(view: &dyn View, upstream: &str) -> Result<Option<String>, StoreError> {
    Ok(kept(view, upstream)?.reauth)
}

/// What is kept of an upstream for the next process.
pub fn kept(view: &dyn View, upstream: &str) -> Result<Kept, StoreError> {
    Ok(view.upstream_state(upstream)?.map(|text| kept_in(&text)).unwrap_or_default())
}

/// The same, out of its text.
pub fn kept_in(text: &str) -> Kept {
    serde_json::from_str::<UpstreamState>(text).unwrap_or_default().kept
}

async fn save(store: &dyn Store, name: &str, state: &UpstreamState) -> Result<(), StoreError> {
    let (name, text) = (name.to_owned(), serde_json::to_string(state).unwrap_or_default());
    store::write(store, move |tx| tx.set_upstream_state(&name, &text)).await
}

/// What an earlier process learnt of an upstream holds for this one.
pub async fn remember(store: &dyn Store, client: &Client, name: &str) -> Result<(), StoreError> {
    client.remember(&load(store, name).await?.kept);
    Ok(())
}

/// Keeps what the next process should know of an upstream.
pub async fn keep(store: &dyn Store, client: &Client, clock: &dyn Clock, name: &str) -> Result<(), StoreError> {
    let (before, kept) = (load(store, name).await?, client.kept());
    // Only what still matters is worth a write.
    if before.kept == kept || (kept == Kept::default() && before.kept.is_over(clock.now())) {
        return Ok(());
    }
    let (name, now) = (name.to_owned(), clock.now());
    store::write(store, move |tx| {
        // Another pass may have pinned the account meanwhile.
        let text = tx.upstream_state(&name)?;
        let before: UpstreamState = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // Another process may have been asked to leave the upstream alone for longer.
        let asked = before.kept.asked_until.filter(|until| *until > now);
        let kept = Kept { asked_until: kept.asked_until.max(asked), ..kept };
        let text = serde_json::to_string(&UpstreamState { kept, ..before }).unwrap_or_default();
        tx.set_upstream_state(&name, &text)
    })
    .await
}

/// Keeps what a client learnt beside passes, since it remembered `before`: that it was asked to leave the upstream alone, and
/// how the breaker stands where that is another way now.
pub async fn keep_beside(store: &dyn Store, client: &Client, name: &str, before: &Kept) -> Result<(), StoreError> {
    let (learnt, was, name) = (client.kept(), before.clone(), name.to_owned());
    if !has_learnt(&learnt, before) {
        return Ok(());
    }
    store::write(store, move |tx| {
        let text = tx.upstream_state(&name)?;
        let mut state: UpstreamState = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        state.kept.asked_until = state.kept.asked_until.max(learnt.asked_until);
        if learnt.breaker != was.breaker {
            state.kept.breaker = learnt.breaker;
        }
        tx.set_upstream_state(&name, &serde_json::to_string(&state).unwrap_or_default())
    })
    .await
}

/// Whether there is anything to keep of it.
pub fn has_learnt(now: &Kept, before: &Kept) -> bool {
    now.asked_until > before.asked_until || now.breaker != before.breaker
}

/// Asks whose account this is, and pins the first answer.
pub async fn check_account(store: &dyn Store, client: &Arc<Client>, name: &str) -> Result<Account, StoreError> {
    let now = match client.check_account().await {
        Ok(Some(now)) => now,
        Ok(None) => return Ok(Account::Known),
        Err(failure) => return Ok(Account::Unasked(failure.words)),
    };
    let before = load(store, name).await?;
    match &before.account {
        Some(pinned) if *pinned == now => Ok(Account::Known),
        Some(pinned) => Ok(Account::Other { pinned: pinned.clone(), now }),
        None => pin(store, name, &now).await.map(|()| Account::Known),
    }
}

/// From now on the upstream's records are those of this account.
pub async fn pin(store: &dyn Store, name: &str, account: &str) -> Result<(), StoreError> {
    let before = load(store, name).await?;
    save(store, name, &UpstreamState { account: Some(account.to_owned()), ..before }).await
}

/// The halt about another account.
pub async fn halt(store: &dyn Store, pass: &Pass, at: usize, pinned: &str, now: &str) -> Result<Halt, StoreError> {
    let key = pass.binding_key(at);
    let links = store::read(store, move |view| view.link_count(key, LinkState::Live)).await?;
    Ok(Halt {
        target: Origin::Upstream(pass.upstream(at).to_owned()),
        what: ACCOUNT.into(),
        count: links,
        total: links,
        limit: format!("only {pinned}, and this is {now}"),
    })
}

/// What an approval of these accounts is bound to.
pub fn fingerprint(others: &[(String, String)]) -> String {
    let text: Vec<String> =
        others.iter().map(|(upstream, account)| format!("{ACCOUNT} {upstream} {account}")).collect();
    hex(&Sha256::digest(text.join("\n").as_bytes()))
}
