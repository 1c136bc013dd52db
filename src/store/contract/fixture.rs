//! Owns: what the suite's claims share: a store to try them on, small rules, the making of rows and links.
//!
//! Must not know: SQL, files.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::merge::LinkState;
use crate::record::{Domain, FieldType, RecordId, Slot, Value};
use crate::rules::{Collection, Field, Limits, OnLocalDelete, OnRemoteDelete, Policy, Ruleset, UpdateVsDelete};
use crate::store::*;

/// A store and whatever must live as long.
pub(in crate::store) struct Fixture {
    pub(in crate::store) store: Arc<dyn Store>,
    pub(in crate::store) _keep: Box<dyn std::any::Any>,
}

impl Fixture {
    pub(in crate::store) fn write<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Tx) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        wait(write(&*self.store, job))
    }

    pub(in crate::store) fn read<R: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn View) -> Result<R, StoreError> + Send + 'static,
    ) -> R {
        wait(read(&*self.store, job)).expect("a read")
    }

    pub(in crate::store) fn prepare(&self, collections: Vec<Collection>) -> Result<Vec<String>, StoreError> {
        let rules = ruleset(collections);
        self.write(move |tx| tx.prepare(&rules))
    }
}

pub(in crate::store) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(in crate::store) fn ruleset(collections: Vec<Collection>) -> Ruleset {
    let collections = collections.into_iter().map(|it| (it.name.clone(), Arc::new(it))).collect();
    Ruleset { upstreams: BTreeMap::new(), collections, hash: "r".to_owned() }
}

pub(in crate::store) fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        domain: Domain::of(ty),
        required: false,
        unique: false,
        chain: vec![Policy::Manual],
        owner: None,
        group: None,
    }
}

pub(in crate::store) fn unique(name: &str) -> Field {
    Field { unique: true, ..field(name, FieldType::Text) }
}

pub(in crate::store) fn collection(name: &str, fields: Vec<Field>) -> Collection {
    Collection {
        name: name.to_owned(),
        fields,
        schedule: None,
        full_scan: None,
        jitter: std::time::Duration::ZERO,
        on_edit: crate::rules::OnEdit::Sync,
        priority: Vec::new(),
        update_vs_delete: UpdateVsDelete::UpdateWins,
        on_remote_delete: OnRemoteDelete::Queue,
        on_local_delete: OnLocalDelete::Propagate,
        limits: Limits { delete: None, update: None, create: None },
        match_keys: vec![vec![0]],
        bindings: Vec::new(),
    }
}

pub(in crate::store) fn contacts() -> Collection {
    collection("contacts", vec![unique("email"), field("phone", FieldType::Text)])
}

pub(in crate::store) fn id(text: &str) -> RecordId {
    RecordId(text.to_owned())
}

pub(in crate::store) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn said(values: &[Value]) -> Vec<Slot> {
    values.iter().cloned().map(Slot::Value).collect()
}

pub(super) fn update(state: LinkState, mapping: MappingKey, fingerprint: u64) -> LinkUpdate<'static> {
    LinkUpdate {
        state,
        version: Some("5"),
        mapping,
        fingerprint,
        raw: b"{\"id\":\"c7\"}",
        base_hub: None,
        base_remote: Some("{}"),
        updated_at: Some(11),
        observed_at: 12,
    }
}

pub(super) fn new_link<'a>(
    binding: BindingKey,
    remote_id: &'a str,
    record: &'a RecordId,
    mapping: MappingKey,
) -> NewLink<'a> {
    let made = Some(Made { pass: 3, source_time: None, observed_at: 12 });
    NewLink { binding, remote_id, record, state: update(LinkState::Live, mapping, u64::MAX - 1), made }
}

/// Which of these contacts have a row.
pub(in crate::store) fn rows_left<const N: usize>(on: &Fixture, names: [&'static str; N]) -> Vec<&'static str> {
    let is_there = |name: &'static str| on.read(move |view| view.row(&contacts(), &id(name))).is_some();
    names.into_iter().filter(|name| is_there(name)).collect()
}

/// Registers `contacts` at `crm` and a mapping.
pub(super) fn keys(tx: &mut dyn Tx) -> Result<(CollectionKey, BindingKey, MappingKey), StoreError> {
    let (collection, binding) = tx.register("contacts", "crm")?;
    Ok((collection, binding, tx.register_mapping("m1")?))
}

pub(super) fn is_constraint(outcome: Result<impl Sized, StoreError>) -> String {
    match outcome {
        Err(StoreError::Constraint { table, .. }) => table,
        Err(other) => panic!("expected a constraint, got {other}"),
        Ok(_) => panic!("expected a constraint, got through"),
    }
}
