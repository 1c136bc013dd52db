//! Owns: the control socket: a file beside the database that only its owner and its group may open.
//!
//! Must not know: what is asked over it.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Context;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::Method;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::clock::Clock;

use super::listener;

/// Owner and group; nobody else.
const MODE: u32 = 0o660;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something answers there.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It cannot be made.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    uid: Option<u32>,
    pid: Option<i32>,
}

impl Peer {
    fn of(stream: &UnixStream) -> Self {
        let known = stream.peer_cred().ok();
        Self { uid: known.map(|peer| peer.uid()), pid: known.and_then(|peer| peer.pid()) }
    }
}

/// Listens; what an earlier process left there is replaced.
pub async fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let unusable = |reason| SocketError::Unusable { path: path.to_owned(), reason };
    match UnixStream::connect(path).await {
        Ok(_answers) => return Err(SocketError::InUse(path.to_owned())),
        // Nobody listens any more.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(unusable)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    let listener = UnixListener::bind(path).map_err(unusable)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(unusable)?;
    Ok(listener)
}

/// Serves until the future is dropped. Whoever changes something is named in the log. An answer may take as long as passes do,
/// a question may not, and whoever does not take his answer is let go.
pub async fn serve(listener: UnixListener, router: Router, clock: Arc<dyn Clock>) {
    let serve = |stream: UnixStream| {
        let peer = Peer::of(&stream);
        let router = router.clone().layer(from_fn(move |request, next| named(peer, request, next)));
        let stream = listener::patient(stream, &clock);
        let connection = listener::limits().serve_connection(stream, TowerToHyperService::new(router));
        // Whatever ends it is the other side's matter.
        async move { connection.await.unwrap_or(()) }
    };
    let next = |cx: &mut Context<'_>| listener.poll_accept(cx).map_ok(|(stream, _)| stream);
    listener::take(next, serve, clock.as_ref(), &mut JoinSet::new()).await;
}

async fn named(peer: Peer, request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        let (uid, pid) = (peer.uid.unwrap_or(u32::MAX), peer.pid.unwrap_or(0));
        tracing::info!("user {uid} (process {pid}) asks: {}", request.uri().path());
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_a_living_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let first = listen(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(listen(&path).await, Err(SocketError::InUse(_))));
        drop(first);
        assert!(path.exists());
        listen(&path).await.unwrap();
        let nowhere = folder.path().join("no").join("folder.sock");
        assert!(matches!(listen(&nowhere).await, Err(SocketError::Unusable { .. })));
    }
}
