//! Owns: one question to an authorization server: a form out of rules, and what its answer says (RFC 6749, 5).
//!
//! Must not know: which tokens are there, when they are renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::Value as Tree;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::tokens::Granted;
use crate::clock::Clock;
use crate::rules::{ClientAuth, OAuth, OAuthClient, Template, Timeouts, Upstream};
use crate::upstream::hosts::is_reachable;
use crate::upstream::keeping::LOCK_MAX;
use crate::upstream::purse::{Purse, ROOM_MAX, wait_for_room};
use crate::upstream::state::State;
use crate::upstream::{
    Built, Failure, FailureKind, Holes, Outgoing, Response, Secrets, Transport, TransportError, backoff, check_url,
    retry_after,
};

/// Questions are asked so often before the call fails.
const ATTEMPTS_MAX: u32 = 3;
/// From beginning to end; a token is small, and everything waits for it.
const TOTAL: Duration = Duration::from_secs(30);
/// A wait that a server asks for is borne up to this.
const WAIT_MAX: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Of a server's own words, in characters.
const WORDS_MAX: usize = 200;

// Other processes wait for their turn until a renewal is over.
const _: () = {
    let attempts = TOTAL.as_secs() * ATTEMPTS_MAX as u64;
    let waits = WAIT_MAX.as_secs() * (ATTEMPTS_MAX as u64 - 1);
    assert!(attempts + waits + ROOM_MAX.as_secs() < LOCK_MAX.as_secs());
};

/// The authorization server of one upstream.
#[derive(Clone)]
pub(super) struct Server {
    /// Whose it is.
    pub upstream: Arc<Upstream>,
    /// How it is asked.
    pub rules: OAuth,
    /// The secrets that the rules name, and tokens that must not be shown.
    pub secrets: Secrets,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The budgets of the upstream, which it is asked by where it is a part of that.
    pub state: Arc<Mutex<State>>,
    /// What is held of them.
    pub purse: Option<Arc<Purse>>,
}

/// What became of a question.
pub(super) enum Answer {
    /// Tokens.
    Granted(Granted),
    /// `error` of the answer, and a line for people.
    Refused(Refusal),
    /// No answer, or none that could be understood: it may be asked again later.
    Failed(Failure),
}

/// An error of the protocol (RFC 6749, 5.2; RFC 8628, 3.5).
pub(super) struct Refusal {
    /// `error`.
    pub code: String,
    /// A line for people.
    pub words: String,
    /// The question was asked before, and what was answered is not known.
    pub repeated: bool,
}

impl Refusal {
    /// As a failure: credentials that are refused.
    pub fn into_failure(self) -> Failure {
        Failure::new(FailureKind::Auth, self.words)
    }
}

impl Server {
    /// A text of the rules with its secrets.
    pub fn fill(&self, template: &Template) -> Result<String, Failure> {
        self.secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned())).map(|filled| filled.text)
    }

    /// The client's id.
    pub fn client_id(&self) -> Result<String, Failure> {
        self.rules.client.as_ref().map_or_else(|| Ok(String::new()), |client| self.fill(&client.id))
    }

    /// What is asked for, as one text.
    pub fn scope(&self) -> Option<String> {
        (!self.rules.scopes.is_empty()).then(|| self.rules.scopes.join(" "))
    }

    /// Asks for tokens. Asked again where nobody answered: a refresh token that may have been used up is all there is.
    pub async fn ask_for_tokens(&self, own: &[(&str, &str)]) -> Answer {
        let mut form: Vec<(&str, String)> = own.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        for (name, template) in &self.rules.token_params {
            match self.fill(template) {
                Ok(text) => form.push((name, text)),
                Err(failure) => return Answer::Failed(failure),
            }
        }
        match self.post_noting(&self.rules.token_url, form).await {
            Ok((response, repeated)) => match self.read(&response) {
                Answer::Refused(refusal) => Answer::Refused(Refusal { repeated, ..refusal }),
                other => other,
            },
            Err(failure) => Answer::Failed(failure),
        }
    }

    /// Sends a form with the client's credentials; an answer may be a refusal.
    pub async fn post(&self, url: &Url, form: Vec<(&str, String)>) -> Result<Response, Failure> {
        self.post_noting(url, form).await.map(|(response, _repeated)| response)
    }

    /// The same; the second value says that it was sent before, without an answer.
    async fn post_noting(&self, url: &Url, form: Vec<(&str, String)>) -> Result<(Response, bool), Failure> {
        is_reachable(url, false)?;
        let outgoing = self.outgoing(url, form)?;
        let (mut attempts, mut waited) = (0, Duration::ZERO);
        loop {
            self.wait_for_turn(url, &mut waited).await?;
            attempts += 1;
            let outcome = self.transport.exchange(outgoing.clone()).await;
            let (wait, failure) = match outcome {
                Ok(response) if response.status == 429 || response.status >= 500 => {
                    let asked = retry_after::parse_retry_after(&response.headers, self.clock.now());
                    (asked, self.failed(url, &format!("answered {}", response.status)))
                }
                Ok(response) => return Ok((response, attempts > 1)),
                Err(TransportError::Certificate(words) | TransportError::Identity(words)) => {
                    return Err(Failure { kind: FailureKind::Fatal, ..self.failed(url, &words) });
                }
                // It would be so again, and a refresh token would be sent twice for it.
                Err(error @ (TransportError::TooLarge { .. } | TransportError::Bomb { .. })) => {
                    return Err(Failure { kind: FailureKind::BadAnswer, ..self.failed(url, &error.to_string()) });
                }
                Err(error) => (None, self.failed(url, &error.to_string())),
            };
            let wait = wait.unwrap_or_else(|| backoff::transient_wait(attempts, self.clock.random()));
            if attempts >= ATTEMPTS_MAX || wait > WAIT_MAX {
                let later = chrono::TimeDelta::from_std(wait).ok();
                let retry_at = later.and_then(|later| self.clock.now().checked_add_signed(later));
                return Err(Failure { retry_at, ..failure });
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Whether tokens are had at the upstream itself, by a request like any other to it.
    pub fn is_at_upstream(&self, url: &Url) -> bool {
        url.origin() == self.upstream.base_url.origin()
    }

    /// Waits until every budget of the upstream that covers it lets it go, and debits them. Another server has none.
    async fn wait_for_turn(&self, url: &Url, waited: &mut Duration) -> Result<(), Failure> {
        if !self.is_at_upstream(url) {
            return Ok(());
        }
        let request = Built { method: Method::POST, ..Built::of_url(url.clone()) };
        let from = (self.state.as_ref(), self.purse.as_ref());
        let room = wait_for_room(from, (&self.upstream, &request), self.clock.as_ref(), waited).await;
        room.map_err(|failure| Failure { words: format!("token request: {failure}"), ..failure })
    }

    fn outgoing(&self, url: &Url, mut form: Vec<(&str, String)>) -> Result<Outgoing, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(client) = &self.rules.client {
            self.identify(client, &mut headers, &mut form)?;
        }
        let mut body = Serializer::new(String::new());
        body.extend_pairs(&form);
        let timeout = self.upstream.timeout;
        Ok(Outgoing {
            method: Method::POST,
            url: url.clone(),
            headers,
            body: Some(Bytes::from(body.finish())),
            timeouts: Timeouts { total: timeout.total.min(TOTAL), ..timeout },
            body_bytes_max: BODY_BYTES_MAX,
            records: None,
            streams: false,
            heals: false,
            // Another host is no business of these.
            tls: self.upstream.tls.clone().filter(|_| check_url(&self.upstream, url).is_ok()),
        })
    }

    /// Says who asks. In a header both parts are encoded as in a form (RFC 6749, 2.3.1).
    fn identify(
        &self,
        client: &OAuthClient,
        headers: &mut HeaderMap,
        form: &mut Vec<(&str, String)>,
    ) -> Result<(), Failure> {
        let id = self.fill(&client.id)?;
        let secret = client.secret.as_ref().map(|secret| self.fill(secret)).transpose()?;
        match (client.auth, secret) {
            (ClientAuth::Basic, Some(secret)) => {
                let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let token = STANDARD.encode(format!("{}:{}", part(&id), part(&secret)));
                let mut value = HeaderValue::try_from(format!("Basic {token}")).map_err(|_no_words| {
                    Failure::new(FailureKind::Fatal, "the client's credentials do not fit into a header")
                })?;
                value.set_sensitive(true);
                self.secrets.hide(token.into());
                headers.insert(AUTHORIZATION, value);
            }
            (_, secret) => {
                form.push(("client_id", id));
                form.extend(secret.map(|secret| ("client_secret", secret)));
            }
        }
        Ok(())
    }

    /// What an answer to a question for tokens says. Some servers refuse with 200.
    fn read(&self, response: &Response) -> Answer {
        let url = &self.rules.token_url;
        let Ok(tree) = serde_json::from_slice::<Tree>(&response.body) else {
            return Answer::Failed(Failure {
                kind: FailureKind::BadAnswer,
                ..self.failed(url, &format!("answered {} without JSON", response.status))
            });
        };
        if let Some(refusal) = self.refusal(url, response.status, &tree) {
            return Answer::Refused(refusal);
        }
        let text = |name: &str| tree.get(name).and_then(Tree::as_str).filter(|text| !text.is_empty());
        let (Some(access), 200..=299) = (text("access_token"), response.status) else {
            return Answer::Failed(Failure {
                kind: FailureKind::BadAnswer,
                ..self.failed(url, &format!("answered {} without a token and without an error", response.status))
            });
        };
        let kind = text("token_type").unwrap_or("bearer");
        if !kind.eq_ignore_ascii_case("bearer") && self.rules.prefix == "Bearer " {
            let words = format!("gave a token of type `{}`, which is sent otherwise: see `prefix`", clip(kind));
            return Answer::Failed(Failure { kind: FailureKind::BadAnswer, ..self.failed(url, &words) });
        }
        let refresh = text("refresh_token").map(SecretString::from);
        // Some servers write the number as text.
        let expires_in = tree.get("expires_in").and_then(|value| match value {
            Tree::String(text) => text.trim().parse().ok(),
            value => value.as_f64().filter(|seconds| seconds.abs() < 1e12).map(whole),
        });
        let granted = Granted { access: access.into(), refresh, expires_in, scope: text("scope").map(str::to_owned) };
        for secret in std::iter::once(&granted.access).chain(&granted.refresh) {
            self.secrets.hide(secret.clone());
        }
        Answer::Granted(granted)
    }

    /// The error that an answer holds, if it holds one.
    pub fn refusal(&self, url: &Url, status: u16, tree: &Tree) -> Option<Refusal> {
        // Some servers always have the key.
        let error = tree.get("error").filter(|error| !matches!(error, Tree::Null) && error.as_str() != Some(""))?;
        // A few servers nest it.
        let code = error.as_str().or_else(|| error.get("code").and_then(Tree::as_str)).unwrap_or("error");
        let described = tree.get("error_description").or_else(|| error.get("message")).and_then(Tree::as_str);
        let code = clip(code);
        let said = described.map(|words| format!(": {}", clip(words))).unwrap_or_default();
        let remedy = match code.as_str() {
            "invalid_client" | "unauthorized_client" => "; are `client_id`, `client_secret` and `client_auth` right?",
            "invalid_scope" => "; are `scopes` right?",
            "unsupported_grant_type" => "; does this server know this `grant`?",
            _ => "",
        };
        let words = self.failed(url, &format!("answered {status} {code}{said}{remedy}")).words;
        Some(Refusal { code, words, repeated: false })
    }

    /// A failure that says where; nothing is known to have been done.
    pub fn failed(&self, url: &Url, what: &str) -> Failure {
        let at = format!("{}{}", url.origin().ascii_serialization(), url.path());
        Failure::new(FailureKind::NotDone, self.secrets.mask(&format!("token request to {at}: {what}")))
    }
}

/// A server's words, on one line and not too long.
pub(super) fn clip(words: &str) -> String {
    plain(words).chars().take(WORDS_MAX).collect()
}

/// On one line: no character that a terminal obeys.
pub(super) fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be within bounds; parts of a second do not count")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}
