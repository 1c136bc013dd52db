//! Owns: claims about `check` and about commands that meet rules they cannot use.
//!
//! Must not know: the whole rules language (its own tests do).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::bench::{Bench, RULES};

#[test]
fn good_rules_are_ok() {
    let bench = Bench::with_rules();
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("ok 1 file: 1 upstream, 1 collection"), "{}", ran.out);
    let json = bench.run(&["check", "--json"]).json();
    assert_eq!(json["ok"], true);
    assert_eq!(json["rules"]["collections"][0], "contacts");
    assert_eq!(bench.names(), ["sync-rules"], "a check leaves nothing behind");
}

#[test]
fn wrong_keys_are_shown_in_their_file_with_the_nearest_name() {
    let bench = Bench::empty();
    bench.put("sync-rules/all.toml", &RULES.replace("every = ", "evry = ").replace("records = ", "recods = "));
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 2);
    for words in ["evry", "did you mean `every`?", "recods", "did you mean `records`?", "sync-rules/all.toml:"] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    let json = bench.run(&["check", "--json"]);
    assert_eq!(json.code, 2);
    assert_eq!(json.json()["ok"], false);
    assert!(json.json()["diagnostics"].as_array().unwrap().len() >= 2);
    for command in ["plan", "status", "run"] {
        let ran = bench.run(&[command]);
        assert_eq!(ran.code, 2, "{command}");
        assert_eq!(ran.out, "", "{command}");
        assert!(ran.err.contains("did you mean `every`?"), "{command}: {}", ran.err);
    }
    assert_eq!(bench.names(), ["sync-rules"], "nothing is created by commands that cannot begin");
}

#[test]
fn a_missing_secret_is_named_with_every_place_that_was_looked_at() {
    let bench = Bench::empty();
    let auth = "[upstream.crm.auth]\nkind = \"bearer\"\ntoken = \"${secret.crm_token}\"\n";
    bench.put("sync-rules/all.toml", &format!("{RULES}\n{auth}"));
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 2);
    for words in [
        "there is no secret `crm_token`",
        "systemd credentials (none passed)",
        "file secrets/crm_token (no such file)",
        "environment RECONCILED_SECRET_CRM_TOKEN (not set)",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert_eq!(bench.run(&["run", "--once"]).code, 2);
    assert_eq!(bench.run_with(&[("RECONCILED_SECRET_CRM_TOKEN", "canary-1")], &["check"]).code, 0);

    bench.put("secrets/crm_token", "canary-2\n");
    let path = bench.path().join("secrets/crm_token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("others may read it, mode 644; run `chmod 600 secrets/crm_token`"), "{}", ran.out);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = bench.run(&["check", "--json", "-vv"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "a secret is never shown");
}

#[test]
fn rules_that_are_not_there_are_a_clear_error() {
    let bench = Bench::empty();
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("sync-rules: the rules folder does not exist; name it with --rules"), "{}", ran.err);
    bench.put("sync-rules/examples/one.toml", RULES);
    let ran = bench.run(&["check"]);
    assert!(ran.err.contains("no rules in here"), "examples are read only when they are named: {}", ran.err);
    assert_eq!(bench.run(&["--rules", "sync-rules/examples", "check"]).code, 0);
}

#[test]
fn an_upstream_that_does_not_answer_is_told_by_check_online() {
    let bench = Bench::empty();
    bench.put("sync-rules/all.toml", &RULES.replace("retry =", "check = { request = \"GET /me\" }\nretry ="));
    let ran = bench.run(&["check", "--online"]);
    assert_eq!(ran.code, 6, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("failed") && ran.out.contains("GET /me"), "{}", ran.out);
    assert_eq!(bench.names(), ["sync-rules"]);
}

#[test]
fn an_upstream_without_a_probe_is_unavailable_when_its_listing_fails() {
    let bench = Bench::with_rules();
    let ran = bench.run(&["check", "--online"]);
    assert_eq!(ran.code, 6, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("1 upstream failed; the rules are good"), "{}", ran.out);
    assert!(!ran.out.contains("account") && !ran.out.lines().any(|line| line.starts_with("ok ")), "{}", ran.out);
    let json = bench.run(&["check", "--online", "--json"]).json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["upstreams"][0]["asked"], false);
    assert_eq!(json["upstreams"][0]["ok"], false);
}

#[test]
fn files_that_cannot_be_read_hang_nothing_and_hide_nothing() {
    let bench = Bench::empty();
    bench.put("sync-rules/all.toml", &RULES.replace("every = ", "evry = "));
    fs::write(bench.path().join("sync-rules/latin.toml"), b"# caf\xe9\n").unwrap();
    std::os::unix::fs::symlink("nowhere", bench.path().join("sync-rules/link.toml")).unwrap();
    let fifo = bench.path().join("sync-rules/pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let ran = bench.run(&["check"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    for words in [
        "did you mean `every`?",
        "latin.toml:1:6",
        "a byte that is not UTF-8",
        "a symbolic link that leads nowhere",
        "only regular files are read",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
}
