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

/// As a linked record was last seen, where that tells under which parent; nothing is read where there are none.
pub fn last_seen(view: &dyn View, rules: &Binding, link: LinkId) -> Result<Vec<u8>, StoreError> {
    if rules.read.as_ref().is_none_or(|read| read.parent.is_none()) {
        return Ok(Vec::new());
    }
    Ok(view.link(link)?.map(|row| row.raw).unwrap_or_default())
}

/// Where linked records are, by their remote ids and links.
pub fn of_links(
    view: &dyn View,
    rules: &Binding,
    links: Vec<(String, LinkId)>,
) -> Result<Vec<(Site, LinkId)>, StoreError> {
    let mut sites = Vec::with_capacity(links.len());
    for (remote_id, link) in links {
        sites.push((Site::of(rules, &remote_id, &last_seen(view, rules, link)?), link));
    }
    Ok(sites)
}
