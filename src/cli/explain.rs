//! Owns: `explain`: why a field is as it is: values, provenance, the rule that decided, rules tried, freezes, history.
//!
//! Must not know: how decisions are made; how it is told (that is `explain_text`).

use serde::Serialize;

use crate::merge::IntentState;
use crate::ops::{Conflict, FieldSides, LinkSide, gather, rfc3339};
use crate::record::RecordId;
use crate::rules::{Collection, Drift, Field, Policy};
use crate::store::{
    ConflictFilter, DirtyOp, HistoryFilter, HistoryRow, IntentFilter, LinkRow, OriginRow, QuarantineFilter,
    QuarantineRow, StoreError, View, read,
};

use super::args::ExplainArgs;
use super::exit::{CliError, Exit};
use super::explain_text::text;
use super::find::{collection, field, find_record};
use super::history::Entry;
use super::out::Out;
use super::workspace::{SecretsAre, Workspace};

/// How many lines of history a field shows.
const HISTORY_MAX: usize = 20;

/// What `explain --json` prints.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The collection.
    pub collection: String,
    /// The local id.
    pub record: String,
    /// False where the local row is gone.
    pub exists: bool,
    /// The last decision about its existence, where it is gone and a pass has looked at that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Entry>,
    /// Its links.
    pub links: Vec<LinkSide>,
    /// What keeps it from being in sync, besides conflicts.
    pub waits: Vec<Wait>,
    /// The fields that were asked about.
    pub fields: Vec<FieldExplained>,
}

/// Something that keeps a record from being in sync.
#[derive(Debug, Serialize)]
pub struct Wait {
    /// Where.
    pub upstream: String,
    /// `create`, `update`, `delete`: a write that is not settled; `edit`: a local edit; else where it was set aside.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Everything about one field.
#[derive(Debug, Serialize)]
pub struct FieldExplained {
    /// What each side says.
    #[serde(flatten)]
    pub sides: FieldSides,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// Who set the local value; absent where nobody ever did.
    pub origin: Option<Provenance>,
    /// What the rules say.
    pub rules: Rules,
    /// The decision that made it what it is; absent while a conflict is open.
    pub decided: Option<Entry>,
    /// Open conflicts that freeze it.
    pub frozen: Vec<Conflict>,
    /// Newest first.
    pub history: Vec<Entry>,
}

/// Who set a value, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// `local`, an upstream.
    pub origin: String,
    /// True where the whole record was taken over from the origin, and the field never changed since.
    pub taken_over: bool,
    /// RFC 3339.
    pub source_time: Option<String>,
    /// RFC 3339.
    pub observed_at: Option<String>,
    /// The pass.
    pub pass: i64,
    /// The rule.
    pub rule: String,
}

/// What the rules say about the field.
#[derive(Debug, Serialize)]
pub struct Rules {
    /// Who alone may set it.
    pub owner: Option<String>,
    /// `revert` or `report`, where there is an owner.
    pub drift: Option<&'static str>,
    /// The chain of policies, in order; empty where an owner decides and no chain is consulted.
    pub merge: Vec<&'static str>,
    /// Its group.
    pub group: Option<String>,
}

/// Explains the record or the field.
pub async fn run(args: &ExplainArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_look()?;
    let (name, record) = find_record(store.as_ref(), &rules, &args.record).await?;
    let only = args.field.as_deref().map(|wanted| field(collection(&rules, &name)?, wanted)).transpose()?;
    let explained = read(store.as_ref(), move |view| {
        rules.collections.get(&name).map(|collection| explain(view, collection, &record, only)).transpose()
    })
    .await?;
    if let Some(explained) = explained {
        out.show(&explained, text)?;
    }
    Ok(Exit::IN_SYNC)
}

/// Gathers the explanation of one field (by position), or of all.
pub fn explain(
    view: &dyn View,
    collection: &Collection,
    record: &RecordId,
    only: Option<usize>,
) -> Result<Explained, StoreError> {
    let sides = gather(view, collection, record)?;
    let key = view.collection_key(&collection.name)?;
    let origins = key.map_or(Ok(Vec::new()), |key| view.origins(key, record))?;
    let links = view.links_of(record)?;
    let of_record = HistoryFilter {
        collection: Some(collection.name.clone()),
        record: Some(record.clone()),
        ..HistoryFilter::default()
    };
    let history = view.history(&of_record)?;
    let open = view.conflicts(&ConflictFilter { record: Some(record.clone()), ..ConflictFilter::default() })?;
    let sources = Sources { origins: &origins, made: made(view, collection, &links)?, history: &history };
    let mut waits = waits(view, &collection.name, record)?;
    if let Some(hint) = key.map_or(Ok(None), |key| view.dirty(key, record))?.filter(|hint| hint.op != DirtyOp::Recheck)
    {
        waits.push(Wait {
            upstream: "local".to_owned(),
            what: "edit".to_owned(),
            why: match hint.op {
                DirtyOp::Delete => "deleted here, and no pass has looked at that yet".to_owned(),
                _ => "edited here, and no pass has looked at that yet".to_owned(),
            },
        });
    }
    // A line that only says what a row held when it came is no word about its end.
    let about_existence = |row: &&HistoryRow| {
        let came = row.before.is_none() && row.after.is_some();
        row.kind == "local" && row.field.is_empty() && row.rule != "first_contact" && !came
    };
    let deleted = history.iter().find(about_existence).filter(|_| !sides.exists).map(Entry::from);
    let fields = sides
        .fields
        .into_iter()
        .zip(&collection.fields)
        .enumerate()
        .filter(|(at, _)| only.is_none_or(|only| only == *at))
        .map(|(_, (sides, field))| {
            let frozen: Vec<Conflict> = open
                .iter()
                .filter(|row| concerns(&row.fields, &field.name))
                .map(|row| Conflict::with_history(row, &history))
                .collect();
            let mut lines: Vec<Entry> =
                history.iter().map(Entry::from).filter(|row| touches(row, &field.name)).collect();
            lines.truncate(HISTORY_MAX);
            let last = history.iter().find(|row| row.kind == "local" && concerns(&row.field, &field.name));
            FieldExplained {
                ty: field.domain.ty.name(),
                origin: sources.of(&field.name, sides.local.is_null()),
                rules: rules_of(field),
                // What was decided before the sides disagreed is history, not the reason for what is here.
                decided: last.filter(|_| frozen.is_empty()).map(Entry::from),
                frozen,
                history: lines,
                sides,
            }
        })
        .collect();
    Ok(Explained {
        waits,
        deleted,
        collection: sides.collection,
        record: sides.record,
        exists: sides.exists,
        links: sides.links,
        fields,
    })
}

/// Whether a unit (field names, comma-separated; empty for existence) has to do with the field.
fn concerns(unit: &str, field: &str) -> bool {
    unit.is_empty() || unit.split(',').any(|name| name == field)
}

/// Whether a line of history belongs to the field: a write does where it sent the field.
fn touches(entry: &Entry, field: &str) -> bool {
    let names_it = entry.fields.iter().any(|name| name == field);
    names_it || (entry.op.is_none() && entry.fields.is_empty())
}

/// The link that the record was inserted from: the provenance of whatever nobody changed since.
fn made(view: &dyn View, collection: &Collection, links: &[LinkRow]) -> Result<Option<Provenance>, StoreError> {
    for binding in &collection.bindings {
        let key = view.binding_key(&collection.name, &binding.upstream.name)?;
        let link = links.iter().find(|link| Some(link.binding) == key);
        let Some(made) = link.and_then(|link| link.made) else { continue };
        return Ok(Some(Provenance {
            origin: binding.upstream.name.clone(),
            taken_over: true,
            source_time: made.source_time.and_then(rfc3339),
            observed_at: rfc3339(made.observed_at),
            pass: made.pass,
            rule: "first_contact".to_owned(),
        }));
    }
    Ok(None)
}

/// Everything that tells who set a field.
struct Sources<'a> {
    origins: &'a [OriginRow],
    made: Option<Provenance>,
    history: &'a [HistoryRow],
}

impl Sources<'_> {
    /// The field's own provenance, else the record's, else the link that it was inserted from. An empty field that no
    /// decision ever named was set by nobody.
    fn of(&self, field: &str, is_null: bool) -> Option<Provenance> {
        let row = |name: &str| self.origins.iter().find(|row| row.field == name);
        let decided = || self.history.iter().any(|row| row.field.split(',').any(|name| name == field));
        if is_null && !decided() {
            return None;
        }
        match row(field).or_else(|| row("")) {
            Some(row) => Some(provenance(row)),
            None => self.made.clone(),
        }
    }
}

/// Records set aside by their own id, remote ones that may be this record, and writes that are not settled.
fn waits(view: &dyn View, collection: &str, record: &RecordId) -> Result<Vec<Wait>, StoreError> {
    let aside = QuarantineFilter { collection: Some(collection.to_owned()), ..QuarantineFilter::default() };
    let concerned = |row: &QuarantineRow| {
        let named =
            || row.reason.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').any(|id| id == record.0);
        row.subject == record.0 || (row.stage == "match" && named())
    };
    let aside = view.quarantined(&aside)?.into_iter().filter(concerned).map(|row| Wait {
        why: if row.subject == record.0 { row.reason } else { format!("{} {}", row.subject, row.reason) },
        upstream: row.upstream,
        what: row.stage,
    });
    let writes = IntentFilter { record: Some(record.clone()), ..IntentFilter::default() };
    let writes = view.intents(&writes)?.into_iter().map(|intent| {
        let state = match intent.state {
            IntentState::Sent | IntentState::Unknown => "its outcome is not known yet",
            IntentState::Prepared | IntentState::Parked => "it is put off",
        };
        let note = intent.note.map(|note| format!(": {note}")).unwrap_or_default();
        Wait { upstream: intent.upstream, what: intent.op, why: format!("{state}{note}") }
    });
    Ok(aside.chain(writes).collect())
}

fn provenance(row: &OriginRow) -> Provenance {
    Provenance {
        origin: row.origin.clone(),
        taken_over: false,
        source_time: row.source_time.and_then(rfc3339),
        observed_at: rfc3339(row.observed_at),
        pass: row.pass,
        rule: row.rule.clone(),
    }
}

fn rules_of(field: &Field) -> Rules {
    Rules {
        owner: field.owner.as_ref().map(|owner| owner.origin.name().to_owned()),
        drift: field.owner.as_ref().map(|owner| match owner.drift {
            Drift::Revert => "revert",
            Drift::Report => "report",
        }),
        merge: match field.owner {
            Some(_) => Vec::new(),
            None => field.chain.iter().map(|policy| policy_name(*policy)).collect(),
        },
        group: field.group.clone(),
    }
}

/// A policy as rules write it.
fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::SourcePriority => "source_priority",
        Policy::LocalEditWins => "local_edit_wins",
        Policy::Latest => "latest",
        Policy::Earliest => "earliest",
        Policy::Max => "max",
        Policy::Min => "min",
        Policy::PreferNonEmpty => "prefer_non_empty",
        Policy::Set => "set",
        Policy::Manual => "manual",
    }
}
