//! Owns: `--print-config`: every setting, its value, its source.
//!
//! Must not know: how settings are loaded.

use serde::Serialize;

use crate::config::{Settings, Source};

use super::exit::{CliError, Exit};
use super::out::Out;
use super::style;

/// What `--print-config --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    settings: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    key: String,
    value: String,
    /// `default`, `file`, `environment`, `flag`.
    source: &'static str,
    /// The file's path, the variable's or the flag's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Prints the settings.
pub fn run(settings: &Settings, out: &Out) -> Result<Exit, CliError> {
    let settings = settings.shown.iter().map(|(key, value, source)| entry(key, value, source)).collect();
    out.show(&Shown { settings }, render)?;
    Ok(Exit::IN_SYNC)
}

fn entry(key: &str, value: &str, source: &Source) -> Entry {
    let kind = match source {
        Source::Default => "default",
        Source::File(_) => "file",
        Source::Environment(_) => "environment",
        Source::Flag(_) => "flag",
    };
    let name = (*source != Source::Default).then(|| source.to_string());
    Entry { key: key.to_owned(), value: value.to_owned(), source: kind, name }
}

fn render(shown: &Shown, width: usize) -> String {
    let rows = shown
        .settings
        .iter()
        .map(|entry| {
            let source = entry.name.as_deref().unwrap_or(entry.source);
            vec![entry.key.clone(), style::clean(&entry.value), style::clean(source)]
        })
        .collect();
    style::table(width, &["setting", "value", "from"], rows)
}
