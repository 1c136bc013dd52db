//! Owns: the tables of what becomes of one change that is taken back, and of what a pass did by its history.
//!
//! Must not know: the store.

use std::collections::{BTreeMap, BTreeSet};

use crate::merge::testkit::{collection, field, text};
use crate::record::{Domain, FieldType, Json, Normalize, RecordId, Value};
use crate::rules::Collection;
use crate::store::HistoryRow;

use super::decide::{Back, Came, Standing, Went, decide_came, decide_values, decide_went};
use super::deeds::{self, Before, Deed, Deeds, read_deeds};

/// A value in JSON.
fn value(ty: &FieldType, json: &str) -> Value {
    Value::from_json(ty, &Json::parse(json.as_bytes()).unwrap()).unwrap()
}

#[test]
fn values_become_what_they_were_where_they_are_what_the_pass_left() {
    let text = Domain { normalize: vec![Normalize::Lowercase], ..Domain::of(FieldType::Text) };
    let set = Domain { ty: FieldType::Set, ..text.clone() };
    let check = |domains: &[&Domain], before: &str, after: &str, now: &str, expected: Option<&str>| {
        let read = |list: &str| -> Vec<Value> {
            let Ok(Json::Array(items)) = Json::parse(list.as_bytes()) else { panic!("{list}") };
            domains.iter().zip(items).map(|(domain, json)| Value::from_json(&domain.ty, &json).unwrap()).collect()
        };
        let expected = match expected {
            Some("stays") => Back::Stays,
            Some(list) => Back::To(read(list)),
            None => Back::Nothing,
        };
        let found = decide_values(domains, &read(before), &read(after), &read(now));
        assert_eq!(found, expected, "{before} → {after}, now {now}");
    };
    //                    before          after           now             becomes
    check(&[&text], r#"["a"]"#, r#"["b"]"#, r#"["b"]"#, Some(r#"["a"]"#));
    check(&[&text], "[null]", r#"["b"]"#, r#"["B"]"#, Some("[null]"));
    check(&[&text], r#"["a"]"#, r#"["b"]"#, r#"["A"]"#, None);
    check(&[&text], r#"["a"]"#, r#"["b"]"#, r#"["c"]"#, Some("stays"));
    check(&[&text], r#"["a"]"#, r#"["b"]"#, "[null]", Some("stays"));
    check(&[&text], r#"["a"]"#, r#"["A"]"#, r#"["c"]"#, None);
    let group = [&text, &text];
    check(&group, r#"["a","1"]"#, r#"["b","2"]"#, r#"["b","2"]"#, Some(r#"["a","1"]"#));
    check(&group, r#"["a","1"]"#, r#"["b","2"]"#, r#"["b","1"]"#, Some("stays"));
    check(&group, r#"["a","1"]"#, r#"["b","2"]"#, r#"["a","1"]"#, None);
    let set = [&set];
    check(&set, r#"[["a","b"]]"#, r#"[["b","c"]]"#, r#"[["b","c"]]"#, Some(r#"[["a","b"]]"#));
    check(&set, r#"[["a","b"]]"#, r#"[["b","c"]]"#, r#"[["b","c","d"]]"#, Some(r#"[["a","b","d"]]"#));
    check(&set, r#"[["a","b"]]"#, r#"[["b","c"]]"#, r#"[["C","D"]]"#, Some(r#"[["a","D"]]"#));
    check(&set, r#"[["a","b"]]"#, r#"[["b","c"]]"#, r#"[["A","d"]]"#, None);
    check(&set, "[null]", r#"[["c"]]"#, r#"[["c","d"]]"#, Some(r#"[["d"]]"#));
    check(&set, r#"[["a"]]"#, r#"[["a","c"]]"#, "[null]", None);
    check(&set, r#"[["a"]]"#, "[null]", r#"[["d"]]"#, Some(r#"[["a","d"]]"#));
}

#[test]
fn a_record_that_came_goes_only_where_that_is_asked_for_and_nobody_worked_on_it() {
    let check = |is_here, is_changed, delete, expected| {
        assert_eq!(decide_came(Standing { is_here, is_changed, delete }), expected, "{is_here} {is_changed} {delete}");
    };
    check(true, false, true, Came::Delete);
    check(true, true, true, Came::Stays);
    check(true, false, false, Came::Left);
    check(true, true, false, Came::Left);
    check(false, false, true, Came::Nothing);
    check(false, false, false, Came::Nothing);
}

#[test]
fn a_record_that_went_comes_back_where_it_is_not_here() {
    let text = Domain::of(FieldType::Text);
    let known = |word: &str| Some(Value::Text(word.to_owned()));
    let check = |before: &[Option<Value>], now: Option<&[&str]>, expected: Went| {
        let now: Option<Vec<Value>> = now.map(|words| words.iter().filter_map(|word| known(word)).collect());
        assert_eq!(decide_went(&[&text, &text], before, now.as_deref()), expected);
    };
    let before = [known("a"), None];
    check(&before, None, Went::Insert);
    check(&before, Some(&["a", "whatever"]), Went::Nothing);
    check(&before, Some(&["b", "whatever"]), Went::Stays);
    check(&[known("a"), Some(Value::Null)], Some(&["a", "b"]), Went::Stays);
}

fn contacts() -> Collection {
    let fields = vec![text("name"), field("age", FieldType::Integer)];
    Collection { name: "contacts".to_owned(), ..collection(fields, &[]) }
}

/// A line of history as `KIND FIELD TARGET OP`, what was before, what came of it.
fn line(words: &str, before: Option<&str>, after: Option<&str>) -> HistoryRow {
    let [kind, field, target, op] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
    let given = |word: &str| (word != "-").then(|| word.to_owned());
    let detail = match op {
        "-" => None,
        "merged" => Some(r#"{"from":"1","into":"2"}"#.to_owned()),
        op => Some(format!(r#"{{"op":"{op}"}}"#)),
    };
    HistoryRow {
        id: 0,
        pass: 7,
        at: 0,
        collection: "contacts".to_owned(),
        record: RecordId("r".to_owned()),
        field: given(field).unwrap_or_default(),
        kind: kind.to_owned(),
        origin: String::new(),
        target: given(target),
        rule: String::new(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        detail,
    }
}

/// What a pass did to the one record of these lines.
#[track_caller]
fn check(lines: &[HistoryRow], expected: &Deeds) {
    let found = read_deeds(&contacts(), lines).remove(&RecordId("r".to_owned())).unwrap_or_default();
    assert_eq!(found, *expected);
}

fn fields(of: &[(usize, Before, &str)]) -> Deeds {
    let types = [FieldType::Text, FieldType::Integer];
    let deed = |(at, before, after): &(usize, Before, &str)| {
        (*at, Deed { before: before.clone(), after: value(&types[*at], after) })
    };
    Deeds { fields: of.iter().map(deed).collect(), ..Deeds::default() }
}

fn was(word: &str) -> Before {
    Before::Was(Value::Text(word.to_owned()))
}

#[test]
fn what_changed_here_counts_and_else_what_was_replaced_elsewhere() {
    let local = |before, after| line("local name - -", Some(before), Some(after));
    let sent = |at: &str, before, after| line(&format!("push - {at} update"), before, Some(after));
    check(&[], &Deeds::default());
    check(&[local(r#"["a"]"#, r#"["b"]"#)], &fields(&[(0, was("a"), r#""b""#)]));
    // Twice, in one pass.
    check(&[local(r#"["a"]"#, r#"["b"]"#), local(r#"["b"]"#, r#"["c"]"#)], &fields(&[(0, was("a"), r#""c""#)]));
    check(&[local(r#"["a"]"#, r#"["b"]"#), local(r#"["b"]"#, r#"["a"]"#)], &Deeds::default());
    // Taken over here, and sent on to one that had it otherwise.
    let on = sent("erp", Some(r#"{"name":"z"}"#), r#"{"name":"b"}"#);
    check(&[local(r#"["a"]"#, r#"["b"]"#), on.clone()], &fields(&[(0, was("a"), r#""b""#)]));
    // A local edit, sent; somebody else's value lost to it.
    check(&[local(r#"["b"]"#, r#"["b"]"#), on], &fields(&[(0, was("z"), r#""b""#)]));
    let both = r#"{"name":"b","age":2}"#;
    let one = sent("crm", Some(r#"{"name":"a","age":2}"#), both);
    check(&[one.clone(), sent("erp", Some(r#"{"name":"a","age":2}"#), both)], &fields(&[(0, was("a"), r#""b""#)]));
    check(&[one.clone(), sent("erp", Some(r#"{"name":"z"}"#), both)], &{
        fields(&[(0, Before::Differs, r#""b""#), (1, Before::Unknown, "2")])
    });
    check(&[one, sent("erp", None, r#"{"age":2}"#)], &{
        fields(&[(0, was("a"), r#""b""#), (1, Before::Unknown, "2")])
    });
    // What is told of quarantines, links and conflicts changed nothing.
    check(&[line("quarantine name crm update", None, Some(both)), line("link - crm -", None, None)], &Deeds::default());
}

#[test]
fn rows_that_came_and_went_are_told_from_decisions_about_them() {
    let whole = |name: &str| vec![(0, Value::Text(name.to_owned())), (1, Value::Null)];
    let came = |left, here, there: &[&str]| {
        let there = there.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        Deeds { came: Some(deeds::Came { left, here, there }), ..Deeds::default() }
    };
    let made = line("local - - -", None, Some(r#"{"name":"a"}"#));
    let decided = line("local - - -", Some("[]"), Some("[]"));
    let created = |at: &str| line(&format!("push - {at} create"), None, Some(r#"{"name":"a"}"#));
    check(std::slice::from_ref(&decided), &Deeds::default());
    check(&[decided.clone(), made.clone()], &came(Some(whole("a")), true, &[]));
    check(&[made.clone(), created("erp")], &came(Some(whole("a")), true, &["erp"]));
    check(&[created("crm"), created("erp")], &came(Some(whole("a")[..1].to_vec()), false, &["crm", "erp"]));
    let changed = line("local name - -", Some(r#"["a"]"#), Some(r#"["b"]"#));
    let mut later = came(Some(whole("b")), true, &[]);
    later.fields = fields(&[(0, was("a"), r#""b""#)]).fields;
    check(&[made.clone(), changed], &later);

    let went = |values: &[(usize, Value)], here, merged| {
        let before = values.iter().cloned().collect::<BTreeMap<_, _>>();
        Deeds { went: Some(deeds::Went { before, here, merged }), ..Deeds::default() }
    };
    let gone = line("local - - -", Some(r#"{"name":"a"}"#), None);
    let name = &whole("a")[..1];
    let deleted = |at: &str, before| line(&format!("push - {at} delete"), before, Some("{}"));
    check(&[gone.clone(), decided.clone()], &went(name, true, false));
    check(&[gone.clone(), deleted("erp", Some(r#"{"name":"z","age":1}"#))], &went(name, true, false));
    let known = [(0, Value::Text("a".to_owned())), (1, Value::Integer(1))];
    let (first, second) = (deleted("crm", Some(r#"{"name":"a"}"#)), deleted("erp", Some(r#"{"name":"z","age":1}"#)));
    check(&[decided, first, second], &went(&known, false, false));
    check(&[deleted("crm", None)], &went(&[], false, false));
    check(&[line("local - - merged", Some(r#"{"name":"a"}"#), None)], &went(name, true, true));
    check(&[made, gone], &Deeds::default());
}

#[test]
fn what_other_rules_wrote_down_is_named() {
    let strange = |names: &[&str]| {
        let strange = names.iter().map(|name| (*name).to_owned()).collect();
        Deeds { strange, ..Deeds::default() }
    };
    check(&[line("local fax - -", Some(r#"["a"]"#), Some(r#"["b"]"#))], &strange(&["fax"]));
    check(&[line("local age - -", Some(r#"["a"]"#), Some(r#"["b"]"#))], &strange(&["age"]));
    check(&[line("local fax - -", Some(r#"["a"]"#), Some(r#"["a"]"#))], &Deeds::default());
    check(&[line("push - crm update", None, Some(r#"{"fax":"1"}"#))], &strange(&["fax"]));
    let sent_by_name = line("local name - -", Some("{}"), Some(r#"{"name":"b"}"#));
    check(&[sent_by_name], &fields(&[(0, Before::Was(Value::Null), r#""b""#)]));
}
