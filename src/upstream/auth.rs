//! Owns: credentials: resolved once, put into each request.
//!
//! Must not know: whether a request may have them (`hosts` decides before).

use base64::Engine as _;
use secrecy::SecretString;

use super::{Built, Failure, Filled, Holes, Secrets};
use crate::rules::{Auth, Place, Template};

/// What every request gets.
#[derive(Debug)]
pub struct Credentials {
    at: Option<(Place, Filled)>,
}

impl Credentials {
    /// Looks up the secrets that the rules name.
    pub fn resolve(
        auth: &Auth,
        secrets: &mut Secrets,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, Failure> {
        let authorization = || Place::Header("authorization".to_owned());
        let (place, text) = match auth {
            Auth::None => return Ok(Self { at: None }),
            Auth::ApiKey { place, value } => (place.clone(), resolve(value, secrets, lookup)?),
            Auth::Bearer { token } => (authorization(), format!("Bearer {}", resolve(token, secrets, lookup)?)),
            Auth::Basic { username, password } => {
                let pair = format!("{}:{}", resolve(username, secrets, lookup)?, resolve(password, secrets, lookup)?);
                let token = base64::engine::general_purpose::STANDARD.encode(pair);
                secrets.add("(basic token)", token.clone());
                (authorization(), format!("Basic {token}"))
            }
        };
        Ok(Self { at: Some((place, Filled { text, sensitive: true })) })
    }

    /// Puts the credentials where they go.
    pub fn apply(&self, request: &mut Built) -> Result<(), Failure> {
        match &self.at {
            // A read without a body does not get one for the sake of a key.
            Some((Place::Body(_), _)) if request.body.is_none() && request.method.is_safe() => Ok(()),
            Some((place, filled)) => request.set_filled(place, filled),
            None => Ok(()),
        }
    }
}

fn resolve(
    template: &Template,
    secrets: &mut Secrets,
    lookup: &dyn Fn(&str) -> Option<SecretString>,
) -> Result<String, Failure> {
    secrets.learn([template], lookup)?;
    Ok(secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned()))?.text)
}
