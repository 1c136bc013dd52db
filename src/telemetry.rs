//! Owns: where log lines go: stderr, as text for people or as JSON, through a bounded queue that a stuck pipe cannot block.
//!
//! Must not know: who logs what, settings files.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines wait for a slow stderr; more are dropped and counted.
const QUEUE_LINES_MAX: usize = 4096;
/// How long the end of the program waits for the last lines.
const FLUSH_WAIT: Duration = Duration::from_millis(500);

/// How to log.
#[derive(Clone, Debug)]
pub struct Options {
    /// `off` … `trace`, or the directives of `RECONCILED_LOG` (`info,reconciled::upstream=debug`).
    pub filter: String,
    /// One JSON object per line.
    pub json: bool,
    /// Colour.
    pub color: bool,
}

/// Keeps the log's thread; waits a moment for its last lines when dropped.
#[derive(Debug)]
pub struct Guard {
    queue: SyncSender<Line>,
}

enum Line {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(options: &Options) -> Result<Guard, String> {
    let filter = EnvFilter::builder().parse(&options.filter).map_err(|error| {
        format!("cannot be read as log levels: {error}; write like `info,reconciled::upstream=debug`")
    })?;
    let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer { queue: queue.clone(), dropped: Arc::clone(&dropped) };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&lines, &dropped))
        .map_err(|error| format!("no thread for the log: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    // The only failure is that a subscriber is there already.
    if options.json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init().ok();
    } else {
        builder.with_ansi(options.color).try_init().ok();
    }
    Ok(Guard { queue })
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Line::Flush(done)).is_ok() {
            wait.recv_timeout(FLUSH_WAIT).ok();
        }
    }
}

fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(line) = lines.recv() {
        match line {
            Line::Text(text) => {
                stderr.write_all(&text).ok();
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    writeln!(stderr, "{lost} log lines were dropped: stderr was not read fast enough").ok();
                }
            }
            Line::Flush(done) => {
                done.send(()).ok();
            }
        }
    }
}

#[derive(Clone)]
struct Writer {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Line::Text(bytes.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f60_a_log_that_nobody_reads_drops_lines_and_never_blocks() {
        let (queue, lines) = sync_channel(2);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { queue, dropped: Arc::clone(&dropped) };
        for _ in 0..5 {
            writer.write_all(b"line\n").unwrap();
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        drop(lines);
        writer.write_all(b"line\n").unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
    }
}
