//! The pages as people have them: in a real browser, by mouse and by keyboard, light and dark.

mod driver;

use http::Method;
use reconciled::sandbox::{Fault, Matcher, Times};
use serde_json::{Value, json};

use crate::daemon::{Daemon, add, hourly};
use crate::web::{TOKEN, listening};
use crate::world::World;
use driver::Browser;

/// A daemon with its pages in a browser, where somebody has logged in; `None` where such tests are left out.
fn logged_in(world: &World) -> Option<(Daemon, Browser)> {
    let (daemon, address) = listening(world, &[]);
    let browser = Browser::open(&address)?;
    browser.go("/");
    assert_eq!(browser.at(), "/login");
    browser.write("#token", TOKEN);
    browser.press("form", "Log in");
    browser.wait("location.pathname === '/'");
    Some((daemon, browser))
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
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    browser.wait("document.getElementById('live').dataset.state === 'on'");
    browser.wait("document.querySelector('main .badge').textContent === 'ok'");
    let slow = Fault::Slow { delay_ms: 50, bytes_per_chunk: 0 };
    world.at("crm", |sandbox| sandbox.push_fault_times(Matcher::of(Method::PATCH, "/"), slow, Times::Forever));
    // While the upstream is held here it answers nobody.
    world.at("crm", |_held| {
        world.sql("update contacts set phone = '2'");
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

/// Everything that a mouse can use, in the order of the page.
const USABLE: &str = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, \
     [tabindex=\"0\"]')].filter((one) => one.checkVisibility() || one.classList.contains('skip'))";

#[test]
fn every_page_is_usable_by_keyboard_alone_and_readable_light_and_dark() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "merge = [\"manual\"]\nevery = "));
    let Some((mut daemon, browser)) = logged_in(&world) else { return };
    daemon.logs("pass 1 of contacts");
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &remote, &json!({ "name": "Ann Lee of the harbour" }));
    world.sql("update contacts set name = 'Ann Poe of the harbour'");
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
        ("records", "/records/contacts".to_owned()),
        ("record", format!("/records/contacts/{id}")),
    ];
    for (name, path) in &pages {
        browser.go(path);
        tabs_through(&browser, path);
        for scheme in ["light", "dark"] {
            browser.scheme(scheme);
            browser.picture(&format!("{name}-{scheme}"));
            assert_eq!(unreadable(&browser), json!([]), "{path} {scheme}");
        }
    }
    closes(daemon, browser);
}

/// Each thing is reached by the tabulator key, in order, and shows that it has the focus.
fn tabs_through(browser: &Browser, path: &str) {
    let count = browser.eval(&format!("(window.usable = {USABLE}).length")).as_u64().unwrap();
    assert!(count >= 8, "{path}");
    for at in 0..count {
        browser.tab();
        let reached = browser.eval("usable.indexOf(document.activeElement)");
        let what = browser.eval(&format!("usable[{at}].outerHTML.slice(0, 200)"));
        assert_eq!(reached, at, "{path}: {what}");
        let outline = browser.eval("getComputedStyle(document.activeElement).outlineStyle");
        assert_ne!(outline, "none", "{path}: {what} does not show that it has the focus");
    }
}

/// Texts with less contrast to what is behind them than WCAG 2.2 asks for (4.5 to 1).
fn unreadable(browser: &Browser) -> Value {
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
