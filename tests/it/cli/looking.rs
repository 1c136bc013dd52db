//! Owns: claims about commands that only look: clear errors, nothing created.
//!
//! Must not know: how a database is made.

use super::bench::Bench;

#[test]
fn looking_at_a_database_that_is_missing_is_an_error_and_makes_none() {
    let bench = Bench::with_rules();
    let commands: [&[&str]; 7] = [
        &["status"],
        &["show", "x"],
        &["explain", "x", "name"],
        &["history"],
        &["conflicts"],
        &["resolve", "1", "--keep"],
        &["approve", "1"],
    ];
    for args in commands {
        let ran = bench.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
        assert!(ran.err.contains("reconciled.db does not exist"), "{args:?}: {}", ran.err);
    }
    assert_eq!(bench.names(), ["sync-rules"]);
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let bench = Bench::with_rules();
    let text = "this is my shopping list, not a database\n".repeat(200);
    bench.put("reconciled.db", &text);
    for args in [&["status"][..], &["run", "--once"][..]] {
        let ran = bench.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("reconciled.db"), "{}", ran.err);
    }
    assert_eq!(std::fs::read_to_string(bench.path().join("reconciled.db")).unwrap(), text);
}

#[test]
fn unknown_collections_are_answered_by_the_nearest_name() {
    let bench = Bench::with_rules();
    for args in [&["plan", "contcats"][..], &["run", "--once", "contcats"][..]] {
        let ran = bench.run(args);
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(
            ran.err.contains("no collection named `contcats` in the rules; did you mean `contacts`?"),
            "{}",
            ran.err
        );
    }
    assert_eq!(bench.names(), ["sync-rules"]);
}
