//! Owns: the rules of a seed, as an operator would write them, and their way through the real checks.
//!
//! Must not know: sandboxes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::rules::{Collection, Context, Ruleset, Source, check};

use super::chance::Chance;
use super::kin::{COMPANY, PARENT};
use super::world::{COMPANIES, Creates, Deletes, Guarded, PEOPLE, Pages, Style, base_url, fields};

/// A field that an upstream's rules leave out for a while: the name of both.
pub type LeftOut = Option<(&'static str, &'static str)>;

/// The rules of a seed.
pub fn text(styles: &[Style], left_out: LeftOut, has_companies: bool, chance: &Chance) -> String {
    let names: Vec<&str> = styles.iter().map(|style| style.name).collect();
    let mut priority: Vec<&str> = names.clone();
    priority.insert(chance.index(names.len() + 1), "local");
    let chains = [
        r#"["latest", "source_priority", "manual"]"#,
        r#"["source_priority", "manual"]"#,
        r#"["manual"]"#,
        r#"["latest", "manual"]"#,
    ];
    let chain = chance.one(&chains).copied().unwrap_or_default();
    let priority = if chain.contains("source_priority") { format!("priority = {priority:?}\n") } else { String::new() };
    let update_vs_delete = chance.one(&["update_wins", "delete_wins", "manual"]).copied().unwrap_or_default();
    let on_remote_delete = chance.one(&["propagate", "queue", "restore"]).copied().unwrap_or_default();
    let limits = if chance.percent(50) { "limits = { delete = 1000 }\n" } else { "" };
    let policies = format!(
        r#"{priority}merge = {chain}
update_vs_delete = "{update_vs_delete}"
on_remote_delete = "{on_remote_delete}"
{limits}match = {{ keys = [["key"]] }}"#
    );
    let mut text = format!(
        r#"[collection.people]
{policies}
[collection.people.fields]
key = {{ type = "text", required = true, normalize = ["trim", "lowercase"] }}
name = "text"
phone = {{ type = "text", normalize = ["digits"] }}
rank = {{ type = "integer", merge = ["max"] }}
street = {{ type = "text", group = "address" }}
city = {{ type = "text", group = "address" }}
tags = "set"
{note}
"#,
        note = match styles.iter().find(|style| style.owns_notes) {
            Some(owner) => format!("note = {{ type = \"text\", owner = \"{}\" }}", owner.name),
            None => "note = \"text\"".to_owned(),
        }
    );
    if has_companies {
        text = text.replace("\ntags = \"set\"\n", &format!("\ntags = \"set\"\n{COMPANY} = {REFERENCE}\n"));
        let _infallible = write!(text, "\n[collection.companies]\n{policies}\n{COMPANY_TYPES}{PARENT} = {REFERENCE}\n");
    }
    for style in styles {
        let field = left_out.filter(|(name, _)| *name == style.name).map(|(_, field)| field);
        let (name, url) = (style.name, base_url(style.name));
        let _infallible = write!(text, "\n[upstream.{name}]\nbase_url = \"{url}\"\nconcurrency = 2\n");
        binding(&mut text, style, "people", &fields(PEOPLE, has_companies), field);
        if has_companies {
            binding(&mut text, style, "companies", &fields(COMPANIES, true), None);
        }
    }
    text
}

const REFERENCE: &str = r#"{ type = "ref", to = "companies" }"#;

const COMPANY_TYPES: &str = r#"[collection.companies.fields]
key = { type = "text", required = true, normalize = ["trim", "lowercase"] }
name = "text"
phone = { type = "text", normalize = ["digits"] }
"#;

const BATCH: &str = r#"[binding.COLLECTION.NAME.write.batch]
request = "POST /COLLECTION/batch"
ops = ["create", "update"]
items = ".inputs"
max_items = 3
[binding.COLLECTION.NAME.write.batch.result]
items = ".results[]"
by = "index"
id = ".id"
version = ".etag"
status = ".status"
error = ".error"
"#;

const JOB: &str = r#"[binding.COLLECTION.NAME.write.batch.job]
poll = ".job"
done = '.state == "done"'
failed = '.state == "failed"'
every = "5s"
timeout = "1m"
"#;

fn binding(text: &mut String, style: &Style, collection: &str, fields: &[&str], left_out: Option<&str>) {
    let name = style.name;
    let page = match style.pages {
        Pages::One => r#""none""#,
        Pages::Cursor => r#"{ kind = "cursor", next = ".next", into = "query.after" }"#,
        Pages::NextUrl => r#"{ kind = "next_url", next = ".next" }"#,
        Pages::Offset => r#"{ kind = "offset", into = "query.offset", size = { into = "query.limit", value = 3 } }"#,
    };
    let incremental =
        if style.since { r#"{ kind = "since", into = "query.since", lookback = "2m" }"# } else { r#""none""# };
    let deletes = match style.deletes {
        Deletes::Tombstone => r#"{ kind = "tombstone", when = ".gone == true" }"#,
        Deletes::Absence => r#"{ kind = "absence" }"#,
    };
    let get = if style.get { format!("get = \"GET /{collection}/{{id}}\"\n") } else { String::new() };
    let (method, body) = if style.whole { ("PUT", "full") } else { ("PATCH", "changed") };
    let precondition = match style.guarded {
        Guarded::Header => r#"{ header = "If-Match", value = '"{version}"' }"#,
        Guarded::Reread => r#""reread""#,
        Guarded::Body => r#"{ body = ".etag" }"#,
    };
    // A DELETE has no body to carry a version.
    let delete = if style.guarded != Guarded::Body {
        precondition
    } else if style.get {
        r#""reread""#
    } else {
        r#""none""#
    };
    let batch = if style.guarded == Guarded::Body {
        let job = if style.works_in_background() { JOB } else { "" };
        format!("{BATCH}{job}").replace("NAME", name).replace("COLLECTION", collection)
    } else {
        String::new()
    };
    let (create, idempotency) = match style.creates {
        Creates::Listing => ("POST /PATH", ""),
        Creates::Match => ("POST /PATH", "\nidempotency = { match = \"key\" }"),
        Creates::Header => ("POST /PATH", "\nidempotency = { header = \"Idempotency-Key\" }"),
        Creates::ClientId => ("PUT /PATH/{id}", "\nidempotency = { client_id = \"uuid\" }"),
    };
    let create = create.replace("PATH", collection);
    let version = if style.versioned { "version = \".etag\"\n" } else { "" };
    let created_at = if style.reuses_ids { "created_at = \".made\"\n" } else { "" };
    let mut map = String::new();
    for field in ["key"].iter().chain(fields).filter(|field| Some(**field) != left_out) {
        let _infallible = match *field {
            "rank" if style.pulls_rank => writeln!(map, r#"rank = {{ path = ".rank", direction = "pull" }}"#),
            field => writeln!(map, r#"{field} = ".{field}""#),
        };
    }
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        r#"[binding.{collection}.{name}]
id = ".id"
{version}{created_at}updated_at = ".updated"
[binding.{collection}.{name}.read]
request = "GET /{collection}"
records = ".results[]"
page = {page}
incremental = {incremental}
lag = "9m"
deletes = {deletes}
{get}[binding.{collection}.{name}.map]
{map}[binding.{collection}.{name}.write.create]
request = "{create}"{idempotency}
[binding.{collection}.{name}.write.update]
request = "{method} /{collection}/{{id}}"
body = "{body}"
precondition = {precondition}
[binding.{collection}.{name}.write.delete]
request = "DELETE /{collection}/{{id}}"
precondition = {delete}
{batch}"#
    );
}

/// The same rules, with the upstreams of each collection the other way round.
pub fn reversed(rules: &Ruleset) -> Ruleset {
    let reverse = |collection: &Arc<Collection>| {
        let mut collection = Collection::clone(collection);
        collection.bindings.reverse();
        Arc::new(collection)
    };
    Ruleset {
        upstreams: rules.upstreams.clone(),
        collections: rules.collections.iter().map(|(name, one)| (name.clone(), reverse(one))).collect(),
        hash: rules.hash.clone(),
    }
}

/// Checks them. A mistake here is a mistake of the simulator.
pub fn checked(text: &str) -> Result<Arc<Ruleset>, String> {
    let sources = [Source { path: "sim.toml".into(), text: text.to_owned(), defect: None }];
    let vars = BTreeMap::new();
    let checked = check(&sources, &Context { vars: &vars, find_secret: &|_| Err(String::new()) });
    let told: Vec<String> = checked.diagnostics.iter().map(|note| format!("{note:?}")).collect();
    checked.ruleset.map(Arc::new).ok_or_else(|| told.join("\n"))
}
