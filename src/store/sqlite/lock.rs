//! Owns: the kernel lock that keeps a second daemon off a database.
//!
//! Must not know: SQLite.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::store::{Micros, StoreError};

use super::fault::of_io;
use super::file::unwritable;

/// The most that is read of what the holder says about itself.
const HOLDER_BYTES_MAX: u64 = 512;

/// Held as long as it lives; the kernel frees it when the process ends, however it ends. The file stays: removing it
/// would let two processes hold locks on two files of the same name.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes `<database>.lock`, or says who holds it.
    pub(super) fn acquire(database: &Path, now: Micros) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unwritable(database, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: database.display().to_string(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(of_io(&path, &error)),
        }
        introduce(&mut file, now).map_err(|error| of_io(&path, &error))?;
        Ok(Self { _file: file })
    }
}

/// What the process says of itself that holds the lock; `None` where none does. The kernel's list tells: trying to take the lock
/// could keep off a daemon that just starts.
pub fn lock_holder(database: &Path) -> Option<String> {
    let mut file = File::open(beside(database, ".lock")).ok()?;
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let is_held = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.nth(3).is_some_and(|file| file.ends_with(&inode))
    };
    locks.lines().any(is_held).then(|| holder(&mut file))
}

/// `<path><suffix>`, in the same folder.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text);
    let text = text.trim();
    if read.is_err() || text.is_empty() { "it does not say which".to_owned() } else { text.to_owned() }
}

fn introduce(file: &mut File, now: Micros) -> std::io::Result<()> {
    let since = chrono::DateTime::from_timestamp_micros(now)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "pid {}, since {since}, {}", std::process::id(), host.trim())?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_lock_is_told_without_touching_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(lock_holder(&database), None, "nobody ever did");
        let lock = Lock::acquire(&database, 0).unwrap();
        let holder = lock_holder(&database).unwrap();
        assert!(holder.starts_with(&format!("pid {}, since 1970-01-01", std::process::id())), "{holder}");
        assert!(matches!(Lock::acquire(&database, 0), Err(StoreError::Locked { .. })), "it is held as before");
        drop(lock);
        assert_eq!(lock_holder(&database), None, "its file stays");
    }
}
