//! `init`: rules that are proposed pass the check and take records over; what cannot be proposed is told.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::{Ran, World};

/// A world with people at `crm`, and rules for its address alone.
fn world() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    for number in 0..25 {
        let card = json!({ "number": format!("4{number}"), "colour": "red" });
        world.add("crm", &json!({ "email": format!("p{number}@x.io"), "name": "Ann", "phone": null, "card": card }));
    }
    world
}

/// The answer of the listing, as it is.
fn answer(world: &World) -> Value {
    let lines = world.run(&["fetch", "contacts.crm", "--limit", "100", "--raw"]).exits(0).stdout;
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    json!({ "results": records, "next": null })
}

fn forget_rules(world: &World) {
    std::fs::remove_file(world.path("rules/rules.toml")).unwrap();
}

#[test]
fn an_answer_becomes_rules_that_take_its_records_over() {
    let world = world();
    std::fs::write(world.path("answer.json"), answer(&world).to_string()).unwrap();
    forget_rules(&world);
    let init = ["init", "contacts", "crm", "--sample", "answer.json", "--base-url", "${var.crm_url}"];
    let shown = world.run(&init).exits(0);
    assert_eq!(shown.stderr, "");
    assert!(!world.path("rules/contacts-crm.toml").exists(), "only with --write");
    for words in ["x.io", "\"red\"", "Ann", world.url("crm").as_str(), world.path("").to_str().unwrap()] {
        assert!(!shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let written = world.run(&[&init[..], &["--write"]].concat()).exits(0);
    assert!(written.stderr.contains("contacts-crm.toml: look at its "), "{}", written.stderr);
    assert_eq!(std::fs::read_to_string(world.path("rules/contacts-crm.toml")).unwrap(), shown.stdout);
    let checked = world.run(&["check"]).exits(0);
    assert!(checked.stdout.contains("ok 1 file: 1 upstream, 1 collection"), "{}", checked.stdout);
    let (remote, local) = world.sync().exits(0).writes();
    assert_eq!((remote, local), (0, 25));
    let rows = world.rows("select email, name, card_number, card_colour from contacts where email = 'p7@x.io'");
    assert_eq!(rows, [["p7@x.io", "Ann", "47", "red"]]);
    let (remote, local) = world.sync().exits(0).writes();
    assert_eq!((remote, local), (0, 0), "a second pass is quiet");
    assert!(world.writes_at("crm").is_empty());
}

#[test]
fn records_a_line_become_a_second_collection_of_an_upstream_that_is_known() {
    let world = world();
    let lines = world.run(&["fetch", "contacts.crm", "--limit", "9", "--raw"]).exits(0).stdout;
    let told = piped(&world, &["--json", "init", "people", "crm", "--sample", "-", "--path", "/contacts"], &lines);
    let told: Value = serde_json::from_str(&told.exits(0).stdout).unwrap();
    assert_eq!((&told["written"], &told["diagnostics"]), (&Value::Null, &json!([])));
    let rules = told["rules"].as_str().unwrap();
    assert!(rules.contains("from 9 records of 1 sample") && !rules.contains("[upstream.crm]"), "{rules}");
    // The one guess that records without their answer cannot get right.
    world.rules("people.toml", &rules.replacen("records = \".[]\"", "records = \".results[]\"", 1));
    world.run(&["check"]).exits(0);
    world.run(&["run", "--once", "people"]).exits(0);
    assert_eq!(world.rows("select count(*) from people"), [["25"]]);
    let known = piped(&world, &["init", "contacts", "crm", "--sample", "-"], &lines).exits(2);
    assert!(known.stderr.contains("the collection `contacts` is in the rules already"), "{}", known.stderr);
    let inert = piped(&world, &["init", "p", "crm", "--sample", "-", "--base-url", "https://x.io"], &lines).exits(2);
    assert!(inert.stderr.contains("leave --base-url out"), "{}", inert.stderr);
}

#[test]
fn a_description_becomes_rules_that_take_records_over() {
    let world = world();
    forget_rules(&world);
    let contact = json!({ "type": "object", "required": ["id", "email"], "properties": {
        "id": { "type": "string", "readOnly": true }, "email": { "type": "string", "format": "email" },
        "name": { "type": "string", "nullable": true }, "etag": { "type": "string", "readOnly": true },
        "updated_at": { "type": "string", "format": "date-time", "readOnly": true },
    } });
    let body = json!({ "type": "object", "properties": {
        "results": { "type": "array", "items": { "$ref": "#/components/schemas/Contact" } },
    } });
    let description = json!({
        "openapi": "3.0.3",
        "servers": [{ "url": world.url("crm") }],
        "security": [{ "key": [] }],
        "components": {
            "schemas": { "Contact": contact },
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
        "paths": {
            "/contacts": { "get": { "responses": { "200": { "content": { "application/json": { "schema": body } } } } } },
            "/contacts/{id}": { "get": {}, "patch": {} },
            "/v2/contacts": { "get": { "responses": { "200": { "content": { "application/json": { "schema": body } } } } } },
        },
    });
    std::fs::write(world.path("api.json"), description.to_string()).unwrap();
    std::fs::write(world.path("api.yaml"), format!("# The same, in YAML.\n{description}")).unwrap();
    let proposed =
        |file: &str| world.run(&["init", "contacts", "crm", "--openapi", file, "--path", "/contacts"]).exits(0).stdout;
    assert_eq!(proposed("api.yaml"), proposed("api.json"));
    let init = ["init", "contacts", "crm", "--openapi", "api.json", "--write"];
    let two = world.run(&init).exits(2);
    assert!(
        two.stderr.contains("several listings") && two.stderr.contains("/contacts, /v2/contacts"),
        "{}",
        two.stderr
    );
    world.run(&[&init[..], &["--path", "/contacts"]].concat()).exits(0);
    let missing = world.run(&["check"]).exits(2);
    assert!(missing.stdout.contains("there is no secret `crm_token`"), "{}", missing.stdout);
    let mut command = world.command();
    command.env("RECONCILED_SECRET_CRM_TOKEN", "token").args(["run", "--once"]);
    Ran::of(command.output().unwrap()).exits(0);
    assert_eq!(world.rows("select count(*), min(name) from contacts"), [["25", "Ann"]]);
    assert!(world.writes_at("crm").is_empty());
}

#[test]
fn what_cannot_be_proposed_is_told() {
    let world = World::new();
    let refuses = |arguments: &[&str], text: &str, words: &str| {
        let refused = piped(&world, &[&["init"], arguments].concat(), text).exits(2);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        assert_eq!(refused.stdout, "");
    };
    let one = r#"[{"id":1,"name":"Ann"}]"#;
    refuses(&["contacts", "crm"], "", "required");
    refuses(&["contacts", "crm", "--sample", "-"], "<html>", "stdin is neither JSON nor JSON a line");
    refuses(&["contacts", "crm", "--sample", "-"], "{\"data\":[]}", "stdin holds no record");
    refuses(&["contacts", "crm", "--sample", "-"], r#"{"a":[{"id":1}],"b":[{"id":1}]}"#, "choose one with --records");
    refuses(&["contacts", "crm", "--sample", "none.json"], "", "none.json cannot be read");
    refuses(&["contacts", "crm", "--openapi", "-"], one, "is no OpenAPI 3 document");
    let twice = "openapi: 3.0.3\nopenapi: 3.0.3\n";
    refuses(&["contacts", "crm", "--openapi", "-"], twice, "stdin:2:1: the key `openapi` stands on line 1 already");
    refuses(&["Contacts", "crm", "--sample", "-"], one, "write `contacts`");
    refuses(&["contacts", "crm", "--sample", "-", "--base-url", "http://x.io"], one, "would go to x.io in clear");
    refuses(
        &["contacts", "crm", "--sample", "-", "--base-url", "https://u:hunter2@x.io"],
        one,
        "cannot hold credentials",
    );
    let write = ["init", "contacts", "crm", "--sample", "-", "--write"];
    piped(&world, &write, one).exits(0);
    std::fs::write(world.path("rules/contacts-crm.toml"), "# mine\n").unwrap();
    refuses(&write[1..], one, "contacts-crm.toml is there already, and nothing is overwritten");
    assert_eq!(std::fs::read_to_string(world.path("rules/contacts-crm.toml")).unwrap(), "# mine\n");
}

/// Runs the program with something on its stdin.
fn piped(world: &World, arguments: &[&str], text: &str) -> Ran {
    let mut command = world.command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses before it reads closes its end.
    child.stdin.take().unwrap().write_all(text.as_bytes()).ok();
    Ran::of(child.wait_with_output().unwrap())
}
