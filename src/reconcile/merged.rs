//! Owns: following a record that an upstream merged into another one: its link, and what refers to it, are repointed (s11).
//!
//! Must not know: how it was found out; what is decided about the fields afterwards.
//!
//! A was merged into B there. Where nobody here is B yet, the record of A simply is B from now on. Where another record is,
//! there are two rows here for one record there: the row of A goes, with all that it held in history; its links at other
//! upstreams and what refers to it become those of B's record. What was edited here and never got to A fills B's record where
//! that says nothing, and is in history as the loser elsewhere. It is no delete: nothing is deleted at any upstream. Where
//! both are different records at another upstream, the row of A stays for that one, untied here.

use crate::merge::{IntentState, LinkState};
use crate::record::{Json, RecordId, Slot, Value};
use crate::store::{
    BindingKey, ConflictFilter, DirtyOp, IntentFilter, LinkRow, LinkUpdate, NewLink, Staged, StagedKind, StoreError,
    Tx, View,
};

use super::apply;
use super::base::{self, Pair};
use super::context::{Pass, local_subject, remote_subject, time};
use super::former;
use super::known_by;
use super::observe::{self, is_there};
use super::report::Change;

/// A merge that leads on to another one, so often at most.
const HOPS_MAX: usize = 16;

/// Rows looked at between two looks.
const CHUNK: usize = 256;

/// What a merge is called in history and in reports.
const RULE: &str = "merged";

/// What it is called where a record there takes the place of one that is gone.
const REPLACED: &str = "replaced";

/// What following amounted to.
#[derive(Debug, Default)]
pub struct Followed {
    /// Rows that went because they are another row now.
    pub deleted: u64,
    /// For people and programs.
    pub changes: Vec<Change>,
    /// What was done, as an approval is bound to it.
    pub told: Vec<String>,
}

fn note_name(binding: BindingKey, remote_id: &str) -> String {
    format!("merged {} {remote_id}", binding.0)
}

/// Into which record this one was merged, if that was followed.
pub fn merged_into(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<Option<String>, StoreError> {
    let text = view.note(&note_name(binding, remote_id))?;
    Ok(text.and_then(|text| Json::parse(text.as_bytes()).ok()?.as_str().map(str::to_owned)))
}

/// The link of a remote record, or of the one that it was merged into.
pub fn link_of(view: &dyn View, binding: BindingKey, remote_id: &str) -> Result<Option<LinkRow>, StoreError> {
    let mut found = None;
    let mut id = remote_id.to_owned();
    for _ in 0..HOPS_MAX {
        let known = view.known(binding, &[id.as_str()])?.into_iter().next().flatten();
        if let Some(known) = known {
            found = view.link(known.link)?;
            if is_there(known.state) {
                return Ok(found);
            }
        }
        match merged_into(view, binding, &id)? {
            Some(into) => id = into,
            None => break,
        }
    }
    Ok(found)
}

/// Follows everything that was found merged at the bindings that take part.
pub fn follow(tx: &mut dyn Tx, pass: &Pass, takes_part: &dyn Fn(usize) -> bool) -> Result<Followed, StoreError> {
    let mut followed = Followed::default();
    for at in (0..pass.collection.bindings.len()).filter(|at| takes_part(*at)) {
        let says_so = pass.rules(at).is_some_and(|rules| rules.mapper.probe.merged_into.is_some());
        let mut after = String::new();
        loop {
            let key = pass.binding_key(at);
            let rows =
                if says_so { tx.staged_matched(key, &after, CHUNK)? } else { tx.staged_merged(key, &after, CHUNK)? };
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.remote_id);
            for staged in rows {
                if let Some(into) = target(pass, at, &staged) {
                    follow_one(tx, pass, at, &staged, &into, &mut followed)?;
                }
            }
        }
    }
    Ok(followed)
}

fn target(pass: &Pass, at: usize, staged: &Staged) -> Option<String> {
    match staged.kind {
        StagedKind::Merged => String::from_utf8(staged.raw.clone()).ok(),
        StagedKind::Record => pass.rules(at)?.mapper.read(&staged.raw).ok()?.merged_into,
        StagedKind::Gone(_) => None,
    }
}

fn follow_one(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    staged: &Staged,
    into: &str,
    followed: &mut Followed,
) -> Result<(), StoreError> {
    let Some(record) = staged.record.clone() else { return Ok(()) };
    let links = tx.links_of(&record)?;
    let own = links.iter().find(|link| link.binding == staged.binding && link.remote_id == staged.remote_id);
    let Some(own) = own.filter(|link| is_there(link.state)) else {
        // Followed already: its address, or the listing, says so again.
        if let (Some(link), StagedKind::Record) = (own, staged.kind) {
            tx.set_fingerprint(link.link, staged.fingerprint)?;
        }
        return tx.unstage(staged.binding, &staged.remote_id);
    };
    // A write of unknown outcome is settled first; until then the observation waits (see `observe::read_staged`).
    let unknown =
        IntentFilter { record: Some(record.clone()), states: IntentState::OPEN.to_vec(), ..IntentFilter::default() };
    if tx.intents(&unknown)?.iter().any(|intent| intent.binding != staged.binding) {
        return Ok(());
    }
    let told = format!("{RULE} {} {} {into}", pass.upstream(at), staged.remote_id);
    let mut title = title_of(tx, pass, &record)?;
    match link_of(tx, staged.binding, into)? {
        None => repoint(tx, pass, at, own, (into, RULE))?,
        Some(other) if is_there(other.state) && other.record != record => {
            if tx.row(&pass.collection, &other.record)?.is_none() {
                return Ok(());
            }
            if title.is_empty() {
                title = title_of(tx, pass, &other.record)?;
            }
            collapse(tx, pass, own, &links, &other, followed)?;
        }
        // It is tied to something that is gone, or to itself: a person looks.
        Some(_) => return Ok(()),
    }
    let is_kept = tx.link(own.link)?.is_some_and(|link| link.remote_id == staged.remote_id);
    if is_kept && staged.kind == StagedKind::Record {
        tx.set_fingerprint(own.link, staged.fingerprint)?;
    }
    tx.unstage(staged.binding, &staged.remote_id)?;
    let upstream = pass.upstream(at).to_owned();
    tx.clear_quarantine(&pass.collection.name, &upstream, &remote_subject(&staged.remote_id))?;
    tx.clear_quarantine(&pass.collection.name, &upstream, &local_subject(&record))?;
    tx.set_note(&note_name(staged.binding, &staged.remote_id), &Json::String(into.to_owned()).to_string())?;
    followed.told.push(told);
    followed.changes.push(Change { title, ..tell(pass, &record, &upstream, &staged.remote_id, into) });
    Ok(())
}

/// What a link led to is gone, and this is there in its place. Where it is older than what was known, or comes back under an id
/// from before (then it is, whatever was edited there since), the link knows nothing of it: both sides say what they say.
pub fn replace(tx: &mut dyn Tx, pass: &Pass, at: usize, own: &LinkRow, by: &Staged) -> Result<(), StoreError> {
    let updated_at = pass.rules(at).and_then(|rules| rules.mapper.read(&by.raw).ok()?.updated_at);
    let is_older = updated_at.zip(own.updated_at.map(time)).is_some_and(|(now, then)| now < then);
    if is_older || former::is_one(tx, own.binding, &by.remote_id)? {
        let slots = observe::base_slots(tx, pass, at, &own.raw)?;
        let nothing = Pair { hub: vec![None; slots.len()], remote: vec![Slot::Absent; slots.len()] };
        let packed = base::pack(&pass.collection, &slots, &nothing);
        let update = LinkUpdate {
            state: own.state,
            version: None,
            mapping: pass.mapping_key(at),
            fingerprint: own.fingerprint,
            raw: &own.raw,
            base_hub: packed.hub.as_deref(),
            base_remote: packed.remote.as_deref(),
            updated_at: own.updated_at,
            observed_at: own.observed_at,
        };
        tx.set_link(own.link, &update)?;
    }
    repoint(tx, pass, at, own, (&by.remote_id, REPLACED))
}

/// Nobody here is the other one: the link of this record leads there from now on.
fn repoint(
    tx: &mut dyn Tx,
    pass: &Pass,
    at: usize,
    own: &LinkRow,
    (into, rule): (&str, &str),
) -> Result<(), StoreError> {
    drop_intents(tx, &own.record, Some(own.binding))?;
    former::remember(tx, pass, own)?;
    tx.set_remote_id(own.link, into)?;
    if tx.staged(own.binding, into)?.is_some_and(|staged| staged.record.is_none()) {
        tx.stage_parked(own.binding, into, None)?;
        tx.stage_matched(own.binding, into, &own.record)?;
        tx.clear_quarantine(&pass.collection.name, pass.upstream(at), &remote_subject(into))?;
    }
    let detail = serde_json::json!({ "from": own.remote_id, "into": into });
    let mut row = apply::life(pass, &own.record, (rule, pass.upstream(at)), None, None);
    row.kind = "link".into();
    row.detail = Some(detail.to_string());
    tx.add_history(&row)?;
    apply::look_again(tx, pass, &own.record)
}

/// Another record here is the other one: two rows for one.
fn collapse(
    tx: &mut dyn Tx,
    pass: &Pass,
    own: &LinkRow,
    links: &[LinkRow],
    other: &LinkRow,
    followed: &mut Followed,
) -> Result<(), StoreError> {
    let theirs = tx.links_of(&other.record)?;
    let elsewhere: Vec<&LinkRow> =
        links.iter().filter(|link| link.binding != own.binding && is_there(link.state)).collect();
    let is_two =
        |link: &&LinkRow| theirs.iter().any(|their| their.binding == link.binding && their.state != LinkState::Deleted);
    let at = pass.position(own.binding).unwrap_or(usize::MAX);
    let (origin, stays) = (pass.upstream(at).to_owned(), elsewhere.iter().any(is_two));
    let mut detail = serde_json::json!({ "from": own.remote_id, "into": other.remote_id, "record": other.record.0 });
    let row = tx.row(&pass.collection, &own.record)?;
    let before: Vec<(usize, Value)> = row
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(field, slot)| if let Slot::Value(value) = slot { Some((field, value)) } else { None })
        .collect();
    let mut told = apply::life(pass, &own.record, (RULE, &origin), None, None);
    if stays {
        drop_intents(tx, &own.record, Some(own.binding))?;
        tx.set_link_state(own.link, LinkState::Detached)?;
        told.kind = "link".into();
    } else {
        drop_intents(tx, &own.record, None)?;
        for link in elsewhere {
            move_link(tx, pass, link, &other.record)?;
        }
        let edits = pending_edits(tx, pass, at, own, &before)?;
        repoint_references(tx, pass, &own.record, &other.record, &origin)?;
        if !before.is_empty() {
            tx.delete_row(&pass.collection, &own.record)?;
            followed.deleted += 1;
            told = apply::life(pass, &own.record, (RULE, &origin), Some(&before), None);
        }
        known_by::index(tx, pass, &own.record)?;
        let lost = carry_over(tx, pass, &other.record, edits)?;
        let lost: Vec<&str> = lost
            .iter()
            .filter_map(|(field, _)| pass.collection.fields.get(*field).map(|field| field.name.as_str()))
            .collect();
        detail["edits_that_lost"] = serde_json::json!(lost);
        tx.set_link_state(own.link, LinkState::Deleted)?;
        close_conflicts(tx, pass, &own.record)?;
        tx.clear_quarantine(&pass.collection.name, "local", &local_subject(&own.record))?;
    }
    told.detail = Some(detail.to_string());
    tx.add_history(&told)?;
    apply::look_again(tx, pass, &own.record)?;
    apply::look_again(tx, pass, &other.record)
}

/// Nothing that was going to be sent of this record is sent any more.
fn drop_intents(tx: &mut dyn Tx, record: &RecordId, only: Option<BindingKey>) -> Result<(), StoreError> {
    let filter = IntentFilter { record: Some(record.clone()), ..IntentFilter::default() };
    for intent in tx.intents(&filter)? {
        if only.is_none_or(|only| only == intent.binding) {
            tx.drop_intent(&intent.key)?;
        }
    }
    Ok(())
}

/// The remote record at another upstream is the other local record's from now on: the two meet as on first contact.
fn move_link(tx: &mut dyn Tx, pass: &Pass, link: &LinkRow, to: &RecordId) -> Result<(), StoreError> {
    let newer = tx.staged_of(pass.key, &link.record)?.into_iter().find(|staged| staged.binding == link.binding);
    tx.drop_link(link.link)?;
    if let Some(staged) = newer {
        return tx.stage(&Staged { record: Some(to.clone()), ..staged });
    }
    if !link.raw.is_empty() && !link.is_outdated() {
        return tx.stage(&Staged {
            binding: link.binding,
            remote_id: link.remote_id.clone(),
            collection: pass.key,
            record: Some(to.clone()),
            kind: StagedKind::Record,
            fingerprint: link.fingerprint,
            raw: link.raw.clone(),
            version: link.version.clone(),
            observed_at: link.observed_at,
            parked: None,
        });
    }
    // Nobody has looked there since something was written: the next listing shows it, and it is merged then.
    for old in tx.links_of(to)?.into_iter().filter(|old| old.binding == link.binding) {
        former::give_up(tx, pass, &old)?;
    }
    let state = LinkUpdate {
        state: LinkState::Live,
        version: None,
        mapping: link.mapping,
        fingerprint: 0,
        raw: &[],
        base_hub: None,
        base_remote: None,
        updated_at: None,
        observed_at: link.observed_at,
    };
    let new = NewLink { binding: link.binding, remote_id: &link.remote_id, record: to, state, made: None };
    tx.put_link(&new).map(|_link| ())
}

/// What was edited here and never got to the record that is merged away.
fn pending_edits(
    view: &dyn View,
    pass: &Pass,
    at: usize,
    own: &LinkRow,
    row: &[(usize, Value)],
) -> Result<Vec<(usize, Value)>, StoreError> {
    let slots = observe::base_slots(view, pass, at, &own.raw)?;
    let pair = base::unpack(&pass.collection, &slots, own.base_hub.as_deref(), own.base_remote.as_deref())?;
    let is_edit = |(field, value): &&(usize, Value)| {
        let base = pair.hub.get(*field).and_then(Option::as_ref);
        let domain = pass.collection.fields.get(*field).map(|field| &field.domain);
        domain.zip(base).is_some_and(|(domain, base)| !domain.same(base, value))
    };
    Ok(row.iter().filter(is_edit).cloned().collect())
}

/// Fills what the other record says nothing about; returns the edits that lost.
fn carry_over(
    tx: &mut dyn Tx,
    pass: &Pass,
    to: &RecordId,
    edits: Vec<(usize, Value)>,
) -> Result<Vec<(usize, Value)>, StoreError> {
    let row = tx.row(&pass.collection, to)?.unwrap_or_default();
    let says_nothing = |field: usize| matches!(row.get(field), Some(Slot::Value(Value::Null)));
    let (fills, lost): (Vec<_>, Vec<_>) =
        edits.into_iter().filter(|(_, value)| !value.is_null()).partition(|(field, _)| says_nothing(*field));
    if !fills.is_empty() {
        tx.update_row(&pass.collection, to, &fills)?;
        let nulls: Vec<(usize, Value)> = fills.iter().map(|(field, _)| (*field, Value::Null)).collect();
        let mut told = apply::life(pass, to, (RULE, "local"), Some(&nulls), Some(&fills));
        told.field = apply::field_names(pass, &fills.iter().map(|(field, _)| *field).collect::<Vec<_>>());
        tx.add_history(&told)?;
        known_by::index(tx, pass, to)?;
    }
    Ok(lost)
}

/// Rows of any collection that refer to a record refer to the other one from now on.
fn repoint_references(
    tx: &mut dyn Tx,
    pass: &Pass,
    from: &RecordId,
    to: &RecordId,
    origin: &str,
) -> Result<(), StoreError> {
    for referrer in &pass.referrers {
        for &field in &referrer.fields {
            loop {
                let records = tx.referring(&referrer.collection, field, from, CHUNK)?;
                if records.is_empty() {
                    break;
                }
                for record in records {
                    let was = [(field, Value::Ref(from.0.clone()))];
                    let now = [(field, Value::Ref(to.0.clone()))];
                    tx.update_row(&referrer.collection, &record, &now)?;
                    let mut told = apply::life(pass, &record, (RULE, origin), None, None);
                    told.collection.clone_from(&referrer.collection.name);
                    told.field = referrer.collection.fields.get(field).map_or_else(String::new, |it| it.name.clone());
                    told.before = Some(base::values_to_text(&referrer.collection, &was));
                    told.after = Some(base::values_to_text(&referrer.collection, &now));
                    tx.add_history(&told)?;
                    tx.mark_dirty(referrer.key, &record, DirtyOp::Recheck)?;
                }
            }
        }
    }
    Ok(())
}

fn close_conflicts(tx: &mut dyn Tx, pass: &Pass, record: &RecordId) -> Result<(), StoreError> {
    let filter = ConflictFilter {
        collection: Some(pass.collection.name.clone()),
        record: Some(record.clone()),
        ..ConflictFilter::default()
    };
    for row in tx.conflicts(&filter)? {
        tx.close_conflict(row.id, "record_gone", pass.micros())?;
    }
    Ok(())
}

/// The row's first text, for people.
fn title_of(view: &dyn View, pass: &Pass, record: &RecordId) -> Result<String, StoreError> {
    let row = view.row(&pass.collection, record)?.unwrap_or_default();
    let text = |slot: &Slot| match slot {
        Slot::Value(Value::Text(text)) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    };
    Ok(row.iter().find_map(text).unwrap_or_default())
}

fn tell(pass: &Pass, record: &RecordId, upstream: &str, from: &str, into: &str) -> Change {
    Change {
        collection: pass.collection.name.clone(),
        record: record.0.clone(),
        title: String::new(),
        target: upstream.to_owned(),
        action: "link".into(),
        fields: Vec::new(),
        request: None,
        atomic: true,
        note: Some(format!("{from} was merged into {into} there")),
        rule: Some(RULE.into()),
        conflict: None,
    }
}
