//! Webhooks as an upstream sends them: over a socket, to the real daemon.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reconciled::sandbox::{Fault, Matcher};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::daemon::{Daemon, add, hourly};
use crate::web::{TOKEN, metrics};
use crate::world::World;

/// Secrets that are looked for in everything that comes out.
const NEW: &[u8] = b"canary of the new secret";
const OLD: &[u8] = b"canary of the old secret";

const RULES: &str = r#"
[upstream.crm.webhook]
scheme = "standard"
secrets = ["${secret.hook}", "${secret.hook_old}"]
[[upstream.crm.webhook.event]]
when = '.type == "contact.deleted"'
collection = "contacts"
id = ".data.id"
action = "delete"
[[upstream.crm.webhook.event]]
when = '.type == "contact.shown"'
collection = "contacts"
id = ".data.id"
action = "apply"
record = ".data"
[[upstream.crm.webhook.event]]
when = '.type | startswith("contact.")'
collection = "contacts"
id = ".data.id"
"#;

/// A webhook as it is sent.
#[derive(Clone)]
pub struct Hook {
    headers: Vec<(String, String)>,
    body: String,
}

#[expect(clippy::disallowed_methods, reason = "signatures are of the program's own time")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

impl Hook {
    /// One that is signed as Standard Webhooks say.
    pub fn signed(id: &str, at: i64, key: &[u8], body: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let headers = [("webhook-id", id), ("webhook-timestamp", &at.to_string()), ("webhook-signature", &signature)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { headers, body: body.to_owned() }
    }

    fn new(id: &str) -> Self {
        Self::about(id, "c1")
    }

    /// One that says that a contact has changed.
    pub fn about(id: &str, remote_id: &str) -> Self {
        Self::signed(id, now(), NEW, &json!({ "type": "contact.updated", "data": { "id": remote_id } }).to_string())
    }

    /// One that shows a contact.
    pub fn showing(id: &str, contact: &Value) -> Self {
        Self::signed(id, now(), NEW, &json!({ "type": "contact.shown", "data": contact }).to_string())
    }

    /// One that says that a contact is gone.
    pub fn gone(id: &str, remote_id: &str) -> Self {
        Self::signed(id, now(), NEW, &json!({ "type": "contact.deleted", "data": { "id": remote_id } }).to_string())
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A daemon that webhooks come to.
pub struct Listening {
    daemon: Daemon,
    at: SocketAddr,
    log: String,
}

impl Listening {
    /// It has made its first pass.
    pub fn start(world: &World) -> Self {
        let mut one = Self::open(world);
        one.until("pass 1 of contacts");
        one
    }

    fn open(world: &World) -> Self {
        Self::open_with(world, &[("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0".to_owned())])
    }

    fn open_with(world: &World, environment: &[(&'static str, String)]) -> Self {
        let environment = [environment, &[("RECONCILED__LOG__LEVEL", "trace".to_owned())]].concat();
        let mut daemon = Daemon::start_with(world, &environment);
        let log = daemon.logs("webhooks come to http://");
        let (_, rest) = log.split_once("webhooks come to http://").unwrap();
        let at = rest.split_once('/').unwrap().0.parse().unwrap();
        Self { daemon, at, log }
    }

    /// Everything that was logged has these words.
    pub fn until(&mut self, words: &str) {
        while !self.log.contains(words) {
            self.log += &self.daemon.logs("");
        }
    }

    /// The status that it is answered with, and the whole answer.
    fn ask(&self, line: &str, hook: &Hook) -> (u16, String) {
        ask(self.at, line, hook)
    }
    /// The status that a webhook of crm is answered with.
    pub fn send(&self, hook: &Hook) -> u16 {
        post(self.at, hook)
    }

    /// It stops; nothing that it ever logged holds any of these.
    pub fn stops_without(mut self, canaries: &[&str]) {
        let (code, rest) = self.daemon.stops();
        self.log += &rest;
        assert_eq!(code, Some(0));
        for canary in canaries {
            assert!(!self.log.contains(canary), "{canary}: {}", self.log);
        }
        for key in [NEW, OLD] {
            for form in [String::from_utf8(key.to_vec()).unwrap(), STANDARD.encode(key)] {
                assert!(!self.log.contains(&form), "{}", self.log);
            }
        }
    }
}

/// The status that a request is answered with, and the whole answer.
fn ask(at: SocketAddr, line: &str, hook: &Hook) -> (u16, String) {
    let answer = answer(TcpStream::connect(at).unwrap(), line, hook);
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{line}: {answer:?}"));
    (status.parse().unwrap(), answer.to_lowercase())
}

/// As much of an answer as comes.
fn answer(mut stream: TcpStream, line: &str, hook: &Hook) -> String {
    let length = hook.body.len();
    let mut text = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in &hook.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("\r\n{}", hook.body);
    // Who sends too much may be cut off while it sends.
    let _cut_off = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let _cut_off = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// The status that a webhook of crm is answered with, if it is answered.
pub fn try_post(at: SocketAddr, hook: &Hook) -> Option<u16> {
    let answer = answer(TcpStream::connect(at).ok()?, "POST /webhooks/crm", hook);
    answer.split(' ').nth(1).map(|status| status.parse().unwrap())
}

/// The status that a webhook of crm is answered with.
pub fn post(at: SocketAddr, hook: &Hook) -> u16 {
    ask(at, "POST /webhooks/crm", hook).0
}

fn world() -> World {
    let world = hourly();
    with_hooks(&world);
    world
}

/// crm says by webhooks what changes there.
pub fn with_hooks(world: &World) {
    world.change_rules("rules.toml", |rules| rules + RULES);
    std::fs::create_dir(world.path("secrets")).unwrap();
    for (name, key) in [("hook", NEW), ("hook_old", OLD)] {
        let path = world.path("secrets").join(name);
        std::fs::write(&path, format!("whsec_{}\n", STANDARD.encode(key))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn triggers(world: &World) -> Vec<String> {
    world.rows("select \"trigger\" from sync_pass order by id").concat()
}

fn states(world: &World) -> Vec<String> {
    world.rows("select delivery || ' ' || state from sync_hook order by id").concat()
}

#[test]
fn f49_a_webhook_brings_a_pass_at_once_and_a_repeat_of_it_none() {
    let world = world();
    let mut one = Listening::start(&world);
    add(&world, "bob@x.io");
    let hook = Hook::new("m1");
    assert_eq!(one.send(&hook), 200);
    one.until("pass 2 of contacts: 1 changes here");
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    assert_eq!((triggers(&world), states(&world)), (vec!["schedule".into(), "webhook".into()], vec!["m1 done".into()]));
    // The sender did not hear the answer, and sends it again; the same with another time of signing.
    assert_eq!(one.send(&hook), 200);
    assert_eq!(one.send(&Hook::signed("m1", now() - 200, OLD, "{}")), 200);
    // The old secret still counts; what the rules follow in nothing is kept to be told, and no more.
    let ping = Hook::signed("m2", now(), OLD, r#"{"type": "ping"}"#);
    assert_eq!(one.send(&ping), 200);
    assert_eq!(states(&world), ["m1 done", "m2 ignored"]);
    // Had any of them asked for a pass, this would not be the third.
    add(&world, "cid@x.io");
    assert_eq!(one.send(&Hook::new("m3")), 200);
    one.until("pass 3 of contacts: 1 changes here");
    assert_eq!(triggers(&world), ["schedule", "webhook", "webhook"]);
    assert_eq!(states(&world), ["m1 done", "m2 ignored", "m3 done"]);
    one.stops_without(&[]);
}

#[test]
fn webhooks_may_come_to_the_listener_of_the_pages_and_need_no_token_there() {
    let world = world();
    let beside = ("RECONCILED__WEBHOOKS__LISTEN", "web".to_owned());
    let pages = [
        ("RECONCILED__WEB__LISTEN", "127.0.0.1:0".to_owned()),
        ("RECONCILED_SECRET_WEB_TOKEN", TOKEN.to_owned()),
        beside.clone(),
    ];
    let mut one = Listening::open_with(&world, &pages);
    one.until("pass 1 of contacts");
    add(&world, "bob@x.io");
    assert_eq!(one.send(&Hook::new("m1")), 200);
    one.until("pass 2 of contacts: 1 changes here");
    let forged = Hook::signed("m2", now(), b"guessed", "{}");
    assert_eq!(one.send(&forged), 401);
    assert_eq!(one.send(&Hook::new("m1")), 200, "once more");
    let scraped = metrics(&one.at.to_string());
    for (answered, count) in [("accepted", 1), ("repeated", 1), ("refused", 1), ("put_off", 0)] {
        let line = format!("reconciled_webhooks_total{{upstream=\"crm\",outcome=\"{answered}\"}} {count}\n");
        assert!(scraped.contains(&line), "{line}: {scraped}");
    }
    for name in ["reconciled_webhooks_waiting", "reconciled_webhooks_dead"] {
        assert!(scraped.contains(&format!("\n{name} 0\n")), "{name}: {scraped}");
    }
    // The pages are what they were: by their own names and for those who are logged in.
    let nothing = Hook { headers: Vec::new(), body: String::new() };
    for (line, expected) in [("GET /webhooks", 421), ("GET /", 421), ("POST /webhooks/1/retry", 421)] {
        assert_eq!(one.ask(line, &nothing).0, expected, "{line}");
    }
    one.stops_without(&[TOKEN]);
    let mut daemon = Daemon::start_with(&world, &[beside]);
    daemon.logs("no webhook can come: `webhooks.listen` is `web`, and `web.listen` is not set");
    assert_eq!(daemon.stops().0, Some(0));
}

#[test]
fn a_webhook_that_cannot_be_kept_soon_is_put_off() {
    let world = world();
    let environment =
        [("RECONCILED__WEBHOOKS__LISTEN", "127.0.0.1:0".to_owned()), ("RECONCILED__BUSY_TIMEOUT", "1h".to_owned())];
    let mut one = Listening::open_with(&world, &environment);
    one.until("pass 1 of contacts");
    let other = world.db();
    other.execute_batch("begin immediate").unwrap();
    assert_eq!(one.send(&Hook::new("m1")), 503);
    one.until("webhooks of crm cannot be kept within 4 s: another program may hold the database");
    other.execute_batch("rollback").unwrap();
    assert_eq!(one.send(&Hook::new("m1")), 200);
    one.until("pass 2 of contacts");
    one.stops_without(&[]);
}

#[test]
fn f53_who_never_ends_a_request_is_let_go_and_his_place_is_free_again() {
    let world = world();
    let mut one = Listening::start(&world);
    // As many as may be connected at once, and none of them says all that it has to say.
    let slow: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(one.at).unwrap();
            stream.write_all(b"POST /webhooks/crm HTTP/1.1\r\nhost: x\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(one.send(&Hook::new("m1")), 200);
    one.until("pass 2 of contacts");
    for mut stream in slow {
        let mut nothing = Vec::new();
        let _reset_or_closed = stream.read_to_end(&mut nothing);
        assert!(!String::from_utf8_lossy(&nothing).contains("200"), "it got no answer");
    }
    one.stops_without(&[]);
}

#[test]
fn f51_what_is_forged_stale_doubled_too_large_or_for_nobody_is_refused_and_leaves_nothing() {
    let world = world();
    let one = Listening::start(&world);
    let body = r#"{"type": "contact.updated", "data": {"id": "canary of a body"}}"#;
    let good = Hook::signed("m1", now(), NEW, body);
    let cases = [
        ("another key", Hook::signed("m1", now(), b"guessed", body), 401),
        ("another body", Hook { body: body.replace("updated", "deleted"), ..good.clone() }, 401),
        ("not signed", Hook { headers: Vec::new(), ..good.clone() }, 401),
        ("of yesterday", Hook::signed("m1", now() - 86_400, NEW, body), 401),
        ("of tomorrow", Hook::signed("m1", now() + 86_400, NEW, body), 401),
        ("two ids", good.clone().header("webhook-id", "m2"), 400),
        ("two times", good.clone().header("Webhook-Timestamp", &now().to_string()), 400),
        ("two signatures", good.clone().header("webhook-signature", "v1,AAAA"), 400),
        ("too large", Hook::signed("m1", now(), NEW, &"canary of a body ".repeat(80_000)), 413),
    ];
    for (what, hook, expected) in cases {
        assert_eq!(one.send(&hook), expected, "{what}");
    }
    let nowhere = [
        ("POST /webhooks/erp", 404),
        ("POST /webhooks/", 404),
        ("POST /webhooks/crm/more", 404),
        ("POST /", 404),
        ("GET /v1/standing", 404),
        ("POST /v1/sync", 404),
        ("GET /webhooks/crm", 405),
    ];
    for (line, expected) in nowhere {
        assert_eq!(one.ask(line, &good).0, expected, "{line}");
    }
    assert_eq!(states(&world), Vec::<String>::new());
    let status = world.run(&["--json", "status"]);
    let expected = json!({ "waiting": 0, "dead": 0, "dead_letters": [] });
    assert_eq!(serde_json::from_str::<Value>(&status.stdout).unwrap()["webhooks"], expected);
    assert_eq!(triggers(&world), ["schedule"]);
    let signature = good.headers[2].1.trim_start_matches("v1,").to_owned();
    one.stops_without(&["canary of a body", &signature]);
}

#[test]
fn what_cannot_be_followed_is_listed_with_its_reason_and_without_its_body() {
    let world = world();
    let one = Listening::start(&world);
    let bodies = [r#"{"type": "contact.updated", "canary": {}}"#, "canary=1", r#"{"type": ["canary"]}"#];
    for (at, body) in bodies.into_iter().enumerate() {
        assert_eq!(one.send(&Hook::signed(&format!("m{at}"), now(), NEW, body)), 200, "{body}");
    }
    let status: Value = serde_json::from_str(&world.run(&["--json", "status"]).stdout).unwrap();
    let letters = status["webhooks"]["dead_letters"].as_array().unwrap();
    let reasons: Vec<&str> = letters.iter().rev().map(|letter| letter["reason"].as_str().unwrap()).collect();
    let condition = "the condition `.type | startswith(\"contact.\")` cannot be applied to it";
    assert_eq!(reasons, ["no id at .data.id", "the body is no JSON", condition]);
    assert_eq!((&letters[2]["collection"], &letters[2]["event"]), (&json!("contacts"), &json!("fetch")));
    let told = world.run(&["status"]).stdout;
    assert!(told.contains("3 webhooks that could not be followed") && told.contains("no id at .data.id"), "{told}");
    assert!(!told.contains("canary") && !status.to_string().contains("canary"), "{told}");
    one.stops_without(&["canary"]);
}

#[test]
fn a_webhook_outlives_the_daemon_and_waits_until_a_pass_has_really_looked() {
    let world = world();
    world.settings_of_upstreams("retry = { attempts = 1 }");
    let one = Listening::start(&world);
    world.run(&["pause", "contacts"]).exits(0);
    add(&world, "bob@x.io");
    assert_eq!([one.send(&Hook::about("m1", "c1")), one.send(&Hook::about("m2", "c2"))], [200, 200]);
    assert_eq!(one.send(&Hook::about("m3", "c1")), 200);
    // Of a record the newest waits, and that it waits is told.
    assert_eq!(states(&world), ["m1 replaced", "m2 waiting", "m3 waiting"]);
    one.stops_without(&[]);
    let status = world.run(&["status"]).exits(3);
    assert!(status.stdout.contains("2 webhooks waiting for a pass"), "{status:#?}");
    world.run(&["resume", "contacts"]).exits(0);
    world.at("crm", |crm| crm.push_fault(Matcher::of(http::Method::GET, "/contacts"), Fault::status(500)));
    let mut one = Listening::open(&world);
    // The schedule is an hour away; the upstream fails.
    one.until("pass 2 of contacts");
    assert!(one.log.contains("pass 2 of contacts: 0 changes here"), "{}", one.log);
    assert_eq!(triggers(&world), ["schedule", "webhook"]);
    assert_eq!(states(&world), ["m1 replaced", "m2 waiting", "m3 waiting"]);
    world.run(&["sync"]).exits(0);
    assert_eq!(states(&world), ["m1 replaced", "m2 done", "m3 done"]);
    assert_eq!(world.rows("select count(*) from contacts"), [["2"]]);
    // Rules that bind the collection there no more leave nobody waiting.
    world.run(&["pause", "contacts"]).exits(0);
    assert_eq!(one.send(&Hook::new("m4")), 200);
    one.stops_without(&[]);
    world.sql("update sync_hook set upstream = 'erp' where delivery = 'm4'");
    world.run(&["run", "--once"]).exits(0);
    let reason = "the rules bind its collection to its upstream no more";
    assert_eq!(world.rows("select state, error from sync_hook where delivery = 'm4'"), [["dead", reason]]);
}

#[test]
fn f52_where_too_many_wait_the_sender_comes_again_later() {
    let world = world();
    let one = Listening::start(&world);
    world.run(&["pause", "contacts"]).exits(0);
    let micros = now() * 1_000_000;
    world.sql(&format!(
        "with recursive n (n) as (select 1 union all select n + 1 from n where n < 10000) \
         insert into sync_hook (upstream, delivery, received_at, event, collection, remote_id, state) \
         select 'crm', 'd' || n, {micros}, 'fetch', 'contacts', 'c' || n, 'waiting' from n"
    ));
    let (status, answer) = one.ask("POST /webhooks/crm", &Hook::about("m1", "new"));
    assert!(status == 503 && answer.contains("retry-after: 60"), "{answer}");
    assert_eq!(one.send(&Hook::about("m2", "c5000")), 200, "its record waits already");
    assert_eq!(one.send(&Hook::about("d7", "c7")), 200, "it is there already");
    world.run(&["resume", "contacts"]).exits(0);
    let mut one = one;
    one.until("pass 2 of contacts");
    assert_eq!(world.rows("select count(*) from sync_hook where state = 'waiting'"), [["0"]]);
    assert_eq!(one.send(&Hook::about("m1", "new")), 200);
    one.until("pass 3 of contacts");
    assert_eq!(triggers(&world), ["schedule", "webhook", "webhook"]);
    one.stops_without(&[]);
}

#[test]
fn f50_a_webhook_is_a_hint_that_may_lie_come_late_or_not_come_at_all() {
    let world = world();
    let mut one = Listening::start(&world);
    let id = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    let about = |delivery: &str, kind: &str, phone: &str, at: i64| {
        let body = json!({ "type": kind, "data": { "id": id, "email": "ann@x.io", "phone": phone } });
        Hook::signed(delivery, at, NEW, &body.to_string())
    };
    let phones = || world.rows("select phone from contacts").concat();
    // Two edits; the second one's webhook comes first.
    world.edit("crm", &id, &json!({ "phone": "2" }));
    world.edit("crm", &id, &json!({ "phone": "3" }));
    assert_eq!(one.send(&about("m2", "contact.updated", "3", now())), 200);
    one.until("pass 2 of contacts: 1 changes here");
    assert_eq!(phones(), ["3"]);
    assert_eq!(one.send(&about("m1", "contact.updated", "2", now() - 60)), 200);
    one.until("pass 3 of contacts: 0 changes here, 0 writes upstream");
    assert_eq!(phones(), ["3"], "what is true is read there, not in the webhook");
    // One says that it was deleted, and it is there.
    assert_eq!(one.send(&about("m3", "contact.deleted", "3", now())), 200);
    one.until("pass 4 of contacts: 0 changes here, 0 writes upstream");
    assert_eq!(phones(), ["3"]);
    // One says that it was edited, and it is gone.
    let bob = world.add("crm", &json!({ "email": "bob@x.io", "phone": "7" }));
    assert_eq!(one.send(&Hook::about("m4", &bob)), 200);
    one.until("pass 5 of contacts: 1 changes here");
    world.at("crm", |crm| crm.remove("/contacts", &bob, crate::hands::now())).unwrap();
    assert_eq!(one.send(&Hook::about("m5", &bob)), 200);
    one.until("pass 6 of contacts: 1 changes here");
    assert_eq!(phones(), ["3"]);
    // One is lost: the next scheduled pass sees what it was about.
    world.edit("crm", &id, &json!({ "phone": "4" }));
    world.change_rules("rules.toml", |rules| rules.replace("every = \"1h\"", "every = \"2s\""));
    one.until("pass 7 of contacts: 1 changes here");
    assert_eq!(phones(), ["4"]);
    assert_eq!(triggers(&world)[6], "schedule");
    one.stops_without(&[]);
}
