//! Owns: the stored form of a base pair: the raw observation, plus only what the raw observation does not say.
//!
//! Must not know: which values win; when a base may advance (that is `merge`).
//!
//! Both halves are `map(raw)` for almost every link, so they cost nothing. What differs (a value that the upstream
//! normalised, a frozen field, a field that was never agreed on) is kept as a small JSON object by field name:
//! `[]` for "none", `[value]` for a value.

use crate::record::{Json, Slot, Value};
use crate::rules::Collection;
use crate::store::StoreError;

/// The two halves of a base, one entry per field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The hub half; `None` where hub and remote never agreed.
    pub hub: Vec<Option<Value>>,
    /// The remote half; `Absent` where the remote never showed the field.
    pub remote: Vec<Slot>,
}

/// The overrides of a pair relative to what its raw observation maps to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Overrides of the hub half.
    pub hub: Option<String>,
    /// Overrides of the remote half.
    pub remote: Option<String>,
}

/// The pair that a raw observation stands for by itself.
pub fn plain(slots: &[Slot]) -> Pair {
    let remote: Vec<Slot> = slots.iter().map(known).collect();
    Pair { hub: remote.iter().map(|slot| slot.value().cloned()).collect(), remote }
}

/// What cannot be read was never agreed on.
fn known(slot: &Slot) -> Slot {
    match slot {
        Slot::Value(value) => Slot::Value(value.clone()),
        Slot::Absent | Slot::Bad(_) => Slot::Absent,
    }
}

/// Packs a pair relative to `slots`, the mapped raw observation that is stored beside it.
pub fn pack(collection: &Collection, slots: &[Slot], pair: &Pair) -> Packed {
    pack_halves(collection, slots, &pair.hub, &pair.remote)
}

/// The same from the halves.
pub fn pack_halves(collection: &Collection, slots: &[Slot], hubs: &[Option<Value>], remotes: &[Slot]) -> Packed {
    let mut hub = Vec::new();
    let mut remote = Vec::new();
    for (at, field) in collection.fields.iter().enumerate() {
        let plain = slots.get(at).and_then(Slot::value);
        let is = hubs.get(at).and_then(Option::as_ref);
        if is != plain {
            hub.push((field.name.clone(), wrap(is)));
        }
        let is = remotes.get(at).and_then(Slot::value);
        if is != plain {
            remote.push((field.name.clone(), wrap(is)));
        }
    }
    let text = |members: Vec<(String, Json)>| (!members.is_empty()).then(|| Json::Object(members).to_string());
    Packed { hub: text(hub), remote: text(remote) }
}

/// The member of the remote overrides that names fields rather than being one.
const UNSEEN: &str = "";

/// Notes the fields of a write that was acknowledged without a look at the record: their remote half is what was sent.
pub fn note_unseen(collection: &Collection, packed: &mut Packed, fields: &[usize]) -> Result<(), StoreError> {
    let mut members = match packed.remote.as_deref().map(|text| Json::parse(text.as_bytes())) {
        Some(Ok(Json::Object(members))) => members,
        Some(Ok(_)) => return Err(not_an_object()),
        Some(Err(error)) => return Err(StoreError::State { what: "a link's base".into(), reason: error.to_string() }),
        None => Vec::new(),
    };
    let names = fields.iter().filter_map(|at| collection.fields.get(*at));
    members.push((UNSEEN.to_owned(), Json::Array(names.map(|field| Json::String(field.name.clone())).collect())));
    packed.remote = Some(Json::Object(members).to_string());
    Ok(())
}

/// The fields that [`note_unseen`] noted.
pub fn unseen(collection: &Collection, remote: Option<&str>) -> Vec<usize> {
    let Some(Ok(Json::Object(members))) = remote.map(|text| Json::parse(text.as_bytes())) else { return Vec::new() };
    let noted = members.into_iter().find(|(name, _)| name == UNSEEN);
    let Some((_, Json::Array(names))) = noted else { return Vec::new() };
    names.iter().filter_map(|name| collection.field(name.as_str()?)).collect()
}

fn not_an_object() -> StoreError {
    StoreError::State { what: "a link's base".into(), reason: "not an object".into() }
}

fn wrap(value: Option<&Value>) -> Json {
    Json::Array(value.map(Value::to_json).into_iter().collect())
}

/// The inverse of [`pack`]. Overrides of fields that the rules no longer have are left out.
pub fn unpack(
    collection: &Collection,
    slots: &[Slot],
    hub: Option<&str>,
    remote: Option<&str>,
) -> Result<Pair, StoreError> {
    let mut pair = plain(slots);
    for (at, value) in overrides(collection, hub)? {
        if let Some(place) = pair.hub.get_mut(at) {
            *place = value;
        }
    }
    for (at, value) in overrides(collection, remote)? {
        if let Some(place) = pair.remote.get_mut(at) {
            *place = value.map_or(Slot::Absent, Slot::Value);
        }
    }
    Ok(pair)
}

fn overrides(collection: &Collection, text: Option<&str>) -> Result<Vec<(usize, Option<Value>)>, StoreError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let wrong = |reason: String| StoreError::State { what: "a link's base".into(), reason };
    let Json::Object(members) = Json::parse(text.as_bytes()).map_err(|error| wrong(error.to_string()))? else {
        return Err(wrong("not an object".into()));
    };
    let mut found = Vec::new();
    for (name, wrapped) in members {
        let Some(at) = collection.field(&name) else { continue };
        let Some(field) = collection.fields.get(at) else { continue };
        let value = match &wrapped {
            Json::Array(items) => match items.first() {
                // A value that no longer fits the field's type (the rules changed) was never agreed on under them.
                Some(item) => Value::from_json(&field.domain.ty, item).ok(),
                None => None,
            },
            _ => return Err(wrong(format!("field {name} is not wrapped"))),
        };
        found.push((at, value));
    }
    Ok(found)
}

/// Field values as a JSON object by name: the form in which intents keep what they send.
pub fn values_to_text(collection: &Collection, values: &[(usize, Value)]) -> String {
    let members = values
        .iter()
        .filter_map(|(at, value)| collection.fields.get(*at).map(|field| (field.name.clone(), value.to_json())))
        .collect();
    Json::Object(members).to_string()
}

/// The inverse of [`values_to_text`].
pub fn values_from_text(collection: &Collection, text: &str) -> Result<Vec<(usize, Value)>, StoreError> {
    let wrong = |reason: String| StoreError::State { what: "an intent's values".into(), reason };
    let Json::Object(members) = Json::parse(text.as_bytes()).map_err(|error| wrong(error.to_string()))? else {
        return Err(wrong("not an object".into()));
    };
    let mut values = Vec::new();
    for (name, json) in members {
        let Some(at) = collection.field(&name) else { continue };
        let Some(field) = collection.fields.get(at) else { continue };
        values
            .push((at, Value::from_json(&field.domain.ty, &json).map_err(|error| wrong(format!("{name}: {error}")))?));
    }
    values.sort_by_key(|(at, _)| *at);
    Ok(values)
}
