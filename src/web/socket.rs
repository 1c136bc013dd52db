//! Owns: the control socket: a file beside the database that only its owner and its group may open.
//!
//! Must not know: what is asked over it.

use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{Method, StatusCode};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::clock::Clock;

use super::control::{Front, refuse};
use super::listener;
use super::peer::{Door, Peer, decide_access};
use super::reach::Reach;
use super::seldom::Seldom;

/// What the desk calls it.
const NAME: &str = "control socket";
/// How often it is looked whether its file is still there: what cleans folders up removes it.
const LOOK_EVERY: Duration = Duration::from_secs(10);
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

/// Listens there, as soon as that is possible.
pub async fn open(path: &Path, front: &Front) -> Option<UnixListener> {
    let without = "no control socket, `reconciled sync` and `pause` cannot ask this daemon";
    listener::until_open(NAME, without, front, || listen(path)).await
}

/// Listens; what an earlier process left there is replaced.
async fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let unusable = |reason| SocketError::Unusable { path: path.to_owned(), reason };
    let reach = Reach::of(path).map_err(unusable)?;
    match UnixStream::connect(reach.name()).await {
        Ok(_answers) => return Err(SocketError::InUse(path.to_owned())),
        // Nobody listens any more; or it never was a socket, and is somebody's.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            if !std::fs::symlink_metadata(path).map_err(unusable)?.file_type().is_socket() {
                return Err(unusable(std::io::Error::other("something that is no socket has this name")));
            }
            std::fs::remove_file(path).map_err(unusable)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    let listener = UnixListener::bind(reach.name()).map_err(unusable)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(unusable)?;
    Ok(listener)
}

/// Where it listens just now.
struct Listening {
    listener: UnixListener,
    /// The file that was made for it.
    made: Option<(u64, u64)>,
    owner: (u32, u32),
}

impl Listening {
    fn new(listener: UnixListener, path: &Path) -> Self {
        let owner = std::fs::metadata(path).map_or((u32::MAX, u32::MAX), |file| (file.uid(), file.gid()));
        Self { listener, made: which(path), owner }
    }
}

/// Serves until `over` over what `open` opens at this path, and opens it again where somebody has removed its file; then answers
/// that are under way may end. Whoever changes something is named in the log, and whoever may not ask at all is told so. An answer
/// may take as long as passes do, a question may not, and whoever does not take his answer is let go. At the end the socket's file
/// is gone.
pub async fn serve<F: Future<Output = Option<UnixListener>>>(
    (path, open): (&Path, impl Fn() -> F),
    router: Router,
    clock: Arc<dyn Clock>,
    over: impl Future<Output = ()>,
) {
    let Some(first) = open().await else { return };
    let listening = Mutex::new(Listening::new(first, path));
    let listening = || listening.lock().unwrap_or_else(PoisonError::into_inner);
    let refusals = Arc::<Mutex<Seldom>>::default();
    let serve = |stream: UnixStream, mut closed: watch::Receiver<()>| {
        let peer = Peer::of(&stream);
        let access = decide_access(peer, Door::at(path, listening().owner));
        let caller = Caller { peer, access, refusals: Arc::clone(&refusals), clock: Arc::clone(&clock) };
        let router = router.clone().layer(from_fn(move |request, next| caller.clone().asks(request, next)));
        let stream = listener::patient(stream, &clock);
        let connection = listener::limits().serve_connection(stream, TowerToHyperService::new(router));
        // Whatever ends it is the other side's matter.
        async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = closed.changed() => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await.unwrap_or(());
        }
    };
    let next = |cx: &mut Context<'_>| listening().listener.poll_accept(cx).map_ok(|(stream, _)| stream);
    let keep = async {
        loop {
            clock.sleep(LOOK_EVERY).await;
            if which(path) != listening().made {
                tracing::warn!("{} is not there any more, or is another one's: it is made anew", path.display());
                let Some(anew) = open().await else { return std::future::pending().await };
                *listening() = Listening::new(anew, path);
            }
        }
    };
    tokio::select! {
        biased;
        // First, so that a new listener is listened to in the same breath: the old one's waker knows nothing of it.
        () = keep => {}
        () = listener::take_until(over, next, serve, clock.as_ref()) => {}
    }
    // Nobody listens there any more. What somebody else has put there is his; what cannot be removed the next daemon replaces.
    let made = listening().made;
    if made.is_some() && which(path) == made {
        std::fs::remove_file(path).ok();
    }
}

/// Which file has this name.
fn which(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Who asks over a connection, and whether he may.
#[derive(Clone)]
struct Caller {
    peer: Option<Peer>,
    access: Result<(), String>,
    /// Of everybody: whoever may not ask can do so all day.
    refusals: Arc<Mutex<Seldom>>,
    clock: Arc<dyn Clock>,
}

impl Caller {
    async fn asks(self, request: Request, next: Next) -> Response {
        let (uid, pid) = self.peer.map_or((u32::MAX, 0), |peer| (peer.uid, peer.pid.unwrap_or(0)));
        if let Err(words) = &self.access {
            match self.refusals.lock().unwrap_or_else(PoisonError::into_inner).says(self.clock.monotonic()) {
                Some(0) => tracing::warn!("user {uid} (process {pid}) is refused: {words}"),
                Some(untold) => tracing::warn!(
                    "user {uid} (process {pid}) is refused: {words} ({untold} more were refused since the last such line)"
                ),
                None => tracing::debug!("user {uid} (process {pid}) is refused: {words}"),
            }
            return refuse(StatusCode::FORBIDDEN, words);
        }
        if request.method() != Method::GET {
            tracing::info!("user {uid} (process {pid}) asks: {}", request.uri().path());
        }
        next.run(request).await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use chrono::{DateTime, Utc};
    use futures_util::future::BoxFuture;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;
    use crate::clock::SystemClock;

    /// Time at which it is always about to be looked whether the socket is still there.
    struct Hurried(SystemClock);

    impl Clock for Hurried {
        fn now(&self) -> DateTime<Utc> {
            self.0.now()
        }

        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
            if duration == LOOK_EVERY { Box::pin(tokio::task::yield_now()) } else { self.0.sleep(duration) }
        }

        fn random(&self) -> u64 {
            self.0.random()
        }

        fn count(&self) -> u32 {
            self.0.count()
        }
    }

    /// A connection, as soon as somebody listens.
    async fn reached(path: &Path) -> UnixStream {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return stream,
                Err(_nobody_yet) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_socket_that_was_removed_is_made_anew_and_answers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let open = || async { listen(&path).await.ok() };
        let (stop, stopped) = oneshot::channel::<()>();
        let over = async { stopped.await.unwrap() };
        let router = Router::new().route("/", get(async || "here"));
        let asks = async {
            let ask = async |stream: &mut UnixStream| {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"here") {
                    assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{answer:?}");
                }
                assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{answer:?}");
            };
            let mut before = reached(&path).await;
            ask(&mut before).await;
            std::fs::remove_file(&path).unwrap();
            ask(&mut reached(&path).await).await;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
            ask(&mut before).await;
            stop.send(()).unwrap();
        };
        tokio::join!(serve((&path, open), router, Arc::new(Hurried(SystemClock::new())), over), asks);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn f07_nothing_is_left_of_its_connections_when_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let open = || async { listen(&path).await.ok() };
        let held = Arc::new(());
        let holds = |held: &Arc<()>| {
            let held = Arc::clone(held);
            move || async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        };
        let router = Router::new().route("/", get(holds(&held)));
        let (stop, stopped) = oneshot::channel::<()>();
        let over = async { stopped.await.unwrap() };
        let asks = async {
            // One asks and is not answered, one says nothing.
            let (mut asks, mut silent) = (reached(&path).await, reached(&path).await);
            asks.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            while Arc::strong_count(&held) < 4 {
                tokio::task::yield_now().await;
            }
            stop.send(()).unwrap();
            let (mut answer, mut nothing) = (Vec::new(), Vec::new());
            asks.read_to_end(&mut answer).await.ok();
            silent.read_to_end(&mut nothing).await.ok();
            (answer, nothing)
        };
        let clock = Arc::new(SystemClock::new());
        let ((), (answer, nothing)) = tokio::join!(serve((&path, open), router, clock, over), asks);
        assert!(answer.is_empty() && nothing.is_empty());
        assert_eq!(Arc::strong_count(&held), 1);
    }

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
        let file = folder.path().join("file");
        std::fs::write(&file, "somebody's").unwrap();
        assert!(matches!(listen(&file).await, Err(SocketError::Unusable { .. })));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "somebody's");
        let nowhere = folder.path().join("no").join("folder.sock");
        assert!(matches!(listen(&nowhere).await, Err(SocketError::Unusable { .. })));
    }
}
