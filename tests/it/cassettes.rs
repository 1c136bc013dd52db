//! `record` and `replay`: what a first pass reads, on a cassette without secrets; rules tried on it with nobody to ask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use axum::response::Response;
use serde_json::{Value, json};

use crate::scripted::{Asked, Shared, answer, answered_by, on_loopback};
use crate::world::{Ran, World};

const RULES: &str = r#"
[upstream.crm]
base_url = "${var.crm_url}/crm"
headers = { "X-Tenant" = "${secret.tenant}" }
retry = { attempts = 2 }

[upstream.crm.auth]
kind = "oauth2"
grant = "client_credentials"
token_url = "${var.crm_url}/token"
client_id = "sync"
client_secret = "${secret.client}"

[upstream.erp]
base_url = "${var.crm_url}/erp"
auth = { kind = "api_key", query = "key", value = "${secret.erp}" }

[collection.companies]
fields = { name = "text" }

[binding.companies.crm]
direction = "pull"
id = ".id"
map = { name = ".name" }
read = { request = { method = "GET", path = "/companies", query = { limit = "2" } }, records = ".results[]" }

[collection.contacts]
match = { keys = [["email"]] }

[collection.contacts.fields]
email = "text"
phone = "text"
company = { type = "ref", to = "companies" }

[binding.contacts.crm]
id = ".id"
map = { email = ".email", phone = ".phone", company = ".company_id" }

[binding.contacts.crm.read]
request = "GET /companies/{parent}/contacts"
records = ".results[]"
parent = { collection = "companies", as = "company_id" }

[binding.contacts.crm.write]
create = { request = "POST /companies/{parent}/contacts", idempotency = { match = "email" } }
update = { request = "PATCH /contacts/{id}", precondition = "none" }

[binding.contacts.erp]
id = ".id"
map = { email = ".email", phone = ".phone" }

[binding.contacts.erp.read]
request = { method = "GET", path = "/people", query = { size = "2" } }
records = ".people[]"
page = { kind = "next_url", next = ".next" }

[binding.contacts.erp.write]
create = { request = "POST /people", idempotency = { match = "email" } }
update = { request = "PATCH /people/{id}", precondition = "none" }
"#;

const CANARIES: &[&str] =
    &["canary-client", "canary-tenant", "canary-erp", "canary-access", "canary-cookie", "canary-of-another"];

#[derive(Default)]
struct Server {
    asked: Vec<String>,
    url: String,
    busy: u32,
    /// Tokens that were given out.
    tokens: u32,
    /// So many of them have ended early.
    ended: u32,
    down: bool,
}

fn serve(server: &mut Server, asked: &Asked) -> Response {
    let line = format!("{} /{}", asked.method, asked.path.join("/"));
    server.asked.push(line.clone());
    let ok = |body: &Value| {
        let mut response = answer(200, body);
        response.headers_mut().insert("set-cookie", "sid=canary-cookie".parse().unwrap());
        response
    };
    let page = |people: Value, next: Option<String>| ok(&json!({ "people": people, "next": next }));
    match line.as_str() {
        "POST /token" => {
            server.tokens += 1;
            let token = format!("canary-access-{}", server.tokens);
            answer(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
        }
        _ if server.down => answer(500, &json!({ "message": "down" })),
        _ if server.busy > 0 => {
            server.busy -= 1;
            answer(503, &json!({ "message": "a moment" }))
        }
        "GET /erp/people" if asked.query.get("key").map(String::as_str) != Some("canary-erp") => {
            answer(401, &json!({}))
        }
        "GET /erp/people" if asked.query.contains_key("page") => {
            page(json!([{ "id": "e3", "email": "cy@x.io", "phone": "+44 20 7946 0003" }]), None)
        }
        // As some do, it gives the key back.
        "GET /erp/people" => page(
            json!([{ "id": "e1", "email": "ann@x.io", "phone": "+44 20 7946 0001" }, { "id": "e2", "email": "bob@x.io", "phone": "+44 20 7946 0002" }]),
            Some(format!("{}/erp/people?size=2&page=2&key=canary-erp", server.url)),
        ),
        _ if asked.header("authorization") != format!("Bearer canary-access-{}", server.ended + 1) => {
            answer(401, &json!({ "message": "no" }))
        }
        "GET /crm/companies" => {
            ok(&json!({ "results": [{ "id": "1", "name": "Acme" }, { "id": "2", "name": "Bolt" }] }))
        }
        "GET /crm/companies/1/contacts" => {
            let echoed = [asked.header("x-tenant"), asked.header("authorization")];
            ok(
                &json!({ "you": echoed, "results": [{ "id": "c1", "email": "ann@x.io", "phone": "+44 20 7946 0001", "api_token": "canary-of-another" }] }),
            )
        }
        "GET /crm/companies/2/contacts" => {
            ok(&json!({ "results": [{ "id": "c2", "email": "dan@x.io", "phone": "+44 20 7946 0004" }] }))
        }
        _ => answer(404, &json!({ "message": "no such thing" })),
    }
}

struct Stage {
    world: World,
    server: Shared<Server>,
    runtime: Option<tokio::runtime::Runtime>,
    url: String,
}

impl Stage {
    fn new() -> Self {
        let server: Shared<Server> = Shared::default();
        let (runtime, url) = on_loopback(answered_by(server.clone(), serve));
        server.look().url.clone_from(&url);
        let world = World::new();
        world.rules("rules.toml", RULES);
        Self { world, server, runtime: Some(runtime), url }
    }

    /// With the secrets.
    fn online(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.command();
        for (name, value) in [("TENANT", "canary-tenant"), ("CLIENT", "canary-client"), ("ERP", "canary-erp")] {
            command.env(format!("RECONCILED_SECRET_{name}"), value);
        }
        Ran::of(command.env("RECONCILED__VARS__CRM_URL", &self.url).args(arguments).output().unwrap())
    }

    /// Without any.
    fn offline(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.world.command().env("RECONCILED__VARS__CRM_URL", &self.url).args(arguments).output().unwrap())
    }

    fn cassette(&self) -> PathBuf {
        self.world.path("a.cassette")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.cassette()).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.server.look().asked)
    }

    fn replayed(&self, code: i32) -> Value {
        serde_json::from_str(&self.offline(&["--json", "replay", "a.cassette"]).exits(code).stdout).unwrap()
    }
}

#[test]
fn what_a_first_pass_reads_is_recorded_without_secrets_and_replayed_with_nobody_there() {
    let mut stage = Stage::new();
    stage.server.look().busy = 1;
    let ran = stage.online(&["record", "--to", "a.cassette"]).exits(0);
    assert!(ran.stdout.contains("a.cassette: 6 requests"), "{}", ran.stdout);
    let asked = stage.asked();
    assert!(asked.iter().all(|line| line.starts_with("GET ") || line == "POST /token"), "only read: {asked:?}");
    assert!(!stage.world.database().exists());

    let text = stage.text();
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary}: {text}");
    }
    assert_eq!(std::fs::metadata(stage.cassette()).unwrap().permissions().mode() & 0o777, 0o600);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["cassette"], &lines.last().unwrap()["end"]["exchanges"]), (&json!(1), &json!(6)));
    assert!(!text.contains("/token"), "sign-ins are not in it: {text}");
    let statuses: Vec<i64> = lines.iter().filter_map(|line| line["answer"]["status"].as_i64()).collect();
    assert_eq!(statuses, [503, 200, 200, 200, 200, 200]);

    // Nobody is there any more, and no secret.
    stage.runtime.take();
    let told = stage.replayed(0);
    let names: Vec<String> = told["bindings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{}.{} {}",
                one["collection"].as_str().unwrap(),
                one["upstream"].as_str().unwrap(),
                one["records"].as_array().unwrap().len()
            )
        })
        .collect();
    assert_eq!(names, ["companies.crm 2", "contacts.crm 2", "contacts.erp 3"]);
    let field = &told["bindings"][1]["records"][0]["fields"][0];
    assert_eq!((&field["from"], &field["value"]), (&json!(".email"), &json!("ann@x.io")));
    let contacts = told["passes"].as_array().unwrap().iter().find(|pass| pass["collection"] == "contacts").unwrap();
    assert_eq!(contacts["local"]["created"], 4, "ann is one at both: {contacts:#}");
    // Ann is at both; the CRM lacks two whose company nobody knows, the ERP one.
    let erp = contacts["upstreams"].as_array().unwrap().iter().find(|one| one["upstream"] == "erp").unwrap();
    assert_eq!(erp["planned"]["created"], 1, "{contacts:#}");
    assert_eq!((&told["missing"], &told["failures"]), (&json!([]), &json!([])));
    assert_eq!(told, stage.replayed(0), "and always the same");
    assert!(!stage.world.database().exists());
    let shown = stage.offline(&["replay", "a.cassette", "companies"]).exits(0).stdout;
    assert!(shown.contains("companies at crm 1") && !shown.contains("contacts at"), "{shown}");
}

#[test]
fn a_token_that_ended_while_it_was_recorded_does_not_end_the_replay() {
    let mut stage = Stage::new();
    stage.server.look().ended = 1;
    let ran = stage.online(&["record", "companies", "--to", "a.cassette"]).exits(0);
    assert!(ran.stdout.contains("a.cassette: 2 requests"), "{}", ran.stdout);
    assert_eq!(stage.asked(), ["POST /token", "GET /crm/companies", "POST /token", "GET /crm/companies"]);
    let text = stage.text();
    assert!(text.contains(r#""status":401"#) && !text.contains("canary"), "{text}");
    stage.runtime.take();
    let told = stage.replayed(0);
    assert_eq!(told["bindings"][0]["records"].as_array().unwrap().len(), 2, "{told:#}");
    assert_eq!((&told["missing"], &told["failures"]), (&json!([]), &json!([])));
}

#[test]
fn rules_that_ask_otherwise_are_told_what_the_cassette_has() {
    let stage = Stage::new();
    stage.online(&["record", "erp", "companies", "--to", "a.cassette"]).exits(0);
    assert!(stage.asked().iter().all(|line| !line.contains("/contacts")), "only what was named");
    // Another field, another path: what is read stays the same.
    stage.world.change_rules("rules.toml", |rules| {
        rules.replacen(
            "phone = \".phone\" }\n\n[binding.contacts.erp.read]",
            "phone = { path = \".id\", direction = \"pull\" } }\n\n[binding.contacts.erp.read]",
            1,
        )
    });
    let told = stage.replayed(0);
    assert_eq!(told["bindings"][1]["records"][0]["fields"][1]["value"], "e1");
    // Another size of pages.
    stage.world.change_rules("rules.toml", |rules| rules.replace("size = \"2\"", "size = \"50\""));
    let ran = stage.offline(&["replay", "a.cassette"]).exits(6);
    let words = "the cassette has no `GET /erp/people?size=50`; the nearest that it has is `GET /erp/people?size=2`: `size` is `50` and was `2`";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert_eq!(stage.replayed(6)["missing"].as_array().unwrap().len(), 1);
    // Another header of every request.
    stage.world.change_rules("rules.toml", |rules| {
        rules
            .replace("size = \"50\"", "size = \"2\"")
            .replace("[upstream.erp]", "[upstream.erp]\nheaders = { X-Version = \"2\" }")
    });
    let ran = stage.offline(&["replay", "a.cassette"]).exits(6);
    assert!(ran.stdout.contains("the header `x-version` is `2` and was not there"), "{}", ran.stdout);
    // Rules of something else.
    stage.world.change_rules("rules.toml", |rules| rules.replace("contacts", "people").replace("companies", "firms"));
    let ran = stage.offline(&["replay", "a.cassette"]).exits(2);
    assert!(
        ran.stderr.contains("the rules have nothing of what was recorded (companies.crm, contacts.erp)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn personal_data_is_masked_and_who_is_one_stays_one() {
    let stage = Stage::new();
    stage.online(&["record", "--to", "a.cassette", "--redact", "email", "--redact", "phone"]).exits(0);
    let text = stage.text();
    let is_shown = |n: u32| text.contains(&format!("+44 20 7946 000{n}"));
    assert!(!text.contains("x.io") && !(1..=4).any(is_shown), "{text}");
    let told = stage.replayed(0);
    let contacts = told["passes"].as_array().unwrap().iter().find(|pass| pass["collection"] == "contacts").unwrap();
    assert_eq!(contacts["local"]["created"], 4, "{contacts:#}");
    assert_eq!(told["redacted"], json!(["email", "phone"]));
}

#[test]
fn a_recording_that_is_cut_off_damaged_foreign_or_in_the_way_is_refused() {
    let stage = Stage::new();
    let ran = stage.online(&["record", "contacts.crm", "--to", "a.cassette"]).exits(0);
    assert!(ran.stderr.contains("companies.crm is recorded as well: it has the parents of contacts"), "{}", ran.stderr);
    stage.asked();
    let ran = stage.online(&["record", "--to", "a.cassette"]).exits(2);
    assert!(ran.stderr.contains("a.cassette is there already; remove it, or record to another file"), "{}", ran.stderr);
    let ran = stage.online(&["record", "contact.crm", "--to", "b.cassette"]).exits(2);
    assert!(
        ran.stderr.contains("nothing that is read is called `contact.crm`; did you mean `contacts.crm`?"),
        "{}",
        ran.stderr
    );
    assert_eq!(stage.asked(), [] as [&str; 0]);

    let whole = stage.text();
    let refused = |text: &str, words: &str| {
        std::fs::write(stage.cassette(), text).unwrap();
        let ran = stage.offline(&["replay", "a.cassette"]).exits(1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    refused(&whole[..whole.len() / 2], "in the midst of a recording: it was cut off; record it anew");
    refused(
        &whole.replace("\"cassette\":1", "\"cassette\":7"),
        "is a cassette of version 7, and this program reads version 1",
    );
    refused(
        "id,name\n1,Ann\n",
        "a.cassette is no cassette: its first line is not JSON; `reconciled record --to FILE` makes one",
    );
    refused(&format!("{whole}{whole}"), "something follows the end");
    std::fs::remove_file(stage.cassette()).unwrap();
    let ran = stage.offline(&["replay", "a.cassette"]).exits(1);
    assert!(ran.stderr.contains("a.cassette cannot be read"), "{}", ran.stderr);
}

#[test]
fn a_recording_ends_where_it_is_told_to_and_failures_are_recorded_too() {
    let stage = Stage::new();
    let ran = stage.online(&["record", "contacts.erp", "--to", "a.cassette", "--requests", "1"]).exits(0);
    assert!(ran.stdout.contains("it ended early: the limit of requests is reached, 1"), "{}", ran.stdout);
    assert_eq!(stage.asked(), ["GET /erp/people"]);
    let ran = stage.offline(&["replay", "a.cassette"]).exits(6);
    assert!(ran.stdout.contains("; the recording ended early: the limit of requests is reached, 1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("contacts at erp e1"), "what it has is shown: {}", ran.stdout);
    std::fs::remove_file(stage.cassette()).unwrap();

    stage.server.look().down = true;
    let ran = stage.online(&["record", "companies", "--to", "a.cassette"]).exits(6);
    assert!(ran.stdout.contains("companies at crm: GET /companies 500"), "{}", ran.stdout);
    let ran = stage.offline(&["replay", "a.cassette"]).exits(6);
    assert!(ran.stdout.contains("companies at crm: GET /companies 500"), "{}", ran.stdout);
}
