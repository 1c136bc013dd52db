//! Owns: the first records of a binding as its upstream lists them, for commands that show some.
//!
//! Must not know: what is shown of them; how a pass reads.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::rules::{Binding, Parent, Ruleset};
use crate::upstream::{Client, Failure, FailureKind, Lister};

/// Of a listing under parents, so many parents are looked through.
const PARENTS_MAX: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Records as they came.
    pub records: Vec<Vec<u8>>,
    /// There are more behind them, or may be.
    pub more: bool,
}

/// The first records of the listing. Under parents those of the first parents that the same upstream lists.
pub async fn first_records(
    client: &Arc<Client>,
    rules: &Ruleset,
    binding: &Arc<Binding>,
    limit: usize,
) -> Result<Found, Failure> {
    let mut found = Found::default();
    look_into((client, rules), binding, limit, &mut found).await?;
    Ok(found)
}

/// The same, page by page: what was found before a failure is there.
pub fn look_into<'a>(
    (client, rules): (&'a Arc<Client>, &'a Ruleset),
    binding: &'a Arc<Binding>,
    limit: usize,
    found: &'a mut Found,
) -> BoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        let Some(parent) = binding.read.as_ref().and_then(|read| read.parent.as_ref()) else {
            return list(client, binding, None, limit, found).await;
        };
        let of = parents_binding(rules, binding, parent)?;
        let mut parents = Found::default();
        look_into((client, rules), of, PARENTS_MAX, &mut parents).await?;
        let read = |raw: &Vec<u8>| of.mapper.read(raw).ok().filter(|mapped| mapped.in_scope && !mapped.deleted);
        for parent in parents.records.iter().filter_map(read) {
            if found.records.len() == limit {
                found.more = true;
                return Ok(());
            }
            match list(client, binding, Some(&parent.id), limit, found).await {
                // Some say so where there is nothing under it.
                Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Gone) => {}
                done => done?,
            }
        }
        found.more |= parents.more;
        Ok(())
    })
}

/// The binding whose records are the parents.
pub fn parents_binding<'a>(
    rules: &'a Ruleset,
    binding: &Binding,
    parent: &Parent,
) -> Result<&'a Arc<Binding>, Failure> {
    let all = rules.collections.get(&parent.collection).into_iter().flat_map(|collection| &collection.bindings);
    let mut same = all.filter(|one| one.upstream.name == binding.upstream.name);
    same.next().ok_or_else(|| {
        let words = format!("{} is not bound to {}", parent.collection, binding.upstream.name);
        Failure::new(FailureKind::Fatal, words)
    })
}

async fn list(
    client: &Arc<Client>,
    binding: &Arc<Binding>,
    parent: Option<&str>,
    limit: usize,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut lister = Lister::to_search(Arc::clone(client), Arc::clone(binding), parent);
    while let Some(page) = lister.page().await? {
        for at in &page.records {
            if found.records.len() == limit {
                found.more = true;
                return Ok(());
            }
            found.records.extend(page.body.get(at.clone()).map(<[u8]>::to_vec));
        }
        if found.records.len() == limit {
            found.more = lister.goes_on();
            return Ok(());
        }
    }
    Ok(())
}
