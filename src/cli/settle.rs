//! Owns: `settle`: a person's word about a write whose outcome no evidence tells.
//!
//! Must not know: what evidence there could be (that is `reconcile`).

use serde::Serialize;

use crate::merge::{IntentState, LinkState};
use crate::ops::is_under_way;
use crate::record::RecordId;
use crate::store::{
    DirtyOp, IntentFilter, IntentRow, LinkUpdate, MappingKey, Micros, NewLink, StoreError, Tx, read, write,
};

use super::args::SettleArgs;
use super::ask::{Daemon, sends_since};
use super::exit::{CliError, Exit};
use super::find::find_record;
use super::out::Out;
use super::style::clean;
use super::workspace::{SecretsAre, Workspace};

/// What `settle --json` prints.
#[derive(Debug, Serialize)]
struct Settled {
    collection: String,
    record: String,
    upstream: String,
    op: String,
    /// Absent where it was not made.
    remote_id: Option<String>,
}

/// Writes the word down; the next pass goes on from there.
pub async fn run(args: &SettleArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_edit()?;
    let (collection, record) = find_record(store.as_ref(), &rules, &args.record).await?;
    let filter = IntentFilter {
        collection: Some(collection),
        upstream: Some(args.upstream.clone()),
        record: Some(record),
        states: IntentState::OPEN.to_vec(),
        limit: 1,
        ..IntentFilter::default()
    };
    let found = read(store.as_ref(), move |view| view.intents(&filter)).await?.into_iter().next();
    let Some(intent) = found else {
        let (record, upstream) = (clean(&args.record), clean(&args.upstream));
        return Err(CliError::NotFound(format!(
            "no write of {record} to {upstream} has an unknown outcome; `reconciled status` lists those that do"
        )));
    };
    if is_waited_for(&intent, workspace).await {
        let (record, upstream) = (clean(&args.record), clean(&args.upstream));
        return Err(CliError::Usage(format!(
            "the daemon has sent the {} of {record} to {upstream} and waits for the answer; where none comes, it finds out, or \
             `reconciled status` says that nobody knows",
            intent.op
        )));
    }
    if intent.op != "create" && args.outcome.made.is_some() {
        return Err(CliError::Usage(format!(
            "the write is {} of a record that exists there: --made is for creates",
            article(&intent.op)
        )));
    }
    let done = Settled {
        collection: intent.collection.clone(),
        record: intent.record.0.clone(),
        upstream: intent.upstream.clone(),
        op: intent.op.clone(),
        remote_id: args.outcome.made.clone(),
    };
    let (made, now) = (args.outcome.made.clone(), workspace.clock().now().timestamp_micros());
    let refused = write(store.as_ref(), move |tx| match made {
        Some(remote_id) => tie(tx, &intent, &remote_id, now),
        None => forget(tx, &intent).map(|()| None),
    })
    .await?;
    if let Some(other) = refused {
        let id = clean(args.outcome.made.as_deref().unwrap_or_default());
        return Err(CliError::Usage(format!(
            "{id} at {} is tied to {other} here: two records here would be one there; delete one of the two in the table",
            clean(&args.upstream)
        )));
    }
    out.show(&done, |done, _width| text(done))?;
    Ok(Exit::IN_SYNC)
}

/// Whether a daemon lives that sent it. One that says nothing counts as one that does not live: a person has looked.
async fn is_waited_for(intent: &IntentRow, workspace: &Workspace) -> bool {
    let Ok(Some(daemon)) = Daemon::find(workspace) else { return false };
    let Ok(standing) = daemon.standing().await else { return false };
    is_under_way(intent, sends_since(&standing, &intent.collection))
}

/// Ties the record to what was made. What it says is read by the next pass, and merged as on first contact. Returns the
/// local record that is tied to it already, if so.
fn tie(tx: &mut dyn Tx, intent: &IntentRow, remote_id: &str, now: Micros) -> Result<Option<RecordId>, StoreError> {
    let known = tx.known(intent.binding, &[remote_id])?.into_iter().next().flatten();
    if let Some(link) = known.map(|known| tx.link(known.link)).transpose()?.flatten() {
        return Ok(Some(link.record));
    }
    tx.unstage(intent.binding, remote_id)?;
    tx.put_link(&NewLink {
        binding: intent.binding,
        remote_id,
        record: &intent.record,
        state: LinkUpdate {
            state: LinkState::Live,
            version: None,
            mapping: MappingKey(0),
            fingerprint: 0,
            raw: &[],
            base_hub: None,
            base_remote: None,
            updated_at: None,
            observed_at: now,
        },
        made: None,
    })?;
    forget(tx, intent).map(|()| None)
}

fn forget(tx: &mut dyn Tx, intent: &IntentRow) -> Result<(), StoreError> {
    tx.drop_intent(&intent.key)?;
    match tx.collection_key(&intent.collection)? {
        Some(key) => tx.mark_dirty(key, &intent.record, DirtyOp::Recheck),
        None => Ok(()),
    }
}

fn article(op: &str) -> String {
    if op == "update" { "an update".to_owned() } else { format!("a {op}") }
}

fn text(done: &Settled) -> String {
    let (record, upstream) = (clean(&done.record), clean(&done.upstream));
    match &done.remote_id {
        Some(id) => format!("{record} is {} at {upstream}; the next pass reads and merges it\n", clean(id)),
        None => format!("the {} of {record} at {upstream} counts as never made; the next pass decides anew\n", done.op),
    }
}
