//! Owns: texts with a meaning: variables and secrets, paths, filters, places.
//!
//! Must not know: which setting they stand in.

use super::context::Cx;
use crate::record::{Filter, FilterError, Lens, Path};
use crate::rules::diagnostic::{DiagnosticKind, Span, listed};
use crate::rules::grammar::PathOrHeader;
use crate::rules::model::{ItemAt, ListAt, NextAt, Part, Place, Template};
use crate::rules::shape::{At, Either};
use crate::rules::units::{Jq, Text};

/// What a template may hold beside text and variables.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Names of holes such as `id`.
    pub holes: &'static [&'static str],
    /// Whether secrets may stand here.
    pub secrets: bool,
}

impl Allowed {
    /// Variables only.
    pub const VARIABLES: Self = Self { holes: &[], secrets: false };
    /// Variables and secrets.
    pub const SECRETS: Self = Self { holes: &[], secrets: true };
}

impl Cx<'_> {
    /// Reads a template; variables are filled in.
    pub fn template(&mut self, at: &At<Text>, allowed: Allowed) -> Option<Template> {
        let text = at.value.0.as_str();
        let before = self.notes.count();
        let mut parts: Vec<Part> = Vec::new();
        let mut position = 0;
        while let Some(found) = text[position..].find('{') {
            let open = position + found;
            let reference = open > position && text.as_bytes()[open - 1] == b'$';
            let start = if reference { open - 1 } else { open };
            let close = text[open..].find('}').map(|length| open + length);
            let Some(close) = close.filter(|close| reference || is_name(&text[open + 1..*close])) else {
                if reference {
                    let span = self.notes.inside(at.span, text, start..text.len());
                    self.notes
                        .error(DiagnosticKind::Invalid, span, "`${` is never closed")
                        .help("write ${var.NAME} or ${secret.NAME}");
                    return None;
                }
                push_text(&mut parts, &text[position..=open]);
                position = open + 1;
                continue;
            };
            push_text(&mut parts, &text[position..start]);
            let span = self.notes.inside(at.span, text, start..close + 1);
            let name = &text[open + 1..close];
            if reference {
                self.reference(name, span, allowed, &mut parts);
            } else {
                self.hole(name, span, allowed, &mut parts);
            }
            position = close + 1;
        }
        push_text(&mut parts, &text[position..]);
        (self.notes.count() == before).then_some(Template { parts })
    }

    /// Reads a template that names a secret: what would be one in clear is refused.
    pub fn secret(&mut self, at: &At<Text>) -> Option<Template> {
        let template = self.template(at, Allowed::SECRETS)?;
        if template.parts.iter().any(|part| matches!(part, Part::Secret(_))) {
            return Some(template);
        }
        self.notes
            .error(DiagnosticKind::Invalid, at.span, "a secret cannot be written into rules")
            .help("write \"${secret.NAME}\" and put it where secrets are looked for");
        None
    }

    /// Looks at what a text refers to that stands in something which was refused: a missing secret is missing anyway.
    pub fn check_orphan(&mut self, span: Span, text: &str) {
        for (start, _) in text.match_indices("${") {
            let Some(length) = text[start..].find('}') else { return };
            let name = &text[start + 2..start + length];
            if name.starts_with("var.") || name.starts_with("secret.") {
                let at = self.notes.inside(span, text, start..start + length + 1);
                self.reference(name, at, Allowed::SECRETS, &mut Vec::new());
            }
        }
    }

    fn reference(&mut self, name: &str, span: Span, allowed: Allowed, parts: &mut Vec<Part>) {
        if let Some(name) = name.strip_prefix("var.") {
            let vars = self.context.vars;
            if let Some(value) = vars.get(name) {
                push_text(parts, value);
                return;
            }
            let names: Vec<&str> = vars.keys().map(String::as_str).collect();
            let note = self.notes.unknown(span, format!("there is no variable `{name}`"), name, &names).once();
            if names.is_empty() {
                note.help("no variables are set; set it in the daemon's configuration under [vars]");
            }
        } else if let Some(name) = name.strip_prefix("secret.") {
            let found = allowed.secrets.then(|| (self.context.find_secret)(name));
            match found {
                Some(Ok(())) => parts.push(Part::Secret(name.to_owned())),
                Some(Err(looked)) => {
                    let message = format!("there is no secret `{name}`");
                    self.notes.error(DiagnosticKind::UnknownName, span, message).help(looked).once();
                }
                None => {
                    self.notes
                        .error(DiagnosticKind::Invalid, span, "a secret cannot stand here")
                        .label("would be logged")
                        .help("put it into [upstream.NAME.auth] or into a header");
                }
            }
        } else {
            self.notes
                .error(DiagnosticKind::Invalid, span, format!("`${{{name}}}` is neither a variable nor a secret"))
                .help("write ${var.NAME} or ${secret.NAME}");
        }
    }

    fn hole(&mut self, name: &str, span: Span, allowed: Allowed, parts: &mut Vec<Part>) {
        if allowed.holes.contains(&name) {
            parts.push(Part::Hole(name.to_owned()));
            return;
        }
        let note = self.notes.error(DiagnosticKind::UnknownName, span, format!("`{{{name}}}` is not known here"));
        if name.starts_with("parent.") && allowed.holes.contains(&"parent") {
            note.help(
                "write {parent}, the id of the record that it is listed under: an address cannot name that one's own parent, so \
                 take an address of the API that names one, or list all records with a filter in the query",
            );
        } else if allowed.holes.is_empty() {
            note.help("nothing can be filled in here; variables are written ${var.NAME}");
        } else {
            let holes: Vec<String> = allowed.holes.iter().map(|hole| format!("{{{hole}}}")).collect();
            let holes: Vec<&str> = holes.iter().map(String::as_str).collect();
            note.help(format!("known here: {}; variables are written ${{var.NAME}}", listed(&holes)));
        }
    }

    /// Reads a text in which only variables are filled in.
    pub fn plain(&mut self, at: &At<Text>) -> Option<String> {
        let template = self.template(at, Allowed::VARIABLES)?;
        Some(literal(&template))
    }

    /// Reads a plain path.
    pub fn path(&mut self, at: &At<Jq>) -> Option<Path> {
        let path = Path::parse(at.value.0.trim());
        if path.is_none() && self.filter(at, &[]).is_some() {
            let help = as_path(&at.value.0)
                .unwrap_or_else(|| "a plain path is `.`, `.a.b`, `.\"odd key\"` or `.items[0]`".to_owned());
            self.notes
                .error(DiagnosticKind::Invalid, at.span, "a plain path is wanted here, this is a jq filter")
                .label("not a plain path")
                .help(help);
        }
        path
    }

    /// Reads the path of an array: `.results[]`, `.[]`.
    pub fn array_path(&mut self, at: &At<Jq>) -> Option<Path> {
        self.items_at(at, "write \".results[]\", or \".[]\" where the answer is the array")
    }

    fn items_at(&mut self, at: &At<Jq>, help: &str) -> Option<Path> {
        let text = at.value.0.trim();
        let array = text.strip_suffix("[]").map(|array| if array.is_empty() { "." } else { array });
        if let Some(path) = array.and_then(Path::parse) {
            return Some(path);
        }
        if Path::parse(text).is_some() {
            let list = if text == "." { ".[]".to_owned() } else { format!("{text}[]") };
            self.notes
                .error(DiagnosticKind::Invalid, at.span, format!("`{text}` is not a list"))
                .help(format!("write \"{list}\": the items of the array"));
        } else if self.filter(at, &[]).is_some() {
            self.notes
                .error(DiagnosticKind::Invalid, at.span, "the items of an array at a plain path are wanted here")
                .help(help);
        }
        None
    }

    /// As [`Self::array_path`], also `.results[]?`, `.groups[].items[]` and `.edges[].node`.
    pub fn list_at(&mut self, at: &At<Jq>) -> Option<ListAt> {
        let help = "write \".results[]\", \".[]\" where the answer is the array, or \".groups[].items[]\" where arrays are nested";
        parse_list(at.value.0.trim()).or_else(|| self.items_at(at, help).map(ListAt::from))
    }

    /// Compiles a filter; variables of the settings are `$vars.NAME` in it.
    pub fn filter(&mut self, at: &At<Jq>, variables: &[&str]) -> Option<Filter> {
        self.refuse_references(at)?;
        match Filter::compile_with(&at.value.0, variables, self.context.vars) {
            Ok(filter) => Some(filter),
            Err(FilterError { reason, span }) => {
                let span = span.map_or(at.span, |(start, length)| {
                    self.notes.inside(at.span, &at.value.0, start..start + length.max(1))
                });
                let is_of_settings = reason.starts_with("there is no variable `$vars.");
                let note = self.notes.error(DiagnosticKind::Invalid, span, format!("jq: {reason}"));
                if is_of_settings {
                    note.once();
                }
                if let Some(help) = as_path(&at.value.0) {
                    note.help(help);
                }
                None
            }
        }
    }

    /// In jq `${var.NAME}` would be no variable, and within its strings a text like any other.
    fn refuse_references(&mut self, at: &At<Jq>) -> Option<()> {
        let text = at.value.0.as_str();
        let (start, help) = match (text.find("${var."), text.find("${secret.")) {
            (Some(start), _) => (start, "write $vars.NAME; within a string of jq \\($vars.NAME)"),
            (None, Some(start)) => {
                (start, "no filter has secrets: they stand in auth, in headers and in webhook.secrets")
            }
            (None, None) => return Some(()),
        };
        let end = text[start..].find('}').map_or(text.len(), |length| start + length + 1);
        let span = self.notes.inside(at.span, text, start..end);
        let message = format!("`{}` is not filled in here: this is a jq filter", &text[start..end]);
        self.notes.error(DiagnosticKind::Invalid, span, message).help(help);
        None
    }

    /// Reads a path as a lens, anything else as a one-way filter.
    pub fn lens(&mut self, at: &At<Jq>) -> Option<Lens> {
        if let Some(path) = Path::parse(at.value.0.trim()) {
            return Some(Lens::Path(path));
        }
        self.filter(at, &[]).map(|get| Lens::Filter { get, put: None })
    }

    /// Reads a plain path in the body, or a header.
    pub fn next_at(&mut self, at: &At<PathOrHeader>) -> Option<NextAt> {
        match &at.value {
            Either::Short(jq) => {
                let jq = At { key: at.key, span: at.span, value: jq.clone() };
                self.path(&jq).map(NextAt::Body)
            }
            Either::Table(table) => self.header(table.header.get()?).map(NextAt::Header),
        }
    }

    /// Reads the name of a header.
    pub fn header(&mut self, at: &At<Text>) -> Option<String> {
        let name = &at.value.0;
        if http::HeaderName::from_bytes(name.as_bytes()).is_ok() {
            return Some(name.clone());
        }
        self.notes
            .error(DiagnosticKind::Invalid, at.span, format!("\"{name}\" is no header name"))
            .help("e.g. \"X-Api-Key\"");
        None
    }

    /// Reads `query.NAME`, `header.NAME` or `body.PATH`.
    pub fn place(&mut self, at: &At<Text>, kinds: &[&str]) -> Option<Place> {
        let text = at.value.0.as_str();
        let (kind, name) = text.split_once('.').unwrap_or((text, ""));
        let place = match kind {
            "query" if !name.is_empty() => Some(Place::Query(name.to_owned())),
            "header" if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => Some(Place::Header(name.to_owned())),
            "body" if !name.is_empty() => Path::parse(&format!(".{name}")).map(Place::Body),
            _ => None,
        };
        let place = place.filter(|_| kinds.contains(&kind));
        if place.is_none() {
            let forms: Vec<String> = kinds.iter().map(|kind| format!("\"{kind}.NAME\"")).collect();
            self.notes
                .error(DiagnosticKind::Invalid, at.span, format!("\"{text}\" is no place in a request"))
                .help(format!("write {}", forms.join(" or ")));
        }
        place
    }
}

/// `PATH[]`, `PATH[]?`, and behind these another such list, or the path of a record in each item.
fn parse_list(text: &str) -> Option<ListAt> {
    let (array, rest) = text.split_at_checked(find_brackets(text)?)?;
    let rest = rest.strip_prefix("[]")?;
    let lacking = rest.strip_prefix('?');
    let rest = lacking.unwrap_or(rest);
    let item = match rest {
        "" => ItemAt::Whole,
        rest if find_brackets(rest).is_some() => ItemAt::List(Box::new(parse_list(rest)?)),
        rest if rest.starts_with('[') => ItemAt::Record(Path::parse(&format!(".{rest}"))?),
        rest => ItemAt::Record(Path::parse(rest)?),
    };
    let path = if array.is_empty() || array.starts_with('[') { format!(".{array}") } else { array.to_owned() };
    Some(ListAt { path: Path::parse(&path)?, may_lack: lacking.is_some(), item })
}

/// Where the first `[]` is that stands in no quotes.
fn find_brackets(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().enumerate().position(|(at, byte)| {
        let is_free = !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
        is_free && text.as_bytes().get(at..at + 2) == Some(b"[]".as_slice())
    })
}

/// The remedy where a bare name stands for the path of a member.
fn as_path(text: &str) -> Option<String> {
    let text = text.trim();
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic()) && is_name(text) && !text.ends_with('.');
    (is_bare && Path::parse(&format!(".{text}")).is_some())
        .then(|| format!("write \".{text}\": a path begins with a dot"))
}

/// The literal text of a template without secrets and holes.
pub fn literal(template: &Template) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Secret(_) | Part::Hole(_) => String::new(),
    };
    template.parts.iter().map(text).collect()
}

/// True where a template has this hole.
pub fn has_hole(template: &Template, name: &str) -> bool {
    template.has_hole(name)
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// A word in braces that is meant as a hole; `{"a": 1}` is text.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}
