//! Owns: batches that are done in the background: when, and what is said of them meanwhile.
//!
//! Must not know: what a batch does.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::call::Call;
use super::handle::{Route, Sandbox};
use super::reply::{Answer, Body, Refusal};

/// A batch that was taken up.
#[derive(Debug, Clone)]
pub(super) struct Background {
    call: Call,
    /// It is done by the first request that comes then, whatever that asks for.
    due: DateTime<Utc>,
    done: Option<Result<Answer, Refusal>>,
}

impl Sandbox {
    /// Does the batches of the background that are due by then.
    pub fn work(&mut self, now: DateTime<Utc>) {
        for index in 0..self.resources.len() {
            for at in 0..self.resources[index].jobs.len() {
                let job = &self.resources[index].jobs[at];
                if job.done.is_some() || job.due > now {
                    continue;
                }
                let (call, due) = (job.call.clone(), job.due);
                let done = self.write(index, &Route::Batch(index), &call, None, due);
                self.resources[index].jobs[at].done = Some(done);
            }
        }
    }

    /// Takes a batch up, and says where it is asked about: relative to its own address.
    pub(super) fn take_up(&mut self, index: usize, call: &Call, delays: &[Duration], now: DateTime<Utc>) -> Answer {
        let jobs = &mut self.resources[index].jobs;
        let number = jobs.len();
        let delay = delays.get(number % delays.len().max(1)).copied().unwrap_or_default();
        let due = chrono::TimeDelta::from_std(delay).map_or(now, |delay| now + delay);
        jobs.push(Background { call: call.clone(), due, done: None });
        Answer::json(202, json!({ "job": format!("?job={number}"), "state": "queued" }))
    }

    /// How far one is; in the end, what the batch would have been answered.
    pub(super) fn job(&self, index: usize, call: &Call) -> Result<Answer, Refusal> {
        let number = call.param("job").and_then(|number| number.parse::<usize>().ok());
        let job = number.and_then(|number| self.resources[index].jobs.get(number));
        let job = job.ok_or_else(|| Refusal::new(404, "no_such_job", "there is no such job"))?;
        Ok(Answer::json(
            200,
            match &job.done {
                None => json!({ "state": "working" }),
                Some(Err(refusal)) => json!({ "state": "failed", "message": refusal.message }),
                Some(Ok(Answer { body: Body::Json(body), .. })) => {
                    let mut body = body.clone();
                    body["state"] = "done".into();
                    body
                }
                Some(Ok(_)) => json!({ "state": "done" }),
            },
        ))
    }
}
