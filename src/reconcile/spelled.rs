//! Owns: how an upstream writes the ids in fields that refer to other records, as its own records show it.
//!
//! Must not know: what is sent, and why.

use std::collections::BTreeMap;

use crate::record::{FieldType, IdSpelling, RecordId, Value};
use crate::store::{StoreError, View};

use super::context::Pass;
use super::observe;

/// By field: as the record itself has the id there (`raw`: as it was last seen), else as the record that it refers to (`values`,
/// with local ids) has its own. A field of which neither shows anything is left out.
pub fn spellings(
    view: &dyn View,
    pass: &Pass,
    binding: usize,
    (values, raw): (&[(usize, Value)], Option<&[u8]>),
) -> Result<BTreeMap<usize, IdSpelling>, StoreError> {
    let mut spellings = BTreeMap::new();
    let Some(rules) = pass.rules(binding) else { return Ok(spellings) };
    for (at, value) in values {
        let field = pass.collection.fields.get(*at).map(|field| &field.domain.ty);
        let (Value::Ref(parent), Some(FieldType::Ref { to })) = (value, field) else { continue };
        let spelling = match raw.and_then(|raw| rules.mapper.spelling_of(*at, raw)) {
            Some(shown) => Some(shown),
            None => of_parent(view, pass, (binding, *at), (to, &RecordId(parent.clone())))?,
        };
        spellings.extend(spelling.map(|spelling| (*at, spelling)));
    }
    Ok(spellings)
}

/// How the record that is referred to writes its own id there.
fn of_parent(
    view: &dyn View,
    pass: &Pass,
    (binding, field): (usize, usize),
    (collection, parent): (&str, &RecordId),
) -> Result<Option<IdSpelling>, StoreError> {
    let key = pass.parents.get(binding).and_then(|of| of.get(field)).copied().flatten();
    let Some(link) = observe::link_there(view, key, parent)? else { return Ok(None) };
    let bindings = pass.ruleset.collections.get(collection).map(|to| to.bindings.as_slice()).unwrap_or_default();
    let rules = bindings.iter().find(|rules| rules.upstream.name == pass.upstream(binding));
    Ok(rules.and_then(|rules| rules.mapper.spelling_of_id(&link.raw)))
}
