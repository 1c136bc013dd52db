//! Owns: the connections of the web listener, and their limits.
//!
//! Must not know: what is asked over them.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;

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
/// How long is waited where the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Binds the address.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `over` (or the future is dropped); then answers that are under way may end, and all connections do.
pub async fn accept(listener: TcpListener, router: Router, clock: Arc<dyn Clock>, over: impl Future<Output = ()>) {
    let (close, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::select! {
        biased;
        () = over => {}
        () = take(&listener, &router, &clock, &closed, &mut connections) => {}
    }
    drop((listener, close));
    let all_end = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_end => {}
        () = clock.sleep(CLOSING_MAX) => {}
    }
}

async fn take(
    listener: &TcpListener,
    router: &Router,
    clock: &Arc<dyn Clock>,
    closed: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Closed it is never.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, clock, closed) = (router.clone(), Arc::clone(clock), closed.clone());
                connections.spawn(async move {
                    serve(stream, router, clock.as_ref(), closed).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("no connection: {error}");
                clock.sleep(NO_ROOM).await;
            }
        }
    }
}

/// Serves one connection; whatever ends it is the other side's matter.
async fn serve(stream: TcpStream, router: Router, clock: &dyn Clock, mut closed: watch::Receiver<()>) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
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
