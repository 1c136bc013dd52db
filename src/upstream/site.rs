//! Owns: where a record is at its upstream: what `{id}` and `{parent}` are in the addresses that concern it.
//!
//! Must not know: what is read or written there, who asks.

use bytes::Bytes;

use super::parented::{member, name_of, seen_under, tell};
use super::prepare::parent_of;
use super::{Holes, SendOp, WriteRequest};
use crate::record::{Lens, Value};
use crate::rules::Binding;

/// Where a record is: by its remote id, and by the parent that it was last seen under, where it is listed under parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The remote id.
    pub remote_id: String,
    parent: Option<String>,
    /// It is under that parent as far as is known; else a write has put it there, and nobody has seen it there yet.
    is_seen: bool,
}

impl Site {
    /// The place of a record as it was last seen; `seen` is empty where it was not.
    pub fn of(binding: &Binding, remote_id: &str, seen: &[u8]) -> Self {
        Self { remote_id: remote_id.to_owned(), parent: seen_under(binding, seen), is_seen: true }
    }

    /// Where the record of a write is when that is sent: where it was seen when the write was decided, not where the write
    /// shall put it. Of a create: where that makes it.
    pub fn of_write(binding: &Binding, write: &WriteRequest) -> Self {
        let remote_id = write.remote_id.clone().unwrap_or_default();
        if write.op == SendOp::Create {
            return Self { remote_id, parent: parent_of(binding, write).map(str::to_owned), is_seen: true };
        }
        Self::of(binding, &remote_id, write.expected_raw.as_deref().unwrap_or_default())
    }

    /// Where a record is after a write, which may have told its id only now, or have put it under another parent.
    pub fn after(binding: &Binding, write: &WriteRequest, remote_id: &str) -> Self {
        let before = Self { remote_id: remote_id.to_owned(), ..Self::of_write(binding, write) };
        match moved_to(binding, write) {
            Some(Value::Ref(parent)) if write.op != SendOp::Create => {
                Self { parent: Some(parent.clone()), is_seen: false, ..before }
            }
            Some(_) if write.op != SendOp::Create => Self { parent: None, is_seen: false, ..before },
            Some(_) | None => before,
        }
    }

    /// What fills the addresses.
    pub fn holes(&self) -> Holes<'_> {
        Holes { id: Some(&self.remote_id), parent: self.parent.as_deref(), ..Holes::default() }
    }

    /// The record as an answer shows it that does not say whose it is: with the parent that it was seen under.
    pub fn told(&self, binding: &Binding, raw: Bytes) -> Bytes {
        match (name_of(binding), &self.parent) {
            (Some(name), Some(parent)) if self.is_seen => tell(&raw, name, parent, false).map_or(raw, Bytes::from),
            _ => raw,
        }
    }
}

/// The value by which a write moves its record to another parent.
fn moved_to<'w>(binding: &Binding, write: &'w WriteRequest) -> Option<&'w Value> {
    let own = member(name_of(binding)?);
    let is_own = |lens: &Lens| matches!(lens, Lens::Path(path) if *path == own);
    let mut fields = binding.mapper.fields.iter().filter(|map| is_own(&map.lens)).map(|map| map.field);
    fields.find_map(|field| write.values.iter().find(|(at, _)| *at == field)).map(|(_, value)| value)
}
