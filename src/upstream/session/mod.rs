//! Owns: tokens that a login is answered with: how they are asked for, kept and replaced.
//!
//! Must not know: requests other than the login; OAuth.

mod keeper;
mod login;

#[cfg(test)]
mod tests;

pub use keeper::Session;
pub use login::Way;
