//! Owns: the part of a pass that holds what was read against what is known: set back, older, missing, known by another id.
//!
//! Must not know: how each is found out; what is decided.

use std::sync::Arc;

use crate::merge::Halt;
use crate::rules::Origin;
use crate::store::{self, LinkId, StoreError, Tx};

use super::absence::{self, Absence};
use super::contact;
use super::cursor::Cursor;
use super::floor;
use super::former;
use super::gather::Hold;
use super::pulled::Pulled;
use super::run::Run;
use super::set_back::{self, Look, Wins};

/// What the listings do not show, over all bindings.
#[derive(Debug, Default)]
pub struct Absent {
    /// Too much of it.
    pub halts: Vec<Halt>,
    /// The records that were not asked for one by one.
    pub unconfirmed: Vec<LinkId>,
}

impl Run<'_> {
    /// Holds what was read against what is known. `None`: it halts; else what the listings do not show.
    pub(super) async fn compare(&mut self, pulled: &[Pulled], approved: bool) -> Result<Option<Absent>, StoreError> {
        if !self.check_set_back().await? {
            return Ok(None);
        }
        self.listed_without_keys().await?;
        self.floor().await?;
        let absent = self.absence(pulled, approved).await?;
        self.keep_out_former().await?;
        Ok(Some(absent))
    }

    /// False where an upstream was set back, and nobody said which side wins.
    async fn check_set_back(&mut self) -> Result<bool, StoreError> {
        let store = self.engine.store.as_ref();
        let said = set_back::choices(store, &self.pass).await?;
        self.choices = vec![None; said.len()];
        let (mut halts, mut names) = (Vec::new(), Vec::new());
        for (at, choice) in said.into_iter().enumerate() {
            let Some(client) = self.asked(at) else { continue };
            let looked = self.unless_silent(&client, set_back::look(store, &client, &self.pass, at)).await;
            let look = match looked {
                Ok(look) => look?,
                Err(words) => {
                    self.block(at, words);
                    continue;
                }
            };
            match (look, &choice) {
                (Look::Fine, _) => {}
                (Look::Unsure, _) => self.hold_deletes(at, Hold::Older),
                (Look::SetBack(count), None) => {
                    halts.push(set_back::halt(store, &self.pass, at, count).await?);
                    names.push(self.pass.upstream(at).to_owned());
                }
                (Look::SetBack(_), Some(wins)) => {
                    let wins = if *wins == Origin::Local { Wins::Local } else { Wins::Upstream };
                    if let Some(place) = self.barrier.set_back.get_mut(at) {
                        *place = Some(wins);
                    }
                }
            }
            // What a person said holds for the pass that can follow it.
            if let Some(place) = self.choices.get_mut(at).filter(|_| look != Look::Unsure) {
                *place = choice;
            }
        }
        if !halts.is_empty() {
            self.halt(halts, set_back::fingerprint(&names)).await?;
        }
        Ok(names.is_empty())
    }

    /// Listings that lag behind what is known, most often behind our own writes, say nothing new.
    pub(super) async fn floor(&mut self) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            let Some(client) = self.asked(at) else { continue };
            let (store, at_said) = (self.engine.store.as_ref(), (at, self.is_said(at)));
            let kept_out = floor::keep_out_what_is_older(store, &client, &self.pass, at_said);
            let kept_out = self.unless_silent(&client, kept_out).await;
            if let Some(reason) = kept_out.unwrap_or_else(|words| Ok(Some(words)))? {
                self.block(at, reason);
            }
        }
        Ok(())
    }

    /// Nor do they of ids that were a record's before, once it is known what is gone of those that replaced them.
    async fn keep_out_former(&mut self) -> Result<(), StoreError> {
        for at in 0..self.pass.collection.bindings.len() {
            // Nobody is asked where a person said what counts of what is older than it was.
            if self.is_said(at) {
                continue;
            }
            let Some(client) = self.asked(at) else { continue };
            let (store, listed) = (self.engine.store.as_ref(), self.listed.get(at).cloned().unwrap_or_default());
            let kept_out = self.unless_silent(&client, former::keep_out(store, &client, &self.pass, at, &listed)).await;
            if let Some(reason) = kept_out.unwrap_or_else(|words| Ok(Some(words)))? {
                self.block(at, reason);
            }
        }
        Ok(())
    }

    /// Whether it is followed that a person said which side wins over an upstream that was set back.
    fn is_said(&self, at: usize) -> bool {
        self.barrier.set_back.get(at).is_some_and(Option::is_some)
    }

    /// Where a create was lost, and no record that is listed shows what it is known by, the listing does not say that it is not there.
    async fn listed_without_keys(&mut self) -> Result<(), StoreError> {
        for (at, complete) in self.barrier.complete.iter_mut().enumerate().filter(|(_, complete)| **complete) {
            let pass = Arc::clone(&self.pass);
            *complete = store::read(self.engine.store.as_ref(), move |view| {
                Ok(contact::lost_creates(view, &pass, at)?.is_empty() || contact::shows_match_keys(view, &pass, at)?)
            })
            .await?;
        }
        Ok(())
    }

    async fn absence(&mut self, pulled: &[Pulled], approved: bool) -> Result<Absent, StoreError> {
        let mut absent = Absent::default();
        for one in pulled {
            let Some(client) = self.asked(one.binding) else { continue };
            let store = self.engine.store.as_ref();
            let said = (approved, self.is_said(one.binding));
            let looked = absence::look_for_missing(store, &client, &self.pass, one, said);
            let looked = self.unless_silent(&client, looked).await;
            let found = looked.unwrap_or_else(|words| Ok(Absence { blocked: Some(words), ..Absence::default() }))?;
            let all_asked =
                (one.expired || one.gap) && found.blocked.is_none() && found.halt.is_none() && !found.too_young;
            absent.halts.extend(found.halt);
            absent.unconfirmed.extend(found.unconfirmed);
            self.report.notes.extend(found.note);
            self.report.deletes_held += found.waiting;
            if let Some(reason) = found.blocked {
                self.block(one.binding, reason);
            }
            if all_asked {
                let key = self.pass.binding_key(one.binding);
                let told = move |tx: &mut dyn Tx| match tx.cursor(key)?.as_deref().and_then(Cursor::told) {
                    Some(text) => tx.set_cursor(key, &text),
                    None => Ok(()),
                };
                store::write(self.engine.store.as_ref(), told).await?;
            }
        }
        Ok(absent)
    }
}
