//! Owns: a sign-in on another device: the code to type there, and asking until it was typed (RFC 8628).
//!
//! Must not know: how a person is shown the code.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Tree;
use url::Url;

use super::server::{Answer, Server, clip, plain};
use super::tokens::Granted;
use crate::upstream::{Failure, FailureKind, Response};

/// Between two questions, where the server does not say (RFC 8628, 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// What `slow_down` adds (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
const INTERVAL_MAX: Duration = Duration::from_mins(1);
/// How long a code counts, where the server does not say.
const EXPIRES_IN_S: i64 = 600;

/// A sign-in on another device that was begun.
pub struct Device {
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_url: String,
    /// The same with the code in it.
    pub complete_url: Option<String>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    code: SecretString,
    interval: Duration,
}

/// Not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting;

impl Device {
    /// Asks for a code.
    pub(super) async fn begin(
        server: &Server,
        url: &Url,
        params: &[(String, crate::rules::Template)],
    ) -> Result<Self, Failure> {
        let mut form: Vec<(&str, String)> = server.scope().map(|scope| ("scope", scope)).into_iter().collect();
        for (name, template) in params {
            form.push((name, server.fill(template)?));
        }
        // The client names itself in the form here; a secret goes with it as for tokens.
        if server.rules.client.as_ref().is_some_and(|client| client.secret.is_some()) {
            form.push(("client_id", server.client_id()?));
        }
        let response = server.post(url, form).await?;
        Self::read(server, url, &response)
    }

    fn read(server: &Server, url: &Url, response: &Response) -> Result<Self, Failure> {
        let bad = |what: &str| Failure { kind: FailureKind::BadAnswer, ..server.failed(url, what) };
        let tree: Tree = serde_json::from_slice(&response.body)
            .map_err(|_its_words_quote_it| bad(&format!("answered {} without JSON", response.status)))?;
        if let Some(refusal) = server.refusal(url, response.status, &tree) {
            return Err(refusal.into_failure());
        }
        let text = |name: &str| tree.get(name).and_then(Tree::as_str).map(str::to_owned);
        let seconds =
            |name: &str| tree.get(name).and_then(Tree::as_i64).filter(|seconds| (1..86_400).contains(seconds));
        let (Some(code), Some(user_code)) = (text("device_code"), text("user_code")) else {
            return Err(bad("gave no device code"));
        };
        // Google's early name for it is still about.
        let Some(verification_url) = text("verification_uri").or_else(|| text("verification_url")) else {
            return Err(bad("did not say where to sign in"));
        };
        let code = SecretString::from(code);
        server.secrets.hide(code.clone());
        // They are shown on a terminal, which obeys some characters.
        Ok(Self {
            user_code: clip(&user_code),
            verification_url: plain(&verification_url),
            complete_url: text("verification_uri_complete").map(|url| plain(&url)),
            expires_at: server.clock.now() + TimeDelta::seconds(seconds("expires_in").unwrap_or(EXPIRES_IN_S)),
            code,
            interval: seconds("interval")
                .map_or(INTERVAL, |seconds| Duration::from_secs(seconds.unsigned_abs()).min(INTERVAL_MAX)),
        })
    }

    /// Waits as long as the server wants and asks once.
    pub(super) async fn ask(&mut self, server: &Server) -> Result<Result<Granted, Waiting>, Failure> {
        server.clock.sleep(self.interval).await;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", self.code.expose_secret()),
        ];
        let over = |words: &str| Failure::new(FailureKind::Auth, words.to_owned());
        match server.ask_for_tokens(&form).await {
            Answer::Granted(granted) => Ok(Ok(granted)),
            _ if server.clock.now() >= self.expires_at => Err(over("nobody signed in in time; begin anew")),
            Answer::Refused(refusal) => match refusal.code.as_str() {
                "authorization_pending" => Ok(Err(Waiting)),
                "slow_down" => {
                    self.interval = (self.interval + SLOWER).min(INTERVAL_MAX);
                    Ok(Err(Waiting))
                }
                "expired_token" => Err(over("nobody signed in in time; begin anew")),
                "access_denied" => Err(over("the sign-in was refused there")),
                _ => Err(refusal.into_failure()),
            },
            // A passing failure: asked again, more slowly (RFC 8628, 3.5).
            Answer::Failed(failure) if failure.kind == FailureKind::NotDone => {
                self.interval = (self.interval * 2).min(INTERVAL_MAX);
                Ok(Err(Waiting))
            }
            Answer::Failed(failure) => Err(failure),
        }
    }
}
