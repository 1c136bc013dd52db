//! Owns: talking to upstreams: requests built from rules, one HTTP client, auth, paging, budgets, retries, a breaker; outcomes as data.
//!
//! Must not know: the store, bases, which value wins. The deciding halves take `now` and do no I/O.

mod outcome;
mod transport;

mod backoff;
mod breaker;
mod budget;
mod classify;
mod kept;
mod purse;
mod ratelimit;
mod retry_after;
mod state;
mod successor;
mod window;

mod auth;
mod holder;
mod hosts;
mod keeping;
mod oauth;
mod request;
mod secrets;
mod session;
mod signing;
mod spelled;
mod words;

mod account;
mod admission;
mod body;
mod call;
mod client;
mod encode;
mod exchange;
mod flow;
mod health;
mod histogram;
mod http;
mod latency;
mod learn;
mod meter;
mod outgoing;
mod slim;
mod tls;
mod totals;
mod turn;

mod capped;
mod deleted;
mod export;
mod feed;
mod formats;
mod lacking;
mod lines;
mod listing;
mod more;
mod nested;
mod paging;
mod parented;
mod parts;
mod point;
mod split;
mod stream;
mod streamed;
mod table;

mod cassette;

mod answer;
mod batch;
mod job;
mod prepare;
mod probe;
mod reach;
mod results;
mod site;
mod taken_up;
mod write;

pub use backoff::uniform;
pub use batch::write_batch;
pub use budget::BudgetUse;
pub use cassette::{
    Cassette, CassetteClock, CassetteError, Deck, Header, Limits, MARK, Mask, Player, Recorded, Tape, offline,
};
pub use classify::Safety;
pub use client::Client;
pub use deleted::{DeletedLister, ask_for_deleted};
pub use health::Probed;
pub use histogram::Histogram;
pub use holder::Holder;
pub use hosts::{check_url, is_link_local};
pub use http::{HttpTransport, install_crypto};
pub use job::Patience;
pub use kept::{BreakerState, Kept, KeptBreaker, KeptBudget};
pub use latency::Latency;
pub use listing::Lister;
pub use meter::{Answers, Asked, Health, Meter, Metered, Meters};
pub use oauth::{Back, Keeper, SignIn, Standing, Tokens, are_over as renewals_are_over, read_back_url};
pub use outcome::*;
pub use paging::counts_pages;
pub use parented::tell_whose;
pub use point::{cut_record, get, get_each, has_point_read, version_in};
pub use prepare::{may_be_elsewhere, parent_of};
pub use probe::{FoundRecords, find_by_field, find_by_path};
pub use reach::{Reached, earliest, offset};
pub use request::{Built, build_request, encode_segment, fill_version, header, path_below};
pub use retry_after::WAIT_MAX;
pub use secrets::{Filled, Holes, Secrets, plain};
pub use session::Session;
pub use site::Site;
pub use state::Room;
pub use taken_up::{JobMark, Told as ToldByJob, finish_batch, works_for};
pub use tls::our_certificate_until;
pub use totals::{End, Totals, WaitFor};
pub use transport::{Outgoing, RecordsIn, Response, Rest, Transport, TransportError};
pub use write::{is_as_expected, write_one};

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;
