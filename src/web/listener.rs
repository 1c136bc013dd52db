//! Owns: connections and their limits: how many at a time, how long each may take to say what it wants.
//!
//! Must not know: what is asked over them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;

use super::control::Front;
use super::patient::Patient;
use super::proxy::Peer;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take, the wait for it on an open connection included.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// Lines of a head.
const HEADERS_MAX: usize = 64;
/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// After this a connection takes no further request; what is under way may take [`LAST_MAX`].
const CONNECTION_MAX: Duration = Duration::from_mins(2);
const LAST_MAX: Duration = Duration::from_mins(1);
/// How long answers may take that are under way at the end.
const CLOSING_MAX: Duration = Duration::from_secs(1);
/// How long an answer may wait to be taken.
const TAKEN_MAX: Duration = Duration::from_secs(30);
/// How long until an address that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long is waited where the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Where a listener comes from.
#[derive(Debug)]
pub enum Place {
    /// It is bound to this address.
    Address(SocketAddr),
    /// The service manager has bound it, and listens.
    Passed(std::net::TcpListener),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Passed(_) => f.write_str("a socket of the service manager"),
        }
    }
}

impl Place {
    async fn listen(&self) -> std::io::Result<(TcpListener, SocketAddr)> {
        let listener = match self {
            Self::Address(address) => TcpListener::bind(address).await?,
            Self::Passed(listener) => TcpListener::from_std(listener.try_clone()?)?,
        };
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

/// Listens there; with the address that it came to be.
pub async fn open(
    place: Place,
    setting: &'static str,
    without: &str,
    front: &Front,
) -> Option<(TcpListener, SocketAddr)> {
    let without = format!("{without}: {place} (`{setting}`)");
    let place = &place;
    until_open(setting, &without, front, move || place.listen()).await
}

/// Listens. What stands in the way, such as another program at that address, is said once and shown by the desk, which calls it
/// `name`; it is tried again until it works, or the loop is over.
pub async fn until_open<T, E: fmt::Display, F: Future<Output = Result<T, E>>>(
    name: &'static str,
    without: &str,
    front: &Front,
    listen: impl Fn() -> F,
) -> Option<T> {
    let mut fails = false;
    loop {
        match listen().await {
            Ok(bound) => {
                front.desk.serves(name, None);
                return Some(bound);
            }
            Err(error) => {
                if !fails {
                    let words = format!("{without}: {error}");
                    tracing::error!("{words}; it is tried again every {} s", AGAIN.as_secs());
                    front.desk.serves(name, Some(words));
                }
                fails = true;
            }
        }
        tokio::select! {
            biased;
            () = front.desk.over() => return None,
            () = front.clock.sleep(AGAIN) => {}
        }
    }
}

/// Serves until `over` (or the future is dropped); then answers that are under way may end, and all connections do.
pub async fn accept(listener: TcpListener, router: Router, clock: Arc<dyn Clock>, over: impl Future<Output = ()>) {
    let serve = |stream, closed| {
        let (router, clock) = (router.clone(), Arc::clone(&clock));
        async move { serve(stream, router, &clock, closed).await }
    };
    let next = |cx: &mut Context<'_>| listener.poll_accept(cx).map_ok(|(stream, _)| stream);
    take_until(over, next, serve, clock.as_ref()).await;
}

/// Takes connections until `over`. Then each is told so by its receiver (which says nothing; that it is gone does), answers that
/// are under way may end, and nothing is left of any connection when this returns.
pub async fn take_until<S, F>(
    over: impl Future<Output = ()>,
    accept: impl Fn(&mut Context<'_>) -> Poll<std::io::Result<S>>,
    serve: impl Fn(S, watch::Receiver<()>) -> F,
    clock: &dyn Clock,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (close, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::select! {
        biased;
        () = over => {}
        () = take(accept, |stream| serve(stream, closed.clone()), clock, &mut connections) => {}
    }
    drop(close);
    let all_end = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_end => {}
        () = clock.sleep(CLOSING_MAX) => {}
    }
    // What they hold (the database, above all) is let go of before anybody goes on.
    connections.shutdown().await;
}

/// Takes connections, so many at a time, until the future is dropped.
async fn take<S, F>(
    accept: impl Fn(&mut Context<'_>) -> Poll<std::io::Result<S>>,
    serve: impl Fn(S) -> F,
    clock: &dyn Clock,
    connections: &mut JoinSet<()>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut fails = false;
    loop {
        // Closed it is never.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match poll_fn(&accept).await {
            Ok(stream) => {
                let served = serve(stream);
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
                fails = false;
            }
            Err(error) => {
                if !fails {
                    tracing::warn!("no connection can be taken: {error}; it is tried again every second");
                }
                fails = true;
                clock.sleep(NO_ROOM).await;
            }
        }
    }
}

/// What a request may be, at most.
pub fn limits() -> http1::Builder {
    let mut limits = http1::Builder::new();
    limits.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    limits
}

/// A connection that breaks where nobody takes its answers.
pub fn patient<S>(stream: S, clock: &Arc<dyn Clock>) -> TokioIo<Patient<S>> {
    TokioIo::new(Patient::new(stream, Arc::clone(clock), TAKEN_MAX))
}

/// A whole body; else why not: 413 for one that is longer than `most` bytes or breaks off (at once where it says so itself), 408
/// for one that takes longer than `within`.
pub async fn whole(body: Body, most: usize, within: Duration, clock: &dyn Clock) -> Result<Bytes, StatusCode> {
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    tokio::select! {
        body = to_bytes(body, most) => body.map_err(|_too_long_or_broken| StatusCode::PAYLOAD_TOO_LARGE),
        () = clock.sleep(within) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Serves one connection; whatever ends it is the other side's matter.
async fn serve(stream: TcpStream, router: Router, clock: &Arc<dyn Clock>, mut closed: watch::Receiver<()>) {
    let (peer, router) = (stream.peer_addr().ok().map(Peer), TowerToHyperService::new(router));
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.call(request)
    });
    let connection = limits().serve_connection(patient(stream, clock), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = clock.sleep(CONNECTION_MAX) => {}
        // It says nothing; that it is gone does.
        _ = closed.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = clock.sleep(LAST_MAX) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;

    use futures_util::stream;

    use axum::body::HttpBody;
    use hyper::body::{Frame, SizeHint};

    use super::*;
    use crate::clock::SystemClock;

    /// A body that says how long it is, and does not come.
    struct Declared(u64);

    impl HttpBody for Declared {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test]
    async fn f53_a_body_that_is_too_long_breaks_off_or_does_not_come_is_not_waited_for() {
        let clock = SystemClock::new();
        let takes = |body: Body, within| whole(body, 5, within, &clock);
        let (long, short) = (Duration::from_hours(1), Duration::from_millis(20));
        assert_eq!(takes(Body::from("hello"), long).await, Ok(Bytes::from("hello")));
        assert_eq!(takes(Body::from("hello!"), long).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let breaks = Body::from_stream(stream::iter([Ok("he"), Err(io::Error::other("broken"))]));
        assert_eq!(takes(breaks, long).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(takes(Body::new(Declared(6)), long).await, Err(StatusCode::PAYLOAD_TOO_LARGE), "nothing of it came");
        assert_eq!(takes(Body::new(Declared(5)), short).await, Err(StatusCode::REQUEST_TIMEOUT));
        let never = Body::from_stream(stream::pending::<io::Result<&str>>());
        assert_eq!(takes(never, short).await, Err(StatusCode::REQUEST_TIMEOUT));
    }
}
