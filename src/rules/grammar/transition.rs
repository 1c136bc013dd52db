//! Owns: the shape of `[[binding.COLLECTION.UPSTREAM.write.transition]]`.
//!
//! Must not know: other writes (that is `write`).

use super::{Precondition, PreconditionWord, RequestShape};
use crate::rules::shape::{Either, OneOrMany, table, words};
use crate::rules::units::{Jq, Text, Token};

table! {
    /// A change of state that is a call of its own, such as `POST /orders/{id}/close`.
    Transition, "a transition table" {
        /// The field that holds the state. It goes into no create and no update of this binding.
        field: Text = required,
        /// From which states, as the field has them here: one or several. Default: any.
        from: OneOrMany<Token>,
        /// To which states, as the field has them here: one or several.
        to: OneOrMany<Token>,
        /// The call, e.g. `POST /orders/{id}/close`.
        request: RequestShape = required,
        /// What is sent: a jq filter over `{record, changed, remote, id, key}`. Default the request's own `body`, or nothing.
        body: Jq,
        /// What makes the call conditional: a place for the version, reread, or none. Default reread where there is `read.get`.
        precondition: Either<PreconditionWord, Precondition>,
        /// before or after (the default) the update of the other fields.
        order: OrderWord,
    }
}

/// When a transition is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderWord {
    /// Before the update of the other fields.
    Before,
    /// After it.
    After,
}

words! { OrderWord, "OrderWord", "\"before\" or \"after\"" { "before" => Self::Before, "after" => Self::After } }
