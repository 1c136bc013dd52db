//! Owns: the start of logging: which lines there are, in which form they go out.
//!
//! Must not know: how a form is written, settings files.

use std::path::PathBuf;

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use super::entry::Entries;
use super::journal::Journal;
use super::queue::{self, Lines};
use super::spans;
#[cfg(feature = "otlp")]
use super::traces;

/// How to log.
#[derive(Clone, Debug)]
pub struct Options {
    /// `off` … `trace`, or the directives of `RECONCILED_LOG` (`info,reconciled::upstream=debug`).
    pub filter: String,
    /// In which form, and so where to.
    pub form: Form,
    /// Colour, in text.
    pub color: bool,
    /// Where traces go; nowhere where nothing is set.
    pub traced: Option<Traced>,
}

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The collector's base address.
    pub endpoint: String,
    /// What they are sent by, or why there is nothing.
    #[cfg(feature = "otlp")]
    pub client: Result<reqwest::Client, String>,
}

/// Keeps logging and tracing; waits a moment for what is under way when dropped.
#[derive(Debug)]
pub struct Guard {
    // Before the lines: it may have something to say at its end.
    _traces: Traces,
    _lines: Lines,
}

#[cfg(feature = "otlp")]
type Traces = Option<traces::Traces>;
#[cfg(not(feature = "otlp"))]
type Traces = ();

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

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
    let (lines, writer) = queue::open(journal)?;
    let text = fmt::layer().with_writer(writer.clone()).with_target(false);
    let form: Boxed = match &options.form {
        Form::Text => text.with_ansi(options.color).boxed(),
        Form::Json => text.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        Form::Journal(_) => Entries::new(writer).boxed(),
    };
    // Lines name the pass, and no span of a trace.
    let filter = filter.and(filter_fn(|of| of.target() != spans::TARGET));
    let (layers, traces, untraced) = with_traces(form.with_filter(filter).boxed(), options.traced.as_ref());
    // The only failure is that a subscriber is there already.
    tracing_subscriber::registry().with(layers).try_init().ok();
    if let (Some(to), Some(words)) = (&options.traced, untraced) {
        tracing::warn!("no traces go to {} (`otlp.endpoint`): {words}", to.endpoint);
    }
    Ok(Guard { _traces: traces, _lines: lines })
}

/// All layers; also why there are no traces although they are wanted.
#[cfg(feature = "otlp")]
fn with_traces(lines: Boxed, to: Option<&Traced>) -> (Vec<Boxed>, Traces, Option<String>) {
    let started = |to: &Traced| traces::Traces::start(&to.endpoint, to.client.clone()?);
    match to.map(started) {
        Some(Ok((traces, layer))) => (vec![lines, layer], Some(traces), None),
        Some(Err(words)) => (vec![lines], None, Some(words)),
        None => (vec![lines], None, None),
    }
}

/// All layers; also why there are no traces although they are wanted.
#[cfg(not(feature = "otlp"))]
fn with_traces(lines: Boxed, to: Option<&Traced>) -> (Vec<Boxed>, Traces, Option<String>) {
    let words = "this program was built without the feature `otlp`";
    (vec![lines], (), to.map(|_| words.to_owned()))
}
