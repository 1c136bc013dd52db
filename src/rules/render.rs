//! Owns: diagnostics as people read them in a terminal: path, line, caret, what is wrong, what would be right.
//!
//! Must not know: what is wrong.

use std::fmt::Write;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::diagnostic::{Diagnostic, Severity, Source};

/// Draws all diagnostics, and a last line that counts them.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], colour: bool, width: usize) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.max(40))
        .with_links(false)
        .with_context_lines(1)
        .with_break_words(false)
        .without_syntax_highlighting();
    let mut text = String::new();
    for diagnostic in diagnostics {
        draw(&handler, diagnostic, sources, &mut text);
        text.push('\n');
    }
    text.push_str(&summary(diagnostics));
    text
}

fn draw(handler: &GraphicalReportHandler, diagnostic: &Diagnostic, sources: &[Source], text: &mut String) {
    let severity = match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let mut drawn = MietteDiagnostic::new(&diagnostic.message).with_severity(severity);
    drawn =
        drawn.with_label(LabeledSpan::new_primary_with_span(Some(diagnostic.label.clone()), diagnostic.span.clone()));
    let mut help = diagnostic.help.clone();
    if let Some(second) = &diagnostic.second {
        if second.path == diagnostic.path {
            drawn = drawn.and_label(LabeledSpan::new_with_span(Some(second.label.clone()), second.span.clone()));
        } else {
            let place = format!("{} at {}:{}:{}", second.label, second.path, second.line, second.column);
            help = Some(help.map_or(place.clone(), |help| format!("{help}\n{place}")));
        }
    }
    if !diagnostic.also.is_empty() {
        let places = diagnostic.also.iter().map(|also| format!("{}:{}:{}", also.path, also.line, also.column));
        let places = format!("also at {}", places.collect::<Vec<_>>().join(", "));
        help = Some(help.map_or(places.clone(), |help| format!("{help}\n{places}")));
    }
    if let Some(help) = help {
        drawn = drawn.with_help(help);
    }
    let source = sources.iter().find(|source| source.path == diagnostic.path);
    let code = source.map(|source| source.text.clone()).unwrap_or_default();
    let report = Report::new(drawn).with_source_code(NamedSource::new(&diagnostic.path, code));
    if handler.render_report(text, report.as_ref()).is_err() {
        let _ = writeln!(text, "{}:{}:{}: {}", diagnostic.path, diagnostic.line, diagnostic.column, diagnostic.message);
    }
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    match (errors, diagnostics.len() - errors) {
        (0, 0) => String::new(),
        (0, warnings) => format!("{}\n", count(warnings, "warning")),
        (errors, 0) => format!("{}\n", count(errors, "error")),
        (errors, warnings) => format!("{}, {}\n", count(errors, "error"), count(warnings, "warning")),
    }
}
