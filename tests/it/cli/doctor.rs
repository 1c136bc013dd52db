//! `doctor`: what it finds, and that it changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::daemon::{Daemon, add};
use crate::world::{Ran, World};

const TOKEN: &str = "canary-9c0ffee5";

/// A world whose upstream wants a token, with a `systemctl` that says this of the unit.
fn world(unit: &str) -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    add(&world, "ann@x.io");
    world.settings_of_upstreams(
        "auth = { kind = \"bearer\", token = \"${secret.crm_token}\" }\ncheck = { request = \"GET /contacts\" }",
    );
    std::fs::create_dir(world.path("secrets")).unwrap();
    std::fs::write(world.path("secrets/crm_token"), TOKEN).unwrap();
    mode(&world.path("secrets/crm_token"), 0o600);
    std::fs::create_dir(world.path("bin")).unwrap();
    std::fs::write(world.path("bin/systemctl"), format!("#!/bin/sh\nprintf '{unit}'\n")).unwrap();
    mode(&world.path("bin/systemctl"), 0o755);
    world
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn doctor(world: &World, more: &[&str]) -> Ran {
    let mut command = world.command();
    let ran = Ran::of(command.env("PATH", world.path("bin")).arg("doctor").args(more).output().unwrap());
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{ran:#?}");
    ran
}

/// `check: found` of everything that is of this level.
fn of(ran: &Ran, level: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == level);
    findings.map(|one| format!("{}: {}", one["check"].as_str().unwrap(), one["found"].as_str().unwrap())).collect()
}

#[track_caller]
fn says(found: &[String], start: &str) {
    assert!(found.iter().any(|one| one.starts_with(start)), "{start}: {found:#?}");
}

/// Every file below a folder, with its size and when it was changed.
fn files(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), (meta.len(), meta.modified().unwrap()));
        }
    }
    found
}

const NOT_INSTALLED: &str = "LoadState=not-found\\n";

#[test]
fn where_all_is_well_it_says_so_and_changes_nothing() {
    let world = world(NOT_INSTALLED);
    let before = files(&world.path(""));
    let ran = doctor(&world, &["--json"]).exits(0);
    assert_eq!(files(&world.path("")), before, "not even a database is made");
    says(&of(&ran, "ok"), "database: ");
    world.sync().exits(0);
    let before = files(&world.path(""));
    let ran = doctor(&world, &["--json"]).exits(0);
    let good = of(&ran, "ok");
    let place = world.path("secrets/crm_token");
    for start in [
        "settings: no settings file".to_owned(),
        "rules: 1 file in ".to_owned(),
        format!("secret crm_token: is there: file {}", place.file_name().map_or("", |_| "secrets/crm_token")),
        format!("database: {} is whole (", world.database().display()),
        "disk: ".to_owned(),
        "clock: it shows 20".to_owned(),
        "daemon: none runs".to_owned(),
        "upstream crm: answers 404 within ".to_owned(),
        "upstream crm: takes our credentials".to_owned(),
    ] {
        says(&good, &start);
    }
    assert_eq!(of(&ran, "warning"), ["unit: reconciled.service is not installed"]);
    assert_eq!(of(&ran, "error"), Vec::<String>::new());
    assert_eq!(files(&world.path("")), before);
    let shown = doctor(&world, &[]).exits(0).stdout;
    assert!(shown.contains("✓ rules: ") && shown.ends_with("nothing must be put right, 1 warning\n"), "{shown}");
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let mut world = world("LoadState=loaded\\nActiveState=failed\\n");
    let budget = "[upstream.crm]\nbudget = [{ limit = 1000, per = \"1m\" }]\n";
    world.change_rules("rules.toml", |rules| rules.replacen("[upstream.crm]\n", budget, 1));
    world.sync().exits(0);
    let budgets = format!("{}.budgets", world.database().display());
    says(&of(&doctor(&world, &["--json", "--offline"]), "ok"), &format!("budgets: what is spent is kept in {budgets}"));
    mode(&world.path("secrets/crm_token"), 0o644);
    mode(&world.database(), 0o666);
    mode(&world.path("rules"), 0o777);
    mode(Path::new(&budgets), 0o666);
    world.sql("update sync_pass set started_at = started_at + 7200000000");
    let ran = doctor(&world, &["--json", "--offline"]).exits(1);
    let bad = of(&ran, "error");
    says(&bad, "secret crm_token: cannot be had; looked at: ");
    assert!(bad.iter().any(|one| one.contains("others may read it, mode 644")), "{bad:#?}");
    assert!(ran.stdout.contains("put the last of these places right"), "{}", ran.stdout);
    says(&bad, "database: everybody on this machine may write to ");
    says(&bad, "rules: everybody on this machine may write to ");
    says(&bad, &format!("budgets: everybody on this machine may write to {budgets} (mode 666)"));
    says(&bad, "clock: a pass began at ");
    says(&bad, "unit: reconciled.service has failed");
    says(&of(&ran, "warning"), "database: everybody on this machine may read ");
    assert!(!ran.stdout.contains("upstream crm"), "nobody was asked: {}", ran.stdout);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["ok"], &report["errors"]), (&json!(false), &json!(bad.len())));
    let shown = doctor(&world, &["--offline"]).exits(1).stdout;
    assert!(shown.contains("    → chmod o-w "), "{shown}");

    // A newer program's, then none of ours.
    let spent = rusqlite::Connection::open(&budgets).unwrap();
    spent.pragma_update(None, "user_version", 99).unwrap();
    drop(spent);
    says(
        &of(&doctor(&world, &["--json", "--offline"]).exits(1), "error"),
        &format!("budgets: {budgets} cannot be used, and nothing is asked of upstreams: it is of version 99"),
    );
    std::fs::write(&budgets, "of another program, and long enough to be a database").unwrap();
    let ran = doctor(&world, &["--json", "--offline"]).exits(1);
    says(&of(&ran, "error"), &format!("budgets: {budgets} cannot be used"));
    assert!(ran.stdout.contains("remove it, and what was spent"), "{}", ran.stdout);
    for ending in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{budgets}{ending}")).ok();
    }

    // An upstream that is not well, one that refuses the credentials, then one that is gone.
    mode(&world.path("secrets/crm_token"), 0o600);
    let failing = reconciled::sandbox::Fault::status(503);
    world.at("crm", |crm| crm.push_fault(reconciled::sandbox::Matcher::any(), failing));
    says(&of(&doctor(&world, &["--json"]), "warning"), "upstream crm: answers 503 within ");
    let refused = reconciled::sandbox::Fault::status(401);
    let everywhere = reconciled::sandbox::Matcher::exactly(http::Method::GET, "/contacts");
    world.at("crm", |crm| crm.push_fault(everywhere, refused));
    says(
        &of(&doctor(&world, &["--json"]).exits(1), "error"),
        "upstream crm: GET /contacts 401: the credentials are refused",
    );
    world.change_rules("rules.toml", |rules| rules.replace("${var.crm_url}", "http://127.0.0.1:9"));
    world.kill("crm");
    says(&of(&doctor(&world, &["--json"]).exits(1), "error"), "upstream crm: http://127.0.0.1:9: not sent: ");

    // Rules and settings that cannot be read.
    world.change_rules("rules.toml", |rules| rules.replace("map]", "mop]"));
    says(&of(&doctor(&world, &["--json"]).exits(1), "error"), "rules: 1 file in ");
    std::fs::write(world.path("reconciled.toml"), "databse = \"x\"").unwrap();
    let bad = of(&doctor(&world, &["--json"]).exits(1), "error");
    assert!(bad.iter().any(|one| one.starts_with("settings: ") && one.contains("databse")), "{bad:#?}");
}

#[test]
fn a_damaged_database_and_a_running_daemon_are_told_of() {
    let world = world(NOT_INSTALLED);
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let ran = doctor(&world, &["--json"]).exits(0);
    says(&of(&ran, "ok"), "daemon: process ");
    // Edited rules that cannot be used: the daemon goes on by the older ones.
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    world.rules("rules.toml", &rules.replace("map]", "mop]"));
    daemon.logs("those from before stay in force");
    daemon.logs("`reconciled check` checks them");
    let bad = of(&doctor(&world, &["--json"]).exits(1), "error");
    says(&bad, "daemon: process ");
    assert!(bad.iter().any(|one| one.contains("works by older rules")), "{bad:#?}");
    daemon.stops();
    world.rules("rules.toml", &rules);
    let mut bytes = std::fs::read(world.database()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(world.database(), bytes).unwrap();
    says(
        &of(&doctor(&world, &["--json"]).exits(1), "error"),
        &format!("database: {} is damaged", world.database().display()),
    );
}
