//! Pages and webhooks behind a proxy, and a token that changes while the daemon runs.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use crate::daemon::{Daemon, hourly};
use crate::web::{TOKEN, ask, listening};
use crate::webhooks::with_hooks;
use crate::world::World;

/// The status and the head of the answer to this.
fn send(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let head = answer.split("\r\n\r\n").next().unwrap().to_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

#[test]
fn what_a_trusted_proxy_says_of_a_browser_is_believed_and_logged() {
    let proxies = |list: &str| {
        vec![
            ("RECONCILED__TRUSTED_PROXIES", list.to_owned()),
            ("RECONCILED__WEB__HOSTS", "sync.example.com".to_owned()),
        ]
    };
    let world = hourly();
    let (mut daemon, address) = listening(&world, &proxies("127.0.0.0/8, ::1"));
    let through = [
        ("host", "inner.example"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "sync.example.com"),
        ("origin", "https://sync.example.com"),
    ];
    let (status, head) = send(&address, "POST /login", &through, &format!("token={TOKEN}"));
    assert_eq!(status, 303, "{head}");
    assert!(head.contains("; Secure\r\n"), "{head}");
    daemon.logs("a browser logged in from 203.0.113.7");
    assert_eq!(send(&address, "POST /login", &through, "token=guess").0, 403);
    daemon.logs("a login from 203.0.113.7 failed");
    daemon.stops();
    // The same without anybody who is trusted.
    let world = hourly();
    let (mut daemon, address) = listening(&world, &proxies("192.0.2.1"));
    assert_eq!(send(&address, "POST /login", &through, &format!("token={TOKEN}")).0, 421);
    let known = [("host", "sync.example.com"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")];
    let (status, head) = send(&address, "POST /login", &known, &format!("token={TOKEN}"));
    assert!(status == 303 && !head.contains("Secure"), "{head}");
    daemon.logs("a browser logged in from 127.0.0.1");
    daemon.stops();
}

#[test]
fn a_webhook_that_is_refused_is_told_with_the_address_that_sent_it() {
    let forged = [("host", "x"), ("x-forwarded-for", "198.51.100.1, 203.0.113.7"), ("webhook-id", "1")];
    for (trusted, from, unclear) in [("127.0.0.1", "203.0.113.7", 400), ("", "127.0.0.1", 401)] {
        let world = hourly();
        with_hooks(&world);
        let environment = [
            ("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0".to_owned()),
            ("RECONCILED__TRUSTED_PROXIES", trusted.to_owned()),
        ];
        let mut daemon = Daemon::start_with(&world, &environment);
        let log = daemon.logs("webhooks come to http://");
        let (_, rest) = log.split_once("webhooks come to http://").unwrap();
        let address = rest.split_once('/').unwrap().0;
        assert!([400, 401].contains(&send(address, "POST /webhooks/crm", &forged, "{}").0));
        daemon.logs(&format!("a webhook of crm from {from} was refused"));
        let both = [("host", "x"), ("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=198.51.100.1")];
        let both = [&both[..], &forged[2..]].concat();
        assert_eq!(send(address, "POST /webhooks/crm", &both, "{}").0, unclear);
        daemon.stops();
    }
}

/// Makes it the token, in a file of its own.
fn keep(world: &World, token: &str) {
    std::fs::create_dir_all(world.path("secrets")).unwrap();
    std::fs::write(world.path("secrets/web_token"), token).unwrap();
    std::fs::set_permissions(world.path("secrets/web_token"), Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_token_of_the_pages_is_read_anew_with_rules_and_secrets() {
    let world = hourly();
    let environment = [("RECONCILED__WEB__LISTEN", "127.0.0.1:0".to_owned())];
    let mut daemon = Daemon::start_with(&world, &environment);
    let said = daemon.logs("web: http://");
    let address = said.trim_end().rsplit("http://").next().unwrap().to_owned();
    let status = |token: &str| ask(&address, "GET", "/metrics", token, "").0;
    let (first, second) = ("the first one of these", "canary: the second one");
    assert_eq!(status(first), 503);
    keep(&world, first);
    daemon.signal("HUP");
    // The pages hear of it beside the loop.
    while status(first) != 200 {}
    assert_eq!(status(second), 401);
    // Whether the rules can be used makes no difference to it.
    world.change_rules("rules.toml", |rules| rules.replace("phone = \"text\"", "phone = \"texxt\""));
    keep(&world, second);
    daemon.signal("HUP");
    daemon.logs("there is another token: browsers have to log in again");
    assert_eq!((status(first), status(second)), (401, 200));
    std::fs::remove_file(world.path("secrets/web_token")).unwrap();
    daemon.signal("HUP");
    daemon.logs("the token from before stays in force: secret `web_token` is missing");
    assert_eq!(status(second), 200);
    let (code, rest) = daemon.stops();
    assert!(code == Some(0) && !rest.contains("canary"), "{rest}");
}
