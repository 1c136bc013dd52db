//! Owns: what taking back the deeds of a pass means for one record as it is now.
//!
//! Must not know: how rows are edited.

use std::collections::BTreeMap;

use crate::merge::LinkState;
use crate::record::{Domain, RecordId, Slot, Value};
use crate::rules::{Collection, OnLocalDelete, Origin};
use crate::store::{DirtyOp, HistoryFilter, HistoryRow, StoreError, View};

use super::decide::{Back, Came, Standing, Went, decide_came, decide_values, decide_went};
use super::deeds::{self, Before, Deeds};
use super::report::{UndoneChange, UndoneField, UndoneLeft, Why};

/// Lines of a record's history that are looked at for who changed it last.
const LOOKED_BACK: usize = 200;

/// What an undo is about.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    /// The rules.
    pub collection: &'a Collection,
    /// The pass.
    pub run: i64,
    /// Records that it created go.
    pub delete: bool,
}

/// An edit of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// It is made again.
    Insert(Vec<Value>),
    /// Units change: their fields, as they are and as they become.
    Update(Vec<Change>),
    /// It goes; what it holds.
    Delete(Vec<Value>),
}

/// A unit that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Its fields.
    pub fields: Vec<usize>,
    /// As they are.
    pub before: Vec<Value>,
    /// As they become.
    pub after: Vec<Value>,
}

/// What an undo does to one record.
#[derive(Debug)]
pub(super) struct Planned {
    /// The record.
    pub record: RecordId,
    /// A name for people.
    pub title: String,
    /// The edit.
    pub edit: Option<Edit>,
    /// What follows from it elsewhere.
    pub note: Option<String>,
    /// What stays.
    pub left: Vec<UndoneLeft>,
}

/// One record at work.
struct Case<'a> {
    view: &'a dyn View,
    aim: Aim<'a>,
    record: &'a RecordId,
    row: Option<Vec<Slot>>,
    planned: Planned,
}

/// Plans one record.
pub(super) fn plan_record(
    view: &dyn View,
    aim: Aim<'_>,
    record: &RecordId,
    deeds: &Deeds,
) -> Result<Planned, StoreError> {
    let row = view.row(aim.collection, record)?;
    let was = deeds.went.iter().flat_map(|went| went.before.values());
    let now = row.iter().flatten().filter_map(Slot::value);
    let title = now.chain(was).find_map(text_of).unwrap_or_default();
    let planned = Planned { record: record.clone(), title, edit: None, note: None, left: Vec::new() };
    let mut case = Case { view, aim, record, row, planned };
    if let Some(came) = &deeds.came {
        case.plan_came(came)?;
    } else if let Some(went) = &deeds.went {
        case.plan_went(went)?;
    } else {
        case.plan_fields(deeds)?;
    }
    if !deeds.strange.is_empty() && deeds.came.is_none() {
        let words = "the rules have changed since, and do not know what it was".to_owned();
        case.leave(deeds.strange.clone(), Why::Rules, words);
    }
    Ok(case.planned)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

impl Case<'_> {
    fn leave(&mut self, fields: Vec<String>, why: Why, words: String) {
        let (record, title) = (self.record.0.clone(), self.planned.title.clone());
        self.planned.left.push(UndoneLeft { record, title, fields, why, words });
    }

    /// The values of the row; what cannot be read there is null.
    fn values(&self) -> Option<Vec<Value>> {
        let value = |slot: &Slot| slot.value().cloned().unwrap_or(Value::Null);
        self.row.as_ref().map(|row| row.iter().map(value).collect())
    }

    fn plan_came(&mut self, came: &deeds::Came) -> Result<(), StoreError> {
        let values = self.values();
        let is_changed = match (&values, &came.left) {
            (Some(now), Some(left)) => left.iter().any(|(at, left)| {
                let field = self.aim.collection.fields.get(*at);
                field.zip(now.get(*at)).is_some_and(|(field, now)| !field.domain.same(left, now))
            }),
            (Some(_), None) => self.changed_by(None)?.is_some(),
            (None, _) => false,
        };
        match decide_came(Standing { is_here: values.is_some(), is_changed, delete: self.aim.delete }) {
            Came::Nothing => {}
            Came::Left => {
                let words = "it created the record, which stays unless a delete is asked for";
                self.leave(Vec::new(), Why::Created, words.to_owned());
            }
            Came::Stays => {
                let words = format!("it created the record, which has been changed since{}", self.whose(None)?);
                self.leave(Vec::new(), Why::Changed, words);
            }
            Came::Delete => self.plan_delete(came, values.unwrap_or_default())?,
        }
        Ok(())
    }

    /// What the engine makes of a row that is gone is the rules' affair; more than the pass created must not go by it.
    fn plan_delete(&mut self, came: &deeds::Came, values: Vec<Value>) -> Result<(), StoreError> {
        let there = self.upstreams(|state| state == LinkState::Live)?;
        let others: Vec<&str> = there.iter().filter(|name| !came.there.contains(*name)).map(String::as_str).collect();
        if !came.here && !others.is_empty() {
            let created: Vec<&str> = came.there.iter().map(String::as_str).collect();
            let words = format!(
                "it created the record at {} only: a delete here would reach {} as well; delete it there",
                created.join(", "),
                others.join(", ")
            );
            self.leave(Vec::new(), Why::Elsewhere, words);
            return Ok(());
        }
        let names = there.join(", ");
        let follows = match self.aim.collection.on_local_delete {
            OnLocalDelete::Restore => {
                let words = "it created the record, and by `on_local_delete` it would come back";
                self.leave(Vec::new(), Why::Elsewhere, words.to_owned());
                return Ok(());
            }
            _ if there.is_empty() => None,
            OnLocalDelete::Propagate => Some(format!("the next pass deletes it at {names}")),
            OnLocalDelete::Archive => Some(format!("the next pass archives it at {names}")),
            OnLocalDelete::Detach => Some(format!("it stays at {names}")),
            OnLocalDelete::Queue => Some(format!("the next pass asks whether it goes at {names}")),
        };
        self.planned.note = follows;
        self.planned.edit = Some(Edit::Delete(values));
        Ok(())
    }

    fn plan_went(&mut self, went: &deeds::Went) -> Result<(), StoreError> {
        if went.merged && self.row.is_none() {
            let words = "it was merged into another record, which stays".to_owned();
            self.leave(Vec::new(), Why::Merged, words);
            return Ok(());
        }
        if went.before.is_empty() && self.row.is_none() {
            let words = "it deleted the record, and what that held was not kept".to_owned();
            self.leave(Vec::new(), Why::Unknown, words);
            return Ok(());
        }
        let fields = &self.aim.collection.fields;
        let domains: Vec<&Domain> = fields.iter().map(|field| &field.domain).collect();
        let unknown = went.here.then_some(Value::Null);
        let before: Vec<Option<Value>> =
            (0..fields.len()).map(|at| went.before.get(&at).cloned().or_else(|| unknown.clone())).collect();
        match decide_went(&domains, &before, self.values().as_deref()) {
            Went::Nothing => {}
            Went::Stays => {
                let words = format!("it deleted the record, which is here again{}", self.whose(None)?);
                self.leave(Vec::new(), Why::Back, words);
            }
            Went::Insert => {
                let archived = self.upstreams(|state| state == LinkState::Archived)?.join(", ");
                if !archived.is_empty() {
                    self.planned.note = Some(format!("it stays archived at {archived}: take it back there"));
                }
                let values = before.into_iter().map(|value| value.unwrap_or(Value::Null)).collect();
                self.planned.edit = Some(Edit::Insert(values));
            }
        }
        Ok(())
    }

    fn plan_fields(&mut self, deeds: &Deeds) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for unit in units(self.aim.collection, deeds.fields.keys().copied()) {
            changes.extend(self.plan_unit(&unit, deeds)?);
        }
        if !changes.is_empty() {
            self.planned.edit = Some(Edit::Update(changes));
        }
        Ok(())
    }

    fn plan_unit(&mut self, unit: &[usize], deeds: &Deeds) -> Result<Option<Change>, StoreError> {
        let fields: Vec<_> = unit.iter().filter_map(|at| self.aim.collection.fields.get(*at)).collect();
        let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        let deed = |at: &usize| deeds.fields.get(at);
        if self.row.is_none() {
            self.leave(names, Why::Gone, "the record has been deleted since".to_owned());
            return Ok(None);
        }
        let after: Vec<Value> = unit.iter().filter_map(deed).map(|deed| deed.after.clone()).collect();
        let now: Vec<Value> = unit.iter().filter_map(|at| self.row.as_ref()?.get(*at)?.value().cloned()).collect();
        if now.len() != unit.len() {
            self.leave(names, Why::Changed, "what is here now cannot be read".to_owned());
            return Ok(None);
        }
        let mut before = Vec::new();
        for deed in unit.iter().filter_map(deed) {
            let (why, words) = match &deed.before {
                Before::Was(value) => {
                    before.push(value.clone());
                    continue;
                }
                Before::Unknown => (Why::Unknown, "what it was before was not kept"),
                Before::Differs => (Why::Differs, "upstreams had different values before"),
            };
            self.leave(names, why, words.to_owned());
            return Ok(None);
        }
        let domains: Vec<&Domain> = fields.iter().map(|field| &field.domain).collect();
        let back = match decide_values(&domains, &before, &after, &now) {
            Back::Nothing => return Ok(None),
            Back::Stays => {
                let is: Vec<String> = now.iter().map(|value| value.to_json().to_string()).collect();
                let words = format!("changed since{}: it is {} now", self.whose(names.first())?, is.join(", "));
                self.leave(names, Why::Changed, words);
                return Ok(None);
            }
            Back::To(back) => back,
        };
        let owner = fields.iter().filter_map(|field| field.owner.as_ref()).find(|owner| owner.origin != Origin::Local);
        if let Some(owner) = owner {
            let words = format!("only {} sets it: change it there", owner.origin.name());
            self.leave(names, Why::Owner, words);
            return Ok(None);
        }
        Ok(Some(Change { fields: unit.to_vec(), before: now, after: back }))
    }

    /// Upstreams where the record has a link in such a state.
    fn upstreams(&self, wanted: fn(LinkState) -> bool) -> Result<Vec<String>, StoreError> {
        let links = self.view.links_of(self.record)?;
        let mut names = Vec::new();
        for binding in &self.aim.collection.bindings {
            let name = &binding.upstream.name;
            let Some(key) = self.view.binding_key(&self.aim.collection.name, name)? else { continue };
            if links.iter().any(|link| link.binding == key && wanted(link.state)) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// Who has changed the record (or one field) since, as a part of a sentence.
    fn whose(&self, field: Option<&String>) -> Result<String, StoreError> {
        Ok(match self.changed_by(field)? {
            Some(Since::Line(line)) if line.origin.is_empty() => format!(" in pass {}", line.pass),
            Some(Since::Line(line)) => format!(", by {} in pass {}", line.origin, line.pass),
            Some(Since::Edit) | None => " here".to_owned(),
        })
    }

    /// The last change of the record, or of one field, after the pass.
    fn changed_by(&self, field: Option<&String>) -> Result<Option<Since>, StoreError> {
        let (view, collection) = (self.view, self.aim.collection);
        if let Some(key) = view.collection_key(&collection.name)?
            && view.dirty(key, self.record)?.is_some_and(|hint| hint.op != DirtyOp::Recheck)
        {
            return Ok(Some(Since::Edit));
        }
        let filter = HistoryFilter {
            collection: Some(collection.name.clone()),
            record: Some(self.record.clone()),
            field: field.cloned(),
            limit: LOOKED_BACK,
            ..HistoryFilter::default()
        };
        let mut lines = view.history(&filter)?;
        lines.retain(|line| line.pass > self.aim.run && is_change(line));
        let pass = lines.first().map(|line| line.pass);
        // What a pass took over it has sent on to the others.
        let taken = lines.iter().position(|line| Some(line.pass) == pass && line.kind == "local");
        let last = lines.into_iter().nth(taken.unwrap_or_default());
        Ok(last.map(|line| Since::Line(Box::new(line))))
    }
}

/// The last change after a pass.
enum Since {
    /// An edit that no pass has looked at yet.
    Edit,
    /// As history tells.
    Line(Box<HistoryRow>),
}

/// A line that tells of a value or a row that is another one since. Lists without a field tell of a decision about a record's
/// existence, which changed nothing by itself; and a record that is created elsewhere stays what it is.
fn is_change(line: &HistoryRow) -> bool {
    let is_list = |text: &Option<String>| text.as_ref().is_some_and(|text| text.starts_with('['));
    match line.kind.as_str() {
        "local" if line.field.is_empty() => !is_list(&line.before) && !is_list(&line.after),
        "local" => line.before != line.after,
        "push" => line.before.is_some() && line.before != line.after,
        _ => false,
    }
}

/// Fields by unit: those of a group move together.
fn units(collection: &Collection, fields: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in fields {
        let group = collection.fields.get(at).and_then(|field| field.group.as_ref());
        let first = collection.fields.iter().position(|field| group.is_some() && field.group.as_ref() == group);
        units.entry(first.unwrap_or(at)).or_default().push(at);
    }
    units.into_values().collect()
}

/// The values of a row that are there, by position of the field.
pub(super) fn filled(values: &[Value]) -> Vec<(usize, Value)> {
    values.iter().cloned().enumerate().filter(|(_, value)| !value.is_null()).collect()
}

impl Planned {
    /// The edit as people and programs read it.
    pub(super) fn told(&self, collection: &Collection) -> Option<UndoneChange> {
        let edit = self.edit.as_ref()?;
        let field = |at, before: Option<&Value>, after: Option<&Value>| UndoneField::new(collection, at, before, after);
        let (action, fields) = match edit {
            Edit::Insert(values) => {
                ("create", filled(values).iter().map(|(at, value)| field(*at, None, Some(value))).collect())
            }
            Edit::Delete(values) => {
                ("delete", filled(values).iter().map(|(at, value)| field(*at, Some(value), None)).collect())
            }
            Edit::Update(changes) => {
                let parts = changes.iter().flat_map(|change| {
                    let values = change.before.iter().zip(&change.after);
                    change.fields.iter().zip(values).map(|(at, (before, after))| field(*at, Some(before), Some(after)))
                });
                ("update", parts.collect())
            }
        };
        let (record, title, note) = (self.record.0.clone(), self.title.clone(), self.note.clone());
        Some(UndoneChange { record, title, action: action.to_owned(), fields, note })
    }
}
