//! Owns: what is secret and has to outlive a process: tokens of OAuth, secrets that `reconciled secret set` took; sealed.
//!
//! Must not know: what a secret is for, how a token was had, where settings come from.
//!
//! The vault is a small SQLite file of its own, beside the database: a database that is set back to its backup must not bring
//! back refresh tokens that were given up since, and a copy of the data for somebody else must not carry credentials. Its
//! values are sealed with a master key, which is never in it.

mod file;
mod key;
mod seal;

#[cfg(test)]
mod tests;

pub use file::{Guard, Kind, Vault};
pub use key::{KeyPlaces, MASTER_KEY};

/// What goes wrong with a vault. No message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// There is no master key, and what is there needs one.
    #[error("{words}")]
    NoKey {
        /// Where it was looked for, and what to do.
        words: String,
    },
    /// What is called a master key is none.
    #[error(
        "the master key ({place}) is no key: {reason}; bring the right one back, or where nothing is sealed yet remove it: `reconciled key create` makes one"
    )]
    BadKey {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is another key than the one that the vault was sealed with.
    #[error(
        "the master key ({place}) is not the one that {vault} is sealed with: its id is {given}, that of the vault {wanted}; \
         bring the right key back (a service that was handed the key at its start needs a restart after `key rotate`), or remove \
         the vault, then set its secrets and sign in again"
    )]
    WrongKey {
        /// Where the key is.
        place: String,
        /// The vault's file.
        vault: String,
        /// Id of the key that was found.
        given: String,
        /// Id of the key that is needed.
        wanted: String,
    },
    /// A value cannot be opened: it was changed, or moved here from elsewhere.
    #[error("{vault}: the {kind} `{name}` cannot be opened: it was changed or copied from elsewhere; {remedy}")]
    Damaged {
        /// The vault's file.
        vault: String,
        /// `token` or `secret`.
        kind: &'static str,
        /// Whose it is.
        name: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
}
