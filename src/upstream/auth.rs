//! Owns: credentials: resolved once, put into each request.
//!
//! Must not know: whether a request may have them (`hosts` decides before).

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Built, Failure, Filled, Holes, Secrets, Tokens};
use crate::rules::{Auth, Grant, OAuth, Place, Template, TokenInto};

/// What every request gets.
#[derive(Debug)]
pub struct Credentials {
    at: Option<(Place, Filled)>,
    /// Where a token goes, and what stands before it there.
    token: Option<(TokenInto, String)>,
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
            Auth::None => return Ok(Self { at: None, token: None }),
            Auth::Tokens(oauth) => {
                secrets.learn(templates(oauth), lookup)?;
                let place = TokenInto::Place(Place::Header(oauth.header.clone()));
                return Ok(Self { at: None, token: Some((place, oauth.prefix.clone())) });
            }
            Auth::Session(session) => {
                secrets.learn(session.templates(), lookup)?;
                return Ok(Self { at: None, token: Some((session.into.clone(), session.prefix.clone())) });
            }
            Auth::ApiKey { place, value } => (place.clone(), resolve(value, secrets, lookup)?),
            Auth::Bearer { token } => (authorization(), format!("Bearer {}", resolve(token, secrets, lookup)?)),
            Auth::Basic { username, password } => {
                let pair = format!("{}:{}", resolve(username, secrets, lookup)?, resolve(password, secrets, lookup)?);
                let token = base64::engine::general_purpose::STANDARD.encode(pair);
                secrets.add("(basic token)", token.clone());
                (authorization(), format!("Basic {token}"))
            }
        };
        Ok(Self { at: Some((place, Filled { text, sensitive: true })), token: None })
    }

    /// Puts the credentials where they go; `tokens` are those of the upstream, where it has any.
    pub fn apply(&self, request: &mut Built, tokens: Option<&Tokens>) -> Result<(), Failure> {
        if let (Some((place, prefix)), Some(tokens)) = (&self.token, tokens) {
            let token = tokens.access.expose_secret();
            let filled = |text| Filled { text, sensitive: true };
            return match place {
                TokenInto::Place(place) => request.set_filled(place, &filled(format!("{prefix}{token}"))),
                TokenInto::Cookie(name) => request.add_cookie(name, token),
            };
        }
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
        let ours = self.query_names();
        if ours.is_empty() {
            return url.to_owned();
        }
        let Some((before, rest)) = url.split_once('?') else { return url.to_owned() };
        let (query, fragment) = rest.split_once('#').map_or((rest, None), |(query, after)| (query, Some(after)));
        let is_ours = |pair: &&str| {
            url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| ours.iter().any(|name| *name == key))
        };
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

    /// The query parameters that credentials go into.
    fn query_names(&self) -> Vec<&str> {
        match (&self.at, &self.token) {
            (Some((Place::Query(name), _)), _) | (_, Some((TokenInto::Place(Place::Query(name)), _))) => vec![name],
            _ => Vec::new(),
        }
    }
}

/// All texts of a grant that may name secrets.
fn templates(oauth: &OAuth) -> impl Iterator<Item = &Template> {
    let client = oauth.client.iter().flat_map(|client| std::iter::once(&client.id).chain(&client.secret));
    let params = oauth.token_params.iter().map(|(_, template)| template);
    let own: Vec<&Template> = match &oauth.grant {
        Grant::ClientCredentials => Vec::new(),
        Grant::RefreshToken(first) => vec![first],
        Grant::AuthorizationCode(sign_in) => sign_in.params.iter().map(|(_, template)| template).collect(),
        Grant::DeviceCode { params, .. } => params.iter().map(|(_, template)| template).collect(),
        Grant::JwtBearer(rules) => {
            [&rules.issuer, &rules.key].into_iter().chain(&rules.subject).chain(&rules.key_id).collect()
        }
    };
    client.chain(params).chain(own)
}

fn resolve(
    template: &Template,
    secrets: &mut Secrets,
    lookup: &dyn Fn(&str) -> Option<SecretString>,
) -> Result<String, Failure> {
    secrets.learn([template], lookup)?;
    Ok(secrets.fill(template, &Holes::default(), &|text| Ok(text.to_owned()))?.text)
}
