//! Owns: the reference in `docs/rules.md` is complete and its example is good.
//!
//! Must not know: the schema's details beyond its keys.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check_files;
use crate::rules::diagnostic::Severity;
use crate::rules::schema;

const REFERENCE: &str = include_str!("../../../../docs/rules.md");

#[test]
fn the_reference_names_every_key_and_word_of_the_schema() {
    let mut names = BTreeSet::new();
    collect(&schema(), &mut names);
    // The three tables themselves stand in headings.
    for table in ["upstream", "collection", "binding"] {
        assert!(REFERENCE.contains(&format!("`[{table}.")), "{table}");
        names.remove(table);
    }
    let said = |name: &&String| {
        let name = name.as_str();
        let ends = |before: &str| before.ends_with(['`', '.', '"', ' ', '{']);
        REFERENCE.match_indices(name).any(|(at, _)| {
            let after = REFERENCE[at + name.len()..].chars().next();
            ends(&REFERENCE[..at]) && after.is_some_and(|c| "`.\" ,:}|".contains(c))
        })
    };
    let unsaid: Vec<&String> = names.iter().filter(|name| !said(name)).collect();
    assert!(unsaid.is_empty(), "docs/rules.md says nothing of {unsaid:?}");
}

#[test]
fn every_example_of_credentials_is_good() {
    let blocks = REFERENCE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut kinds = BTreeSet::new();
    for block in blocks.filter(|block| block.starts_with("[upstream.") && block.contains(".auth]\nkind = ")) {
        let (name, rest) = block["[upstream.".len()..].split_once(".auth]\nkind = \"").expect("a table of credentials");
        kinds.insert(rest.split('"').next().expect("a kind"));
        let text = format!("[upstream.{name}]\nbase_url = \"https://api.example.com\"\n{block}");
        let (_, checked) = check_files(&[("rules.md", &text)]);
        let errors: Vec<_> = checked.diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{block}\n{errors:#?}");
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["aws_sigv4", "hmac", "oauth2", "session"]);
}

/// Every property, every word of a closed list, every kind.
fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        names.extend(properties.keys().cloned());
    }
    names.extend(schema.get("const").and_then(Value::as_str).map(str::to_owned));
    for word in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
        names.extend(word.as_str().map(str::to_owned));
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[test]
fn the_rule_set_of_the_reference_is_good() {
    let blocks: Vec<&str> = REFERENCE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let example = blocks.iter().find(|block| block.contains("[upstream.")).expect("an example");
    let (_, checked) = check_files(&[("rules.md", example)]);
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
}
