//! Owns: claims about commands around passes, on the folder that the demo leaves and on an upstream that is not there.
//!
//! Must not know: how a pass decides.

use std::sync::OnceLock;

use super::bench::Bench;

/// A folder with rules, settings, secrets and a database after several passes; nobody answers for its upstreams.
fn after_the_demo() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let bench = Bench::empty();
        let ran = bench.run(&["demo", "--keep", "."]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        bench
    })
}

/// The id of a contact.
fn contact(bench: &Bench, email: &str) -> String {
    let database = rusqlite::Connection::open(bench.path().join("reconciled.db")).unwrap();
    database.query_row("SELECT id FROM contacts WHERE email = ?1", [email], |row| row.get(0)).unwrap()
}

#[test]
fn the_demo_tells_its_story_ends_well_and_leaves_nothing_behind() {
    let bench = Bench::empty();
    let mut command = bench.command(&["demo"]);
    let folder = tempfile::tempdir().unwrap();
    let output = command.env("TMPDIR", folder.path()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("0 writes upstream, 0 changes here."), "{out}");
    assert!(out.contains("Pia is at billing once"), "{out}");
    assert!(!out.contains("halted"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colour where nobody looks");
    assert_eq!(bench.names(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_is_kept_in_a_folder_named_relative_to_the_current_one() {
    let bench = Bench::empty();
    let ran = bench.run(&["demo", "--keep", "kept/here"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let ran = bench.run(&["--config", "kept/here/reconciled.toml", "status", "--json"]);
    assert_eq!(ran.json()["collections"][1]["records"], 14, "the command that it ends with works: {}", ran.err);
}

#[test]
fn the_demo_keeps_its_hands_off_a_folder_with_something_in_it() {
    let bench = Bench::with_rules();
    let ran = bench.run(&["demo", "--keep", "."]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("name a new or an empty folder"), "{}", ran.err);
    assert_eq!(bench.names(), ["sync-rules"]);
}

#[test]
fn a_record_is_shown_by_local_id_by_collection_and_by_remote_id() {
    let bench = after_the_demo();
    let id = contact(bench, "dan@birch.example");
    let shown = bench.run(&["show", &id, "--json"]).json();
    assert_eq!(shown["collection"], "contacts");
    let field = shown["fields"].as_array().unwrap().iter().find(|field| field["field"] == "status").unwrap();
    assert_eq!(field["local"]["value"], "customer");
    let link = shown["links"].as_array().unwrap().iter().find(|link| link["upstream"] == "crm").unwrap();
    let remote = link["remote_id"].as_str().unwrap();
    for name in [format!("contacts/{id}"), remote.to_owned()] {
        assert_eq!(bench.run(&["show", &name, "--json"]).json()["record"], *id, "{name}");
    }
    assert!(bench.run(&["show", &id]).out.contains("Dan Ellis"));
    let ran = bench.run(&["show", "nobody"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no record `nobody`"), "{}", ran.err);
}

#[test]
fn a_field_is_explained_with_the_rule_that_decided_and_the_value_that_lost() {
    let bench = after_the_demo();
    let id = contact(bench, "dan@birch.example");
    let ran = bench.run(&["explain", &id, "status"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for words in ["source_priority", "lost      crm: lost", "set by    local"] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    let json = bench.run(&["explain", &id, "status", "--json"]).json();
    assert_eq!(json["fields"][0]["origin"]["origin"], "local");
    assert_eq!(json["fields"][0]["rules"]["merge"][0], "source_priority");
    let ran = bench.run(&["explain", &id, "statsu"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean `status`?"), "{}", ran.err);
}

#[test]
fn history_and_conflicts_can_be_asked_by_people_and_programs() {
    let bench = after_the_demo();
    let id = contact(bench, "ann@acorn.example");
    let history = bench.run(&["history", "--record", &id, "--field", "name", "--json"]).json();
    let lines = history["history"].as_array().unwrap();
    let local = lines.iter().find(|line| line["kind"] == "local").unwrap();
    assert_eq!(local["after"][0], "Ann Bell-Young");
    let push = lines.iter().find(|line| line["kind"] == "push").unwrap();
    assert_eq!((&push["op"], &push["fields"][0]), (&"update".into(), &"name".into()), "a write that sent the field");
    assert!(bench.run(&["history", "--limit", "3"]).out.contains("pass "));
    let pass = local["pass"].as_i64().unwrap().to_string();
    let asked = bench.run(&["history", "--pass", &pass, "--json"]).json();
    let phases: Vec<&str> =
        asked["pass"]["phases"].as_array().unwrap().iter().map(|phase| phase["phase"].as_str().unwrap()).collect();
    assert_eq!((phases[0], phases.iter().filter(|phase| **phase == "commit").count()), ("check", 1), "{phases:?}");
    assert!(phases.contains(&"read") && phases.contains(&"decide") && phases.contains(&"push"), "{phases:?}");
    let told = bench.run(&["history", "--pass", &pass]).out;
    assert!(told.contains(&format!("pass {pass} of contacts")) && told.contains("push to "), "{told}");
    let ran = bench.run(&["conflicts", "--all", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json()["conflicts"][0]["fields"][0], "notes");
    let ran = bench.run(&["resolve", "1", "--take", "crm"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("conflict 1 is closed already"), "{}", ran.err);
    let ran = bench.run(&["resolve", "99", "--keep"]);
    assert!(ran.code == 1 && ran.err.contains("no conflict 99"), "{}", ran.err);
    let ran = bench.run(&["approve", "99"]);
    assert!(ran.code == 1 && ran.err.contains("no halt 99 waits"), "{}", ran.err);
}

#[test]
fn status_counts_what_there_is() {
    let bench = after_the_demo();
    let ran = bench.run(&["status", "--json"]);
    let contacts = &ran.json()["collections"][1];
    assert_eq!(contacts["collection"], "contacts");
    assert_eq!(contacts["records"], 14);
    assert_eq!(contacts["conflicts_open"], 0);
    assert!(bench.run(&["status"]).out.contains("companies"));
}

#[test]
fn an_upstream_that_is_not_there_makes_a_plan_and_a_pass_end_with_6() {
    let bench = Bench::with_rules();
    let ran = bench.run(&["plan", "--json"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    assert_eq!(ran.json()["in_sync"], false);
    assert_eq!(ran.json()["passes"][0]["outcome"], "unavailable");
    assert_eq!(bench.names(), ["sync-rules"], "a plan changes nothing here");
    let ran = bench.run(&["run", "--once", "--json"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    assert_eq!(ran.json_lines()[0]["collection"], "contacts");
    assert_eq!(bench.run(&["status"]).code, 6);
    assert!(bench.names().contains(&"reconciled.db".to_owned()));
}

#[test]
fn f11_a_second_daemon_on_the_database_ends_with_7() {
    use std::io::{BufRead as _, BufReader};
    let bench = Bench::with_rules();
    let mut daemon = std::process::Command::new(env!("CARGO_BIN_EXE_reconciled"));
    daemon.current_dir(bench.path()).args(["run", "--json"]);
    let mut daemon = daemon.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    // Its first report says that it has the database.
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("contacts"), "{line}");
    let second = bench.run(&["run", "--once"]);
    assert_eq!(second.code, 7, "{}", second.err);
    assert_eq!(bench.run(&["status", "--json"]).json()["collections"][0]["collection"], "contacts");
    // f7: a stop that was asked for is no failure.
    let pid = daemon.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}
