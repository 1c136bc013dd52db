//! Telling: what `explain`, `history`, `show` and `conflicts` say is what happened, in words.

use serde_json::{Value, json};

use crate::world::World;

/// Two upstreams; phone is left to a person, name belongs to the CRM.
fn two() -> World {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        let rules = rules.replace("phone = \"text\"", "phone = { type = \"text\", merge = [\"manual\"] }");
        rules.replace("name = \"text\"", "name = { type = \"text\", owner = \"crm\" }\nnotes = \"text\"")
    });
    world
}

fn said(world: &World, arguments: &[&str]) -> String {
    world.run(arguments).stdout
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` in:\n{text}");
    }
}

fn id(world: &World) -> String {
    world.rows("select id from contacts")[0][0].clone()
}

#[test]
fn what_an_initial_load_brought_is_taken_over_and_an_empty_field_was_set_by_nobody() {
    let world = two();
    world.add_ann("crm");
    let ann = id(&world);
    says(&said(&world, &["explain", &ann]), &["taken over from crm", "never set"]);
    says(&said(&world, &["explain", &ann, "phone"]), &["set by    taken over from crm with the record in pass 1"]);
    says(&said(&world, &["explain", &ann, "notes"]), &["set by    nobody: never set"]);
    let name = said(&world, &["explain", &ann, "name"]);
    says(&name, &["only crm sets it; edits elsewhere are reverted"]);
    assert!(!name.contains("where two sides differ"), "no chain is consulted:\n{name}");
    // A record that was made here: its empty fields were set by nobody, either.
    world.sql("insert into contacts (id, email) values ('bob', 'bob@x.io')");
    world.sync().exits(0);
    says(&said(&world, &["explain", "bob", "phone"]), &["nobody: never set"]);
    says(&said(&world, &["explain", "bob", "email"]), &["set by    local"]);
}

#[test]
fn the_history_of_a_field_has_the_writes_that_sent_it_and_no_others() {
    let world = two();
    world.add_ann("crm");
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0);
    world.sql("update contacts set notes = 'n'");
    world.sync().exits(0);
    let ann = id(&world);
    let sent = |field: &str| -> Vec<Value> {
        let history = world.run(&["--json", "history", "--record", &ann, "--field", field]).stdout;
        let history: Value = serde_json::from_str(&history).unwrap();
        let lines = history["history"].as_array().unwrap().iter().filter(|line| line["kind"] == "push");
        lines.map(|line| line["op"].clone()).collect()
    };
    assert_eq!(sent("phone"), ["update", "update", "create"], "to both, and when it was made at the second");
    assert_eq!(sent("name"), ["create"]);
    let phone = said(&world, &["explain", &ann, "phone"]);
    says(&phone, &["updated there: phone"]);
    assert!(!phone.contains("notes"), "{phone}");
}

#[test]
fn a_deleted_record_is_told_as_deleted_with_who_decided_it() {
    let world = two();
    world.change_rules("rules.toml", |rules| {
        rules
            .replace("on_remote_delete = \"propagate\"", "on_remote_delete = \"queue\"\nlimits = { delete = \"100%\" }")
    });
    let crm = world.add_ann("crm");
    world.add("crm", &json!({"email": "zed@x.io", "name": "Zed"}));
    world.sync().exits(0);
    let ann = world.rows("select id from contacts where email = 'ann@x.io'")[0][0].clone();
    world.at("crm", |sandbox| sandbox.remove("/contacts", &crm, crate::hands::now())).unwrap();
    world.full_sync().exits(4);
    says(&said(&world, &["show", &ann]), &["deleted there", "conflict 1 is open"]);
    says(&world.run(&["resolve", "1", "--delete"]).exits(0).stdout, &["delete the record everywhere: written down"]);
    world.sync().exits(0);
    let all = said(&world, &["explain", &ann]);
    says(&all, &["(deleted)", "a person decided to delete it (resolution)", "deleted there"]);
    let phone = said(&world, &["explain", &ann, "phone"]);
    says(&phone, &["here      deleted", "crm       deleted there", "erp       deleted there"]);
    // One that another program deleted here.
    world.sql("delete from contacts");
    world.sync().exits(0);
    let zed = world.rows("select record from sync_history where rule = 'local_delete'");
    assert_eq!(zed.len(), 1, "it is remembered once");
    says(&said(&world, &["explain", &zed[0][0]]), &["(deleted)", "deleted here by another program (local_delete)"]);
    let history = said(&world, &["history", "--record", &ann]);
    says(&history, &["deleted there", "a person decided to delete it", "row deleted, it was email = ann@x.io"]);
    assert!(!history.contains("{}"), "{history}");
}

#[test]
fn an_open_conflict_hides_older_decisions_and_a_stale_choice_is_told() {
    let world = two();
    let ann_there = world.add_ann("crm");
    let ann = id(&world);
    world.sql("update contacts set phone = '2'");
    world.sync().exits(0);
    world.edit("crm", &ann_there, &json!({"phone": "3"}));
    world.sync().exits(0);
    says(&said(&world, &["explain", &ann, "phone"]), &["decided   one_side for crm"]);
    world.sql("update contacts set phone = '4'");
    world.edit("crm", &ann_there, &json!({"phone": "5"}));
    world.sync().exits(4);
    let frozen = said(&world, &["explain", &ann, "phone"]);
    says(&frozen, &["frozen    by conflict 1 since pass 4: undecided"]);
    assert!(!frozen.contains("decided   one_side"), "{frozen}");
    says(&said(&world, &["conflicts"]), &[&format!("conflict 1: phone of contacts/{ann} (ann@x.io)")]);
    says(&world.run(&["resolve", "1", "--take", "zz"]).exits(2).stderr, &["the sides are: ", "base"]);
    let answer = world.run(&["resolve", "1", "--value", "\"9\""]).exits(0).stdout;
    says(&answer, &["conflict 1: phone = 9: written down, the next pass applies it"]);
    let plan = said(&world, &["plan"]);
    says(&plan, &["decided by a person, to be done here"]);
    assert!(!plan.contains("changed upstream"), "{plan}");
    // The person chose without knowing of this.
    world.edit("crm", &ann_there, &json!({"phone": "6"}));
    let note = "the resolution of conflict 1 was not applied: crm changed after it was given";
    let pass = world.run(&["run", "--once"]).exits(4);
    says(&pass.stdout, &[note]);
    says(&said(&world, &["conflicts"]), &[note]);
    says(&said(&world, &["explain", &ann, "phone"]), &[note]);
    assert_eq!(world.sync().exits(4).report("contacts")["notes"], json!([]), "it is told once by a pass");
    world.run(&["resolve", "1", "--take", "crm"]).exits(0);
    assert!(!said(&world, &["conflicts"]).contains(note), "a new choice was made");
    world.sync().exits(0);
}

#[test]
fn what_is_made_anew_replaces_nothing() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace(
            "on_remote_delete = \"propagate\"",
            "on_remote_delete = \"restore\"\nlimits = { delete = \"100%\" }",
        )
    });
    let ann = world.add_ann("crm");
    world.add("crm", &json!({"email": "zed@x.io", "name": "Zed"}));
    world.sync().exits(0);
    world.at("crm", |sandbox| sandbox.remove("/contacts", &ann, crate::hands::now())).unwrap();
    let plan = said(&world, &["plan"]);
    says(&plan, &["POST /contacts", "ann@x.io"]);
    assert!(!plan.contains(" → ann@x.io"), "{plan}");
}

#[test]
fn the_first_halt_is_planned_without_a_number_that_no_pass_stored() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    for name in ["a", "b", "c"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name}));
    }
    world.sync().exits(0);
    world.sql("delete from contacts");
    let plan = world.run(&["plan"]).exits(5);
    says(&plan.stdout, &["`reconciled run --once` stores the halt, then approve it"]);
    assert!(!plan.stdout.contains("approve 1"), "{plan:#?}");
    world.run(&["run", "--once"]).exits(5);
    says(&world.run(&["plan"]).exits(5).stdout, &["`reconciled approve 1` lets it through"]);
}

#[test]
fn an_upstream_that_is_down_is_told_once_and_its_requests_count() {
    let mut world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("retry = { attempts = 1 }");
    let url = world
        .command()
        .get_envs()
        .find(|(name, _)| *name == "RECONCILED__VARS__CRM_URL")
        .unwrap()
        .1
        .unwrap()
        .to_owned();
    world.kill("crm");
    let run = |arguments: &[&str]| {
        crate::world::Ran::of(world.command().env("RECONCILED__VARS__CRM_URL", &url).args(arguments).output().unwrap())
    };
    let ran = run(&["run", "--once"]).exits(6);
    assert_eq!(ran.stdout.matches("crm: GET").count(), 1, "{ran:#?}");
    assert!(!ran.stderr.contains("GET") && !ran.stderr.contains("tick"), "{ran:#?}");
    assert_eq!(run(&["--json", "run", "--once"]).report("contacts")["upstreams"][0]["requests"], 1);
    let status = run(&["status"]).exits(6);
    assert_eq!(status.stdout.matches("GET /contacts").count(), 1, "{status:#?}");
}
