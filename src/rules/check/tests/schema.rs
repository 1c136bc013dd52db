//! Owns: the schema and the checker accept the same keys.
//!
//! Must not know: what the keys mean.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check_files;
use super::examples::{ALONE, KINTO, SHIPPED};
use crate::rules::diagnostic::{Diagnostic, DiagnosticKind};
use crate::rules::schema;

fn json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).expect("toml");
    serde_json::to_value(table).expect("json")
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).expect("a valid schema")
}

#[test]
fn the_published_schema_is_current() {
    let current = serde_json::to_string_pretty(&schema()).expect("json") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &current).expect("written");
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == current,
        "docs/rules.schema.json is old: run UPDATE_SCHEMA=1 cargo test --lib the_published_schema"
    );
}

#[test]
fn every_shipped_file_is_valid_under_the_schema() {
    let validator = validator();
    for (path, text) in SHIPPED.iter().chain(KINTO).chain(ALONE) {
        let errors: Vec<String> =
            validator.iter_errors(&json(text)).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{path}: {errors:#?}");
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema = schema();
    let mut undescribed = BTreeSet::new();
    walk(&schema, &mut |name, property| {
        if property.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            undescribed.insert(name.to_owned());
        }
    });
    assert!(undescribed.is_empty(), "{undescribed:?}");
}

fn walk(schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            visit(name, property);
        }
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// Every table of the schema (`$defs` and tagged variants) with its keys, in canonical form.
fn schema_tables() -> BTreeSet<Vec<String>> {
    let schema = schema();
    let mut tables = BTreeSet::new();
    collect(&schema, &mut tables);
    tables
}

fn collect(schema: &Value, tables: &mut BTreeSet<Vec<String>>) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut keys: Vec<String> = properties.map(|keys| keys.keys().cloned().collect()).unwrap_or_default();
        keys.retain(|key| key != "kind");
        keys.sort();
        tables.insert(keys);
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| collect(member, tables)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, tables)),
        _ => {}
    }
}

#[test]
fn the_checker_knows_exactly_the_keys_of_the_schema() {
    use crate::rules::grammar as g;
    let readers: &[&[&str]] = &[
        g::Root::KEYS,
        g::Upstream::KEYS,
        g::BudgetCost::KEYS,
        g::Weight::KEYS,
        g::Signals::KEYS,
        g::SignalReset::KEYS,
        g::Breaker::KEYS,
        g::Timeout::KEYS,
        g::Tls::KEYS,
        g::Check::KEYS,
        g::Request::KEYS,
        g::AuthNone::KEYS,
        g::AuthApiKey::KEYS,
        g::AuthBasic::KEYS,
        g::AuthBearer::KEYS,
        g::AuthOAuth2::KEYS,
        g::AuthJwtBearer::KEYS,
        g::AuthSession::KEYS,
        g::AuthHmac::KEYS,
        g::AuthAwsSigV4::KEYS,
        g::SessionLogin::KEYS,
        g::SessionTokenAt::KEYS,
        g::Budget::KEYS,
        g::RequestMatch::KEYS,
        g::ErrorRule::KEYS,
        g::Quota::KEYS,
        g::Health::KEYS,
        g::Retry::KEYS,
        g::Webhook::KEYS,
        g::HookEvent::KEYS,
        g::Collection::KEYS,
        g::Limits::KEYS,
        g::Match::KEYS,
        g::Field::KEYS,
        g::Binding::KEYS,
        g::HeaderAt::KEYS,
        g::UpdatedAt::KEYS,
        g::Read::KEYS,
        g::CsvFormat::KEYS,
        g::PageCap::KEYS,
        g::EventFeed::KEYS,
        g::DeletesEndpoint::KEYS,
        g::Parent::KEYS,
        g::FeedStart::KEYS,
        g::PageNone::KEYS,
        g::PageNumber::KEYS,
        g::PageOffset::KEYS,
        g::PageSize::KEYS,
        g::PageCursor::KEYS,
        g::PageNextUrl::KEYS,
        g::PageKeyset::KEYS,
        g::Since::KEYS,
        g::SyncToken::KEYS,
        g::Tombstone::KEYS,
        g::MapEntry::KEYS,
        g::Codec::KEYS,
        g::Write::KEYS,
        g::Create::KEYS,
        g::Capture::KEYS,
        g::IdempotencyShape::KEYS,
        g::Update::KEYS,
        g::Delete::KEYS,
        g::Precondition::KEYS,
        g::Transition::KEYS,
        g::Batch::KEYS,
        g::Job::KEYS,
        g::ReadJob::KEYS,
        g::BatchResult::KEYS,
        g::ByPath::KEYS,
    ];
    let sorted = |keys: &&[&str]| {
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort();
        keys
    };
    let readers: BTreeSet<Vec<String>> = readers.iter().map(sorted).collect();
    assert_eq!(readers, schema_tables());
}

/// Spoils every key of every table of the shipped files: the checker names them all at once, the schema refuses each.
#[test]
fn a_misspelt_key_is_refused_by_checker_and_schema() {
    let validator = validator();
    let mut tried = 0;
    for files in [SHIPPED, KINTO] {
        let spoilt: Vec<String> = files.iter().map(|(_, text)| spoil(text, |_| true)).collect();
        let spoilt: Vec<(&str, &str)> =
            files.iter().zip(&spoilt).map(|((path, _), text)| (*path, text.as_str())).collect();
        let (_, checked) = check_files(&spoilt);
        for (path, text) in files {
            for (line, key) in keys_of_the_language(text) {
                let named =
                    |d: &&Diagnostic| d.path == *path && d.line == line + 1 && d.kind == DiagnosticKind::UnknownKey;
                assert!(checked.diagnostics.iter().any(|d| named(&d)), "{path}: the checker accepts {key}x");
                let one = spoil(text, |at| at == line);
                assert!(!validator.is_valid(&json(&one)), "{path}: the schema accepts {key}x in line {}", line + 1);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "only {tried} keys were tried");
}

/// Appends an x to the key of each chosen line.
fn spoil(text: &str, chosen: impl Fn(usize) -> bool) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (line, key) in keys_of_the_language(text).into_iter().filter(|(line, _)| chosen(*line)) {
        lines[line] = lines[line].replacen(&key, &format!("{key}x"), 1);
    }
    lines.join("\n")
}

/// Lines that begin with a key of the language (not of `fields`, `map`, headers), and that key.
fn keys_of_the_language(text: &str) -> Vec<(usize, String)> {
    let mut free = false;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            free = line.contains(".fields]") || line.contains(".map]");
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !free && !line.starts_with('#')) {
            keys.push((at, key.trim().to_owned()));
        }
    }
    keys
}

#[test]
fn what_the_checker_refuses_by_shape_the_schema_refuses_too() {
    let validator = validator();
    let files: &[&str] = &[
        "[upstream.a]\nbase_url = 5",
        "[upstream.a]\nbase_url = \"https://a\"\nconcurrency = \"4\"",
        "[upstream.a]\nbase_url = \"https://a\"\nretry = { max_wait = \"soon\" }",
        "[upstream.a]\nbase_url = \"https://a\"\nbody_max = \"3 bananas\"",
        "[upstream.a]\nbase_url = \"https://a\"\nauth = \"basic\"",
        "[upstream.a]\nbase_url = \"https://a\"\nauth = { kind = \"magic\" }",
        "[upstream.a]\nconcurrency = 4",
        "[collection.a]\nevery = \"5m\"",
        "[collection.a]\nfields = { x = \"txt\" }",
        "[collection.a]\nfields = { x = \"text\" }\nlimits = { delete = \"5\" }",
        "[collection.a]\nfields = { x = \"text\" }\nmerge = \"newest\"",
        "[binding.a.b]\nid = \".id\"\nmap = { x = 5 }",
        "[binding.a.b]\nid = \".id\"\nmap = { x = \".x\" }\ndirection = \"up\"",
        "[binding.a.b]\nid = \".id\"\nmap = { x = \".x\" }\nread = { page = { kind = \"link_header\", start = 1 } }",
    ];
    for file in files {
        let (_, checked) = check_files(&[("a.toml", file)]);
        let shape = [
            DiagnosticKind::WrongType,
            DiagnosticKind::UnknownKey,
            DiagnosticKind::UnknownName,
            DiagnosticKind::Missing,
            DiagnosticKind::Invalid,
            DiagnosticKind::Inert,
        ];
        assert!(checked.diagnostics.iter().any(|d| shape.contains(&d.kind)), "the checker accepts {file}");
        assert!(!validator.is_valid(&json(file)), "the schema accepts {file}");
    }
}
