//! docs/json.md held against what `--json` really prints: every key that comes is named in the row of its command, in that of a
//! command which the row refers to, or in what all rows share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::daemon::add;
use crate::world::World;

/// Objects below these keys have names of the rules or of records as keys.
const BY_NAME: &[&str] = &["values", "before", "after", "raw"];

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap()
}

/// The words in backquotes of a text.
fn words(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What is said of each command, and what is said of all.
fn said() -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let page = page();
    let commands = page.split("\n## The API").next().unwrap();
    let rows = commands.lines().filter(|line| line.starts_with("| `"));
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let (names, document) = row.trim_matches('|').split_once(" | ").unwrap();
        for name in words(names) {
            all.insert(name, words(document));
        }
    }
    let shared: Vec<&str> = commands.lines().filter(|line| !line.starts_with('|')).collect();
    (all, words(&shared.join("\n")))
}

/// The keys of a document, wherever they stand.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                found.insert(key.clone());
                if !(BY_NAME.contains(&key.as_str()) && value.is_object()) {
                    keys(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The keys and the texts of a document.
fn spoken(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                found.insert(key.clone());
                spoken(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| spoken(item, found)),
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names in what prints: fields, variants and texts.
fn source() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["cli", "ops", "daemon", "reconcile", "upstream", "store", "vault"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name))
        .into();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let words = code.flat_map(|line| line.split(|one: char| !one.is_alphanumeric() && one != '_'));
                found.extend(words.map(str::to_owned));
            }
        }
    }
    found
}

/// What became of a record, what passes did, and how that is taken back.
fn look_back(world: &World, print: &mut dyn FnMut(&'static str, &[&str]) -> Vec<Value>) {
    let id = &world.rows("select id from contacts where email = '0@x.io'")[0][0];
    let record = format!("contacts/{id}");
    print("show", &["show", &record]);
    print("explain", &["explain", &record]);
    print("history", &["history"]);
    for pass in ["select max(pass) from sync_history where kind = 'push'", "select min(id) from sync_pass"] {
        print("undo", &["undo", &world.rows(pass)[0][0]]);
    }
}

/// What keeps a database.
fn keep(world: &World, print: &mut dyn FnMut(&'static str, &[&str]) -> Vec<Value>) {
    print("backup", &["backup", "b.db"]);
    print("restore", &["restore", "b.db"]);
    print("verify", &["verify", "--deep"]);
    world.sql("insert into sync_cursor values (99, '{}')");
    print("verify", &["verify"]);
    print("repair", &["repair"]);
    print("repair", &["repair", "--apply"]);
}

#[test]
fn every_key_that_a_command_prints_is_described_with_it() {
    let world = World::with_contacts(&["crm", "shop"], |_, _| {});
    for number in 0..3 {
        add(&world, &format!("{number}@x.io"));
    }
    world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nmerge = [\"manual\"]\nevery = \"1h\"")
    });
    world.settings_of_upstreams(
        "budget = [{ limit = 900, per = \"1h\", cost_usd = 0.001 }]\nquota = { requests = 50, cost_usd = 1 }",
    );
    let mut printed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut everything = Vec::new();
    let mut print = |name: &'static str, arguments: &[&str]| -> Vec<Value> {
        let ran = world.run(&[arguments, &["--json"]].concat());
        let documents = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<Value>();
        let documents: Vec<Value> = documents.map(Result::unwrap).collect();
        assert!(!documents.is_empty(), "{arguments:?} prints nothing: {}", ran.stderr);
        for document in &documents {
            keys(document, printed.entry(name).or_default());
        }
        everything.extend(documents.iter().cloned());
        documents
    };
    print("check", &["check"]);
    print("check", &["check", "--online"]);
    print("fetch", &["fetch", "contacts.crm"]);
    print("record", &["record", "contacts.crm", "--to", "crm.cassette"]);
    print("replay", &["replay", "crm.cassette"]);
    let answer = json!({ "results": [{ "id": 1, "name": "Ann" }] });
    std::fs::write(world.path("answer.json"), answer.to_string()).unwrap();
    print("init", &["init", "people", "crm", "--sample", "answer.json"]);
    print("plan", &["plan"]);
    print("run", &["run", "--once"]);
    // A conflict, and an edit that is on its way.
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &remote, &json!({ "phone": "3" }));
    world.sql("update contacts set phone = '4' where email = '0@x.io'; update contacts set name = 'Bo' where email = '1@x.io'");
    print("run", &["run", "--once"]);
    world.sql("insert into sync_quarantine values ('contacts', 'crm', 'remote:9', 'pull', 'why', '{}', 0, 1)");
    print("status", &["status"]);
    print("usage", &["usage", "crm"]);
    print("doctor", &["doctor"]);
    look_back(&world, &mut print);
    let conflict = print("conflicts", &["conflicts"])[0]["conflicts"][0]["id"].to_string();
    print("resolve", &["resolve", &conflict, "--take", "local"]);
    print("secret list", &["secret", "list"]);
    keep(&world, &mut print);
    print("--print-config", &["--print-config"]);
    print("auth status", &["auth", "status"]);

    let (said, shared) = said();
    let mut unsaid = Vec::new();
    for (name, keys) in &printed {
        let row = said.get(*name).unwrap_or_else(|| panic!("docs/json.md says nothing of {name}"));
        // `as in` another command.
        let row: BTreeSet<&String> =
            row.iter().flat_map(|word| [word].into_iter().chain(said.get(word).into_iter().flatten())).collect();
        unsaid.extend(
            keys.iter().filter(|key| !row.contains(*key) && !shared.contains(*key)).map(|key| format!("{name}: {key}")),
        );
    }
    assert_eq!(unsaid, Vec::<String>::new(), "docs/json.md does not name them");

    // And the other way: what it names is printed, or is a name in what prints: no row speaks of what is gone.
    let mut known = shared.clone();
    known.extend(said.keys().cloned());
    for document in &everything {
        spoken(document, &mut known);
    }
    let source = source();
    let is_named = |word: &str| {
        let camel: String = word.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
        source.contains(word) || source.contains(&camel)
    };
    let is_name = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && word.len() > 1;
    let mut gone = Vec::new();
    for (name, row) in &said {
        let row = row.iter().filter(|word| is_name(word) && !known.contains(*word) && !is_named(word));
        gone.extend(row.map(|word| format!("{name}: {word}")));
    }
    assert_eq!(gone, Vec::<String>::new(), "docs/json.md names what nothing prints");
}
