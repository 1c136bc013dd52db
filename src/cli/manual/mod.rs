//! Owns: the manual: man pages of the program, its commands and its settings, made of the grammar of the command line, the table of
//! settings, and a few texts.
//!
//! Must not know: what the commands do; where pages are installed.

mod command;
mod pages;
#[cfg(test)]
mod reference;
mod roff;
mod texts;

pub use command::run;
pub use pages::pages;
