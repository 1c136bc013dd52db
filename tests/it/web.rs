//! The web listener of a real daemon, asked over its socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::daemon::{Daemon, add, hourly};
use crate::world::World;

/// Nothing that the daemon says may contain it.
pub const TOKEN: &str = "canary-2f6c1d0b9e8a7f6e5d4c";

/// A daemon with its pages, and where they are.
pub fn listening(world: &World, more: &[(&str, String)]) -> (Daemon, String) {
    let mut environment =
        vec![("RECONCILED__WEB__LISTEN", "127.0.0.1:0".to_owned()), ("RECONCILED_SECRET_WEB_TOKEN", TOKEN.to_owned())];
    environment.extend_from_slice(more);
    let mut daemon = Daemon::start_with(world, &environment);
    let said = daemon.logs("web: http://");
    let address = said.trim_end().rsplit("http://").next().unwrap().to_owned();
    (daemon, address)
}

/// One question on a connection of its own: status and body.
pub fn ask(address: &str, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The metrics.
pub fn metrics(address: &str) -> String {
    let (status, body) = ask(address, "GET", "/metrics", TOKEN, "");
    assert_eq!(status, 200, "{body}");
    body
}

/// How a question for JSON is answered.
pub fn status(address: &str, path: &str) -> u16 {
    ask(address, "GET", path, TOKEN, "").0
}

/// The answer to a question that is answered.
pub fn get(address: &str, path: &str) -> Value {
    let (status, body) = ask(address, "GET", path, TOKEN, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Asks for something to be done: status and JSON.
pub fn post(address: &str, path: &str, body: &Value) -> (u16, Value) {
    let (status, body) = ask(address, "POST", path, TOKEN, &body.to_string());
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn a_program_looks_asks_for_passes_and_decides() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "merge = [\"manual\"]\nevery = "));
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    assert_eq!(ask(&address, "GET", "/healthz", "", "").0, 200);
    assert_eq!(ask(&address, "GET", "/readyz", "", "").0, 200);
    assert_eq!(ask(&address, "GET", "/api/v1/collections", "wrong", "").0, 401);
    let collections = get(&address, "/api/v1/collections");
    let contacts = &collections["collections"][0];
    assert_eq!((&contacts["collection"], &contacts["records"]), (&json!("contacts"), &json!(1)), "{collections:#}");

    // A pass on request.
    add(&world, "bob@x.io");
    let (status, accepted) = post(&address, "/api/v1/sync", &json!({ "collections": ["contacts"] }));
    assert_eq!((status, &accepted["collections"]), (200, &json!(["contacts"])));
    daemon.logs("pass 2 of contacts: 1 changes here");
    assert_eq!(post(&address, "/api/v1/sync", &json!({ "collections": ["deals"] })).0, 409);
    let first = get(&address, "/api/v1/records/contacts?limit=1");
    let id = first["next"].as_str().unwrap();
    assert_eq!(first["records"][0]["id"], id);
    let second = get(&address, &format!("/api/v1/records/contacts?limit=1&after={id}"));
    assert_eq!((second["records"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    assert_ne!(second["records"][0]["id"], id);
    let passes = get(&address, "/api/v1/passes?collection=contacts");
    assert_eq!((&passes["passes"][0]["trigger"], &passes["passes"][1]["id"]), (&json!("request"), &json!(1)));
    assert_eq!(
        (&passes["passes"][0]["upstreams"][0]["read"], &passes["passes"][0]["written_here"]),
        (&json!(2), &json!(1))
    );
    let pass = get(&address, "/api/v1/passes/2");
    assert_eq!(pass["history"][0]["kind"], "local");
    let phases: Vec<(&str, &Value)> = pass["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["phase"].as_str().unwrap(), &one["upstream"]))
        .collect();
    let crm = json!("crm");
    let none = Value::Null;
    let expected =
        [("check", &none), ("read", &crm), ("compare", &none), ("decide", &none), ("commit", &none), ("push", &crm)];
    assert_eq!(phases, expected);
    let page = get(&address, "/api/v1/passes?limit=1&outcome=ok");
    assert_eq!((&page["passes"][0]["id"], &page["next"]), (&json!(2), &json!(2)));
    let page = get(&address, "/api/v1/passes?limit=1&after=2");
    assert_eq!((&page["passes"][0]["id"], &page["next"]), (&json!(1), &none));
    assert_eq!(get(&address, "/api/v1/passes?outcome=failed")["passes"], json!([]));

    // Two sides edit one field, and a person decides.
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    let found = get(&address, &format!("/api/v1/records/contacts?q={remote}"));
    let id = found["records"][0]["id"].as_str().unwrap().to_owned();
    let by_key = get(&address, "/api/v1/records/contacts?q=%20ANN@x.io");
    assert_eq!((&by_key["records"][0]["id"], by_key["records"].as_array().unwrap().len()), (&json!(id), 1));
    assert_eq!(get(&address, "/api/v1/records/contacts?q=nobody@x.io")["records"], json!([]));
    world.edit("crm", &remote, &json!({ "phone": "3" }));
    world.sql(&format!("update contacts set phone = '4' where id = '{id}'"));
    daemon.logs("1 conflicts open");
    let conflict = get(&address, "/api/v1/conflicts")["conflicts"][0].clone();
    assert_eq!((&conflict["record"], &conflict["base"]), (&json!(id), &json!(["1"])), "{conflict:#}");
    assert_eq!(conflict["name"], "ann@x.io", "{conflict:#}");
    let sides = get(&address, &format!("/api/v1/records/contacts/{id}"));
    let phone = sides["sides"]["fields"].as_array().unwrap().iter().find(|field| field["field"] == "phone").unwrap();
    assert_eq!((&phone["local"]["value"], &phone["upstreams"][0]["value"]["value"]), (&json!("4"), &json!("3")));
    let origin = &sides["provenance"][sides["provenance"].as_array().unwrap().len() - 1];
    assert_eq!((&origin["field"], &origin["origin"]), (&json!(""), &json!("crm")), "{sides:#}");
    let path = format!("/api/v1/conflicts/{}/resolve", conflict["id"]);
    assert_eq!(post(&address, &path, &json!({ "take": "nobody" })).0, 409);
    assert_eq!(post(&address, &path, &json!({ "take": "local" })).0, 200);
    daemon.logs("0 changes here, 1 writes upstream");
    assert!(world.contacts("crm").iter().any(|contact| contact["phone"] == "4"));

    let metric = "reconciled_writes_total{collection=\"contacts\",upstream=\"crm\",op=\"update\"} 1\n";
    while !ask(&address, "GET", "/metrics", TOKEN, "").1.contains(metric) {
        std::thread::yield_now();
    }
    assert_eq!(post(&address, "/api/v1/pause/contacts", &json!({})).0, 200);
    assert_eq!(get(&address, "/api/v1/collections")["collections"][0]["paused"], true);
    let (code, rest) = daemon.stops();
    assert_eq!((code, rest.contains(TOKEN)), (Some(0), false), "{rest}");
    assert!(TcpStream::connect(&address).is_err(), "nothing listens any more");
}

/// One question of a browser: status, head and body.
pub fn browse(address: &str, cookie: &str, path: &str, form: Option<&str>) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let (method, body) = form.map_or(("GET", ""), |form| ("POST", form));
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\nOrigin: null\r\n\
         Sec-Fetch-Site: same-origin\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// What stands between two texts.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}")).1;
    rest.split_once(after).unwrap().0
}

#[test]
fn a_person_logs_in_looks_at_a_conflict_and_decides_it() {
    let world = hourly();
    world.change_rules("rules.toml", |rules| rules.replace("every = ", "merge = [\"manual\"]\nevery = "));
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let remote = world.contacts("crm")[0]["id"].as_str().unwrap().to_owned();
    world.edit("crm", &remote, &json!({ "name": "<i>Ann</i> Lee" }));
    world.sql("update contacts set name = 'Ann Poe'");
    daemon.logs("1 conflicts open");

    assert!(browse(&address, "", "/conflicts", None).1.contains("location: /login"));
    let (status, head, _) = browse(&address, "", "/login", Some(&format!("token={TOKEN}")));
    assert_eq!(status, 303, "{head}");
    let cookie = between(&head, "set-cookie: ", ";").to_owned();
    let look = |path: &str| {
        let (status, _, body) = browse(&address, &cookie, path, None);
        assert_eq!(status, 200, "{path}: {body}");
        assert!(!body.contains("<i>") && !body.contains(TOKEN), "{path}: {body}");
        body
    };
    assert!(look("/").contains("conflicts: 1"));
    let conflicts = look("/conflicts");
    assert!(conflicts.contains("&lt;i&gt;Ann&lt;/i&gt;") && conflicts.contains("<ins>Ann Poe</ins>"), "{conflicts}");
    let record = look(between(&conflicts, "contacts / <a href=\"", "\""));
    assert!(record.contains("differs") && record.contains(&remote), "{record}");
    assert!(look("/records/contacts").contains("Ann Poe"));
    let pass = look("/passes/2");
    assert!(
        pass.contains("badge news\">conflicts</span>")
            && pass.contains("<svg role=\"img\" aria-label=\"Where the time went, 6 phases"),
        "{pass}"
    );
    assert!(pass.contains("<th scope=\"row\">push to crm</th>"), "the same as a table: {pass}");
    // Where each value came from.
    assert!(record.contains("href=\"/passes/1\">pass 1</a>") && record.contains("seen <time"), "{record}");
    // The ledger: each pass listed once.
    let upstreams = look("/upstreams");
    let asked = world.at("crm", |crm| crm.requests().count());
    assert!(upstreams.contains(&format!("<dt>Asked today</dt><dd>{asked} requests</dd>")), "{upstreams}");
    assert!(upstreams.contains("Requests per day: 30 days"), "{upstreams}");
    let form_token = between(&conflicts, "name=\"form_token\" value=\"", "\"");
    let action = format!("/conflicts/{}/resolve", between(&conflicts, "Conflict ", "<"));
    assert_eq!(browse(&address, &cookie, &action, Some("take=local")).0, 403, "a form without its token");
    assert_eq!(browse(&address, &cookie, &action, Some(&format!("form_token={form_token}&take=local"))).0, 303);
    daemon.logs("0 changes here, 1 writes upstream");
    assert_eq!(world.contacts("crm")[0]["name"], "Ann Poe");
    assert!(look("/conflicts").contains("No conflicts."));
    daemon.stops();
}

#[test]
fn an_open_page_is_told_of_a_stop_and_its_answer_ends_in_good_order() {
    let world = hourly();
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let (_, head, _) = browse(&address, "", "/login", Some(&format!("token={TOKEN}")));
    let cookie = between(&head, "set-cookie: ", ";").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n").unwrap();
    let mut answer = BufReader::new(stream);
    let mut text = String::new();
    let mut hears = |words: &str| {
        while !text.contains(words) {
            assert!(answer.read_line(&mut text).unwrap() > 0, "no {words}: {text}");
        }
    };
    hears("event: hello");
    add(&world, "bob@x.io");
    assert_eq!(post(&address, "/api/v1/sync", &json!({})).0, 200);
    hears("event: changed");
    hears("event: ended\ndata: {\"collection\":\"contacts\",\"outcome\":\"ok\"}");
    assert_eq!(daemon.stops().0, Some(0));
    answer.read_to_string(&mut text).unwrap();
    assert!(text.contains("event: stopping\ndata: {}\n\n\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn f53_connections_that_never_ask_anything_are_closed_and_keep_nobody_out_for_long() {
    let world = hourly();
    let (daemon, address) = listening(&world, &[]);
    let stalled: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    // It waits for one of them to be closed.
    assert_eq!(ask(&address, "GET", "/healthz", "", "").0, 200);
    for mut stream in stalled {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
    daemon.stops();
}

#[test]
fn a_halt_is_approved_over_the_web() {
    let world = hourly();
    for number in 0..30 {
        add(&world, &format!("{number}@x.io"));
    }
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts: 31 changes here");
    for contact in world.contacts("crm").iter().skip(1) {
        world.remove("crm", contact["id"].as_str().unwrap());
    }
    assert_eq!(post(&address, "/api/v1/sync", &json!({})).0, 200);
    daemon.logs("halted by a guard");
    let halt = get(&address, "/api/v1/halts")["halts"][0].clone();
    assert_eq!((&halt["collection"], &halt["halts"][0]["count"]), (&json!("contacts"), &json!(30)), "{halt:#}");
    let path = format!("/api/v1/halts/{}/approve", halt["id"]);
    assert_eq!(post(&address, &path, &json!({ "wins": "local" })).0, 409, "nothing was set back");
    assert_eq!(post(&address, &path, &json!({})).0, 200);
    daemon.logs("30 changes here");
    assert_eq!(post(&address, "/api/v1/halts/99/approve", &json!({})).0, 404);
    daemon.stops();
}

#[test]
fn without_a_token_the_log_says_how_to_make_one_and_nothing_is_shown() {
    let world = hourly();
    let environment = [("RECONCILED__WEB__LISTEN", "127.0.0.1:0".to_owned())];
    let mut daemon = Daemon::start_with(&world, &environment);
    let said = daemon.logs("web: http://");
    assert!(said.contains("secret `web_token` is missing") && said.contains("openssl rand -hex 32"), "{said}");
    let address = said.trim_end().rsplit("http://").next().unwrap().to_owned();
    assert_eq!(ask(&address, "GET", "/healthz", "", "").0, 200);
    assert_eq!(ask(&address, "GET", "/", "", "").0, 503);
    assert_eq!(ask(&address, "GET", "/metrics", "", "").0, 503);
    daemon.stops();
    // A short one is none.
    let world = hourly();
    let (daemon, address) = listening(&world, &[("RECONCILED_SECRET_WEB_TOKEN", "short".to_owned())]);
    assert_eq!(ask(&address, "GET", "/metrics", "short", "").0, 503);
    daemon.stops();
}

#[test]
fn an_address_in_use_is_told_and_tried_again_and_the_daemon_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let world = hourly();
    let environment = [
        ("RECONCILED__WEB__LISTEN", address.clone()),
        ("RECONCILED_SECRET_WEB_TOKEN", TOKEN.to_owned()),
        ("RECONCILED__WEB__HOSTS", "sync.example.com".to_owned()),
    ];
    let mut daemon = Daemon::start_with(&world, &environment);
    let mut said = daemon.logs("of contacts");
    if !said.contains("no pages") {
        said.push_str(&daemon.logs("no pages"));
    }
    let words = format!("no pages and no metrics: {address} (`web.listen`): ");
    assert!(said.contains(&words) && said.contains("it is tried again every 10 s"), "{said}");
    let not_served = world.status()["daemon"]["not_served"].clone();
    assert!(not_served[0].as_str().unwrap().starts_with(&words), "{not_served}");
    let shown = world.run(&["status"]);
    assert!(shown.stdout.contains(&format!("! {words}")), "{}", shown.stdout);
    let doctor = world.run(&["doctor", "--offline"]).exits(1).stdout;
    assert!(doctor.contains(&words) && doctor.contains("`ss -ltnp` shows who listens there"), "{doctor}");
    // Its own are free of the system from the moment on that nobody listens.
    drop(taken);
    daemon.logs(&format!("web: http://{address}"));
    assert_eq!(ask(&address, "GET", "/healthz", "", "").0, 200);
    assert_eq!(world.status()["daemon"]["not_served"], json!([]));
    let (code, _) = daemon.stops();
    assert_eq!(code, Some(0));
}

#[test]
fn long_lists_have_next_pages_without_scripts_and_keep_what_was_asked_for() {
    let world = hourly();
    let (mut daemon, address) = listening(&world, &[]);
    daemon.logs("pass 1 of contacts");
    let many = |into: &str| {
        world.sql(&format!(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 120) insert into {into} from n"
        ));
    };
    many("sync_quarantine select 'contacts', 'crm', 'remote:' || printf('%03d', i), 'pull', 'why', '{}', 0, 1");
    many(
        "sync_hook (upstream, delivery, received_at, event, collection, remote_id, state, error) \
         select 'crm', 'd' || i, 1700000000000000 + i, 'fetch', 'contacts', '1', case i % 2 when 0 then 'dead' else 'done' end, null",
    );
    many(
        "sync_pass (collection, \"trigger\", started_at, ended_at, outcome, counts, rules_hash) \
         select 'contacts', 'once', i, i, case i % 2 when 0 then 'ok' else 'failed' end, '{}', ''",
    );
    many(
        "sync_history (pass, at, collection, record, field, kind, origin, rule) \
         select 1, i, 'contacts', 'r' || i, 'phone', 'local', 'crm', 'latest'",
    );
    many(
        "sync_history (pass, at, collection, record, field, kind, origin, rule) \
         select 1, i, 'contacts', 's' || i, 'phone', 'local', 'crm', 'latest'",
    );
    let (_, head, _) = browse(&address, "", "/login", Some(&format!("token={TOKEN}")));
    let cookie = between(&head, "set-cookie: ", ";").to_owned();
    let walk = |first: &str| {
        let (mut path, mut rows, mut pages) = (first.to_owned(), Vec::new(), 0);
        loop {
            let (status, _, body) = browse(&address, &cookie, &path, None);
            assert_eq!(status, 200, "{path}: {body}");
            pages += 1;
            let main = body.split("<tbody>").last().unwrap().to_owned();
            rows.extend(main.split("<tr>").skip(1).map(|row| row.split("</tr>").next().unwrap().to_owned()));
            assert_eq!(body.contains("First page"), pages > 1, "{path}");
            let Some(link) = body.split("rel=\"next\" href=\"").nth(1) else { break };
            path = link.split('"').next().unwrap().replace("&amp;", "&");
        }
        let all = rows.len();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), all, "{first}: nothing comes twice");
        (all, pages)
    };
    assert_eq!(walk("/quarantine?collection=contacts"), (120, 3));
    assert_eq!(walk("/quarantine?limit=100"), (120, 2));
    assert_eq!(walk("/quarantine?collection=deals"), (0, 1));
    assert_eq!(walk("/webhooks"), (120, 3));
    assert_eq!(walk("/webhooks?state=dead"), (60, 2));
    assert_eq!(walk("/passes?outcome=failed"), (60, 2));
    assert_eq!(walk("/passes?collection=contacts"), (121, 3));
    assert_eq!(walk("/passes/1"), (240, 2), "what a pass did goes on, too");
    assert_eq!(get(&address, "/api/v1/quarantine?limit=1")["next"], "[\"contacts\",\"crm\",\"remote:001\"]");
    let (status, _) = ask(&address, "GET", "/api/v1/quarantine?after=x", TOKEN, "");
    assert_eq!(status, 400);
    let place = "%5B%22contacts%22%2C%22crm%22%2C%22remote%3A119%22%5D";
    let last = get(&address, &format!("/api/v1/quarantine?after={place}"));
    assert_eq!(last["quarantine"].as_array().map(Vec::len), Some(1));
    daemon.stops();
}
