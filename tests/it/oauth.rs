//! Signing in to an upstream as a person does: the real program, an authorization server and a browser's way, on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reconciled::sandbox::Auth;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::scripted::on_loopback;
use crate::world::{Ran, World};

pub const SECRET: &str = "canary-client-secret";

/// An authorization server: codes count once and only with their verifier, refresh tokens count once.
#[derive(Default)]
pub struct Server {
    challenge: String,
    redirect: String,
    /// How often tokens were given.
    given: u32,
    pub refresh: String,
    /// What it was asked.
    asked: Vec<BTreeMap<String, String>>,
    /// How often a device asks before somebody signed in.
    pending: u32,
    revoked: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

pub fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The person agrees at once.
async fn authorize(State(server): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let query = pairs(query.unwrap_or_default().as_bytes());
    let mut server = server.lock().unwrap();
    server.challenge.clone_from(&query["code_challenge"]);
    server.redirect.clone_from(&query["redirect_uri"]);
    let back = format!("{}?code=canary-code&state={}", server.redirect, query["state"]);
    (StatusCode::FOUND, [(header::LOCATION, back)]).into_response()
}

async fn token(State(server): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let form = pairs(&body);
    let mut server = server.lock().unwrap();
    server.asked.push(form.clone());
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, json!({ "error": error }).to_string()).into_response();
    let basic = format!("Basic {}", STANDARD.encode(format!("client:{SECRET}")));
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(&basic) {
        return refuse("invalid_client");
    }
    let good = match form["grant_type"].as_str() {
        "authorization_code" => {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            form["code"] == "canary-code"
                && challenge == std::mem::take(&mut server.challenge)
                && form["redirect_uri"] == server.redirect
        }
        "refresh_token" => form["refresh_token"] == server.refresh,
        _ if server.pending > 0 => {
            server.pending -= 1;
            return refuse("authorization_pending");
        }
        _ => form["device_code"] == "canary-device",
    };
    if !good {
        return refuse("invalid_grant");
    }
    server.given += 1;
    server.refresh = format!("canary-refresh-{}", server.given);
    let tokens = json!({"access_token": format!("canary-access-{}", server.given), "token_type": "Bearer",
        "expires_in": 3600, "refresh_token": server.refresh, "scope": "contacts"});
    tokens.to_string().into_response()
}

async fn device(State(server): State<Shared>) -> Response {
    server.lock().unwrap().pending = 1;
    json!({"device_code": "canary-device", "user_code": "ABCD-EFGH", "verification_uri": "https://id.test/activate",
        "expires_in": 60, "interval": 1})
    .to_string()
    .into_response()
}

async fn revoke(State(server): State<Shared>, body: Bytes) -> StatusCode {
    server.lock().unwrap().revoked.push(pairs(&body)["token"].clone());
    StatusCode::OK
}

/// A world with `/contacts` at an upstream that wants tokens, and the server that gives them.
pub struct Signed {
    pub world: World,
    server: Shared,
    pub runtime: tokio::runtime::Runtime,
}

impl Signed {
    pub fn new(grant: &str) -> Self {
        // Whoever comes second finds it installed.
        rustls::crypto::ring::default_provider().install_default().ok();
        let server = Shared::new(Mutex::new(Server::default()));
        let router = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/device", post(device))
            .route("/revoke", post(revoke))
            .with_state(server.clone());
        let (runtime, url) = on_loopback(router);
        let world = World::with_contacts(&["crm"], |_, _| {});
        let auth = format!(
            "[upstream.crm.auth]\nkind = \"oauth2\"\ntoken_url = \"{url}/token\"\nrevoke_url = \"{url}/revoke\"\n\
             client_id = \"client\"\nclient_secret = \"${{secret.client}}\"\nscopes = [\"contacts\"]\n{}\n",
            grant.replace("URL", &url)
        );
        world.change_rules("rules.toml", |text| {
            text.replace("[binding.contacts.crm]\n", &format!("{auth}[binding.contacts.crm]\n"))
        });
        let signed = Self { world, server, runtime };
        signed.secret("client", SECRET);
        signed.takes(0);
        signed.world.at("crm", |crm| {
            #[expect(clippy::disallowed_methods, reason = "the sandbox shares the program's clock")]
            let now = chrono::Utc::now();
            crm.insert("/contacts", &json!({"id": "c1", "email": "a@x.test", "name": "Ann", "phone": "1"}), now)
                .unwrap();
        });
        signed
    }

    pub fn secret(&self, name: &str, value: &str) {
        let ran = self.fed(&["secret", "set", name], value);
        ran.exits(0);
    }

    /// Runs the program with this on stdin.
    fn fed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.world.command();
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// The upstream takes the access token with this number and no other.
    pub fn takes(&self, number: u32) {
        let token = format!("canary-access-{number}");
        self.world.at("crm", |crm| crm.config_mut().auth = Auth::Bearer { token });
    }

    pub fn server<R>(&self, look: impl FnOnce(&mut Server) -> R) -> R {
        look(&mut self.server.lock().unwrap())
    }

    /// GET as a browser does, following redirects; the last status and page.
    fn browse(&self, url: &str) -> (u16, String) {
        self.runtime.block_on(async {
            let answer = reqwest::Client::new().get(url).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// Nothing secret stands in what was said or in any file that outlives a process, but for the key.
    pub fn nothing_in_clear(&self, said: &[&Ran]) {
        for ran in said {
            assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{ran:#?}");
        }
        let mut files: Vec<_> =
            std::fs::read_dir(self.world.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.is_file());
        assert!(files.iter().any(|path| path.to_string_lossy().ends_with(".vault")), "{files:?}");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", file.display());
        }
    }
}

pub const SIGN_IN: &str = "grant = \"authorization_code\"\nauthorize_url = \"URL/authorize\"\n";

/// Begins `auth login` and reads the address that it tells.
fn begun(signed: &Signed) -> (std::process::Child, BufReader<std::process::ChildStderr>, String) {
    let mut command = signed.world.command();
    let mut child =
        command.args(["auth", "login", "crm"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(talk.read_line(&mut line).unwrap() > 0, "no address was told");
        if let Some(address) = line.trim().strip_prefix("http").map(|rest| format!("http{rest}")) {
            break address;
        }
    };
    (child, talk, address)
}

#[test]
fn a_person_signs_in_once_and_the_tokens_are_renewed_and_rotated_from_then_on() {
    let signed = Signed::new(SIGN_IN);
    let before = signed.world.sync().exits(6);
    assert!(
        before.stdout.contains("reauth required: nobody is signed in; sign in with `reconciled auth login crm`"),
        "{before:#?}"
    );
    let status = signed.world.run(&["auth", "status"]).exits(6);
    assert!(status.stdout.contains("nobody is signed in: reconciled auth login crm"), "{}", status.stdout);

    let (mut child, mut talk, address) = begun(&signed);
    // What is not the answer ends nothing.
    let callback = pairs(address.split_once('?').unwrap().1.as_bytes())["redirect_uri"].clone();
    let (code, page) = signed.browse(&format!("{callback}?code=stolen&state=guessed"));
    assert!(code == 400 && page.contains("not the sign-in that is waited for"), "{page}");
    let (code, page) = signed.browse(&address);
    assert!(code == 200 && page.contains("Signed in"), "{page}");
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    talk.read_to_string(&mut said).unwrap();
    assert!(said.contains("signed in to crm; a running daemon goes on with its next pass"), "{said}");

    signed.takes(1);
    let first = signed.world.sync().exits(0);
    assert_eq!(signed.world.rows("select name from contacts"), [["Ann"]]);
    let status = signed.world.run(&["auth", "status", "--json"]).exits(0);
    let rows: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((&rows[0]["state"], &rows[0]["scope"]), (&json!("signed_in"), &json!("contacts")));

    // The upstream takes the token no more, long before its end.
    signed.takes(2);
    let second = signed.world.sync().exits(0);
    signed.takes(3);
    signed.world.sql("update contacts set phone = '2'");
    let third = signed.world.sync().exits(0);
    assert_eq!(signed.world.contacts("crm")[0]["phone"], "2");
    let grants: Vec<(String, String)> = signed.server(|server| {
        let named = |form: &BTreeMap<String, String>, name: &str| form.get(name).cloned().unwrap_or_default();
        server.asked.iter().map(|form| (named(form, "grant_type"), named(form, "refresh_token"))).collect()
    });
    assert_eq!(grants[0].0, "authorization_code");
    assert_eq!(grants[1], ("refresh_token".to_owned(), "canary-refresh-1".to_owned()));
    assert_eq!(grants[2], ("refresh_token".to_owned(), "canary-refresh-2".to_owned()), "each counts once");
    signed.nothing_in_clear(&[&before, &status, &first, &second, &third]);
}

#[test]
fn a_refresh_token_that_was_revoked_there_pauses_the_upstream_with_its_edits_kept() {
    let signed = Signed::new(SIGN_IN);
    let (mut child, _talk, address) = begun(&signed);
    signed.browse(&address);
    assert!(child.wait().unwrap().success());
    signed.takes(1);
    signed.world.sync().exits(0);
    signed.world.sql("update contacts set phone = '2'");
    signed.server(|server| server.refresh = "another".to_owned());
    signed.takes(9);
    for _ in 0..2 {
        let ran = signed.world.sync().exits(6);
        assert!(ran.stdout.contains("reauth required: token request to"), "{ran:#?}");
    }
    assert_eq!(signed.server(|server| server.asked.len()), 2, "a server that said no is left alone");
    assert_eq!(signed.world.rows("select phone from contacts"), [["2"]]);

    let (mut child, _talk, address) = begun(&signed);
    signed.browse(&address);
    assert!(child.wait().unwrap().success());
    signed.takes(2);
    signed.world.sync().exits(0);
    assert_eq!(signed.world.contacts("crm")[0]["phone"], "2");

    signed.world.run(&["auth", "revoke", "crm"]).exits(0);
    assert_eq!(signed.server(|server| server.revoked.clone()), ["canary-refresh-2"]);
    signed.world.sync().exits(6);
}

#[test]
fn a_person_signs_in_with_a_browser_elsewhere_and_pastes_the_address() {
    let signed = Signed::new(&format!("{SIGN_IN}redirect_url = \"https://crm.test/done\"\n"));
    let refused = signed.world.run(&["auth", "login", "crm"]).exits(2);
    assert!(
        refused.stderr.contains("https://crm.test/done is not on this machine: sign in with --paste"),
        "{refused:#?}"
    );

    let mut command = signed.world.command();
    command
        .args(["auth", "login", "crm", "--paste"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut address = String::new();
    while !address.trim().starts_with("http") {
        address.clear();
        assert!(talk.read_line(&mut address).unwrap() > 0);
    }
    let back = signed.runtime.block_on(async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.get(address.trim()).send().await.unwrap();
        answer.headers()["location"].to_str().unwrap().to_owned()
    });
    assert!(back.starts_with("https://crm.test/done?code="), "{back}");
    writeln!(child.stdin.take().unwrap(), "{back}").unwrap();
    assert!(child.wait().unwrap().success());
    signed.takes(1);
    signed.world.sync().exits(0);
}

#[test]
fn a_person_signs_in_on_another_device() {
    let signed = Signed::new("grant = \"device_code\"\ndevice_url = \"URL/device\"\n");
    let login = signed.world.run(&["auth", "login", "crm"]).exits(0);
    assert!(login.stderr.contains("https://id.test/activate"), "{login:#?}");
    assert!(login.stderr.contains("type the code ABCD-EFGH"), "{login:#?}");
    signed.takes(1);
    let first = signed.world.sync().exits(0);
    signed.nothing_in_clear(&[&login, &first]);
}

#[test]
fn secrets_are_kept_sealed_listed_by_name_and_sealed_anew() {
    let signed = Signed::new(SIGN_IN);
    let world = &signed.world;
    let key = world.path("secrets/master_key");
    let before = std::fs::read(&key).unwrap();
    let list = world.run(&["secret", "list"]).exits(0);
    assert!(list.stdout.contains("client") && list.stdout.contains(".vault"), "{}", list.stdout);
    let rotated = world.run(&["key", "rotate"]).exits(0);
    assert!(rotated.stderr.contains("1 entry is sealed with a new master key"), "{}", rotated.stderr);
    assert_ne!(std::fs::read(&key).unwrap(), before);
    world.run(&["check"]).exits(0);

    // The wrong key refuses to start, and says which is meant.
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, &before).unwrap();
    let refused = world.sync().exits(1);
    assert!(refused.stderr.contains("is not the one that"), "{refused:#?}");
    let doctor = world.run(&["doctor", "--offline"]).exits(1);
    assert!(doctor.stdout.contains("vault") && doctor.stdout.contains("is not the one that"), "{}", doctor.stdout);
    std::fs::write(&key, right).unwrap();
    let vault = world.path("data.db.vault");
    std::fs::set_permissions(&vault, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = world.run(&["doctor", "--offline"]).stdout;
    assert!(open.contains("others than its owner may open") && open.contains("chmod 600"), "{open}");

    for (name, value, words) in [
        ("master_key", "x", "master_key opens the vault and cannot be in it"),
        ("../x", "x", "cannot be the name of a secret"),
        ("client", "", "nothing was given"),
    ] {
        let ran = signed.fed(&["secret", "set", name], value).exits(2);
        assert!(ran.stderr.contains(words), "{ran:#?}");
    }
    world.run(&["secret", "rm", "client"]).exits(0);
    world.run(&["secret", "rm", "client"]).exits(1);
    let missing = world.run(&["check"]).exits(2);
    assert!(format!("{missing:?}").contains("data.db.vault (not set)"), "{missing:#?}");
    signed.nothing_in_clear(&[&list, &rotated, &refused, &doctor, &missing]);
}

/// A login by hand says what a daemon makes of it: nothing, where the token is in no vault.
#[test]
fn a_login_without_a_vault_says_that_no_other_process_hears_of_it() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    #[expect(clippy::disallowed_methods, reason = "the sandbox shares the program's clock")]
    let now = chrono::Utc::now();
    let contact = json!({"id": "c1", "email": "a@x.test", "name": "Ann", "phone": "1"});
    world.at("crm", |crm| crm.insert("/contacts", &contact, now)).unwrap();
    let auth = "[upstream.crm.auth]\nkind = \"session\"\ntoken = \".id\"\n\
                login = { path = \"/contacts/c1\", method = \"GET\", headers = { X-Key = \"${secret.key}\" } }\n\n";
    world.change_rules("rules.toml", |text| {
        text.replace("[binding.contacts.crm]\n", &format!("{auth}[binding.contacts.crm]\n"))
    });
    let secrets = world.path("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("key"), SECRET).unwrap();
    std::fs::set_permissions(secrets.join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let alone = world.run(&["auth", "login", "crm"]).exits(0);
    assert!(alone.stderr.contains("signed in to crm; a running daemon does not hear of it"), "{alone:#?}");
    world.run(&["key", "create"]).exits(0);
    let shared = world.run(&["auth", "login", "crm"]).exits(0);
    assert!(shared.stderr.contains("signed in to crm; a running daemon goes on with its next pass"), "{shared:#?}");
}
