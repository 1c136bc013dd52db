//! Owns: requests: `"GET /me"` or a table.
//!
//! Must not know: what the request is for, beyond what the caller says.

use super::context::Cx;
use super::text::{Allowed, has_hole};
use crate::record::Json;
use crate::rules::diagnostic::{DiagnosticKind, Span};
use crate::rules::grammar::{RawBody, Request as RawRequest, RequestShape};
use crate::rules::model::{Encoding, JsonTemplate, Part, Request, Template};
use crate::rules::shape::{At, Either, Key, Named, OneOrMany};
use crate::rules::units::Text;

/// What a request is for: which methods, holes and settings make sense.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// For messages: `a listing`.
    pub what: &'static str,
    /// Methods, the first being the default where `default_method` says so.
    pub methods: &'static [&'static str],
    /// Whether the first method may be left out.
    pub default_method: bool,
    /// Known holes. Where `{id}` is one, it must be in it.
    pub holes: &'static [&'static str],
    /// Whether the answer holds one record.
    pub answers_record: bool,
    /// Whether the rules say what its body is; that of other writes is made of the record.
    pub fixed_body: bool,
}

impl Purpose {
    /// The same where each record says under which parent it was listed.
    pub fn under(self, tells_parent: bool) -> Self {
        let holes: &'static [&'static str] = match self.holes {
            ["id"] if tells_parent => &["id", "parent"],
            ["id", "version"] if tells_parent => &["id", "version", "parent"],
            ["id", "version", "key"] if tells_parent => &["id", "version", "key", "parent"],
            holes => holes,
        };
        Self { holes, ..self }
    }
}

/// A health probe.
pub const PROBE: Purpose = Purpose {
    what: "a health probe",
    methods: &["GET", "POST", "HEAD"],
    default_method: true,
    holes: &[],
    answers_record: false,
    fixed_body: true,
};
/// A listing.
pub const LISTING: Purpose = Purpose { what: "a listing", methods: &["GET", "POST"], ..PROBE };
/// A listing under a parent, and one whose pages are counted by a hole of that name.
pub fn listing(is_under: bool, counted: Option<&str>) -> Purpose {
    let holes: &'static [&'static str] = match (is_under, counted) {
        (false, Some("page")) => &["page"],
        (false, Some("offset")) => &["offset"],
        (true, Some("page")) => &["parent", "page"],
        (true, Some("offset")) => &["parent", "offset"],
        (true, _) => &["parent"],
        (false, _) => &[],
    };
    Purpose { holes, ..LISTING }
}
/// A listing of what a job has made, and one whose pages are counted by a hole of that name.
pub fn listing_of_job(counted: Option<&str>) -> Purpose {
    let holes: &'static [&'static str] = match counted {
        Some("page") => &["job", "page"],
        Some("offset") => &["job", "offset"],
        _ => &["job"],
    };
    Purpose { holes, ..LISTING }
}
/// What asks for an export.
pub const EXPORT: Purpose = Purpose { what: "an export", methods: &["POST", "GET"], default_method: false, ..LISTING };
/// How far a job is.
pub const JOB_STATUS: Purpose = Purpose { what: "a job's status", holes: &["job"], ..LISTING };
/// A point read.
pub const POINT_READ: Purpose = Purpose { what: "a point read", holes: &["id"], answers_record: true, ..LISTING };
/// A create.
pub const CREATE: Purpose = Purpose {
    what: "a create",
    methods: &["POST", "PUT", "PATCH"],
    default_method: false,
    answers_record: true,
    fixed_body: false,
    ..PROBE
};
/// A create under an id that we choose.
pub const CREATE_WITH_ID: Purpose = Purpose { holes: &["id"], ..CREATE };
/// A create under a parent.
pub const CREATE_UNDER: Purpose = Purpose { holes: &["parent"], ..CREATE };
/// A create that names its record by a field.
pub const CREATE_BY_MATCH: Purpose = Purpose { holes: &["match"], ..CREATE };
/// A create under a parent that names its record by a field.
pub const CREATE_UNDER_BY_MATCH: Purpose = Purpose { holes: &["parent", "match"], ..CREATE };
/// A create under a parent, under an id that we choose.
pub const CREATE_UNDER_WITH_ID: Purpose = Purpose { holes: &["id", "parent"], ..CREATE };
/// An update.
pub const UPDATE: Purpose =
    Purpose { what: "an update", methods: &["PATCH", "PUT", "POST"], holes: &["id", "version"], ..CREATE };
/// A delete.
pub const DELETE: Purpose = Purpose {
    what: "a delete",
    methods: &["DELETE", "POST", "PUT", "PATCH"],
    answers_record: false,
    fixed_body: true,
    ..UPDATE
};
/// An archive.
pub const ARCHIVE: Purpose = Purpose { what: "an archive", methods: &["POST", "PATCH", "PUT", "DELETE"], ..DELETE };
/// A change of state that is a call of its own.
pub const TRANSITION: Purpose = Purpose {
    what: "a transition",
    methods: &["POST", "PUT", "PATCH", "DELETE"],
    holes: &["id", "version", "key"],
    fixed_body: true,
    ..CREATE
};
/// A batch; what its body says is around the items.
pub const BATCH: Purpose =
    Purpose { what: "a batch", methods: &["POST", "PUT", "PATCH"], answers_record: false, fixed_body: true, ..CREATE };

/// Reads a request.
pub fn lower(at: &At<RequestShape>, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Request> {
    lower_naming(at, purpose, false, cx)
}

/// The same; something else may say already which record is meant.
pub fn lower_naming(at: &At<RequestShape>, purpose: Purpose, names_it: bool, cx: &mut Cx<'_>) -> Option<Request> {
    let request = match &at.value {
        Either::Short(text) => short(&text.0, at.span, purpose, cx),
        Either::Table(table) => long(table, purpose, cx),
    }?;
    let in_query = request.query.iter().any(|(_, value)| has_hole(value, "id"));
    let in_body = request.body.as_ref().is_some_and(|body| body.has_hole("id"));
    if purpose.holes.contains(&"id") && !names_it && !has_hole(&request.path, "id") && !in_query && !in_body {
        cx.notes
            .error(
                DiagnosticKind::Missing,
                at.span,
                format!("`{{id}}` is missing: {} must say which record", purpose.what),
            )
            .help("put it into the path: \"/contacts/{id}\"");
        return None;
    }
    Some(request)
}

fn short(text: &str, span: Span, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Request> {
    let Some((method, path)) = text.trim().split_once(' ') else {
        cx.notes
            .error(DiagnosticKind::Invalid, span, format!("\"{text}\" is no request"))
            .help(format!("write \"{} /path\"", purpose.methods[0]));
        return None;
    };
    let path = path.trim();
    let method = check_method(method, cx.notes.inside(span, text, find(text, method)), purpose, cx);
    let path = read_path(path, cx.notes.inside(span, text, find(text, path)), purpose, cx);
    Some(Request {
        method: method?,
        path: path?,
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        encoding: Encoding::Json,
        record: None,
    })
}

fn find(text: &str, part: &str) -> std::ops::Range<usize> {
    let start = text.find(part).unwrap_or(0);
    start..start + part.len()
}

/// Reads a request that is written as a table.
pub fn long(table: &RawRequest, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Request> {
    let method = match &table.method {
        Key::Given(at) => check_method(&at.value.0, at.span, purpose, cx),
        Key::Absent if purpose.default_method => Some(purpose.methods[0].to_owned()),
        Key::Absent => {
            let span = table.path.get().map(|at| at.key).unwrap_or_default();
            cx.notes
                .error(DiagnosticKind::Missing, span, format!("`method` is missing: {} must say it", purpose.what))
                .help(format!("write method = \"{}\"", purpose.methods[0]));
            None
        }
        Key::Bad => None,
    };
    let path = table.path.get().and_then(|at| read_path(&at.value.0, at.span, purpose, cx));
    let allowed = Allowed { holes: purpose.holes, secrets: false };
    let query = parameters(&table.query, allowed, cx);
    let headers = headers(&table.headers, purpose.holes, cx);
    let record = table.record.get().and_then(|at| {
        if !purpose.answers_record {
            cx.notes.inert(at.key, "record", format_args!("{} has no record in its answer", purpose.what));
        }
        cx.path(at)
    });
    if matches!(table.record, Key::Bad) {
        return None;
    }
    let body = body(table, method.as_deref(), purpose, cx);
    let encoding = encoding(table, method.as_deref(), purpose, cx);
    Some(Request {
        method: method?,
        path: path?,
        query: query?,
        headers: headers?,
        body: body?,
        encoding: encoding?,
        record,
    })
}

/// The fixed body of a read, a delete or a batch.
#[expect(clippy::option_option, reason = "not given, refused, and read are three things")]
fn body(table: &RawRequest, method: Option<&str>, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Option<JsonTemplate>> {
    let Some(at) = table.body.get() else { return table.body.is_absent().then_some(None) };
    if !purpose.fixed_body {
        cx.notes
            .error(DiagnosticKind::Conflict, at.key, format!("the body of {} is made of the record", purpose.what))
            .help("write body = '{…}', a jq filter over record, changed and remote, beside `request`");
        return None;
    }
    if method.is_some_and(|method| !["POST", "PUT", "PATCH"].contains(&method)) {
        cx.notes.inert(at.key, "body", "only POST has a body here").help("write method = \"POST\"");
        return None;
    }
    json(&at.value.0, Allowed { holes: purpose.holes, secrets: false }, cx).map(Some)
}

/// How the body is written, where there is one.
fn encoding(table: &RawRequest, method: Option<&str>, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Encoding> {
    let Some(at) = table.encoding.get() else { return table.encoding.is_absent().then_some(Encoding::Json) };
    if let Some(method) = method.filter(|method| !["POST", "PUT", "PATCH"].contains(method)) {
        cx.notes.inert(at.key, "encoding", format_args!("a {method} has no body")).help("leave it out");
    } else if purpose.what == BATCH.what && at.value != Encoding::Json {
        cx.notes
            .error(DiagnosticKind::Conflict, at.span, "a batch is written as JSON")
            .help("leave `encoding` out, or send each by itself, without `write.batch`");
    }
    Some(at.value)
}

/// JSON whose texts are filled in.
pub fn json(raw: &RawBody, allowed: Allowed, cx: &mut Cx<'_>) -> Option<JsonTemplate> {
    match raw {
        RawBody::Text(at) => cx.template(at, allowed).map(JsonTemplate::Text),
        RawBody::Number(number) => Some(JsonTemplate::Fixed(Json::Number(number.clone()))),
        RawBody::Boolean(flag) => Some(JsonTemplate::Fixed(Json::Bool(*flag))),
        RawBody::List(items) => {
            let read: Vec<Option<JsonTemplate>> = items.iter().map(|item| json(item, allowed, cx)).collect();
            read.into_iter().collect::<Option<Vec<JsonTemplate>>>().map(JsonTemplate::List)
        }
        RawBody::Table(members) => {
            let read: Vec<Option<(String, JsonTemplate)>> =
                members.iter().map(|(name, value)| Some((name.clone(), json(value, allowed, cx)?))).collect();
            read.into_iter().collect::<Option<Vec<(String, JsonTemplate)>>>().map(JsonTemplate::Object)
        }
    }
}

/// Reads headers: names checked, secrets allowed.
pub fn headers(
    named: &Key<Named<Text>>,
    holes: &'static [&'static str],
    cx: &mut Cx<'_>,
) -> Option<Vec<(String, Template)>> {
    for (name, span, _) in named.get().map(|at| at.members.as_slice()).unwrap_or_default() {
        cx.header(&At { key: *span, span: *span, value: Text(name.clone()) });
    }
    templates(named, Allowed { holes, secrets: true }, cx)
}

/// Named templates.
pub fn templates(named: &Key<Named<Text>>, allowed: Allowed, cx: &mut Cx<'_>) -> Option<Vec<(String, Template)>> {
    let mut list = Vec::new();
    let mut complete = !matches!(named, Key::Bad);
    for (name, _, value) in named.get().map(|at| at.members.as_slice()).unwrap_or_default() {
        match value.get().and_then(|at| cx.template(at, allowed)) {
            Some(template) => list.push((name.clone(), template)),
            None => complete = false,
        }
    }
    complete.then_some(list)
}

/// The parameters of a query; one with several values stands there several times.
fn parameters(
    named: &Key<Named<OneOrMany<Text>>>,
    allowed: Allowed,
    cx: &mut Cx<'_>,
) -> Option<Vec<(String, Template)>> {
    let mut list = Vec::new();
    let mut complete = !matches!(named, Key::Bad);
    for (name, _, value) in named.get().map(|at| at.members.as_slice()).unwrap_or_default() {
        let Some(values) = value.get() else {
            complete = false;
            continue;
        };
        if values.items.is_empty() {
            cx.notes
                .inert(values.span, name, "it has no value")
                .help("leave it out, or write a value: an empty one is \"\"");
        }
        for at in &values.items {
            match cx.template(at, allowed) {
                Some(template) => list.push((name.clone(), template)),
                None => complete = false,
            }
        }
    }
    complete.then_some(list)
}

fn check_method(method: &str, span: Span, purpose: Purpose, cx: &mut Cx<'_>) -> Option<String> {
    if purpose.methods.contains(&method) {
        return Some(method.to_owned());
    }
    let message = format!("{} cannot be a \"{method}\" request", purpose.what);
    cx.notes.unknown(span, message, &method.to_ascii_uppercase(), purpose.methods);
    None
}

fn read_path(path: &str, span: Span, purpose: Purpose, cx: &mut Cx<'_>) -> Option<Template> {
    if !path.starts_with('/') {
        cx.notes
            .error(DiagnosticKind::Invalid, span, format!("the path \"{path}\" does not begin with `/`"))
            .help("paths are below base_url: \"/contacts\"");
        return None;
    }
    if let Some(at) = path.find(['?', '#']) {
        let (path, rest) = path.split_at(at);
        cx.notes
            .error(DiagnosticKind::Invalid, span, format!("a path cannot hold \"{rest}\""))
            .help(format!("write {{ path = \"{path}\", query = {{ NAME = \"VALUE\" }} }}"));
        return None;
    }
    let text = At { key: span, span, value: Text(path.to_owned()) };
    cx.template(&text, Allowed { holes: purpose.holes, secrets: false })
}

/// The path with every hole filled by something, to compare it with patterns.
pub fn sample_path(request: &Request) -> String {
    let fill = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Secret(_) | Part::Hole(_) => "x".to_owned(),
    };
    request.path.parts.iter().map(fill).collect()
}
