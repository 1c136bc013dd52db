//! Owns: the listeners that the service manager opened for this process, by the protocol of `sd_listen_fds(3)`.
//!
//! Must not know: what is served over them.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

/// Sockets that are taken, at most.
const SOCKETS_MAX: usize = 64;
/// The first one, by the protocol.
const FIRST: usize = 3;
/// What a socket is called that the manager gives no name.
const NAMELESS: &str = "unknown";

/// What came with the process, by the names of its sockets (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub struct Passed {
    /// `web`: for pages, API and metrics.
    pub web: Vec<TcpListener>,
    /// `webhooks`: for webhooks.
    pub webhooks: Vec<TcpListener>,
    /// Those that cannot be used, each with the reason, for people.
    pub refused: Vec<String>,
}

impl Passed {
    /// Takes what is for this process. It changes the environment, so that nothing inherits the sockets: to be called while
    /// no other thread runs.
    pub fn take() -> Self {
        // The library also takes sockets that are meant for no process in particular; the protocol does not.
        let is_ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
        let count = std::env::var("LISTEN_FDS").ok();
        match count.as_ref().map(|count| count.parse::<usize>()) {
            Some(Ok(1..=SOCKETS_MAX)) if is_ours => {}
            None | Some(Ok(0)) => return Self::default(),
            Some(_) if !is_ours => return Self::default(),
            Some(_) => {
                let words = format!("LISTEN_FDS={}: not 1 to {SOCKETS_MAX}; none is used", count.unwrap_or_default());
                return Self { refused: vec![words], ..Self::default() };
            }
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self::sort(ListenFd::from_env(), &names)
    }

    fn sort(mut sockets: ListenFd, names: &str) -> Self {
        let mut passed = Self::default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        for at in 0..sockets.len() {
            let name = names.next().unwrap_or(NAMELESS);
            // One of an unknown name is taken as well: it ends here.
            let listener = listener(&mut sockets, at);
            let shown = format!("socket {} of the service manager, `{name}`", FIRST + at);
            match (name, listener) {
                ("web", Ok(listener)) => passed.web.push(listener),
                ("webhooks", Ok(listener)) => passed.webhooks.push(listener),
                ("web" | "webhooks", Err(reason)) => passed.refused.push(format!("{shown}: {reason}")),
                _ => passed.refused.push(format!(
                    "{shown}: nothing is served there; write FileDescriptorName=web or FileDescriptorName=webhooks in its unit"
                )),
            }
        }
        passed
    }
}

fn listener(sockets: &mut ListenFd, at: usize) -> io::Result<TcpListener> {
    let listener = sockets.take_tcp_listener(at)?.ok_or(io::ErrorKind::NotFound)?;
    if !rustix::net::sockopt::socket_acceptconn(&listener)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a connection; write Accept=no in its unit"));
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}
