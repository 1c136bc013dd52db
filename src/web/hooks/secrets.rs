//! Owns: the keys of an upstream's webhooks, out of its secrets.
//!
//! Must not know: where secrets are kept, what is signed.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::rules::{HookScheme, Part, Template, Webhook};

/// Standard Webhooks write a key so.
const STANDARD_PREFIX: &str = "whsec_";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Looks up a secret by its name.
pub type LookUp = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

/// The keys that a webhook may be signed by. They print as nothing.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<SecretSlice<u8>>,
}

impl Keys {
    /// The keys of these webhooks. An error says, without any secret, why there is none; one of several may be missing.
    pub fn of(webhook: &Webhook, look_up: &LookUp) -> Result<Self, String> {
        let mut keys = Vec::new();
        let mut problems = Vec::new();
        for (at, template) in webhook.secrets.iter().enumerate() {
            match text_of(template, look_up).and_then(|text| key_of(&webhook.scheme, &text)) {
                Ok(key) => keys.push(key),
                Err(words) => problems.push(format!("secret {} of `secrets` {words}", at + 1)),
            }
        }
        if keys.is_empty() { Err(problems.join("; ")) } else { Ok(Self { keys }) }
    }

    /// Whether one of them fits. All are tried.
    pub fn any(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        self.keys.iter().fold(false, |found, key| fits(key.expose_secret()) | found)
    }
}

fn text_of(template: &Template, look_up: &LookUp) -> Result<SecretString, String> {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Secret(name) => {
                let secret = look_up(name).ok_or_else(|| format!("is missing (`{name}`)"))?;
                text.push_str(secret.expose_secret());
            }
            Part::Hole(_) => {}
        }
    }
    Ok(SecretString::from(text))
}

fn key_of(scheme: &HookScheme, secret: &SecretString) -> Result<SecretSlice<u8>, String> {
    let text = secret.expose_secret();
    let bytes = match scheme {
        HookScheme::Standard => {
            let coded = text.strip_prefix(STANDARD_PREFIX).unwrap_or(text);
            BASE64.decode(coded).map_err(|_not_said| "is not base64 after `whsec_`".to_owned())?
        }
        // Stripe's begins with `whsec_` as well, and is the key as it stands.
        HookScheme::Github | HookScheme::Stripe | HookScheme::Slack | HookScheme::Shopify | HookScheme::Hmac(_) => {
            text.as_bytes().to_vec()
        }
    };
    // Anybody can sign with an empty key.
    if bytes.is_empty() { Err("is empty".to_owned()) } else { Ok(SecretSlice::from(bytes)) }
}
