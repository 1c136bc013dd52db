//! Owns: how a pass halts, goes on by an approval, and ends what it halted with before.
//!
//! Must not know: what makes it halt.

use super::halted::{self, HaltedPlan};
use super::restored;
use super::run::Run;
use super::set_back;
use crate::merge::Halt;
use crate::store::{self, HaltRow, StoreError};

impl Run<'_> {
    /// The fingerprint that a person approved, if there is an approved halt.
    pub(super) async fn approval(&self) -> Result<Option<String>, StoreError> {
        let name = self.pass.collection.name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&name), true)).await?;
        Ok(open.into_iter().find(|row| row.approved_at.is_some()).map(|row| row.fingerprint))
    }

    pub(super) async fn halt(&mut self, halts: Vec<Halt>, fingerprint: String) -> Result<(), StoreError> {
        let text = serde_json::to_string(&halts).unwrap_or_default();
        let mut row = HaltRow {
            id: 0,
            collection: self.pass.collection.name.clone(),
            pass: self.pass.id,
            fingerprint,
            halts: text,
            created_at: self.engine.clock.now().timestamp_micros(),
            approved_at: None,
            closed_at: None,
        };
        self.report.halts = halts;
        if self.options.dry_run {
            // The copy's number is nobody's; the same plan may have one that a real pass gave it.
            self.report.halt = self.stored_halt(&row.fingerprint).await?;
            return Ok(());
        }
        let gone_on = self.pass.restored.clone().filter(|_| self.acknowledged);
        let plan = HaltedPlan::of(&self.report.changes, self.report.changes_omitted);
        let is_known = self.approved.as_deref() == Some(row.fingerprint.as_str());
        let stored = store::write(self.engine.store.as_ref(), move |tx| {
            if let Some(restored) = &gone_on {
                restored::go_on(tx, &row.collection, restored)?;
            }
            // An approval of this very plan that came meanwhile is for the next pass.
            if !is_known {
                let open = tx.halts(Some(&row.collection), true)?;
                let same = open.into_iter().find(|open| open.fingerprint == row.fingerprint);
                row.approved_at = same.and_then(|open| open.approved_at);
            }
            halted::keep(tx, &row, plan)?;
            tx.put_halt(&row)
        });
        self.report.halt = Some(stored.await?);
        Ok(())
    }

    /// The number of the open halt of this very plan.
    async fn stored_halt(&self, fingerprint: &str) -> Result<Option<i64>, StoreError> {
        let name = self.pass.collection.name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&name), true)).await?;
        Ok(open.into_iter().find(|row| row.fingerprint == fingerprint).map(|row| row.id))
    }

    /// A pass that went through ends an open halt: it was approved, or its cause is gone.
    pub(super) async fn close_halt(&self) -> Result<(), StoreError> {
        set_back::forget_choices(self.engine.store.as_ref(), &self.pass, &self.choices).await?;
        let name = self.pass.collection.name.clone();
        let now = self.engine.clock.now().timestamp_micros();
        let asked = name.clone();
        let open = store::read(self.engine.store.as_ref(), move |view| view.halts(Some(&asked), true)).await?;
        if open.is_empty() {
            return Ok(());
        }
        let gone_on = self.pass.restored.clone().filter(|_| self.acknowledged);
        store::write(self.engine.store.as_ref(), move |tx| {
            if let Some(restored) = &gone_on {
                restored::go_on(tx, &name, restored)?;
            }
            for row in &open {
                tx.set_halt(row.id, row.approved_at, Some(now))?;
            }
            halted::forget(tx, &name)
        })
        .await
    }
}
