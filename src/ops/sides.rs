//! Owns: what every side says about one record.
//!
//! Must not know: how it is shown; what ought to be done about it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::merge::LinkState;
use crate::record::{FieldType, Json, RecordId, Slot, Value};
use crate::rules::{Binding, Collection};
use crate::store::{BindingKey, LinkRow, Staged, StagedKind, StoreError, View};

use super::text::{raw, rfc3339};

/// A record with all its sides.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Sides {
    /// Its collection.
    pub collection: String,
    /// Its local id.
    pub record: String,
    /// False where the local row is gone.
    pub exists: bool,
    /// By field, in the order of the rules.
    pub fields: Vec<FieldSides>,
    /// Its links.
    pub links: Vec<LinkSide>,
}

/// What every side says about one field.
#[derive(Debug, JsonSchema, Serialize)]
pub struct FieldSides {
    /// The field.
    pub field: String,
    /// Here.
    pub local: Say,
    /// At each upstream where the record has a link, in the order of `links`.
    pub upstreams: Vec<UpstreamSay>,
    /// False where two sides say something else under the field's declared equality.
    pub agrees: bool,
}

/// What one upstream says, and what it and the local side said when they last agreed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct UpstreamSay {
    /// The upstream.
    pub upstream: String,
    /// `live`, `deleted`, `detached`: a side that is deleted says nothing any more.
    pub state: LinkState,
    /// As last seen there.
    pub value: Say,
    /// The hub half of the base.
    pub base: Say,
}

/// A value, nothing at all, or something unreadable.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct Say {
    /// Absent where the side says nothing about the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A tie to an upstream.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LinkSide {
    /// The upstream.
    pub upstream: String,
    /// The remote id.
    pub remote_id: String,
    /// `live`, `out_of_scope`, `deleted`, `detached`.
    pub state: LinkState,
    /// The remote version at the base.
    pub version: Option<String>,
    /// The record's own time of change there, RFC 3339.
    pub updated_at: Option<String>,
    /// When it was seen, RFC 3339.
    pub observed_at: Option<String>,
    /// True where something newer was pulled and is not decided yet.
    pub undecided: bool,
    /// True where that is that it is gone.
    #[serde(skip)]
    pub gone: bool,
    /// Why it cannot be mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Say {
    pub(super) fn of_slot(slot: &Slot) -> Self {
        match slot {
            Slot::Absent => Self::default(),
            Slot::Value(value) => Self::of_value(value),
            Slot::Bad(error) => Self { value: None, error: Some(error.reason.clone()) },
        }
    }

    fn of_value(value: &Value) -> Self {
        Self { value: raw(&value.to_json().to_string()), error: None }
    }

    /// True for null, and where the side says nothing.
    pub fn is_null(&self) -> bool {
        self.error.is_none() && self.value.as_ref().is_none_or(|json| json.get() == "null")
    }
}

/// One upstream's view of the record, before it is turned into words.
struct Spoke {
    link: LinkSide,
    /// As last seen; refs are local ids.
    seen: Vec<Slot>,
    /// The base's hub half.
    base: Vec<Slot>,
}

/// Gathers everything about a record.
pub fn gather(view: &dyn View, collection: &Collection, record: &RecordId) -> Result<Sides, StoreError> {
    let row = view.row(collection, record)?;
    let links = view.links_of(record)?;
    let staged = match view.collection_key(&collection.name)? {
        Some(key) => view.staged_of(key, record)?,
        None => Vec::new(),
    };
    let mut spokes = Vec::new();
    for binding in &collection.bindings {
        let Some(key) = view.binding_key(&collection.name, &binding.upstream.name)? else { continue };
        let newer = staged.iter().find(|staged| staged.binding == key);
        for link in links.iter().filter(|link| link.binding == key) {
            spokes.push(spoke(view, collection, binding, link, newer)?);
        }
    }
    let fields = (0..collection.fields.len()).map(|at| field_sides(collection, at, row.as_deref(), &spokes)).collect();
    Ok(Sides {
        collection: collection.name.clone(),
        record: record.0.clone(),
        exists: row.is_some(),
        fields,
        links: spokes.into_iter().map(|spoke| spoke.link).collect(),
    })
}

fn spoke(
    view: &dyn View,
    collection: &Collection,
    binding: &Binding,
    link: &LinkRow,
    newer: Option<&Staged>,
) -> Result<Spoke, StoreError> {
    let (at_base, mut error) = mapped(view, collection, binding, &link.raw)?;
    let mut base = at_base.clone();
    overlay(collection, &mut base, link.base_hub.as_deref());
    let seen = match newer.map(|staged| (staged.kind, &staged.raw)) {
        Some((StagedKind::Record, raw)) => {
            let (slots, why) = mapped(view, collection, binding, raw)?;
            error = why.or(error);
            slots
        }
        Some((StagedKind::Gone(_) | StagedKind::Merged, _)) => vec![Slot::Absent; collection.fields.len()],
        // The link remembers what the record was; it is no side's say any more.
        None if link.state == LinkState::Deleted => vec![Slot::Absent; collection.fields.len()],
        // A write was acknowledged since, and nobody has looked there yet: what was written is the best that is known.
        None if link.is_outdated() => {
            let mut slots = at_base;
            overlay(collection, &mut slots, link.base_remote.as_deref());
            slots
        }
        None => at_base,
    };
    if link.state == LinkState::Deleted {
        base = vec![Slot::Absent; collection.fields.len()];
    }
    let link = LinkSide {
        upstream: binding.upstream.name.clone(),
        remote_id: link.remote_id.clone(),
        state: link.state,
        version: newer.and_then(|staged| staged.version.clone()).or_else(|| link.version.clone()),
        updated_at: link.updated_at.and_then(rfc3339),
        observed_at: rfc3339(newer.map_or(link.observed_at, |staged| staged.observed_at)),
        undecided: newer.is_some(),
        gone: newer.is_some_and(|staged| matches!(staged.kind, StagedKind::Gone(_))),
        error,
    };
    Ok(Spoke { link, seen, base })
}

/// The fields of a raw record; refs are translated to local ids where the parent is linked.
pub(super) fn mapped(
    view: &dyn View,
    collection: &Collection,
    binding: &Binding,
    raw: &[u8],
) -> Result<(Vec<Slot>, Option<String>), StoreError> {
    let nothing = || vec![Slot::Absent; collection.fields.len()];
    if raw.is_empty() {
        return Ok((nothing(), None));
    }
    let mut slots = match binding.mapper.read(raw) {
        Ok(mapped) => mapped.slots,
        Err(error) => return Ok((nothing(), Some(error.to_string()))),
    };
    for (slot, field) in slots.iter_mut().zip(&collection.fields) {
        let (Slot::Value(Value::Ref(remote)), FieldType::Ref { to }) = (&*slot, &field.domain.ty) else { continue };
        let Some(parent) = view.binding_key(to, &binding.upstream.name)? else { continue };
        if let Some(local) = local_id(view, parent, remote)? {
            *slot = Slot::Value(Value::Ref(local));
        }
    }
    Ok((slots, None))
}

fn local_id(view: &dyn View, binding: BindingKey, remote: &str) -> Result<Option<String>, StoreError> {
    let known = view.known(binding, &[remote])?;
    let Some(Some(known)) = known.first() else { return Ok(None) };
    Ok(view.link(known.link)?.map(|link| link.record.0))
}

/// Puts the stored differences over what the raw record says: `[]` for nothing, `[value]` for a value.
fn overlay(collection: &Collection, base: &mut [Slot], overrides: Option<&str>) {
    let Some(Ok(Json::Object(members))) = overrides.map(|text| Json::parse(text.as_bytes())) else { return };
    for (name, entry) in members {
        let (Some(at), Json::Array(values)) = (collection.field(&name), entry) else { continue };
        let (Some(slot), Some(field)) = (base.get_mut(at), collection.fields.get(at)) else { continue };
        *slot = match values.first() {
            None => Slot::Absent,
            Some(json) => Value::from_json(&field.domain.ty, json).map_or_else(Slot::Bad, Slot::Value),
        };
    }
}

fn field_sides(collection: &Collection, at: usize, row: Option<&[Slot]>, spokes: &[Spoke]) -> FieldSides {
    let absent = Slot::Absent;
    let pick = |slots: &'_ [Slot]| slots.get(at).cloned().unwrap_or(Slot::Absent);
    let local = row.map_or(absent, pick);
    let field = collection.fields.get(at);
    let agrees = spokes.iter().filter(|spoke| spoke.link.state == LinkState::Live).all(|spoke| {
        match (&local, &pick(&spoke.seen)) {
            (Slot::Value(here), Slot::Value(there)) => field.is_none_or(|field| field.domain.same(here, there)),
            (Slot::Bad(_), _) | (_, Slot::Bad(_)) => false,
            (Slot::Absent, _) | (_, Slot::Absent) => true,
        }
    });
    let upstreams = spokes
        .iter()
        .map(|spoke| UpstreamSay {
            upstream: spoke.link.upstream.clone(),
            state: spoke.link.state,
            value: Say::of_slot(&pick(&spoke.seen)),
            base: Say::of_slot(&pick(&spoke.base)),
        })
        .collect();
    let name = field.map(|field| field.name.clone()).unwrap_or_default();
    FieldSides { field: name, local: Say::of_slot(&local), upstreams, agrees }
}
