//! Owns: the secrets that one upstream's requests use: filling templates with them, and keeping them out of words.
//!
//! Must not know: where secrets come from, what a request is for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrecy::{ExposeSecret, SecretString};

use super::spelled::find_spelled;
use super::{Failure, FailureKind};
use crate::rules::{Part, Template};

/// Shorter values are not masked: they would blot out ordinary words and protect nothing.
const MASK_CHARS_MIN: usize = 3;
/// Of values that come and go, so many are masked: those of several renewals.
const HIDDEN_MAX: usize = 32;

/// Resolved secrets by name. Prints names only.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// Tokens and the like that came later, the newest last; shared by all copies.
    hidden: Arc<RwLock<VecDeque<SecretString>>>,
}

/// What a template became.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// A secret is in it.
    pub sensitive: bool,
}

/// A text without secrets.
pub fn plain(text: impl Into<String>) -> Filled {
    Filled { text: text.into(), sensitive: false }
}

/// Where the values of holes come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holes<'a> {
    /// The remote id.
    pub id: Option<&'a str>,
    /// The version.
    pub version: Option<&'a str>,
    /// The operation id.
    pub key: Option<&'a str>,
    /// The parent's remote id.
    pub parent: Option<&'a str>,
    /// Where a page begins: its number, or its offset.
    pub count: Option<&'a str>,
    /// The id of a job.
    pub job: Option<&'a str>,
    /// What a record is looked up by.
    pub natural: Option<&'a str>,
}

impl Holes<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "id" => self.id,
            "version" => self.version,
            "key" => self.key,
            "parent" => self.parent,
            "page" | "offset" => self.count,
            "job" => self.job,
            "match" => self.natural,
            _ => None,
        }
    }
}

impl Secrets {
    /// Looks up what `templates` name.
    pub fn learn<'a>(
        &mut self,
        templates: impl IntoIterator<Item = &'a Template>,
        lookup: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<(), Failure> {
        for part in templates.into_iter().flat_map(|template| &template.parts) {
            let Part::Secret(name) = part else { continue };
            if self.values.contains_key(name) {
                continue;
            }
            let missing = || Failure::new(FailureKind::Fatal, format!("the secret `{name}` is not set"));
            self.values.insert(name.clone(), lookup(name).ok_or_else(missing)?);
        }
        Ok(())
    }

    /// Fills a template; `encode` is applied to the values of holes (not to text or secrets).
    pub fn fill(
        &self,
        template: &Template,
        holes: &Holes<'_>,
        encode: &dyn Fn(&str) -> Result<String, Failure>,
    ) -> Result<Filled, Failure> {
        let mut filled = Filled { text: String::new(), sensitive: false };
        for part in &template.parts {
            match part {
                Part::Text(text) => filled.text.push_str(text),
                Part::Secret(name) => {
                    let missing = || Failure::new(FailureKind::Fatal, format!("the secret `{name}` is not set"));
                    filled.text.push_str(self.values.get(name).ok_or_else(missing)?.expose_secret());
                    filled.sensitive = true;
                }
                Part::Hole(name) => {
                    let missing = || Failure::new(FailureKind::Invalid, format!("no value for `{{{name}}}`"));
                    filled.text.push_str(&encode(holes.get(name).ok_or_else(missing)?)?);
                }
            }
        }
        Ok(filled)
    }

    /// The text with every secret value replaced by `•••`, in whatever spelling it is there, and in Base64.
    pub fn mask(&self, text: &str) -> String {
        self.replaced(text, "•••")
    }

    /// The same with another mark.
    pub fn replaced(&self, text: &str, mark: &str) -> String {
        let hidden = self.hidden.read().unwrap_or_else(PoisonError::into_inner);
        let values = self.values.values().chain(&*hidden).map(SecretString::expose_secret);
        let mut found = Vec::new();
        for value in values.filter(|value| value.chars().count() >= MASK_CHARS_MIN) {
            found.extend(find_spelled(text, value));
            for base64 in [STANDARD.encode(value), URL_SAFE.encode(value)] {
                found.extend(find_spelled(text, &base64));
                found.extend(find_spelled(text, base64.trim_end_matches('=')));
            }
        }
        // What overlaps is masked as one, so that a secret inside another one, or one that begins in it, leaves nothing behind.
        found.sort_by_key(|place| place.start);
        let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
        for place in found {
            if place.start >= at {
                masked.push_str(text.get(at..place.start).unwrap_or_default());
                masked.push_str(mark);
            }
            at = at.max(place.end);
        }
        masked.push_str(text.get(at..).unwrap_or_default());
        masked
    }

    /// True where a secret can be read out of the text.
    pub fn show_in(&self, text: &str) -> bool {
        self.mask(text) != text
    }

    /// Whether what the rules name has the same values there.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let same = |(name, value): (&String, &SecretString)| {
            other.values.get(name).is_some_and(|known| known.expose_secret() == value.expose_secret())
        };
        self.values.len() == other.values.len() && self.values.iter().all(same)
    }

    /// Masks a value that came while this is shared, such as a token.
    pub fn hide(&self, value: SecretString) {
        let mut hidden = self.hidden.write().unwrap_or_else(PoisonError::into_inner);
        if hidden.iter().all(|known| known.expose_secret() != value.expose_secret()) {
            hidden.push_back(value);
        }
        if hidden.len() > HIDDEN_MAX {
            hidden.pop_front();
        }
    }

    /// The same, and these besides.
    pub fn with(&self, more: impl IntoIterator<Item = String>) -> Self {
        let mut secrets = self.clone();
        for (at, value) in more.into_iter().enumerate() {
            secrets.add(&format!("(sent {at})"), value);
        }
        secrets
    }

    /// Remembers a value that is made of secrets (the token of Basic authentication), to be masked as well.
    pub fn add(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), SecretString::from(value));
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl std::fmt::Debug for Filled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.sensitive { "•••" } else { &self.text })
    }
}
