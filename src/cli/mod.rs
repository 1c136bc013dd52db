//! Owns: the command line: arguments, one file per command, what is printed, exit codes.
//!
//! Must not know: how the work is done (that is every other module).

mod apply;
mod approve;
mod args;
mod args_keeping;
mod args_rules;
mod args_secrets;
mod ask;
mod auth;
mod backup;
mod beside;
mod check;
mod completions;
mod conflicts;
mod demo;
mod diff;
mod doctor;
mod entry;
mod examples;
mod exit;
mod explain;
mod explain_text;
mod fetch;
mod find;
mod history;
mod inbox;
mod init;
mod install;
mod key;
mod looking;
mod manual;
mod online;
mod out;
mod plan;
mod print_config;
mod progress;
mod record;
mod reject;
mod repair;
mod replay;
mod report;
mod resolve;
mod run;
mod schema;
mod secret;
mod settle;
mod show;
mod sim;
mod status;
mod stop;
mod style;
mod usage;
mod verify;
mod workspace;

pub use entry::main;
