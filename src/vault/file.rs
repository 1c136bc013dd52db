//! Owns: the vault's file: its tables, one transaction per change, keys that are made and replaced, locks of names.
//!
//! Must not know: ciphers; what values mean.
//!
//! The file is opened for each use: uses are rare, and so another process's change of the key is met at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use secrecy::SecretString;

use super::VaultError;
use super::key::{KeyPlaces, MASTER_KEY, MasterKey};
use super::seal::{self, Place};

/// How long another process's change is waited for.
const BUSY: Duration = Duration::from_secs(5);
const VERSION: i64 = 1;
/// So often is looked for a key while another process may be putting it in its place.
const LOOKS_MAX: u32 = 3;
/// Where the change counter is in the file.
const CHANGES_AT: usize = 24;
const TABLES: &str = "
create table meta (key_id text not null) strict;
create table entries (
  kind text not null, name text not null, value blob not null, changed_at integer not null,
  primary key (kind, name)
) strict, without rowid;
";

/// A vault: where it is and where its key may be.
#[derive(Clone)]
pub struct Vault {
    path: PathBuf,
    keys: KeyPlaces,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tokens of an upstream.
    Token,
    /// A secret that a person set.
    Secret,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Secret => "secret",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Token => "sign in again with `reconciled auth login`",
            Self::Secret => "set it again with `reconciled secret set`",
        }
    }
}

/// An entry without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
}

/// What a change of the key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Entries that are sealed with the new key.
    pub entries: usize,
    /// The new key's id.
    pub key_id: String,
    /// The file it is in.
    pub file: PathBuf,
}

/// Keeps other processes from changing an entry; they wait until it is dropped.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Vault {
    /// The vault beside a database. Nothing is opened or made.
    pub fn beside(database: &Path, keys: KeyPlaces) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".vault");
        Self { path: path.into(), keys }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something can be kept without a new key: there is a vault, or a key for one.
    pub fn is_ready(&self) -> bool {
        self.path.exists() || matches!(self.keys.find(), Ok(Ok(_)))
    }

    /// The value of an entry. The key is asked for only where there is one.
    pub fn get(&self, kind: Kind, name: &str) -> Result<Option<SecretString>, VaultError> {
        let Some(mut db) = self.open()? else { return Ok(None) };
        let tx = self.begin_reading(&mut db)?;
        match self.sealed(&tx, kind, name)? {
            Some(sealed) => self.unseal(&self.key_of(&tx)?, kind, name, &sealed).map(Some),
            None => Ok(None),
        }
    }

    /// Sets an entry. The first one makes the vault, and a key where none is found; says so by the key's file.
    pub fn put(
        &self,
        kind: Kind,
        name: &str,
        value: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Option<PathBuf>, VaultError> {
        let mut db = match self.open()? {
            Some(db) => db,
            None => self.create()?,
        };
        let tx = self.begin(&mut db)?;
        let (key, made) = match self.key_id(&tx)? {
            Some(_) => (self.key_of(&tx)?, None),
            None => self.first_key(&tx)?,
        };
        let sealed = seal::seal(&key, place(kind, name), value)?;
        let row = params![kind.name(), name, sealed, now.timestamp_micros()];
        self.said(tx.execute("insert or replace into entries values (?1, ?2, ?3, ?4)", row))?;
        self.said(tx.commit())?;
        Ok(made)
    }

    /// Forgets an entry; false where there was none. Needs no key.
    pub fn remove(&self, kind: Kind, name: &str) -> Result<bool, VaultError> {
        let Some(db) = self.open()? else { return Ok(false) };
        let gone = self.said(db.execute("delete from entries where kind = ?1 and name = ?2", (kind.name(), name)))?;
        Ok(gone > 0)
    }

    /// The entries of a kind, by name. Needs no key.
    pub fn entries(&self, kind: Kind) -> Result<Vec<Entry>, VaultError> {
        let Some(db) = self.open()? else { return Ok(Vec::new()) };
        let read = || {
            let mut rows = db.prepare("select name, changed_at from entries where kind = ?1 order by name")?;
            let entry = |row: &rusqlite::Row<'_>| {
                let changed_at = DateTime::from_timestamp_micros(row.get(1)?).unwrap_or_default();
                Ok(Entry { name: row.get(0)?, changed_at })
            };
            rows.query_map([kind.name()], entry)?.collect()
        };
        self.said(read())
    }

    /// Whether the key that is found is the vault's; the key's id, `None` where nothing is sealed yet.
    pub fn check(&self) -> Result<Option<String>, VaultError> {
        let Some(mut db) = self.open()? else { return Ok(None) };
        let tx = self.begin_reading(&mut db)?;
        match self.key_id(&tx)? {
            Some(_) => self.key_of(&tx).map(|key| Some(key.id())),
            None => Ok(None),
        }
    }

    /// Makes a key and puts it where files of secrets are, unless there is one.
    pub fn create_key(&self) -> Result<PathBuf, VaultError> {
        let file = self.keys.file();
        if let Ok(key) = self.keys.find()? {
            let reason = format!("there is a key already ({}); `reconciled key rotate` replaces it", key.place);
            return Err(VaultError::File { path: file.display().to_string(), reason });
        }
        if let Some(wanted) = self.check_sealed_without_key()? {
            return Err(wanted);
        }
        self.keys.write(&file, &MasterKey::generate(&format!("file {}", file.display()))?)?;
        Ok(file)
    }

    /// Seals everything with a new key, in one transaction. The new key waits in a file of its own until that is done, so that
    /// at every moment one of the two files opens the vault. Waits for renewals of tokens that are under way: a process that has
    /// only the old key must not learn of it with new tokens in its hands.
    pub fn rotate(&self) -> Result<Rotated, VaultError> {
        let nothing = || VaultError::File {
            path: self.path.display().to_string(),
            reason: "there is nothing to seal anew: no vault yet".into(),
        };
        let mut guards = Vec::new();
        for entry in self.entries(Kind::Token)? {
            let (file, path) = self.lock_file(&entry.name)?;
            file.lock().map_err(|error| at(&path, &error))?;
            guards.push(file);
        }
        let mut db = self.open()?.ok_or_else(nothing)?;
        let tx = self.begin(&mut db)?;
        let old = self.key_of(&tx)?;
        let file = self.keys.file();
        if old.place != format!("file {}", file.display()) {
            let reason = format!(
                "the key comes from elsewhere ({}), where it cannot be replaced from here: put its text into {} first, rotate, \
                 and pass the new one on",
                old.place,
                file.display()
            );
            return Err(VaultError::File { path: self.path.display().to_string(), reason });
        }
        if self.keys.next()?.is_some() {
            // Of a rotation that was interrupted before anything was sealed with it: the vault still has the old key.
            let next = self.keys.next_file();
            std::fs::remove_file(&next)
                .map_err(|error| VaultError::File { path: next.display().to_string(), reason: error.to_string() })?;
        }
        let new = MasterKey::generate(&format!("file {}", file.display()))?;
        self.keys.write(&self.keys.next_file(), &new)?;
        let entries = self.all(&tx)?;
        for (kind, name, sealed) in &entries {
            let value = self.unseal(&old, *kind, name, sealed)?;
            let sealed = seal::seal(&new, place(*kind, name), &value)?;
            let row = (sealed, kind.name(), name);
            self.said(tx.execute("update entries set value = ?1 where kind = ?2 and name = ?3", row))?;
        }
        self.said(tx.execute("update meta set key_id = ?1", [new.id()]))?;
        self.said(tx.commit())?;
        self.keys.install_next(&new)?;
        Ok(Rotated { entries: entries.len(), key_id: new.id(), file })
    }

    /// Keeps other processes from changing an entry, unless one of them does.
    pub fn try_lock(&self, name: &str) -> Result<Option<Guard>, VaultError> {
        let (file, path) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Guard { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(at(&path, &error)),
        }
    }

    /// Where the lock of an entry is.
    pub fn lock_path(&self, name: &str) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(format!(".{name}.lock"));
        path.into()
    }

    /// Another number after every change of anything in the vault by anybody; `None` where there is none.
    ///
    /// The file's change counter (SQLite file format, 1.3.7): unlike its time it does not stand still.
    pub fn stamp(&self) -> Option<(u64, u32)> {
        let mut head = [0; CHANGES_AT + size_of::<u32>()];
        let mut file = File::open(&self.path).ok()?;
        file.read_exact(&mut head).ok()?;
        let changes = head.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
        Some((file.metadata().ok()?.ino(), changes))
    }
}

impl Vault {
    /// The file, where it exists.
    fn open(&self) -> Result<Option<Connection>, VaultError> {
        if std::fs::metadata(&self.path).map_or(true, |meta| meta.len() == 0) {
            return Ok(None);
        }
        let db = self.connect()?;
        let version: i64 = self.said(db.pragma_query_value(None, "user_version", |row| row.get(0)))?;
        match version {
            VERSION => Ok(Some(db)),
            // Its maker died before it had tables.
            0 => Ok(None),
            other => Err(VaultError::File {
                path: self.path.display().to_string(),
                reason: format!("is of version {other}, this program knows {VERSION}"),
            }),
        }
    }

    fn create(&self) -> Result<Connection, VaultError> {
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path);
        made.map_err(|error| VaultError::File { path: self.path.display().to_string(), reason: error.to_string() })?;
        let mut db = self.connect()?;
        let tx = self.begin(&mut db)?;
        let version: i64 = self.said(tx.pragma_query_value(None, "user_version", |row| row.get(0)))?;
        if version == 0 {
            self.said(tx.execute_batch(TABLES))?;
            self.said(tx.pragma_update(None, "user_version", VERSION))?;
        }
        self.said(tx.commit())?;
        Ok(db)
    }

    fn connect(&self) -> Result<Connection, VaultError> {
        let connect = || {
            let db = Connection::open(&self.path)?;
            db.busy_timeout(BUSY)?;
            db.pragma_update(None, "synchronous", "extra")?;
            // What was removed or sealed anew is not to be found in free pages.
            db.pragma_update(None, "secure_delete", true)?;
            Ok(db)
        };
        self.said(connect())
    }

    /// What is read together is of one key. A disk that cannot be written can be read.
    fn begin_reading<'a>(&self, db: &'a mut Connection) -> Result<Transaction<'a>, VaultError> {
        self.said(db.transaction_with_behavior(TransactionBehavior::Deferred))
    }

    /// The same for what writes: it waits for other writers before it reads.
    fn begin<'a>(&self, db: &'a mut Connection) -> Result<Transaction<'a>, VaultError> {
        self.said(db.transaction_with_behavior(TransactionBehavior::Immediate))
    }

    fn said<T>(&self, result: rusqlite::Result<T>) -> Result<T, VaultError> {
        result.map_err(|error| VaultError::File { path: self.path.display().to_string(), reason: error.to_string() })
    }

    fn key_id(&self, db: &Connection) -> Result<Option<String>, VaultError> {
        self.said(db.query_row("select key_id from meta", [], |row| row.get(0)).optional())
    }

    /// The key that the vault is sealed with. Another process may put a new one in its place while this one looks.
    fn key_of(&self, db: &Connection) -> Result<MasterKey, VaultError> {
        let wanted = self.key_id(db)?.unwrap_or_default();
        let mut looks = 0;
        loop {
            looks += 1;
            let found = self.keys.find()?;
            if let Ok(key) = found.as_ref().map_err(String::as_str)
                && key.id() != wanted
            {
                match self.keys.next()? {
                    Some(next) if next.id() == wanted => {
                        // A rotation that has not put the new key in its place yet, or never could.
                        self.keys.install_next(&next)?;
                        return Ok(next);
                    }
                    _ if looks < LOOKS_MAX => continue,
                    _ => {}
                }
            }
            return match found {
                Ok(key) if key.id() == wanted => Ok(key),
                Ok(key) => Err(VaultError::WrongKey {
                    given: key.id(),
                    place: key.place,
                    vault: self.path.display().to_string(),
                    wanted,
                }),
                Err(looked) => Err(VaultError::NoKey {
                    words: format!(
                        "{} is sealed, and its master key (id {wanted}) is missing: {looked}",
                        self.path.display()
                    ),
                }),
            };
        }
    }

    /// The key of a vault that has none: one that is there already, else a new one.
    fn first_key(&self, db: &Connection) -> Result<(MasterKey, Option<PathBuf>), VaultError> {
        let (key, made) = match self.keys.find()? {
            Ok(key) => (key, None),
            Err(looked) => {
                let file = self.keys.file();
                let key = MasterKey::generate(&format!("file {}", file.display()))?;
                self.keys.write(&file, &key).map_err(|error| VaultError::NoKey {
                    words: format!(
                        "the vault needs a master key ({looked}), and a new one could not be kept: {error}; make one with \
                         `reconciled key create` and pass it as the secret {MASTER_KEY}"
                    ),
                })?;
                (key, Some(file))
            }
        };
        self.said(db.execute("insert into meta values (?1)", [key.id()]))?;
        Ok((key, made))
    }

    /// A vault that is sealed with a key that is nowhere must not get another one.
    fn check_sealed_without_key(&self) -> Result<Option<VaultError>, VaultError> {
        let Some(mut db) = self.open()? else { return Ok(None) };
        let tx = self.begin_reading(&mut db)?;
        match self.key_id(&tx)? {
            Some(_) => Ok(self.key_of(&tx).err()),
            None => Ok(None),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), VaultError> {
        let path = self.lock_path(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        Ok((file.map_err(|error| at(&path, &error))?, path))
    }

    fn sealed(&self, db: &Connection, kind: Kind, name: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let sql = "select value from entries where kind = ?1 and name = ?2";
        self.said(db.query_row(sql, (kind.name(), name), |row| row.get(0)).optional())
    }

    fn all(&self, db: &Connection) -> Result<Vec<(Kind, String, Vec<u8>)>, VaultError> {
        let read = || {
            let mut rows = db.prepare("select kind, name, value from entries")?;
            let entry = |row: &rusqlite::Row<'_>| {
                let kind: String = row.get(0)?;
                let kind = if kind == Kind::Token.name() { Kind::Token } else { Kind::Secret };
                Ok((kind, row.get(1)?, row.get(2)?))
            };
            rows.query_map([], entry)?.collect()
        };
        self.said(read())
    }

    fn unseal(&self, key: &MasterKey, kind: Kind, name: &str, sealed: &[u8]) -> Result<SecretString, VaultError> {
        seal::open(key, place(kind, name), sealed).ok_or_else(|| VaultError::Damaged {
            vault: self.path.display().to_string(),
            kind: kind.name(),
            name: name.to_owned(),
            remedy: kind.remedy(),
        })
    }
}

fn at(path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::File { path: path.display().to_string(), reason: error.to_string() }
}

fn place(kind: Kind, name: &str) -> Place<'_> {
    Place { table: "entries", row: [kind.name(), name], column: "value" }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}
