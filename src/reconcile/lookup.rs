//! Owns: finding the record that a create made, by what the rules say identifies it.
//!
//! Must not know: what is concluded from what is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rules::{Binding, Idempotency};
use crate::upstream::{self, Client, Failure, FailureKind, FoundRecords, Got, Remote, Site};

use super::push::Ready;

/// Looks a created record up by what the rules say identifies it.
pub async fn look_up(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready) -> FoundRecords {
    match rules.create.as_ref().map(|create| &create.idempotency) {
        Some(Idempotency::ClientId) => match &ready.request.remote_id {
            Some(_) => match upstream::get(client, rules, &Site::of_write(rules, &ready.request)).await? {
                Got::Found(remote) => Ok(vec![remote]),
                Got::Missing | Got::Merged(_) => Ok(Vec::new()),
                // Where we wanted it made, it is not.
                Got::Astray(_) if upstream::parent_of(rules, &ready.request).is_some() => Ok(Vec::new()),
                Got::Astray(why) => Err(Failure::new(FailureKind::BadAnswer, why)),
            },
            None => Ok(Vec::new()),
        },
        _ => look_up_all(client, rules, &[ready]).await.remove(&ready.intent.key).unwrap_or_else(|| Ok(Vec::new())),
    }
}

/// Looks created records up that only a listing shows, by the keys of their intents: one walk through it is for all of them (under
/// each parent one, where they are listed so). Whoever else is among them is left out.
pub async fn look_up_all<'a>(
    client: &Arc<Client>,
    rules: &Arc<Binding>,
    all: &[&'a Ready],
) -> BTreeMap<String, FoundRecords> {
    let mut by_parent: BTreeMap<Option<&str>, Vec<&'a Ready>> = BTreeMap::new();
    for ready in all {
        by_parent.entry(upstream::parent_of(rules, &ready.request)).or_default().push(ready);
    }
    let mut told = BTreeMap::new();
    for (parent, some) in by_parent {
        match rules.create.as_ref().map(|create| &create.idempotency) {
            Some(Idempotency::Match(field)) => {
                // One without a value is not known by it.
                let value = |ready: &'a Ready| {
                    let (_, value) = ready.request.values.iter().find(|(at, _)| at == field)?;
                    Some((&ready.intent.key, value))
                };
                let some = some.into_iter().filter_map(value);
                let (keys, values): (Vec<_>, Vec<_>) = some.unzip();
                if keys.is_empty() {
                    continue;
                }
                let found = upstream::find_by_field(client, rules, (*field, &values), parent).await;
                for (key, found) in each(keys, found) {
                    let found = match found {
                        Ok(found) => still_there(client, rules, found).await,
                        failed => failed,
                    };
                    told.insert(key, found);
                }
            }
            Some(Idempotency::Field(path)) => {
                let keys: Vec<&String> = some.iter().map(|ready| &ready.intent.key).collect();
                let texts: Vec<&str> = some.iter().map(|ready| ready.request.key.as_str()).collect();
                told.extend(each(keys, upstream::find_by_path(client, rules, (path, &texts), parent).await));
            }
            Some(Idempotency::ClientId | Idempotency::Key { .. } | Idempotency::None) | None => {}
        }
    }
    told
}

/// What was found for each; where the search failed, it did for all of them.
fn each(keys: Vec<&String>, found: Result<Vec<FoundRecords>, Failure>) -> Vec<(String, FoundRecords)> {
    let found = found.unwrap_or_else(|failure| vec![Err(failure); keys.len()]);
    keys.into_iter().cloned().zip(found).collect()
}

/// What a search finds may be gone: its index lags, and shows one that had the same identity and was deleted. Where a point
/// read exists, it has the word.
async fn still_there(client: &Arc<Client>, rules: &Binding, found: Vec<Remote>) -> Result<Vec<Remote>, Failure> {
    if rules.read.as_ref().is_none_or(|read| read.get.is_none()) {
        return Ok(found);
    }
    let mut there = Vec::with_capacity(found.len());
    for remote in found {
        let Ok(id) = rules.mapper.id(&remote.raw) else { continue };
        match upstream::get(client, rules, &Site::of(rules, &id, &remote.raw)).await? {
            Got::Found(now) => there.push(now),
            Got::Missing | Got::Merged(_) => {}
            Got::Astray(why) => return Err(Failure::new(FailureKind::BadAnswer, why)),
        }
    }
    Ok(there)
}
