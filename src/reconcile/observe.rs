//! Owns: reading a raw observation under the rules: mapped, references translated to local ids, or why it has to wait.
//!
//! Must not know: what is decided about it.

use chrono::{DateTime, Utc};

use crate::merge::{Evidence, LinkState, Observation, Seen};
use crate::record::{FieldError, FieldType, Mapped, RecordId, Slot, Value};
use crate::store::{BindingKey, LinkRow, Staged, StagedKind, StoreError, View};

use super::context::{Pass, time};
use super::merged;

/// A staged observation, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// It can be decided on.
    Ready(Seen),
    /// It refers to a record that is not known here yet.
    Parked(String),
    /// It cannot be read at all.
    Broken(String),
}

/// Reads a staged observation.
pub fn read_staged(view: &dyn View, pass: &Pass, binding: usize, staged: &Staged) -> Result<Read, StoreError> {
    match staged.kind {
        StagedKind::Gone(evidence) => Ok(Read::Ready(Seen::Gone(evidence))),
        // What could be followed was, before anything is read for a decision (see `merged`).
        StagedKind::Merged => Ok(Read::Parked(cannot_follow(&String::from_utf8_lossy(&staged.raw)))),
        StagedKind::Record => {
            let Some(rules) = pass.rules(binding) else { return Ok(Read::Broken("the binding is gone".into())) };
            let (version, at) = (staged.version.clone(), time(staged.observed_at));
            match rules.mapper.read(&staged.raw) {
                Ok(mapped) => {
                    let known = Known { own: staged.record.as_ref(), left_out: &[] };
                    read_mapped(view, pass, binding, mapped, known, version, at)
                }
                Err(error) => Ok(Read::Broken(error.to_string())),
            }
        }
    }
}

/// Reads a raw record as seen at a binding.
pub fn read_raw(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    raw: &[u8],
    version: Option<String>,
    observed_at: DateTime<Utc>,
) -> Result<Read, StoreError> {
    let Some(rules) = pass.rules(binding) else { return Ok(Read::Broken("the binding is gone".into())) };
    match rules.mapper.read(raw) {
        Ok(mapped) => read_mapped(view, pass, binding, mapped, Known::default(), version, observed_at),
        Err(error) => Ok(Read::Broken(error.to_string())),
    }
}

/// What is known about a record's references beside links.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The local record that it is or becomes, where its link does not say so yet: what refers to itself waits for nobody.
    pub own: Option<&'a RecordId>,
    /// References that are left out where their parents are not here.
    pub left_out: &'a [usize],
}

/// The same for a record that was mapped already.
pub fn read_mapped(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    mapped: Mapped,
    known: Known<'_>,
    version: Option<String>,
    observed_at: DateTime<Utc>,
) -> Result<Read, StoreError> {
    if mapped.deleted {
        return Ok(Read::Ready(Seen::Gone(Evidence::Tombstone)));
    }
    if let Some(into) = &mapped.merged_into {
        let back = merged::merged_into(view, pass.binding_key(binding), into)?;
        return Ok(Read::Parked(if back.as_ref() == Some(&mapped.id) {
            let (id, upstream) = (&mapped.id, pass.upstream(binding));
            format!(
                "{into} and {id} of {upstream} each say that they were merged into the other: mend one of them there"
            )
        } else {
            cannot_follow(into)
        }));
    }
    let mut slots = mapped.slots;
    let own = known.own.map(|own| (mapped.id.as_str(), own));
    let missing = to_local(view, pass, binding, own, &mut slots)?;
    if let Some((_, reason)) = missing.into_iter().find(|(field, _)| !known.left_out.contains(field)) {
        return Ok(Read::Parked(reason));
    }
    let observation =
        Observation { slots, version: version.or(mapped.version), updated_at: mapped.updated_at, observed_at };
    Ok(Read::Ready(match (mapped.archived, mapped.in_scope) {
        (true, _) => Seen::Archived(observation),
        (false, true) => Seen::Record(observation),
        (false, false) => Seen::OutOfScope(observation),
    }))
}

fn cannot_follow(into: &str) -> String {
    format!("it was merged into {into} there, and what that is here is not clear yet")
}

/// The mapped slots of a stored raw observation, for bases: whatever cannot be read or translated is `Absent`.
pub fn base_slots(view: &dyn View, pass: &Pass, binding: usize, raw: &[u8]) -> Result<Vec<Slot>, StoreError> {
    let blank = || vec![Slot::Absent; pass.collection.fields.len()];
    let Some(rules) = pass.rules(binding) else { return Ok(blank()) };
    if raw.is_empty() {
        return Ok(blank());
    }
    let Ok(mapped) = rules.mapper.read(raw) else { return Ok(blank()) };
    let mut slots = mapped.slots;
    to_local(view, pass, binding, None, &mut slots)?;
    for slot in &mut slots {
        if matches!(slot, Slot::Bad(_)) {
            *slot = Slot::Absent;
        }
    }
    Ok(slots)
}

/// The local record that a remote one is: by its link, by that of the one it was merged into, or matched in this pass.
pub fn who_is(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<Option<RecordId>, StoreError> {
    match merged::link_of(view, binding, remote_id)? {
        Some(link) => Ok(Some(link.record)),
        None => Ok(view.staged(binding, remote_id)?.and_then(|staged| staged.record)),
    }
}

/// Translates references from remote to local ids, in place. Returns the fields whose parents are not known here, with reasons.
fn to_local(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    own: Option<(&str, &RecordId)>,
    slots: &mut [Slot],
) -> Result<Vec<(usize, String)>, StoreError> {
    let mut missing = Vec::new();
    for (at, field) in pass.collection.fields.iter().enumerate() {
        let FieldType::Ref { to } = &field.domain.ty else { continue };
        let Some(slot) = slots.get_mut(at) else { continue };
        let Slot::Value(Value::Ref(remote_id)) = &*slot else { continue };
        let Some(parent) = pass.parents.get(binding).and_then(|of| of.get(at)).copied().flatten() else {
            let reason = format!("collection {to} is not bound to upstream {}", pass.upstream(binding));
            *slot = Slot::Bad(FieldError::new(reason));
            continue;
        };
        if let Some((_, own)) = own.filter(|(id, _)| parent == pass.binding_key(binding) && id == remote_id) {
            *slot = Slot::Value(Value::Ref(own.0.clone()));
            continue;
        }
        if let Some(record) = who_is(view, parent, remote_id)? {
            *slot = Slot::Value(Value::Ref(record.0));
        } else {
            let upstream = pass.upstream(binding);
            let reason = format!("{} refers to {to} {remote_id} of {upstream}, which is not here yet", field.name);
            missing.push((at, reason));
            *slot = Slot::Absent;
        }
    }
    Ok(missing)
}

/// Whether the remote record can be referred to: out of scope it exists as well.
pub fn is_there(state: LinkState) -> bool {
    match state {
        LinkState::Live | LinkState::OutOfScope | LinkState::Archived => true,
        LinkState::Deleted | LinkState::Detached => false,
    }
}

/// The link of the remote record by which a local one is referred to at a binding, where there is one. Its own may have been
/// merged into another since.
pub fn link_there(
    view: &dyn View,
    binding: Option<BindingKey>,
    record: &RecordId,
) -> Result<Option<LinkRow>, StoreError> {
    let link = view.links_of(record)?.into_iter().find(|link| Some(link.binding) == binding);
    let link = match link {
        Some(link) if !is_there(link.state) => merged::link_of(view, link.binding, &link.remote_id)?,
        link => link,
    };
    Ok(link.filter(|link| is_there(link.state)))
}

/// Translates references from local to remote ids, in place.
/// Returns why not, where a parent does not exist at the upstream (yet).
pub fn to_remote(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    values: &mut [(usize, Value)],
) -> Result<Option<String>, StoreError> {
    for (at, value) in values {
        let Value::Ref(local) = &*value else { continue };
        let parent = pass.parents.get(binding).and_then(|of| of.get(*at)).copied().flatten();
        let Some(link) = link_there(view, parent, &RecordId(local.clone()))? else {
            let field = pass.collection.fields.get(*at).map_or("?", |field| field.name.as_str());
            return Ok(Some(format!("{field} refers to {local}, which is not at {} yet", pass.upstream(binding))));
        };
        *value = Value::Ref(link.remote_id);
    }
    Ok(None)
}
