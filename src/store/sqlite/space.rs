//! Owns: what a database stands on: the kind of its file system, the room that is left, the size of its log.
//!
//! Must not know: what is in the database.

use std::path::Path;

use rusqlite::Connection;

use crate::store::StoreError;

use super::connect::WAL_BYTES_MAX;
use super::fault::{Place, Res};
use super::lock::beside;

/// Room that a checkpoint may need, at most: the log as large as it gets in good order.
const RESERVE_BYTES: u64 = WAL_BYTES_MAX.unsigned_abs();

/// How a database stands with its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The size of `DATABASE-wal`, in bytes.
    pub log_bytes: u64,
    /// What is left for us on its file system, in bytes; `None` where the system does not say.
    pub free_bytes: Option<u64>,
}

/// Looks.
pub fn space(database: &Path) -> Space {
    let free = rustix::fs::statvfs(folder_of(database)).ok();
    Space {
        log_bytes: log_bytes(database),
        free_bytes: free.map(|found| found.f_bavail.saturating_mul(found.f_frsize)),
    }
}

impl Space {
    /// What an operator must do something about, in words.
    pub fn alarms(&self, database: &Path) -> Vec<String> {
        let shown = database.display();
        let mut alarms = Vec::new();
        if self.log_bytes > RESERVE_BYTES {
            alarms.push(format!(
                "{shown}-wal has grown to {} MiB: another program has been reading {shown} for long, or there is no room to \
                 put it into the database; find it with `fuser {shown}`, look at `df`",
                self.log_bytes >> 20
            ));
        }
        if let Some(free) = self.free_bytes.filter(|free| *free < RESERVE_BYTES) {
            alarms.push(format!(
                "{} MiB are left on the disk of {shown}, and {} may be needed at any time: free some space",
                free >> 20,
                RESERVE_BYTES >> 20
            ));
        }
        alarms
    }
}

pub(super) fn log_bytes(database: &Path) -> u64 {
    std::fs::metadata(beside(database, "-wal")).map_or(0, |meta| meta.len())
}

/// Puts the log into the database as far as it goes now; why it does not go to the end, if so.
pub(super) fn checkpoint(conn: &Connection, place: &Place) -> Option<String> {
    let steps = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
    let outcome: Res<(i64, i64)> = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], steps).map_err(Into::into);
    match outcome {
        Ok((all, done)) if done < all => {
            Some(format!("another program has been reading {} for long: find it with `fuser {0}`", place.path))
        }
        Ok(_) => None,
        Err(failure) => Some(match place.explain(failure) {
            StoreError::Full { .. } => "disk full: free some space".to_owned(),
            other => other.to_string(),
        }),
    }
}

/// Refuses file systems whose locks and shared memory reach no further than one machine's mount.
pub(super) fn refuse_network(database: &Path) -> Result<(), StoreError> {
    let Ok(found) = rustix::fs::statfs(folder_of(database)) else { return Ok(()) };
    #[expect(clippy::cast_sign_loss, reason = "the magic number is 32 bits, whatever the type that carries it")]
    let magic = found.f_type as u64 & 0xffff_ffff;
    match network_name(magic) {
        None => Ok(()),
        Some(name) => Err(StoreError::ReadOnly {
            path: database.display().to_string(),
            reason: format!(
                "it is on {name}, where locks and shared memory cannot be relied on: keep it on a local disk, and name that \
                 place with --db"
            ),
        }),
    }
}

/// The name of a network file system by the magic number of statfs(2).
fn network_name(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9P",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        _ => return None,
    })
}

/// The nearest folder above a database that is there.
fn folder_of(database: &Path) -> &Path {
    let above = database.ancestors().skip(1).find(|folder| folder.is_dir());
    above.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f20_network_file_systems_are_known_by_their_magic_number() {
        // linux/magic.h, and statfs(2) of the Linux manual.
        let network = [
            (0x6969, "NFS"),
            (0x517b, "SMB"),
            (0xff53_4d42, "SMB"),
            (0xfe53_4d42, "SMB"),
            (0x6573_5546, "FUSE"),
            (0x00c3_6400, "Ceph"),
            (0x0102_1997, "9P"),
        ];
        for (magic, name) in network {
            assert_eq!(network_name(magic), Some(name), "{magic:#x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs.
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010] {
            assert_eq!(network_name(local), None, "{local:#x}");
        }
    }

    #[test]
    fn f13_f17_a_large_log_and_a_full_disk_are_alarms() {
        let database = Path::new("a.db");
        let check = |log_bytes: u64, free_bytes: Option<u64>, expected: &[&str]| {
            let alarms = Space { log_bytes, free_bytes }.alarms(database);
            let said = alarms.len() == expected.len() && alarms.iter().zip(expected).all(|(is, it)| is.contains(it));
            assert!(said, "{log_bytes} {free_bytes:?}: {alarms:?}");
        };
        check(0, None, &[]);
        check(64 << 20, Some(64 << 20), &[]);
        check((64 << 20) + 1, Some(1 << 40), &["a.db-wal has grown to 64 MiB"]);
        check(0, Some(3 << 20), &["3 MiB are left on the disk of a.db, and 64 may be needed"]);
        check(1 << 30, Some(0), &["grown to 1024 MiB", "0 MiB are left"]);
    }

    #[test]
    fn the_nearest_folder_counts() {
        assert_eq!(folder_of(Path::new("a.db")), Path::new("."));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(folder_of(&folder.path().join("not/there/a.db")), folder.path());
        let space = space(&folder.path().join("a.db"));
        assert_eq!(space.log_bytes, 0);
        assert!(space.free_bytes.is_some_and(|free| free > 0));
    }
}
