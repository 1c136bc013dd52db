//! Owns: what the service manager is told, by `sd_notify(3)`: ready, reloading, stopping, alive, and what goes on.
//!
//! Must not know: why.

use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
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

    /// Who feeds the watchdog where there is one.
    pub fn feeder(&self) -> Feeder {
        Feeder { watchdog: self.watchdog }
    }

    /// What the daemon does, for `systemctl status`; told once.
    pub fn status(&mut self, text: String) {
        if self.listens && text != self.status {
            self.tell(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.listens {
            tell(states);
        }
    }
}

/// Feeds the watchdog of the service manager.
#[derive(Clone, Copy, Debug)]
pub struct Feeder {
    watchdog: Option<Duration>,
}

impl Feeder {
    /// The loop goes round.
    pub fn feed(self) {
        if self.watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// How often it has to be fed: one beat may be late, and one lost.
    pub fn every(self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 3)
    }
}

fn tell(states: &[NotifyState<'_>]) {
    let socket = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let told = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => tell_by_name(name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = told {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

/// Where the manager listens under a name that is no file (abstract, unix(7)), as managers of containers do: the library knows
/// files only.
fn tell_by_name(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
    let mut text = String::new();
    for state in states {
        writeln!(text, "{state}").map_err(io::Error::other)?;
    }
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.send(text.as_bytes()).map(drop)
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

    #[test]
    fn a_manager_without_a_file_is_told_by_its_name() {
        let name = format!("reconciled-test-{}-{:?}", std::process::id(), std::thread::current().id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tell_by_name(name.as_bytes(), &[NotifyState::Ready, NotifyState::Status("idle")]).unwrap();
        let mut buffer = [0; 64];
        let bytes = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], b"READY=1\nSTATUS=idle\n");
        drop(manager);
        assert!(tell_by_name(name.as_bytes(), &[NotifyState::Ready]).is_err());
    }
}
