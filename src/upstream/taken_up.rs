//! Owns: what became of the items of a batch that a job has taken up.
//!
//! Must not know: how a job is asked (that is `job`), intents.

use chrono::{DateTime, Utc};

use super::job::{Patience, Standing, ask};
use super::results::{Placed, read_results};
use super::{Client, Failure, FailureKind, WriteRequest, Written};
use crate::rules::{Binding, Job};

/// Where an item of a batch is worked on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobMark {
    /// The URL or the id that the job is asked about by.
    pub at: String,
    /// Where the item stood in the batch, from 0.
    pub index: usize,
    /// How many items the batch had.
    pub count: usize,
    /// When the job was announced.
    pub since: DateTime<Utc>,
}

/// What a job says of its items.
#[derive(Debug)]
pub enum Told {
    /// It has ended, or is not known any more: the outcome of each item. Of one that is unknown the job says nothing.
    Each(Vec<Written>),
    /// It is at work, or may be.
    AtWork(Failure),
}

/// Asks the job that has taken up these items, all of one operation's batch.
pub async fn finish_batch(
    client: &Client,
    binding: &Binding,
    items: &[(&WriteRequest, &JobMark)],
    patience: Patience,
) -> Told {
    let Some((first, mark)) = items.first() else { return Told::Each(Vec::new()) };
    let Some((batch, job)) = first.op.batch_of(binding, false).and_then(|batch| Some((batch, batch.job.as_ref()?)))
    else {
        // It goes on there, whatever the rules say by now.
        let words =
            "a job took it up that the rules say nothing of any more: give them back, or say how it went by `settle`";
        return Told::AtWork(Failure::new(FailureKind::Unknown, words));
    };
    let (answer, failed) = match ask(client, job, &mark.at, mark.since, patience).await {
        Standing::AtWork(failure) => return Told::AtWork(failure),
        Standing::Forgotten(failure) => {
            return Told::Each(unknown(items, &Failure { kind: FailureKind::Unknown, ..failure }));
        }
        Standing::Ended(answer, failed) => (answer, failed),
    };
    let placed: Vec<Placed<'_>> = items.iter().map(|(write, mark)| Placed { write, index: mark.index }).collect();
    let (built, response) = (&answer.0, &answer.1);
    let mut outcomes = read_results(client, binding, batch, (&placed, mark.count), (built, response));
    if let Some(said) = failed {
        let said = Failure { kind: FailureKind::Unknown, ..client.bad_answer(built, response, &said) };
        for outcome in
            outcomes.iter_mut().filter(|outcome| matches!(outcome, Written::Unknown(_) | Written::Unnamed(_)))
        {
            *outcome = Written::Unknown(said.clone());
        }
    }
    Told::Each(outcomes)
}

fn unknown(items: &[(&WriteRequest, &JobMark)], failure: &Failure) -> Vec<Written> {
    items.iter().map(|_| Written::Unknown(failure.clone())).collect()
}

/// How long a job that is kept without its rules may be at work.
const WORKS_FOR: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// Whether a job that took an item up at `sent_at`, or may have, can be at work still. `None`: the rules no longer speak of it.
pub fn works_for(job: Option<&Job>, sent_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let timeout = job.map_or(Ok(WORKS_FOR), |job| chrono::TimeDelta::from_std(job.timeout));
    timeout.is_ok_and(|timeout| now < sent_at + timeout)
}
