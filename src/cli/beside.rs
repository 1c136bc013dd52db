//! Owns: what commands that ask upstreams beside passes go by, of what is kept of them; and what they keep of it in turn.
//!
//! Must not know: what they ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::SecondsFormat;

use crate::reconcile::{has_learnt, keep_beside, kept_in};
use crate::store::StoreError;
use crate::upstream::{Client, Failure, Kept};

use super::exit::CliError;
use super::out::Out;
use super::workspace::Workspace;

/// What was kept of upstreams when a command began.
#[derive(Default)]
pub struct Beside(BTreeMap<String, Kept>);

impl Beside {
    /// Has these clients heed what passes learnt: how long their upstreams want to be left alone.
    pub fn begin<'a>(
        workspace: &Workspace,
        clients: impl IntoIterator<Item = (&'a String, &'a Client)>,
        out: &Out,
    ) -> Self {
        let known: BTreeMap<String, Kept> = match workspace.upstream_states() {
            Ok(texts) => texts.into_iter().map(|(name, text)| (name, kept_in(&text))).collect(),
            Err(StoreError::Missing { .. }) => return Self::default(),
            Err(error) => {
                out.talk(&format!("whether upstreams want to be left alone is not known here: {error}"));
                return Self::default();
            }
        };
        for (name, client) in clients {
            if let Some(kept) = known.get(name) {
                client.remember(kept);
            }
        }
        Self(known)
    }

    /// Keeps what they learnt themselves, for whoever asks next. Where there is no database yet, there is nobody to tell.
    pub async fn end<'a>(
        self,
        workspace: &Workspace,
        clients: impl IntoIterator<Item = (&'a String, &'a Client)>,
        out: &Out,
    ) {
        let before = |name: &String| self.0.get(name).cloned().unwrap_or_default();
        let learnt: Vec<(&String, &Client)> =
            clients.into_iter().filter(|(name, client)| has_learnt(&client.kept(), &before(name))).collect();
        if learnt.is_empty() {
            return;
        }
        let kept = async {
            let store = workspace.store_to_edit()?;
            for (name, client) in learnt {
                keep_beside(store.as_ref(), client, name, &before(name)).await?;
            }
            Ok(())
        };
        match kept.await {
            Ok(()) | Err(CliError::Store(StoreError::Missing { .. })) => {}
            Err(error) => out.talk(&format!("what an upstream asked for could not be kept: {error}")),
        }
    }
}

/// Clients behind pointers, as these are told of them.
pub fn each<'a>(
    clients: impl IntoIterator<Item = (&'a String, &'a Arc<Client>)>,
) -> impl Iterator<Item = (&'a String, &'a Client)> {
    clients.into_iter().map(|(name, client)| (name, client.as_ref()))
}

/// Why an upstream did not do what it was asked, and when it may be asked again.
pub fn reason(failure: &Failure) -> String {
    match failure.retry_at {
        Some(at) => format!("{failure}; not before {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => failure.to_string(),
    }
}
