//! Owns: a sign-in in a browser: the address to go to, and what it means when the browser comes back (RFC 6749, 4.1;
//! RFC 7636; RFC 9207).
//!
//! Must not know: who listens for the browser; what is done with the code.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::server::{Server, plain};
use crate::rules;
use crate::upstream::{Failure, FailureKind};

/// A sign-in that was begun.
pub struct SignIn {
    /// Where the person goes.
    pub url: Url,
    /// Where the browser comes back to, exactly.
    pub redirect_url: String,
    state: SecretString,
    pub(super) verifier: SecretString,
    issuer: Option<String>,
}

/// What the browser brought back.
#[derive(Clone, Default)]
pub struct Back {
    code: Option<SecretString>,
    state: Option<SecretString>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl SignIn {
    /// Begins one.
    pub(super) fn begin(server: &Server, rules: &rules::SignIn, redirect_url: String) -> Result<Self, Failure> {
        let (state, verifier) = (random()?, random()?);
        let mut url = rules.authorize_url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("response_type", "code");
            query.append_pair("client_id", &server.client_id()?);
            query.append_pair("redirect_uri", &redirect_url);
            if let Some(scope) = server.scope() {
                query.append_pair("scope", &scope);
            }
            query.append_pair("state", state.expose_secret());
            query.append_pair("code_challenge", &challenge(&verifier));
            query.append_pair("code_challenge_method", "S256");
            for (name, template) in &rules.params {
                query.append_pair(name, &server.fill(template)?);
            }
        }
        Ok(Self { url, redirect_url, state, verifier, issuer: rules.issuer.clone() })
    }

    /// Whether what came back belongs to this sign-in. Nothing of a foreign answer is believed, not even its error.
    pub fn is_answered_by(&self, back: &Back) -> bool {
        back.state.as_ref().is_some_and(|state| {
            bool::from(state.expose_secret().as_bytes().ct_eq(self.state.expose_secret().as_bytes()))
        })
    }

    /// The code, if what came back is the answer to this sign-in.
    pub fn code(&self, back: &Back) -> Result<SecretString, Failure> {
        let refuse = |words: String| Err(Failure::new(FailureKind::Auth, words));
        if !self.is_answered_by(back) {
            return refuse("what came back is not the answer to this sign-in (its `state` differs); begin anew".into());
        }
        if let Some(issuer) = &self.issuer {
            match &back.issuer {
                Some(given) if given == issuer => {}
                Some(given) => {
                    return refuse(format!("the answer is from {given:.200}, and the rules want the issuer {issuer}"));
                }
                None => {
                    return refuse(format!("the answer does not say from whom it is (`iss`); the rules want {issuer}"));
                }
            }
        }
        match (&back.error, &back.code) {
            (Some(error), _) => {
                let said = back.description.as_ref().map(|words| format!(": {words:.200}")).unwrap_or_default();
                refuse(format!("the sign-in was refused: {error:.100}{said}"))
            }
            (None, Some(code)) => Ok(code.clone()),
            (None, None) => refuse("the answer holds no code".into()),
        }
    }
}

/// Reads the query of the address that the browser came back to.
pub fn read_back_url(query: &str) -> Back {
    let mut back = Back::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match name.as_ref() {
            "code" => back.code = Some(value.into()),
            "state" => back.state = Some(value.into()),
            "iss" => back.issuer = Some(plain(&value)),
            "error" => back.error = Some(plain(&value)),
            "error_description" => back.description = Some(plain(&value)),
            _ => {}
        }
    }
    back
}

/// 32 random bytes as text.
fn random() -> Result<SecretString, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(FailureKind::Fatal, format!("no random numbers are to be had: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// `S256` (RFC 7636, 4.2).
pub(super) fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()))
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("redirect_url", &self.redirect_url).finish_non_exhaustive()
    }
}
