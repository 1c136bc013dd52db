//! Owns: the files of an upstream's TLS: who we are there (a client certificate), whom we trust; read, checked, noticed when replaced.
//!
//! Must not know: requests.

use std::fmt;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::reach::not_after;
use crate::rules::TlsFiles;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where systemd puts the credentials of services (`LoadCredential=`).
const CREDENTIALS: &str = "/run/credentials";

/// What is read of the files.
pub(super) struct Material {
    /// Who we are.
    pub identity: Option<reqwest::Identity>,
    /// Whom we trust, instead of everybody that the machine trusts.
    pub authorities: Option<Vec<reqwest::Certificate>>,
}

/// Another one after every change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(u64, u64, [i64; 4])>>);

/// The files as they are now.
pub(super) fn stamp(files: &TlsFiles) -> Stamp {
    let one = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        // The last two notice another mode or owner as well.
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        Some((found.ino(), found.size(), times))
    };
    Stamp(files.paths().map(one).collect())
}

/// Reads the files. The words of what is wrong never hold what is in them.
pub(super) fn load(files: &TlsFiles) -> Result<Material, String> {
    let identity = match &files.client {
        Some(client) => {
            let mut pem = read(&client.certificate, false)?;
            certificates(&client.certificate, &pem)?;
            pem.push(b'\n');
            pem.extend(read(&client.key, true)?);
            let identity = reqwest::Identity::from_pem(&pem);
            Some(identity.map_err(|_whose_words_might_quote_it| {
                format!("{} holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)", client.key.display())
            })?)
        }
        None => None,
    };
    let authorities = match &files.ca {
        Some(path) => {
            let der = certificates(path, &read(path, false)?)?;
            let authority = |der: &CertificateDer<'_>| {
                reqwest::Certificate::from_der(der).map_err(|error| wrong(path, &format!("is no authority: {error}")))
            };
            Some(der.iter().map(authority).collect::<Result<Vec<_>, String>>()?)
        }
        None => None,
    };
    Ok(Material { identity, authorities })
}

/// Until when our certificate is good; `None` where we have none. Or what is wrong with the files.
pub fn our_certificate_until(files: &TlsFiles) -> Result<Option<DateTime<Utc>>, String> {
    load(files)?;
    let Some(client) = &files.client else { return Ok(None) };
    let der = certificates(&client.certificate, &read(&client.certificate, false)?)?;
    let first = der.first().and_then(|der| not_after(der));
    first.map(Some).ok_or_else(|| wrong(&client.certificate, "does not tell until when it is good"))
}

/// What a server says that does not take who we are; nothing was done then, since it says so before it reads on.
pub(super) fn refuses_us(alert: AlertDescription) -> Option<&'static str> {
    use AlertDescription as Alert;
    Some(match alert {
        Alert::CertificateRequired => {
            "it wants a client certificate: write [upstream.NAME.tls] with `certificate` and `key`"
        }
        Alert::CertificateExpired => "it says that our client certificate has expired",
        Alert::CertificateRevoked => "it says that our client certificate is revoked",
        Alert::UnknownCA => "it does not know the authority of our client certificate",
        Alert::BadCertificate | Alert::UnsupportedCertificate | Alert::CertificateUnknown | Alert::DecryptError => {
            "it does not take our client certificate"
        }
        Alert::AccessDenied => "it takes our client certificate and allows it nothing",
        _ => return None,
    })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let none = || wrong(path, "holds no certificate in PEM that begins with `-----BEGIN CERTIFICATE-----`");
    found.ok().filter(|found| !found.is_empty()).ok_or_else(none)
}

/// A private file is for its owner only, as files of secrets are. What systemd hands over is guarded by itself.
fn read(path: &Path, private: bool) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| wrong(path, &error))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(wrong(path, "is no file of at most 1 MB"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if private && mode & 0o077 != 0 && !path.starts_with(CREDENTIALS) {
        let shown = path.display();
        return Err(wrong(path, &format!("others may read it, mode {mode:03o}; run `chmod 600 {shown}`")));
    }
    std::fs::read(path).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, what: &(impl fmt::Display + ?Sized)) -> String {
    format!("{}: {what}", path.display())
}
