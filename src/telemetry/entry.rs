//! Owns: what a log line is in the journal: a message for people, its priority, a field for each thing that it names.
//!
//! Must not know: how it gets there.
//!
//! The format is systemd's "Native Journal Protocol" (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::error::Error;
use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::queue::Writer;

/// What the names of our own fields begin with.
const PREFIX: &str = "RECONCILED_";
/// The longest name that the journal takes.
const NAME_CHARS_MAX: usize = 64;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As syslog has it: 3 error, 4 warning, 6 info, 7 debug.
    pub priority: u8,
    /// For people.
    pub message: String,
    /// Names as the journal takes them, with their values.
    pub fields: Vec<(String, String)>,
}

impl Entry {
    /// The bytes of its datagram.
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.message.len());
        put(&mut bytes, "MESSAGE", &self.message);
        put(&mut bytes, "PRIORITY", &self.priority.to_string());
        put(&mut bytes, "SYSLOG_IDENTIFIER", "reconciled");
        for (name, value) in &self.fields {
            put(&mut bytes, name, value);
        }
        bytes
    }
}

/// A value with line ends follows its length, so that it cannot pass for another field.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// `pass_id` → `RECONCILED_PASS_ID`.
fn name_of(field: &str) -> String {
    let plain = |symbol: char| if symbol.is_ascii_alphanumeric() { symbol.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(field.chars().map(plain)).take(NAME_CHARS_MAX).collect()
}

fn priority_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Makes entries of events.
pub struct Entries {
    writer: Writer,
}

impl Entries {
    /// They go there.
    pub fn new(writer: Writer) -> Self {
        Self { writer }
    }
}

/// What an event or a span says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Said {
    fn keep(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }

    fn pairs(&self) -> String {
        self.fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.keep(field, value.to_string());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Entries {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(said);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(said) = span.extensions_mut().get_mut::<Said>() {
            values.record(said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        let mut message = String::new();
        let mut fields = Vec::new();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Said>() {
                write!(message, "{}{{{}}}: ", span.name(), of_span.pairs()).ok();
                fields.extend(of_span.fields.iter().map(|(name, value)| (name_of(name), value.clone())));
            }
        }
        message.push_str(&said.message);
        if !said.fields.is_empty() {
            write!(message, " {}", said.pairs()).ok();
        }
        fields.extend(said.fields.into_iter().map(|(name, value)| (name_of(name), value)));
        fields.push((name_of("target"), metadata.target().to_owned()));
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            fields.push(("CODE_FILE".to_owned(), file.to_owned()));
            fields.push(("CODE_LINE".to_owned(), line.to_string()));
        }
        self.writer.put(Entry { priority: priority_of(*metadata.level()), message, fields });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What journald makes of a datagram, by the same document.
    fn decoded(mut bytes: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut fields = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if let Some(at) = line.iter().position(|byte| *byte == b'=') {
                fields.push((text(&line[..at]), text(&line[at + 1..])));
                continue;
            }
            let (length, rest) = bytes.split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            fields.push((text(line), text(&rest[..length])));
            assert_eq!(rest[length], b'\n');
            bytes = &rest[length + 1..];
        }
        assert!(bytes.is_empty(), "{bytes:?}");
        fields
    }

    #[test]
    fn an_entry_is_written_as_the_document_says() {
        let entry =
            Entry { priority: 6, message: "all well".to_owned(), fields: vec![("A".to_owned(), "b=c".to_owned())] };
        assert_eq!(entry.encoded(), b"MESSAGE=all well\nPRIORITY=6\nSYSLOG_IDENTIFIER=reconciled\nA=b=c\n");
        // The example of the document, with its length in eight bytes.
        let mut bytes = Vec::new();
        put(&mut bytes, "MESSAGE", "foo\nbar");
        assert_eq!(bytes, b"MESSAGE\n\x07\0\0\0\0\0\0\0foo\nbar\n");
    }

    #[test]
    fn a_value_with_line_ends_passes_for_no_other_field() {
        let forged = "x\nPRIORITY=0\n_UID=0";
        let entry =
            Entry { priority: 4, message: forged.to_owned(), fields: vec![(name_of("error"), forged.to_owned())] };
        let (priority, name) = ("4".to_owned(), "reconciled".to_owned());
        let expected = [
            ("MESSAGE", forged.to_owned()),
            ("PRIORITY", priority),
            ("SYSLOG_IDENTIFIER", name),
            ("RECONCILED_ERROR", forged.to_owned()),
        ];
        assert_eq!(decoded(&entry.encoded()), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn names_are_such_as_the_journal_takes() {
        let check = |field: &str, name: &str| assert_eq!(name_of(field), name);
        check("pass_id", "RECONCILED_PASS_ID");
        check("log.target", "RECONCILED_LOG_TARGET");
        check("größe", "RECONCILED_GR__E");
        assert_eq!(name_of(&"x".repeat(100)).len(), NAME_CHARS_MAX);
    }
}
