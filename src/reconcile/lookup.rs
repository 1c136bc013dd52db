//! Owns: finding the record that a create made, by what the rules say identifies it.
//!
//! Must not know: what is concluded from what is found.

use std::sync::Arc;

use crate::rules::{Binding, Idempotency};
use crate::upstream::{self, Client, Failure, Got, Remote};

use super::push::Ready;

/// Looks a created record up by what the rules say identifies it.
pub async fn look_up(client: &Arc<Client>, rules: &Arc<Binding>, ready: &Ready) -> Result<Vec<Remote>, Failure> {
    let (parent, key) = (upstream::parent_of(rules, &ready.request), &ready.request.key);
    let found = match rules.create.as_ref().map(|create| &create.idempotency) {
        Some(Idempotency::ClientId) => match &ready.request.remote_id {
            Some(remote_id) => match upstream::get(client, rules, remote_id).await? {
                Got::Found(remote) => vec![remote],
                Got::Missing | Got::Merged(_) => Vec::new(),
            },
            None => Vec::new(),
        },
        Some(Idempotency::Match(field)) => match ready.request.values.iter().find(|(at, _)| at == field) {
            None => Vec::new(),
            Some((_, value)) => {
                let found = upstream::find_by_field(client, rules, (*field, value), parent).await?;
                still_there(client, rules, found).await?
            }
        },
        Some(Idempotency::Field(path)) => upstream::find_by_path(client, rules, (path, key), parent).await?,
        Some(Idempotency::Key { .. } | Idempotency::None) | None => Vec::new(),
    };
    Ok(found)
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
        if let Got::Found(now) = upstream::get(client, rules, &id).await? {
            there.push(now);
        }
    }
    Ok(there)
}
