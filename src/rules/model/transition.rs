//! Owns: the checked form of a change of state that is a call of its own, and which one a change takes.
//!
//! Must not know: when it is sent, what it is sent with.

use super::{Binding, Body, Precondition, Request};
use crate::record::Value;

/// A change of one field that is a call of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The field, by position.
    pub field: usize,
    /// From which values; empty: from any.
    pub from: Vec<Value>,
    /// To which values.
    pub to: Vec<Value>,
    /// Sent before the update of the other fields, not after it.
    pub before: bool,
    /// The call; `record` says where its answer holds the record.
    pub request: Request,
    /// What is sent, where the request itself does not say it.
    pub body: Option<Body>,
    /// What makes the call conditional.
    pub precondition: Precondition,
}

impl Binding {
    /// Whether a field changes by calls of its own and stands in no create and no update.
    pub fn is_state(&self, field: usize) -> bool {
        self.transitions.iter().any(|one| one.field == field)
    }

    /// The first transition, by position, that leads a field from one value to another; `from` is what the upstream holds,
    /// as far as that is known.
    pub fn transition(&self, field: usize, from: Option<&Value>, to: &Value) -> Option<usize> {
        let domain = &self.mapper.field(field)?.domain;
        let among = |values: &[Value], value: &Value| values.iter().any(|one| domain.same(one, value));
        self.transitions.iter().position(|one| {
            one.field == field
                && among(&one.to, to)
                && (one.from.is_empty() || from.is_some_and(|from| among(&one.from, from)))
        })
    }
}
