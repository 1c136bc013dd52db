//! Owns: batches: upserts with a result per item, or refused as a whole.
//!
//! Must not know: what a write does.

use serde_json::{Value, json};

use super::call::Call;
use super::config::{Batch, IdStyle};
use super::json::{self, Object};
use super::read::not_found;
use super::reply::{Answer, Refusal};
use super::shelf::State;
use super::write::Desk;

/// `POST path/batch`
pub fn run(desk: &mut Desk<'_>, batch: &Batch, call: &Call) -> Result<Answer, Refusal> {
    let mut body = call.object()?;
    let Some(Value::Array(inputs)) = body.remove(&batch.inputs) else {
        return Err(Refusal::of_field(400, "inputs_missing", &batch.inputs, "must be an array"));
    };
    if inputs.len() > batch.items_max {
        let message = format!("{} items, at most {}", inputs.len(), batch.items_max);
        return Err(Refusal::of_field(413, "too_many_items", &batch.inputs, message));
    }
    let mut results = if batch.reject_all {
        let mut trial = desk.shelf.clone();
        let mut on_trial = Desk { shelf: &mut trial, ..*desk };
        let results = upsert_all(&mut on_trial, batch, inputs);
        let changes = on_trial.changes;
        if let Some((index, refusal)) = results.iter().enumerate().find_map(|(at, r)| Some((at, r.refusal.clone()?))) {
            let message = format!("item {index}: {}", refusal.message);
            return Err(Refusal { message, ..refusal });
        }
        *desk.shelf = trial;
        desk.changes = changes;
        results
    } else {
        upsert_all(desk, batch, inputs)
    };
    let status = if results.iter().any(|result| result.refusal.is_some()) { batch.partial_status } else { 200 };
    if batch.reversed {
        results.reverse();
    }
    let results: Vec<Value> = results.into_iter().map(|result| result.into_json(desk, batch)).collect();
    Ok(Answer::json(status, json!({ batch.results.as_str(): results })))
}

/// What became of one item.
struct ItemResult {
    id: Option<String>,
    request_id: Option<Value>,
    status: u16,
    refusal: Option<Refusal>,
}

impl ItemResult {
    fn into_json(self, desk: &Desk<'_>, batch: &Batch) -> Value {
        let mut result = Object::new();
        if let Some(id) = &self.id {
            json::put(&mut result, &desk.config.id_at, id.clone().into());
        }
        result.insert("status".into(), self.status.into());
        match (&self.refusal, self.id.as_deref().and_then(|id| desk.shelf.get(id)), &desk.config.version) {
            (Some(refusal), _, _) => json::put(&mut result, "error", refusal.to_json()),
            (None, Some(stored), Some(version)) if version.number => {
                json::put(&mut result, &version.path, stored.version.into());
            }
            (None, Some(stored), Some(version)) => {
                json::put(&mut result, &version.path, stored.version.to_string().into());
            }
            (None, _, _) => {}
        }
        if let (Some(key), Some(request_id)) = (&batch.request_id, self.request_id) {
            result.insert(key.clone(), request_id);
        }
        Value::Object(result)
    }
}

fn upsert_all(desk: &mut Desk<'_>, batch: &Batch, inputs: Vec<Value>) -> Vec<ItemResult> {
    inputs.into_iter().map(|input| upsert(desk, batch, input)).collect()
}

fn upsert(desk: &mut Desk<'_>, batch: &Batch, input: Value) -> ItemResult {
    let Value::Object(mut input) = input else {
        let refusal = Refusal::new(400, "not_an_object", "an item must be a JSON object");
        return ItemResult { id: None, request_id: None, status: 400, refusal: Some(refusal) };
    };
    let request_id = batch.request_id.as_ref().and_then(|key| input.remove(key));
    let id = json::at(&input, &desk.config.id_at).filter(|id| !id.is_null()).map(json::text);
    let id = id.or_else(|| matching(desk, batch.match_field.as_deref()?, &input));
    match upsert_one(desk, id.as_deref(), input) {
        Ok((id, status)) => ItemResult { id: Some(id), request_id, status, refusal: None },
        Err(refusal) => ItemResult { id, request_id, status: refusal.status, refusal: Some(refusal) },
    }
}

fn upsert_one(desk: &mut Desk<'_>, id: Option<&str>, input: Object) -> Result<(String, u16), Refusal> {
    match id {
        Some(id) if desk.shelf.get(id).is_some() => {
            desk.check_body_version(&input, id)?;
            desk.merge(id, input)?;
            Ok((id.to_owned(), 200))
        }
        Some(id) if desk.config.id != IdStyle::Client => Err(not_found(id)),
        Some(_) | None => desk.create(input).map(|id| (id, 201)),
    }
}

/// The live record with the same value in a field.
fn matching(desk: &Desk<'_>, field: &str, input: &Object) -> Option<String> {
    let mut wanted = input.clone();
    super::fields::normalise(desk.config, &mut wanted);
    let wanted = json::at(&wanted, field)?;
    let found = desk
        .shelf
        .iter()
        .find(|stored| stored.state == State::Live && json::at(&stored.data, field) == Some(wanted))?;
    Some(found.id.clone())
}
