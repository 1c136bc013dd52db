//! Owns: all checked rules of a workspace, and the order of their collections.
//!
//! Must not know: what the rules say.

use std::collections::{BTreeMap, BTreeSet};
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

    /// The same rules with some bindings only, and their upstreams. All collections stay, so that others may refer to them.
    pub fn only(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Self {
        let narrowed = |(name, collection): (&String, &Arc<Collection>)| {
            let mut collection = Collection::clone(collection);
            collection.bindings.retain(|binding| is_wanted(name, &binding.upstream.name));
            (name.clone(), Arc::new(collection))
        };
        let collections: BTreeMap<String, Arc<Collection>> = self.collections.iter().map(narrowed).collect();
        let asked = |name: &str| {
            collections.values().any(|one| one.bindings.iter().any(|binding| binding.upstream.name == name))
        };
        let upstreams = self.upstreams.iter().filter(|(name, _)| asked(name));
        let upstreams = upstreams.map(|(name, upstream)| (name.clone(), Arc::clone(upstream))).collect();
        Self { upstreams, collections, hash: self.hash.clone() }
    }

    /// The collections whose passes go otherwise by these rules than by those from before: what the rules say of them, of one
    /// of their upstreams, or of a collection that they are tied to by references is not the same. The clients of `renewed`
    /// upstreams are other ones, whatever the rules say.
    pub fn changed_since(&self, before: &Self, renewed: &BTreeSet<String>) -> BTreeSet<String> {
        let all = || before.collections.iter().chain(&self.collections);
        let is_renewed = |one: &Collection| one.bindings.iter().any(|binding| renewed.contains(&binding.upstream.name));
        let says = |rules: &Self, name: &str| rules.collections.get(name).map(|one| format!("{one:?}"));
        let differs = |name: &str, one: &Collection| is_renewed(one) || says(self, name) != says(before, name);
        let mut changed: BTreeSet<String> =
            all().filter(|(name, one)| differs(name, one)).map(|(name, _)| name.clone()).collect();
        loop {
            let known = changed.len();
            for (name, one) in all() {
                // A pass looks through the rows that its records refer to, and through those that refer to them.
                if changed.contains(name) {
                    changed.extend(one.references().map(str::to_owned));
                } else if one.references().any(|to| changed.contains(to)) {
                    changed.insert(name.clone());
                }
            }
            if changed.len() == known {
                return changed;
            }
        }
    }
}
