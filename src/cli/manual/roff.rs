//! Owns: sections of man pages, written in man(7) from texts in Markdown's simplest form (`code`).
//!
//! Must not know: which sections there are.

use roff::{Inline, Roff, bold, roman};

/// The first lines that the library writes before each piece; a page needs them once.
const PREAMBLE_LINES: usize = 2;

/// A page that is being written.
#[derive(Debug)]
pub struct Sheet {
    roff: Roff,
    done: String,
}

impl Sheet {
    /// One that begins with what `clap_mangen` made.
    pub fn of(pieces: &[Vec<u8>]) -> Self {
        let mut sheet = Self { roff: Roff::new(), done: String::new() };
        for piece in pieces {
            sheet.made(&String::from_utf8_lossy(piece));
        }
        sheet
    }

    /// An empty one with its title.
    pub fn titled(title: [&str; 5]) -> Self {
        let mut sheet = Self { roff: Roff::new(), done: String::new() };
        sheet.roff.control("TH", title);
        sheet
    }

    /// Adds a piece that is roff already: code between backticks becomes bold, empty lines become indented paragraphs.
    pub fn made(&mut self, piece: &str) {
        self.flush();
        let skipped = if self.done.is_empty() { 0 } else { PREAMBLE_LINES };
        for line in piece.lines().skip(skipped) {
            match line {
                "" => self.done += ".IP",
                line if line.starts_with('.') => self.done += line,
                line => self.done += code_in_bold(line).trim_end(),
            }
            self.done.push('\n');
        }
    }

    /// A heading; text follows it at once.
    pub fn section(&mut self, name: &str) -> &mut Self {
        self.roff.control("SH", [name]);
        self
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.roff.control("PP", []);
        self.roff.text(inlines(text));
        self
    }

    /// A line of text right after a heading.
    pub fn line(&mut self, text: &str) -> &mut Self {
        self.roff.text(inlines(text));
        self
    }

    /// A term with what it means.
    pub fn term(&mut self, term: &str, text: &str) -> &mut Self {
        self.roff.control("TP", []);
        self.roff.text([bold(term)]);
        self.roff.text(inlines(text));
        self
    }

    /// More about the same term.
    pub fn more(&mut self, text: &str) -> &mut Self {
        self.roff.control("IP", []);
        self.roff.text(inlines(text));
        self
    }

    /// Lines as they are.
    pub fn lines(&mut self, text: &str) -> &mut Self {
        self.roff.control("PP", []);
        self.roff.control("nf", []);
        self.roff.control("RS", ["4"]);
        for line in text.lines() {
            // An empty line is a request of its own, which is not liked.
            self.roff.text([roman(if line.is_empty() { "\u{a0}" } else { line })]);
        }
        self.roff.control("RE", []);
        self.roff.control("fi", []);
        self
    }

    /// The page.
    pub fn text(mut self) -> String {
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        let piece = std::mem::take(&mut self.roff);
        if piece == Roff::new() {
            return;
        }
        let skipped = if self.done.is_empty() { 0 } else { PREAMBLE_LINES };
        for line in piece.render().lines().skip(skipped) {
            // A paragraph begins with its heading.
            if line == ".PP" && self.done.lines().last().is_some_and(|above| above.starts_with(".SH")) {
                continue;
            }
            self.done += &line.replace('\u{a0}', "\\&");
            self.done.push('\n');
        }
    }
}

fn inlines(text: &str) -> Vec<Inline> {
    text.split('`')
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) })
        .collect()
}

fn code_in_bold(line: &str) -> String {
    if line.matches('`').count() % 2 == 1 {
        return line.to_owned();
    }
    let parts = line.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("\\fB{part}\\fR") } else { part.to_owned() }).collect()
}
