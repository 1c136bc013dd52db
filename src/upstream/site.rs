//! Owns: where a record is at its upstream: what `{id}` and `{parent}` are in the addresses that concern it.
//!
//! Must not know: what is read or written there, who asks.

use bytes::Bytes;

use super::parented::{member, name_of, seen_under, tell};
use super::prepare::{natural_key, parent_in, parent_of};
use super::{Holes, SendOp, WriteRequest};
use crate::record::{Lens, Value, below};
use crate::rules::{Binding, Create, Request};

/// The hole that the parent fills.
const PARENT: &str = "parent";

/// Where a record is: by its remote id, and by the parent that it was last seen under, where it is listed under parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The remote id, as links have it.
    pub remote_id: String,
    /// The id as the upstream has it.
    pub own_id: String,
    parent: Option<String>,
    /// It is under that parent as far as is known; else a write has put it there, and nobody has seen it there yet.
    is_seen: bool,
    /// What names it in the address of its create, before it has an id.
    natural: Option<String>,
}

impl Site {
    /// The place of a record as it was last seen; `seen` is empty where it was not.
    pub fn of(binding: &Binding, remote_id: &str, seen: &[u8]) -> Self {
        let (own_id, parent) = match in_id(binding, remote_id) {
            Some((parent, own_id)) => (own_id, Some(parent)),
            None => (remote_id, seen_under(binding, seen)),
        };
        Self { remote_id: remote_id.to_owned(), own_id: own_id.to_owned(), parent, is_seen: true, natural: None }
    }

    /// Where the record of a write is when that is sent: where it was seen when the write was decided, not where the write
    /// shall put it. Of a create: where that makes it.
    pub fn of_write(binding: &Binding, write: &WriteRequest) -> Self {
        Self::before(binding, write, write.remote_id.as_deref().unwrap_or_default())
    }

    fn before(binding: &Binding, write: &WriteRequest, remote_id: &str) -> Self {
        let site = Self::of(binding, remote_id, write.expected_raw.as_deref().unwrap_or_default());
        if write.op == SendOp::Create {
            return Self { parent: parent_of(binding, write).map(str::to_owned), ..site };
        }
        site
    }

    /// Where a create makes a record that goes out with these values.
    pub fn of_new(binding: &Binding, values: &[(usize, Value)]) -> Self {
        let parent = parent_in(binding, values).map(str::to_owned);
        let named_by = binding.create.as_ref().and_then(Create::named_by);
        let natural = named_by.and_then(|field| natural_key(binding, field, values));
        Self { remote_id: String::new(), own_id: String::new(), parent, is_seen: false, natural }
    }

    /// Where a record is after a write, which may have told its id only now, or have put it under another parent.
    pub fn after(binding: &Binding, write: &WriteRequest, remote_id: &str) -> Self {
        let before = Self::before(binding, write, remote_id);
        match moved_to(binding, write) {
            Some(Value::Ref(parent)) if write.op != SendOp::Create => {
                Self { parent: Some(parent.clone()), is_seen: false, ..before }
            }
            Some(_) if write.op != SendOp::Create => Self { parent: None, is_seen: false, ..before },
            Some(_) | None => before,
        }
    }

    /// By the name that a person gives it: where the point read names the parent, `PARENT/ID`.
    pub fn named(binding: &Binding, name: &str) -> Self {
        let site = Self::of(binding, name, b"");
        let get = binding.read.as_ref().and_then(|read| read.get.as_ref());
        match below::split(name) {
            Some((parent, own_id)) if get.is_some_and(|get| site.is_unknown(get).is_some()) => {
                Self { remote_id: own_id.to_owned(), own_id: own_id.to_owned(), parent: Some(parent), ..site }
            }
            _ => site,
        }
    }

    /// The remote id of a record that a create has made, by the id that the upstream gave it.
    pub fn name_of_created(binding: &Binding, write: &WriteRequest, own_id: String) -> String {
        match parent_of(binding, write) {
            Some(parent) if is_in_id(binding) => below::join(parent, &own_id),
            _ => own_id,
        }
    }

    /// What fills the addresses.
    pub fn holes(&self) -> Holes<'_> {
        Holes { id: Some(&self.own_id), parent: self.parent.as_deref(), ..Holes::default() }
    }

    /// What a hole of an address is filled with, for people.
    pub fn shown(&self, hole: &str) -> String {
        match hole {
            "id" if self.own_id.is_empty() => "{new}".to_owned(),
            "id" => self.own_id.clone(),
            PARENT => self.parent.clone().unwrap_or_else(|| format!("{{{hole}}}")),
            "match" => self.natural.clone().unwrap_or_else(|| format!("{{{hole}}}")),
            _ => format!("{{{hole}}}"),
        }
    }

    /// Why no request can be made that names the parent, where that is so.
    pub fn is_unknown(&self, request: &Request) -> Option<String> {
        let is_missing = self.parent.is_none() && request.has_hole(PARENT);
        is_missing.then(|| {
            format!("under which parent {} is, is not known yet: the next listing that shows it tells", self.remote_id)
        })
    }

    /// Why nothing follows for the record from that it is not found at such an address, where that is so.
    pub fn is_left(&self, binding: &Binding, request: &Request) -> Option<String> {
        let may_be_elsewhere = binding.read.as_ref().is_some_and(|read| read.may_be_elsewhere(request));
        let (id, parent) = (&self.remote_id, self.parent.as_deref().unwrap_or("?"));
        may_be_elsewhere.then(|| {
            format!(
                "{id} is not found under {parent}, where it was last seen: it is gone, or under another parent, and the next \
                 listing that shows it tells"
            )
        })
    }

    /// The record as an answer shows it that does not say whose it is: with the parent that it was seen under.
    pub fn told(&self, binding: &Binding, raw: Bytes) -> Bytes {
        if self.is_seen { self.tell(binding, raw, false) } else { raw }
    }

    /// The record as it was found at such an address: that it was found there says whose it is.
    pub fn told_at(&self, binding: &Binding, request: &Request, raw: Bytes) -> Bytes {
        if request.has_hole(PARENT) { self.tell(binding, raw, true) } else { self.told(binding, raw) }
    }

    fn tell(&self, binding: &Binding, raw: Bytes, over: bool) -> Bytes {
        match (name_of(binding), &self.parent) {
            (Some(name), Some(parent)) => tell(&raw, name, parent, over).map_or(raw, Bytes::from),
            _ => raw,
        }
    }
}

/// The id as the upstream has it.
pub fn own_id<'i>(binding: &Binding, remote_id: &'i str) -> &'i str {
    in_id(binding, remote_id).map_or(remote_id, |(_parent, own_id)| own_id)
}

/// The parent that a remote id names, and the rest of it.
fn in_id<'i>(binding: &Binding, remote_id: &'i str) -> Option<(String, &'i str)> {
    if is_in_id(binding) { below::split(remote_id) } else { None }
}

/// Whether remote ids name the parents.
fn is_in_id(binding: &Binding) -> bool {
    binding.read.as_ref().and_then(|read| read.parent.as_ref()).is_some_and(|parent| parent.in_id)
}

/// The value by which a write moves its record to another parent.
fn moved_to<'w>(binding: &Binding, write: &'w WriteRequest) -> Option<&'w Value> {
    let own = member(name_of(binding)?);
    let is_own = |lens: &Lens| matches!(lens, Lens::Path(path) if *path == own);
    let mut fields = binding.mapper.fields.iter().filter(|map| is_own(&map.lens)).map(|map| map.field);
    fields.find_map(|field| write.values.iter().find(|(at, _)| *at == field)).map(|(_, value)| value)
}
