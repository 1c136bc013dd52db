//! Owns: the part of a pass that reads single records in place of listings.
//!
//! Must not know: which records those are, and how they are read (that is `targeted`).

use std::sync::Arc;

use crate::store::{self, StoreError};

use super::between;
use super::phases::PhaseKind;
use super::run::{About, Run};
use super::silence::Wait;
use super::targeted::{self, Aims, Scope, Targets};

/// How often records are read that passes in between have written to meanwhile. What waits then is for the next pass.
const LOOKS_MAX: usize = 3;

impl Run<'_> {
    /// Reads the records that the pass is about, in place of listings; false where it is about everything, or a listing has to
    /// tell how they are.
    pub(super) async fn reads_targets(&mut self) -> Result<bool, StoreError> {
        let found = match std::mem::replace(&mut self.about, About::Everything) {
            About::Everything => return Ok(false),
            About::Named(aims) => self.find(aims).await?,
            About::Found(targets) => Some(targets),
        };
        let Some(targets) = found else {
            let pass = Arc::clone(&self.pass);
            store::write(self.engine.store.as_ref(), move |tx| targeted::begins_to_list(tx, &pass)).await?;
            return Ok(false);
        };
        for (at, words) in targets.blocked.clone().into_iter().enumerate() {
            if let Some(words) = words.filter(|_| self.takes_part(at)) {
                self.leave_out(at, words);
            }
        }
        self.stage(targets).await.map(|()| true)
    }

    /// Finds out how the records are. What passes in between have written to meanwhile was read before that, and is read again.
    async fn find(&mut self, mut aims: Aims) -> Result<Option<Targets>, StoreError> {
        let (engine, pass, blocked) = (self.engine, Arc::clone(&self.pass), self.barrier.blocked.clone());
        let scope = Scope { within: Some(pass.id), is_between: false, after: aims.after };
        for _ in 0..LOOKS_MAX {
            let links: Vec<u64> = aims.links().map(|link| link.0.unsigned_abs()).collect();
            let finding = targeted::find(&engine.clients, &pass, aims, (&blocked, Wait::ForAnswers));
            let finding = self.phases.of(PhaseKind::Read, None, finding);
            let open = (self.wishes.as_deref_mut(), blocked.as_slice());
            let (found, interrupted) = between::while_at(engine, &pass, open, finding).await;
            let touched = pass.touched.lock().await;
            if !interrupted || !links.iter().any(|link| touched.contains(*link)) {
                return Ok(found);
            }
            drop(touched);
            let job_pass = Arc::clone(&pass);
            let again = store::read(engine.store.as_ref(), move |view| targeted::aims(view, &job_pass, scope)).await?;
            match again {
                Some(more) if !more.is_empty() => aims = more,
                Some(_) => break,
                None => return Ok(None),
            }
        }
        Ok(Some(Targets::none()))
    }

    /// Stages what was found of single records.
    async fn stage(&mut self, targets: Targets) -> Result<(), StoreError> {
        let pass = Arc::clone(&self.pass);
        // It is set once, by this.
        pass.only.set(Arc::clone(&targets.records)).ok();
        let found = store::write(self.engine.store.as_ref(), move |tx| targets.stage(tx, &pass)).await?;
        for (at, (read, unchanged, there)) in found.into_iter().enumerate() {
            let Some(report) = self.report.upstreams.get_mut(at) else { continue };
            let is_read = self.pass.rules(at).is_some_and(|rules| rules.pull && rules.read.is_some());
            if is_read { targeted::READ } else { "skipped" }.clone_into(&mut report.read);
            (report.listed, report.unchanged) = (read, unchanged);
            if let Some(listed) = self.listed.get_mut(at) {
                *listed = Arc::new(there);
            }
        }
        Ok(())
    }
}
