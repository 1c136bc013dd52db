//! Owns: what processes hold of budgets: what they spent that still counts, and what they set aside to spend; in a file that
//! they share.
//!
//! Must not know: what a budget covers, how much there is of it, who waits for it.
//!
//! The file is a small SQLite file of its own, beside the database: a database that is set back to its backup must not forget
//! what was asked of upstreams since, commands that work on a copy of it (or without any) spend as well, and nobody waits for
//! the transactions of a pass. A process writes down what it will spend *before* it does. So whatever becomes of it, the next
//! one, or another one beside it, counts no less than was spent.

mod file;

#[cfg(test)]
mod tests;

pub use file::{Durable, Held, Spending};

/// The file of what is spent cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is spent of budgets cannot be written down in {path}: {reason}; {remedy}")]
pub struct SpendingError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}
