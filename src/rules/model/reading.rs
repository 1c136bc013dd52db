//! Owns: the checked form of what a listing may have beside itself: an address that tells deletes, parents under which it is read.
//!
//! Must not know: how it is read.

use super::Read;
use crate::record::Mapper;

/// An address that tells what was deleted.
#[derive(Debug)]
pub struct Deleted {
    /// How it is listed: request, items, pages, what was told since. It has no deletes and no point read of its own.
    pub listing: Read,
    /// An item: the remote id of the record that it names, and when that was deleted.
    pub item: Mapper,
}

/// One listing per parent record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The collection whose records at the same upstream are the parents.
    pub collection: String,
    /// The member of a record that holds the parent's remote id; it is written in here.
    pub name: Option<String>,
    /// Ids are unique under one parent only: the remote id of a record names its parent as well.
    pub in_id: bool,
    /// Parents that one request names.
    pub batch: usize,
}
