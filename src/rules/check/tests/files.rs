//! Owns: several files together, and how diagnostics are drawn.
//!
//! Must not know: single settings.

use std::collections::BTreeMap;

use super::check_files;
use super::examples::SHIPPED;
use crate::rules::check::{Context, check};
use crate::rules::diagnostic::{DiagnosticKind, Source};
use crate::rules::render;

const UPSTREAM: &str = "[upstream.crm]\nbase_url = \"https://crm.example.com\"\n";
const COLLECTION: &str = "[collection.contacts]\nfields = { email = \"text\", name = \"text\" }\n";
const BINDING: &str = "[binding.contacts.crm]\ndirection = \"pull\"\nid = \".id\"\nmap = { email = \".email\" }\n\
                       read = { request = \"GET /contacts\", records = \".[]\" }\n";

#[test]
fn definitions_may_be_spread_over_files() {
    let (_, checked) = check_files(&[("a.toml", UPSTREAM), ("b.toml", COLLECTION), ("c.toml", BINDING)]);
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
    assert!(checked.ruleset.is_some());
}

#[test]
fn a_double_definition_names_both_places() {
    let files =
        [("a.toml", UPSTREAM), ("b.toml", COLLECTION), ("c.toml", BINDING), ("d.toml", UPSTREAM), ("e.toml", BINDING)];
    let (sources, checked) = check_files(&files);
    let [first, second] = checked.diagnostics.as_slice() else { panic!("{:#?}", checked.diagnostics) };
    assert_eq!((first.path.as_str(), first.line, first.column), ("d.toml", 1, 11));
    assert_eq!(first.message, "upstream `crm` is defined twice");
    let place = first.second.as_ref().expect("the first place");
    assert_eq!((place.path.as_str(), place.line, place.column), ("a.toml", 1, 11));
    assert_eq!(second.message, "binding `contacts.crm` is defined twice");
    let text = render(&checked.diagnostics, &sources, false, 100);
    assert!(text.contains("d.toml:1:11") && text.contains("first defined here at a.toml:1:11"), "{text}");
    assert!(checked.ruleset.is_none());
}

#[test]
fn a_missing_variable_is_told_once_with_all_its_places() {
    let upstream = UPSTREAM.replacen("base_url = \"https://", "base_url = \"https://${var.tennant}.", 1);
    let other = upstream.replace("upstream.crm", "upstream.erp");
    let (sources, checked) =
        check_files(&[("a.toml", &upstream), ("b.toml", COLLECTION), ("c.toml", BINDING), ("d.toml", &other)]);
    let told: Vec<_> = checked.diagnostics.iter().filter(|one| one.message.contains("tennant")).collect();
    let [missing] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!(missing.path, "a.toml");
    let also: Vec<_> = missing.also.iter().map(|also| (also.path.as_str(), also.line, also.column)).collect();
    assert_eq!(also, [("d.toml", missing.line, missing.column)]);
    let text = render(&checked.diagnostics, &sources, false, 100);
    assert!(text.contains(&format!("also at d.toml:{}:{}", missing.line, missing.column)), "{text}");
}

#[test]
fn a_broken_file_does_not_hide_mistakes_in_others() {
    let broken = "[upstream.crm]\nbase_url = \"https://crm.example.com\n";
    let collection = COLLECTION.replace("\"text\" }", "\"txt\" }");
    let (_, checked) = check_files(&[("a.toml", broken), ("b.toml", &collection), ("c.toml", BINDING)]);
    let found: Vec<(&str, usize, DiagnosticKind)> =
        checked.diagnostics.iter().map(|d| (d.path.as_str(), d.line, d.kind)).collect();
    assert_eq!(found, [("a.toml", 2, DiagnosticKind::Syntax), ("b.toml", 2, DiagnosticKind::UnknownName)]);
}

/// Everything that is said about the files, by line.
fn said(files: &[(&str, &str)]) -> Vec<String> {
    let (_, checked) = check_files(files);
    checked.diagnostics.iter().map(|it| format!("{}:{} {}", it.path, it.line, it.message)).collect()
}

#[test]
fn a_bad_direction_hides_no_mistake_of_the_collection() {
    let collection = "[collection.contacts]\npriority = [\"local\"]\n[collection.contacts.fields]\n\
                      email = { type = \"text\", owner = \"crmm\" }\n\
                      name = { type = \"text\", merge = [\"set\", \"manual\"] }\n\
                      age = { type = \"integer\", merge = [\"manual\", \"max\"] }\n\
                      seen = { type = \"datetime\", merge = [\"prefer_non_empty\"] }\n\
                      phone = { type = \"text\", merge = [\"source_priority\"] }\n";
    let binding = BINDING.replace("\"pull\"", "\"sideways\"");
    assert_eq!(
        said(&[("a.toml", UPSTREAM), ("b.toml", collection), ("c.toml", &binding)]),
        [
            "b.toml:4 there is no upstream `crmm`",
            "b.toml:5 `set` cannot apply to `name`: it is of type text",
            "b.toml:6 `max` has no effect: `manual` before it always decides",
            "b.toml:7 the chain of `seen` may end without a decision: both values may be non-empty",
            "c.toml:2 wants a direction: \"pull\", \"push\" or \"both\", found \"sideways\"",
        ],
        "and nothing about `phone`: whether its priority leaves out the upstream depends on the direction"
    );
}

#[test]
fn an_unknown_key_at_the_top_hides_no_unknown_name() {
    let extra = "[upstraem.erp]\nbase_url = \"https://erp.example.com\"\n[thing]\nx = 1\n";
    let binding = BINDING.replace("[binding.contacts.crm]", "[binding.contacts.crmm]");
    let erp = BINDING.replace("[binding.contacts.crm]", "[binding.contacts.erp]");
    assert_eq!(
        said(&[
            ("a.toml", UPSTREAM),
            ("b.toml", COLLECTION),
            ("c.toml", &binding),
            ("d.toml", &erp),
            ("e.toml", extra)
        ]),
        ["c.toml:1 there is no upstream `crmm`", "e.toml:1 unknown key `upstraem`", "e.toml:3 unknown key `thing`",],
        "what stands under a misspelt key is there all the same"
    );
}

#[test]
fn a_bad_kind_hides_no_missing_secret() {
    let auth = "[upstream.crm.auth]\nkind = \"bearrer\"\ntoken = \"${secret.unheard_of}\"\n";
    assert_eq!(
        said(&[("a.toml", &format!("{UPSTREAM}{auth}")), ("b.toml", COLLECTION), ("c.toml", BINDING)]),
        ["a.toml:4 wants a kind, found \"bearrer\"", "a.toml:5 there is no secret `unheard_of`"]
    );
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other_and_is_drawn() {
    let mut sources: Vec<Source> = [("b.toml", "[colection.contacts]\n"), ("c.toml", BINDING)]
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned(), defect: None })
        .collect();
    let defect = |at: usize, reason: &str| Some((at, reason.to_owned()));
    let latin = "[upstream.crm]\ncaf\u{fffd} = 1\n".to_owned();
    sources.push(Source { path: "d.toml".to_owned(), text: latin, defect: defect(18, "a byte that is not UTF-8") });
    sources.push(Source { path: "e.toml".to_owned(), text: String::new(), defect: defect(0, "no regular file") });
    let context = Context { vars: &BTreeMap::new(), find_secret: &|_| Ok(()) };
    let checked = check(&sources, &context);
    let told: Vec<String> =
        checked.diagnostics.iter().map(|it| format!("{}:{}:{} {}", it.path, it.line, it.column, it.message)).collect();
    assert_eq!(
        told,
        [
            "b.toml:1:2 unknown key `colection`",
            "d.toml:2:4 cannot be read: a byte that is not UTF-8",
            "e.toml:1:1 cannot be read: no regular file",
        ]
    );
    let drawn = render(&checked.diagnostics, &sources, false, 100);
    assert!(drawn.contains("e.toml") && drawn.contains("no regular file"), "{drawn}");
}

#[test]
fn the_hash_names_the_texts_whatever_their_order() {
    let hash = |files: &[(&str, &str)]| check_files(files).1.ruleset.expect("good").hash;
    let (a, b, c) = (("a.toml", UPSTREAM), ("b.toml", COLLECTION), ("c.toml", BINDING));
    assert_eq!(hash(&[a, b, c]), hash(&[c, a, b]));
    assert_eq!(hash(&[a, b, c]).len(), 64);
    let commented = format!("# a comment\n{UPSTREAM}");
    assert_ne!(hash(&[a, b, c]), hash(&[("a.toml", &commented), b, c]));
}

#[test]
fn the_mapping_hash_follows_mapping_scope_and_declarations_only() {
    let hash = |collection: &str, binding: &str| {
        let (_, checked) = check_files(&[("a.toml", UPSTREAM), ("b.toml", collection), ("c.toml", binding)]);
        let rules = checked.ruleset.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
        rules.collections["contacts"].bindings[0].mapping_hash.clone()
    };
    let plain = hash(COLLECTION, BINDING);
    let same = [
        (COLLECTION.replace("{ email", "{ age = \"integer\", email"), BINDING.to_owned()),
        (COLLECTION.to_owned(), BINDING.replace("GET /contacts", "GET /people")),
        (format!("{COLLECTION}on_remote_delete = \"propagate\"\n"), BINDING.to_owned()),
    ];
    for (collection, binding) in &same {
        assert_eq!(hash(collection, binding), plain, "{collection}{binding}");
    }
    let other = [
        (COLLECTION.to_owned(), BINDING.replace("\".email\"", "\".mail\"")),
        (COLLECTION.to_owned(), BINDING.replace("id = \".id\"", "id = \".key\"")),
        (COLLECTION.to_owned(), BINDING.replace("id = \".id\"", "id = \".id\"\nwhere = '.active'")),
        (
            COLLECTION.replace("email = \"text\"", "email = { type = \"text\", normalize = [\"trim\"] }"),
            BINDING.to_owned(),
        ),
        (COLLECTION.to_owned(), BINDING.replace("\".email\"", "\".email\", name = \".name\"")),
    ];
    for (collection, binding) in &other {
        assert_ne!(hash(collection, binding), plain, "{collection}{binding}");
    }
}

#[test]
fn unknown_keys_near_and_far_are_drawn_with_their_remedy() {
    let mut files = SHIPPED.to_vec();
    let contacts = files[2]
        .1
        .replace("every = \"5m\"", "evry = \"5m\"")
        .replace("precondition = \"reread\"", "precondition = \"rereed\"")
        .replace("phone        = { type = \"text\",", "phone        = { type = \"text\", order = [\"1\"],");
    files[2].1 = &contacts;
    let (sources, checked) = check_files(&files);
    insta::assert_snapshot!(render(&checked.diagnostics, &sources, false, 100));
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let (sources, checked) = check_files(&[("a.toml", "[upstraem.crm]\n")]);
    assert!(!render(&checked.diagnostics, &sources, false, 80).contains('\u{1b}'));
    assert!(render(&checked.diagnostics, &sources, true, 80).contains('\u{1b}'));
}

#[test]
fn diagnostics_are_data_for_programs() {
    let (_, checked) = check_files(&[("a.toml", "[upstraem.crm]\n")]);
    let json = serde_json::to_value(&checked.diagnostics).expect("json");
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["kind"], "unknown_key");
    assert_eq!((json[0]["line"].as_u64(), json[0]["column"].as_u64()), (Some(1), Some(2)));
    assert_eq!(json[0]["help"], "did you mean `upstream`?");
}

#[test]
fn nothing_is_a_rule_set_too() {
    let (_, checked) = check_files(&[]);
    assert!(checked.ruleset.is_some() && checked.diagnostics.is_empty());
}
