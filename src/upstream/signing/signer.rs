//! Owns: which signature an upstream's requests get.
//!
//! Must not know: how signatures are made.

use super::{aws, hmac};
use crate::clock::Clock;
use crate::rules::{Auth, AwsSigning, HmacSigning, Place};
use crate::upstream::{Failure, Outgoing, Secrets};

/// Signs requests.
#[derive(Debug)]
pub enum Signer {
    /// By a shared key, as the rules say.
    Hmac(Box<HmacSigning>),
    /// As AWS wants it.
    Aws(Box<AwsSigning>),
}

impl Signer {
    /// `None` where requests are not signed.
    pub fn of(auth: &Auth) -> Option<Self> {
        match auth {
            Auth::Hmac(rules) => Some(Self::Hmac(rules.clone())),
            Auth::Aws(rules) => Some(Self::Aws(rules.clone())),
            Auth::None
            | Auth::ApiKey { .. }
            | Auth::Basic { .. }
            | Auth::Bearer { .. }
            | Auth::Tokens(_)
            | Auth::Session(_) => None,
        }
    }

    /// Signs a request that is otherwise ready to be sent.
    pub fn sign(&self, request: &mut Outgoing, secrets: &Secrets, clock: &dyn Clock) -> Result<(), Failure> {
        match self {
            Self::Hmac(rules) => hmac::sign(rules, request, secrets, clock),
            Self::Aws(rules) => aws::sign(rules, request, secrets, clock.now()),
        }
    }

    /// The query parameters that it adds.
    pub fn query_names(&self) -> Vec<&str> {
        match self {
            Self::Hmac(rules) => {
                let own = match &rules.into {
                    Place::Query(name) => Some(name.as_str()),
                    Place::Header(_) | Place::Body(_) => None,
                };
                rules.query.iter().map(|(name, _)| name.as_str()).chain(own).collect()
            }
            Self::Aws(_) => Vec::new(),
        }
    }
}
