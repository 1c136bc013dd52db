//! Owns: what becomes of one change that is to be taken back: of values, of a row that came, of a row that went. Pure.
//!
//! Must not know: history, the store; how rows are edited.

use std::collections::BTreeSet;

use crate::record::{Domain, FieldType, Value};

/// What becomes of values that a pass changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// They are as they were before the pass already, or it changed nothing in the end.
    Nothing,
    /// They become these.
    To(Vec<Value>),
    /// They have been changed since, and stay.
    Stays,
}

/// Decides about the fields of one unit, which move together: as they were before the pass, as it left them, as they are now. Of
/// a set alone what was added and removed is taken back, whatever else became of it since.
pub(super) fn decide_values(domains: &[&Domain], before: &[Value], after: &[Value], now: &[Value]) -> Back {
    let same = |left: &[Value], right: &[Value]| {
        domains.iter().zip(left.iter().zip(right)).all(|(domain, (left, right))| domain.same(left, right))
    };
    if same(before, after) || same(now, before) {
        return Back::Nothing;
    }
    if same(now, after) {
        return Back::To(before.to_vec());
    }
    match (domains, before, after, now) {
        ([domain], [before], [after], [now]) if domain.ty == FieldType::Set => decide_set(domain, before, after, now),
        _ => Back::Stays,
    }
}

/// Members are told apart by the field's own equality; null is a set without any.
fn decide_set(domain: &Domain, before: &Value, after: &Value, now: &Value) -> Back {
    let canonical = |member: &String| domain.canonical(&Value::Set(BTreeSet::from([member.clone()])));
    let all = |members: &BTreeSet<String>| members.iter().map(canonical).collect::<BTreeSet<Value>>();
    let (Some(was), Some(became), Some(is)) = (members(before), members(after), members(now)) else {
        return Back::Stays;
    };
    let (known_before, known_after, known_now) = (all(&was), all(&became), all(&is));
    let is_added = |member: &String| {
        let member = canonical(member);
        known_after.contains(&member) && !known_before.contains(&member)
    };
    let is_missing = |member: &String| {
        let member = canonical(member);
        !known_after.contains(&member) && !known_now.contains(&member)
    };
    let stay = is.iter().filter(|member| !is_added(member));
    let back: BTreeSet<String> = stay.chain(was.iter().filter(|member| is_missing(member))).cloned().collect();
    if back == is {
        return Back::Nothing;
    }
    Back::To(vec![if back.is_empty() && before.is_null() { Value::Null } else { Value::Set(back) }])
}

fn members(value: &Value) -> Option<BTreeSet<String>> {
    match value {
        Value::Null => Some(BTreeSet::new()),
        Value::Set(members) => Some(members.clone()),
        _ => None,
    }
}

/// How a record that came by a pass stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has a row here.
    pub is_here: bool,
    /// Something of it has been changed since.
    pub is_changed: bool,
    /// Records that the pass created are to be deleted.
    pub delete: bool,
}

/// What becomes of a record that came by a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It is gone already.
    Nothing,
    /// It goes.
    Delete,
    /// It stays: a delete has to be asked for.
    Left,
    /// It stays: somebody has worked on it since.
    Stays,
}

/// Decides about a record that a pass created.
pub(super) fn decide_came(standing: Standing) -> Came {
    match standing {
        Standing { is_here: false, .. } => Came::Nothing,
        Standing { delete: false, .. } => Came::Left,
        Standing { is_changed: true, .. } => Came::Stays,
        Standing { is_changed: false, .. } => Came::Delete,
    }
}

/// What becomes of a record that a pass deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// It is here as it was.
    Nothing,
    /// It is made again.
    Insert,
    /// It is here again, and another one than it was.
    Stays,
}

/// Decides about a record that a pass deleted: what is known of how it was, and how it is now, if it is here.
pub(super) fn decide_went(domains: &[&Domain], before: &[Option<Value>], now: Option<&[Value]>) -> Went {
    let Some(now) = now else { return Went::Insert };
    let same = domains.iter().zip(before.iter().zip(now)).all(|(domain, (before, now))| match before {
        Some(before) => domain.same(before, now),
        None => true,
    });
    if same { Went::Nothing } else { Went::Stays }
}
