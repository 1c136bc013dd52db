//! Owns: idempotency keys: the first answer is the only answer.
//!
//! Must not know: what a write does.

use std::collections::VecDeque;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Method;

use super::call::Call;
use super::config::Idempotency;
use super::reply::{Answer, Refusal};

/// Keys beyond these push the oldest out.
const KEYS_MAX: usize = 100_000;

/// The keys of one resource, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Replays {
    seen: VecDeque<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    key: String,
    at: DateTime<Utc>,
    method: Method,
    target: String,
    body: Bytes,
    answer: Answer,
}

impl Replays {
    /// The first answer to this key, or the refusal of another payload; nothing if the key is new.
    pub fn find(&mut self, config: &Idempotency, call: &Call, now: DateTime<Utc>) -> Option<Result<Answer, Refusal>> {
        let key = call.header(&config.header)?;
        self.seen.retain(|seen| (now - seen.at).num_milliseconds() < config.keep_ms);
        let seen = self.seen.iter().find(|seen| seen.key == key)?;
        let same = seen.method == call.method && seen.target == call.target && seen.body == call.body;
        Some(if same {
            Ok(seen.answer.clone().with("idempotent-replayed", "true"))
        } else {
            let message = "this key was used for another request";
            Err(Refusal::new(config.mismatch_status, "idempotency_mismatch", message))
        })
    }

    /// Remembers the answer to a write that had its effect.
    pub fn remember(&mut self, config: &Idempotency, call: &Call, answer: &Answer, now: DateTime<Utc>) {
        let Some(key) = call.header(&config.header) else { return };
        if self.seen.len() >= KEYS_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            key: key.to_owned(),
            at: now,
            method: call.method.clone(),
            target: call.target.clone(),
            body: call.body.clone(),
            answer: answer.clone(),
        });
    }
}
