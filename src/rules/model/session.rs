//! Owns: the checked form of a login: the request, where its answer has the token, where that goes.
//!
//! Must not know: tokens.

use std::time::Duration;

use super::{JsonTemplate, Place, Request, Template};
use crate::record::Path;

/// Tokens that are had by a login. Secrets are named, never held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The request that logs in; a body of JSON is in it.
    pub login: Request,
    /// What is sent as a form instead.
    pub form: Option<Vec<(String, Template)>>,
    /// Where the answer has the token.
    pub token: TokenFrom,
    /// Where it goes.
    pub into: TokenInto,
    /// What stands before it there.
    pub prefix: String,
    /// Until when it counts.
    pub lifetime: Lifetime,
    /// How long before its end it is replaced; at most half of its life.
    pub refresh_before: Duration,
}

impl Session {
    /// All texts that may name secrets.
    pub fn templates(&self) -> Vec<&Template> {
        let named = self.login.headers.iter().chain(self.form.iter().flatten()).map(|(_, template)| template);
        named.chain(self.login.body.iter().flat_map(JsonTemplate::texts)).chain([&self.login.path]).collect()
    }
}

/// Where an answer has a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFrom {
    /// In the body.
    Body(Path),
    /// In a header.
    Header(String),
    /// In a cookie that it sets.
    Cookie(String),
}

/// Where a token goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenInto {
    /// A header or a query parameter.
    Place(Place),
    /// A cookie.
    Cookie(String),
}

/// Until when a token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is refused, or as long as its cookie says.
    Open,
    /// For so long.
    Fixed(Duration),
    /// As the answer's body tells.
    Told(Path),
}
