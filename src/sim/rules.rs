//! Owns: the rules of a seed, as an operator would write them, and their way through the real checks.
//!
//! Must not know: sandboxes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::rules::{Context, Ruleset, Source, check};

use super::chance::Chance;
use super::world::{Creates, Deletes, Guarded, Pages, Style, base_url};

/// A field that an upstream's rules leave out for a while: the name of both.
pub type LeftOut = Option<(&'static str, &'static str)>;

/// The rules of a seed.
pub fn text(styles: &[Style], left_out: LeftOut, chance: &Chance) -> String {
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
    let mut text = format!(
        r#"[collection.people]
{priority}merge = {chain}
update_vs_delete = "{update_vs_delete}"
on_remote_delete = "{on_remote_delete}"
{limits}match = {{ keys = [["key"]] }}
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
    for style in styles {
        let field = left_out.filter(|(name, _)| *name == style.name).map(|(_, field)| field);
        of_upstream(&mut text, style, field);
    }
    text
}

const BATCH: &str = r#"[binding.people.NAME.write.batch]
request = "POST /people/batch"
ops = ["create", "update"]
items = ".inputs"
max_items = 3
[binding.people.NAME.write.batch.result]
items = ".results[]"
by = "index"
id = ".id"
version = ".etag"
status = ".status"
error = ".error"
"#;

fn of_upstream(text: &mut String, style: &Style, left_out: Option<&str>) {
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
    let get = if style.get { "get = \"GET /people/{id}\"\n" } else { "" };
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
    let batch = if style.guarded == Guarded::Body { BATCH.replace("NAME", name) } else { String::new() };
    let create = match style.creates {
        Creates::Listing => "request = \"POST /people\"",
        Creates::Match => "request = \"POST /people\"\nidempotency = { match = \"key\" }",
        Creates::Header => "request = \"POST /people\"\nidempotency = { header = \"Idempotency-Key\" }",
        Creates::ClientId => "request = \"PUT /people/{id}\"\nidempotency = { client_id = \"uuid\" }",
    };
    let version = if style.versioned { "version = \".etag\"\n" } else { "" };
    let created_at = if style.reuses_ids { "created_at = \".made\"\n" } else { "" };
    let rank = if style.pulls_rank { r#"{ path = ".rank", direction = "pull" }"# } else { r#"".rank""# };
    let fields = [
        ("key", r#"".key""#),
        ("name", r#"".name""#),
        ("phone", r#"".phone""#),
        ("rank", rank),
        ("street", r#"".street""#),
        ("city", r#"".city""#),
        ("tags", r#"".tags""#),
        ("note", r#"".note""#),
    ];
    let mut map = String::new();
    for (field, way) in fields.iter().filter(|(field, _)| Some(*field) != left_out) {
        let _infallible = writeln!(map, "{field} = {way}");
    }
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        r#"
[upstream.{name}]
base_url = "{url}"
concurrency = 2
[binding.people.{name}]
id = ".id"
{version}{created_at}updated_at = ".updated"
[binding.people.{name}.read]
request = "GET /people"
records = ".results[]"
page = {page}
incremental = {incremental}
lag = "9m"
deletes = {deletes}
{get}[binding.people.{name}.map]
{map}[binding.people.{name}.write.create]
{create}
[binding.people.{name}.write.update]
request = "{method} /people/{{id}}"
body = "{body}"
precondition = {precondition}
[binding.people.{name}.write.delete]
request = "DELETE /people/{{id}}"
precondition = {delete}
{batch}"#,
        url = base_url(name),
    );
}

/// Checks them. A mistake here is a mistake of the simulator.
pub fn checked(text: &str) -> Result<Arc<Ruleset>, String> {
    let sources = [Source { path: "sim.toml".into(), text: text.to_owned(), defect: None }];
    let vars = BTreeMap::new();
    let checked = check(&sources, &Context { vars: &vars, find_secret: &|_| Err(String::new()) });
    let told: Vec<String> = checked.diagnostics.iter().map(|note| format!("{note:?}")).collect();
    checked.ruleset.map(Arc::new).ok_or_else(|| told.join("\n"))
}
