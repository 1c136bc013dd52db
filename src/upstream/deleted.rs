//! Owns: addresses that tell what was deleted: which records one names, page by page, and asking for some of them.
//!
//! Must not know: what is known of those records, what follows from their being gone.
//!
//! What such an address says is a hint. It may lag, or tell of a record that was taken back since: so whoever is in question
//! is asked for by its id, and only what is told here and is not there either is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::feed;
use super::listing::ListWalk;
use super::{Client, Failure, FailureKind, Holes, ListQuery, Site, Told, words};
use crate::rules::{Binding, Deleted};

/// An address that is being read.
#[derive(Debug)]
pub struct DeletedLister {
    client: Arc<Client>,
    binding: Arc<Binding>,
    walk: ListWalk,
}

/// What one page of it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The records that it names, by their remote ids, each once.
    pub ids: Vec<String>,
    /// The latest time of a delete that it shows.
    pub high: Option<DateTime<Utc>>,
    /// What the next reading begins with, where the rules take that from an answer.
    pub mark: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

impl DeletedLister {
    /// Begins at the first page of what was told since.
    pub fn new(client: Arc<Client>, binding: Arc<Binding>, since: Option<String>) -> Self {
        let query = ListQuery { since, ..ListQuery::default() };
        Self { client, binding, walk: ListWalk::new(query) }
    }

    /// The next page; `None` after the last one.
    pub async fn page(&mut self) -> Result<Option<Named>, Failure> {
        let deleted = self.binding.read.as_ref().and_then(|read| read.deleted.as_deref());
        let Some(deleted) = deleted else { return Ok(None) };
        let page = self.walk.page_of(&self.client, &self.binding, &deleted.listing).await?;
        let Some(page) = page else { return Ok(None) };
        let (mut ids, mut high) = (BTreeSet::new(), None);
        for item in &page.records {
            let item = page.body.get(item.clone()).unwrap_or_default();
            // Whoever it names would go unnoticed, and with a wrong path all of them would.
            let id = deleted.item.id(item).map_err(|error| self.nameless(deleted, &error.to_string()))?;
            ids.insert(id);
            if deleted.item.probe.updated_at.is_some() {
                high = high.max(deleted.item.read(item).ok().and_then(|item| item.updated_at));
            }
        }
        let (mark, requested_at) = (page.mark, page.requested_at);
        Ok(Some(Named { ids: ids.into_iter().collect(), high, mark, requested_at }))
    }

    fn nameless(&self, deleted: &Deleted, why: &str) -> Failure {
        let why = format!("an item that names no record: {why}");
        let words = match self.client.build(&deleted.listing.request, &Holes::default()) {
            Ok(built) => words::describe(&self.client.upstream.base_url, &built, None, &why, 1),
            Err(_) => why,
        };
        Failure::new(FailureKind::BadAnswer, words)
    }
}

/// Asks for records that were told as deleted. What is told of each in the end: that it is gone, was merged, or cannot be asked for; nothing
/// of one that is there.
pub async fn ask_for_deleted(client: &Client, binding: &Binding, sites: &[Site]) -> Result<Vec<Told>, Failure> {
    let some = sites.iter().map(|site| (site.clone(), true)).collect();
    feed::read(client, binding, some).await.map(|(_, _, told)| told)
}
