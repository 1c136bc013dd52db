//! Owns: asking an upstream for single records, and for how long others wait for its answers.
//!
//! Must not know: what the records are wanted for.
//!
//! An upstream that hangs or is down keeps nobody from the others: whoever works on the records there as well goes on without
//! it, as without one whose listing could not be read. One that answers, if slowly, is waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::clock::Clock;
use crate::rules::Binding;
use crate::upstream::{self, Client, End, Failure, FailureKind, Got, Site};

/// An upstream of which nothing was heard for so long is silent, unless its answers are known to take long.
const PATIENCE_MIN: Duration = Duration::from_millis(600);
/// The same of writes, which take longer than most of what is asked.
const PATIENCE_AT_WRITING: Duration = Duration::from_millis(1200);
/// However long they take.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// How often as long as usual is too long.
const TIMES_USUAL: u32 = 4;
/// Others do not wait any longer for one that answers, or whose budget has no room.
const WAITED_MAX: Duration = Duration::from_secs(10);

/// For how long answers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Up to the timeouts and attempts of the rules.
    ForAnswers,
    /// Not for an upstream that is silent while others could be served.
    NoLongerThanOthersNeed,
}

/// What came of asking.
pub struct Asked<T> {
    /// The answers, in the order in which they came.
    pub answers: Vec<(T, Option<Result<Got, Failure>>)>,
    /// Why the others are missing, where some are.
    pub silent: Option<String>,
}

/// Asks for records side by side. As soon as the upstream turns out to be down, or silent, none is waited for any more.
pub async fn ask<T: Send>(
    (client, rules): (&Arc<Client>, &Binding),
    items: Vec<T>,
    site: impl Fn(&T) -> Option<Site>,
    (wait, clock): (Wait, &dyn Clock),
) -> Asked<T> {
    let mut answers = Vec::with_capacity(items.len());
    let mut asked = upstream::get_each(client, rules, items, site);
    let mut silence = std::pin::pin!(silence(client, clock));
    loop {
        let next = tokio::select! {
            biased;
            next = asked.next() => next,
            words = &mut silence, if wait == Wait::NoLongerThanOthersNeed => {
                return Asked { answers, silent: Some(words) };
            }
        };
        let Some((item, answer)) = next else { return Asked { answers, silent: None } };
        if let Some(Err(failure)) = &answer
            && is_of_the_upstream(failure.kind)
        {
            return Asked { answers, silent: Some(failure.words.clone()) };
        }
        answers.push((item, answer));
    }
}

/// Whether no other record is to be had there either.
fn is_of_the_upstream(kind: FailureKind) -> bool {
    match kind {
        FailureKind::NotDone
        | FailureKind::Unknown
        | FailureKind::Auth
        | FailureKind::Unavailable
        | FailureKind::Fatal => true,
        FailureKind::Forbidden
        | FailureKind::Conflict
        | FailureKind::NotFound
        | FailureKind::Gone
        | FailureKind::Invalid
        | FailureKind::CursorExpired
        | FailureKind::BadAnswer
        | FailureKind::OtherRecord
        | FailureKind::TooLarge => false,
    }
}

/// Resolves when the upstream has been silent for too long, with how long that was, in words.
async fn silence(client: &Client, clock: &dyn Clock) -> String {
    let began = clock.monotonic();
    let (mut heard, _) = ended(client);
    loop {
        clock.sleep(patience(client)).await;
        let ((now, _), waited) = (ended(client), clock.monotonic().saturating_sub(began));
        let for_room = client.wait_for_room();
        let has_a_reason = !for_room.is_zero() && waited + for_room < WAITED_MAX;
        if waited >= WAITED_MAX || !(has_a_reason || now > heard) {
            return format!("no answer for {} ms; nobody else waits for it, and it is asked again", waited.as_millis());
        }
        heard = now;
    }
}

/// Does work that asks an upstream, unless that is silent while others wait; then why it was given up. As long as it answers, or
/// there is a reason why it is not asked yet, they wait; so it is where nobody ever waits.
pub fn unless_silent<T>(
    (client, clock): (&Client, &dyn Clock),
    do_others_wait: Option<impl Fn() -> bool>,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, String>> {
    let mut work = Box::pin(work);
    async move {
        let Some(do_others_wait) = do_others_wait else { return Ok(work.await) };
        let mut heard = ended(client).0;
        loop {
            let patience = patience(client);
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = clock.sleep(patience) => {}
            }
            let now = ended(client).0;
            if now == heard && do_others_wait() && !may_have_room_soon(client) {
                return Err(format!("no answer for {} ms; nobody else waits for it", patience.as_millis()));
            }
            heard = now;
        }
    }
}

/// Resolves when nothing was heard of an upstream that is written to for too long, with how long that was, in words.
pub async fn silent_at_writing(client: &Client, clock: &dyn Clock) -> String {
    let mut heard = ended(client).0;
    loop {
        let patience = patience(client).max(PATIENCE_AT_WRITING);
        clock.sleep(patience).await;
        let now = ended(client).0;
        if now == heard && !may_have_room_soon(client) {
            return format!(
                "no answer to a write for {} ms; nobody else waits for it, and it is looked for later",
                patience.as_millis()
            );
        }
        heard = now;
    }
}

/// For how long nothing is to be heard of an upstream that is not silent.
fn patience(client: &Client) -> Duration {
    (ended(client).1 * TIMES_USUAL).clamp(PATIENCE_MIN, PATIENCE_MAX)
}

/// Nothing may be asked there just now, and soon it may.
fn may_have_room_soon(client: &Client) -> bool {
    let for_room = client.wait_for_room();
    !for_room.is_zero() && for_room < WAITED_MAX
}

/// How many exchanges have ended there, and how long one that went well takes.
fn ended(client: &Client) -> (u64, Duration) {
    let totals = client.meter().totals();
    let count = End::ALL.iter().map(|end| totals.durations(*end).count()).sum();
    let well = totals.durations(End::Ok);
    let usual = u32::try_from(well.count()).ok().and_then(|count| well.sum().checked_div(count));
    (count, usual.unwrap_or_default())
}
