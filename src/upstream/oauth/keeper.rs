//! Owns: the tokens of one upstream: held, renewed before they end, by one task of one process at a time.
//!
//! Must not know: what they are used for.
//!
//! A refresh token may count once only. So whoever renews holds the upstream's lock in the vault, looks first whether another
//! process has done it, and keeps what came durably before it is used. Tokens that the client gets for itself (no person, no
//! refresh token) are asked for anew by every process, and not kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::assertion::assertion;
use super::device::{Device, Waiting};
use super::server::{Answer, Refusal, Server};
use super::signin::{Back, SignIn};
use super::tokens::{Granted, Tokens, fingerprint};
use crate::clock::{Clock, new_id};
use crate::rules::{Grant, OAuth, Upstream};
use crate::upstream::{Failure, FailureKind, Secrets, Transport};
use crate::vault::{Kind, Vault, VaultError};

/// After a renewal that failed, tokens that have not ended are used for so long before the next try.
const TRY_AGAIN_IN: Duration = Duration::from_secs(30);

/// The tokens of one upstream.
pub struct Keeper {
    server: Server,
    vault: Option<Arc<Vault>>,
    held: RwLock<Option<Arc<Tokens>>>,
    /// Held by the one task that renews; when the next try is due.
    turn: Mutex<Option<Duration>>,
}

/// How it stands with the tokens of an upstream, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client gets them for itself when they are needed.
    AsNeeded,
    /// Nobody signed in yet.
    Nobody,
    /// The server takes the refresh token no more: its words.
    Again(String),
    /// Signed in.
    In {
        /// When tokens were had last.
        since: DateTime<Utc>,
        /// When the access token ends.
        expires_at: Option<DateTime<Utc>>,
        /// Whether they can be renewed.
        renewable: bool,
        /// What was granted.
        scope: Option<String>,
    },
}

impl Keeper {
    /// Nothing is asked for yet. `secrets` are those that the rules name.
    pub fn new(
        upstream: &Arc<Upstream>,
        rules: &OAuth,
        secrets: Secrets,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let server = Server { upstream: Arc::clone(upstream), rules: rules.clone(), secrets, transport, clock };
        Self { server, vault: None, held: RwLock::default(), turn: Mutex::default() }
    }

    /// Keeps tokens in a vault.
    pub fn keeping_in(mut self, vault: Arc<Vault>) -> Self {
        self.vault = Some(vault);
        self
    }

    /// How the first token is had.
    pub fn grant(&self) -> &Grant {
        &self.server.rules.grant
    }

    /// Tokens that may be used now.
    pub async fn tokens(&self) -> Result<Arc<Tokens>, Failure> {
        if let Some(held) = self.held().filter(|held| self.are_fresh(held)) {
            return Ok(held);
        }
        let mut again_at = self.turn.lock().await;
        let clock = &self.server.clock;
        let waits = again_at.is_some_and(|at| clock.monotonic() < at);
        let usable = |tokens: &Tokens| self.are_fresh(tokens) || (waits && tokens.are_valid(clock.now()));
        if let Some(held) = self.held().filter(|held| usable(held)) {
            return Ok(held);
        }
        match self.renew_by(&usable).await {
            Ok(tokens) => {
                *again_at = None;
                Ok(tokens)
            }
            // A server that is away for a moment stops nothing while the old token still counts.
            Err(failure) => match self.held().filter(|held| held.are_valid(clock.now())) {
                Some(held) if failure.kind == FailureKind::NotDone => {
                    tracing::warn!(upstream = self.name(), error = %failure, "the token could not be renewed yet");
                    *again_at = Some(clock.monotonic() + TRY_AGAIN_IN);
                    Ok(held)
                }
                _ => Err(failure),
            },
        }
    }

    /// Others than these, which the upstream refused. The same ones where nothing else is to be had.
    pub async fn others_than(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        let _turn = self.turn.lock().await;
        let is_another = |tokens: &Tokens| !tokens.are_the_same(refused) && tokens.are_valid(self.server.clock.now());
        match self.held().filter(|held| is_another(held)) {
            Some(held) => Ok(held),
            None => self.renew_by(&is_another).await,
        }
    }

    /// Begins a sign-in in a browser that comes back to `redirect_url`.
    pub fn sign_in(&self, redirect_url: String) -> Result<SignIn, Failure> {
        match self.grant() {
            Grant::AuthorizationCode(rules) => SignIn::begin(&self.server, rules, redirect_url),
            other => Err(Failure::new(FailureKind::Fatal, format!("the grant {} knows no sign-in", other.name()))),
        }
    }

    /// Ends it: the code becomes tokens, which are kept. Says where a master key was made for that.
    pub async fn signed_in(&self, sign_in: &SignIn, back: &Back) -> Result<Option<std::path::PathBuf>, Failure> {
        let code = sign_in.code(back)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &sign_in.redirect_url),
            ("code_verifier", sign_in.verifier.expose_secret()),
        ];
        match self.server.ask_for_tokens(&form).await {
            Answer::Granted(granted) => self.begin_with(granted).await,
            Answer::Refused(refusal) => Err(refusal.into_failure()),
            Answer::Failed(failure) => Err(failure),
        }
    }

    /// Begins a sign-in on another device.
    pub async fn device(&self) -> Result<Device, Failure> {
        match self.grant() {
            Grant::DeviceCode { device_url, params } => Device::begin(&self.server, device_url, params).await,
            other => Err(Failure::new(FailureKind::Fatal, format!("the grant {} knows no device code", other.name()))),
        }
    }

    /// Waits a while and asks once whether somebody signed in there.
    pub async fn asked_device(
        &self,
        device: &mut Device,
    ) -> Result<Result<Option<std::path::PathBuf>, Waiting>, Failure> {
        match device.ask(&self.server).await? {
            Ok(granted) => self.begin_with(granted).await.map(Ok),
            Err(waiting) => Ok(Err(waiting)),
        }
    }

    /// How it stands, from what is kept; nothing is asked for.
    pub async fn standing(&self) -> Result<Standing, Failure> {
        if self.is_for_itself() {
            return Ok(Standing::AsNeeded);
        }
        let Some(kept) = self.kept().await? else {
            return Ok(if self.grant().needs_login() { Standing::Nobody } else { Standing::AsNeeded });
        };
        Ok(match kept.refused {
            Some(words) => Standing::Again(words),
            None => Standing::In {
                since: kept.obtained_at,
                expires_at: kept.expires_at,
                renewable: kept.refresh.is_some(),
                scope: kept.scope,
            },
        })
    }

    /// Gives tokens up, there (where the rules say where) and here. False where there were none.
    pub async fn revoke(&self) -> Result<bool, Failure> {
        let Some(vault) = self.vault.clone() else { return Ok(false) };
        let _turn = self.turn.lock().await;
        let _guard = self.lock(&vault).await?;
        if let (Some(kept), Some(url)) = (self.kept().await?, &self.server.rules.revoke_url) {
            let (hint, token) = match kept.refresh {
                Some(refresh) => ("refresh_token", refresh),
                None => ("access_token", kept.access),
            };
            let form = vec![("token", token.expose_secret().to_owned()), ("token_type_hint", hint.to_owned())];
            let response = self.server.post(url, form).await?;
            if !(200..300).contains(&response.status) {
                let tree = serde_json::from_slice(&response.body).unwrap_or_default();
                let refusal = self.server.refusal(url, response.status, &tree);
                let plain = || self.server.failed(url, &format!("answered {}", response.status));
                return Err(refusal.map_or_else(plain, Refusal::into_failure));
            }
        }
        self.hold(None);
        let name = self.name().to_owned();
        blocking(move || vault.remove(Kind::Token, &name)).await
    }
}

impl Keeper {
    fn name(&self) -> &str {
        &self.server.upstream.name
    }

    fn held(&self) -> Option<Arc<Tokens>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, tokens: Option<Arc<Tokens>>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    fn are_fresh(&self, tokens: &Tokens) -> bool {
        let before = TimeDelta::from_std(self.server.rules.refresh_before).unwrap_or(TimeDelta::MAX);
        tokens.are_fresh(before, self.server.clock.now())
    }

    /// No person and no refresh token: the client asks for itself.
    fn is_for_itself(&self) -> bool {
        matches!(self.grant(), Grant::ClientCredentials | Grant::JwtBearer(_))
    }

    /// Tokens that are `good`: those that are kept, else new ones.
    async fn renew_by(&self, good: &(dyn Fn(&Tokens) -> bool + Sync)) -> Result<Arc<Tokens>, Failure> {
        let tokens = if self.is_for_itself() { self.for_itself().await } else { self.of_kept(good).await };
        tokens.map(|tokens| {
            let tokens = Arc::new(tokens);
            self.hold(Some(Arc::clone(&tokens)));
            tokens
        })
    }

    async fn for_itself(&self) -> Result<Tokens, Failure> {
        let (clock, scope) = (&self.server.clock, self.server.scope());
        let answer = if let Grant::JwtBearer(rules) = self.grant() {
            let signed = assertion(&self.server, rules, &new_id(clock.as_ref()), clock.now())?;
            let form =
                [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", signed.expose_secret())];
            self.server.ask_for_tokens(&form).await
        } else {
            let mut form = vec![("grant_type", "client_credentials")];
            form.extend(scope.as_deref().map(|scope| ("scope", scope)));
            self.server.ask_for_tokens(&form).await
        };
        match answer {
            // It comes from the client's own credentials, whenever it is asked for.
            Answer::Granted(granted) => Ok(Tokens::granted(granted, String::new(), clock.now())),
            Answer::Refused(refusal) => Err(refusal.into_failure()),
            Answer::Failed(failure) => Err(failure),
        }
    }

    async fn of_kept(&self, good: &(dyn Fn(&Tokens) -> bool + Sync)) -> Result<Tokens, Failure> {
        let Some(vault) = self.vault.clone() else {
            return Err(self.sign_in_first("there is no place to keep tokens in"));
        };
        let _guard = self.lock(&vault).await?;
        let kept = self.current().await?;
        if good(&kept) {
            return Ok(kept);
        }
        if let Some(words) = &kept.refused {
            return Err(self.sign_in_first(words));
        }
        let Some(refresh) = &kept.refresh else {
            return Err(self.sign_in_first("the token has ended, and the server gave none to renew it with"));
        };
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        match self.server.ask_for_tokens(&form).await {
            Answer::Granted(granted) => {
                let renewed = kept.renewed(granted, self.server.clock.now());
                self.keep(&vault, &renewed).await?;
                Ok(renewed)
            }
            Answer::Refused(refusal) if refusal.code == "invalid_grant" => {
                self.refused(&vault, kept, refusal, good).await
            }
            Answer::Refused(refusal) => Err(refusal.into_failure()),
            Answer::Failed(failure) => {
                if kept.are_valid(self.server.clock.now()) {
                    self.hold(Some(Arc::new(kept)));
                }
                Err(failure)
            }
        }
    }

    /// The refresh token counts no more. Where somebody signed in anew meanwhile that is what counts.
    async fn refused(
        &self,
        vault: &Arc<Vault>,
        kept: Tokens,
        refusal: Refusal,
        good: &(dyn Fn(&Tokens) -> bool + Sync),
    ) -> Result<Tokens, Failure> {
        if let Some(now) = self.kept().await?.filter(|now| now.login != kept.login && good(now)) {
            return Ok(now);
        }
        self.keep(vault, &Tokens { refused: Some(refusal.words.clone()), ..kept }).await?;
        Err(self.sign_in_first(&refusal.words))
    }

    /// What is kept, or what the rules begin with.
    async fn current(&self) -> Result<Tokens, Failure> {
        let kept = self.kept().await?;
        let Grant::RefreshToken(first) = self.grant() else {
            return kept.ok_or_else(|| self.sign_in_first("nobody is signed in"));
        };
        let first = SecretString::from(self.server.fill(first)?);
        // Another first token than last time was set by a person: it replaces what came of the old one.
        if let Some(kept) = kept.filter(|kept| kept.seed.as_deref() == Some(&fingerprint(&first))) {
            return Ok(kept);
        }
        let clock = self.server.clock.as_ref();
        Ok(Tokens::of_refresh_token(first, new_id(clock), clock.now()))
    }

    async fn kept(&self) -> Result<Option<Tokens>, Failure> {
        let Some(vault) = self.vault.clone() else { return Ok(None) };
        let name = self.name().to_owned();
        let text = blocking(move || vault.get(Kind::Token, &name)).await?;
        let kept = text.as_ref().and_then(Tokens::of_kept);
        if let Some(kept) = &kept {
            for secret in std::iter::once(&kept.access).chain(&kept.refresh) {
                self.server.secrets.hide(secret.clone());
            }
        }
        Ok(kept)
    }

    async fn keep(&self, vault: &Arc<Vault>, tokens: &Tokens) -> Result<Option<std::path::PathBuf>, Failure> {
        let (vault, name) = (Arc::clone(vault), self.name().to_owned());
        let (kept, now) = (tokens.to_kept(), self.server.clock.now());
        blocking(move || vault.put(Kind::Token, &name, &kept, now)).await
    }

    /// Keeps the tokens of a new sign-in.
    async fn begin_with(&self, granted: Granted) -> Result<Option<std::path::PathBuf>, Failure> {
        let Some(vault) = self.vault.clone() else {
            return Err(Failure::new(FailureKind::Fatal, "there is no place to keep tokens in"));
        };
        let _turn = self.turn.lock().await;
        let _guard = self.lock(&vault).await?;
        let clock = self.server.clock.as_ref();
        let tokens = Tokens::granted(granted, new_id(clock), clock.now());
        let made = self.keep(&vault, &tokens).await?;
        self.hold(Some(Arc::new(tokens)));
        Ok(made)
    }

    async fn lock(&self, vault: &Arc<Vault>) -> Result<crate::vault::Guard, Failure> {
        let (vault, name) = (Arc::clone(vault), self.name().to_owned());
        blocking(move || vault.lock(&name)).await
    }

    /// The upstream pauses until a person did something.
    fn sign_in_first(&self, why: &str) -> Failure {
        let name = self.name();
        let remedy = match self.grant() {
            Grant::RefreshToken(_) => "set a new `refresh_token` secret and reload".to_owned(),
            _ => format!("sign in with `reconciled auth login {name}`"),
        };
        Failure::new(FailureKind::Auth, format!("{name}: reauth required: {why}; {remedy}"))
    }
}

/// The vault's file is used on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Failure::new(FailureKind::Fatal, error.to_string())),
        Err(error) => Err(Failure::new(FailureKind::Fatal, format!("the vault could not be used: {error}"))),
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("upstream", &self.name()).finish_non_exhaustive()
    }
}
