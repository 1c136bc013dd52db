//! Owns: what an installation sets from outside: settings with their sources, secrets by name, the texts of rules files.
//!
//! Must not know: what the rules mean, which command asks, what a setting is used for.

mod duration;
mod file;
mod keys;
mod layers;
mod rule_files;
mod secrets;

pub use keys::{KEYS, VARIABLES};
pub use layers::{ConfigError, Environment, Overrides, Settings, Source};
pub use rule_files::{is_of_rules, load_rule_files, rules_folders, rules_names, rules_stamp};
pub use secrets::{MissingSecret, Secrets, is_name as is_secret_name};
