//! Owns: who may look and decide: the token, sessions of browsers, how often a login may fail.
//!
//! Must not know: HTTP, clocks, where the token is kept. Times come in as arguments.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A shorter token could be guessed.
pub const TOKEN_CHARS_MIN: usize = 16;
/// How long a browser stays logged in.
pub const SESSION_MAX: Duration = Duration::from_hours(12);
/// Sessions that are remembered; beyond, the oldest ends.
const SESSIONS_MAX: usize = 64;
/// Logins that may fail within [`FAILURES_WITHIN`] from one address; then none from there is looked at.
const FAILURES_MAX: usize = 5;
const FAILURES_WITHIN: Duration = Duration::from_mins(1);
/// Addresses whose failures are remembered; beyond, the one that failed longest ago is forgotten.
const FAILING_MAX: usize = 1_000;

/// What is kept of the token: enough to know it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self(digest(text))
    }

    /// Compares in constant time, over digests, so that not even the length shows.
    pub fn is(&self, given: &str) -> bool {
        self.0.ct_eq(&digest(given)).into()
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Browsers that are logged in.
#[derive(Default)]
pub struct Sessions {
    /// By the digest of their id: what is looked up tells nothing about an id by the time that it takes.
    open: BTreeMap<[u8; 32], Session>,
    failures: BTreeMap<Option<IpAddr>, VecDeque<Duration>>,
}

/// One browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What every form of it carries.
    pub form_token: String,
    until: Duration,
}

/// What came of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The id of the new session, for the cookie.
    In(String),
    /// Another token.
    Wrong,
    /// Too many from there were wrong lately.
    TooMany,
    /// The system has no random numbers.
    NoRandom,
}

impl Sessions {
    /// Tries to log in, from this address as far as that is known.
    pub fn login(&mut self, token: &Token, given: &str, from: Option<IpAddr>, now: Duration) -> Login {
        let from = from.map(household);
        self.forget_failures(now);
        if self.failures.get(&from).is_some_and(|failures| failures.len() >= FAILURES_MAX) {
            return Login::TooMany;
        }
        if !token.is(given) {
            self.failures.entry(from).or_default().push_back(now);
            return Login::Wrong;
        }
        let (Some(id), Some(form_token)) = (random(), random()) else { return Login::NoRandom };
        self.open.retain(|_, session| session.until > now);
        if self.open.len() >= SESSIONS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| *id);
            self.open.remove(&oldest.unwrap_or_default());
        }
        self.open.insert(digest(&id), Session { form_token, until: now + SESSION_MAX });
        Login::In(id)
    }

    fn forget_failures(&mut self, now: Duration) {
        for failures in self.failures.values_mut() {
            failures.retain(|at| now.saturating_sub(*at) < FAILURES_WITHIN);
        }
        self.failures.retain(|_, failures| !failures.is_empty());
        if self.failures.len() >= FAILING_MAX {
            let longest_ago = self.failures.iter().min_by_key(|(_, failures)| failures.back().copied());
            if let Some(from) = longest_ago.map(|(from, _)| *from) {
                self.failures.remove(&from);
            }
        }
    }

    /// The session of this id, while it lasts.
    pub fn find(&self, id: &str, now: Duration) -> Option<&Session> {
        self.open.get(&digest(id)).filter(|session| session.until > now)
    }

    /// Whether the session whose forms carry this lasts.
    pub fn holds(&self, form_token: &str, now: Duration) -> bool {
        self.open.values().any(|session| session.until > now && session.made(form_token))
    }

    /// Ends it.
    pub fn logout(&mut self, id: &str) {
        self.open.remove(&digest(id));
    }

    /// Ends all.
    pub fn end_all(&mut self) {
        self.open.clear();
    }
}

impl Session {
    /// Whether a form is one of this session.
    pub fn made(&self, form_token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
    }
}

/// Whoever has one address of a network of IPv6 has 2^64 of them.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// 256 bits from the system, as text for cookies and forms.
pub fn random() -> Option<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_hours(1);

    fn enter(sessions: &mut Sessions, token: &Token, now: Duration) -> String {
        match sessions.login(token, "the right one", None, now) {
            Login::In(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_session_lasts_half_a_day_or_until_its_logout() {
        let (token, mut sessions) = (Token::of("the right one"), Sessions::default());
        let (first, second) = (enter(&mut sessions, &token, NOW), enter(&mut sessions, &token, NOW));
        assert_ne!(first, second);
        let form_token = sessions.find(&first, NOW).unwrap().form_token.clone();
        assert!(sessions.find(&first, NOW).unwrap().made(&form_token));
        assert!(!sessions.find(&second, NOW).unwrap().made(&form_token), "each has its own");
        assert_eq!(sessions.find("guessed", NOW), None);
        assert_eq!(sessions.find(&first, NOW + SESSION_MAX), None);
        sessions.logout(&first);
        assert_eq!(sessions.find(&first, NOW), None);
        assert!(sessions.find(&second, NOW).is_some());
    }

    #[test]
    fn after_a_few_wrong_tokens_not_even_the_right_one_is_looked_at_for_a_minute() {
        let (token, mut sessions) = (Token::of("the right one"), Sessions::default());
        for _ in 0..FAILURES_MAX {
            assert_eq!(sessions.login(&token, "a wrong one", None, NOW), Login::Wrong);
        }
        assert_eq!(sessions.login(&token, "the right one", None, NOW), Login::TooMany);
        enter(&mut sessions, &token, NOW + FAILURES_WITHIN);
    }

    #[test]
    fn who_fails_at_one_address_keeps_nobody_at_another_out() {
        let (token, mut sessions) = (Token::of("the right one"), Sessions::default());
        let mut tries = |from: &str, given: &str| sessions.login(&token, given, Some(from.parse().unwrap()), NOW);
        for _ in 0..FAILURES_MAX {
            assert_eq!(tries("203.0.113.7", "a wrong one"), Login::Wrong);
            assert_eq!(tries("2001:db8::1", "a wrong one"), Login::Wrong);
        }
        // The same address, written otherwise; another one of the same network.
        for from in ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8::ffff:1"] {
            assert_eq!(tries(from, "the right one"), Login::TooMany, "{from}");
        }
        for from in ["203.0.113.8", "2001:db8:0:1::1"] {
            assert!(matches!(tries(from, "the right one"), Login::In(_)), "{from}");
        }
        // Those who fail are remembered within bounds.
        for number in 0..2 * u32::try_from(FAILING_MAX).unwrap() {
            assert_eq!(
                sessions.login(&token, "a wrong one", Some(IpAddr::from(number.to_be_bytes())), NOW),
                Login::Wrong
            );
        }
        assert_eq!(sessions.failures.len(), FAILING_MAX);
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_oldest_ends() {
        let (token, mut sessions) = (Token::of("the right one"), Sessions::default());
        let first = enter(&mut sessions, &token, NOW);
        let mut last = String::new();
        for second in 1..=SESSIONS_MAX as u64 {
            last = enter(&mut sessions, &token, NOW + Duration::from_secs(second));
        }
        let now = NOW + Duration::from_secs(100);
        assert_eq!((sessions.open.len(), sessions.find(&first, now)), (SESSIONS_MAX, None));
        assert!(sessions.find(&last, now).is_some());
    }
}
