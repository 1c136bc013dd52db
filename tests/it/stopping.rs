//! Signals: what is finished, what is said, what is left behind, what it exits with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};

use crate::world::{Ran, World};

/// A world whose upstream lists slowly.
fn slow() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    let slow = Fault::Slow { delay_ms: 500, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    world
}

/// Starts the program and waits until it has asked the upstream for something.
fn started(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command();
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while world.at("crm", |crm| crm.requests().count() == 0) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it began");
        std::thread::yield_now();
    }
    child
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
}

fn copies(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().contains("reconciled-plan")).collect()
}

#[test]
fn a_plan_that_is_interrupted_leaves_no_copy_of_the_database() {
    for name in ["INT", "TERM"] {
        let world = slow();
        let plan = started(&world, &["plan"]);
        let folders = copies(&world);
        assert_eq!(folders.len(), 1, "it works beside the database");
        assert_eq!(std::fs::metadata(&folders[0]).unwrap().permissions().mode() & 0o777, 0o700);
        signal(&plan, name);
        let ran = Ran::of(plan.wait_with_output().unwrap()).exits(1);
        assert!(ran.stderr.contains("interrupted"), "{ran:#?}");
        assert_eq!(copies(&world), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_single_pass_that_ends_before_the_stop_counts_as_what_it_is() {
    let world = slow();
    let once = started(&world, &["run", "--once"]);
    signal(&once, "TERM");
    let ran = Ran::of(once.wait_with_output().unwrap()).exits(0);
    assert!(ran.stderr.contains("stopping: finishing the running pass (up to 20s); again to stop at once"), "{ran:#?}");
    assert!(ran.stdout.contains("in sync"), "{ran:#?}");
}

#[test]
fn collections_that_a_stop_left_out_are_pending() {
    let world = slow();
    world.change_rules("rules.toml", |rules| {
        let (head, crm) = rules.split_once("[upstream.crm]").unwrap();
        let second =
            format!("{head}[upstream.crm]{crm}").replace("contacts.", "others.").replace(".contacts", ".others");
        let (collection, rest) = second.split_once("[upstream.crm]").unwrap();
        let binding = rest.split_once("[binding").unwrap().1;
        format!("{rules}{collection}[binding{binding}")
    });
    let once = started(&world, &["run", "--once"]);
    signal(&once, "INT");
    let ran = Ran::of(once.wait_with_output().unwrap()).exits(3);
    assert!(ran.stderr.contains("stopped after 1 of 2 passes; the next run goes on"), "{ran:#?}");
}

#[test]
fn a_single_run_whose_terminal_is_gone_stops() {
    let world = slow();
    let once = started(&world, &["run", "--once"]);
    signal(&once, "HUP");
    let ran = Ran::of(once.wait_with_output().unwrap()).exits(0);
    assert!(ran.stderr.contains("stopping: finishing the running pass"), "{ran:#?}");
}
