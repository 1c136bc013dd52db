//! Owns: reading and writing below the root: files whole or not at all, with their permissions whatever the umask.
//!
//! Must not know: why something is written.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::decide::{Found, Noted};
use crate::record::hex;

/// Folders on the way to a file.
const FOLDER: u32 = 0o755;

/// A file system from some folder on.
#[derive(Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The one that begins there.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Where a path from the root on is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// What is there; links are not followed.
    pub fn look(&self, path: &str) -> io::Result<Found> {
        let at = self.at(path);
        let kind = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        if kind.is_file() {
            return Ok(Found::File(hash(&fs::read(&at)?)));
        }
        let empty = kind.is_dir() && fs::read_dir(&at)?.next().is_none();
        Ok(if empty { Found::EmptyFolder } else { Found::Other })
    }

    /// Makes a folder, and those above it.
    pub fn make(&self, path: &str, mode: u32) -> io::Result<()> {
        make_all(&self.at(path), mode)
    }

    /// Writes a file: it is there with all its content, or as it was before.
    pub fn write(&self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let at = self.at(path);
        let folder = at.parent().unwrap_or(&self.0);
        make_all(folder, FOLDER)?;
        let mut file = tempfile::Builder::new().prefix(".reconciled-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(&at).map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    /// Takes an empty folder away.
    pub fn remove_folder(&self, path: &str) -> io::Result<()> {
        fs::remove_dir(self.at(path))
    }

    /// What was installed last, as `sha256sum` writes it; nothing where nothing was.
    pub fn noted(&self, path: &str) -> io::Result<Noted> {
        let text = match fs::read_to_string(self.at(path)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Noted::new()),
            Err(error) => return Err(error),
        };
        let line = |line: &str| line.split_once("  ").map(|(hash, path)| (path.to_owned(), hash.to_owned()));
        Ok(text.lines().filter_map(line).collect())
    }

    /// Notes it for the next time.
    pub fn note(&self, path: &str, noted: &Noted) -> io::Result<()> {
        let lines: Vec<String> = noted.iter().map(|(path, hash)| format!("{hash}  {path}\n")).collect();
        self.write(path, 0o644, lines.concat().as_bytes())
    }

    /// The units of ours that are enabled there: those that a folder `*.wants` of the administrator names.
    pub fn enabled(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(self.at("/etc/systemd/system")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(error),
        };
        for folder in entries {
            let folder = folder?.path();
            if folder.extension().is_none_or(|extension| extension != "wants") {
                continue;
            }
            for unit in fs::read_dir(folder)? {
                names.push(unit?.file_name().to_string_lossy().into_owned());
            }
        }
        names.retain(|name| ["reconciled.", "reconciled@", "reconciled-"].iter().any(|ours| name.starts_with(ours)));
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// The hash of a file's content.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn make_all(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_all(above, FOLDER)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(mode))
}
