//! Owns: where the records are that the store knows: as each was last seen, it says under which parent that was.
//!
//! Must not know: what is asked for there.

use crate::rules::Binding;
use crate::store::{LinkId, LinkRow, Staged, StoreError, View};
use crate::upstream::Site;

/// Where a linked record is.
pub fn of_link(rules: &Binding, link: &LinkRow) -> Site {
    Site::of(rules, &link.remote_id, &link.raw)
}

/// Where a record was seen that is staged.
pub fn of_staged(rules: &Binding, staged: &Staged) -> Site {
    Site::of(rules, &staged.remote_id, &staged.raw)
}

/// Where linked records are, by their remote ids and links. Only where they are listed under parents is each looked up.
pub fn of_links(
    view: &dyn View,
    rules: &Binding,
    links: Vec<(String, LinkId)>,
) -> Result<Vec<(Site, LinkId)>, StoreError> {
    let is_told = rules.read.as_ref().is_some_and(|read| read.parent.is_some());
    let mut sites = Vec::with_capacity(links.len());
    for (remote_id, link) in links {
        let row = if is_told { view.link(link)? } else { None };
        sites.push((Site::of(rules, &remote_id, row.as_ref().map_or(b"", |row| &row.raw)), link));
    }
    Ok(sites)
}
