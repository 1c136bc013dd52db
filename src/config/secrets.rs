//! Owns: secrets by name: systemd credential, then file, then environment, then what the program itself keeps.
//!
//! Must not know: what a secret is for; settings and their layers (a secret is never one of them).

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

/// The largest secret that is read, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads an environment variable.
type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Reads what the program keeps itself: nothing, a secret, or why it cannot be read.
type Kept = dyn Fn(&str) -> Result<Option<SecretString>, String> + Send + Sync;

/// Where secrets are looked for.
#[derive(Clone)]
pub struct Secrets {
    credentials_dir: Option<PathBuf>,
    folder: PathBuf,
    variable: Lookup,
    kept: Option<(String, Arc<Kept>)>,
}

/// A secret that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// Its name.
    pub name: String,
    /// What was found at each place, in order.
    pub looked: Vec<String>,
    /// The last place has something that is not to be used as it is.
    pub refused: bool,
}

impl std::error::Error for MissingSecret {}

impl fmt::Display for MissingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret `{}` is missing; looked at: {}", self.name, self.looked.join("; "))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("folder", &self.folder).finish_non_exhaustive()
    }
}

enum Place {
    /// With where that is.
    Found(SecretString, String),
    Not(String),
    /// Present, and not to be used: looking further would hide the mistake.
    Refused(String),
}

impl Secrets {
    /// `credentials_dir` is systemd's `$CREDENTIALS_DIRECTORY`, `folder` the setting `secrets_dir`; `variable` reads an environment variable.
    pub fn new(
        credentials_dir: Option<PathBuf>,
        folder: PathBuf,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { credentials_dir, folder, variable: Arc::new(variable), kept: None }
    }

    /// The same, and last what is kept at `place`.
    pub fn with_kept(
        mut self,
        place: String,
        kept: impl Fn(&str) -> Result<Option<SecretString>, String> + Send + Sync + 'static,
    ) -> Self {
        self.kept = Some((place, Arc::new(kept)));
        self
    }

    /// The secret of this name, or which places were looked at.
    pub fn find(&self, name: &str) -> Result<SecretString, MissingSecret> {
        self.look_up(name).map(|(secret, _place)| secret)
    }

    /// Where the secret of this name is, such as `file secrets/token`.
    pub fn place(&self, name: &str) -> Result<String, MissingSecret> {
        self.look_up(name).map(|(_secret, place)| place)
    }

    /// The secret and where it is, or which places were looked at.
    pub fn look_up(&self, name: &str) -> Result<(SecretString, String), MissingSecret> {
        let (mut looked, mut refused) = (Vec::new(), false);
        if !is_name(name) {
            looked.push(
                "nowhere, since a name has only letters, digits, `_`, `-` and `.`, and begins with a letter".into(),
            );
            return Err(MissingSecret { name: name.to_owned(), looked, refused: false });
        }
        let credential = std::iter::once_with(|| match &self.credentials_dir {
            Some(folder) => from_file(&folder.join(name), "systemd credential", false),
            None => Place::Not("systemd credentials (none passed)".to_owned()),
        });
        let file = std::iter::once_with(|| from_file(&self.folder.join(name), "file", true));
        let environment = std::iter::once_with(|| self.in_environment(name));
        let kept = self.kept.iter().map(|(place, kept)| in_keeping(place, kept(name)));
        for place in credential.chain(file).chain(environment).chain(kept) {
            match place {
                Place::Found(secret, place) => return Ok((secret, place)),
                Place::Not(what) => looked.push(what),
                Place::Refused(what) => {
                    looked.push(what);
                    refused = true;
                    break;
                }
            }
        }
        Err(MissingSecret { name: name.to_owned(), looked, refused })
    }

    fn in_environment(&self, name: &str) -> Place {
        let variable = format!("RECONCILED_SECRET_{}", name.to_ascii_uppercase().replace(['-', '.'], "_"));
        match (self.variable)(&variable) {
            Some(text) => not_empty(text, &format!("environment {variable}")),
            None => Place::Not(format!("environment {variable} (not set)")),
        }
    }
}

fn in_keeping(place: &str, found: Result<Option<SecretString>, String>) -> Place {
    match found {
        Ok(Some(secret)) => Place::Found(secret, place.to_owned()),
        Ok(None) => Place::Not(format!("{place} (not set)")),
        Err(words) => Place::Refused(words),
    }
}

/// What may be the name of a secret.
pub fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn from_file(path: &Path, kind: &str, private: bool) -> Place {
    let shown = format!("{kind} {}", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Place::Not(format!("{shown} (no such file)"));
        }
        Err(error) => return Place::Refused(format!("{shown} ({error})")),
    };
    if !metadata.is_file() {
        return Place::Refused(format!("{shown} (no regular file)"));
    }
    if metadata.len() > SECRET_BYTES_MAX {
        return Place::Refused(format!("{shown} (larger than {SECRET_BYTES_MAX} bytes)"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if private && mode & 0o077 != 0 {
        let path = path.display();
        return Place::Refused(format!(
            "{shown} (refused: others may read it, mode {mode:03o}; run `chmod 600 {path}`)"
        ));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => not_empty(text, &shown),
        Err(error) => Place::Refused(format!("{shown} ({error})")),
    }
}

/// Without the one line end that editors and `echo` leave.
fn not_empty(mut text: String, shown: &str) -> Place {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        Place::Refused(format!("{shown} (empty)"))
    } else {
        Place::Found(SecretString::from(text), shown.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["credentials", "secrets"] {
                std::fs::create_dir(folder.path().join(name)).unwrap();
            }
            Self { folder }
        }

        fn put(&self, place: &str, name: &str, text: &str, mode: u32) {
            let path = self.folder.path().join(place).join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }

        fn find(&self, name: &str) -> Result<String, String> {
            let secrets = Secrets::new(
                Some(self.folder.path().join("credentials")),
                self.folder.path().join("secrets"),
                |variable| (variable == "RECONCILED_SECRET_CRM_KEY").then(|| "from environment\n".to_owned()),
            );
            secrets
                .find(name)
                .map(|secret| secret.expose_secret().to_owned())
                .map_err(|missing| missing.to_string().replace(&self.folder.path().display().to_string(), "DIR"))
        }
    }

    #[test]
    fn credential_before_file_before_environment() {
        let bench = Bench::new();
        assert_eq!(bench.find("crm_key").unwrap(), "from environment");
        bench.put("secrets", "crm_key", "from file\r\n", 0o600);
        assert_eq!(bench.find("crm_key").unwrap(), "from file");
        bench.put("credentials", "crm_key", "from systemd\n\n", 0o440);
        assert_eq!(bench.find("crm_key").unwrap(), "from systemd\n", "one line end only");
    }

    #[test]
    fn a_missing_secret_says_where_it_was_looked_for() {
        assert_eq!(
            Bench::new().find("other").unwrap_err(),
            "secret `other` is missing; looked at: systemd credential DIR/credentials/other (no such file); \
             file DIR/secrets/other (no such file); environment RECONCILED_SECRET_OTHER (not set)"
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_nothing_else_is_tried() {
        let bench = Bench::new();
        bench.put("secrets", "crm_key", "x", 0o644);
        let words = bench.find("crm_key").unwrap_err();
        assert!(
            words.ends_with("(refused: others may read it, mode 644; run `chmod 600 DIR/secrets/crm_key`)"),
            "{words}"
        );
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let bench = Bench::new();
        bench.put("secrets", "key", "x", 0o600);
        assert!(bench.find("../secrets/key").is_err());
        assert!(bench.find(".hidden").is_err());
    }
}
