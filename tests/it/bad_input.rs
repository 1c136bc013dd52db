//! Input that is wrong: rules, upstreams, databases. What is said, what it exits with, what is left alone.

use std::path::Path;
use std::process::Command;

use http::Method;
use reconciled::sandbox::{
    Auth, CursorEnd, Fault, FaultId, Matcher, Paging, ResourceConfig, Sandbox, SandboxConfig, Times,
};
use serde_json::{Value, json};

use crate::world::{Ran, World};

// Rules.

const WRONG_RULES: &str = r#"[upstream.crm]
base_url = "${var.crm_url}"
timeout = "soon"
auth = { kind = "bearer", token = "${secret.crm_token}" }
retries = 3

[collection.contacts]
evry = "5m"
match = { keys = [["e_mail"]] }
[collection.contacts.fields]
email = "text"
name = { type = "txt" }
phone = { type = "text", normalize = ["trimm"] }
price = "decimal"
boss = { type = "ref", to = "people" }

[binding.contacts.crm]
id = ".id"
updated_at = ".updated_at"
[binding.contacts.crm.read]
request = "FETCH contacts"
records = ".results"
page = { kind = "cursr" }
get = "GET /contacts"
[binding.contacts.crm.map]
email = ".email | ascii_downcase"
name = ".name["
phone = ".phone"
nickname = ".nick"
[binding.contacts.crm.write.update]
request = "PATCH /contacts/{id}"

[binding.contacts.erp]
id = ".id"
"#;

#[test]
fn every_mistake_in_the_rules_is_named_with_its_place_and_nothing_is_touched() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.rules("rules.toml", WRONG_RULES);
    world.rules("more.toml", "[upstream.spare]\nbase_url = \"nowhere\"\n");
    let found = world.run(&["--json", "check"]).exits(2);
    let findings: Value = serde_json::from_str(&found.stdout).unwrap();
    let text = found.stdout.clone();
    // What is wrong, by line of rules.toml.
    let wanted = [
        (3, "timeout"),
        (5, "retries"),
        (8, "evry"),
        (9, "e_mail"),
        (12, "txt"),
        (13, "trimm"),
        (14, "scale"),
        (15, "people"),
        (21, "FETCH"),
        (22, "records"),
        (23, "cursr"),
        (24, "{id}"),
        (26, "pull"),
        (27, "name"),
        (29, "nickname"),
        (33, "erp"),
    ];
    let run = world.run(&["run", "--once"]).exits(2);
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(line, _)| !run.stderr.contains(&format!("rules.toml:{line}:")))
        .map(|(line, what)| format!("{line}: {what}"))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "{}", run.stderr);
    for (_, what) in wanted {
        assert!(run.stderr.contains(what) && text.contains(what), "{what} is not named: {}", run.stderr);
    }
    assert!(run.stderr.contains("crm_token") && run.stderr.contains("RECONCILED"), "{}", run.stderr);
    assert!(run.stderr.contains("more.toml:"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    assert!(findings["errors"].as_u64().unwrap() >= wanted.len() as u64, "{text}");
    assert!(!world.database().exists());
    assert_eq!(world.lines_at("crm"), Vec::<String>::new(), "nobody was asked");
    // Everything that needs rules says the same.
    for command in [&["plan"][..], &["status"]] {
        assert!(world.run(command).exits(2).stderr.contains("rules.toml:8:"));
    }
}

#[test]
fn rules_that_are_no_toml_are_shown_where_they_break() {
    let world = World::new();
    world.rules("rules.toml", "[upstream.crm]\nbase_url = \"http://127.0.0.1\n");
    let ran = world.run(&["run", "--once"]).exits(2);
    assert!(ran.stderr.contains("rules.toml:2:"), "{}", ran.stderr);
}

#[test]
fn rules_that_are_not_there_are_missed_by_name() {
    let world = World::new();
    let empty = world.run(&["run", "--once"]).exits(2);
    assert!(empty.stderr.contains("rules") && empty.stderr.contains(".toml"), "{empty:?}");
    std::fs::remove_dir(world.path("rules")).unwrap();
    let none = world.run(&["run", "--once"]).exits(2);
    assert!(none.stderr.contains(&*world.path("rules").to_string_lossy()), "{none:?}");
}

#[test]
fn a_missing_secret_is_named_with_the_places_that_were_looked_at() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.settings_of_upstreams("auth = { kind = \"bearer\", token = \"${secret.crm_token}\" }");
    let ran = world.run(&["run", "--once"]).exits(2);
    assert!(ran.stderr.contains("crm_token") && ran.stderr.contains("secrets"), "{}", ran.stderr);
    assert!(ran.stderr.contains("RECONCILED_SECRET"), "{}", ran.stderr);
    assert_eq!(world.lines_at("crm"), Vec::<String>::new());
}

// Upstreams.

/// Two upstreams that agree about three contacts. What becomes of the second when the first misbehaves is asked later.
fn two(shape: impl Fn(&str, &mut ResourceConfig)) -> World {
    let world = World::with_contacts(&["crm", "erp"], shape);
    world.settings_of_upstreams("retry = { attempts = 1 }\nbody_max = \"100KB\"");
    world
}

fn fill(world: &World) {
    for name in ["a", "b", "c"] {
        world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"}));
    }
    world.sync().exits(0).wrote(3, 3);
    world.is_quiet();
    world.forget_requests();
}

fn upstream<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["upstreams"].as_array().unwrap().iter().find(|one| one["upstream"] == name).unwrap()
}

/// The first upstream fails so: exit 6, one line about it with these words, nothing of it is believed, and the second
/// upstream and the local table go on; once it is well again everything arrives.
fn is_unavailable(world: &mut World, words: &[&str], recovers: impl Fn(&mut World)) {
    edit_a(world, "erp");
    world.sql("update contacts set phone = '3' where email = 'b@x.io'");
    let ran = world.sync().exits(6);
    let report = ran.report("contacts");
    let error = upstream(&report, "crm")["error"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{words:?}: {error}");
    assert_eq!(upstream(&report, "erp")["error"], Value::Null, "{report:#}");
    let rows = [["a", "2"], ["b", "3"], ["c", "1"]];
    assert_eq!(world.rows("select name, phone from contacts order by name"), rows, "{report:#}");
    assert_eq!(phones_at(world, "erp"), ["2", "3", "1"]);
    // A person reads one line about it.
    let shown = world.run(&["run", "--once"]).exits(6);
    let lines: Vec<&str> = shown.stdout.lines().filter(|line| line.contains("crm: ")).collect();
    assert_eq!(lines.len(), 1, "{shown:#?}");
    // Later `status` still says why, and the table of the pass has not hidden it.
    let status = world.run(&["status"]).exits(6);
    assert!(words.iter().all(|word| status.stdout.contains(word)), "{words:?}: {status:#?}");
    assert_eq!(world.rows("select name, phone from contacts order by name"), rows);

    recovers(world);
    world.sync().exits(0).wrote(2, 0);
    assert_eq!(phones_at(world, "crm"), ["2", "3", "1"]);
    world.is_quiet();
}

/// Somebody changes the first contact at an upstream.
fn edit_a(world: &World, name: &str) {
    let a = world.contacts(name).into_iter().find(|one| one["name"] == "a").unwrap();
    world.edit(name, a["id"].as_str().unwrap(), &json!({"phone": "2"}));
}

/// The phones at an upstream, in the order of names.
fn phones_at(world: &World, name: &str) -> Vec<Value> {
    let mut contacts = world.contacts(name);
    contacts.sort_by_key(|one| one["name"].to_string());
    contacts.into_iter().map(|one| one["phone"].clone()).collect()
}

/// The listing of the first upstream is hit by a fault for ever.
fn listing_fails(world: &mut World, fault: Fault, words: &[&str]) -> FaultId {
    let id =
        world.at("crm", |crm| crm.push_fault_times(Matcher::exactly(Method::GET, "/contacts"), fault, Times::Forever));
    is_unavailable(world, words, |world| world.at("crm", Sandbox::clear_faults));
    id
}

macro_rules! listing_fails {
    ($($name:ident: $fault:expr => $words:expr;)*) => {$(
        #[test]
        fn $name() {
            let mut world = two(|_, _| {});
            fill(&world);
            listing_fails(&mut world, $fault, &$words);
        }
    )*};
}

listing_fails! {
    a_page_for_people_is_no_listing: Fault::HtmlBody => ["GET /contacts", "200", "text/html"];
    an_error_in_a_200_is_no_listing: Fault::ErrorBody200 { body: json!({"error": "quota"}) } => ["GET /contacts", "results"];
    a_list_of_errors_in_a_200_is_no_listing: Fault::ErrorBody200 { body: json!({"results": null}) } => ["GET /contacts", "results"];
    a_listing_cut_short_is_no_listing: Fault::TruncatedBody { after: None } => ["GET /contacts"];
    a_listing_without_its_last_byte_is_no_listing: Fault::WrongContentLength { extra: 1 } => ["GET /contacts"];
    garbage_is_no_listing: Fault::GarbageJson => ["GET /contacts", "200"];
    a_huge_answer_is_not_taken: Fault::HugeRecord { bytes: 2_000_000 } => ["GET /contacts", "100", "body_max"];
    a_server_error_is_said_with_its_status: Fault::status(500) => ["GET /contacts", "500", "scripted fault"];
    a_redirect_to_another_host_is_not_followed: Fault::Redirect { url: "http://example.invalid/contacts".to_owned() } => ["GET /contacts", "example.invalid"];
    a_404_for_the_listing_is_no_empty_listing: Fault::status(404) => ["GET /contacts", "404"];
    a_403_is_said_with_what_to_look_at: Fault::status(403) => ["GET /contacts", "403", "credentials"];
}

#[test]
fn refused_credentials_are_said_with_what_to_look_at() {
    let mut world = two(|_, _| {});
    fill(&world);
    world.at("crm", |crm| crm.config_mut().auth = Auth::Bearer { token: "another".to_owned() });
    is_unavailable(&mut world, &["GET /contacts", "401", "credentials"], |world| {
        world.at("crm", |crm| crm.config_mut().auth = Auth::None);
    });
}

#[test]
fn an_upstream_that_is_down_is_said_to_be_down() {
    let mut world = two(|_, _| {});
    fill(&world);
    world.kill("crm");
    edit_a(&world, "erp");
    let mut command = world.command();
    command.env("RECONCILED__VARS__CRM_URL", "http://127.0.0.1:1").args(["--json", "run", "--once"]);
    let ran = Ran::of(command.output().unwrap()).exits(6);
    let report = ran.report("contacts");
    let error = upstream(&report, "crm")["error"].as_str().unwrap();
    assert!(error.contains("refused") && error.contains("127.0.0.1:1"), "{error}");
    assert_eq!(world.rows("select phone from contacts order by name"), [["2"], ["1"], ["1"]]);
}

fn by_cursor(_: &str, resource: &mut ResourceConfig) {
    resource.page_size = 1;
    resource.paging = Paging::Cursor {
        param: "after".to_owned(),
        limit: "limit".to_owned(),
        next_at: "next".to_owned(),
        end: CursorEnd::Absent,
    };
}

const CURSOR: &str = "page = { kind = \"cursor\", next = \".next\", into = \"query.after\" }";

#[test]
fn a_cursor_that_repeats_ends_the_listing_with_an_error() {
    for fault in [Fault::RepeatCursor, Fault::CycleCursor] {
        let mut world = two(by_cursor);
        world.change_rules("rules.toml", |rules| rules.replace("page = \"none\"", CURSOR));
        fill(&world);
        listing_fails(&mut world, fault, &["GET /contacts"]);
        assert!(world.lines_at("crm").len() < 30);
    }
}

#[test]
fn a_first_listing_that_never_ends_is_given_up_and_read_anew_later() {
    for fault in [Fault::RepeatCursor, Fault::CycleCursor] {
        let world = two(by_cursor);
        world.change_rules("rules.toml", |rules| rules.replace("page = \"none\"", CURSOR));
        for name in ["a", "b", "c", "d"] {
            world.add("crm", &json!({"email": format!("{name}@x.io"), "name": name, "phone": "1"}));
        }
        let listing = Matcher::exactly(Method::GET, "/contacts");
        world.at("crm", |crm| crm.push_fault_times(listing, fault, Times::Forever));
        for _ in 0..2 {
            world.sync().exits(6);
            assert!(world.lines_at("crm").len() < 30);
        }
        world.at("crm", Sandbox::clear_faults);
        world.sync().exits(0);
        assert_eq!(world.rows("select count(*) from contacts"), [["4"]]);
        assert_eq!(world.contacts("erp").len(), 4);
        world.is_quiet();
    }
}

#[test]
fn what_a_failed_pass_saw_is_forgotten_if_it_is_not_so_any_more() {
    let world = two(|_, resource| (resource.version, resource.updated_at) = (None, None));
    world.change_rules("rules.toml", |rules| {
        let rules = rules.replace("version = \".etag\"\n", "").replace("updated_at = \".updated_at\"\n", "");
        rules.replace("precondition = { header = \"If-Match\", value = '\"{version}\"' }", "precondition = \"reread\"")
    });
    world.change_rules("rules.toml", |rules| rules.replace("on_remote", "limits = { delete = \"50%\" }\non_remote"));
    fill(&world);
    // An edit is listed, but a record is missing, and it cannot be found out whether it is gone.
    world.edit("crm", "1", &json!({"phone": "9"}));
    let missing = world.contact("crm", "3");
    world.at("crm", |crm| crm.remove("/contacts", "3", crate::hands::now())).unwrap();
    world.at("crm", |crm| {
        crm.push_fault_times(Matcher::of(Method::GET, "/contacts/"), Fault::status(500), Times::Forever)
    });
    let ran = world.sync().exits(6).wrote(0, 0);
    assert!(ran.stdout.contains("3 is missing from the listing and could not be asked for"), "{ran:#?}");
    // Both are as they were before anybody looks again.
    world.edit("crm", "1", &json!({"phone": "1"}));
    world.add("crm", &missing);
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(0, 0);
    assert_eq!(world.rows("select phone from contacts order by name"), [["1"], ["1"], ["1"]]);
    world.is_quiet();
}

#[test]
fn an_upstream_that_is_down_at_first_contact_gets_everything_later() {
    let world = two(|_, _| {});
    let listing = Matcher::exactly(Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault_times(listing, Fault::status(500), Times::Forever));
    world
        .at("erp", |erp| {
            erp.insert("/contacts", &json!({"email": "a@x.io", "name": "a", "phone": "1"}), crate::hands::now())
        })
        .unwrap();
    world.sync().exits(6);
    assert_eq!(world.rows("select name from contacts"), [["a"]]);
    world.at("crm", Sandbox::clear_faults);
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(phones_at(&world, "crm"), ["1"]);
    world.is_quiet();
}

// Databases.

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The program will not work on this database, says these words, and leaves it as it is.
fn is_left_alone(world: &World, code: i32, words: &[&str]) {
    let before = bytes(&world.database());
    for arguments in [&["run", "--once"][..], &["status"], &["plan"], &["history"], &["conflicts"]] {
        let ran = world.run(arguments).exits(code);
        let said = words.iter().all(|word| ran.stderr.contains(word)) && ran.stderr.contains("data.db");
        assert!(said && ran.stderr.lines().count() == 1, "{arguments:?} {words:?}: {ran:#?}");
        assert_eq!(bytes(&world.database()), before, "{arguments:?}");
    }
    assert_eq!(world.writes_at("crm"), []);
}

fn one() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world
}

#[test]
fn f16_a_database_that_another_program_holds_is_waited_for_and_then_said_to_be_busy() {
    let world = one();
    world.sql("update contacts set phone = '2'");
    let other = world.db();
    other.execute_batch("begin exclusive; update contacts set name = 'Anne'").unwrap();
    let mut command = world.command();
    command.env("RECONCILED__BUSY_TIMEOUT", "50ms").args(["run", "--once"]);
    let ran = Ran::of(command.output().unwrap()).exits(1);
    assert!(["busy", "data.db", "50 ms", "fuser"].iter().all(|word| ran.stderr.contains(word)), "{}", ran.stderr);
    assert_eq!(world.writes_at("crm"), []);
    // Looking is allowed meanwhile: readers do not wait for writers.
    world.run(&["history"]).exits(0);
    other.execute_batch("commit").unwrap();
    drop(other);
    world.sync().exits(0).wrote(1, 0);
    assert_eq!(world.contacts("crm")[0]["name"], "Anne");
    world.is_quiet();
}

#[test]
fn f06_a_database_of_a_newer_program_is_left_alone() {
    let world = one();
    world.sql("pragma user_version = 99");
    is_left_alone(&world, 1, &["schema 99", "newer reconciled"]);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let world = one();
    std::fs::remove_file(world.database()).unwrap();
    world.sql("create table theirs (a); pragma application_id = 7; pragma user_version = 3");
    is_left_alone(&world, 1, &["another application", "database of its own"]);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let world = one();
    std::fs::write(world.database(), "Dear diary, today I was overwritten. ".repeat(1000)).unwrap();
    is_left_alone(&world, 1, &["not a database", "left as it is", "backup"]);
}

#[test]
fn f15_a_damaged_database_is_left_alone() {
    let world = one();
    let mut all = bytes(&world.database());
    let page = 8192;
    // A page in the middle, its header first.
    for at in all.len() / page / 2 * page..all.len() {
        all[at] ^= 0xff;
    }
    std::fs::write(world.database(), &all).unwrap();
    let ran = world.run(&["run", "--once"]).exits(1);
    assert!(["damaged", "data.db", "left as it is", "backup"].iter().all(|word| ran.stderr.contains(word)), "{ran:#?}");
    assert_eq!(bytes(&world.database()), all);
    assert_eq!(world.writes_at("crm"), []);
}

#[test]
fn f20_a_place_that_cannot_be_written_is_said() {
    let world = one();
    let at = |path: &str| {
        let command = world.command();
        let mut plain = Command::new(command.get_program());
        plain.current_dir(world.path("")).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                plain.env(name, value);
            }
        }
        plain.arg("--rules").arg(world.path("rules")).arg("--db").arg(world.path(path)).args(["run", "--once"]);
        Ran::of(plain.output().unwrap())
    };
    // Below a file, in the kernel's own file system, a folder.
    std::fs::write(world.path("file"), "x").unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    for path in ["file/data.db", "/proc/data.db", "folder"] {
        let ran = at(path).exits(1);
        assert!(ran.stderr.contains(path) && ran.stderr.lines().count() == 1, "{path}: {ran:#?}");
        assert!(ran.stderr.contains("cannot be written"), "{path}: {ran:#?}");
    }
    assert_eq!(std::fs::read_to_string(world.path("file")).unwrap(), "x");
}

#[test]
fn looking_at_a_database_that_is_not_there_makes_none() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    for arguments in [&["status"][..], &["history"], &["conflicts"], &["show", "x"], &["resolve", "1", "--keep"]] {
        let ran = world.run(arguments).exits(1);
        assert!(
            ran.stderr.contains("data.db") && ran.stderr.contains("reconciled run --once"),
            "{arguments:?}: {ran:?}"
        );
        assert!(!world.database().exists());
    }
}

// What programs read, and what nobody may.

#[test]
fn every_command_that_prints_data_prints_json_where_it_is_asked_to() {
    let world = World::with_contacts(&["crm", "erp"], |_, _| {});
    world.change_rules("rules.toml", |rules| {
        rules.replace("phone = \"text\"", "phone = { type = \"text\", merge = \"manual\" }")
    });
    world.add_ann("crm");
    world.edit("crm", "1", &json!({"phone": "2"}));
    world.edit("erp", "1", &json!({"phone": "3"}));
    world.sync().exits(4);
    let id = world.rows("select id from contacts")[0][0].clone();
    world.sql("update contacts set name = 'Anne'");
    for (arguments, code) in [
        (&["check"][..], 0),
        (&["check", "--online"], 0),
        (&["plan"], 4),
        (&["run", "--dry-run"], 4),
        (&["run", "--once"], 4),
        (&["status"], 4),
        (&["show", &id], 0),
        (&["explain", &id], 0),
        (&["explain", &id, "phone"], 0),
        (&["history"], 0),
        (&["history", "--record", &id, "--field", "phone"], 0),
        (&["conflicts"], 4),
        (&["conflicts", "--all"], 4),
        (&["schema"], 0),
        (&["--print-config"], 0),
        (&["resolve", "1", "--take", "crm"], 0),
    ] {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let ran = world.run(&all);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:#?}");
        let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&ran.stdout).into_iter().collect();
        let documents = documents.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:#?}"));
        assert!(!documents.is_empty(), "{arguments:?}: {ran:#?}");
        // The same without: no JSON, but something to read, where the command does not change anything.
        if arguments[0] != "resolve" && arguments[0] != "schema" {
            assert!(!world.run(arguments).stdout.trim().is_empty(), "{arguments:?}");
        }
    }
    world.sync().exits(0);
    world.is_quiet();
}

#[test]
fn a_secret_shows_nowhere_even_where_the_upstream_says_it() {
    let canary = "canary-5f1c9e0a7b";
    let mut resource = ResourceConfig::at("/contacts");
    resource.page_size = 10;
    let mut world = World::new();
    let mut config = SandboxConfig::of([resource]);
    config.auth = Auth::Bearer { token: canary.to_owned() };
    world.upstream("crm", config);
    world.rules("rules.toml", &crate::world::contacts_rules(&["crm"]));
    world.settings_of_upstreams(
        "auth = { kind = \"bearer\", token = \"${secret.crm_token}\" }\nretry = { attempts = 1 }\nheaders = { X-Key = \"k-${secret.crm_token}\" }",
    );
    std::fs::create_dir(world.path("secrets")).unwrap();
    std::fs::write(world.path("secrets/crm_token"), format!("{canary}\n")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(world.path("secrets/crm_token"), private).unwrap();
    world.add_ann("crm");
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let ran = world.run(arguments);
        said += &ran.stdout;
        said += &ran.stderr;
        ran.code
    };
    let echo = |status: u16| Fault::Status {
        status,
        headers: vec![("www-authenticate".to_owned(), format!("Bearer {canary}"))],
        body: json!({"error": {"message": format!("the token {canary} is not known"), "token": canary}}).to_string(),
    };
    for status in [401, 403, 422, 500] {
        world.at("crm", |crm| crm.push_fault_times(Matcher::any(), echo(status), Times::Forever));
        assert_eq!(run(&["-vv", "run", "--once"]), 6, "{status}");
        run(&["--json", "run", "--once"]);
        run(&["check", "--online"]);
        world.at("crm", Sandbox::clear_faults);
    }
    // A write is refused with the secret in its reason, which is kept for people.
    world.sql("update contacts set phone = '2'");
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::PATCH, "/contacts/"), echo(422)));
    assert_eq!(run(&["-vv", "run", "--once"]), 4);
    for arguments in [&["status"][..], &["history"], &["--print-config"], &["plan"], &["explain", "1"]] {
        run(arguments);
        let mut json = vec!["--json"];
        json.extend(arguments);
        run(&json);
    }
    assert!(said.contains("the token ••• is not known") || said.contains("is not known"), "{said}");
    assert!(!said.contains(canary), "{said}");
    for file in std::fs::read_dir(world.path("")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let there = bytes(&path).windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!there, "{}", path.display());
        }
    }
}
