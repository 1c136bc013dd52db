//! Owns: the top of a rules file.
//!
//! Must not know: what is in upstreams, collections and bindings.

use super::{Binding, Collection, Upstream};
use crate::rules::shape::{Named, table};

table! {
    /// Rules of reconciled: upstreams, collections, and bindings of collections to upstreams. All files of a folder are one rule set.
    Root, "a rules file" {
        /// External systems by name: `[upstream.crm]`.
        upstream: Named<Upstream>,
        /// Collections by name: `[collection.contacts]`; each is one local table.
        collection: Named<Collection>,
        /// Bindings by collection and upstream: `[binding.contacts.crm]`.
        binding: Named<Named<Binding>>,
    }
    later {
        "test": "tests beside rules",
        "effect": "effects",
    }
}
