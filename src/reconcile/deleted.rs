//! Owns: what an address that tells deletes says: who is in question, and what follows for staging once he was asked for.
//!
//! Must not know: what a delete leads to, how such an address is paged.
//!
//! It is read after the listing. What it says is a hint: a record that the listing has shown in this pass is not deleted, and
//! neither is one that a point read finds. Where the two speak against each other the place from which it is read on stays, so
//! that it is told once more in the next pass.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_64;

use crate::merge::LinkState;
use crate::rules::{Binding, Deleted, Incremental};
use crate::store::{self, Micros, StagedKind, Store, StoreError, View};
use crate::upstream::{Client, DeletedLister, Failure, FailureKind, Page, Site, Told, ask_for_deleted};

use super::context::Pass;
use super::cursor::Cursor;
use super::page::{Cut, PageJob};
use super::pull::way;
use super::pulled::Pulled;
use super::sites;

/// Records that are looked up, and asked for, before what they are is written.
const TOGETHER: usize = 100;

/// Reads what was told since, where the rules say where, and stages who is gone. A failing upstream is in the result, as one
/// whose listing fails.
pub async fn hear(
    store: &dyn Store,
    client: &Arc<Client>,
    pass: &Arc<Pass>,
    pulled: &mut Pulled,
    full: bool,
) -> Result<(), StoreError> {
    let Some((read, way)) = way(pass, pulled.binding) else { return Ok(()) };
    let (Some(deleted), None) = (read.deleted.as_deref(), &pulled.blocked) else { return Ok(()) };
    let Some(rules) = pass.rules(pulled.binding).cloned() else { return Ok(()) };
    let seen = Arc::clone(&pulled.seen);
    let is_whole = deleted.listing.incremental == Incremental::None;
    let since = if pulled.started_at == 0 { pass.micros() } else { pulled.started_at };
    let binding = pulled.binding;
    let mut hearing = Hearing { store, client, pass, rules, binding, seen, since, is_whole, doubt: false };
    if let Some(failure) = hearing.run(deleted, &way, full).await? {
        pulled.report.error = Some(failure.words.clone());
        pulled.blocked = Some(format!("{} could not be read: {}", pulled.report.upstream, failure.words));
    }
    Ok(())
}

/// One reading of what was deleted.
struct Hearing<'a> {
    store: &'a dyn Store,
    client: &'a Arc<Client>,
    pass: &'a Arc<Pass>,
    rules: Arc<Binding>,
    binding: usize,
    /// The links that the listing has shown.
    seen: Arc<RoaringTreemap>,
    /// When that began.
    since: Micros,
    /// All of it is read each time.
    is_whole: bool,
    /// Somebody who is told as deleted was listed just now, or cannot be asked for.
    doubt: bool,
}

/// What was read to its end.
#[derive(Default)]
struct Heard {
    high: Option<DateTime<Utc>>,
    mark: Option<String>,
    began: Option<DateTime<Utc>>,
}

impl Hearing<'_> {
    async fn run(&mut self, deleted: &Deleted, way: &str, full: bool) -> Result<Option<Failure>, StoreError> {
        let key = self.pass.binding_key(self.binding);
        let text = store::read(self.store, move |view| view.cursor(key)).await?;
        let mut cursor = Cursor::load(text.as_deref(), way)?;
        let own_way = own_way(deleted);
        let before = cursor.deleted.take().filter(|before| before.way == own_way);
        let mut now = before.as_deref().cloned().unwrap_or_else(|| Cursor { way: own_way, ..Cursor::default() });
        let (query, _) = now.query(&deleted.listing.incremental, full, self.pass.now);
        let heard = match self.listen(query.since.clone()).await? {
            // What it was read up to is not known there any more: all of it, then.
            Err(failure) if failure.kind == FailureKind::CursorExpired && query.since.is_some() => {
                self.listen(None).await?
            }
            heard => heard,
        };
        let heard = match heard {
            Ok(heard) => heard,
            Err(failure) => return Ok(Some(failure)),
        };
        if self.is_whole || self.doubt {
            return Ok(None);
        }
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        let began = heard.began.map_or(self.since, micros);
        // Only where it moves is there something to write.
        let full_at = now.full_at.unwrap_or(began);
        now.finish(true, heard.mark, heard.high.map(micros), began, full_at);
        if before.as_deref() != Some(&now) {
            cursor.deleted = Some(Box::new(now));
            let text = cursor.save();
            store::write(self.store, move |tx| tx.set_cursor(key, &text)).await?;
        }
        Ok(None)
    }

    async fn listen(&mut self, since: Option<String>) -> Result<Result<Heard, Failure>, StoreError> {
        let mut lister = DeletedLister::new(Arc::clone(self.client), Arc::clone(&self.rules), since);
        let mut heard = Heard::default();
        loop {
            let named = match lister.page().await {
                Ok(Some(named)) => named,
                Ok(None) => return Ok(Ok(heard)),
                Err(failure) => return Ok(Err(failure)),
            };
            heard.began.get_or_insert(named.requested_at);
            heard.high = heard.high.max(named.high);
            heard.mark = named.mark.or(heard.mark);
            for ids in named.ids.chunks(TOGETHER) {
                if let Err(failure) = self.ask(ids.to_vec()).await? {
                    return Ok(Err(failure));
                }
            }
        }
    }

    /// Asks for those of some records that are in question, and stages what they are.
    async fn ask(&mut self, ids: Vec<String>) -> Result<Result<(), Failure>, StoreError> {
        let asked = self.in_question(ids).await?;
        let (sites, was_listed): (Vec<Site>, Vec<bool>) = asked.into_iter().unzip();
        let told = match ask_for_deleted(self.client, &self.rules, &sites).await {
            Ok(told) => told,
            Err(failure) => return Ok(Err(failure)),
        };
        let was_listed =
            |id: &str| sites.iter().zip(&was_listed).any(|(asked, listed)| asked.remote_id == id && *listed);
        let mut certain = Vec::new();
        for one in told {
            let (Told::Gone(id) | Told::Merged(id, _) | Told::Unanswered(id, _)) = &one;
            self.doubt |= was_listed(id) || matches!(one, Told::Unanswered(..));
            if !was_listed(id) {
                certain.push(one);
            }
        }
        if !certain.is_empty() {
            self.stage(certain).await?;
        }
        Ok(Ok(()))
    }

    /// Those that are here, or wait to come in, and whether they were listed in this pass. Of an address that is read whole each
    /// time they are not asked for: it will say so again.
    async fn in_question(&self, ids: Vec<String>) -> Result<Vec<(Site, bool)>, StoreError> {
        let (key, seen, since, is_whole) =
            (self.pass.binding_key(self.binding), Arc::clone(&self.seen), self.since, self.is_whole);
        let rules = Arc::clone(&self.rules);
        store::read(self.store, move |view: &dyn View| {
            let names: Vec<&str> = ids.iter().map(String::as_str).collect();
            let known = view.known(key, &names)?;
            let mut asked = Vec::new();
            for (id, known) in ids.into_iter().zip(known) {
                let (raw, listed) = match known {
                    Some(known) if known.state == LinkState::Live => {
                        let raw = sites::last_seen(view, &rules, known.link)?;
                        (raw, seen.contains(known.link.0.unsigned_abs()))
                    }
                    Some(_) => continue,
                    None => match view.staged(key, &id)? {
                        Some(waits) if waits.kind == StagedKind::Record => (waits.raw, waits.observed_at >= since),
                        Some(_) | None => continue,
                    },
                };
                if !(listed && is_whole) {
                    asked.push((Site::of(&rules, &id, &raw), listed));
                }
            }
            Ok(asked)
        })
        .await
    }

    async fn stage(&mut self, told: Vec<Told>) -> Result<(), StoreError> {
        let pass = Arc::clone(self.pass);
        let touched = pass.touched.lock().await;
        let now = self.client.now();
        let page = Page {
            body: Bytes::new(),
            records: Vec::new(),
            cut_down: Vec::new(),
            told,
            next: None,
            not_modified: false,
            mark: None,
            requested_at: now,
            observed_at: now,
        };
        let job = PageJob {
            pass: Arc::clone(self.pass),
            binding: self.binding,
            restless: RoaringTreemap::new(),
            eager: false,
            alone: false,
            touched: touched.clone(),
            cursor: None,
            high: None,
            cuts: vec![Cut::new(self.pass, self.binding, page, false)],
        };
        let done = store::write(self.store, move |tx| job.write(tx)).await?;
        // What a pass in between has touched may have come back since it was asked for.
        self.doubt |= !done.doubtful.is_empty();
        Ok(())
    }
}

/// A hash that names the way in which it is read: where that changes, its place means nothing.
fn own_way(deleted: &Deleted) -> String {
    let (listing, item) = (&deleted.listing, &deleted.item.probe);
    let text = format!("{:?} {:?} {:?} {:?}", listing.request, listing.incremental, item.id, item.updated_at);
    format!("{:016x}", xxh3_64(text.as_bytes()))
}
