//! Owns: credentials that are tokens: how they are asked for, kept, renewed and given up.
//!
//! Must not know: requests to the upstream's API; how a person is shown an address.

mod assertion;
mod device;
mod ending;
mod keeper;
mod server;
mod signin;
mod tokens;

#[cfg(test)]
mod tests;

pub use ending::are_over;
pub(super) use ending::to_its_end;
pub use keeper::{Keeper, Standing};
pub use signin::{Back, SignIn, read_back_url};
pub(super) use tokens::Granted;
pub use tokens::Tokens;
