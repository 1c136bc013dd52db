//! Owns: the field policies: which of several different candidates a unit becomes.
//!
//! Must not know: spokes, bases' life, writes. A policy sees candidates and says one of them, a merge of them, or that it cannot.
//!
//! Consulted only with two or more candidates that are not all equal. None looks at the position of a candidate: all are
//! order-independent, so the order of bindings never changes a result (I8). Between candidates with equal values the one of
//! the most trusted origin wins (then by name), which names the winner and changes nothing else.

use std::collections::BTreeSet;

use crate::record::{Domain, Value};
use crate::rules::{Origin, Policy};

use super::Candidate;

/// What a policy is asked.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    /// The domains of the unit's fields.
    pub domains: Vec<&'a Domain>,
    /// Most trusted first.
    pub priority: &'a [Origin],
    /// The unit's values in the hub now.
    pub hub: Vec<Value>,
    /// The candidates.
    pub candidates: Vec<Asked<'a>>,
}

/// One candidate, with what its side said at the base.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    /// The candidate.
    pub candidate: &'a Candidate,
    /// Its side's values at the base, in its own form; `Null` where it never spoke.
    pub base: &'a [Value],
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The candidate at this position of the question.
    Winner(usize),
    /// Values made out of several candidates.
    Merged(Vec<Value>),
    /// Not this policy's case, and why; the next one is asked.
    CannotDecide(&'static str),
    /// A person decides.
    AskPerson,
}

/// The name of a policy, as in the rules.
pub(super) fn name(policy: Policy) -> &'static str {
    match policy {
        Policy::SourcePriority => "source_priority",
        Policy::LocalEditWins => "local_edit_wins",
        Policy::Latest => "latest",
        Policy::Earliest => "earliest",
        Policy::Max => "max",
        Policy::Min => "min",
        Policy::PreferNonEmpty => "prefer_non_empty",
        Policy::Set => "set",
        Policy::Manual => "manual",
    }
}

/// Asks one policy.
pub(super) fn consult(policy: Policy, question: &Question<'_>) -> Answer {
    match policy {
        Policy::SourcePriority => source_priority(question),
        Policy::LocalEditWins => local_edit_wins(question),
        Policy::Latest => by_time(question, Extreme::Greatest),
        Policy::Earliest => by_time(question, Extreme::Least),
        Policy::Max => by_value(question, Extreme::Greatest),
        Policy::Min => by_value(question, Extreme::Least),
        Policy::PreferNonEmpty => prefer_non_empty(question),
        Policy::Set => set(question),
        Policy::Manual => Answer::AskPerson,
    }
}

#[derive(Clone, Copy, Debug)]
enum Extreme {
    Greatest,
    Least,
}

impl Question<'_> {
    fn canonical(&self, values: &[Value]) -> Vec<Value> {
        self.domains.iter().zip(values).map(|(domain, value)| domain.canonical(value)).collect()
    }

    /// Place in `priority`, then name.
    fn rank(&self, at: usize) -> (usize, &str) {
        let origin = &self.candidates[at].candidate.origin;
        let place = self.priority.iter().position(|listed| listed == origin);
        (place.unwrap_or(usize::MAX), origin.name())
    }

    /// The winner among some candidates, provided that they all say the same.
    fn if_equal(&self, some: &[usize], none: &'static str, differ: &'static str) -> Answer {
        let Some(&first) = some.iter().min_by_key(|&&at| self.rank(at)) else {
            return Answer::CannotDecide(none);
        };
        let value = self.canonical(&self.candidates[first].candidate.values);
        if some.iter().all(|&at| self.canonical(&self.candidates[at].candidate.values) == value) {
            Answer::Winner(first)
        } else {
            Answer::CannotDecide(differ)
        }
    }

    fn positions(&self, wanted: impl Fn(&Candidate) -> bool) -> Vec<usize> {
        (0..self.candidates.len()).filter(|&at| wanted(self.candidates[at].candidate)).collect()
    }
}

/// `source_priority`: the candidate whose origin stands first in the collection's `priority`. A hub value counts as its
/// provenance's origin. Origins that are not listed never win. Commutative: yes. Idempotent: yes.
fn source_priority(question: &Question<'_>) -> Answer {
    let best = question.positions(|candidate| question.priority.contains(&candidate.origin));
    let first = best.iter().map(|&at| question.rank(at)).min();
    let best: Vec<usize> = best.into_iter().filter(|&at| Some(question.rank(at)) == first).collect();
    question.if_equal(&best, "no candidate's origin is listed in `priority`", "one origin says two things")
}

/// `local_edit_wins`: the local edit, if there is one; a value that the hub only took over from an upstream is none.
/// Commutative: yes. Idempotent: yes.
fn local_edit_wins(question: &Question<'_>) -> Answer {
    let local = question.positions(|candidate| candidate.origin == Origin::Local);
    question.if_equal(&local, "no local edit", "one origin says two things")
}

/// `latest` and `earliest`: the greatest or least time of change by the sources' own clocks. Decides only where every
/// candidate has a time, and where the candidates of the extreme time agree. Commutative: yes. Idempotent: yes.
fn by_time(question: &Question<'_>, extreme: Extreme) -> Answer {
    if question.candidates.iter().any(|asked| asked.candidate.source_time.is_none()) {
        return Answer::CannotDecide("a source gives no time of change");
    }
    let times = question.candidates.iter().map(|asked| asked.candidate.source_time);
    let wanted = match extreme {
        Extreme::Greatest => times.max(),
        Extreme::Least => times.min(),
    };
    let some = question.positions(|candidate| Some(candidate.source_time) == wanted);
    question.if_equal(&some, "no candidate", "equal times")
}

/// `max` and `min`: the greatest or least value in the order of the field's type (texts by code point, false before true).
/// Null is no value and never wins. A group, a set, a list and json have no such order. Commutative: yes. Idempotent: yes.
fn by_value(question: &Question<'_>, extreme: Extreme) -> Answer {
    let [domain] = question.domains[..] else {
        return Answer::CannotDecide("a group has no order");
    };
    let value = |at: usize| question.candidates[at].candidate.values.first().map(|value| domain.canonical(value));
    let ordered = |value: &Value| match value {
        Value::Null | Value::Json(_) | Value::Set(_) | Value::List(_) => false,
        Value::Text(_)
        | Value::Integer(_)
        | Value::Real(_)
        | Value::Decimal(_)
        | Value::Boolean(_)
        | Value::Date(_)
        | Value::Datetime(_)
        | Value::Ref(_) => true,
    };
    let some: Vec<usize> =
        (0..question.candidates.len()).filter(|&at| value(at).is_some_and(|value| ordered(&value))).collect();
    let wanted = match extreme {
        Extreme::Greatest => some.iter().map(|&at| value(at)).max(),
        Extreme::Least => some.iter().map(|&at| value(at)).min(),
    };
    let some: Vec<usize> = some.into_iter().filter(|&at| Some(value(at)) == wanted).collect();
    question.if_equal(&some, "no candidate has a value with an order", "equal values differ")
}

/// `prefer_non_empty`: the only value that is not empty (null, blank text, empty set or list; a group is empty if all its
/// members are). Candidates that agree on it count as one. Commutative: yes. Idempotent: yes.
fn prefer_non_empty(question: &Question<'_>) -> Answer {
    let some = question.positions(|candidate| !candidate.values.iter().all(Value::is_empty));
    question.if_equal(&some, "every candidate is empty", "several candidates are not empty")
}

/// `set`: three-way merge. Each side's edit is what it added to and removed from its own base; the result is the hub
/// without everything removed, with everything added (an element that one side removes and another adds stays). A side
/// without a base only adds. Members are equal as the field's normalisation says. Commutative: yes. Idempotent: yes.
fn set(question: &Question<'_>) -> Answer {
    let [domain] = question.domains[..] else {
        return Answer::CannotDecide("a group is not a set");
    };
    let members = |values: &[Value]| -> Option<BTreeSet<String>> {
        match values.first().map(|value| domain.canonical(value)) {
            Some(Value::Set(members)) => Some(members),
            Some(Value::Null) | None => Some(BTreeSet::new()),
            Some(
                Value::Text(_)
                | Value::Integer(_)
                | Value::Real(_)
                | Value::Decimal(_)
                | Value::Boolean(_)
                | Value::Date(_)
                | Value::Datetime(_)
                | Value::Json(_)
                | Value::List(_)
                | Value::Ref(_),
            ) => None,
        }
    };
    let Some(hub) = members(&question.hub) else {
        return Answer::CannotDecide("not a set");
    };
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for asked in &question.candidates {
        let (Some(now), Some(base)) = (members(&asked.candidate.values), members(asked.base)) else {
            return Answer::CannotDecide("not a set");
        };
        added.extend(now.difference(&base).cloned());
        removed.extend(base.difference(&now).cloned());
    }
    Answer::Merged(vec![Value::Set(hub.difference(&removed).chain(&added).cloned().collect())])
}
