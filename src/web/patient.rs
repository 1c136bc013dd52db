//! Owns: a connection that breaks when the other side does not take what it is told.
//!
//! Must not know: what it is told.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// A connection that is patient for so long.
pub struct Patient<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    taken_max: Duration,
    /// Since nothing more could be written.
    timer: Option<BoxFuture<'static, ()>>,
}

impl<S> Patient<S> {
    /// It breaks when nothing could be written for so long that is to be written.
    pub fn new(stream: S, clock: Arc<dyn Clock>, taken_max: Duration) -> Self {
        Self { stream, clock, taken_max, timer: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if polled.is_ready() {
            this.timer = None;
            return polled;
        }
        let timer = this.timer.get_or_insert_with(|| {
            let (clock, after) = (Arc::clone(&this.clock), this.taken_max);
            Box::pin(async move { clock.sleep(after).await })
        });
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
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
    use tokio::net::UnixStream;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn f59_who_does_not_take_his_answer_is_let_go_and_who_takes_it_slowly_is_not() {
        let (stream, mut other) = UnixStream::pair().unwrap();
        let mut patient = Patient::new(stream, Arc::new(SystemClock::new()), Duration::from_millis(300));
        let much = vec![7; 16 << 20];
        let mut taken = 0;
        tokio::join!(async { patient.write_all(&much).await.unwrap() }, async {
            let mut some = vec![0; 1 << 20];
            while taken < much.len() {
                taken += other.read(&mut some).await.unwrap();
            }
        });
        let refused = patient.write_all(&much).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
