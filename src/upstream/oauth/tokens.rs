//! Owns: tokens: what an authorization server answered, when they end, the form in which they are kept.
//!
//! Must not know: where they are kept; how they are asked for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// By so much the next tokens may be longer than these.
const ROOM_BYTES: usize = 8 * 1024;

/// Tokens of one sign-in.
#[derive(Clone)]
pub struct Tokens {
    /// What requests carry.
    pub access: SecretString,
    /// What the next tokens are had with.
    pub refresh: Option<SecretString>,
    /// When they were had.
    pub obtained_at: DateTime<Utc>,
    /// When the access token ends, where the server said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// What was granted, in the server's words.
    pub scope: Option<String>,
    /// The sign-in that they come from; it stays when they are renewed.
    pub login: String,
    /// The server takes the refresh token no more: its words.
    pub refused: Option<String>,
    /// Fingerprint of the first refresh token, where that is a secret of the rules.
    pub seed: Option<String>,
    /// When the refresh token was sent last, where no answer to that was heard: it may be used up.
    pub asked_at: Option<DateTime<Utc>>,
}

/// As they are kept; the vault seals it.
#[derive(Serialize, Deserialize)]
struct Kept {
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    obtained_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    login: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<DateTime<Utc>>,
    /// Room for the answer, so that a full disk is met before the server is asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    room: String,
}

/// A successful answer (RFC 6749, 5.1).
pub struct Granted {
    /// `access_token`.
    pub access: SecretString,
    /// `refresh_token`.
    pub refresh: Option<SecretString>,
    /// `expires_in`, in seconds.
    pub expires_in: Option<i64>,
    /// `scope`.
    pub scope: Option<String>,
}

impl Tokens {
    /// Of a new sign-in.
    pub fn granted(granted: Granted, login: String, now: DateTime<Utc>) -> Self {
        Self {
            access: granted.access,
            refresh: granted.refresh,
            obtained_at: now,
            expires_at: end(granted.expires_in, now),
            scope: granted.scope,
            login,
            refused: None,
            seed: None,
            asked_at: None,
        }
    }

    /// Nothing but a refresh token that was had elsewhere.
    pub fn of_refresh_token(refresh: SecretString, login: String, now: DateTime<Utc>) -> Self {
        let seed = Some(fingerprint(&refresh));
        Self {
            access: SecretString::default(),
            refresh: Some(refresh),
            obtained_at: now,
            expires_at: Some(now),
            scope: None,
            login,
            refused: None,
            seed,
            asked_at: None,
        }
    }

    /// These, renewed: an answer without a refresh token keeps the old one (RFC 6749, 6).
    pub fn renewed(&self, granted: Granted, now: DateTime<Utc>) -> Self {
        Self {
            access: granted.access,
            refresh: granted.refresh.or_else(|| self.refresh.clone()),
            obtained_at: now,
            expires_at: end(granted.expires_in, now),
            scope: granted.scope.or_else(|| self.scope.clone()),
            login: self.login.clone(),
            refused: None,
            seed: self.seed.clone(),
            asked_at: None,
        }
    }

    /// Whether the access token need not be renewed yet: it does not end within `before`, or half of its life if that is less.
    pub fn are_fresh(&self, before: TimeDelta, now: DateTime<Utc>) -> bool {
        match self.expires_at {
            None => !self.access.expose_secret().is_empty(),
            Some(end) => now + before.min((end - self.obtained_at) / 2) < end,
        }
    }

    /// Whether the access token has not ended.
    pub fn are_valid(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether there is an access token that has not ended.
    pub fn are_usable(&self, now: DateTime<Utc>) -> bool {
        !self.access.expose_secret().is_empty() && self.are_valid(now)
    }

    /// They come from a login, not from an authorization server.
    pub fn are_of_a_login(&self) -> bool {
        self.seed.as_deref().is_some_and(|seed| seed.starts_with("session:"))
    }

    /// True where both carry the same access token.
    pub fn are_the_same(&self, other: &Self) -> bool {
        self.access.expose_secret() == other.access.expose_secret()
    }

    /// The form that is kept.
    pub fn to_kept(&self) -> SecretString {
        let plain = |secret: &SecretString| secret.expose_secret().to_owned();
        let kept = Kept {
            access: plain(&self.access),
            refresh: self.refresh.as_ref().map(plain),
            obtained_at: self.obtained_at,
            expires_at: self.expires_at,
            scope: self.scope.clone(),
            login: self.login.clone(),
            refused: self.refused.clone(),
            seed: self.seed.clone(),
            asked_at: self.asked_at,
            room: self.asked_at.map(|_| " ".repeat(ROOM_BYTES)).unwrap_or_default(),
        };
        serde_json::to_string(&kept).unwrap_or_default().into()
    }

    /// Reads the kept form; `None` where another version made it.
    pub fn of_kept(text: &SecretString) -> Option<Self> {
        let kept: Kept = serde_json::from_str(text.expose_secret()).ok()?;
        Some(Self {
            access: kept.access.into(),
            refresh: kept.refresh.map(SecretString::from),
            obtained_at: kept.obtained_at,
            expires_at: kept.expires_at,
            scope: kept.scope,
            login: kept.login,
            refused: kept.refused,
            seed: kept.seed,
            asked_at: kept.asked_at,
        })
    }
}

fn end(expires_in: Option<i64>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    now.checked_add_signed(TimeDelta::try_seconds(expires_in?)?)
}

/// Tells refresh tokens apart and tells nothing about them.
pub fn fingerprint(refresh: &SecretString) -> String {
    let mut hash = Sha256::new();
    hash.update(b"reconciled refresh token\0");
    hash.update(refresh.expose_secret());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("login", &self.login)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
