//! The command line and a daemon that hangs: nobody waits for ever, and everybody is told why.

use std::process::{Child, Command, Stdio};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};

use crate::daemon::{Daemon, hourly};
use crate::world::{Ran, World};

fn asks(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn who_asks_a_daemon_that_was_stopped_is_told_so_and_does_not_wait_for_ever() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    // One is being answered line by line, and the pass that it waits for takes longer than this test.
    let slow = Fault::Slow { delay_ms: 3_600_000, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    world.forget_requests();
    let sync = asks(&world, &["sync"]);
    while world.at("crm", |crm| crm.requests().count() == 0) {
        std::thread::yield_now();
    }
    daemon.signal("STOP");
    // The others are not answered at all.
    let status = asks(&world, &["status"]);
    let more = [vec!["pause", "contacts"], vec!["plan"]];
    let more: Vec<Child> = more.iter().map(|arguments| asks(&world, arguments)).collect();
    let words =
        |silence: u8| format!("(process {}) has said nothing for {silence} s: it hangs or was stopped", daemon.pid());
    for child in more {
        let ran = Ran::of(child.wait_with_output().unwrap()).exits(1);
        assert!(ran.stderr.contains(&words(15)), "{ran:#?}");
    }
    // How things stand is in the database as well.
    let ran = Ran::of(status.wait_with_output().unwrap()).exits(3);
    assert!(ran.stderr.contains(&words(15)) && ran.stdout.contains("contacts"), "{ran:#?}");
    let ran = Ran::of(sync.wait_with_output().unwrap()).exits(1);
    assert!(ran.stderr.contains(&words(30)), "{ran:#?}");
    daemon.signal("CONT");
}

#[test]
fn who_waits_long_for_a_pass_hears_that_the_daemon_lives() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    // Longer than a daemon may say nothing.
    let slow = Fault::Slow { delay_ms: 33_000, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), slow));
    world.settings_of_upstreams("timeout = { idle = \"50s\", total = \"90s\" }");
    daemon.logs("they have changed");
    world.run(&["sync"]).exits(0);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn whoever_changes_something_is_named_in_the_log() {
    let world = hourly();
    let mut daemon = Daemon::start(&world);
    daemon.logs("pass 1 of contacts");
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    let uid = String::from_utf8(id).unwrap().trim().to_owned();
    world.run(&["status"]).exits(0);
    let pause = asks(&world, &["pause", "contacts"]);
    let pid = pause.id();
    Ran::of(pause.wait_with_output().unwrap()).exits(0);
    let log = daemon.logs("contacts is paused");
    assert!(log.contains(&format!("user {uid} (process {pid}) asks: /v1/pause/contacts")), "{log}");
    assert_eq!(log.matches(" asks: ").count(), 1, "who only looks is not named: {log}");
    daemon.stops();
}
