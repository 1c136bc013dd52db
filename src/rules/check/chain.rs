//! Owns: chains of policies: which policy can apply to which field, and that every chain always decides.
//!
//! Must not know: how a policy decides (that is `merge`).

use super::binding::Survey;
use super::context::Cx;
use super::field::Declared;
use crate::record::FieldType;
use crate::rules::diagnostic::{DiagnosticKind, Span, listed};
use crate::rules::grammar::{self, PolicyWord};
use crate::rules::model::{Origin, Policy};
use crate::rules::shape::{At, List, OneOrMany};

/// A collection as chains see it.
pub struct Setting<'s> {
    /// Its name.
    pub collection: &'s str,
    /// As written.
    pub raw: &'s grammar::Collection,
    /// The declared priority.
    pub priority: &'s [Origin],
    /// Its bindings, as far as they could be read.
    pub surveys: &'s [Survey],
    /// True where that is all there is to know of them.
    pub whole: bool,
}

impl Setting<'_> {
    /// The origins that can set a field: here, and every upstream that it is pulled from.
    pub fn origins(&self, field: usize) -> Vec<Origin> {
        let pulling = self.surveys.iter().filter(|survey| survey.pulls(field));
        let upstreams = pulling.map(|survey| Origin::Upstream(survey.upstream.clone()));
        std::iter::once(Origin::Local).chain(upstreams).collect()
    }

    /// The origins that the priority leaves out.
    fn uncovered(&self, field: usize) -> Vec<Origin> {
        self.origins(field).into_iter().filter(|origin| !self.priority.contains(origin)).collect()
    }

    /// A group moves as one, so that any of its members' times are its times.
    fn knows_times(&self, unit: Unit<'_>) -> bool {
        let mut timed = self.surveys.iter().filter(|survey| survey.updated_at);
        timed.any(|survey| survey.pulls(unit.position) || (unit.grouped && survey.pull))
    }
}

/// A field as policies see it.
#[derive(Clone, Copy, Debug)]
struct Unit<'u> {
    position: usize,
    ty: &'u FieldType,
    grouped: bool,
}

impl<'u> Unit<'u> {
    /// `None` where the field could not be read.
    fn of(position: usize, field: &'u Declared<'_>) -> Option<Self> {
        let grouped = field.raw.is_some_and(|raw| !raw.group.is_absent());
        field.domain.as_ref().map(|domain| Self { position, ty: &domain.ty, grouped })
    }
}

/// Gives every field its chain: its own, the collection's, or the default.
pub fn lower(setting: &Setting<'_>, declared: &[Declared<'_>], cx: &mut Cx<'_>) -> Vec<Vec<Policy>> {
    let common = setting.raw.merge.get();
    let before = cx.notes.count();
    if let Some(common) = common {
        check_common(setting, common, declared, cx);
    }
    let common_is_good = cx.notes.count() == before;
    let mut partial = Vec::new();
    let mut chains = Vec::new();
    for (position, field) in declared.iter().enumerate() {
        let own = field.raw.and_then(|raw| raw.merge.get());
        let own = own.filter(|own| own.items.iter().any(|item| item.value != PolicyWord::CreateOnly));
        let chain = match (Unit::of(position, field), own, common) {
            (None, _, _) => vec![Policy::Manual],
            (Some(unit), Some(own), _) => own_chain(setting, unit, field, own, cx),
            (Some(unit), None, Some(common)) if *unit.ty != FieldType::Set || unit.grouped => {
                let chain = common_chain(setting, unit, common);
                partial.extend(undecided(setting, unit, &chain).map(|why| (field.name, why)));
                chain
            }
            (Some(unit), None, _) => default_chain(setting, unit),
        };
        chains.push(chain);
    }
    if let (Some((_, why)), Some(last)) = (partial.first(), common.and_then(|common| common.items.last()))
        && common_is_good
    {
        let names: Vec<&str> = partial.iter().map(|(name, _)| *name).collect();
        report_undecided(&listed(&names), why, last.span, cx);
    }
    chains
}

fn own_chain(
    setting: &Setting<'_>,
    unit: Unit<'_>,
    field: &Declared<'_>,
    own: &At<OneOrMany<PolicyWord>>,
    cx: &mut Cx<'_>,
) -> Vec<Policy> {
    if own.items.is_empty() {
        cx.notes.error(DiagnosticKind::Invalid, own.span, "an empty chain decides nothing").help("leave `merge` out");
        return vec![Policy::Manual];
    }
    if let Some(owner) = field.raw.and_then(|raw| raw.owner.get()) {
        cx.notes
            .inert(own.key, "merge", "the owner decides")
            .help("leave out `merge` or `owner`")
            .second(owner.key, "owned here");
    } else if setting.whole && setting.origins(unit.position).len() == 1 && !setting.surveys.is_empty() {
        cx.notes.inert(own.key, "merge", format_args!("no binding pulls `{}`", field.name));
    }
    let before = cx.notes.count();
    check_order(&own.items, cx);
    let mut chain = Vec::new();
    for item in &own.items {
        let Some(policy) = policy(item.value) else { continue };
        if let Err((why, help)) = applies(setting, unit, policy) {
            let message = format!("`{}` cannot apply to `{}`: {why}", item.value.name(), field.name);
            cx.notes.error(DiagnosticKind::Conflict, item.span, message).help(help);
        }
        chain.push(policy);
    }
    if let (Some(last), true) = (own.items.last(), cx.notes.count() == before)
        && let Some(why) = undecided(setting, unit, &chain)
    {
        report_undecided(&format!("`{}`", field.name), &why, last.span, cx);
    }
    chain
}

/// The collection's chain without what cannot apply to this field.
fn common_chain(setting: &Setting<'_>, unit: Unit<'_>, common: &At<OneOrMany<PolicyWord>>) -> Vec<Policy> {
    let policies = common.items.iter().filter_map(|item| policy(item.value));
    policies.filter(|policy| applies(setting, unit, *policy).is_ok()).collect()
}

/// The default never needs a decision by its author: what cannot apply is left out, and a person decides at last.
fn default_chain(setting: &Setting<'_>, unit: Unit<'_>) -> Vec<Policy> {
    if *unit.ty == FieldType::Set && !unit.grouped {
        return vec![Policy::Set];
    }
    let mut chain = Vec::new();
    if setting.knows_times(unit) {
        chain.push(Policy::Latest);
    }
    if !setting.priority.is_empty() {
        chain.push(Policy::SourcePriority);
    }
    chain.push(Policy::Manual);
    chain
}

fn check_common(setting: &Setting<'_>, common: &At<OneOrMany<PolicyWord>>, declared: &[Declared<'_>], cx: &mut Cx<'_>) {
    if common.items.is_empty() {
        cx.notes
            .error(DiagnosticKind::Invalid, common.span, "an empty chain decides nothing")
            .help("leave `merge` out");
    }
    check_order(&common.items, cx);
    for item in &common.items {
        let Some(policy) = policy(item.value) else {
            cx.notes
                .error(DiagnosticKind::Conflict, item.span, "`create_only` is for single fields")
                .help("write it in the field: merge = [\"create_only\"]");
            continue;
        };
        let fields = declared.iter().enumerate().filter(|(_, field)| field.raw.is_none_or(|raw| raw.merge.is_absent()));
        let refusals: Vec<Result<(), (String, String)>> =
            fields.filter_map(|(position, field)| Some(applies(setting, Unit::of(position, field)?, policy))).collect();
        if refusals.iter().any(Result::is_ok) {
            continue;
        }
        if let Some(Err((why, help))) = refusals.into_iter().next() {
            let message = format!("`{}` applies to no field of `{}`: {why}", item.value.name(), setting.collection);
            cx.notes.error(DiagnosticKind::Conflict, item.span, message).help(help);
        }
    }
}

/// Nothing comes after `manual`, and nothing comes twice.
fn check_order(items: &List<PolicyWord>, cx: &mut Cx<'_>) {
    for (position, item) in items.iter().enumerate() {
        let earlier = &items[..position];
        if let Some(first) = earlier.iter().find(|other| other.value == item.value) {
            let message = format!("`{}` is listed twice", item.value.name());
            cx.notes.error(DiagnosticKind::Duplicate, item.span, message).second(first.span, "first here");
        } else if let Some(manual) = earlier.iter().find(|other| other.value == PolicyWord::Manual) {
            cx.notes
                .inert(item.span, item.value.name(), "`manual` before it always decides")
                .help("put `manual` last")
                .second(manual.span, "always decides");
        }
    }
}

fn policy(word: PolicyWord) -> Option<Policy> {
    Some(match word {
        PolicyWord::SourcePriority => Policy::SourcePriority,
        PolicyWord::LocalEditWins => Policy::LocalEditWins,
        PolicyWord::Latest => Policy::Latest,
        PolicyWord::Earliest => Policy::Earliest,
        PolicyWord::Max => Policy::Max,
        PolicyWord::Min => Policy::Min,
        PolicyWord::PreferNonEmpty => Policy::PreferNonEmpty,
        PolicyWord::Set => Policy::Set,
        PolicyWord::Manual => Policy::Manual,
        PolicyWord::CreateOnly => return None,
    })
}

/// Whether there is a greatest value: texts by code point, false before true. Ids of records have no such order.
fn is_ordered(ty: &FieldType) -> bool {
    match ty {
        FieldType::Integer
        | FieldType::Real
        | FieldType::Decimal { .. }
        | FieldType::Date
        | FieldType::Datetime
        | FieldType::Text
        | FieldType::Boolean => true,
        FieldType::Json | FieldType::Set | FieldType::List { .. } | FieldType::Ref { .. } => false,
    }
}

/// Whether a policy can ever decide about a field: else why not, and what would be right.
fn applies(setting: &Setting<'_>, unit: Unit<'_>, policy: Policy) -> Result<(), (String, String)> {
    let refuse = |why: String, help: &str| Err((why, help.to_owned()));
    let ty = unit.ty;
    match policy {
        Policy::Set | Policy::Max | Policy::Min if unit.grouped => {
            refuse("it is in a group, which moves as one".to_owned(), "leave `group` or the policy out")
        }
        Policy::Set if *ty != FieldType::Set => {
            refuse(format!("it is of type {}", ty.name()), "`set` is for fields of type set")
        }
        Policy::Max | Policy::Min if !is_ordered(ty) => refuse(
            format!("it is of type {}", ty.name()),
            "`max` and `min` are for integer, real, decimal, date, datetime, text and boolean",
        ),
        Policy::Latest | Policy::Earliest
            if setting.whole && !setting.knows_times(unit) && !setting.surveys.is_empty() =>
        {
            refuse(
                "no binding that pulls it gives `updated_at`".to_owned(),
                "write updated_at = \".updatedAt\" in a binding, or leave the policy out",
            )
        }
        Policy::SourcePriority if setting.raw.priority.is_absent() => {
            refuse("the collection has no `priority`".to_owned(), "write priority = [\"local\", …] in the collection")
        }
        Policy::Set
        | Policy::Max
        | Policy::Min
        | Policy::Latest
        | Policy::Earliest
        | Policy::SourcePriority
        | Policy::LocalEditWins
        | Policy::PreferNonEmpty
        | Policy::Manual => Ok(()),
    }
}

/// Why a chain may end without a decision; `None` where it always decides.
fn undecided(setting: &Setting<'_>, unit: Unit<'_>, chain: &[Policy]) -> Option<String> {
    match chain.last() {
        Some(Policy::Manual | Policy::Set) => None,
        Some(Policy::Max | Policy::Min) if is_ordered(unit.ty) => None,
        // Who else may set the field is not known.
        Some(Policy::LocalEditWins | Policy::SourcePriority) if !setting.whole => None,
        Some(Policy::LocalEditWins) if setting.origins(unit.position).len() <= 2 => None,
        Some(Policy::SourcePriority) => {
            let uncovered = setting.uncovered(unit.position);
            let names: Vec<&str> = uncovered.iter().map(Origin::name).collect();
            (!names.is_empty()).then(|| format!("`priority` leaves out {}", listed(&names)))
        }
        Some(Policy::LocalEditWins) => Some("two upstreams may change it without a local edit".to_owned()),
        Some(Policy::Latest | Policy::Earliest) => Some("times may be equal or unknown".to_owned()),
        Some(Policy::PreferNonEmpty) => Some("both values may be non-empty".to_owned()),
        Some(Policy::Max | Policy::Min) | None => Some("no policy of it applies".to_owned()),
    }
}

fn report_undecided(names: &str, why: &str, span: Span, cx: &mut Cx<'_>) {
    cx.notes
        .error(DiagnosticKind::Conflict, span, format!("the chain of {names} may end without a decision: {why}"))
        .label("does not always decide")
        .help("append \"manual\", or \"source_priority\" with a `priority` of all origins");
}
