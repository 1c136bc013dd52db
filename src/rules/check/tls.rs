//! Owns: the checks of `[upstream.NAME.tls]`.
//!
//! Must not know: files; what is in them is looked at when they are used.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::binding::transpose;
use super::context::Cx;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::Tls;
use crate::rules::model::{ClientFiles, TlsFiles};
use crate::rules::shape::{At, Key};
use crate::rules::units::Text;

/// Checks the table.
pub fn lower(at: &At<Tls>, base_url: Option<&Url>, cx: &mut Cx<'_>) -> Option<Arc<TlsFiles>> {
    let raw = &at.value;
    if raw.certificate.is_absent() && raw.key.is_absent() && raw.ca.is_absent() {
        cx.notes.inert(at.key, "tls", "it is empty");
    } else if base_url.is_some_and(|url| url.scheme() == "http") {
        cx.notes.inert(at.key, "tls", "the base URL is plain http").help("write base_url = \"https://…\"");
    }
    let mut needs = |given: &Key<Text>, missing: &Key<Text>, name: &str, why: &str| {
        if let Some(given) = given.get().filter(|_| missing.is_absent()) {
            cx.notes
                .error(DiagnosticKind::Missing, given.key, format!("`{name}` is missing: {why}"))
                .help(format!("write {name} = \"/etc/reconciled/client.{name}.pem\""));
        }
    };
    needs(&raw.certificate, &raw.key, "key", "a certificate proves nothing without its private key");
    needs(&raw.key, &raw.certificate, "certificate", "the key belongs to a certificate");
    let mut path_of = |key: &Key<Text>| match key {
        Key::Bad => None,
        key => transpose(key.get().map(|at| path(at, cx))),
    };
    let (certificate, key, ca) = (path_of(&raw.certificate), path_of(&raw.key), path_of(&raw.ca));
    let client = certificate?.zip(key?).map(|(certificate, key)| ClientFiles { certificate, key });
    Some(Arc::new(TlsFiles { client, ca: ca? }))
}

fn path(at: &At<Text>, cx: &mut Cx<'_>) -> Option<PathBuf> {
    let text = cx.plain(at)?;
    if text.contains("-----BEGIN") {
        // The text is not repeated: it may be a key.
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, "the path of a file is wanted, not what is in it")
            .help("put it into a file that nobody else may read, and write its path");
        return None;
    }
    if !text.starts_with('/') {
        cx.notes
            .error(DiagnosticKind::Invalid, at.span, format!("\"{text}\" is no absolute path"))
            .help(format!("write \"/etc/reconciled/{text}\", or \"${{var.NAME}}/{text}\""));
        return None;
    }
    Some(PathBuf::from(text))
}
