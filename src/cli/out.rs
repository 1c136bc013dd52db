//! Owns: the two streams of a command: data on stdout, talk on stderr; colour, width, and what a closed pipe means.
//!
//! Must not know: what is written.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};

use super::exit::CliError;

/// The width that is assumed where there is no terminal.
const WIDTH_DEFAULT: usize = 100;
/// Narrower terminals are treated as this wide.
const WIDTH_MIN: usize = 40;

/// Where a command writes.
#[derive(Clone, Debug)]
pub struct Out {
    color: ColorChoice,
    width: usize,
    json: bool,
    quiet: bool,
}

impl Out {
    /// `color` is `auto`, `always` or `never`.
    pub fn new(color: &str, json: bool, quiet: bool) -> Self {
        let color = match color {
            "always" => ColorChoice::Always,
            "never" => ColorChoice::Never,
            _ => ColorChoice::Auto,
        };
        let columns = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = terminal().or_else(columns).unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN);
        Self { color, width, json, quiet }
    }

    /// The same, without talk.
    pub fn silenced(&self) -> Self {
        Self { quiet: true, ..self.clone() }
    }

    /// Columns that text may take.
    pub fn width(&self) -> usize {
        self.width
    }

    /// True where `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// True where progress bars make sense.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// True where stderr takes colour.
    pub fn colors_talk(&self) -> bool {
        self.choice(&io::stderr())
    }

    /// Writes data; escapes for colour are taken out where stdout is no terminal. A reader that went away is no error.
    pub fn data(&self, text: &str) -> Result<(), CliError> {
        let color = if self.choice(&io::stdout()) { ColorChoice::AlwaysAnsi } else { ColorChoice::Never };
        let mut stdout = AutoStream::new(io::stdout().lock(), color);
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::Other(format!("stdout cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes data as one indented JSON document.
    pub fn json(&self, data: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(data).map_err(|error| CliError::Other(format!("no JSON: {error}")))?;
        self.data(&format!("{text}\n"))
    }

    /// Writes data as one line of JSON.
    pub fn json_line(&self, data: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(data).map_err(|error| CliError::Other(format!("no JSON: {error}")))?;
        self.data(&format!("{text}\n"))
    }

    /// Writes one of the two forms.
    pub fn show<T: serde::Serialize>(&self, data: &T, text: impl FnOnce(&T, usize) -> String) -> Result<(), CliError> {
        if self.json { self.json(data) } else { self.data(&text(data, self.width)) }
    }

    /// Says something to the person at the terminal; failing to do so is no error. Not said with `--quiet`.
    pub fn talk(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says something that `--quiet` does not silence.
    pub fn insist(&self, text: &str) {
        let color = if self.choice(&io::stderr()) { ColorChoice::AlwaysAnsi } else { ColorChoice::Never };
        let mut stderr = AutoStream::new(io::stderr().lock(), color);
        writeln!(stderr, "{}", text.trim_end()).ok();
    }

    fn choice(&self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.color {
            ColorChoice::Auto => !matches!(AutoStream::choice(stream), ColorChoice::Never),
            ColorChoice::Never => false,
            ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
        }
    }
}
