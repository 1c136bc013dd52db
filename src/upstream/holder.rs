//! Owns: whose tokens go into an upstream's requests: those of OAuth, or those of a login.
//!
//! Must not know: how either are had.

use std::sync::Arc;

use super::{Failure, Keeper, Session, Standing, Tokens};
use crate::vault::Vault;

/// Holds the tokens of one upstream.
#[derive(Debug)]
pub enum Holder {
    /// Tokens of OAuth 2.0.
    OAuth(Keeper),
    /// Tokens of a login.
    Session(Session),
}

impl Holder {
    /// Keeps tokens in a vault.
    pub fn keeping_in(self, vault: Arc<Vault>) -> Self {
        match self {
            Self::OAuth(keeper) => Self::OAuth(keeper.keeping_in(vault)),
            Self::Session(session) => Self::Session(session.keeping_in(vault)),
        }
    }

    /// Tokens that may be used now.
    pub async fn tokens(&self) -> Result<Arc<Tokens>, Failure> {
        match self {
            Self::OAuth(keeper) => keeper.tokens().await,
            Self::Session(session) => session.tokens().await,
        }
    }

    /// Others than these, which the upstream refused. The same ones where nothing else is to be had.
    pub async fn others_than(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        match self {
            Self::OAuth(keeper) => keeper.others_than(refused).await,
            Self::Session(session) => session.others_than(refused).await,
        }
    }

    /// The upstream took them.
    pub fn were_taken(&self, tokens: &Tokens) {
        if let Self::Session(session) = self {
            session.were_taken(tokens);
        }
    }

    /// Why a person has to do something, as far as that is known.
    pub fn reauth(&self) -> Option<String> {
        match self {
            Self::OAuth(keeper) => keeper.reauth(),
            Self::Session(session) => session.reauth(),
        }
    }

    /// What an earlier process knew of that, as long as this one knows nothing.
    pub fn remember(&self, reauth: Option<&str>) {
        match self {
            Self::OAuth(keeper) => keeper.remember(reauth),
            Self::Session(session) => session.remember(reauth),
        }
    }

    /// How the first token is had, as a word.
    pub fn grant_name(&self) -> &'static str {
        match self {
            Self::OAuth(keeper) => keeper.grant().name(),
            Self::Session(_) => "session",
        }
    }

    /// How it stands, from what is kept; nothing is asked for.
    pub async fn standing(&self) -> Result<Standing, Failure> {
        match self {
            Self::OAuth(keeper) => keeper.standing().await,
            Self::Session(session) => session.standing().await,
        }
    }

    /// Gives tokens up. False where there were none.
    pub async fn revoke(&self) -> Result<bool, Failure> {
        match self {
            Self::OAuth(keeper) => keeper.revoke().await,
            Self::Session(session) => session.forget().await,
        }
    }
}
