//! Owns: why nothing can be proposed, and what helps.
//!
//! Must not know: how proposals are made.

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The text is no JSON.
    #[error("{name} is neither JSON nor JSON a line: {reason}")]
    NoJson {
        /// Which file.
        name: String,
        /// Why, with the place.
        reason: String,
    },
    /// There is nothing to learn from.
    #[error("{0} holds no record: take a sample of a listing that is not empty")]
    Empty(String),
    /// Several arrays could be the records.
    #[error("{name} has several lists that could be the records: {}; choose one with --records", candidates.join(", "))]
    Records {
        /// Which file.
        name: String,
        /// Their paths.
        candidates: Vec<String>,
    },
    /// `--records` leads nowhere.
    #[error("--records {path} is no list of objects in {name}; write a path such as `.results[]`")]
    NoRecords {
        /// Which file.
        name: String,
        /// As given.
        path: String,
    },
    /// No member tells records apart.
    #[error("no member tells records apart ({why}); name it with --id, e.g. --id .number")]
    NoId {
        /// What was looked at.
        why: String,
    },
    /// Records have nothing that a field could be made of.
    #[error("the records have no members beside their id that fields could be made of")]
    NoFields,
    /// What was given makes no sense.
    #[error("{0}")]
    Wanted(String),
    /// The description is none.
    #[error("{name} is no OpenAPI 3 document: {reason}")]
    NoOpenApi {
        /// Which file.
        name: String,
        /// Why.
        reason: String,
    },
    /// The description does not begin as JSON does, and is no YAML that can be taken.
    #[error("{name}:{line}:{column}: {reason} (what does not begin with `{{` is read as YAML 1.2)")]
    NoYaml {
        /// Which file.
        name: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// Why, and what helps.
        reason: String,
    },
    /// Several listings could be meant, or none is there.
    #[error("{what}; choose one with --path: {}", candidates.join(", "))]
    Listings {
        /// What is the matter.
        what: String,
        /// Paths of listings.
        candidates: Vec<String>,
    },
}
