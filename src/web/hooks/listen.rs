//! Owns: the address that webhooks come to: how many connections, and how long each may take.
//!
//! Must not know: what is asked over them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::web::Place;

/// Connections at once, at most; more wait.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to come, from when it is connected or from the last answer on.
const REQUEST_MAX: Duration = Duration::from_mins(1);
/// How long nothing is accepted after accepting failed (no file is left to open).
const REST: Duration = Duration::from_secs(1);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ListenError {
    /// Where, for people.
    pub place: String,
    /// Why.
    pub reason: io::Error,
}

/// Listens.
pub async fn listen(place: Place, clock: Arc<dyn Clock>) -> Result<Door, ListenError> {
    let shown = place.to_string();
    let listener = place.listen().await.map_err(|reason| ListenError { place: shown, reason })?;
    Ok(Door { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), clock, request_max: REQUEST_MAX })
}

/// Serves until the future is dropped.
pub async fn serve(door: Door, router: Router) -> io::Result<()> {
    axum::serve(door, router).await
}

/// A listener that lets in so many at once, and nobody for ever.
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    request_max: Duration,
}

impl Door {
    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            // It is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        let place = self.place().await;
        loop {
            match TcpListener::accept(&self.listener).await {
                Ok((stream, peer)) => {
                    let guest = Guest::new(stream, Arc::clone(&self.clock), self.request_max, place);
                    return (guest, peer);
                }
                Err(error) => {
                    tracing::debug!("no connection: {error}");
                    self.clock.sleep(REST).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that breaks when a request takes too long to come.
pub struct Guest {
    stream: TcpStream,
    clock: Arc<dyn Clock>,
    request_max: Duration,
    timer: BoxFuture<'static, ()>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    fn new(stream: TcpStream, clock: Arc<dyn Clock>, request_max: Duration, place: OwnedSemaphorePermit) -> Self {
        let timer = timer(&clock, request_max);
        Self { stream, clock, request_max, timer, _place: place }
    }

    /// Fails where the time is over; else somebody is woken when it is.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.timer = timer(&self.clock, Duration::ZERO);
                Err(io::ErrorKind::TimedOut.into())
            }
            Poll::Pending => Ok(()),
        }
    }
}

fn timer(clock: &Arc<dyn Clock>, after: Duration) -> BoxFuture<'static, ()> {
    let clock = Arc::clone(clock);
    Box::pin(async move { clock.sleep(after).await })
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if polled.is_ready() {
            // An answer: the next request has its own time. What is not taken is no answer.
            self.timer = timer(&self.clock, self.request_max);
        } else {
            self.check(cx)?;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn f53_who_never_ends_a_request_is_let_go_and_his_place_is_free_again() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut door = listen(Place::Address(SocketAddr::from(([127, 0, 0, 1], 0))), clock).await.unwrap();
        door.request_max = Duration::from_millis(200);
        door.places = Arc::new(Semaphore::new(1));
        let address = door.address().unwrap();
        let router = Router::new().route("/", axum::routing::get(async || "hello"));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(door, router));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        let mut nothing = Vec::new();
        let _reset_or_closed = slow.read_to_end(&mut nothing).await;
        assert!(!String::from_utf8_lossy(&nothing).contains("200"), "it got no answer");
    }
}
