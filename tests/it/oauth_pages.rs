//! Signing in to an upstream by the daemon's own pages, and what a running daemon makes of credentials that change.

use serde_json::json;

use crate::daemon::Daemon;
use crate::oauth::{SECRET, SIGN_IN, Signed};
use crate::web::{TOKEN, ask, between, browse, get, listening, metrics};
use crate::world::Ran;

/// A name that a proxy might be known by.
const PAGES: &str = "pages.test";

fn hourly(signed: &Signed) {
    signed.world.change_rules("rules.toml", |rules| {
        rules.replace("[collection.contacts]", "[collection.contacts]\nevery = \"1h\"")
    });
}

fn said(text: String) -> Ran {
    Ran { code: 0, stdout: String::new(), stderr: text }
}

/// A browser that comes back: status, head and page.
fn back(address: &str, host: &str, cookie: &str, path: &str) -> (u16, String, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // As after a way over another site.
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// Presses the button: the cookie of the sign-in, and what the browser brings back.
fn begun(signed: &Signed, address: &str, session: &str, form_token: &str) -> (String, String) {
    let form = format!("form_token={form_token}");
    assert_eq!(browse(address, session, "/upstreams/crm/sign-in", Some("form_token=x")).0, 403);
    assert_eq!(browse(address, "", "/upstreams/crm/sign-in", Some(&form)).0, 401);
    let (status, head, page) = browse(address, session, "/upstreams/crm/sign-in", Some(&form));
    assert_eq!(status, 200, "{page}");
    assert!(!head.contains("location: "), "a form may not lead elsewhere: {head}");
    let there = between(&head, "refresh: 0; url=", "\r\n");
    assert!(page.contains("Go on to 127.0.0.1"), "{page}");
    let cookie = between(&head, "set-cookie: ", "\r\n");
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, "HttpOnly; SameSite=Lax; Path=/oauth/callback; Max-Age=600; Secure");
    let location = signed.runtime.block_on(async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        client.get(there).send().await.unwrap().headers()["location"].to_str().unwrap().to_owned()
    });
    let path = location.strip_prefix(&format!("https://{PAGES}")).unwrap();
    assert!(path.starts_with("/oauth/callback?code="), "{path}");
    (pair.to_owned(), path.to_owned())
}

#[test]
fn a_person_signs_in_by_the_page_of_upstreams_and_the_daemon_goes_on() {
    let signed = Signed::new(&format!("{SIGN_IN}redirect_url = \"https://{PAGES}/oauth/callback\"\n"));
    hourly(&signed);
    let (mut daemon, address) = listening(&signed.world, &[("RECONCILED__WEB__HOSTS", PAGES.to_owned())]);
    let mut log = daemon.logs("pass 1 of contacts");
    let metric = |value: u8| format!("reconciled_upstream_reauth_required{{upstream=\"crm\"}} {value}\n");
    assert!(metrics(&address).contains(&metric(1)));
    assert!(get(&address, "/api/v1/upstreams")["upstreams"][0]["state"]["reauth"].is_string());
    let told = signed.world.run(&["status"]);
    assert!(told.stdout.contains("reauth required: nobody is signed in"), "{told:#?}");

    let (_, head, _) = browse(&address, "", "/login", Some(&format!("token={TOKEN}")));
    let session = between(&head, "set-cookie: ", ";").to_owned();
    let page = browse(&address, &session, "/upstreams", None).2;
    assert!(page.contains("reauth required") && page.contains("nobody is signed in"), "{page}");
    assert!(page.contains("action=\"/upstreams/crm/sign-in\""), "{page}");
    let form_token = between(&page, "name=\"form_token\" value=\"", "\"").to_owned();

    let (cookie, path) = begun(&signed, &address, &session, &form_token);
    let state = path.rsplit_once("state=").unwrap().1;
    let other = path.replace(state, &"x".repeat(state.len()));
    let long = format!("{path}&more={}", "x".repeat(100_000));
    for (host, cookie, path, status) in [
        (PAGES, "", &path, 400),
        (PAGES, session.as_str(), &path, 400),
        (PAGES, "reconciled_sign_in=guessed", &path, 400),
        (PAGES, cookie.as_str(), &other, 400),
        (PAGES, cookie.as_str(), &long, 431),
        ("evil.test", cookie.as_str(), &path, 421),
    ] {
        let (found, _, page) = back(&address, host, cookie, path);
        assert_eq!(found, status, "{host} {cookie}: {page}");
    }
    assert_eq!(signed.server(|server| server.refresh.clone()), "", "nothing of these reached the server");

    signed.takes(1);
    let (status, head, page) = back(&address, PAGES, &cookie, &path);
    assert!(status == 200 && page.contains("Signed in to crm"), "{page}");
    assert!(head.contains("Max-Age=0") && head.contains("referrer-policy: no-referrer"), "{head}");
    log += &daemon.logs("pass 2 of contacts");
    assert_eq!(signed.world.rows("select name from contacts"), [["Ann"]]);
    assert_eq!(back(&address, PAGES, &cookie, &path).0, 400, "it counts once");
    assert!(metrics(&address).contains(&metric(0)));
    assert!(!browse(&address, &session, "/upstreams", None).2.contains("Reauth required"));

    // Whoever logged out is not signed in by a way that was begun before.
    let (cookie, path) = begun(&signed, &address, &session, &form_token);
    browse(&address, &session, "/logout", Some(&format!("form_token={form_token}")));
    assert_eq!(back(&address, PAGES, &cookie, &path).0, 400);
    let (code, rest) = daemon.stops();
    assert_eq!(code, Some(0));
    signed.nothing_in_clear(&[&told, &said(log.replace(TOKEN, "")), &said(rest)]);
}

#[test]
fn pages_sign_in_only_where_the_answer_comes_back_to_them() {
    let signed = Signed::new(SIGN_IN);
    let (daemon, address) = listening(&signed.world, &[]);
    let (_, head, _) = browse(&address, "", "/login", Some(&format!("token={TOKEN}")));
    let session = between(&head, "set-cookie: ", ";").to_owned();
    let page = browse(&address, &session, "/upstreams", None).2;
    assert!(!page.contains("sign-in"), "{page}");
    let form = format!("form_token={}", between(&page, "name=\"form_token\" value=\"", "\""));
    for upstream in ["crm", "erp"] {
        let path = format!("/upstreams/{upstream}/sign-in");
        assert_eq!(browse(&address, &session, &path, Some(&form)).0, 404);
    }
    assert_eq!(ask(&address, "GET", "/oauth/callback?code=x&state=y", TOKEN, "").0, 400);
    daemon.stops();
}

#[test]
fn a_secret_that_is_set_anew_counts_after_a_reload_and_a_login_elsewhere_at_once() {
    let signed = Signed::new("grant = \"device_code\"\ndevice_url = \"URL/device\"\n");
    hourly(&signed);
    signed.world.run(&["auth", "login", "crm"]).exits(0);
    signed.takes(1);
    let mut daemon = Daemon::start(&signed.world);
    daemon.logs("pass 1 of contacts");
    // The upstream wants another token, and the server another secret than the one that is set.
    signed.takes(2);
    signed.secret("client", "canary-wrong");
    daemon.signal("HUP");
    daemon.logs("rules and secrets were read anew");
    daemon.signal("USR1");
    let refused = daemon.logs("pass 2 of contacts");
    assert!(refused.contains("invalid_client"), "{refused}");
    signed.secret("client", SECRET);
    daemon.signal("HUP");
    daemon.logs("rules and secrets were read anew");
    signed.world.sql("update contacts set phone = '2'");
    daemon.signal("USR1");
    daemon.logs("1 writes upstream");
    assert_eq!(signed.world.contacts("crm")[0]["phone"], json!("2"));

    // Somebody signs in beside the daemon: the next request has the new token, and the old one is not renewed for it.
    signed.world.run(&["auth", "login", "crm"]).exits(0);
    signed.takes(3);
    signed.world.sql("update contacts set phone = '3'");
    daemon.signal("USR1");
    daemon.logs("1 writes upstream");
    assert_eq!(signed.server(|server| server.refresh.clone()), "canary-refresh-3");
    daemon.stops();
}
