//! Every page by keyboard alone, readable light and dark, wide and narrow.

use serde_json::{Value, json};

use super::driver::Browser;
use super::{asks_for_a_pass, closes, logged_in, logged_in_with};
use crate::daemon::{add, hourly};
use crate::oauth::{SIGN_IN, Signed};
use crate::web::{TOKEN, listening};

/// As wide as a small telephone.
const NARROW: u32 = 360;
/// How often a page may be drawn anew while it is walked through.
const DRAWN_MAX: usize = 20;

/// Everything that a mouse can use, in the order of the page.
const USABLE: &str = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, \
     [tabindex=\"0\"]')].filter((one) => one.checkVisibility() || one.classList.contains('skip'))";

/// One page: by keyboard, light and dark, wide and narrow.
fn is_usable(browser: &Browser, name: &str, path: &str) {
    browser.go(path);
    looks_right(browser, name);
}

fn looks_right(browser: &Browser, name: &str) {
    tabs_through(browser, name);
    for (width, size) in [(None, "wide"), (Some(NARROW), "narrow")] {
        browser.width(width);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            browser.picture(&format!("{name}-{size}-{scheme}"));
            assert_eq!(unreadable(browser), json!([]), "{name} {size} {scheme}");
        }
        let past = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.eval(past), 0, "{name} {size}: only tables may be wider than the window");
    }
    browser.width(None);
}

#[test]
fn every_page_is_usable_by_keyboard_alone_and_readable_light_and_dark() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "merge = [\"manual\"]\nevery = "));
    world.settings_of_upstreams("quota = { requests = 20, per = \"day\" }\nbudget = [{ limit = 500, per = \"1h\" }, { limit = 10, per = \"1s\", match = { path = \"/contacts*\" } }]");
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &remote, &json!({ "name": "Ann Lee of the harbour" }));
    world.sql("update contacts set name = 'Ann Poe of the harbour'");
    asks_for_a_pass(&browser);
    daemon.logs("1 conflicts open");
    let id = world.rows("select id from contacts")[0][0].clone();
    let pages = [
        ("overview", "/".to_owned()),
        ("passes", "/passes".to_owned()),
        ("pass-2", "/passes/2".to_owned()),
        ("conflicts", "/conflicts".to_owned()),
        ("halts", "/halts".to_owned()),
        ("quarantine", "/quarantine".to_owned()),
        ("upstreams", "/upstreams".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("rules", "/rules".to_owned()),
        ("conflict", "/conflicts/1".to_owned()),
        ("records", "/records/contacts".to_owned()),
        ("record", format!("/records/contacts/{id}")),
    ];
    for (name, path) in &pages {
        is_usable(&browser, name, path);
    }
    closes(daemon, browser);
}

#[test]
fn pages_full_of_what_waits_for_people_are_usable_by_keyboard_alone() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "limits = { update = 5 }\nevery = "));
    for number in 0..60 {
        add(&world, &format!("{number}@x.io"));
    }
    let (mut daemon, address) = listening(&world, &[]);
    let Some(browser) = Browser::open(&address) else { return };
    daemon.logs("pass 1 of contacts: 61 changes here");
    // Signing in: the page has nothing but the field and its button.
    browser.go("/halts");
    looks_right(&browser, "login");
    browser.go("/login");
    reaches(&browser, "#token");
    browser.types(TOKEN);
    browser.enter();
    browser.wait("location.pathname === '/'");

    world.sql("update contacts set name = 'Ann of ' || name, phone = '2'");
    asks_for_a_pass(&browser);
    daemon.logs("halted by a guard");
    let many = |into: &str| {
        world.sql(&format!(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 60) insert into {into} from n"
        ));
    };
    many(
        "sync_quarantine select 'contacts', 'billing', 'remote:none-' || i, 'pull', 'the value for `phone` is no integer: ' || i, '{}', 0, 1",
    );
    many(
        "sync_hook (upstream, delivery, received_at, event, collection, remote_id, state, error) select 'crm', 'd' || i, \
         1700000000000000 + i, 'fetch', 'contacts', '1', case when i > 57 then 'dead' else 'done' end, \
         case when i > 57 then 'nobody looked within 30 days' end",
    );
    many(
        "sync_pass (collection, \"trigger\", started_at, ended_at, outcome, counts, rules_hash, error) select 'contacts', \
         'schedule', i * 1000000, i * 1000000 + 1234567, 'unavailable', '{\"upstreams\":[{\"upstream\":\"crm\",\"listed\":1200, \
         \"unchanged\":1000,\"written\":{\"updated\":3},\"refused\":2,\"deferred\":1}],\"conflicts_opened\":4}', '', \
         'crm: GET /contacts: 503 Service Unavailable'",
    );
    let id = world.rows("select id from contacts limit 1")[0][0].clone();
    for (name, path) in [
        ("full-overview", "/"),
        ("full-passes", "/passes?outcome=unavailable"),
        ("full-pass-1", "/passes/1"),
        ("full-pass-2", "/passes/2"),
        ("full-halts", "/halts"),
        ("full-halt", "/halts/1"),
        ("full-quarantine", "/quarantine"),
        ("full-webhooks", "/webhooks"),
        ("full-records", "/records/contacts"),
        ("full-record", &format!("/records/contacts/{id}")),
    ] {
        is_usable(&browser, name, path);
    }
    browser.go("/quarantine");
    assert!(browser.text().contains("none-1 (there)"), "{}", browser.text());
    browser.go("/webhooks");
    reaches(&browser, "a[rel=next]");
    browser.enter();
    browser.wait("location.search === '?after=11'");
    let before = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    world.rules("rules.toml", &before.replace("every = \"1h\"", "evry = \"1h\""));
    daemon.logs("checks them without touching anything");
    is_usable(&browser, "full-rules-refused", "/rules");
    is_usable(&browser, "full-overview-refused", "/");
    world.rules("rules.toml", &before);
    daemon.logs("rules and secrets were read anew");
    // A halt is approved without a mouse.
    browser.go("/halts");
    reaches(&browser, "form[action$='/approve'] button");
    browser.enter();
    daemon.logs("61 writes upstream");
    closes(daemon, browser);
}

#[test]
fn an_upstream_that_wants_a_person_to_sign_in_is_usable_by_keyboard_alone() {
    let signed = Signed::new(&format!("{SIGN_IN}redirect_url = \"https://pages.test/oauth/callback\"\n"));
    let hosts = [("RECONCILED__WEB__HOSTS", "pages.test".to_owned())];
    let Some((mut daemon, browser)) = logged_in_with(&signed.world, &hosts) else { return };
    daemon.logs("pass 1 of contacts");
    is_usable(&browser, "sign-in", "/upstreams");
    assert!(browser.text().contains("reauth required"), "{}", browser.text());
    reaches(&browser, "form[action='/upstreams/crm/sign-in'] button");
    closes(daemon, browser);
}

/// The tabulator key leads there.
#[track_caller]
fn reaches(browser: &Browser, css: &str) {
    let all = browser.eval(&format!("{USABLE}.length")).as_u64().unwrap();
    for _ in 0..=all {
        browser.tab();
        if browser.eval(&format!("document.activeElement.matches({css:?})")) == true {
            return;
        }
    }
    panic!("no key leads to {css} at {}:\n{}", browser.at(), browser.text());
}

/// Each thing is reached by the tabulator key, in order, and shows that it has the focus.
fn tabs_through(browser: &Browser, name: &str) {
    for _ in 0..DRAWN_MAX {
        if tabs_once(browser, name) {
            return;
        }
        // From the beginning: what is in the page now is another drawing of it.
        browser.go(&browser.at());
    }
    panic!("{name} is drawn anew all the time");
}

/// False where the page was drawn anew meanwhile.
fn tabs_once(browser: &Browser, name: &str) -> bool {
    let count = browser.eval(&format!("(window.usable = {USABLE}).length")).as_u64().unwrap();
    assert!(count >= 2, "{name}");
    let stays =
        format!("((now) => now.length === usable.length && now.every((one, at) => one === usable[at]))({USABLE})");
    // A field may have the focus from the beginning.
    let focused = browser.eval("usable.indexOf(document.activeElement)").as_i64().unwrap();
    for at in u64::try_from(focused + 1).unwrap()..count {
        browser.tab();
        let reached = browser.eval("usable.indexOf(document.activeElement)");
        let what = browser.eval(&format!("usable[{at}].outerHTML.slice(0, 200)"));
        let outline = browser.eval("getComputedStyle(document.activeElement).outlineStyle");
        if browser.eval(&stays) != true {
            return false;
        }
        assert_eq!(reached, at, "{name}: {what}");
        assert_ne!(outline, "none", "{name}: {what} does not show that it has the focus");
    }
    true
}

/// Texts with less contrast to what is behind them than WCAG 2.2 asks for (4.5 to 1).
pub fn unreadable(browser: &Browser) -> Value {
    browser.eval(
        "(() => {
            const light = (color) => {
                const parts = color.match(/[\\d.]+/g).map(Number);
                const linear = parts.slice(0, 3).map((part) => part / 255)
                    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return { is: parts.length < 4 || parts[3] > 0, of: 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] };
            };
            const behind = (one) => {
                for (; one; one = one.parentElement) {
                    const ground = light(getComputedStyle(one).backgroundColor);
                    if (ground.is) return ground.of;
                }
                return 1;
            };
            const bad = [];
            for (const one of document.querySelectorAll('body *')) {
                const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
                if (!says || !one.checkVisibility() || ['SCRIPT', 'STYLE'].includes(one.tagName)) continue;
                const [ink, ground] = [light(getComputedStyle(one).color).of, behind(one)];
                const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
                if (contrast < 4.5) bad.push(one.outerHTML.slice(0, 100) + ' ' + contrast);
            }
            return bad;
        })()",
    )
}
