//! Owns: what is installed and where: files, folders, their modes.
//!
//! Must not know: what is there already.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::completions;
use super::super::manual;

/// Where the program and its units are unless somebody says otherwise; the texts of `systemd/` are written for it.
const PREFIX_OF_TEXTS: &str = "/usr";

/// Something that is put in a place.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// Where, from the root on.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
}

/// Folders of settings, rules and data, with their permissions; `systemd-tmpfiles` gives them their owners.
pub const FOLDERS: [(&str, u32); 3] =
    [("/etc/reconciled", 0o750), ("/etc/reconciled/sync-rules", 0o750), ("/var/lib/reconciled", 0o700)];

/// Units, by their names.
pub const UNITS: [(&str, &str); 6] = [
    ("reconciled.service", include_str!("../../../systemd/reconciled.service")),
    ("reconciled@.service", include_str!("../../../systemd/reconciled@.service")),
    ("reconciled-once.service", include_str!("../../../systemd/reconciled-once.service")),
    ("reconciled-once.timer", include_str!("../../../systemd/reconciled-once.timer")),
    ("reconciled-web.socket", include_str!("../../../systemd/reconciled-web.socket")),
    ("reconciled-webhooks.socket", include_str!("../../../systemd/reconciled-webhooks.socket")),
];

/// Everything else below the prefix.
const OTHERS: [(&str, &str); 15] = [
    ("lib/sysusers.d/reconciled.conf", include_str!("../../../systemd/reconciled.sysusers.conf")),
    ("lib/tmpfiles.d/reconciled.conf", include_str!("../../../systemd/reconciled.tmpfiles.conf")),
    ("share/doc/reconciled/README.md", include_str!("../../../README.md")),
    ("share/doc/reconciled/CHANGELOG.md", include_str!("../../../CHANGELOG.md")),
    ("share/doc/reconciled/docs/guide.md", include_str!("../../../docs/guide.md")),
    ("share/doc/reconciled/docs/commands.md", include_str!("../../../docs/commands.md")),
    ("share/doc/reconciled/docs/settings.md", include_str!("../../../docs/settings.md")),
    ("share/doc/reconciled/docs/rules.md", include_str!("../../../docs/rules.md")),
    ("share/doc/reconciled/docs/rules.schema.json", include_str!("../../../docs/rules.schema.json")),
    ("share/doc/reconciled/docs/json.md", include_str!("../../../docs/json.md")),
    ("share/doc/reconciled/docs/metrics.md", include_str!("../../../docs/metrics.md")),
    ("share/doc/reconciled/docs/monitoring/alerts.yaml", include_str!("../../../docs/monitoring/alerts.yaml")),
    (
        "share/doc/reconciled/docs/monitoring/grafana-dashboard.json",
        include_str!("../../../docs/monitoring/grafana-dashboard.json"),
    ),
    (
        "share/doc/reconciled/examples/notify-reload.conf",
        include_str!("../../../systemd/reconciled.service.d/notify-reload.conf"),
    ),
    ("share/doc/reconciled/examples/secrets.conf", include_str!("../../../systemd/reconciled.service.d/secrets.conf")),
];

/// The settings to begin with.
const SETTINGS: (&str, &str) = ("/etc/reconciled/config.toml", include_str!("../../../systemd/config.toml"));

/// Where it is noted what was installed.
pub fn noted_at(prefix: &str) -> String {
    format!("{prefix}/share/reconciled/SHA256SUMS")
}

/// All files, with the program itself.
pub fn files(prefix: &str, program: Vec<u8>) -> Vec<Shipped> {
    let text = |path: String, text: &'static str| Shipped { path, mode: 0o644, bytes: adapted(text, prefix) };
    let program = Shipped { path: format!("{prefix}/bin/reconciled"), mode: 0o755, bytes: Cow::Owned(program) };
    let units = UNITS.into_iter().map(|(name, unit)| text(format!("{prefix}/lib/systemd/system/{name}"), unit));
    let others = OTHERS.into_iter().map(|(path, other)| text(format!("{prefix}/{path}"), other));
    let settings = Shipped { path: SETTINGS.0.to_owned(), mode: 0o644, bytes: Cow::Borrowed(SETTINGS.1.as_bytes()) };
    let generated = generated().into_iter().map(|(path, bytes)| {
        let path = format!("{prefix}/{path}");
        Shipped { path, mode: 0o644, bytes: Cow::Owned(bytes) }
    });
    std::iter::once(program).chain(units).chain(others).chain(generated).chain([settings]).collect()
}

/// Man pages and completions, by their paths below the prefix.
fn generated() -> Vec<(String, Vec<u8>)> {
    let pages = manual::pages().into_iter().map(|page| {
        let path = format!("share/man/man{}/{}.gz", page.section, page.file());
        (path, packed(page.text.as_bytes()))
    });
    let scripts = completions::INSTALLED
        .into_iter()
        .map(|(shell, name, folder)| (format!("{folder}/{name}"), completions::script(shell).into_bytes()));
    pages.chain(scripts).collect()
}

/// As `gzip -9n` does: without name and time, so that the same page has the same hash.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // A vector takes everything.
    packer.write_all(bytes).ok();
    packer.finish().unwrap_or_default()
}

/// A text that names the program and its documentation where they are.
fn adapted(text: &'static str, prefix: &str) -> Cow<'static, [u8]> {
    if prefix == PREFIX_OF_TEXTS {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut text = text.to_owned();
    for part in ["/bin/reconciled", "/share/doc/reconciled"] {
        text = text.replace(&format!("{PREFIX_OF_TEXTS}{part}"), &format!("{prefix}{part}"));
    }
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn everything_in_the_folder_of_units_is_installed() {
        let files = files("/usr", Vec::new());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        let mut seen = 0;
        for folder in [folder.clone(), folder.join("reconciled.service.d")] {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_file() {
                    let text = std::fs::read(&entry).unwrap();
                    assert!(files.iter().any(|file| *file.bytes == text), "{}", entry.display());
                    seen += 1;
                }
            }
        }
        assert!(seen >= 10, "{seen}");
    }

    #[test]
    fn units_name_the_program_where_it_is() {
        for file in files("/opt/sync", Vec::new()) {
            let text = String::from_utf8_lossy(&file.bytes);
            if file.path.contains("/systemd/") {
                assert!(!text.contains("/usr/"), "{}: {text}", file.path);
                assert!(text.contains("file:///opt/sync/share/doc/reconciled/README.md"), "{}", file.path);
            }
            if file.path.ends_with("reconciled.service") {
                assert!(text.contains("ExecStart=/opt/sync/bin/reconciled run\n"), "{text}");
            }
        }
    }
}
