//! Owns: using the vault from tasks: on threads that may wait, by one process at a time.
//!
//! Must not know: what is kept there.

use std::sync::Arc;
use std::time::Duration;

use super::{Failure, FailureKind};
use crate::clock::Clock;
use crate::vault::{Guard, Vault, VaultError};

/// For so long another process that renews is waited for: longer than one that lives takes.
pub(super) const LOCK_MAX: Duration = Duration::from_mins(3);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Waits for its turn among processes. A thread that waited would hold up the end of this one.
pub(super) async fn lock(vault: &Arc<Vault>, name: &str, clock: &dyn Clock) -> Result<Guard, Failure> {
    let until = clock.monotonic() + LOCK_MAX;
    loop {
        let (held, owned) = (Arc::clone(vault), name.to_owned());
        if let Some(guard) = blocking(move || held.try_lock(&owned)).await? {
            return Ok(guard);
        }
        if clock.monotonic() >= until {
            let path = vault.lock_path(name);
            let words = format!(
                "{name}: another process has been renewing the token for {} minutes (it holds {})",
                LOCK_MAX.as_secs() / 60,
                path.display()
            );
            return Err(Failure::new(FailureKind::NotDone, words));
        }
        clock.sleep(LOCK_POLL).await;
    }
}

/// The vault's file is used on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Failure::new(FailureKind::Fatal, error.to_string())),
        Err(error) => Err(Failure::new(FailureKind::Fatal, format!("the vault could not be used: {error}"))),
    }
}
