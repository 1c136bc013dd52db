//! Owns: all checked rules of a workspace, and the order of their collections.
//!
//! Must not know: what the rules say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Collection, Upstream};

/// All rules of a workspace, checked and frozen; a pass holds one `Arc` of it from beginning to end.
#[derive(Debug)]
pub struct Ruleset {
    /// By name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// By name. Use [`Ruleset::in_order`] where parents must come before children.
    pub collections: BTreeMap<String, Arc<Collection>>,
    /// SHA-256 over the text of all files, hex: names the rule set in runs and plans.
    pub hash: String,
}

impl Ruleset {
    /// Collections so that every `ref` points to an earlier one; members of a cycle stand in name order.
    pub fn in_order(&self) -> Vec<&Arc<Collection>> {
        let mut done: Vec<&Arc<Collection>> = Vec::new();
        let mut left: Vec<&Arc<Collection>> = self.collections.values().collect();
        while !left.is_empty() {
            let ready = |c: &Arc<Collection>| {
                c.references().all(|to| to == c.name || !left.iter().any(|other| other.name == to))
            };
            let at = left.iter().position(|c| ready(c)).unwrap_or(0);
            done.push(left.remove(at));
        }
        done
    }
}
