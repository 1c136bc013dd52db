//! The integration tests: one binary, modules by kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests may stop a test")]
#![expect(clippy::panic, reason = "what tests share ends a test as the test itself would")]

mod archives;
mod bad_input;
mod between;
mod browser;
mod capped;
mod cassettes;
mod cli;
mod control;
mod daemon;
mod described;
mod event_feed;
mod faults;
mod fetching;
mod graphql;
mod guide;
mod hands;
mod house;
mod hung;
mod idle;
mod init;
mod journal;
mod json;
mod listing;
mod metrics;
mod monitoring;
mod moved;
mod nested;
mod oauth;
mod oauth_pages;
mod parents;
mod places;
mod planning;
mod proxied;
mod reloads;
mod rows;
mod scenarios;
mod scripted;
mod service;
mod short_pages;
mod silent;
mod soak;
mod spending;
mod stopping;
mod styles;
mod sync_token;
mod targeted;
mod told_deletes;
mod traces;
mod transitions;
mod upserts;
mod web;
mod webhooks;
mod world;
