//! Owns: the proof of how tokens are had and kept.
//!
//! Must not know: sockets.

mod answers;
mod flows;
mod losses;
mod signatures;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::*;
use crate::rules::{Auth, ClientAuth, Grant, OAuth, OAuthClient, Upstream};
use crate::upstream::tests::{Script, TestClock, lock_the_disk, lookup, template, upstream};
use crate::upstream::{Client, Response, TransportError};
use crate::vault::{KeyPlaces, Vault};

/// Rules of a grant; the client has a secret.
fn oauth(grant: Grant) -> OAuth {
    OAuth {
        grant,
        token_url: Url::parse("https://id.test/token").unwrap(),
        revoke_url: None,
        client: Some(OAuthClient {
            id: template("client"),
            secret: Some(template("${secret}")),
            auth: ClientAuth::Basic,
        }),
        scopes: vec!["read".into(), "write".into()],
        token_params: Vec::new(),
        refresh_before: Duration::from_mins(5),
        header: "authorization".into(),
        prefix: "Bearer ".into(),
    }
}

fn upstream_with(oauth: OAuth) -> Upstream {
    Upstream { name: "crm".into(), auth: Auth::Tokens(Box::new(oauth)), ..upstream("https://up.test") }
}

/// A folder with a vault, as several processes see it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn vault(&self) -> Arc<Vault> {
        let find = |_: &str| {
            Ok((SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "environment".to_owned()))
        };
        Arc::new(Vault::beside(&self.path("data.db"), KeyPlaces::new(self.path("secrets"), find)))
    }

    /// Nothing can be written to the vault, as on a full disk.
    fn lock_the_disk(&self, locked: bool) {
        lock_the_disk(&self.path("data.db.vault"), locked);
    }

    fn kept(&self) -> Option<Tokens> {
        let text = self.vault().get(crate::vault::Kind::Token, "crm").unwrap();
        text.map(|text| Tokens::of_kept(&text).unwrap())
    }

    /// A client as a new process makes it.
    fn client(
        &self,
        rules: OAuth,
        answers: impl IntoIterator<Item = Result<Response, TransportError>>,
        clock: &Arc<TestClock>,
    ) -> (Client, Arc<Script>) {
        let script = Script::new(answers);
        let client = Client::new(Arc::new(upstream_with(rules)), &lookup, script.clone(), clock.clone()).unwrap();
        (client.keeping_tokens_in(&self.vault()), script)
    }
}

/// The form that was sent.
fn form(script: &Script, at: usize) -> Vec<(String, String)> {
    let body = script.asked()[at].body.clone().unwrap();
    url::form_urlencoded::parse(&body).into_owned().collect()
}

fn field(script: &Script, at: usize, name: &str) -> Option<String> {
    form(script, at).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
