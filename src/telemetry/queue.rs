//! Owns: the bounded queue of log lines, and the thread that writes them where they go.
//!
//! Must not know: what a line says, which lines there are.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::entry::Entry;
use super::journal::Journal;

/// How many lines wait for a slow reader; more are dropped and counted.
const QUEUE_LINES_MAX: usize = 4096;
/// How long the end of the program waits for the last lines.
const FLUSH_WAIT: Duration = Duration::from_millis(500);

/// Keeps the log's thread; waits a moment for its last lines when dropped.
#[derive(Debug)]
pub struct Lines {
    queue: SyncSender<Line>,
}

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    Entry(Entry),
    Flush(SyncSender<()>),
}

/// Opens one; text goes to stderr, entries to the journal.
pub fn open(journal: Option<Journal>) -> Result<(Lines, Writer), String> {
    let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
    let writer = Writer { queue: queue.clone(), dropped: Arc::default() };
    let mut out = Out { journal, stderr: io::stderr(), is_told: false };
    let dropped = Arc::clone(&writer.dropped);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || out.write_lines(&lines, &dropped))
        .map_err(|error| format!("no thread for the log: {error}"))?;
    Ok((Lines { queue }, writer))
}

impl Drop for Lines {
    fn drop(&mut self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Line::Flush(done)).is_ok() {
            wait.recv_timeout(FLUSH_WAIT).ok();
        }
    }
}

/// Where lines end up.
struct Out<W> {
    journal: Option<Journal>,
    stderr: W,
    /// It was said that the journal cannot be reached.
    is_told: bool,
}

impl<W: Write> Out<W> {
    fn write_lines(&mut self, lines: &Receiver<Line>, dropped: &AtomicU64) {
        while let Ok(line) = lines.recv() {
            match line {
                Line::Text(text) => {
                    self.stderr.write_all(&text).ok();
                }
                Line::Entry(entry) => self.write_entry(&entry),
                Line::Flush(done) => {
                    done.send(()).ok();
                    continue;
                }
            }
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.write_lost(lost);
            }
        }
    }

    fn write_lost(&mut self, lost: u64) {
        if self.journal.is_some() {
            let message = format!("{lost} log lines were dropped: the journal did not take them fast enough");
            self.write_entry(&Entry { priority: 4, message, fields: Vec::new() });
        } else {
            writeln!(self.stderr, "{lost} log lines were dropped: stderr was not read fast enough").ok();
        }
    }

    /// What the journal does not take goes to stderr, with its priority as a service manager reads it there.
    fn write_entry(&mut self, entry: &Entry) {
        let Some(journal) = &self.journal else { return };
        let Err(error) = journal.send(&entry.encoded()) else {
            self.is_told = false;
            return;
        };
        if !self.is_told {
            let path = journal.path().display();
            writeln!(self.stderr, "<4>the journal at {path} cannot be reached: {error}; log lines go to stderr").ok();
            self.is_told = true;
        }
        // Each line of a text has its own priority.
        for line in entry.message.lines() {
            writeln!(self.stderr, "<{}>{line}", entry.priority).ok();
        }
    }
}

/// Puts lines into the queue.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Puts an entry for the journal.
    pub fn put(&self, entry: Entry) {
        self.line(Line::Entry(entry));
    }

    fn line(&self, line: Line) {
        match self.queue.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line(Line::Text(bytes.to_vec()));
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

    #[test]
    fn what_the_journal_does_not_take_goes_to_stderr_with_its_priority() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Some(Journal::open(folder.path().join("nobody")));
        let mut out = Out { journal, stderr: Vec::new(), is_told: false };
        let entry =
            |priority, message: &str| Line::Entry(Entry { priority, message: message.to_owned(), fields: Vec::new() });
        let (queue, lines) = sync_channel(8);
        for line in [entry(3, "one\ntwo"), entry(6, "three")] {
            queue.send(line).unwrap();
        }
        drop(queue);
        out.write_lines(&lines, &AtomicU64::new(7));
        let said = String::from_utf8(out.stderr).unwrap();
        let said: Vec<&str> = said.lines().collect();
        assert!(said[0].starts_with("<4>the journal at ") && said[0].ends_with("log lines go to stderr"), "{said:?}");
        assert!(said[3].starts_with("<4>7 log lines were dropped"), "{said:?}");
        assert_eq!((said[1], said[2], said[4], said.len()), ("<3>one", "<3>two", "<6>three", 5));
    }
}
