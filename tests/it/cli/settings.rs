//! Owns: claims about settings: layers, sources, mistakes.
//!
//! Must not know: what settings are used for.

use super::bench::Bench;

#[test]
fn print_config_names_the_source_of_every_value() {
    let bench = Bench::empty();
    bench.put("reconciled.toml", "database = \"file.db\"\n[log]\nformat = \"json\"\n[vars]\ntenant = \"acme\"\n");
    let variables = [("RECONCILED__LOG__LEVEL", "debug"), ("RECONCILED__VARS__REGION", "eu")];
    let ran = bench.run_with(&variables, &["--print-config", "--json", "--rules", "elsewhere"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown = ran.json();
    let check = |key: &str, value: &str, source: &str, name: Option<&str>| {
        let entry = shown["settings"].as_array().unwrap().iter().find(|entry| entry["key"] == key).unwrap();
        assert_eq!(entry["value"], value, "{key}");
        assert_eq!(entry["source"], source, "{key}");
        assert_eq!(entry["name"].as_str(), name, "{key}");
    };
    check("database", "file.db", "file", Some("reconciled.toml"));
    check("log.format", "json", "file", Some("reconciled.toml"));
    check("log.level", "debug", "environment", Some("RECONCILED__LOG__LEVEL"));
    check("rules_dir", "elsewhere", "flag", Some("--rules"));
    check("drain_timeout", "20s", "default", None);
    check("vars.tenant", "acme", "file", Some("reconciled.toml"));
    check("vars.region", "eu", "environment", Some("RECONCILED__VARS__REGION"));
    let ran = bench.run(&["--print-config"]);
    assert!(ran.out.contains("log.format") && ran.out.contains("reconciled.toml"), "{}", ran.out);
}

#[test]
fn every_mistake_in_the_file_and_the_environment_is_named_at_once() {
    let bench = Bench::with_rules();
    bench.put("reconciled.toml", "databse = \"a.db\"\ndrain_timeout = 20\n[log]\nlevel = \"loud\"\n");
    let ran = bench.run_with(&[("RECONCILED__RULES", "x"), ("RECONCILED__COLOR", "pink")], &["check"]);
    assert_eq!(ran.code, 2);
    for words in [
        "reconciled.toml:1:1: unknown key `databse`; did you mean `database`?",
        "reconciled.toml:2:17: `drain_timeout` is of type integer",
        "reconciled.toml:4:9: `log.level`",
        "RECONCILED__COLOR: not a word that it knows; write one of auto, always, never",
        "RECONCILED__RULES: no such setting; did you mean `RECONCILED__RULES_DIR`?",
    ] {
        assert!(ran.err.contains(words), "{words}\n{}", ran.err);
    }
}

#[test]
fn a_named_settings_file_must_be_there() {
    let ran = Bench::with_rules().run(&["--config", "nowhere.toml", "check"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("nowhere.toml: the settings cannot be read"), "{}", ran.err);
}

#[test]
fn log_directives_that_cannot_be_read_are_an_error() {
    let ran = Bench::with_rules().run_with(&[("RECONCILED_LOG", "reconciled=noisy")], &["check"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("RECONCILED_LOG"), "{}", ran.err);
}
