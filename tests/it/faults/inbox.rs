//! kill -9 around the answer to a webhook: whoever was told 200 need not send again, and whoever was not may.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use reconciled::sandbox::{Fault, Matcher};
use serde_json::json;

use crate::daemon::{Daemon, hourly};
use crate::webhooks::{Hook, post, try_post, with_hooks};
use crate::world::World;

use super::tools::{Injected, for_each, is_left_out};

/// Ann is here and at crm, which says by webhooks what changes there; and her id there.
fn ann() -> (World, String) {
    let world = hourly();
    with_hooks(&world);
    world.sync().exits(0);
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    (world, id)
}

/// A daemon, and where webhooks come to it.
fn listening(world: &World) -> (Daemon, SocketAddr) {
    let mut daemon = Daemon::start_with(world, &[("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0".to_owned())]);
    let log = daemon.logs("webhooks come to http://");
    let (_, rest) = log.split_once("webhooks come to http://").unwrap();
    (daemon, rest.split_once('/').unwrap().0.parse().unwrap())
}

fn hooks(world: &World) -> Vec<String> {
    world.rows("select delivery || ' ' || state from sync_hook order by id").concat()
}

/// What webhooks asked for was done: her new phone is here, crm was asked once, by this, and it is not done again.
#[track_caller]
fn is_done_once(world: &World, daemon: Daemon, asked: &str) {
    assert_eq!(daemon.stops().0, Some(0));
    assert_eq!(hooks(world), ["m1 done"]);
    assert_eq!(world.rows("select phone from contacts"), [["2"]]);
    assert_eq!(world.lines_at("crm"), [asked]);
    world.is_quiet();
}

#[test]
fn f49_killed_before_a_webhook_is_written_down_nobody_was_told_that_it_was_and_it_is_sent_again() {
    if is_left_out("strace") {
        return;
    }
    let (world, id) = ann();
    let (daemon, at) = listening(&world);
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.forget_requests();
    let killed = Injected::kill_at(daemon.pid(), "pwrite64", 1);
    let hook = Hook::about("m1", &id);
    assert_eq!(try_post(at, &hook), None);
    assert_eq!(daemon.ends().0, None, "it was killed");
    drop(killed);
    assert_eq!(hooks(&world), Vec::<String>::new());
    let (mut daemon, at) = listening(&world);
    assert_eq!(post(at, &hook), 200);
    daemon.logs("of contacts: 1 changes here");
    is_done_once(&world, daemon, &format!("GET /contacts/{id}"));
}

#[test]
fn f49_killed_at_any_write_to_the_database_no_webhook_is_answered_that_was_not_written_down() {
    if is_left_out("strace") {
        return;
    }
    let (without, with) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_each([1, 4, 8, 10, 12, 14, 17, 20, 24, 30], |number| {
        let (world, id) = ann();
        let (daemon, at) = listening(&world);
        world.edit("crm", &id, &json!({ "phone": "2" }));
        let killed = Injected::kill_at(daemon.pid(), "pwrite64,fsync,fdatasync", number);
        let hook = Hook::about("m1", &id);
        let answer = try_post(at, &hook);
        // Where that many are not made, it lives on until now.
        daemon.signal("KILL");
        daemon.ends();
        drop(killed);
        let is_known = !hooks(&world).is_empty();
        assert!(is_known || answer.is_none(), "{number}: {answer:?}");
        if is_known { &with } else { &without }.fetch_add(1, Ordering::Relaxed);
        let (mut daemon, at) = listening(&world);
        assert_eq!(post(at, &hook), 200);
        while hooks(&world) != ["m1 done"] {
            daemon.logs("pass ");
        }
        assert_eq!(daemon.stops().0, Some(0));
        assert_eq!(world.rows("select phone from contacts"), [["2"]]);
        world.is_quiet();
    });
    let (without, with) = (without.into_inner(), with.into_inner());
    assert!(without >= 1 && with >= 1, "killed before ({without}) and after ({with}) it was written down");
}

#[test]
fn f49_killed_between_writing_a_webhook_down_and_the_answer_it_is_done_and_a_repeat_is_taken_for_one() {
    if is_left_out("strace") {
        return;
    }
    let (world, id) = ann();
    let (mut daemon, at) = listening(&world);
    // No pass is to speak to an upstream before the answer is on its way.
    world.run(&["pause", "contacts"]).exits(0);
    daemon.logs("contacts is paused");
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.forget_requests();
    let killed = Injected::kill_at(daemon.pid(), "sendto,sendmsg,writev", 1);
    let hook = Hook::about("m1", &id);
    assert_eq!(try_post(at, &hook), None);
    assert_eq!(daemon.ends().0, None, "it was killed");
    drop(killed);
    assert_eq!(hooks(&world), ["m1 waiting"]);
    let (mut daemon, at) = listening(&world);
    // Before it is done, and after that.
    assert_eq!(post(at, &hook), 200);
    assert_eq!(hooks(&world), ["m1 waiting"]);
    world.run(&["resume", "contacts"]).exits(0);
    daemon.logs("of contacts: 1 changes here");
    assert_eq!(post(at, &hook), 200);
    world.run(&["status"]).exits(0);
    is_done_once(&world, daemon, &format!("GET /contacts/{id}"));
}

#[test]
fn f49_killed_after_the_answer_to_a_webhook_what_it_asks_for_is_done_by_the_next_process() {
    let (world, id) = ann();
    let (daemon, at) = listening(&world);
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.forget_requests();
    // Its pass is under way when the process ends.
    let never = Fault::Slow { delay_ms: 3_600_000, bytes_per_chunk: 0 };
    world.at("crm", |crm| crm.push_fault(Matcher::of(Method::GET, "/contacts"), never));
    assert_eq!(post(at, &Hook::about("m1", &id)), 200);
    while world.at("crm", |crm| crm.requests().count() == 0) {
        std::thread::yield_now();
    }
    daemon.signal("KILL");
    assert_eq!(daemon.ends().0, None, "it was killed");
    assert_eq!(hooks(&world), ["m1 waiting"]);
    world.forget_requests();
    let (mut daemon, _) = listening(&world);
    daemon.logs("of contacts: 1 changes here");
    // After a pass that did not end everything is read.
    is_done_once(&world, daemon, "GET /contacts");
}
