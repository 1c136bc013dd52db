//! The integration tests: one binary, modules by kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests may stop a test")]

mod bad_input;
mod cli;
mod hands;
mod house;
mod scenarios;
mod world;
