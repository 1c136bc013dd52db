//! Owns: the invariants, asked of a world that has come to rest.
//!
//! Must not know: how it came there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::store::SqliteStore;

use super::believed;
use super::hands::{Deed, Hands};
use super::kin::{self, COMPANY, Kin, PARENT, paths};
use super::restore::Undone;
use super::world::{Guarded, Style, fields};

/// A record as one side has it: values as comparable texts.
type Record = BTreeMap<&'static str, String>;

/// Everything that does not hold.
pub fn all(
    store: &SqliteStore,
    sandboxes: &BTreeMap<String, Sandbox>,
    styles: &[Style],
    hands: &Hands,
    undone: &Undone,
) -> Vec<String> {
    let mut broken = Vec::new();
    let here = local(store, hands.kin.as_ref(), &mut broken);
    let ledger = hands.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for style in styles {
        let host = format!("{}.example.com", style.name);
        let Some(sandbox) = sandboxes.get(&host) else { continue };
        let there = remote(&host, sandbox, hands.kin.as_ref(), &mut broken);
        agree(&host, style, &here, &there, &mut broken);
    }
    links(store, sandboxes, hands.kin.as_ref(), &mut broken);
    let renewed = renewed(hands, &ledger, undone);
    // What was made after the backup and is gone with it may be gone everywhere.
    let lasting: Vec<Deed> = ledger.iter().filter(|deed| !undone.gone.contains(&deed.key)).cloned().collect();
    phantom_deletes(&here, &lasting, &mut broken);
    let owner = styles.iter().find(|style| style.owns_notes).map(|style| format!("{}.example.com", style.name));
    let unheard = hands.unheard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let ledger: Vec<Deed> =
        ledger.into_iter().filter(|deed| !unheard.contains(&(deed.side.clone(), deed.field))).collect();
    let foreign = |deed: &Deed| deed.field == "note" && owner.as_ref().is_some_and(|owner| deed.side != *owner);
    let (others, own): (Vec<Deed>, Vec<Deed>) = ledger.into_iter().partition(foreign);
    ownership(store, &others, &mut broken);
    if let Some(kin) = &hands.kin {
        lost_references(store, kin, &here, &own, &mut broken);
    }
    // Many refer to the same.
    let own: Vec<Deed> =
        own.into_iter().filter(|deed| !deed.is_reference() && !is_deleted_unseen(deed, styles, &here)).collect();
    let told = told(store);
    lost_updates(&told, &here, &own, undone, &mut broken);
    // What was undone before it was heard has replaced nothing; a person may say that what is old wins; and what is edited
    // after it was set back is not old any more.
    let heard = |deed: &Deed| {
        let unheard = undone.values.contains(&deed.value) && !told.contains(&deed.value);
        let believed = undone.is_believed && undone.keys.contains(&deed.key);
        !unheard && !believed && !renewed.contains(&deed.key)
    };
    let own: Vec<Deed> = own.into_iter().filter(heard).collect();
    let trims = styles.iter().any(|style| style.trims);
    taken_back(store, &here, (&own, trims), &unheard, &mut broken);
    // An upstream that was set back does say again what it said before.
    believed::twice(store, &undone.host, &mut broken);
    broken
}

/// The keys of the records that were set back and then edited, which hides it.
fn renewed(hands: &Hands, ledger: &[Deed], undone: &Undone) -> BTreeSet<String> {
    let touched = hands.touched.lock().unwrap_or_else(PoisonError::into_inner);
    let since = ledger.iter().skip(undone.at).filter(|deed| deed.side == undone.host).map(|deed| &deed.key);
    let touched = touched.iter().filter(|(host, _)| *host == undone.host).map(|(_, key)| key);
    since.chain(touched).filter(|key| undone.keys.contains(*key)).cloned().collect()
}

/// What its own author replaced stands nowhere in the end, unless somebody was asked: an older listing was believed.
fn taken_back(
    store: &SqliteStore,
    here: &BTreeMap<String, Record>,
    (ledger, trims): (&[Deed], bool),
    unheard: &BTreeSet<(String, &'static str)>,
    broken: &mut Vec<String>,
) {
    let lost = store.rows_of("SELECT detail FROM sync_history WHERE rule LIKE 'policy%'");
    let lost: String = lost.unwrap_or_default().into_iter().flatten().collect::<Vec<_>>().join("\n");
    let asked = store.rows_of("SELECT candidates || coalesce(base, '') FROM sync_conflict");
    let asked: String = asked.unwrap_or_default().into_iter().flatten().collect::<Vec<_>>().join("\n");
    for (at, deed) in ledger.iter().enumerate() {
        let later = ledger.iter().skip(at + 1).filter(|later| later.key == deed.key);
        let mut by_itself = later.filter(|later| later.side == deed.side && later.field == deed.field);
        // The echo of a create whose answer was lost, in an upstream's own spelling, is not to be told from an edit there: the
        // rules decide, and the history tells who lost.
        let respelt = trims && deed.is_padded && by_itself.clone().any(|later| lost.contains(&later.value));
        let replaced = by_itself.next().is_some();
        // One that was deleted may be restored; what was not mapped meanwhile is met anew; the greatest rank and all tags
        // count; an address is taken as a whole.
        let deleted = ledger.iter().any(|one| one.key == deed.key && one.field.is_empty());
        let met_anew = unheard.iter().any(|(_, field)| *field == deed.field);
        let by_rule = matches!(deed.field, "rank" | "tags" | "street" | "city") || asked.contains(&deed.value);
        let stands = here.get(&deed.key).and_then(|record| record.get(deed.field)) == Some(&deed.value);
        if stands && replaced && !deleted && !met_anew && !by_rule && !respelt {
            broken.push(format!(
                "I3: {} of {} is {} again, which {} had replaced",
                deed.field, deed.key, deed.value, deed.side
            ));
        }
    }
}

fn local(store: &SqliteStore, kin: Option<&Kin>, broken: &mut Vec<String>) -> BTreeMap<String, Record> {
    let mut records = BTreeMap::new();
    for path in paths(kin) {
        let fields = fields(path, kin.is_some());
        let sql = format!("SELECT key, {} FROM {}", fields.join(", "), path.trim_start_matches('/'));
        for row in store.rows_of(&sql).unwrap_or_default() {
            let mut cells = row.into_iter();
            let Some(key) = cells.next() else { continue };
            let named = |id: &str| kin.and_then(|kin| kin.who_here(id));
            let cells = fields.iter().copied().zip(cells);
            let record = cells.map(|(field, cell)| (field, referred(field, &normal(&cell), &named))).collect();
            if records.insert(key.clone(), record).is_some() {
                broken.push(format!("I6 I13: {key} is there twice in the local table"));
            }
        }
    }
    records
}

fn remote(host: &str, sandbox: &Sandbox, kin: Option<&Kin>, broken: &mut Vec<String>) -> BTreeMap<String, Record> {
    let mut records = BTreeMap::new();
    for path in paths(kin) {
        let fields = fields(path, kin.is_some());
        for record in kin::live(sandbox, path) {
            let key = record["key"].as_str().unwrap_or_default().to_owned();
            let named = |id: &str| kin.and_then(|kin| kin.who_there(host, id));
            let cell = |field: &&'static str| (*field, referred(field, &normal(&text(&record[*field])), &named));
            if records.insert(key.clone(), fields.iter().map(cell).collect()).is_some() {
                broken.push(format!("I6: {key} is there twice at {host}"));
            }
        }
    }
    records
}

/// A reference by whom it means, which every side has another id for (s55); the rest as it is.
fn referred(field: &str, cell: &str, named: &dyn Fn(&str) -> Option<String>) -> String {
    match field {
        COMPANY | PARENT if !cell.is_empty() => named(cell).unwrap_or_else(|| format!("nobody by the id {cell}")),
        _ => cell.to_owned(),
    }
}

/// I13: each live link ties a row to the one remote record that is the same, and each of these has one.
fn links(store: &SqliteStore, sandboxes: &BTreeMap<String, Sandbox>, kin: Option<&Kin>, broken: &mut Vec<String>) {
    for path in paths(kin) {
        let table = path.trim_start_matches('/');
        let sql = format!(
            "SELECT b.upstream || '.example.com', l.remote_id, coalesce(t.key, '') FROM sync_link l \
             JOIN sync_binding b USING (binding) JOIN sync_collection c ON c.collection = b.collection \
             LEFT JOIN {table} t ON t.id = l.record OR replace(t.id, '-', '') = lower(hex(l.record)) WHERE l.state = 0 AND c.name = '{table}'"
        );
        let mut linked: Vec<[String; 3]> =
            store.rows_of(&sql).unwrap_or_default().into_iter().filter_map(|row| row.try_into().ok()).collect();
        let is = |[host, id, key]: &[String; 3], at: &str, record: &Value| {
            host == at && record["id"] == id.as_str() && record["key"] == key.as_str()
        };
        for (host, sandbox) in sandboxes {
            for record in kin::live(sandbox, path) {
                let before = linked.len();
                linked.retain(|link| !is(link, host, &record));
                if before - linked.len() != 1 {
                    broken.push(format!(
                        "I13: {} of {path} at {host} has {} links",
                        record["id"],
                        before - linked.len()
                    ));
                }
            }
        }
        broken.extend(
            linked.iter().map(|[host, id, key]| format!("I13: {key:?} is linked with {id} at {host}, which it is not")),
        );
    }
}

/// Everybody that somebody said someone belongs to is there, or was followed by another word of that side, or is in the history
/// of that record (of any, where that is gone).
fn lost_references(
    store: &SqliteStore,
    kin: &Kin,
    here: &BTreeMap<String, Record>,
    ledger: &[Deed],
    broken: &mut Vec<String>,
) {
    let rows = store.rows_of(
        "SELECT coalesce(people.key, companies.key, ''), coalesce(before, '') || coalesce(after, '') || coalesce(detail, '') \
         FROM sync_history LEFT JOIN people ON people.id = record LEFT JOIN companies ON companies.id = record \
         UNION ALL SELECT coalesce(people.key, companies.key, ''), candidates || coalesce(base, '') \
         FROM sync_conflict LEFT JOIN people ON people.id = record LEFT JOIN companies ON companies.id = record",
    );
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for row in rows.unwrap_or_default() {
        if let [key, text] = row.as_slice() {
            told.entry(key.clone()).or_default().push_str(text);
        }
    }
    let is_told = |of: &str, id: &String| told.get(of).is_some_and(|text| text.contains(id));
    for (at, deed) in ledger.iter().enumerate().filter(|(_, deed)| deed.is_reference() && !deed.value.is_empty()) {
        let mut later = ledger.iter().skip(at + 1).filter(|later| later.side == deed.side && later.key == deed.key);
        let followed = later.any(|later| later.field == deed.field || later.field.is_empty());
        let is_here = here.get(&deed.key).and_then(|record| record.get(deed.field)) == Some(&deed.value);
        // What two sides say alike has no loser to tell of.
        let alike = |one: &Deed| (&one.key, one.field, &one.value) == (&deed.key, deed.field, &deed.value);
        let agreed = ledger.iter().any(|one| one.side != deed.side && alike(one));
        let in_history = kin.ids_here(&deed.value).iter().any(|id| is_told(&deed.key, id) || is_told("", id));
        if !followed && !is_here && !agreed && !in_history {
            broken.push(format!("I3: the {} of {} by {} is nowhere: {}", deed.field, deed.key, deed.side, deed.value));
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// As the rules compare: digits are digits, sets have no order, and an upstream may trim.
pub(super) fn normal(text: &str) -> String {
    if let Ok(Value::Array(items)) = serde_json::from_str(text) {
        let set: BTreeSet<String> = items.iter().map(Value::to_string).collect();
        return set.into_iter().collect::<Vec<_>>().join(" ");
    }
    text.trim().to_owned()
}

fn agree(
    host: &str,
    style: &Style,
    here: &BTreeMap<String, Record>,
    there: &BTreeMap<String, Record>,
    broken: &mut Vec<String>,
) {
    // What is never sent there may stand there as it likes.
    let kept = |(field, _): &(&&str, &String)| !(style.pulls_rank && **field == "rank");
    let same = |here: &Record, there: &Record| here.iter().filter(kept).eq(there.iter().filter(kept));
    let keys: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    for key in keys {
        match (here.get(key), there.get(key)) {
            (Some(here), Some(there)) if same(here, there) => {}
            (Some(here), Some(there)) => broken.push(format!("I2: {key} is {here:?} here and {there:?} at {host}")),
            (Some(_), None) => broken.push(format!("I2: {key} is missing at {host}")),
            (None, Some(_)) => broken.push(format!("I2: {key} is at {host} and not here")),
            (None, None) => {}
        }
    }
}

/// What nobody deleted is still there.
fn phantom_deletes(here: &BTreeMap<String, Record>, ledger: &[Deed], broken: &mut Vec<String>) {
    let deleted: BTreeSet<&String> = ledger.iter().filter(|deed| deed.field.is_empty()).map(|deed| &deed.key).collect();
    let made: BTreeSet<&String> = ledger.iter().map(|deed| &deed.key).collect();
    for key in made.into_iter().filter(|key| !deleted.contains(key) && !here.contains_key(*key)) {
        broken.push(format!("I5: {key} is gone, and nobody deleted it"));
    }
}

/// What anybody but its owner said in a field never came from an upstream into the table.
fn ownership(store: &SqliteStore, others: &[Deed], broken: &mut Vec<String>) {
    let taken = store.rows_of("SELECT after FROM sync_history WHERE field = 'note' AND kind = 'local'");
    let taken: BTreeSet<String> = taken.unwrap_or_default().into_iter().flatten().collect();
    for deed in others.iter().filter(|deed| deed.side != "local") {
        if taken.iter().any(|after| after.contains(&deed.value)) {
            broken
                .push(format!("I9: the note of {} is {}'s, who does not own it: {}", deed.key, deed.side, deed.value));
        }
    }
}

/// Everything that the history and the conflicts tell of.
fn told(store: &SqliteStore) -> String {
    let told = store.rows_of(
        "SELECT coalesce(before, '') || coalesce(after, '') || coalesce(detail, '') FROM sync_history \
         UNION ALL SELECT candidates || coalesce(base, '') FROM sync_conflict",
    );
    told.unwrap_or_default().into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// The record was deleted where a delete carries no condition and the record cannot be asked for: an edit that no listing had
/// shown by then goes with it, and nobody can tell of it. The rules document says so.
fn is_deleted_unseen(deed: &Deed, styles: &[Style], here: &BTreeMap<String, Record>) -> bool {
    let deletes_blindly = |style: &&Style| !style.get && style.guarded == Guarded::Body;
    let blind = styles.iter().filter(deletes_blindly).any(|style| deed.side == format!("{}.example.com", style.name));
    blind && !here.contains_key(&deed.key)
}

/// Every edit is in the table, or was followed by another one of its own side, or was undone there by a backup, or is told
/// of in the history.
fn lost_updates(
    told: &str,
    here: &BTreeMap<String, Record>,
    ledger: &[Deed],
    undone: &Undone,
    broken: &mut Vec<String>,
) {
    for (at, deed) in ledger.iter().enumerate().filter(|(_, deed)| !deed.field.is_empty()) {
        // The greatest rank wins by rule, and a set of tags keeps what was added unless somebody took it out.
        let followed = ledger.iter().skip(at + 1).any(|later| {
            later.side == deed.side && later.key == deed.key && (later.field == deed.field || later.field.is_empty())
        });
        let is_here = here
            .get(&deed.key)
            .and_then(|record| record.get(deed.field))
            .is_some_and(|value| value.contains(&deed.value) || deed.field == "rank");
        if !followed && !is_here && !undone.has_taken(deed) && !told.contains(&deed.value) {
            broken.push(format!("I3: {} of {} by {} is nowhere: {}", deed.field, deed.key, deed.side, deed.value));
        }
    }
}
