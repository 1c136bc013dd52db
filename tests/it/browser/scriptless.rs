//! The pages in a browser that runs no scripts: all that they let people do goes by links and forms.

use serde_json::json;

use super::driver::Browser;
use super::{closes, contest, crowded, undecided};
use crate::daemon::{Daemon, hourly};
use crate::web::{TOKEN, listening};
use crate::world::World;

/// As [`super::logged_in`], without scripts.
fn logged_in(world: &World) -> Option<(Daemon, Browser)> {
    let (daemon, address) = listening(world, &[]);
    let browser = Browser::open(&address)?;
    browser.without_scripts();
    browser.go("/");
    browser.arrives("/login");
    browser.write("#token", TOKEN);
    browser.sends("form", "Log in");
    browser.arrives("/");
    Some((daemon, browser))
}

#[test]
fn without_scripts_a_page_stays_as_it_is_until_it_is_loaded_again() {
    let world = hourly();
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    browser.go("/passes");
    let passes = "document.querySelectorAll('main tbody tr').length";
    assert_eq!(browser.eval(passes), 1);
    world.run(&["sync"]).exits(0);
    daemon.logs("pass 2 of contacts");
    assert_eq!(browser.eval(passes), 1, "no script runs");
    browser.go("/passes");
    assert_eq!(browser.eval(passes), 2);
    for page in ["/", "/conflicts", "/halts", "/quarantine", "/upstreams", "/rules", "/webhooks", "/records/contacts"] {
        browser.go(page);
        assert_eq!(browser.at(), page);
        browser.picture(&format!("scriptless{}", page.replace('/', "-")));
    }
    browser.sends("header", "Log out");
    browser.arrives("/login");
    browser.go("/passes");
    browser.arrives("/login");
    closes(daemon, browser);
}

#[test]
fn without_scripts_conflicts_are_decided_one_by_one_and_in_bulk() {
    let world = undecided(60);
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    contest(&world, &mut daemon, &browser, "120 conflicts open");
    browser.go("/conflicts");
    browser.press("main", "Next page");
    assert_eq!(browser.at(), "/conflicts?after=50");
    browser.sends("article:nth-of-type(1)", "Take local");
    browser.arrives("/conflicts");
    daemon.logs("1 writes upstream");
    // Its own value: what is no number is told, and what was typed is still there.
    browser.go("/conflicts?collection=contacts&field=phone");
    let first = browser.eval("document.querySelector('article a[href^=\"/conflicts/\"]').getAttribute('href')");
    browser.click("article a[href^='/conflicts/']");
    browser.arrives(first.as_str().unwrap());
    browser.click("details summary");
    browser.write("[name=value_0]", "about four");
    browser.sends("form.own", "Take this value");
    browser
        .until("!!document.querySelector('[role=alert]')?.textContent.includes('the value for `phone` is no integer')");
    assert_eq!(browser.eval("document.querySelector('[name=value_0]').value"), "about four");
    assert!(browser.complaints().iter().all(|line| line.contains("422")));
    browser.write("[name=value_0]", "4");
    browser.sends("form.own", "Take this value");
    browser.arrives("/conflicts");
    daemon.logs("1 writes upstream");
    // All that are left of a field at once.
    browser.go("/conflicts?collection=contacts&field=phone");
    browser.choose("#side", "crm");
    browser.click("[name=sure]");
    browser.sends("form.bulk", "Decide all");
    daemon.logs("changes here, 0 writes upstream");
    browser.go("/conflicts?collection=contacts&field=phone");
    assert!(browser.text().contains("No conflicts."), "{}", browser.text());
    let phones = "select phone, count(*) from contacts group by phone order by phone";
    assert_eq!(world.rows(phones)[0], ["2", "59"], "{:?}", world.rows(phones));
    closes(daemon, browser);
}

#[test]
fn without_scripts_a_halt_is_looked_at_rejected_and_approved() {
    let world = crowded();
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts: 31 changes here");
    world.sql("update contacts set name = 'Ann of ' || name, phone = '2'");
    browser.go("/");
    browser.sends("main", "Sync");
    daemon.logs("halted by a guard");
    browser.go("/halts");
    browser.press("article", "Halt 1");
    browser.arrives("/halts/1");
    assert_eq!(browser.eval("document.querySelectorAll('article.change').length"), 31);
    browser.sends("article", "Reject");
    browser.arrives("/halts");
    daemon.logs("contacts is paused");
    browser.go("/");
    browser.sends("main", "Resume");
    daemon.logs("contacts goes on");
    browser.go("/halts");
    browser.sends("article", "Approve");
    daemon.logs("0 changes here, 31 writes upstream");
    browser.go("/halts");
    assert!(browser.text().contains("Nothing is halted."), "{}", browser.text());
    assert!(world.contacts("crm").iter().all(|one| one["phone"] == json!("2")));
    closes(daemon, browser);
}
