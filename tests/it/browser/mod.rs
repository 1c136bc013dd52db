//! The pages as people have them: in a real browser, by mouse and by keyboard, light and dark.

mod driver;
mod scriptless;
mod walk;

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Times};
use serde_json::json;

use crate::daemon::{Daemon, add, hourly};
use crate::web::{TOKEN, listening};
use crate::world::World;
use driver::Browser;
use walk::unreadable;

/// A daemon with its pages in a browser, where somebody has logged in; `None` where such tests are left out.
fn logged_in(world: &World) -> Option<(Daemon, Browser)> {
    logged_in_with(world, &[])
}

fn logged_in_with(world: &World, env: &[(&str, String)]) -> Option<(Daemon, Browser)> {
    let (daemon, address) = listening(world, env);
    let browser = Browser::open(&address)?;
    browser.go("/");
    assert_eq!(browser.at(), "/login");
    browser.write("#token", TOKEN);
    browser.press("form", "Log in");
    browser.wait("location.pathname === '/'");
    Some((daemon, browser))
}

/// More contacts than a pass may update.
fn crowded() -> World {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "limits = { update = 5 }\nevery = "));
    for number in 0..30 {
        add(&world, &format!("{number}@x.io"));
    }
    world
}

/// Whatever was done, no page complained.
fn closes(daemon: Daemon, browser: Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    drop(browser);
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn whoever_has_the_token_gets_in_and_nobody_else() {
    let world = hourly();
    let (daemon, address) = listening(&world, &[]);
    let Some(browser) = Browser::open(&address) else { return };
    browser.go("/conflicts");
    assert_eq!(browser.at(), "/login");
    browser.write("#token", "not the token at all");
    browser.press("form", "Log in");
    browser.wait("document.querySelector('[role=alert]')?.textContent === 'That is not the token.'");
    // The answer 403 is told in the console, and that is all right.
    assert!(browser.complaints().iter().all(|line| line.contains("403")));
    browser.write("#token", TOKEN);
    browser.enter();
    browser.wait("location.pathname === '/'");
    assert_eq!(browser.eval("document.cookie"), "", "no script reads the session");
    browser.press("header", "Log out");
    browser.wait("location.pathname === '/login'");
    browser.go("/");
    assert_eq!(browser.at(), "/login");
    closes(daemon, browser);
}

#[test]
fn a_pass_is_watched_while_it_runs() {
    let world = hourly();
    for number in 0..20 {
        add(&world, &format!("{number}@x.io"));
    }
    // Else a pass of its own sends what is edited while this one is held.
    world.change_rules("rules.toml", |rules| {
        rules.replace("get = { method = \"GET\", path = \"/contacts/{id}\" }\n", "")
    });
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    browser.wait("document.getElementById('live').dataset.state === 'on'");
    browser.wait("document.querySelector('main .badge').textContent === 'ok'");
    let slow = Fault::Slow { delay_ms: 50, bytes_per_chunk: 0 };
    world.at("crm", |sandbox| sandbox.push_fault_times(Matcher::of(Method::PATCH, "/"), slow, Times::Forever));
    // While the upstream is held here it answers nobody.
    world.at("crm", |_held| {
        world.sql("update contacts set phone = '2'");
        browser.press("main", "Sync");
        // The overview changes by itself.
        browser.wait("document.querySelector('main .badge').textContent === 'running'");
        browser.picture("overview-running");
        browser.wait("document.querySelector('main td:nth-of-type(3) a').textContent === '2'");
        browser.press("main td:nth-of-type(3)", "2");
        browser.wait("location.pathname === '/passes/2'");
        browser.wait("document.getElementById('live').dataset.state === 'on'");
        assert!(browser.text().contains("running"), "{}", browser.text());
        let watch = "new MutationObserver(() => seen.push(document.querySelector('main').innerText))";
        browser.eval(&format!(
            "(window.seen = [], {watch}.observe(document.querySelector('main'), {{ childList: true, subtree: true }}))"
        ));
        browser.picture("pass-running");
    });
    daemon.logs("pass 2 of contacts: 0 changes here, 21 writes upstream");
    browser.wait(
        "!document.querySelector('[data-follows]') && document.querySelector('main').innerText.includes('push to crm')",
    );
    let seen = browser.eval("seen").to_string();
    assert!(seen.contains("of 21 writes sent to crm"), "the same page showed how far it was: {seen}");
    browser.picture("pass");
    closes(daemon, browser);
}

/// What two sides change waits for a person; `phone` is a number.
fn undecided(count: usize) -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    for number in 0..count {
        let email = format!("{number}@x.io");
        world.add("crm", &json!({ "email": email, "name": "Ann Lee of the old harbour", "phone": 1 }));
    }
    world.change_rules("rules.toml", |rules| {
        let manual = "[collection.contacts]\nmerge = [\"manual\"]\nevery = \"1h\"";
        rules.replace("[collection.contacts]", manual).replace("phone = \"text\"", "phone = \"integer\"")
    });
    world
}

/// Edits bring a pass by themselves, which waits the longer the longer the last one took; what a person asks for does not.
fn asks_for_a_pass(browser: &Browser) {
    browser.go("/");
    browser.sends("main", "Sync");
}

/// Everybody's name and number change on both sides.
fn contest(world: &World, daemon: &mut Daemon, browser: &Browser, words: &str) {
    // The daemon sees both edits in one pass.
    let remotes: Vec<String> = world.contacts("crm").iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    for remote in &remotes {
        world.edit("crm", remote, &json!({ "name": "Ann Lee of the new harbour", "phone": 2 }));
    }
    world.sql("update contacts set name = 'Ann Poe of the old harbour', phone = 3");
    asks_for_a_pass(browser);
    daemon.logs(words);
}

#[test]
fn a_conflict_is_decided_by_a_side_or_by_a_value_of_ones_own() {
    let world = undecided(1);
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    contest(&world, &mut daemon, &browser, "2 conflicts open");
    browser.go("/conflicts");
    assert!(browser.text().contains("Ann Lee of the oldnew harbour"), "what differs is marked: {}", browser.text());
    assert_eq!(browser.eval("document.querySelectorAll('article ins').length"), 4);
    browser.sends("article:nth-of-type(1)", "Take local");
    assert_eq!(browser.at(), "/conflicts");
    daemon.logs("1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["name"], "Ann Poe of the old harbour");

    // What is no number is told, and what was typed is still there.
    browser.go("/conflicts");
    browser.press("article", "Conflict 2");
    browser.wait("location.pathname === '/conflicts/2'");
    browser.click("details summary");
    assert_eq!(browser.eval("document.querySelector('[name=value_0]').value"), "3");
    browser.write("[name=value_0]", "about four");
    browser.press("form.own", "Take this value");
    browser.wait("document.querySelector('[role=alert]')?.textContent.includes('the value for `phone` is no integer')");
    browser.picture("conflict-own-value");
    assert_eq!(browser.eval("document.querySelector('[name=value_0]').value"), "about four");
    assert!(browser.complaints().iter().all(|line| line.contains("422")));
    browser.write("[name=value_0]", "4");
    browser.press("form.own", "Take this value");
    browser.wait("location.pathname === '/conflicts'");
    daemon.logs("1 writes upstream");
    assert_eq!(
        (&world.contacts("crm")[0]["phone"], world.rows("select phone from contacts")),
        (&json!(4), vec![vec!["4".to_owned()]])
    );
    closes(daemon, browser);
}

#[test]
fn many_conflicts_are_decided_at_once_and_only_those_that_were_looked_at() {
    let world = undecided(60);
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    contest(&world, &mut daemon, &browser, "120 conflicts open");
    browser.go("/conflicts");
    assert_eq!(browser.eval("document.querySelectorAll('article').length"), 50, "a page of them");
    browser.press("main", "Next page");
    browser.wait("location.search === '?after=50'");
    browser.go("/conflicts?collection=contacts&field=phone");
    assert!(browser.text().contains("All 60 at once"), "{}", browser.text());
    browser.picture("conflicts-bulk");
    // Without the tick nothing is sent.
    browser.press("form.bulk", "Decide all");
    assert_eq!(browser.at(), "/conflicts?collection=contacts&field=phone");
    browser.eval("document.querySelector('#side').value = 'crm'");
    browser.click("[name=sure]");
    // While the upstream is held here no pass follows it.
    world.at("crm", |_held| {
        browser.press("form.bulk", "Decide all");
        browser
            .wait("document.querySelector('[role=status].good')?.textContent.startsWith('60 conflicts are decided')");
        browser.press("main", "Back to the conflicts");
        browser.wait("location.search === '?collection=contacts&field=phone'");
        let said = "Decided: {\"take\":\"crm\"}; the next pass applies it.";
        assert!(browser.text().contains(said), "{}", browser.text());
    });
    daemon.logs("60 changes here, 0 writes upstream");
    assert_eq!(world.rows("select distinct phone, name from contacts"), [["2", "Ann Poe of the old harbour"]]);
    browser.go("/conflicts?collection=contacts&field=phone");
    assert!(browser.text().contains("No conflicts."), "{}", browser.text());
    closes(daemon, browser);
}

#[test]
fn a_halt_shows_what_would_be_done_and_is_rejected_or_approved() {
    let world = crowded();
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts: 31 changes here");
    world.sql("update contacts set name = 'Ann of ' || name, phone = '2'");
    asks_for_a_pass(&browser);
    daemon.logs("halted by a guard");
    browser.go("/halts");
    browser.press("article", "Halt 1");
    browser.wait("location.pathname === '/halts/1'");
    assert_eq!(browser.eval("document.querySelectorAll('article.change').length"), 31);
    let shown = browser.eval("document.querySelector('article.change').innerText").to_string();
    assert!(shown.contains("update") && shown.contains("PATCH /contacts/"), "{shown}");
    assert_eq!(browser.eval("document.querySelector('article.change ins').textContent"), "Ann of ");
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        browser.picture(&format!("halt-{scheme}"));
        assert_eq!(unreadable(&browser), json!([]), "{scheme}");
    }
    // Rejected, nothing happens, however often a pass is asked for.
    browser.press("article", "Reject");
    browser.wait("location.pathname === '/halts'");
    daemon.logs("contacts is paused");
    assert!(browser.text().contains("The collection rests."), "{}", browser.text());
    browser.go("/");
    assert_eq!(browser.eval("document.querySelector('main .badge').textContent"), "paused");
    browser.sends("main", "Resume");
    daemon.logs("contacts goes on");
    assert!(world.contacts("crm").iter().all(|one| one["phone"] == "1"));
    browser.go("/halts");
    browser.sends("article", "Approve");
    daemon.logs("0 changes here, 31 writes upstream");
    assert!(world.contacts("crm").iter().all(|one| one["phone"] == "2"));
    browser.go("/halts");
    assert!(browser.text().contains("Nothing is halted."), "{}", browser.text());
    assert_eq!(
        world.rows("select value from sync_meta where name = 'note: plan that contacts halted with'"),
        [["null"]]
    );
    closes(daemon, browser);
}

#[test]
fn rules_that_are_refused_are_shown_where_they_are_wrong() {
    let world = hourly();
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    browser.go("/rules");
    browser.wait("document.getElementById('live').dataset.state === 'on'");
    assert!(browser.text().contains("Nothing is wrong with them."), "{}", browser.text());
    let before = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let line = before.lines().position(|line| line.starts_with("every")).unwrap() + 1;
    world.rules("rules.toml", &before.replace("every = \"1h\"", "evry = \"1h\""));
    daemon.logs("checks them without touching anything");
    // The page that is open already tells it.
    browser.wait("document.querySelector('[role=alert]') !== null");
    let text = browser.text();
    for words in ["those from before are in force", &format!("rules.toml:{line}:"), "evry", "every"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        browser.picture(&format!("rules-{scheme}"));
        assert_eq!(unreadable(&browser), json!([]), "{scheme}");
    }
    browser.go("/");
    assert!(browser.text().contains("those from before are in force"), "{}", browser.text());
    world.rules("rules.toml", &before);
    daemon.logs("rules and secrets were read anew");
    browser.wait("document.querySelector('[role=alert]') === null");
    closes(daemon, browser);
}

#[test]
fn a_webhook_that_could_not_be_followed_is_tried_again_or_dropped() {
    let world = hourly();
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    let dead = |delivery: &str, collection: &str| {
        world.sql(&format!(
            "insert into sync_hook (upstream, delivery, received_at, event, collection, remote_id, state, error) \
             values ('crm', '{delivery}', 1700000000000000, 'fetch', {collection}, '1', 'dead', 'nobody looked')"
        ));
    };
    dead("d-one", "'contacts'");
    dead("d-two", "'contacts'");
    dead("d-three", "'deals'");
    browser.go("/webhooks?state=dead");
    assert!(browser.text().contains("3 could not be followed"), "{}", browser.text());
    browser.picture("webhooks");
    browser.press("tr:nth-of-type(1)", "Retry");
    browser.wait("document.querySelector('[role=alert]')?.textContent.includes('do not bind `deals`')");
    assert!(browser.complaints().iter().all(|line| line.contains("409")));
    browser.go("/webhooks?state=dead");
    browser.press("tr:nth-of-type(2)", "Drop");
    browser.wait("document.querySelectorAll('tbody tr').length === 2");
    browser.press("tr:nth-of-type(2)", "Retry");
    // It brings a pass, which follows it.
    daemon.logs("pass 2 of contacts");
    assert_eq!(world.rows("select \"trigger\" from sync_pass order by id desc limit 1"), [["webhook"]]);
    let left = world.rows("select delivery, state from sync_hook order by id");
    assert_eq!(left, [["d-three", "dead"], ["d-one", "done"]]);
    closes(daemon, browser);
}
