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

impl Credentials {
    /// A URL that an upstream gave back without the credentials that it echoes; they are added again on sending.
    pub fn strip(&self, url: &str) -> String {
        let Some((Place::Query(name), _)) = &self.at else { return url.to_owned() };
        let Some((before, rest)) = url.split_once('?') else { return url.to_owned() };
        let (query, fragment) = rest.split_once('#').map_or((rest, None), |(query, after)| (query, Some(after)));
        let is_ours = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name.as_str());
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
        let mut stripped = before.to_owned();
        for (mark, part) in
            [('?', Some(kept.join("&")).filter(|kept| !kept.is_empty())), ('#', fragment.map(str::to_owned))]
        {
            if let Some(part) = part {
                stripped.push(mark);
                stripped.push_str(&part);
            }
        }
        stripped
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
