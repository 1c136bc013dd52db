//! Owns: owners of fields, and groups.
//!
//! Must not know: what happens to foreign edits (that is `merge`).

use std::collections::BTreeMap;

use super::chain::Setting;
use super::context::Cx;
use super::field::Declared;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::Direction;
use crate::rules::model::{Drift, Origin, Owner, Policy};
use crate::rules::shape::{At, Key};
use crate::rules::units::Text;

/// Checks the owner of every field.
pub fn lower(setting: &Setting<'_>, declared: &[Declared<'_>], cx: &mut Cx<'_>) -> Vec<Option<Owner>> {
    let all = declared.iter().enumerate();
    all.map(|(position, field)| {
        let raw = field.raw?;
        if let (Some(drift), Key::Absent) = (raw.drift.get(), &raw.owner) {
            cx.notes.inert(drift.key, "drift", "the field has no `owner`");
        }
        let at = raw.owner.get()?;
        let origin = owner(setting, position, field, at, cx)?;
        Some(Owner { origin, drift: raw.drift.or(Drift::Revert) })
    })
    .collect()
}

fn owner(
    setting: &Setting<'_>,
    position: usize,
    field: &Declared<'_>,
    at: &At<Text>,
    cx: &mut Cx<'_>,
) -> Option<Origin> {
    let name = at.value.0.as_str();
    if name == "local" {
        check_never_set(setting, position, field, at, cx);
        return Some(Origin::Local);
    }
    let bound = cx.bound_upstreams(setting.collection);
    if !bound.contains(&name) {
        let mut valid = bound;
        valid.push("local");
        let what = if cx.definitions.upstreams.contains_key(name) {
            format!("`{}` has no binding at `{name}`", setting.collection)
        } else {
            format!("there is no upstream `{name}`")
        };
        cx.undefined(at.span, what, name, &valid);
        return None;
    }
    let survey = setting.surveys.iter().find(|survey| survey.upstream == name);
    if survey.is_some_and(|survey| survey.complete && !survey.pulls(position)) {
        cx.notes
            .error(
                DiagnosticKind::Conflict,
                at.span,
                format!("`{}` can never be set: it is not pulled from its owner `{name}`", field.name),
            )
            .help(format!("map it in [binding.{}.{name}.map]", setting.collection));
    }
    Some(Origin::Upstream(name.to_owned()))
}

/// A map entry that only pulls what is owned here is of no use.
fn check_never_set(setting: &Setting<'_>, position: usize, field: &Declared<'_>, at: &At<Text>, cx: &mut Cx<'_>) {
    for survey in setting.surveys {
        let entries = survey.maps.iter().filter(|map| map.field == position);
        for entry in entries.filter(|map| map.direction == Some(Direction::Pull)) {
            cx.notes
                .error(
                    DiagnosticKind::Conflict,
                    entry.span,
                    format!("`{}` is owned by `local`: what is pulled here can never set it", field.name),
                )
                .help("leave out direction = \"pull\", or the entry, or the owner")
                .second(at.span, "owned here");
        }
    }
}

/// A group has at least two fields, which are decided in one way.
pub fn check_groups(declared: &[Declared<'_>], chains: &[Vec<Policy>], cx: &mut Cx<'_>) {
    let mut groups: BTreeMap<&str, Vec<(usize, &At<Text>)>> = BTreeMap::new();
    for (position, field) in declared.iter().enumerate() {
        if let Some(at) = field.raw.and_then(|raw| raw.group.get()) {
            groups.entry(at.value.0.as_str()).or_default().push((position, at));
        }
    }
    for (name, members) in groups {
        let Some(((first, first_at), others)) = members.split_first() else { continue };
        if others.is_empty() {
            let names: Vec<&str> =
                declared.iter().filter_map(|f| f.raw?.group.get()).map(|at| at.value.0.as_str()).collect();
            let names: Vec<&str> = names.into_iter().filter(|other| *other != name).collect();
            let near = names.iter().find(|other| strsim::jaro_winkler(name, other) >= 0.8);
            let note = cx.notes.inert(first_at.span, "group", format_args!("no other field is in group `{name}`"));
            match near {
                Some(near) => note.help(format!("did you mean `{near}`?")),
                None => note.help("a group has two or more fields that move as one"),
            };
        }
        let owner_of =
            |position: usize| declared[position].raw.and_then(|raw| raw.owner.get()).map(|at| at.value.0.as_str());
        for (position, at) in others {
            if chains[*position] != chains[*first] || owner_of(*position) != owner_of(*first) {
                cx.notes
                    .error(
                        DiagnosticKind::Conflict,
                        at.span,
                        format!("the fields of group `{name}` move as one, but are decided differently"),
                    )
                    .help("give all of them the same `merge` and `owner`")
                    .second(first_at.span, "decided otherwise");
            }
        }
    }
}
