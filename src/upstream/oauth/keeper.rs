//! Owns: the tokens of one upstream: held, renewed before they end, by one task of one process at a time.
//!
//! Must not know: what they are used for.
//!
//! A refresh token may count once only. So whoever renews holds the upstream's lock in the vault, looks first whether another
//! process has done it, and keeps what came durably before it is used. Tokens that the client gets for itself (no person, no
//! refresh token) are asked for anew by every process, and not kept.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex as StateMutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::assertion::assertion;
use super::device::{Device, Waiting};
use super::ending::to_its_end;
use super::server::{Answer, Refusal, Server};
use super::signin::{Back, SignIn};
use super::tokens::{Granted, Tokens, fingerprint};
use crate::clock::{Clock, new_id};
use crate::rules::{Grant, OAuth, Upstream};
use crate::upstream::keeping::{blocking, lock};
use crate::upstream::purse::Purse;
use crate::upstream::state::State;
use crate::upstream::{Failure, FailureKind, Secrets, Transport};
use crate::vault::{Guard, Kind, Vault};

/// After a renewal that failed, tokens that have not ended are used for so long before the next try.
const TRY_AGAIN_IN: Duration = Duration::from_secs(30);

/// The tokens of one upstream. A copy is the same keeper.
#[derive(Clone)]
pub struct Keeper {
    server: Arc<Server>,
    vault: Option<Arc<Vault>>,
    held: Arc<RwLock<Held>>,
    /// Held by the one task that renews.
    turn: Arc<Mutex<Turn>>,
}

/// What is in use.
#[derive(Default)]
struct Held {
    tokens: Option<Arc<Tokens>>,
    /// The vault's stamp when they were in it. Another one: somebody may have signed in, or given them up.
    stamp: Option<(u64, u32)>,
    reauth: Reauth,
}

/// Whether a person has to sign in.
#[derive(Default)]
enum Reauth {
    /// The tokens were not looked for yet.
    #[default]
    Unknown,
    /// There are tokens.
    No,
    /// Yes, and why.
    Required(String),
}

/// What the one task knows that renews.
#[derive(Default)]
struct Turn {
    /// When the next try is due.
    again_at: Option<Duration>,
    /// Tokens that came and could not be kept yet; nobody else has them.
    unkept: Option<Tokens>,
}

/// Which tokens will do.
enum Wanted {
    /// Those that need not be renewed yet.
    Fresh,
    /// Those that have not ended.
    Valid,
    /// Valid ones, and others than these.
    OtherThan(Tokens),
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
        state: &Arc<StateMutex<State>>,
    ) -> Self {
        let (upstream, rules, state) = (Arc::clone(upstream), rules.clone(), Arc::clone(state));
        let server = Server { upstream, rules, secrets, transport, clock, state, purse: None };
        Self { server: Arc::new(server), vault: None, held: Arc::default(), turn: Arc::default() }
    }

    /// Keeps tokens in a vault.
    pub fn keeping_in(mut self, vault: Arc<Vault>) -> Self {
        self.vault = Some(vault);
        self
    }

    /// Spends of budgets what other processes leave.
    pub fn spending_from(self, purse: Option<&Arc<Purse>>) -> Self {
        let server = Server { purse: purse.cloned(), ..Server::clone(&self.server) };
        Self { server: Arc::new(server), ..self }
    }

    /// Whether tokens are had at the upstream itself, and by its budgets.
    pub fn draws_on_budgets(&self) -> bool {
        self.server.is_at_upstream(&self.server.rules.token_url)
    }

    /// How the first token is had.
    pub fn grant(&self) -> &Grant {
        &self.server.rules.grant
    }

    /// Tokens that may be used now.
    pub async fn tokens(&self) -> Result<Arc<Tokens>, Failure> {
        if let Some(held) = self.held_that(&Wanted::Fresh) {
            return Ok(held);
        }
        let keeper = self.clone();
        to_its_end(async move { keeper.tokens_in_turn().await }).await
    }

    async fn tokens_in_turn(&self) -> Result<Arc<Tokens>, Failure> {
        let mut turn = self.turn.lock().await;
        let clock = &self.server.clock;
        let waits = turn.again_at.is_some_and(|at| clock.monotonic() < at);
        let wanted = if waits { Wanted::Valid } else { Wanted::Fresh };
        if let Some(held) = self.held_that(&wanted) {
            return Ok(held);
        }
        match self.renew_by(&wanted, &mut turn).await {
            Ok(tokens) => {
                turn.again_at = None;
                Ok(tokens)
            }
            // What is away or broken for a moment stops nothing while the old token still counts.
            Err(failure) => match self.held_that(&Wanted::Valid) {
                Some(held) if failure.kind != FailureKind::Auth => {
                    tracing::warn!(upstream = self.name(), error = %failure, "the token could not be renewed yet");
                    turn.again_at = Some(clock.monotonic() + TRY_AGAIN_IN);
                    Ok(held)
                }
                _ => Err(failure),
            },
        }
    }

    /// Others than these, which the upstream refused. The same ones where nothing else is to be had.
    pub async fn others_than(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        let (keeper, wanted) = (self.clone(), Wanted::OtherThan(refused.clone()));
        to_its_end(async move {
            let mut turn = keeper.turn.lock().await;
            match keeper.held_that(&wanted) {
                Some(held) => Ok(held),
                None => keeper.renew_by(&wanted, &mut turn).await,
            }
        })
        .await
    }

    /// Why a person has to sign in, as far as that is known.
    pub fn reauth(&self) -> Option<String> {
        match &self.held.read().unwrap_or_else(PoisonError::into_inner).reauth {
            Reauth::Required(why) => Some(why.clone()),
            Reauth::No | Reauth::Unknown => None,
        }
    }

    /// What an earlier process knew of that, as long as this one knows nothing.
    pub fn remember(&self, reauth: Option<&str>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let (Reauth::Unknown, Some(why)) = (&held.reauth, reauth) {
            held.reauth = Reauth::Required(why.to_owned());
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
        let (keeper, redirect_url, verifier) = (self.clone(), sign_in.redirect_url.clone(), sign_in.verifier.clone());
        // The browser may be gone before the server answers.
        to_its_end(async move {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.expose_secret()),
                ("redirect_uri", &redirect_url),
                ("code_verifier", verifier.expose_secret()),
            ];
            match keeper.server.ask_for_tokens(&form).await {
                Answer::Granted(granted) => keeper.begin_with(granted).await,
                Answer::Refused(refusal) => Err(refusal.into_failure()),
                Answer::Failed(failure) => Err(failure),
            }
        })
        .await
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
        let mut turn = self.turn.lock().await;
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
        (turn.unkept, turn.again_at) = (None, None);
        self.hold(None);
        let name = self.name().to_owned();
        blocking(move || vault.remove(Kind::Token, &name)).await
    }
}

impl Keeper {
    fn name(&self) -> &str {
        &self.server.upstream.name
    }

    /// What is in use, where it will do and is still what counts.
    fn held_that(&self, wanted: &Wanted) -> Option<Arc<Tokens>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let tokens = held.tokens.as_ref().filter(|tokens| self.will_do(tokens, wanted))?;
        (self.is_for_itself() || held.stamp == self.stamp()).then(|| Arc::clone(tokens))
    }

    fn hold(&self, tokens: Option<Arc<Tokens>>) {
        let stamp = self.stamp();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let reauth = if tokens.is_some() { Reauth::No } else { std::mem::take(&mut held.reauth) };
        *held = Held { tokens, stamp, reauth };
    }

    fn stamp(&self) -> Option<(u64, u32)> {
        self.vault.as_ref().and_then(|vault| vault.stamp())
    }

    fn will_do(&self, tokens: &Tokens, wanted: &Wanted) -> bool {
        let now = self.server.clock.now();
        let before = TimeDelta::from_std(self.server.rules.refresh_before).unwrap_or(TimeDelta::MAX);
        match wanted {
            Wanted::Fresh => tokens.are_fresh(before, now),
            Wanted::Valid => tokens.are_valid(now),
            Wanted::OtherThan(refused) => !tokens.are_the_same(refused) && tokens.are_valid(now),
        }
    }

    /// No person and no refresh token: the client asks for itself.
    fn is_for_itself(&self) -> bool {
        matches!(self.grant(), Grant::ClientCredentials | Grant::JwtBearer(_))
    }

    /// Tokens that are wanted: those that are kept, else new ones.
    async fn renew_by(&self, wanted: &Wanted, turn: &mut Turn) -> Result<Arc<Tokens>, Failure> {
        if !self.is_for_itself() {
            return self.of_kept(wanted, turn).await;
        }
        let tokens = Arc::new(self.for_itself().await?);
        self.hold(Some(Arc::clone(&tokens)));
        Ok(tokens)
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

    async fn of_kept(&self, wanted: &Wanted, turn: &mut Turn) -> Result<Arc<Tokens>, Failure> {
        let Some(vault) = self.vault.clone() else {
            return Err(self.sign_in_first("there is no place to keep tokens in"));
        };
        let _guard = self.lock(&vault).await?;
        self.keep_what_came(&vault, turn).await?;
        let kept = match self.current().await {
            Ok(kept) => Arc::new(kept),
            Err(failure) => {
                if failure.kind == FailureKind::Auth {
                    self.hold(None);
                }
                return Err(failure);
            }
        };
        self.hold(Some(Arc::clone(&kept)));
        if self.will_do(&kept, wanted) {
            return Ok(kept);
        }
        if let Some(words) = &kept.refused {
            return Err(self.sign_in_first(words));
        }
        let Some(refresh) = &kept.refresh else {
            return Err(self.sign_in_first("the token has ended, and the server gave none to renew it with"));
        };
        // From the moment on that it is sent the refresh token may be used up. That is on disk first: whoever comes after a
        // process that died here can say why, and where nothing can be kept nothing is asked for.
        let asked_at = kept.asked_at.or(Some(self.server.clock.now()));
        self.keep(&vault, &Tokens { asked_at, ..Tokens::clone(&kept) }).await?;
        self.hold(Some(Arc::clone(&kept)));
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        match self.server.ask_for_tokens(&form).await {
            Answer::Granted(granted) => {
                turn.unkept = Some(kept.renewed(granted, self.server.clock.now()));
                self.keep_what_came(&vault, turn).await?;
                self.current().await.map(Arc::new).inspect(|renewed| self.hold(Some(Arc::clone(renewed))))
            }
            Answer::Refused(refusal) => Err(self.refused(&vault, &kept, refusal).await),
            Answer::Failed(failure) => Err(failure),
        }
    }

    /// Keeps tokens that came before and could not be kept then, unless somebody signed in anew since.
    async fn keep_what_came(&self, vault: &Arc<Vault>, turn: &mut Turn) -> Result<(), Failure> {
        let Some(unkept) = &turn.unkept else { return Ok(()) };
        // Tokens that begin with a secret of the rules may be the first ones.
        let known = self.kept().await?;
        if known.is_some_and(|known| known.login == unkept.login) {
            self.keep(vault, unkept).await?;
        }
        turn.unkept = None;
        Ok(())
    }

    /// The server does not take the refresh token, or does not take it from this client.
    async fn refused(&self, vault: &Arc<Vault>, kept: &Tokens, refusal: Refusal) -> Failure {
        if refusal.code != "invalid_grant" {
            // It was heard, and used nothing up.
            let as_before = self.keep(vault, kept).await;
            return as_before.err().unwrap_or_else(|| refusal.into_failure());
        }
        let mut words = refusal.words;
        if let Some(asked_at) = kept.asked_at.or_else(|| refusal.repeated.then(|| self.server.clock.now())) {
            let time = asked_at.format("%Y-%m-%d %H:%M:%S");
            let _never_fails = write!(
                words,
                "; the answer to a renewal at {time} UTC was not heard, by which the server may have replaced the token"
            );
        }
        let (refused, asked_at) = (Some(words.clone()), None);
        match self.keep(vault, &Tokens { refused, asked_at, ..kept.clone() }).await {
            Ok(_) => self.sign_in_first(&words),
            Err(failure) => failure,
        }
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
        let kept = text.as_ref().and_then(Tokens::of_kept).filter(|kept| !kept.are_of_a_login());
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
        let mut turn = self.turn.lock().await;
        let _guard = self.lock(&vault).await?;
        let clock = self.server.clock.as_ref();
        let tokens = Tokens::granted(granted, new_id(clock), clock.now());
        (turn.unkept, turn.again_at) = (None, None);
        let made = self.keep(&vault, &tokens).await?;
        self.hold(Some(Arc::new(tokens)));
        Ok(made)
    }

    async fn lock(&self, vault: &Arc<Vault>) -> Result<Guard, Failure> {
        lock(vault, self.name(), self.server.clock.as_ref()).await
    }

    /// The upstream pauses until a person did something.
    fn sign_in_first(&self, why: &str) -> Failure {
        let name = self.name();
        let remedy = match self.grant() {
            Grant::RefreshToken(_) => "set a new `refresh_token` secret and reload".to_owned(),
            _ => format!("sign in with `reconciled auth login {name}`"),
        };
        let words = format!("{why}; {remedy}");
        let failure = Failure::new(FailureKind::Auth, format!("reauth required: {words}"));
        self.held.write().unwrap_or_else(PoisonError::into_inner).reauth = Reauth::Required(words);
        failure
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("upstream", &self.name()).finish_non_exhaustive()
    }
}
