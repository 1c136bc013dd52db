//! Owns: the token of one upstream's login: held, replaced before it ends, by one task of one process at a time.
//!
//! Must not know: what it is used for.
//!
//! A login that is refused is not repeated: accounts are locked for that. It is repeated when its credentials are others, or
//! when a person says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::login::{Answer, Login, Way};
use crate::rules::{Session as Rules, Upstream};
use crate::upstream::keeping::{blocking, lock};
use crate::upstream::oauth::{Tokens, to_its_end};
use crate::upstream::purse::Purse;
use crate::upstream::{Failure, FailureKind, Meter, Standing, WAIT_MAX};
use crate::vault::{Guard, Kind, Vault};

/// After a login that failed in passing, the next one: so long later, twice as long each further time.
const TRY_AGAIN_IN: Duration = Duration::from_secs(30);
const TRY_AGAIN_MAX: Duration = Duration::from_mins(10);
/// A token that is refused this soon after its login is not replaced; twice as long each time that one was never taken.
const YOUNG: Duration = Duration::from_mins(1);
const YOUNG_MAX: Duration = Duration::from_hours(1);

/// The token of one upstream's login. A copy is the same keeper.
#[derive(Clone)]
pub struct Session {
    login: Arc<Login>,
    vault: Option<Arc<Vault>>,
    held: Arc<RwLock<Held>>,
    /// The upstream took the token that is held.
    taken: Arc<AtomicBool>,
    /// Held by the one task that logs in.
    turn: Arc<Mutex<Turn>>,
}

/// What is in use.
#[derive(Default)]
struct Held {
    tokens: Option<Arc<Tokens>>,
    /// The vault's stamp when it was in it.
    stamp: Option<(u64, u32)>,
    /// Why a person has to do something.
    reauth: Option<String>,
    /// This process has looked for itself.
    looked: bool,
}

/// What the one task knows that logs in.
#[derive(Default)]
struct Turn {
    /// Until when no login is tried, and why.
    failed: Option<(Duration, Failure)>,
    failures: u32,
    /// Logins in a row whose token was never taken.
    vain: u32,
    /// What came of a login and is in no vault yet: there is none, or it could not be written.
    unkept: Option<Tokens>,
}

/// Which token will do.
enum Wanted {
    /// One that need not be replaced yet.
    Fresh,
    /// One that has not ended.
    Valid,
    /// One that has not ended, and another one than this.
    OtherThan(Tokens),
}

impl Session {
    /// Nothing is asked for yet.
    pub fn new(upstream: &Arc<Upstream>, rules: &Rules, way: Way) -> Self {
        let login = Login { upstream: Arc::clone(upstream), rules: rules.clone(), way };
        Self { login: Arc::new(login), vault: None, held: Arc::default(), taken: Arc::default(), turn: Arc::default() }
    }

    /// Shares the token by a vault, where there is one.
    pub fn keeping_in(mut self, vault: Arc<Vault>) -> Self {
        self.vault = Some(vault);
        self
    }

    /// Counts logins on a meter that outlives this.
    pub fn metered_by(self, meter: &Arc<Meter>) -> Self {
        self.by(|way| way.meter = Arc::clone(meter))
    }

    /// Spends of budgets what other processes leave.
    pub fn spending_from(self, purse: Option<&Arc<Purse>>) -> Self {
        self.by(|way| way.purse = purse.cloned())
    }

    fn by(self, change: impl FnOnce(&mut Way)) -> Self {
        let (login, mut way) = (&self.login, self.login.way.clone());
        change(&mut way);
        let login = Login { upstream: Arc::clone(&login.upstream), rules: login.rules.clone(), way };
        Self { login: Arc::new(login), ..self }
    }

    /// A token that may be used now.
    pub async fn tokens(&self) -> Result<Arc<Tokens>, Failure> {
        if let Some(held) = self.held_that(&Wanted::Fresh) {
            return Ok(held);
        }
        let session = self.clone();
        to_its_end(async move {
            let mut turn = session.turn.lock().await;
            let wanted = if session.waits(&turn) { Wanted::Valid } else { Wanted::Fresh };
            match session.held_that(&wanted) {
                Some(held) => Ok(held),
                None => session.renew(&Wanted::Fresh, &mut turn).await,
            }
        })
        .await
    }

    /// Another one than this, which the upstream refused. The same one where nothing else is to be had yet.
    pub async fn others_than(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        let (session, wanted) = (self.clone(), Wanted::OtherThan(refused.clone()));
        to_its_end(async move {
            let mut turn = session.turn.lock().await;
            match session.held_that(&wanted) {
                Some(held) => Ok(held),
                None => session.renew(&wanted, &mut turn).await,
            }
        })
        .await
    }

    /// The upstream took this one.
    pub fn were_taken(&self, tokens: &Tokens) {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.tokens.as_ref().is_some_and(|held| held.are_the_same(tokens)) {
            self.taken.store(true, Ordering::Relaxed);
        }
    }

    /// Logs in now, whatever is held and whatever was refused. False where other processes do not hear of it.
    pub async fn log_in(&self) -> Result<bool, Failure> {
        let session = self.clone();
        to_its_end(async move {
            let mut turn = session.turn.lock().await;
            let (vault, _guard) = session.vault_and_lock().await?;
            session.keep_what_came(vault.as_ref(), &mut turn).await?;
            let kept = session.load(vault.as_ref(), &turn).await?;
            // A refusal ends no token that still counts.
            let valid = kept.filter(|kept| kept.are_usable(session.login.way.clock.now())).map(Arc::new);
            (turn.failed, turn.failures, turn.vain) = (None, 0, 0);
            session.ask(vault.as_ref(), valid, &mut turn).await.map(|_tokens| turn.unkept.is_none())
        })
        .await
    }

    /// Why a person has to do something, as far as that is known.
    pub fn reauth(&self) -> Option<String> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).reauth.clone()
    }

    /// What an earlier process knew of that, as long as this one knows nothing.
    pub fn remember(&self, reauth: Option<&str>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if !held.looked {
            held.reauth = reauth.map(str::to_owned);
        }
    }

    /// How it stands, from what is kept; nothing is asked for.
    pub async fn standing(&self) -> Result<Standing, Failure> {
        let turn = self.turn.lock().await;
        let Some(kept) = self.load(self.ready().await?.as_ref(), &turn).await? else { return Ok(Standing::AsNeeded) };
        Ok(match kept.refused {
            Some(words) => Standing::Again(words),
            None => Standing::In { since: kept.obtained_at, expires_at: kept.expires_at, renewable: true, scope: None },
        })
    }

    /// Forgets the token. False where there was none.
    pub async fn forget(&self) -> Result<bool, Failure> {
        let mut turn = self.turn.lock().await;
        let (vault, _guard) = self.vault_and_lock().await?;
        let unkept = std::mem::take(&mut *turn).unkept.is_some();
        self.hold(None, None);
        let Some(vault) = vault else { return Ok(unkept) };
        let name = self.name().to_owned();
        blocking(move || vault.remove(Kind::Token, &name)).await.map(|kept| kept || unkept)
    }
}

impl Session {
    fn name(&self) -> &str {
        &self.login.upstream.name
    }

    fn stamp(&self) -> Option<(u64, u32)> {
        self.vault.as_ref().and_then(|vault| vault.stamp())
    }

    fn held_that(&self, wanted: &Wanted) -> Option<Arc<Tokens>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let tokens = held.tokens.as_ref().filter(|tokens| self.will_do(tokens, wanted))?;
        (held.stamp == self.stamp()).then(|| Arc::clone(tokens))
    }

    /// A token that should be replaced is used on: the login that would do it is left alone for now, or was refused.
    fn waits(&self, turn: &Turn) -> bool {
        let refused = self.held.read().unwrap_or_else(PoisonError::into_inner).reauth.is_some();
        refused || turn.failed.as_ref().is_some_and(|(until, _)| self.login.way.clock.monotonic() < *until)
    }

    fn hold(&self, tokens: Option<&Arc<Tokens>>, reauth: Option<String>) {
        let stamp = self.stamp();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let same = match (&held.tokens, tokens) {
            (Some(old), Some(new)) => old.are_the_same(new),
            _ => false,
        };
        if !same {
            self.taken.store(false, Ordering::Relaxed);
        }
        *held = Held { tokens: tokens.map(Arc::clone), stamp, reauth, looked: true };
    }

    fn will_do(&self, tokens: &Tokens, wanted: &Wanted) -> bool {
        let now = self.login.way.clock.now();
        match wanted {
            Wanted::Fresh => {
                let before = TimeDelta::from_std(self.login.rules.refresh_before).unwrap_or(TimeDelta::MAX);
                tokens.are_fresh(before, now)
            }
            Wanted::Valid => tokens.are_usable(now),
            Wanted::OtherThan(refused) => tokens.are_usable(now) && !tokens.are_the_same(refused),
        }
    }

    /// A token that is wanted: the one that is kept, else a new one.
    async fn renew(&self, wanted: &Wanted, turn: &mut Turn) -> Result<Arc<Tokens>, Failure> {
        let (vault, _guard) = self.vault_and_lock().await?;
        self.keep_what_came(vault.as_ref(), turn).await?;
        let kept = self.load(vault.as_ref(), turn).await?;
        let (now, shared) = (self.login.way.clock.now(), vault.is_some());
        // One that still counts does, whatever became of the login that should replace it.
        let valid = kept.clone().filter(|kept| matches!(wanted, Wanted::Fresh) && kept.are_usable(now)).map(Arc::new);
        if let Some(kept) = &kept {
            if self.will_do(kept, wanted) {
                let tokens = Arc::new(kept.clone());
                self.hold(Some(&tokens), kept.refused.as_deref().map(|words| self.remedy(words, shared)));
                return Ok(tokens);
            }
            if let Some(words) = &kept.refused {
                let failure = self.reauth_required(valid.as_ref(), words, shared);
                return valid.ok_or(failure);
            }
        }
        if let Wanted::OtherThan(refused) = wanted {
            let taken = self.taken.load(Ordering::Relaxed);
            turn.vain = if taken { 0 } else { turn.vain };
            let young = YOUNG.saturating_mul(1 << turn.vain.min(6)).min(YOUNG_MAX);
            if now - refused.obtained_at < TimeDelta::from_std(young).unwrap_or(TimeDelta::MAX) {
                return Ok(Arc::new(refused.clone()));
            }
            turn.vain += u32::from(!taken);
        }
        if let Some(valid) = &valid {
            self.hold(Some(valid), None);
        }
        let waits = turn.failed.as_ref().filter(|(until, _)| self.login.way.clock.monotonic() < *until);
        if let Some((_, failure)) = waits {
            return valid.ok_or_else(|| failure.clone());
        }
        let asked = self.ask(vault.as_ref(), valid.clone(), turn).await;
        match (asked, valid) {
            (Err(failure), Some(valid)) => {
                tracing::warn!(upstream = self.name(), error = %failure, "the token could not be replaced yet");
                Ok(valid)
            }
            (asked, _) => asked,
        }
    }

    /// Logs in, and keeps what comes of it.
    async fn ask(
        &self,
        vault: Option<&Arc<Vault>>,
        valid: Option<Arc<Tokens>>,
        turn: &mut Turn,
    ) -> Result<Arc<Tokens>, Failure> {
        let (seed, clock) = (self.login.seed()?, &self.login.way.clock);
        match self.login.send().await {
            Answer::Granted(granted) => {
                (turn.failed, turn.failures) = (None, 0);
                // What the credentials lead to does not change while they are the same.
                let tokens = Tokens::granted(granted, seed.clone(), clock.now());
                let tokens = Arc::new(Tokens { seed: Some(seed), ..tokens });
                self.save(vault, &tokens, turn).await;
                self.hold(Some(&tokens), None);
                Ok(tokens)
            }
            Answer::Refused(words) => {
                let none = || Tokens::of_refresh_token(SecretString::default(), String::new(), clock.now());
                let before = valid.as_deref().cloned().unwrap_or_else(none);
                let refused = Tokens { refresh: None, seed: Some(seed), refused: Some(words.clone()), ..before };
                self.save(vault, &refused, turn).await;
                Err(self.reauth_required(valid.as_ref(), &words, vault.is_some()))
            }
            Answer::Failed(failure) => {
                let now = clock.now();
                let asked = failure.retry_at.and_then(|at| (at - now).to_std().ok()).unwrap_or_default().min(WAIT_MAX);
                let wait = TRY_AGAIN_IN.saturating_mul(1 << turn.failures.min(8)).min(TRY_AGAIN_MAX).max(asked);
                turn.failures += 1;
                let again_at = TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait));
                let failure = Failure { retry_at: failure.retry_at.and(again_at), ..failure };
                turn.failed = Some((clock.monotonic() + wait, failure.clone()));
                Err(failure)
            }
        }
    }

    /// The vault, where there is one or a key to make one, and the turn among processes.
    async fn vault_and_lock(&self) -> Result<(Option<Arc<Vault>>, Option<Guard>), Failure> {
        let vault = self.ready().await?;
        let guard = match &vault {
            Some(vault) => Some(lock(vault, self.name(), self.login.way.clock.as_ref()).await?),
            None => None,
        };
        Ok((vault, guard))
    }

    async fn ready(&self) -> Result<Option<Arc<Vault>>, Failure> {
        let Some(vault) = self.vault.clone() else { return Ok(None) };
        blocking(move || Ok(vault.is_ready().then_some(vault))).await
    }

    /// What is known of a login with these credentials: what came and could not be kept, else what is kept.
    async fn load(&self, vault: Option<&Arc<Vault>>, turn: &Turn) -> Result<Option<Tokens>, Failure> {
        let seed = self.login.seed()?;
        let of_these = |known: &Tokens| known.seed.as_deref() == Some(&seed);
        let known = match turn.unkept.clone().filter(of_these) {
            Some(unkept) => Some(unkept),
            None => self.kept(vault).await?.filter(of_these),
        };
        if let Some(known) = &known {
            self.login.way.secrets.hide(known.access.clone());
        }
        Ok(known)
    }

    async fn kept(&self, vault: Option<&Arc<Vault>>) -> Result<Option<Tokens>, Failure> {
        let Some(vault) = vault.cloned() else { return Ok(None) };
        let name = self.name().to_owned();
        let text = blocking(move || vault.get(Kind::Token, &name)).await?;
        Ok(text.as_ref().and_then(Tokens::of_kept))
    }

    /// Keeps what came before and could not be kept then, unless another process with the same credentials knows better.
    async fn keep_what_came(&self, vault: Option<&Arc<Vault>>, turn: &mut Turn) -> Result<(), Failure> {
        let (Some(vault), Some(unkept)) = (vault, turn.unkept.clone()) else { return Ok(()) };
        let kept = self.kept(Some(vault)).await.ok().flatten();
        let is_later = kept.is_some_and(|kept| kept.seed == unkept.seed && kept.obtained_at > unkept.obtained_at);
        if is_later || unkept.seed != Some(self.login.seed()?) {
            turn.unkept = None;
        } else {
            self.save(Some(vault), &unkept, turn).await;
        }
        Ok(())
    }

    /// What cannot be kept still counts in this process, a refusal as well as a token.
    async fn save(&self, vault: Option<&Arc<Vault>>, tokens: &Tokens, turn: &mut Turn) {
        let told = turn.unkept.replace(tokens.clone()).is_some();
        let Some(vault) = vault.cloned() else { return };
        let (name, kept, now) = (self.name().to_owned(), tokens.to_kept(), self.login.way.clock.now());
        match blocking(move || vault.put(Kind::Token, &name, &kept, now)).await {
            Ok(_) => turn.unkept = None,
            Err(error) if !told => {
                tracing::warn!(upstream = self.name(), %error, "what came of the login cannot be kept for other processes");
            }
            Err(_) => {}
        }
    }

    /// The upstream pauses until a person did something.
    fn reauth_required(&self, valid: Option<&Arc<Tokens>>, why: &str, shared: bool) -> Failure {
        let words = self.remedy(why, shared);
        self.hold(valid, Some(words.clone()));
        Failure::new(FailureKind::Auth, format!("reauth required: {words}"))
    }

    /// What a person does about a refusal. Without a vault no process hears of the login of another one.
    fn remedy(&self, why: &str, shared: bool) -> String {
        let name = self.name();
        let again = if shared {
            format!("or where they are right try again: `reconciled auth login {name}`")
        } else {
            format!(
                "which tries them again also where they are right; `reconciled auth login {name}` is heard of only where there is \
                 a vault: `reconciled key create` first"
            )
        };
        format!("{why}; set its secrets right and reload, {again}")
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("upstream", &self.name()).finish_non_exhaustive()
    }
}
