//! Owns: applying one record's plan inside the pass's transaction, and telling it as changes.
//!
//! Must not know: guards, other records.

use crate::merge::{
    BaseAdvance, CloseReason, Conflict, ConflictKind, Decision, Hub, LinkState, LocalChange, RecordPlan, Rule, Seen,
    Spoke,
};
use crate::record::{RecordId, Slot, Value};
use crate::store::{
    ConflictRow, DirtyOp, HistoryFilter, HistoryRow, IntentUpdate, LinkRow, LinkUpdate, NewLink, OriginRow,
    QuarantineRow, StoreError, Tx,
};

use crate::upstream::SendOp;

use super::base::{self, Pair};
use super::context::{Pass, local_subject, remote_subject};
use super::floor;
use super::former;
use super::gather::Gathered;
use super::intend;
use super::known_by;
use super::observe;
use super::refusal::note_refused;
use super::report::{Change, Counts, FieldChange};
use super::{turns, untied, wire};

/// What applying one plan amounted to.
#[derive(Debug, Default)]
pub struct Applied {
    /// Rows changed locally.
    pub local: Counts,
    /// Writes planned, by binding position.
    pub planned: Vec<(usize, Counts)>,
    /// Conflicts that were not open before.
    pub conflicts_opened: u64,
    /// For people and programs.
    pub changes: Vec<Change>,
    /// Resolutions that were not followed, in words.
    pub notes: Vec<String>,
}

/// Applies a plan. A row that the table refuses (a unique value) sets the record aside and changes nothing else.
pub fn apply(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    if let Some(reason) = &plan.quarantine {
        set_aside(tx, pass, found, reason)?;
        applied.changes.push(change(pass, found, "local", "quarantine", Vec::new(), Some(reason.clone())));
        return clear_hint(tx, pass, found).map(|()| applied);
    }
    match apply_local(tx, pass, found, plan, &mut applied) {
        Ok(()) => {}
        Err(StoreError::Constraint { table, reason }) => {
            let reason = format!("the local table refuses it: {table}: {reason}");
            set_aside(tx, pass, found, &reason)?;
            applied.changes.push(change(pass, found, "local", "quarantine", Vec::new(), Some(reason)));
            return Ok(applied);
        }
        Err(error) => return Err(error),
    }
    if found.bad_local.is_empty() {
        tx.clear_quarantine(&pass.collection.name, "local", &local_subject(&found.record))?;
    }
    apply_bases(tx, pass, found, plan)?;
    let is_there = matches!(found.facts.hub, Hub::Row { .. }) && plan.local != LocalChange::Delete;
    if !is_there && !plan.links.is_empty() {
        known_by::index(tx, pass, &found.record)?;
    }
    note_ignored(tx, pass, found)?;
    apply_origins(tx, pass, found, plan)?;
    apply_conflicts(tx, pass, found, plan, &mut applied)?;
    turns::save(tx, pass, found, plan)?;
    applied.notes = note_refused(tx, pass, found, plan)?;
    for decision in &plan.decisions {
        remember(tx, pass, found, decision)?;
    }
    clear_hint(tx, pass, found)?;
    for key in &found.answered {
        tx.drop_intent(key)?;
    }
    for intent in found.looked_for.iter().filter(|intent| pass.looks_for(&intent.key)) {
        let stays = IntentUpdate { not_before: intent.not_before, ..IntentUpdate::to(intent.state) };
        tx.set_intent(&intent.key, &IntentUpdate { checked: true, ..stays })?;
    }
    intend::intend(tx, pass, found, plan, &mut applied)?;
    applied.changes.extend(untied::tell(pass, found, plan));
    for (at, reason) in &found.waiting {
        intend::set_aside(tx, pass, found, *at, "parked", reason, "")?;
        look_again(tx, pass, &found.record)?;
    }
    Ok(applied)
}

fn clear_hint(tx: &mut dyn Tx, pass: &Pass, found: &Gathered) -> Result<(), StoreError> {
    let is_blocked = found.facts.spokes.iter().any(|spoke| spoke.blocked.is_some());
    match found.dirty {
        // A binding that takes no part in this pass has not had its say, nor heard of what the others changed: the
        // next pass looks at the record again.
        Some(_) if is_blocked => Ok(()),
        None if is_blocked => look_again(tx, pass, &found.record),
        Some(hint) => tx.clear_dirty(pass.key, &found.record, hint.seen),
        None => Ok(()),
    }
}

fn set_aside(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, reason: &str) -> Result<(), StoreError> {
    tx.put_quarantine(&QuarantineRow {
        collection: pass.collection.name.clone(),
        upstream: "local".into(),
        subject: local_subject(&found.record),
        stage: "decide".into(),
        reason: reason.to_owned(),
        inputs: String::new(),
        since: pass.micros(),
        pass: pass.id,
    })
}

fn apply_local(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let before = hub_values(found);
    let (action, fields) = match &plan.local {
        LocalChange::None => return Ok(()),
        LocalChange::Insert(values) => {
            tx.insert_row(&pass.collection, &found.record, values)?;
            applied.local.created += 1;
            let all: Vec<(usize, Value)> = values.iter().cloned().enumerate().collect();
            let (rule, origin) = why_it_lives(plan);
            tx.add_history(&life(pass, &found.record, (&rule, &origin), None, Some(&all)))?;
            ("create", field_changes(pass, plan, &[], &all))
        }
        LocalChange::Update(values) => {
            tx.update_row(&pass.collection, &found.record, values)?;
            applied.local.updated += 1;
            ("update", field_changes(pass, plan, before, values))
        }
        LocalChange::Delete => {
            tx.delete_row(&pass.collection, &found.record)?;
            applied.local.deleted += 1;
            let all: Vec<(usize, Value)> = before.iter().cloned().enumerate().collect();
            let (rule, origin) = why_it_lives(plan);
            tx.add_history(&life(pass, &found.record, (&rule, &origin), Some(&all), None))?;
            ("delete", Vec::new())
        }
    };
    known_by::index(tx, pass, &found.record)?;
    let mut told = change(pass, found, "local", action, fields, None);
    if plan.local == LocalChange::Delete {
        let about_existence = plan.decisions.iter().rev().find(|decision| decision.fields.is_empty());
        told.rule = about_existence.map(|decision| wire::rule_name(&decision.rule));
    }
    applied.changes.push(told);
    Ok(())
}

/// The rule that decided about the record's existence, and whose word it was.
fn why_it_lives(plan: &RecordPlan) -> (String, String) {
    let said = plan.decisions.iter().rev().filter(|decision| decision.fields.is_empty());
    let rule = said.clone().next().map(|decision| wire::rule_name(&decision.rule));
    let origin = said.clone().find_map(|decision| decision.winner.as_ref()).map(|origin| origin.name().to_owned());
    (rule.unwrap_or_default(), origin.unwrap_or_default())
}

/// The line of history of a row that comes or goes, with all that it held: what is gone from the table is not lost (I3).
pub fn life(
    pass: &Pass,
    record: &RecordId,
    (rule, origin): (&str, &str),
    before: Option<&[(usize, Value)]>,
    after: Option<&[(usize, Value)]>,
) -> HistoryRow {
    let filled = |values: &[(usize, Value)]| {
        let values: Vec<(usize, Value)> = values.iter().filter(|(_, value)| !value.is_null()).cloned().collect();
        base::values_to_text(&pass.collection, &values)
    };
    HistoryRow {
        id: 0,
        pass: pass.id,
        at: pass.micros(),
        collection: pass.collection.name.clone(),
        record: record.clone(),
        field: String::new(),
        kind: "local".into(),
        origin: origin.to_owned(),
        target: None,
        rule: rule.to_owned(),
        before: before.map(filled),
        after: after.map(filled),
        detail: None,
    }
}

/// Bases and links: every binding whose observation was accepted, whose link changed its life, or whose rules changed.
fn apply_bases(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Result<(), StoreError> {
    for (at, spoke) in found.facts.spokes.iter().enumerate() {
        if spoke.blocked.is_some() {
            continue;
        }
        let advance = plan.bases.iter().find(|advance| advance.binding == at);
        let life = plan.links.iter().find(|(binding, _)| *binding == at).map(|(_, state)| *state);
        apply_base(tx, pass, found, at, advance, life)?;
    }
    Ok(())
}

fn apply_base(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    at: usize,
    advance: Option<&BaseAdvance>,
    life: Option<LinkState>,
) -> Result<(), StoreError> {
    let staged = found.staged.get(at).and_then(Option::as_ref);
    let link = found.links.get(at).and_then(Option::as_ref);
    let rebased = link.is_some_and(|link| link.mapping != pass.mapping_key(at));
    let is_noted = advance.is_none() && staged.is_some_and(|staged| !staged.raw.is_empty());
    let noted = is_noted && link.is_some_and(|link| is_known_better(link, life, found.facts.spokes.get(at)));
    let apart = |link: &LinkRow| matches!(link.state, LinkState::OutOfScope | LinkState::Archived);
    let out_of_scope = life.is_none() && link.is_some_and(apart);
    let pair = match (advance, found.pairs.get(at).and_then(Option::as_ref)) {
        (Some(advance), _) => Some(Pair { hub: advance.hub.clone(), remote: advance.remote.clone() }),
        (None, Some(pair)) if rebased || noted => Some(pair.clone()),
        (None, _) => None,
    };
    // The observation that the base now rests on: the staged one where it was accepted, else the one of the link.
    let accepted = staged.filter(|staged| (advance.is_some() || noted) && !staged.raw.is_empty());
    if let Some(pair) = pair {
        let raw = accepted.map_or_else(|| link.map_or(&[][..], |link| &link.raw), |staged| &staged.raw);
        let slots = observe::base_slots(tx, pass, at, raw)?;
        let packed = base::pack(&pass.collection, &slots, &pair);
        let (version, updated_at) = match found.facts.spokes.get(at).map(|spoke| &spoke.seen) {
            Some(Seen::Record(seen) | Seen::OutOfScope(seen) | Seen::Archived(seen)) if accepted.is_some() => {
                (seen.version.clone(), seen.updated_at.map(|time| time.timestamp_micros()))
            }
            _ => (link.and_then(|link| link.version.clone()), link.and_then(|link| link.updated_at)),
        };
        let update = LinkUpdate {
            state: life.or(link.map(|link| link.state)).unwrap_or(LinkState::Live),
            version: version.as_deref(),
            mapping: pass.mapping_key(at),
            fingerprint: accepted.map_or_else(|| link.map_or(0, |link| link.fingerprint), |staged| staged.fingerprint),
            raw,
            base_hub: packed.hub.as_deref(),
            base_remote: packed.remote.as_deref(),
            updated_at,
            observed_at: accepted.map_or_else(|| link.map_or(0, |link| link.observed_at), |staged| staged.observed_at),
        };
        // A record that was deleted there and created anew has another remote id: the old tie is replaced.
        let retied = |link: &LinkRow| accepted.is_some_and(|staged| staged.remote_id != link.remote_id);
        match (link, staged) {
            (Some(link), _) if !retied(link) => tx.set_link(link.link, &update)?,
            (old, Some(staged)) => {
                if let Some(old) = old {
                    former::give_up(tx, pass, old)?;
                }
                tx.put_link(&NewLink {
                    binding: pass.binding_key(at),
                    remote_id: &staged.remote_id,
                    record: &found.record,
                    state: update,
                    made: None,
                })?;
            }
            (Some(_) | None, None) => {}
        }
    } else if let (Some(life), Some(link)) = (life, link) {
        if life == LinkState::Deleted {
            // A tombstone is listed again and again: known by its bytes it costs what an unchanged record costs.
            let tombstone = staged.filter(|staged| !staged.raw.is_empty());
            let fingerprint = tombstone.map_or(floor::NOT_LISTED, |tombstone| tombstone.fingerprint);
            tx.set_link_gone(link.link, fingerprint, pass.micros())?;
        } else {
            tx.set_link_state(link.link, life)?;
        }
    }
    // An observation leaves staging only when it is part of a base, or ended the link, or says what was known already.
    if let Some(staged) = staged
        && (advance.is_some() || life.is_some() || noted || out_of_scope)
    {
        tx.unstage(staged.binding, &staged.remote_id)?;
        // Not only where this observation waited: an earlier one that it replaced may have.
        let subject = remote_subject(&staged.remote_id);
        tx.clear_quarantine(&pass.collection.name, pass.upstream(at), &subject)?;
    }
    Ok(())
}

/// A write that was acknowledged and had no effect is told, and not repeated until something changes.
fn note_ignored(tx: &mut dyn Tx, pass: &Pass, found: &Gathered) -> Result<(), StoreError> {
    for (at, sent) in &found.ignored {
        // What the row says by now may be another value, which was never tried.
        let mut values = sent.clone();
        let _missing_parent = observe::to_remote(tx, pass, *at, &mut values)?;
        let inputs = intend::refusal_inputs(tx, pass, *at, &found.record, SendOp::Update, &values)?;
        let fields: Vec<usize> = sent.iter().map(|(field, _)| *field).collect();
        let names = field_names(pass, &fields);
        let reason = format!(
            "the upstream accepted a write of {names}, but still shows its value from before: change the record there or here to \
             have it tried again"
        );
        intend::set_aside(tx, pass, found, *at, "push", &reason, &inputs)?;
    }
    Ok(())
}

/// Whether a record that was looked at and moves no base is what its link knows of it from now on: it says what was known
/// already, or what it says stands still, or it left the scope or came back. Left in staging it would come back as news
/// after the next write.
fn is_known_better(link: &LinkRow, life: Option<LinkState>, spoke: Option<&Spoke>) -> bool {
    match (life.unwrap_or(link.state), spoke.map(|spoke| &spoke.seen)) {
        (LinkState::Live, Some(Seen::Record(_)))
        | (LinkState::OutOfScope, Some(Seen::OutOfScope(_)))
        | (LinkState::Archived, Some(Seen::Archived(_))) => true,
        (
            LinkState::Live | LinkState::OutOfScope | LinkState::Archived | LinkState::Deleted | LinkState::Detached,
            _,
        ) => false,
    }
}

fn apply_origins(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, plan: &RecordPlan) -> Result<(), StoreError> {
    let rows: Vec<OriginRow> = plan
        .origins
        .iter()
        .filter_map(|(at, provenance)| {
            let rule = rule_of(plan, *at).unwrap_or_default();
            Some(OriginRow {
                field: pass.collection.fields.get(*at)?.name.clone(),
                origin: provenance.origin.name().to_owned(),
                source_time: provenance.source_time.map(|time| time.timestamp_micros()),
                observed_at: provenance.observed_at.timestamp_micros(),
                pass: pass.id,
                rule,
            })
        })
        .collect();
    if rows.is_empty() { Ok(()) } else { tx.set_origins(pass.key, &found.record, &rows) }
}

fn apply_conflicts(
    tx: &mut dyn Tx,
    pass: &Pass,
    found: &Gathered,
    plan: &RecordPlan,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    for closed in &plan.closed {
        let names = field_names(pass, &closed.fields);
        for row in found.conflicts.iter().filter(|row| row.fields == names) {
            let how = match closed.how {
                CloseReason::Agreed => "agreed",
                CloseReason::Resolved => "resolved",
                CloseReason::RecordGone => "record_gone",
            };
            tx.close_conflict(row.id, how, pass.micros())?;
        }
    }
    for row in &found.outlived {
        tx.close_conflict(row.id, "rules_changed", pass.micros())?;
    }
    for conflict in &plan.conflicts {
        let row = conflict_row(pass, found, conflict);
        let open = found.conflicts.iter().find(|open| open.fields == row.fields);
        if let Some(open) = open
            && open.kind == row.kind
            && open.candidates == row.candidates
            && open.resolution.is_none()
        {
            continue;
        }
        if open.is_none() {
            applied.conflicts_opened += 1;
            applied.changes.push(conflict_change(pass, found, conflict));
        }
        tx.put_conflict(&row)?;
    }
    Ok(())
}

fn conflict_row(pass: &Pass, found: &Gathered, conflict: &Conflict) -> ConflictRow {
    ConflictRow {
        id: 0,
        collection: pass.collection.name.clone(),
        record: found.record.clone(),
        fields: field_names(pass, &conflict.fields),
        kind: wire::kind_name(conflict.kind).into(),
        base: conflict.base.as_deref().map(|values| wire::values_to_json(values).to_string()),
        candidates: wire::candidates_to_text(&conflict.candidates),
        resolution: None,
        pass: pass.id,
        opened_at: pass.micros(),
        closed: None,
    }
}

fn conflict_change(pass: &Pass, found: &Gathered, conflict: &Conflict) -> Change {
    let sides: Vec<String> = conflict
        .candidates
        .iter()
        .map(|side| {
            let values: Vec<String> = side.values.iter().map(ToString::to_string).collect();
            let said = if values.is_empty() { "deleted".to_owned() } else { values.join(", ") };
            format!("{} says {said}", side.origin.name())
        })
        .collect();
    let sides = sides.join("; ");
    let note = match conflict.kind {
        ConflictKind::Oscillation => format!("each takes the other's value back, again and again: {sides}"),
        ConflictKind::Edit | ConflictKind::UpdateVsDelete | ConflictKind::DeleteQueued => sides,
    };
    let mut told = change(pass, found, "local", "conflict", Vec::new(), Some(note));
    told.conflict = Some(conflict.kind);
    told.fields = conflict
        .fields
        .iter()
        .filter_map(|at| pass.collection.fields.get(*at))
        .map(|field| FieldChange {
            field: field.name.clone(),
            before: None,
            after: None,
            rule: if conflict.kind == ConflictKind::Oscillation { "oscillation" } else { "manual" }.into(),
            winner: None,
        })
        .collect();
    told
}

/// What was decided about fields is remembered where something changed or somebody lost; that another program deleted the
/// row, once.
fn remember(tx: &mut dyn Tx, pass: &Pass, found: &Gathered, decision: &Decision) -> Result<(), StoreError> {
    let gone = decision.rule == Rule::LocalDelete;
    if decision.before == decision.after && decision.losers.is_empty() && !gone {
        return Ok(());
    }
    let filter = HistoryFilter { record: Some(found.record.clone()), limit: 1, ..HistoryFilter::default() };
    if gone && tx.history(&filter)?.iter().any(|last| last.rule == wire::rule_name(&decision.rule)) {
        return Ok(());
    }
    let tried: Vec<String> =
        decision.tried.iter().map(|(rule, why)| format!("{}: {why}", wire::rule_name(rule))).collect();
    let detail = serde_json::json!({
        "losers": serde_json::from_str::<serde_json::Value>(&wire::candidates_to_text(&decision.losers)).unwrap_or_default(),
        "tried": tried,
    });
    tx.add_history(&HistoryRow {
        id: 0,
        pass: pass.id,
        at: pass.micros(),
        collection: pass.collection.name.clone(),
        record: found.record.clone(),
        field: field_names(pass, &decision.fields),
        kind: "local".into(),
        origin: decision.winner.as_ref().map_or("", |origin| origin.name()).to_owned(),
        target: None,
        rule: wire::rule_name(&decision.rule),
        before: Some(wire::values_to_json(&decision.before).to_string()),
        after: Some(wire::values_to_json(&decision.after).to_string()),
        detail: (!decision.losers.is_empty() || !decision.tried.is_empty()).then(|| detail.to_string()),
    })
}

/// Field names of a unit, comma-separated; `""` for existence.
pub fn field_names(pass: &Pass, fields: &[usize]) -> String {
    let names: Vec<&str> =
        fields.iter().filter_map(|at| pass.collection.fields.get(*at)).map(|field| field.name.as_str()).collect();
    names.join(",")
}

/// The hub's values before the pass; empty where there is no row.
pub fn hub_values(found: &Gathered) -> &[Value] {
    match &found.facts.hub {
        Hub::Row { values, .. } => values,
        Hub::Never | Hub::Deleted { .. } => &[],
    }
}

fn rule_of(plan: &RecordPlan, field: usize) -> Option<String> {
    plan.decisions
        .iter()
        .find(|decision| decision.fields.contains(&field))
        .map(|decision| wire::rule_name(&decision.rule))
}

/// Changes of fields as the report tells them.
pub fn field_changes(pass: &Pass, plan: &RecordPlan, before: &[Value], after: &[(usize, Value)]) -> Vec<FieldChange> {
    after
        .iter()
        .filter(|(at, value)| !(before.is_empty() && value.is_null()) || before.get(*at).is_some())
        .filter_map(|(at, value)| {
            let decision = plan.decisions.iter().find(|decision| decision.fields.contains(at));
            Some(FieldChange {
                field: pass.collection.fields.get(*at)?.name.clone(),
                before: before.get(*at).map(|value| value.to_json().to_string()),
                after: Some(value.to_json().to_string()),
                rule: decision.map(|decision| wire::rule_name(&decision.rule)).unwrap_or_default(),
                winner: decision.and_then(|decision| decision.winner.as_ref()).map(|origin| origin.name().to_owned()),
            })
        })
        .collect()
}

/// A change as the report tells it.
pub fn change(
    pass: &Pass,
    found: &Gathered,
    target: &str,
    action: &str,
    fields: Vec<FieldChange>,
    note: Option<String>,
) -> Change {
    Change {
        collection: pass.collection.name.clone(),
        record: found.record.0.clone(),
        title: title(found),
        target: target.to_owned(),
        action: action.to_owned(),
        fields,
        request: None,
        atomic: true,
        note,
        rule: None,
        conflict: None,
    }
}

/// A record that first contact took over from an upstream.
pub fn inserted(pass: &Pass, upstream: &str, record: &RecordId, row: &[Slot]) -> Change {
    let filled = |(at, slot): (usize, &Slot)| {
        let value = slot.value().filter(|value| !value.is_null())?;
        Some(FieldChange {
            field: pass.collection.fields.get(at)?.name.clone(),
            before: None,
            after: Some(value.to_json().to_string()),
            rule: "first_contact".into(),
            winner: Some(upstream.to_owned()),
        })
    };
    let title = row.iter().filter_map(Slot::value).find_map(|value| match value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    });
    Change {
        collection: pass.collection.name.clone(),
        record: record.0.clone(),
        title: title.unwrap_or_default(),
        target: "local".into(),
        action: "create".into(),
        fields: row.iter().enumerate().filter_map(filled).collect(),
        request: None,
        atomic: true,
        note: None,
        rule: None,
        conflict: None,
    }
}

/// A name for people: the first non-empty text of the row, else of an observation.
fn title(found: &Gathered) -> String {
    let text = |value: &Value| match value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    };
    let of_row = hub_values(found).iter().find_map(text);
    let observed = || {
        found.facts.spokes.iter().find_map(|spoke| match &spoke.seen {
            Seen::Record(seen) | Seen::OutOfScope(seen) | Seen::Archived(seen) => {
                seen.slots.iter().filter_map(Slot::value).find_map(text)
            }
            Seen::Same | Seen::Gone(_) => None,
        })
    };
    let based = || found.pairs.iter().flatten().find_map(|pair| pair.hub.iter().flatten().find_map(text));
    of_row.or_else(observed).or_else(based).unwrap_or_default()
}

/// The engine looks at this record again in the next pass (or round).
pub fn look_again(tx: &mut dyn Tx, pass: &Pass, record: &RecordId) -> Result<(), StoreError> {
    tx.mark_dirty(pass.key, record, DirtyOp::Recheck)
}
