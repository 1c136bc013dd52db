//! Owns: the checks of `[collection.NAME]` beside its fields: schedule, guards, match keys, priority.
//!
//! Must not know: how bindings are written.

use std::str::FromStr;
use std::sync::Arc;

use chrono::DateTime;

use super::binding::Survey;
use super::chain::{self, Setting};
use super::context::Cx;
use super::field::Declared;
use super::local_delete;
use super::owner;
use crate::record::FieldType;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, OnAmbiguous};
use crate::rules::model::{
    Binding, Collection, Field, Limit, Limits, OnEdit, OnLocalDelete, OnRemoteDelete, Origin, Policy, Schedule,
    UpdateVsDelete,
};
use crate::rules::shape::{At, Key};
use crate::rules::units::{Text, parse_duration};

/// Checks a collection. `declared` is `None` where its fields could not be read. `surveys` is `None` where a binding could not
/// be read at all. Where one could not be read whole, nothing is said that another reading of it would make untrue.
pub fn lower(
    name: &str,
    raw: &At<grammar::Collection>,
    declared: Option<Vec<Declared<'_>>>,
    surveys: Option<&[Survey]>,
    bindings: Vec<Arc<Binding>>,
    cx: &mut Cx<'_>,
) -> Option<Collection> {
    let timezone = timezone(raw, cx);
    let schedule = schedule(raw, timezone, cx);
    let full_scan = full_scan(raw, timezone, surveys, cx);
    let priority = priority(name, raw, cx);
    let declared = declared?;
    let match_keys = match_keys(raw, &declared, cx);
    let whole = surveys.is_some_and(|surveys| surveys.iter().all(|survey| survey.complete));
    let surveys = surveys.unwrap_or_default();
    let setting = Setting { collection: name, raw, priority: &priority, surveys, whole };
    let chains = chain::lower(&setting, &declared, cx);
    let owners = owner::lower(&setting, &declared, cx);
    owner::check_groups(&declared, &chains, cx);
    check_priority_used(raw, &chains, cx);
    check_absence(raw, surveys, cx);
    local_delete::check(name, raw, cx);
    check_horizons(raw, surveys, cx);
    if !whole {
        return None;
    }
    let mut fields = Vec::new();
    for ((declared, chain), owner) in declared.into_iter().zip(chains).zip(owners) {
        fields.push(Field {
            name: declared.name.to_owned(),
            domain: declared.domain?,
            required: declared.raw.is_some_and(|raw| raw.required.or(false)),
            unique: declared.raw.is_some_and(|raw| raw.unique.or(false)),
            chain,
            owner,
            group: declared.raw.and_then(|raw| raw.group.get()).map(|at| at.value.0.clone()),
        });
    }
    Some(Collection {
        name: name.to_owned(),
        fields,
        schedule,
        full_scan,
        jitter: jitter(raw, cx),
        on_edit: raw.on_edit.or(OnEdit::Sync),
        priority,
        update_vs_delete: raw.update_vs_delete.or(UpdateVsDelete::UpdateWins),
        on_remote_delete: raw.on_remote_delete.or(OnRemoteDelete::Queue),
        on_local_delete: raw.on_local_delete.or(OnLocalDelete::Propagate),
        limits: limits(&raw.limits),
        match_keys,
        bindings,
    })
}

fn limits(raw: &Key<grammar::Limits>) -> Limits {
    let raw = raw.get();
    let get = |key: fn(&grammar::Limits) -> &Key<Limit>| raw.and_then(|at| key(&at.value).get()).map(|at| at.value);
    Limits {
        delete: Some(get(|limits| &limits.delete).unwrap_or(Limit::Share(0.05))),
        update: get(|limits| &limits.update),
        create: get(|limits| &limits.create),
    }
}

// ---- schedule ------------------------------------------------------------------------------------------------------

fn timezone(raw: &grammar::Collection, cx: &mut Cx<'_>) -> chrono_tz::Tz {
    let Some(at) = raw.timezone.get() else { return chrono_tz::UTC };
    if let Ok(zone) = chrono_tz::Tz::from_str(&at.value.0) {
        return zone;
    }
    let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    let given = at.value.0.as_str();
    let near = names.iter().any(|name| strsim::jaro_winkler(given, name) >= 0.8);
    let names: &[&str] = if near { &names } else { &[] };
    let note = cx.notes.unknown(at.span, format!("there is no time zone \"{given}\""), given, names);
    if !near {
        note.help("write an IANA name such as \"Europe/London\" or \"UTC\"");
    }
    chrono_tz::UTC
}

fn schedule(raw: &grammar::Collection, timezone: chrono_tz::Tz, cx: &mut Cx<'_>) -> Option<Schedule> {
    let cron = raw.schedule.get().and_then(|at| cron(at, timezone, cx));
    if let (Some(schedule), Some(every)) = (raw.schedule.get(), raw.every.get()) {
        cx.notes
            .error(DiagnosticKind::Conflict, every.key, "both `schedule` and `every` are given")
            .help("keep one of the two")
            .second(schedule.key, "already scheduled here");
    }
    let full_scan_is_cron = raw.full_scan.get().is_some_and(|at| parse_duration(&at.value.0).is_none());
    if let Some(at) = raw.timezone.get().filter(|_| raw.schedule.is_absent() && !full_scan_is_cron) {
        cx.notes.inert(at.key, "timezone", "there is no cron expression");
    }
    let Some(every) = raw.every.get() else { return cron };
    if every.value.0 < std::time::Duration::from_secs(1) {
        cx.notes
            .error(DiagnosticKind::Invalid, every.span, "passes cannot run more often than every second")
            .help("write every = \"1m\"");
    }
    cron.or(Some(Schedule::Every(every.value.0)))
}

fn jitter(raw: &grammar::Collection, cx: &mut Cx<'_>) -> std::time::Duration {
    let Some(jitter) = raw.jitter.get() else { return std::time::Duration::ZERO };
    if raw.schedule.is_absent() && raw.every.is_absent() {
        cx.notes.inert(jitter.key, "jitter", "nothing is scheduled");
    }
    if let Some(every) = raw.every.get().filter(|every| jitter.value.0 > every.value.0) {
        cx.notes
            .error(DiagnosticKind::Conflict, jitter.span, "passes would begin later than the next one is due")
            .help("write a jitter no longer than `every`")
            .second(every.span, "the next one is due after this");
    }
    jitter.value.0
}

fn cron(at: &At<Text>, timezone: chrono_tz::Tz, cx: &mut Cx<'_>) -> Option<Schedule> {
    let expression = at.value.0.trim().to_owned();
    let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Optional).build();
    let count = expression.split_whitespace().count();
    let reason = match parser.parse(&expression) {
        _ if !expression.starts_with('@') && !(5..=6).contains(&count) => {
            Some(format!("it has {count} field{}", if count == 1 { "" } else { "s" }))
        }
        Ok(cron) if cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true).is_err() => {
            cx.notes
                .error(DiagnosticKind::Invalid, at.span, format!("\"{expression}\" never comes: no date fits it"))
                .help("write days that the month has, e.g. \"0 3 28 2 *\"");
            return None;
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string().trim_end_matches('.').to_lowercase()),
    };
    if let Some(reason) = reason {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, format!("\"{expression}\" is no cron expression: {reason}"))
            .help("write five fields, e.g. \"*/5 * * * *\", or six with seconds first; or every = \"5m\"");
        return None;
    }
    Some(Schedule::Cron { expression, timezone })
}

fn full_scan(
    raw: &grammar::Collection,
    timezone: chrono_tz::Tz,
    surveys: Option<&[Survey]>,
    cx: &mut Cx<'_>,
) -> Option<Schedule> {
    let at = raw.full_scan.get()?;
    let unread = surveys.is_none_or(|surveys| surveys.iter().any(|survey| !survey.complete));
    let surveys = surveys.unwrap_or_default();
    let pulling = surveys.iter().filter(|survey| survey.pull).count();
    if !unread && pulling > 0 && surveys.iter().all(|survey| !survey.incremental) {
        cx.notes.inert(at.key, "full_scan", "no binding reads incrementally, so that every pass reads everything");
    }
    match parse_duration(&at.value.0) {
        Some(duration) => Some(Schedule::Every(duration)),
        None => cron(at, timezone, cx),
    }
}

fn check_absence(raw: &grammar::Collection, surveys: &[Survey], cx: &mut Cx<'_>) {
    let proves_none = |survey: &&Survey| survey.complete && survey.incremental && raw.full_scan.is_absent();
    for survey in surveys.iter().filter(proves_none) {
        if let Some(span) = survey.absence {
            cx.notes
                .warning(
                    span,
                    format!(
                        "deletes at `{}` are never noticed: incremental listings prove no absence",
                        survey.upstream
                    ),
                )
                .label("needs complete listings")
                .help("write full_scan = \"0 3 * * *\" in the collection");
        }
        if let Some(span) = survey.counted {
            cx.notes
                .warning(
                    span,
                    format!(
                        "a record at `{}` may never be read: when one before it goes while pages are counted, it moves to a \
                         page that was read already",
                        survey.upstream
                    ),
                )
                .label("counted pages, then only what changed")
                .help("write full_scan = \"0 3 * * *\" in the collection");
        }
    }
}

/// Where every pass comes after a gap, no pass ever follows a delete.
fn check_horizons(raw: &grammar::Collection, surveys: &[Survey], cx: &mut Cx<'_>) {
    for (span, horizon) in surveys.iter().filter_map(|survey| survey.horizon) {
        if horizon.is_zero() {
            let message = "a horizon of nothing: every pass would come after a gap, and never follow a delete";
            cx.notes
                .error(DiagnosticKind::Invalid, span, message)
                .help("write how long deleted records are listed, e.g. horizon = \"30d\", or leave it out if that is for ever");
        } else if let Some(every) = raw.every.get().filter(|every| every.value.0 >= horizon) {
            let message = "the horizon is not longer than the time between two passes: every pass would come after a gap, \
                           and never follow a delete";
            cx.notes
                .error(DiagnosticKind::Conflict, span, message)
                .help("write a longer horizon, or leave it out if deleted records are listed for ever")
                .second(every.span, "as often as this");
        }
    }
}

// ---- match and priority --------------------------------------------------------------------------------------------

fn match_keys(raw: &grammar::Collection, declared: &[Declared<'_>], cx: &mut Cx<'_>) -> Vec<Vec<usize>> {
    let Some(table) = raw.r#match.get() else { return Vec::new() };
    if let Some(at) = table.value.on_ambiguous.get() {
        // The one choice, and what always happens. A second one would have to go into the checked rules from here.
        let OnAmbiguous::Queue = at.value;
    }
    let Some(keys) = table.value.keys.get() else { return Vec::new() };
    if keys.is_empty() {
        cx.notes.inert(keys.key, "keys", "it is empty").help("write keys = [[\"email\"]]");
    }
    let mut all: Vec<Vec<usize>> = Vec::new();
    for key in &keys.value {
        if key.is_empty() {
            cx.notes.error(DiagnosticKind::Invalid, key.span, "an empty match key").help("write [\"email\"]");
        }
        let positions: Vec<usize> = key.iter().filter_map(|at| match_field(at, declared, cx)).collect();
        if all.contains(&positions) && positions.len() == key.len() {
            cx.notes.inert(key.span, "keys", "the same key stands before");
        }
        all.push(positions);
    }
    all
}

fn match_field(at: &At<Text>, declared: &[Declared<'_>], cx: &mut Cx<'_>) -> Option<usize> {
    let name = at.value.0.as_str();
    let Some(position) = declared.iter().position(|field| field.name == name) else {
        let names: Vec<&str> = declared.iter().map(|field| field.name).collect();
        cx.notes.unknown(at.span, format!("there is no field `{name}`"), name, &names);
        return None;
    };
    let domain = declared[position].domain.as_ref()?;
    if matches!(domain.ty, FieldType::Json | FieldType::List { .. } | FieldType::Set | FieldType::Real) {
        let message = format!("records cannot be matched by `{name}`: it is a {}", domain.ty.name());
        cx.notes.error(DiagnosticKind::Conflict, at.span, message).help("match by text, integer, decimal, date or ref");
    }
    Some(position)
}

fn priority(collection: &str, raw: &grammar::Collection, cx: &mut Cx<'_>) -> Vec<Origin> {
    let mut origins: Vec<Origin> = Vec::new();
    let mut valid = cx.bound_upstreams(collection);
    valid.push("local");
    for at in raw.priority.get().map(|at| at.value.as_slice()).unwrap_or_default() {
        let name = at.value.0.as_str();
        if !valid.contains(&name) && cx.definitions.upstreams.contains_key(name) && cx.has_misnamed_bindings() {
            // The misnamed binding may well be the one that is missing here.
        } else if !valid.contains(&name) {
            let what = if cx.definitions.upstreams.contains_key(name) {
                format!("`{collection}` has no binding at `{name}`")
            } else {
                format!("there is no upstream `{name}`")
            };
            cx.undefined(at.span, what, name, &valid);
        } else if origins.iter().any(|origin| origin.name() == name) {
            cx.notes
                .error(DiagnosticKind::Duplicate, at.span, format!("`{name}` is listed twice"))
                .help("keep the first");
        }
        origins.push(Origin::from_name(name));
    }
    origins
}

fn check_priority_used(raw: &grammar::Collection, chains: &[Vec<Policy>], cx: &mut Cx<'_>) {
    let Some(at) = raw.priority.get() else { return };
    if !chains.iter().any(|chain| chain.contains(&Policy::SourcePriority)) {
        cx.notes.inert(at.key, "priority", "no field is decided by `source_priority`");
    }
}
