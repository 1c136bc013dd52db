//! Owns: small collections, facts in a shorthand, and plans as lines, for the tests of this module.
//!
//! Must not know: anything that production code needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::{
    Codec, Domain, FieldError, FieldMap, FieldType, Lens, Mapper, Path, Probe, RecordId, Slot, Step, Value,
};
use crate::rules::{
    Auth, Binding, Body, BreakerRules, Collection, Create, Delete, Field, Idempotency, Limits, OnLocalDelete,
    OnRemoteDelete, Origin, Policy, Precondition, Request, Retry, Template, Timeouts, Update, UpdateVsDelete, Upstream,
};

use super::*;

/// A moment, `minutes` after an arbitrary one.
pub fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(1_000_000 + minutes)
}

pub fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        domain: Domain::of(ty),
        required: false,
        unique: false,
        chain: vec![Policy::Manual],
        owner: None,
        group: None,
    }
}

pub fn text(name: &str) -> Field {
    field(name, FieldType::Text)
}

fn path(name: &str) -> Path {
    Path { steps: vec![Step::Key(name.to_owned())] }
}

fn request(method: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: Template { parts: Vec::new() },
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        encoding: crate::rules::Encoding::Json,
        record: None,
    }
}

fn upstream(name: &str) -> Arc<Upstream> {
    let seconds = Duration::from_secs;
    Arc::new(Upstream {
        name: name.to_owned(),
        base_url: url::Url::parse("https://api.example.com").unwrap(),
        allowed_hosts: Vec::new(),
        insecure_http: false,
        headers: Vec::new(),
        timeout: Timeouts { connect: seconds(1), idle: seconds(1), total: seconds(1) },
        concurrency: 1,
        body_bytes_max: 1,
        check: None,
        health: None,
        auth: Auth::None,
        tls: None,
        budgets: Vec::new(),
        errors: Vec::new(),
        retry: Retry { attempts: 1, max_wait: seconds(1) },
        breaker: BreakerRules::default(),
        quota: None,
        webhook: None,
    })
}

fn map(position: usize, field: &Field) -> FieldMap {
    FieldMap {
        field: position,
        name: field.name.clone(),
        domain: field.domain.clone(),
        lens: Lens::Path(path(&field.name)),
        codec: Codec::Plain { as_string: false },
        pull: true,
        push: true,
        create_only: false,
    }
}

fn binding(name: &str, fields: &[Field]) -> Binding {
    let probe = Probe::of(Lens::Path(path("id")));
    let maps = fields.iter().enumerate().map(|(position, field)| map(position, field)).collect();
    Binding {
        collection: "things".to_owned(),
        upstream: upstream(name),
        pull: true,
        push: true,
        mapper: Mapper::new(fields.len(), probe, maps),
        version: None,
        read: None,
        create: Some(Create {
            request: request("POST"),
            body: Body::Changed,
            capture_id: None,
            capture_version: None,
            idempotency: Idempotency::None,
            upsert: None,
            parent: None,
        }),
        update: Some(Update { request: request("PATCH"), body: Body::Changed, precondition: Precondition::Reread }),
        delete: Some(Delete { request: request("DELETE"), precondition: Precondition::Reread }),
        archive: None,
        transitions: Vec::new(),
        batches: Vec::new(),
        mapping_hash: String::new(),
    }
}

/// A collection in which everything is mapped both ways at every upstream and every policy is the default.
pub fn collection(fields: Vec<Field>, upstreams: &[&str]) -> Collection {
    let bindings = upstreams.iter().map(|name| Arc::new(binding(name, &fields))).collect();
    Collection {
        name: "things".to_owned(),
        fields,
        schedule: None,
        full_scan: None,
        jitter: Duration::ZERO,
        on_edit: crate::rules::OnEdit::Sync,
        priority: Vec::new(),
        update_vs_delete: UpdateVsDelete::UpdateWins,
        on_remote_delete: OnRemoteDelete::Queue,
        on_local_delete: OnLocalDelete::Propagate,
        limits: Limits { delete: None, update: None, create: None },
        match_keys: Vec::new(),
        bindings,
    }
}

/// A binding, to be changed by a test.
pub fn edit(collection: &mut Collection, binding: usize) -> &mut Binding {
    Arc::get_mut(&mut collection.bindings[binding]).unwrap()
}

/// The map entry of a field at a binding, to be changed by a test.
pub fn edit_map(collection: &mut Collection, binding: usize, field: usize) -> &mut FieldMap {
    &mut edit(collection, binding).mapper.fields[field]
}

// ---- facts in a shorthand ----------------------------------------------------------------------------------------------

/// `~` is null, `_` the empty text, `a+b` a set in a set field, `17` an integer in an integer field.
pub fn value(collection: &Collection, field: usize, word: &str) -> Value {
    if word == "~" {
        return Value::Null;
    }
    match collection.fields[field].domain.ty {
        FieldType::Integer => Value::Integer(word.parse().unwrap()),
        FieldType::Set => {
            Value::Set(word.split('+').filter(|member| *member != "_").map(str::to_owned).collect::<BTreeSet<_>>())
        }
        _ => Value::Text(word.trim_matches('_').to_owned()),
    }
}

pub fn values(collection: &Collection, words: &str) -> Vec<Value> {
    words.split_whitespace().enumerate().map(|(field, word)| value(collection, field, word)).collect()
}

/// As [`values`]; `?` is absent and `!` unreadable.
pub fn slots(collection: &Collection, words: &str) -> Vec<Slot> {
    let slot = |(field, word): (usize, &str)| match word {
        "?" => Slot::Absent,
        "!" => Slot::Bad(FieldError::new("unknown token")),
        word => Slot::Value(value(collection, field, word)),
    };
    words.split_whitespace().enumerate().map(slot).collect()
}

/// An observation at version 2, changed at the source at minute 10.
pub fn observation(collection: &Collection, words: &str) -> Observation {
    Observation {
        slots: slots(collection, words),
        version: Some("2".to_owned()),
        updated_at: Some(at(10)),
        observed_at: at(50),
    }
}

/// `""` no link; `new a b` first contact; `a b` linked and unchanged; then, after the base: `> c d` seen with these values,
/// `gone`, `out > c d` out of scope, `dead` a tombstone, `loose` detached, `outside` out of scope before, `blocked`. A base of two spellings is `hub | remote`.
pub fn spoke(collection: &Collection, shorthand: &str) -> Spoke {
    let (base, seen) = match shorthand.split_once('>') {
        Some((base, seen)) => (base, Some(seen)),
        None => (shorthand, None),
    };
    let mut words: Vec<&str> = base.split_whitespace().collect();
    let mut take = |word: &str| {
        let found = words.iter().position(|candidate| *candidate == word);
        found.map(|position| words.remove(position)).is_some()
    };
    let (gone, out, dead, loose) = (take("gone"), take("out"), take("dead"), take("loose"));
    let outside = take("outside");
    let blocked = take("blocked").then(|| "unreachable".to_owned());
    let record = |words: &str| observation(collection, words);
    if words.first() == Some(&"new") {
        let seen = Seen::Record(record(&words[1..].join(" ")));
        return Spoke { link: None, seen, blocked };
    }
    let seen = match seen {
        Some(seen) if out => Seen::OutOfScope(record(seen)),
        Some(seen) => Seen::Record(record(seen)),
        None if gone => Seen::Gone(Evidence::Tombstone),
        None => Seen::Same,
    };
    let base = words.join(" ");
    let (hub, remote) = base.split_once('|').unwrap_or((&base, &base));
    let half = |slot: Slot| slot.value().cloned();
    let state = match (dead, loose, outside) {
        (true, _, _) => LinkState::Deleted,
        (false, true, _) => LinkState::Detached,
        (false, false, true) => LinkState::OutOfScope,
        (false, false, false) => LinkState::Live,
    };
    let link = (!base.is_empty()).then(|| Link {
        remote_id: "x1".to_owned(),
        version: Some("1".to_owned()),
        base_hub: slots(collection, hub).into_iter().map(half).collect(),
        base_remote: slots(collection, remote),
        state,
        overruled: false,
    });
    Spoke { link, seen, blocked }
}

/// `-` there never was a row, `deleted`, or the row's values; a row that ends with `*` was edited at minute 20.
pub fn hub(collection: &Collection, shorthand: &str) -> Hub {
    match shorthand {
        "-" => Hub::Never,
        "deleted" => Hub::Deleted { deleted_at: Some(at(20)) },
        row => Hub::Row {
            values: values(collection, row.trim_end_matches('*')),
            edited_at: row.ends_with('*').then(|| at(20)),
        },
    }
}

pub fn facts(collection: &Collection, row: &str, spokes: &[&str]) -> Facts {
    let hub = hub(collection, row);
    Facts {
        record: (hub != Hub::Never).then(|| RecordId("r1".to_owned())),
        hub,
        origins: vec![None; collection.fields.len()],
        spokes: spokes.iter().map(|shorthand| spoke(collection, shorthand)).collect(),
        unreadable: Vec::new(),
        frozen: Vec::new(),
        turns: Vec::new(),
        now: at(60),
    }
}

pub fn candidate(origin: &str, values: Vec<Value>) -> Candidate {
    Candidate { origin: Origin::from_name(origin), values, source_time: None, observed_at: at(0) }
}

/// The freeze that a plan's conflict becomes, with a person's choice.
pub fn freeze(conflict: &Conflict, resolution: Option<Resolution>) -> Freeze {
    Freeze { kind: conflict.kind, fields: conflict.fields.clone(), candidates: conflict.candidates.clone(), resolution }
}

// ---- plans as lines ----------------------------------------------------------------------------------------------------

fn word(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::Set(members) if members.is_empty() => "_".to_owned(),
        Value::Set(members) => members.iter().cloned().collect::<Vec<_>>().join("+"),
        Value::Text(text) if text.is_empty() => "_".to_owned(),
        value => value.to_string(),
    }
}

fn words(values: &[Value]) -> String {
    values.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn names(collection: &Collection, fields: &[usize]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| collection.fields[*field].name.as_str()).collect();
    if names.is_empty() { "record".to_owned() } else { names.join("+") }
}

fn assignments(collection: &Collection, values: &[(usize, Value)]) -> String {
    let one = |(field, value): &(usize, Value)| format!("{}={}", collection.fields[*field].name, word(value));
    values.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn candidates(all: &[Candidate]) -> String {
    let one = |candidate: &Candidate| format!("{}={}", candidate.origin.name(), words(&candidate.values));
    all.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Everything that a plan does, one line each, in the order of its lists.
pub fn lines(collection: &Collection, plan: &RecordPlan) -> Vec<String> {
    let name = |binding: usize| &collection.bindings[binding].upstream.name;
    let mut lines = match &plan.local {
        LocalChange::None => Vec::new(),
        LocalChange::Insert(values) => vec![format!("insert {}", words(values))],
        LocalChange::Update(values) => vec![format!("set {}", assignments(collection, values))],
        LocalChange::Delete => vec!["delete".to_owned()],
    };
    for write in &plan.writes {
        let version = write.expected_version.as_deref().map(|version| format!(" @{version}")).unwrap_or_default();
        let op = match &write.op {
            WriteOp::Create(values) => format!("create {}", assignments(collection, values)),
            WriteOp::Update(values) => format!("update {}", assignments(collection, values)),
            WriteOp::Delete => "delete".to_owned(),
            WriteOp::Archive => "archive".to_owned(),
        };
        lines.push(format!("{} {op}{version}", name(write.binding)));
    }
    for base in &plan.bases {
        let hub = base.hub.iter().map(|value| value.as_ref().map_or("?".to_owned(), word)).collect::<Vec<_>>();
        let remote = base.remote.iter().map(|slot| match slot {
            Slot::Absent => "?".to_owned(),
            Slot::Bad(_) => "!".to_owned(),
            Slot::Value(value) => word(value),
        });
        let remote: Vec<String> = remote.collect();
        lines.push(format!("{} base {} | {}", name(base.binding), hub.join(" "), remote.join(" ")));
    }
    for (binding, state) in &plan.links {
        lines.push(format!("{} {}", name(*binding), format!("{state:?}").to_lowercase()));
    }
    for conflict in &plan.conflicts {
        let fields = names(collection, &conflict.fields);
        lines.push(format!("conflict {fields} {:?}: {}", conflict.kind, candidates(&conflict.candidates)));
    }
    for closed in &plan.closed {
        lines.push(format!("closed {} {:?}", names(collection, &closed.fields), closed.how));
    }
    lines.extend(plan.quarantine.iter().map(|reason| format!("quarantine {reason}")));
    lines
}

/// Why, one line per decision.
pub fn reasons(collection: &Collection, plan: &RecordPlan) -> Vec<String> {
    let one = |decision: &Decision| {
        let rule = match &decision.rule {
            Rule::Policy(name) | Rule::DeletePolicy(name) => name.clone(),
            Rule::Blocked(reason) => format!("blocked {reason}"),
            Rule::OneSide
            | Rule::SameValue
            | Rule::FirstContact
            | Rule::Owner
            | Rule::Resolution
            | Rule::Deleted(_)
            | Rule::LocalDelete
            | Rule::Frozen
            | Rule::SetBack => format!("{:?}", decision.rule),
        };
        let winner = decision.winner.as_ref().map(|origin| format!(" by {}", origin.name())).unwrap_or_default();
        let losers = if decision.losers.is_empty() { String::new() } else { " over ".to_owned() };
        format!("{}: {rule}{winner}{losers}{}", names(collection, &decision.fields), candidates(&decision.losers))
    };
    plan.decisions.iter().map(one).collect()
}

// ---- tables ------------------------------------------------------------------------------------------------------------

/// One row of a decision table: the local row, the spokes, what is done, and why.
pub struct Case {
    pub name: &'static str,
    pub hub: &'static str,
    pub spokes: &'static [&'static str],
    pub does: &'static [&'static str],
    pub why: &'static [&'static str],
}

/// Decides every row.
pub fn check(collection: &Collection, cases: &[Case]) {
    for case in cases {
        let plan = decide(collection, &facts(collection, case.hub, case.spokes));
        assert_eq!(lines(collection, &plan), case.does, "what is done: {}", case.name);
        assert_eq!(reasons(collection, &plan), case.why, "why: {}", case.name);
    }
}
