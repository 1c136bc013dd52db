//! Owns: the master key: its text form, its id, where it is looked for and how a new one is put there.
//!
//! Must not know: what is sealed with it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};

use super::VaultError;

/// The name that the key is looked for by, like any secret.
pub const MASTER_KEY: &str = "master_key";
/// A key of XChaCha20-Poly1305, in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// Of what tells keys apart, in bytes.
const ID_BYTES: usize = 9;

/// A master key.
pub(super) struct MasterKey {
    bytes: SecretBox<[u8; KEY_BYTES]>,
    /// Where it was found, such as `file secrets/master_key`.
    pub place: String,
}

impl MasterKey {
    /// Reads the text form: 32 bytes in base64.
    pub fn parse(text: &SecretString, place: &str) -> Result<Self, VaultError> {
        let bad = |reason: String| VaultError::BadKey { place: place.to_owned(), reason };
        let bytes = STANDARD
            .decode(text.expose_secret().trim())
            .map_err(|_whose_words_might_quote_it| bad(format!("it is not {KEY_BYTES} bytes in base64")))?;
        let length = bytes.len();
        let bytes: [u8; KEY_BYTES] = bytes
            .try_into()
            .map_err(|_the_bytes| bad(format!("it has {length} bytes and must have {KEY_BYTES}, in base64")))?;
        Ok(Self { bytes: SecretBox::new(Box::new(bytes)), place: place.to_owned() })
    }

    /// A new key, from the system's source of randomness.
    pub fn generate(place: &str) -> Result<Self, VaultError> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| VaultError::File { path: "random source".into(), reason: error.to_string() })?;
        Ok(Self { bytes: SecretBox::new(Box::new(bytes)), place: place.to_owned() })
    }

    /// The text form.
    pub fn text(&self) -> SecretString {
        STANDARD.encode(self.bytes.expose_secret()).into()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.bytes.expose_secret()
    }

    /// What tells keys apart and tells nothing about them.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"reconciled master key id\0");
        hash.update(self.bytes.expose_secret());
        URL_SAFE_NO_PAD.encode(&hash.finalize()[..ID_BYTES])
    }
}

/// Finds a secret by name, and where it is.
type Find = dyn Fn(&str) -> Result<(SecretString, String), String> + Send + Sync;

/// Where a master key may be.
#[derive(Clone)]
pub struct KeyPlaces {
    find: Arc<Find>,
    folder: PathBuf,
}

impl KeyPlaces {
    /// `find` looks for a secret of a name and says where it is, or where it looked; `folder` is where files of secrets are,
    /// and where a new key is put.
    pub fn new(
        folder: PathBuf,
        find: impl Fn(&str) -> Result<(SecretString, String), String> + Send + Sync + 'static,
    ) -> Self {
        Self { find: Arc::new(find), folder }
    }

    /// The key, or in words where it was looked for.
    pub(super) fn find(&self) -> Result<Result<MasterKey, String>, VaultError> {
        match (self.find)(MASTER_KEY) {
            Ok((text, place)) => MasterKey::parse(&text, &place).map(Ok),
            Err(looked) => Ok(Err(looked)),
        }
    }

    /// The file that a key of ours is in.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(MASTER_KEY)
    }

    /// The file that a key waits in while everything is sealed with it.
    pub(super) fn next_file(&self) -> PathBuf {
        self.folder.join("master_key.next")
    }

    /// The key that waits there.
    pub(super) fn next(&self) -> Result<Option<MasterKey>, VaultError> {
        let path = self.next_file();
        match std::fs::read_to_string(&path) {
            Ok(text) => MasterKey::parse(&text.into(), &format!("file {}", path.display())).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path, &error)),
        }
    }

    /// Writes a key to a file that is not there yet, for its owner only.
    pub(super) fn write(&self, path: &Path, key: &MasterKey) -> Result<(), VaultError> {
        if !self.folder.exists() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
            made.map_err(|error| at(&self.folder, &error))?;
        }
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            writeln!(file, "{}", key.text().expose_secret())?;
            file.sync_all()?;
            sync_folder(&self.folder)
        };
        write().map_err(|error| at(path, &error))
    }

    /// Puts the key that waits in its place. Another process that needed it may have done so.
    pub(super) fn install_next(&self, key: &MasterKey) -> Result<(), VaultError> {
        let next = self.next_file();
        match std::fs::rename(&next, self.file()) {
            Ok(()) => sync_folder(&self.folder).map_err(|error| at(&next, &error)),
            Err(error) if error.kind() == ErrorKind::NotFound => match self.find()? {
                Ok(there) if there.id() == key.id() => Ok(()),
                _ => Err(at(&next, &error)),
            },
            Err(error) => Err(at(&next, &error)),
        }
    }
}

/// A file that was made or renamed is there after a crash.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn at(path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::File { path: path.display().to_string(), reason: error.to_string() }
}
