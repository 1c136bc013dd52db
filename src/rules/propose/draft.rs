//! Owns: a proposal as plain data: what stands in the rules, and which of it is a guess.
//!
//! Must not know: what it was learnt from, how it is written down.

use super::kind::Kind;
use crate::record::{Path, TimeFormat};

/// A thing that is proposed, and why where it is a guess.
#[derive(Clone, Debug)]
pub struct Said<T> {
    /// What.
    pub it: T,
    /// Why; `None` where it is known.
    pub guess: Option<String>,
}

impl<T> Said<T> {
    /// It is known.
    pub fn known(it: T) -> Self {
        Self { it, guess: None }
    }

    /// It is a guess.
    pub fn guess(it: T, why: impl Into<String>) -> Self {
        Self { it, guess: Some(why.into()) }
    }
}

/// A whole proposal.
#[derive(Debug)]
pub struct Draft {
    /// What it was made of, for its first line.
    pub made_of: String,
    /// The collection's name.
    pub collection: String,
    /// The upstream's name.
    pub upstream: String,
    /// The upstream; `None` where the rules have it.
    pub system: Option<System>,
    /// The fields, in order.
    pub fields: Vec<FieldDraft>,
    /// The fields by which records match, together.
    pub match_key: Option<Said<Vec<String>>>,
    /// Where the id is.
    pub id: Said<Path>,
    /// Where the version is.
    pub version: Option<Said<Path>>,
    /// Where the time of change is, and how it is written.
    pub updated_at: Option<(Said<Path>, TimeFormat)>,
    /// The condition of archived records.
    pub archived: Option<Said<String>>,
    /// How it is listed.
    pub listing: Listing,
    /// The point read; a suggestion where it is a guess.
    pub get: Said<String>,
    /// The condition of deleted records.
    pub deleted: Option<Said<String>>,
    /// How writes might go; suggestions in any case.
    pub writes: Writes,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Where the API is, and who we are there.
#[derive(Debug)]
pub struct System {
    /// The base URL.
    pub base_url: Said<String>,
    /// The lines of `[upstream.NAME.auth]`.
    pub auth: Option<Said<Vec<(String, Setting)>>>,
    /// What else is to be said of credentials.
    pub notes: Vec<String>,
}

/// A value of a setting.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

/// A field.
#[derive(Debug)]
pub struct FieldDraft {
    /// Its name here.
    pub name: String,
    /// Where it stands there.
    pub path: Path,
    /// Its type.
    pub kind: Kind,
    /// Whether a record without it is set aside.
    pub required: Option<Said<()>>,
    /// Texts that differ in case and blanks are the same.
    pub normalize: bool,
    /// Set by the upstream alone.
    pub pull: Option<Said<()>>,
    /// A credential by its name: proposed in a comment.
    pub is_secret: bool,
    /// For a comment: the texts that the description allows.
    pub one_of: Vec<String>,
    /// For a comment.
    pub note: Option<String>,
}

/// How records are listed.
#[derive(Debug)]
pub struct Listing {
    /// The path.
    pub path: Said<String>,
    /// The parameters.
    pub query: Vec<(String, String)>,
    /// Where the records are in the answer: `.results[]`.
    pub records: Said<String>,
    /// The paging table, as it is written.
    pub page: Said<String>,
    /// A parameter that asks for what changed since; a suggestion.
    pub since: Option<Said<String>>,
}

/// Requests such as `POST /contacts`.
#[derive(Debug, Default)]
pub struct Writes {
    /// How to create.
    pub create: Option<Said<String>>,
    /// How to update.
    pub update: Option<Said<String>>,
    /// How to delete.
    pub delete: Option<Said<String>>,
    /// The header of an idempotency key.
    pub idempotency_header: Option<String>,
    /// The header of a precondition with the version.
    pub if_match: Option<Said<()>>,
}
