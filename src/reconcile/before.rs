//! Owns: how the bindings of a collection stand before they are read.
//!
//! Must not know: how they are read.

use std::sync::Arc;

use crate::store::{self, Store, StoreError};
use crate::upstream;

use super::context::Pass;
use super::cursor::Cursor;
use super::pull::way;

/// How the bindings of a collection stand before they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// One has never been read to its end.
    First,
    /// A listing was left in the middle, records are listed parent by parent, or cannot be asked for one by one.
    Later,
    /// None of that: other passes may be made in between (see `between`).
    Open,
}

/// How the bindings stand.
pub async fn before(store: &dyn Store, pass: &Arc<Pass>) -> Result<Before, StoreError> {
    let pass = Arc::clone(pass);
    store::read(store, move |view| {
        let mut is_open = !pass.planning && pass.restored.is_none();
        for at in 0..pass.collection.bindings.len() {
            let Some((_, way)) = way(&pass, at) else { continue };
            let cursor = Cursor::load(view.cursor(pass.binding_key(at))?.as_deref(), &way)?;
            if cursor.full_at.is_none() {
                return Ok(Before::First);
            }
            let can_get = pass.rules(at).is_some_and(|rules| upstream::has_point_read(rules));
            let is_walk =
                pass.rules(at).and_then(|rules| rules.read.as_ref()).is_some_and(|read| read.parent.is_some());
            is_open &= cursor.scan.is_none() && can_get && !is_walk;
        }
        Ok(if is_open { Before::Open } else { Before::Later })
    })
    .await
}
