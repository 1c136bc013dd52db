//! Owns: hearing of the signals that end a command, so that it can clean up behind itself.
//!
//! Must not know: what is cleaned up; the daemon's own way of stopping.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, heard from now on.
pub struct Stop {
    int: Option<Signal>,
    term: Option<Signal>,
}

impl Stop {
    /// Begins to listen. Where a signal cannot be listened to, it keeps its default effect.
    pub fn listen() -> Self {
        let listen = |kind| signal(kind).ok();
        Self { int: listen(SignalKind::interrupt()), term: listen(SignalKind::terminate()) }
    }

    /// Waits for one of them.
    pub async fn asked(&mut self) {
        let Self { int, term } = self;
        tokio::select! {
            () = hear(int) => {}
            () = hear(term) => {}
        }
    }
}

async fn hear(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
