//! The integration tests: one binary, modules by kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests may stop a test")]
#![expect(clippy::panic, reason = "what tests share ends a test as the test itself would")]

mod bad_input;
mod browser;
mod cli;
mod daemon;
mod described;
mod faults;
mod guide;
mod hands;
mod house;
mod monitoring;
mod oauth;
mod oauth_pages;
mod places;
mod scenarios;
mod service;
mod soak;
mod stopping;
mod targeted;
mod web;
mod webhooks;
mod world;
