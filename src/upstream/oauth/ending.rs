//! Owns: work that has to come to its end although nobody waits for it any more.
//!
//! Must not know: what the work is.
//!
//! An authorization server that has taken a refresh token gives the next one in its answer, and nowhere else. Passes are
//! dropped where they stand (a signal, a page that failed); a renewal must not be dropped with them.

use std::sync::LazyLock;

use tokio::sync::watch;

use crate::upstream::{Failure, FailureKind};

/// How much of such work is under way in this process.
static UNDER_WAY: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Counts for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        UNDER_WAY.send_modify(|count| *count += 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.send_modify(|count| *count -= 1);
    }
}

/// Does the work, to its end also where this future is dropped.
#[expect(clippy::disallowed_methods, reason = "a process waits for its end: `are_over`")]
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let counted = Counted::new();
    let task = tokio::spawn(async move {
        let _counted = counted;
        work.await
    });
    match task.await {
        Ok(done) => done,
        Err(error) => Err(Failure::new(FailureKind::Fatal, format!("the tokens could not be seen to: {error}"))),
    }
}

/// Waits until no such work is under way.
pub async fn are_over() {
    let mut told = UNDER_WAY.subscribe();
    // Its sender lives as long as the process.
    while *told.borrow_and_update() > 0 && told.changed().await.is_ok() {}
}
