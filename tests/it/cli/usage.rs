//! Owns: claims about wrong usage, help, completions, the schema.
//!
//! Must not know: rules beyond that there are some.

use super::bench::Bench;

#[test]
fn wrong_usage_exits_with_2_and_says_why_on_stderr() {
    let bench = Bench::empty();
    let check = |args: &[&str], words: &str| {
        let ran = bench.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    };
    check(&["frobnicate"], "unrecognized subcommand");
    check(&["run", "--onc"], "--once");
    check(&["resolve", "1"], "--take");
    check(&["resolve", "1", "--delete", "--keep"], "cannot be used with");
    check(&["history", "--limit", "0"], "0 is not in 1..=100000");
    check(&["sim", "7", "0"], "0 is not in 1..");
    check(&["--color", "pink", "schema"], "--color");
    check(&["-q", "-v", "schema"], "cannot be used with");
    check(&[], "Usage: reconciled");
}

#[test]
fn one_seed_is_called_one() {
    let ran = Bench::empty().run(&["sim", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.starts_with("1 seed, ") && ran.err.contains("0 seeds failed"), "{}", ran.err);
}

#[test]
fn help_is_data_and_lists_the_exit_codes() {
    let ran = Bench::empty().run(&["--help"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for words in ["5  halted by a guard", "7  another reconciled", "completions", "--print-config"] {
        assert!(ran.out.contains(words), "{words}");
    }
}

#[test]
fn completions_are_made_for_every_shell_without_settings() {
    let bench = Bench::empty();
    bench.put("reconciled.toml", "this is no TOML");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = bench.run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}: {}", ran.err);
        assert!(ran.out.contains("print-config"), "{shell}");
    }
}

#[test]
fn man_pages_are_printed_one_by_one_or_written_all_at_once_without_settings() {
    let bench = Bench::empty();
    bench.put("reconciled.toml", "this is no TOML");
    let page = |args: &[&str]| {
        let ran = bench.run(&[&["man"], args].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        ran.out
    };
    assert!(page(&[]).contains(".TH reconciled 1 "));
    assert!(page(&["check"]).contains(".TH reconciled-check 1 "));
    assert!(page(&["reconciled.toml"]).contains(".TH reconciled.toml 5 "));
    let ran = bench.run(&["man", "chekc"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean `check`?"), "{}", ran.err);
    bench.run(&["man", "--out", "pages"]);
    let written = std::fs::read_to_string(bench.path().join("pages/reconciled-check.1")).unwrap();
    assert_eq!(written, page(&["check"]));
    let refused = bench.run(&["man", "--out", "reconciled.toml"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("error: reconciled.toml: "), "{}", refused.err);
}

#[test]
fn the_schema_is_the_published_one() {
    let ran = Bench::empty().run(&["schema"]);
    let published = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.schema.json")).unwrap();
    assert_eq!(ran.json(), serde_json::from_str::<serde_json::Value>(&published).unwrap());
}

#[test]
fn a_reader_that_goes_away_ends_nothing_but_the_output() {
    let bench = Bench::empty();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_reconciled"));
    command.current_dir(bench.path()).arg("schema");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
