//! Owns: the start of logging: which lines there are, in which form they go out.
//!
//! Must not know: how a form is written, settings files.

use std::path::PathBuf;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use super::entry::Entries;
use super::journal::Journal;
use super::queue::{self, Guard};

/// How to log.
#[derive(Clone, Debug)]
pub struct Options {
    /// `off` … `trace`, or the directives of `RECONCILED_LOG` (`info,reconciled::upstream=debug`).
    pub filter: String,
    /// In which form, and so where to.
    pub form: Form,
    /// Colour, in text.
    pub color: bool,
}

/// What a line looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, to stderr.
    Text,
    /// One JSON object per line, to stderr.
    Json,
    /// Fields, to the journal's socket; what cannot be sent there goes to stderr.
    Journal(PathBuf),
}

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(options: &Options) -> Result<Guard, String> {
    let filter = EnvFilter::builder().parse(&options.filter).map_err(|error| {
        format!("cannot be read as log levels: {error}; write like `info,reconciled::upstream=debug`")
    })?;
    let journal = match &options.form {
        Form::Journal(path) => Some(Journal::open(path.clone())),
        Form::Text | Form::Json => None,
    };
    let (guard, writer) = queue::open(journal)?;
    let text = fmt::layer().with_writer(writer.clone()).with_target(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match &options.form {
        Form::Text => text.with_ansi(options.color).boxed(),
        Form::Json => text.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        Form::Journal(_) => Entries::new(writer).boxed(),
    };
    // The only failure is that a subscriber is there already.
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().ok();
    Ok(guard)
}
