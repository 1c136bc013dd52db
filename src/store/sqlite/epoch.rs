//! Owns: noticing that a database is not the one that was worked on last: an epoch and a sequence in it, mirrored in a
//! small file beside it.
//!
//! Must not know: what follows from it.
//!
//! The sequence counts the commits that an upstream may know of: every one but relaxed ones. The file is written after the
//! commit and never synced for it, so that it lags behind at worst, after a crash or a power failure. A database whose
//! sequence is *behind* its file has lost commits: it is an old backup, or was copied without its log. The file knows the
//! database's inode, too: where folder and file were copied or restored together, that is another one.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::store::{Micros, Restored, StoreError};

use super::fault::{Place, of_io};
use super::file::sync_folder;
use super::lock::beside;

/// The file is padded to this, so that every write replaces it whole, in one sector.
const FILE_BYTES: usize = 192;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mirrored {
    /// There is none, or nothing in it.
    Missing,
    /// Something else than what is written here.
    Unreadable,
    /// Who looks may not read it; who writes cannot get here.
    Hidden,
    Says {
        epoch: String,
        sequence: i64,
        inode: u64,
    },
}

/// What database and file say together.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Neither says anything yet.
    Begin,
    Same,
    /// Why it is not the one that was worked on last.
    Other(String),
}

/// Pure: whether this is the database that was worked on last. `own` is what the database says.
fn judge(file: &Mirrored, own: Option<&(String, i64)>, inode: u64) -> Verdict {
    let other = |reason: String| Verdict::Other(reason);
    match (file, own) {
        // A sequence of 0 was written before the database's own first word, which a crash kept from being said.
        (Mirrored::Missing | Mirrored::Says { sequence: 0, .. }, None) => Verdict::Begin,
        (Mirrored::Missing, Some(_)) => {
            other("its file .epoch is missing: it was copied or moved without it".to_owned())
        }
        (Mirrored::Hidden, _) => Verdict::Same,
        (Mirrored::Unreadable, _) => other("its file .epoch cannot be read".to_owned()),
        (Mirrored::Says { .. }, None) => other(
            "its file .epoch tells of an earlier one: it was emptied, or restored from before that file".to_owned(),
        ),
        (Mirrored::Says { epoch, sequence, inode: was }, Some((own_epoch, own_sequence))) => {
            let lost = sequence.saturating_sub(*own_sequence);
            if epoch != own_epoch {
                other("its file .epoch is of another one".to_owned())
            } else if lost > 0 {
                other(format!(
                    "it lacks the last {lost} commits that were made to it: an old backup was restored, or it was copied \
                     without its -wal file"
                ))
            } else if *was != inode {
                other("it is a copy: it was restored or copied together with its file .epoch".to_owned())
            } else {
                Verdict::Same
            }
        }
    }
}

/// The file, kept open by the one that writes.
#[derive(Debug)]
pub(super) struct Mirror {
    file: File,
    path: PathBuf,
    epoch: String,
    inode: u64,
    told: bool,
}

impl Mirror {
    /// Says how far the database is. A failure is told once: what is noticed later is less exact, nothing else.
    pub(super) fn set(&mut self, sequence: i64) {
        let Err(error) = self.write(sequence) else { return };
        if !self.told {
            self.told = true;
            tracing::warn!(
                "{}: {error}; until it can be written again, a restored database may go unnoticed",
                self.path.display()
            );
        }
    }

    fn write(&self, sequence: i64) -> std::io::Result<()> {
        self.file.write_all_at(&text(&self.epoch, sequence, self.inode), 0)
    }

    /// Says it durably.
    fn settle(&self, sequence: i64) -> Result<(), StoreError> {
        self.write(sequence)
            .and_then(|()| self.file.set_len(FILE_BYTES as u64))
            .and_then(|()| self.file.sync_all())
            .map_err(|error| of_io(&self.path, &error))?;
        sync_folder(&self.path)
    }
}

/// Compares a database with its file before anything is done with it, and keeps the outcome in both. What is not the same as
/// before gets an epoch of its own.
pub(super) fn keep(conn: &mut Connection, place: &Place, database: &Path, now: Micros) -> Result<Mirror, StoreError> {
    let path = beside(database, ".epoch");
    let inode = inode(database)?;
    let explain = |error: rusqlite::Error| place.explain(error.into());
    // Nobody commits while this is compared, so that the file cannot be ahead for a moment.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    let own = own(&tx).map_err(explain)?;
    let file = read(&path);
    let verdict = judge(&file, own.as_ref(), inode);
    let opened = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let handle = opened.map_err(|error| of_io(&path, &error))?;
    let mirror = |epoch: String| Mirror { file: handle, path: path.clone(), epoch, inode, told: false };
    match (verdict, own) {
        (Verdict::Same, Some((epoch, sequence))) => {
            tx.rollback().map_err(explain)?;
            let mut mirror = mirror(epoch);
            mirror.set(sequence);
            Ok(mirror)
        }
        (Verdict::Begin | Verdict::Same, _) => {
            let mirror = mirror(uuid::Uuid::new_v4().to_string());
            // First the file: a database that knows an epoch and has no file would look like a copy.
            mirror.settle(0)?;
            record(&tx, &mirror.epoch, None).map_err(explain)?;
            tx.commit().map_err(explain)?;
            mirror.settle(1)?;
            Ok(mirror)
        }
        (Verdict::Other(reason), _) => {
            let mirror = mirror(uuid::Uuid::new_v4().to_string());
            record(&tx, &mirror.epoch, Some((&reason, now))).map_err(explain)?;
            // First the database: until its word is durable, the file must go on contradicting it.
            tx.commit().map_err(explain)?;
            mirror.settle(1)?;
            tracing::error!("{} is not the database that was worked on last: {reason}; {REMEDY}", database.display());
            Ok(mirror)
        }
    }
}

const REMEDY: &str = "each collection is read anew, and nothing is changed, deleted or sent until its halt is approved: \
    `reconciled status` lists them";

/// The same for a copy that is thrown away: what the original's file says is kept in the copy alone.
pub(super) fn compare(conn: &Connection, place: &Place, original: &Path, now: Micros) -> Result<(), StoreError> {
    let Some(found) = look(conn, place, original)? else { return Ok(()) };
    let epoch = uuid::Uuid::new_v4().to_string();
    record(conn, &epoch, Some((&found.reason, now))).map_err(|error| place.explain(error.into()))
}

/// The same for one that only looks: `None` where there is nothing new to say.
pub(super) fn look(conn: &Connection, place: &Place, database: &Path) -> Result<Option<Restored>, StoreError> {
    let path = beside(database, ".epoch");
    // First the file: what is committed in between makes the database the newer one, as it should be.
    let before = read(&path);
    let own = own(conn).map_err(|error| place.explain(error.into()))?;
    let file = if before == Mirrored::Missing { read(&path) } else { before };
    Ok(match judge(&file, own.as_ref(), inode(database)?) {
        Verdict::Begin | Verdict::Same => None,
        Verdict::Other(reason) => Some(Restored { epoch: String::new(), reason, noticed_at: None }),
    })
}

/// Before another database takes this one's place: there is a file that says otherwise than it will, so that it is noticed
/// whatever it is.
pub(super) fn expect_another(database: &Path) -> Result<PathBuf, StoreError> {
    let path = beside(database, ".epoch");
    if read(&path) == Mirrored::Missing {
        let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| of_io(&path, &error))?;
        let epoch = uuid::Uuid::new_v4().to_string();
        Mirror { file, path: path.clone(), epoch, inode: 0, told: false }.settle(1)?;
    }
    Ok(path)
}

/// What was found out when the database was opened to be worked on.
pub(super) fn restored(conn: &Connection) -> rusqlite::Result<Option<Restored>> {
    let sql = "SELECT epoch, reason, noticed_at FROM sync_epoch WHERE reason IS NOT NULL";
    let row =
        |row: &rusqlite::Row<'_>| Ok(Restored { epoch: row.get(0)?, reason: row.get(1)?, noticed_at: row.get(2)? });
    conn.prepare_cached(sql)?.query_row([], row).optional()
}

/// One more commit.
pub(super) fn count(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "UPDATE sync_epoch SET sequence = sequence + 1 RETURNING sequence";
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

pub(super) fn own(conn: &Connection) -> rusqlite::Result<Option<(String, i64)>> {
    let sql = "SELECT epoch, sequence FROM sync_epoch";
    conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn record(conn: &Connection, epoch: &str, found: Option<(&str, Micros)>) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sync_epoch (one, epoch, sequence, reason, noticed_at) VALUES (1, ?1, 1, ?2, ?3)";
    conn.execute(sql, params![epoch, found.map(|(reason, _)| reason), found.map(|(_, now)| now)])?;
    Ok(())
}

fn inode(database: &Path) -> Result<u64, StoreError> {
    std::fs::metadata(database).map(|meta| meta.ino()).map_err(|error| of_io(database, &error))
}

fn text(epoch: &str, sequence: i64, inode: u64) -> Vec<u8> {
    let says = format!("reconciled 1\nepoch {epoch}\nsequence {sequence}\ninode {inode}\n");
    let mut bytes = format!("{says:width$}", width = FILE_BYTES - 1).into_bytes();
    bytes.push(b'\n');
    bytes
}

fn read(path: &Path) -> Mirrored {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)) {
        Ok(0) => Mirrored::Missing,
        Ok(_) => std::str::from_utf8(&bytes).ok().and_then(parse).unwrap_or(Mirrored::Unreadable),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Mirrored::Missing,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Mirrored::Hidden,
        Err(_) => Mirrored::Unreadable,
    }
}

fn parse(text: &str) -> Option<Mirrored> {
    let rest = text.trim_end().strip_prefix("reconciled 1\nepoch ")?;
    let (epoch, rest) = rest.split_once("\nsequence ")?;
    let (sequence, inode) = rest.split_once("\ninode ")?;
    Some(Mirrored::Says { epoch: epoch.to_owned(), sequence: sequence.parse().ok()?, inode: inode.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(epoch: &str, sequence: i64, inode: u64) -> Mirrored {
        Mirrored::Says { epoch: epoch.to_owned(), sequence, inode }
    }

    #[test]
    fn f19_what_is_behind_its_file_is_not_what_was_worked_on_last() {
        let check = |file: Mirrored, own: Option<(&str, i64)>, expected: Option<&str>| {
            let own = own.map(|(epoch, sequence)| (epoch.to_owned(), sequence));
            let found = match judge(&file, own.as_ref(), 7) {
                Verdict::Begin => Some("begin".to_owned()),
                Verdict::Same => None,
                Verdict::Other(reason) => Some(reason),
            };
            match expected {
                None => assert_eq!(found, None, "{file:?} {own:?}"),
                Some(words) => {
                    assert!(found.as_ref().is_some_and(|it| it.contains(words)), "{file:?} {own:?}: {found:?}");
                }
            }
        };
        check(Mirrored::Missing, None, Some("begin"));
        check(says("a", 0, 7), None, Some("begin"));
        check(says("a", 0, 7), Some(("a", 1)), None);
        check(says("a", 5, 7), Some(("a", 5)), None);
        // A crash between the commit and the file.
        check(says("a", 5, 7), Some(("a", 6)), None);
        // A power failure that took the file's last states.
        check(says("a", 2, 7), Some(("a", 600)), None);
        check(says("a", 6, 7), Some(("a", 5)), Some("lacks the last 1 commits"));
        check(says("a", 5, 7), Some(("b", 9)), Some("of another one"));
        check(says("a", 5, 8), Some(("a", 5)), Some("is a copy"));
        check(says("a", 5, 7), None, Some("emptied"));
        check(Mirrored::Missing, Some(("a", 1)), Some("missing"));
        check(Mirrored::Hidden, Some(("a", 1)), None);
        check(Mirrored::Unreadable, None, Some("cannot be read"));
        check(Mirrored::Unreadable, Some(("a", 1)), Some("cannot be read"));
    }

    #[test]
    fn what_is_written_is_read_and_has_one_length() {
        let epoch = uuid::Uuid::new_v4().to_string();
        for (sequence, inode) in [(0, 0), (1, 42), (i64::MAX, u64::MAX)] {
            let bytes = text(&epoch, sequence, inode);
            assert_eq!(bytes.len(), FILE_BYTES);
            assert_eq!(parse(std::str::from_utf8(&bytes).unwrap()), Some(says(&epoch, sequence, inode)));
        }
        for wrong in
            ["", "reconciled 2\nepoch a\nsequence 1\ninode 1\n", "reconciled 1\nepoch a\nsequence x\ninode 1\n"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
