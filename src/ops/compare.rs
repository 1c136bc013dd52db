//! Owns: linked records held against what their upstreams say now, which are read for it and not written to.
//!
//! Must not know: how it is shown; what a pass would do about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::merge::LinkState;
use crate::record::{RecordId, Slot};
use crate::rules::{Binding, Collection};
use crate::store::{BindingKey, IntentFilter, LinkId, LinkRow, Store, StoreError, View, read};
use crate::upstream::{Client, Failure, FailureKind, Got, Lister, Site, get_each};

use super::sides::{Say, mapped};

/// So many differences are told of each binding; the others are counted.
const DIFFERENCES_MAX: usize = 200;
/// Links that are looked through at once.
const CHUNK: usize = 500;

/// What became of the comparison of one binding.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct Compared {
    /// The collection.
    pub collection: String,
    /// The upstream.
    pub upstream: String,
    /// Linked records that were compared.
    pub records: u64,
    /// Those that say something else there.
    pub differ: u64,
    /// Those that are not there.
    pub gone: u64,
    /// Those that nobody could be asked about.
    pub unknown: u64,
    /// Records there that are linked to nothing here.
    pub unlinked: u64,
    /// The first of those that differ, are gone or unknown.
    pub differences: Vec<Difference>,
    /// Why not everything was compared.
    pub error: Option<String>,
}

/// A linked record that is otherwise there.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Difference {
    /// Its local id.
    pub record: String,
    /// Its remote id.
    pub remote_id: String,
    /// `differs`, `gone` or `unknown`.
    pub what: &'static str,
    /// A pass is to see to it already: an edit, an observation or a write waits.
    pub waits: bool,
    /// By field.
    pub fields: Vec<FieldDiffers>,
    /// Why it is not known, or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A field that is otherwise there.
#[derive(Debug, JsonSchema, Serialize)]
pub struct FieldDiffers {
    /// The field.
    pub field: String,
    /// Here.
    pub local: Say,
    /// There.
    pub upstream: Say,
}

/// What is compared.
struct Sides<'a> {
    store: &'a dyn Store,
    collection: &'a Arc<Collection>,
    binding: &'a Arc<Binding>,
    key: BindingKey,
    client: &'a Arc<Client>,
}

/// One record as it is there: its raw bytes, or why there are none.
enum Seen {
    Raw(Vec<u8>),
    Gone,
    Unknown(String),
}

/// Compares all linked records of a binding, first those that its listing shows, then the others one by one. An upstream that does
/// not answer ends it; what was compared before is told.
pub async fn compare(
    store: &dyn Store,
    collection: &Arc<Collection>,
    binding: &Arc<Binding>,
    client: &Arc<Client>,
) -> Result<Compared, StoreError> {
    let upstream = binding.upstream.name.clone();
    let mut compared =
        Compared { collection: collection.name.clone(), upstream: upstream.clone(), ..Compared::default() };
    let name = collection.name.clone();
    let Some(key) = read(store, move |view| view.binding_key(&name, &upstream)).await? else { return Ok(compared) };
    let sides = Sides { store, collection, binding, key, client };
    let mut seen = BTreeSet::new();
    match sides.listed(&mut compared, &mut seen).await? {
        Ok(()) => {}
        Err(failure) => {
            compared.error = Some(failure.to_string());
            return Ok(compared);
        }
    }
    if let Err(failure) = sides.unlisted(&mut compared, &seen).await? {
        compared.error = Some(failure.to_string());
    }
    Ok(compared)
}

type Answered = Result<Result<(), Failure>, StoreError>;

impl Sides<'_> {
    async fn listed(&self, compared: &mut Compared, seen: &mut BTreeSet<LinkId>) -> Answered {
        let Some(rules) = &self.binding.read else { return Ok(Ok(())) };
        let Some(parent) = &rules.parent else { return self.list(None, compared, seen).await };
        let (of, upstream) = (parent.collection.clone(), self.binding.upstream.name.clone());
        let Some(of) = read(self.store, move |view| view.binding_key(&of, &upstream)).await? else { return Ok(Ok(())) };
        let mut after = String::new();
        loop {
            let from = after.clone();
            let parents = read(self.store, move |view| view.live_links(of, &from, CHUNK)).await?;
            let Some((last, _link)) = parents.last() else { return Ok(Ok(())) };
            after.clone_from(last);
            for (parent, _link) in &parents {
                match self.list(Some(parent), compared, seen).await? {
                    // Some say so where there is nothing under it.
                    Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Gone) => {}
                    Err(failure) => return Ok(Err(failure)),
                    Ok(()) => {}
                }
            }
        }
    }

    async fn list(&self, parent: Option<&str>, compared: &mut Compared, seen: &mut BTreeSet<LinkId>) -> Answered {
        let mut lister = Lister::to_search(Arc::clone(self.client), Arc::clone(self.binding), parent);
        loop {
            let page = match lister.page().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Ok(())),
                Err(failure) => return Ok(Err(failure)),
            };
            let whole = page.records.iter().filter(|at| !page.cut_down.contains(&at.start));
            let raws: Vec<Vec<u8>> = whole.filter_map(|at| page.body.get(at.clone()).map(<[u8]>::to_vec)).collect();
            self.take(raws, compared, seen).await?;
        }
    }

    /// Compares the records of a page.
    async fn take(
        &self,
        raws: Vec<Vec<u8>>,
        compared: &mut Compared,
        seen: &mut BTreeSet<LinkId>,
    ) -> Result<(), StoreError> {
        let (collection, binding, key) = (Arc::clone(self.collection), Arc::clone(self.binding), self.key);
        let found = read(self.store, move |view| {
            let mut found = Vec::with_capacity(raws.len());
            for raw in raws {
                let Ok(record) = binding.mapper.read(&raw) else { continue };
                // What is listed as deleted is asked for with those that are not listed.
                if record.deleted || !record.in_scope {
                    continue;
                }
                let known = view.known(key, &[&record.id])?.into_iter().next().flatten();
                let link = match known {
                    Some(known) => view.link(known.link)?,
                    None => None,
                };
                let Some(link) = link else {
                    found.push(None);
                    continue;
                };
                let is_live = link.state == LinkState::Live;
                let difference =
                    if is_live { differs(view, &collection, &binding, &link, Seen::Raw(raw))? } else { None };
                found.push(Some((link.link, is_live, difference)));
            }
            Ok(found)
        })
        .await?;
        for one in found {
            match one {
                None => compared.unlinked += 1,
                Some((link, is_live, difference)) if seen.insert(link) && is_live => compared.add(difference),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Asks for the linked records that no listing showed.
    async fn unlisted(&self, compared: &mut Compared, seen: &BTreeSet<LinkId>) -> Answered {
        let mut after = String::new();
        loop {
            let (from, key) = (after.clone(), self.key);
            let links = read(self.store, move |view| view.live_links(key, &from, CHUNK)).await?;
            let Some((last, _link)) = links.last() else { return Ok(Ok(())) };
            after.clone_from(last);
            let missing: Vec<LinkId> =
                links.into_iter().map(|(_id, link)| link).filter(|link| !seen.contains(link)).collect();
            let rows = read(self.store, move |view| {
                missing.into_iter().filter_map(|link| view.link(link).transpose()).collect::<Result<Vec<_>, _>>()
            })
            .await?;
            let mut asked = get_each(self.client, self.binding, rows, |link: &LinkRow| {
                Some(Site::of(self.binding, &link.remote_id, &link.raw))
            });
            while let Some((link, got)) = asked.next().await {
                let seen = match got {
                    None => Seen::Unknown("it is not listed, and the rules have no way to ask for it".to_owned()),
                    Some(Ok(Got::Found(remote))) => Seen::Raw(remote.raw.to_vec()),
                    Some(Ok(Got::Missing | Got::Merged(_))) => Seen::Gone,
                    Some(Ok(Got::Astray(why))) => Seen::Unknown(why),
                    Some(Err(failure)) if failure.is_of_one_record() => Seen::Unknown(failure.words),
                    Some(Err(failure)) => return Ok(Err(failure)),
                };
                let (collection, binding) = (Arc::clone(self.collection), Arc::clone(self.binding));
                let difference =
                    read(self.store, move |view| differs(view, &collection, &binding, &link, seen)).await?;
                compared.add(difference);
            }
        }
    }
}

impl Compared {
    fn add(&mut self, difference: Option<Difference>) {
        self.records += 1;
        let Some(difference) = difference else { return };
        match difference.what {
            GONE => self.gone += 1,
            UNKNOWN => self.unknown += 1,
            _ => self.differ += 1,
        }
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }
}

const DIFFERS: &str = "differs";
const GONE: &str = "gone";
const UNKNOWN: &str = "unknown";

/// What is otherwise there; `None` where nothing is.
fn differs(
    view: &dyn View,
    collection: &Collection,
    binding: &Binding,
    link: &LinkRow,
    seen: Seen,
) -> Result<Option<Difference>, StoreError> {
    let (mut fields, mut error) = (Vec::new(), None);
    let what = match seen {
        Seen::Gone => GONE,
        Seen::Unknown(why) => {
            error = Some(why);
            UNKNOWN
        }
        Seen::Raw(raw) => {
            let (there, why) = mapped(view, collection, binding, &raw)?;
            error = why;
            let row = view.row(collection, &link.record)?.unwrap_or_else(|| vec![Slot::Absent; there.len()]);
            for ((field, here), there) in collection.fields.iter().zip(&row).zip(&there) {
                let agrees = match (here, there) {
                    (Slot::Value(here), Slot::Value(there)) => field.domain.same(here, there),
                    (_, Slot::Absent) => true,
                    _ => false,
                };
                if !agrees {
                    let (local, upstream) = (Say::of_slot(here), Say::of_slot(there));
                    fields.push(FieldDiffers { field: field.name.clone(), local, upstream });
                }
            }
            if fields.is_empty() && error.is_none() {
                return Ok(None);
            }
            DIFFERS
        }
    };
    let waits = waits(view, collection, &link.record)?;
    let (record, remote_id) = (link.record.0.clone(), link.remote_id.clone());
    Ok(Some(Difference { record, remote_id, what, waits, fields, error }))
}

fn waits(view: &dyn View, collection: &Collection, record: &RecordId) -> Result<bool, StoreError> {
    let Some(key) = view.collection_key(&collection.name)? else { return Ok(false) };
    let filter = IntentFilter {
        collection: Some(collection.name.clone()),
        record: Some(record.clone()),
        limit: 1,
        ..IntentFilter::default()
    };
    Ok(view.dirty(key, record)?.is_some()
        || !view.staged_of(key, record)?.is_empty()
        || !view.intents(&filter)?.is_empty())
}
