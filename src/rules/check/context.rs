//! Owns: what every check may look at: the notes, the variables and secrets, the names that are defined.
//!
//! Must not know: any one setting.

use std::collections::BTreeMap;

use super::files::Definitions;
use crate::rules::diagnostic::{Notes, Span};

/// What rules may name and no file holds.
pub struct Context<'a> {
    /// Variables by name, for `${var.NAME}`.
    pub vars: &'a BTreeMap<String, String>,
    /// Whether a secret of this name is known, for `${secret.NAME}`; else where it was looked for and what to do.
    pub find_secret: &'a dyn Fn(&str) -> Result<(), String>,
}

/// The state of one check.
pub struct Cx<'a> {
    /// Everything found so far.
    pub notes: Notes<'a>,
    /// Variables and secrets.
    pub context: &'a Context<'a>,
    /// Everything that is defined, by name.
    pub definitions: &'a Definitions,
}

impl<'a> Cx<'a> {
    /// The beginning.
    pub fn new(notes: Notes<'a>, context: &'a Context<'a>, definitions: &'a Definitions) -> Self {
        Self { notes, context, definitions }
    }

    /// Reports a name that is not defined, unless a text that could not be parsed has it and may define it.
    pub fn undefined(&mut self, span: Span, message: String, given: &str, valid: &[&str]) {
        if !self.definitions.unparsed.iter().any(|text| text.contains(given)) {
            self.notes.unknown(span, message, given, valid);
        }
    }

    /// True where a binding names what does not exist, or may be unread: then "nothing is bound to this" proves nothing.
    pub fn has_misnamed_bindings(&self) -> bool {
        let known = self.definitions;
        if known.unread {
            return true;
        }
        known.bindings.keys().any(|(collection, upstream)| {
            !known.collections.contains_key(collection) || !known.upstreams.contains_key(upstream)
        })
    }

    /// The names of all upstreams.
    pub fn upstream_names(&self) -> Vec<&'a str> {
        self.definitions.upstreams.keys().map(String::as_str).collect()
    }

    /// The names of all collections.
    pub fn collection_names(&self) -> Vec<&'a str> {
        self.definitions.collections.keys().map(String::as_str).collect()
    }

    /// The upstreams that a collection has a binding at.
    pub fn bound_upstreams(&self, collection: &str) -> Vec<&'a str> {
        let keys = self.definitions.bindings.keys();
        keys.filter(|(name, _)| name == collection).map(|(_, upstream)| upstream.as_str()).collect()
    }
}
