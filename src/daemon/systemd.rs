//! Owns: what the service manager is told, by `sd_notify(3)`: ready, reloading, stopping, alive, and what goes on.
//!
//! Must not know: why.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, where one listens (`NOTIFY_SOCKET`); what it cannot be told is lost without harm.
#[derive(Debug)]
pub struct Manager {
    listens: bool,
    /// How long it may hear nothing of the loop, where it watches that.
    watchdog: Option<Duration>,
    /// What it was told last.
    status: String,
}

impl Manager {
    /// The one of this process's environment; nobody, where the process is no service.
    pub fn of_environment(is_service: bool) -> Self {
        let listens = is_service && std::env::var_os("NOTIFY_SOCKET").is_some();
        let watchdog = if listens { sd_notify::watchdog_enabled() } else { None };
        Self { listens, watchdog, status: String::new() }
    }

    /// The daemon is up, or has done with a reload.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// Rules are being read anew; [`Manager::ready`] follows.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!("the service manager hears of no reload: {error}"),
        }
    }

    /// The daemon stops, and may take so long.
    pub fn stopping(&self, up_to: Duration) {
        self.tell(&[NotifyState::Stopping, NotifyState::Custom(&extended(up_to))]);
    }

    /// What it waits for takes so long from now on, at most.
    pub fn wait(&self, up_to: Duration) {
        self.tell(&[NotifyState::Custom(&extended(up_to))]);
    }

    /// The loop goes round: feeds the watchdog where there is one.
    pub fn beat(&self) {
        if self.watchdog.is_some() {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// How often the loop has to go round: one beat may be late, and one lost.
    pub fn feeds_every(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 3)
    }

    /// What the daemon does, for `systemctl status`; told once.
    pub fn status(&mut self, text: String) {
        if self.listens && text != self.status {
            self.tell(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.listens
            && let Err(error) = sd_notify::notify(states)
        {
            tracing::debug!("the service manager cannot be told: {error}");
        }
    }
}

/// The library would clip it to 71 minutes; the protocol takes 64 bits.
fn extended(by: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", u64::try_from(by.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_may_take_longer_than_32_bits_of_microseconds() {
        assert_eq!(extended(Duration::from_hours(3)), "EXTEND_TIMEOUT_USEC=10800000000");
        assert_eq!(extended(Duration::MAX), format!("EXTEND_TIMEOUT_USEC={}", u64::MAX));
    }
}
