//! Owns: mounting a sandbox on a loopback socket, and doing on the wire what [`Deliver`] says.
//!
//! Must not know: why an answer travels as it does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::handle::Sandbox;
use super::reply::{Deliver, Outcome};
use super::wire::{CuttableListener, Switch};

/// The longest body of a request that is read.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// What tells a mounted sandbox the time.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// A mounted sandbox. Dropping it closes the port and every connection, at once.
pub struct Served {
    base_url: String,
    sandbox: Arc<Mutex<Sandbox>>,
    stop: CancellationToken,
    /// Holds the accepting task, so that it ends with the handle.
    _tasks: JoinSet<()>,
}

impl Served {
    /// `http://127.0.0.1:port`
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Looks at or changes the sandbox between requests.
    pub fn with_sandbox<R>(&self, look: impl FnOnce(&mut Sandbox) -> R) -> R {
        look(&mut self.sandbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Mounts a sandbox on `127.0.0.1`, on a port that the system chooses. Must be called within a runtime.
pub async fn serve(sandbox: Arc<Mutex<Sandbox>>, now: Now) -> io::Result<Served> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let router = Router::new().fallback(answer).with_state(Mounted { sandbox: sandbox.clone(), now });
    let service = router.into_make_service_with_connect_info::<Switch>();
    let listener = CuttableListener { listener, stop: stop.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // It ends when it is dropped and has no other way to.
        let _: io::Result<()> = axum::serve(listener, service).await;
    });
    Ok(Served { base_url, sandbox, stop, _tasks: tasks })
}

#[derive(Clone)]
struct Mounted {
    sandbox: Arc<Mutex<Sandbox>>,
    now: Now,
}

async fn answer(
    State(mounted): State<Mounted>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return refused;
    };
    let request = Request::from_parts(parts, bytes);
    let now = (mounted.now)();
    let Outcome { response, deliver } =
        mounted.sandbox.lock().unwrap_or_else(PoisonError::into_inner).handle(now, &request);
    let (mut head, bytes) = response.into_parts();
    let body = match deliver {
        Deliver::Now => Body::from(bytes),
        Deliver::Held(gate) => {
            gate.passed().await;
            Body::from(bytes)
        }
        Deliver::Lost => {
            switch.cut();
            Body::empty()
        }
        Deliver::Slow { delay_ms, bytes_per_chunk } => {
            pause(delay_ms).await;
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            slow(bytes, delay_ms, bytes_per_chunk)
        }
        Deliver::Truncated { after } => {
            let length = HeaderValue::from(bytes.len());
            head.headers.entry(header::CONTENT_LENGTH).or_insert(length);
            truncated(bytes.slice(..after.min(bytes.len())))
        }
    };
    Response::from_parts(head, body)
}

fn slow(bytes: Bytes, delay_ms: u64, bytes_per_chunk: usize) -> Body {
    let length = if bytes_per_chunk == 0 { bytes.len().max(1) } else { bytes_per_chunk };
    Body::from_stream(stream::unfold((bytes, true), move |(mut rest, first)| async move {
        if rest.is_empty() {
            return None;
        }
        if !first {
            pause(delay_ms).await;
        }
        let chunk = rest.split_to(length.min(rest.len()));
        Some((Ok::<_, io::Error>(chunk), (rest, false)))
    }))
}

/// The bytes, then an error, which makes the server close the connection.
fn truncated(bytes: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(Ok(bytes)), |next| async move {
        match next? {
            Ok(chunk) => Some((Ok(chunk), Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof))))),
            Err(error) => {
                // Lets what was written so far leave first.
                tokio::task::yield_now().await;
                Some((Err(error), None))
            }
        }
    }))
}

#[expect(clippy::disallowed_methods, reason = "a slow upstream is slow in real time; nothing of ours may be used here")]
async fn pause(delay_ms: u64) {
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
}
