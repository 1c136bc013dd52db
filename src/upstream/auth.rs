//! Owns: credentials: resolved once, put into each request.
//!
//! Must not know: whether a request may have them (`hosts` decides before).

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::signing::Signer;
use super::{Built, Failure, Filled, Holes, Outgoing, Secrets, Tokens};
use crate::clock::Clock;
use crate::rules::{Auth, Grant, OAuth, Place, Template, TokenInto};

/// What every request gets.
#[derive(Debug, Default)]
pub struct Credentials {
    at: Option<(Place, Filled)>,
    /// Where a token goes, and what stands before it there.
    token: Option<(TokenInto, String)>,
    /// Who signs, where requests are signed.
    signer: Option<Signer>,
    /// The query parameters that credentials go into.
    query_names: Vec<String>,
}

impl Credentials {
    /// Looks up the secrets that the rules name.
    pub fn resolve(
        auth: &Auth,
        secrets: &mut Secrets,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, Failure> {
        Ok(Self { query_names: credential_names(auth), ..Self::placed(auth, secrets, lookup)? })
    }

    fn placed(
        auth: &Auth,
        secrets: &mut Secrets,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, Failure> {
        let authorization = || Place::Header("authorization".to_owned());
        let (place, text) = match auth {
            Auth::None => return Ok(Self::default()),
            Auth::Tokens(oauth) => {
                secrets.learn(templates(oauth), lookup)?;
                let place = TokenInto::Place(Place::Header(oauth.header.clone()));
                return Ok(Self { token: Some((place, oauth.prefix.clone())), ..Self::default() });
            }
            Auth::Session(session) => {
                secrets.learn(session.templates(), lookup)?;
                let token = Some((session.into.clone(), session.prefix.clone()));
                return Ok(Self { token, ..Self::default() });
            }
            Auth::Hmac(rules) => {
                secrets.learn(rules.templates(), lookup)?;
                return Ok(Self { signer: Signer::of(auth), ..Self::default() });
            }
            Auth::Aws(rules) => {
                secrets.learn(rules.templates(), lookup)?;
                return Ok(Self { signer: Signer::of(auth), ..Self::default() });
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
        Ok(Self { at: Some((place, Filled { text, sensitive: true })), ..Self::default() })
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
    /// Signs a request that is otherwise ready to be sent, where requests are signed.
    pub fn sign(&self, request: &mut Outgoing, secrets: &Secrets, clock: &dyn Clock) -> Result<(), Failure> {
        self.signer.as_ref().map_or(Ok(()), |signer| signer.sign(request, secrets, clock))
    }

    /// A URL that an upstream gave back without the credentials that it echoes; they are added again on sending.
    pub fn strip(&self, url: &str) -> String {
        strip_query(url, &self.query_names)
    }
}

/// The query parameters that credentials go into.
pub fn credential_names(auth: &Auth) -> Vec<String> {
    match auth {
        Auth::ApiKey { place: Place::Query(name), .. } => vec![name.clone()],
        Auth::Session(session) => match &session.into {
            TokenInto::Place(Place::Query(name)) => vec![name.clone()],
            TokenInto::Place(_) | TokenInto::Cookie(_) => Vec::new(),
        },
        _ => Signer::of(auth).iter().flat_map(Signer::query_names).map(str::to_owned).collect(),
    }
}

/// A URL without these parameters of its query.
pub fn strip_query(url: &str, ours: &[String]) -> String {
    if ours.is_empty() {
        return url.to_owned();
    }
    let Some((before, rest)) = url.split_once('?') else { return url.to_owned() };
    let (query, fragment) = rest.split_once('#').map_or((rest, None), |(query, after)| (query, Some(after)));
    let is_ours =
        |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| ours.iter().any(|name| *name == key));
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
