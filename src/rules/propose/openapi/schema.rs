//! Owns: schemas: `allOf` merged, alternatives that are null seen through, objects laid flat.
//!
//! Must not know: requests.

use super::document::{Document, items, members};
use crate::record::{Json, Path, Step};
use crate::rules::propose::kind::Kind;
use crate::rules::propose::names::is_unordered;

/// Objects in objects are laid flat down to here.
const DEPTH_MAX: usize = 4;
/// Places that are looked at, at most.
const PLACES_MAX: usize = 1000;

/// What a schema says, with all that it is made of.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Shape<'a> {
    /// The types but for null.
    pub types: Vec<&'a str>,
    /// May be null.
    pub nullable: bool,
    /// The format.
    pub format: Option<&'a str>,
    /// Members.
    pub properties: Vec<(&'a str, &'a Json)>,
    /// Members that are always there.
    pub required: Vec<&'a str>,
    /// What an array holds.
    pub items: Option<&'a Json>,
    /// No item of it twice.
    pub unique: bool,
    /// Set by the upstream alone.
    pub read_only: bool,
    /// Never shown.
    pub write_only: bool,
    /// The texts that are allowed.
    pub one_of: Vec<&'a str>,
    /// The step of numbers, as written.
    pub multiple_of: Option<&'a str>,
    /// Several alternatives: what it is depends.
    pub mixed: bool,
    /// The parts that it was made of, to end loops by.
    parts: Vec<&'a Json>,
}

/// A place of a record.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Where.
    pub path: Path,
    /// What stands there.
    pub shape: Shape<'a>,
    /// There, and never null, in every record.
    pub required: bool,
}

/// Reads a schema.
pub fn shape<'a>(document: &'a Document, schema: &'a Json) -> Shape<'a> {
    let mut shape = Shape::default();
    merge(document, schema, &mut shape);
    shape.types.dedup();
    if shape.types.is_empty() && !shape.mixed {
        if !shape.properties.is_empty() {
            shape.types.push("object");
        } else if shape.items.is_some() {
            shape.types.push("array");
        }
    }
    shape
}

fn merge<'a>(document: &'a Document, schema: &'a Json, shape: &mut Shape<'a>) {
    flags(schema, shape);
    let schema = document.follow(schema);
    if shape.parts.iter().any(|part| std::ptr::eq(*part, schema)) {
        return;
    }
    shape.parts.push(schema);
    flags(schema, shape);
    let types = schema.get("type");
    let named = types.and_then(Json::as_str).into_iter().chain(items(types).iter().filter_map(Json::as_str));
    for name in named {
        if name == "null" {
            shape.nullable = true;
        } else if !shape.types.contains(&name) {
            shape.types.push(name);
        }
    }
    shape.format = shape.format.or(schema.get("format").and_then(Json::as_str));
    shape.items = shape.items.or(schema.get("items"));
    if let Some(Json::Number(step)) = schema.get("multipleOf") {
        shape.multiple_of = Some(step);
    }
    shape.required.extend(items(schema.get("required")).iter().filter_map(Json::as_str));
    for (name, property) in members(schema.get("properties")) {
        if !shape.properties.iter().any(|(known, _)| known == name) {
            shape.properties.push((name, property));
        }
    }
    let allowed = items(schema.get("enum"));
    if shape.one_of.is_empty() {
        shape.one_of = allowed.iter().filter_map(Json::as_str).collect();
    }
    shape.nullable |= allowed.iter().any(|value| matches!(value, Json::Null));
    for part in items(schema.get("allOf")) {
        merge(document, part, shape);
    }
    for alternatives in [items(schema.get("anyOf")), items(schema.get("oneOf"))] {
        let is_null = |part: &&Json| part.get("type").and_then(Json::as_str) == Some("null");
        shape.nullable |= alternatives.iter().any(|part| is_null(&part));
        match alternatives.iter().filter(|part| !is_null(part)).collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => merge(document, one, shape),
            _ => shape.mixed = true,
        }
    }
}

fn flags<'a>(schema: &'a Json, shape: &mut Shape<'a>) {
    let says = |key: &str| matches!(schema.get(key), Some(Json::Bool(true)));
    shape.nullable |= says("nullable");
    shape.read_only |= says("readOnly");
    shape.write_only |= says("writeOnly");
    shape.unique |= says("uniqueItems");
}

/// Every place of the records of this schema.
pub fn lay_flat<'a>(document: &'a Document, schema: &'a Json) -> Vec<Leaf<'a>> {
    let mut leaves = Vec::new();
    let whole = shape(document, schema);
    walk(document, whole, (Path { steps: Vec::new() }, true), &mut Vec::new(), &mut leaves);
    leaves
}

fn walk<'a>(
    document: &'a Document,
    shape_here: Shape<'a>,
    (path, required): (Path, bool),
    above: &mut Vec<&'a Json>,
    leaves: &mut Vec<Leaf<'a>>,
) {
    if leaves.len() >= PLACES_MAX || shape_here.write_only {
        return;
    }
    let is_object = shape_here.types == ["object"] && !shape_here.properties.is_empty() && !shape_here.mixed;
    let is_loop = shape_here.parts.iter().any(|part| above.iter().any(|known| std::ptr::eq(*known, *part)));
    if !is_object || is_loop || path.steps.len() >= DEPTH_MAX {
        leaves.push(Leaf { path, shape: shape_here, required });
        return;
    }
    let mark = above.len();
    above.extend(&shape_here.parts);
    for (name, property) in &shape_here.properties {
        let mut steps = path.steps.clone();
        steps.push(Step::Key((*name).to_owned()));
        let mut inner = shape(document, property);
        inner.read_only |= shape_here.read_only;
        let always = required && shape_here.required.contains(name) && !inner.nullable;
        walk(document, inner, (Path { steps }, always), above, leaves);
    }
    above.truncate(mark);
}

/// The type of a field.
pub fn kind_of(document: &Document, name: &str, shape_here: &Shape<'_>) -> Kind {
    let unix = |codec: &'static str| Kind { codec: Some(codec), ..Kind::plain("datetime") };
    if shape_here.mixed {
        return Kind::plain("json").because("the description has several alternatives");
    }
    match (shape_here.types.as_slice(), shape_here.format) {
        (["string"], Some("date")) => Kind::plain("date"),
        (["string"], Some("date-time")) => Kind::plain("datetime"),
        (["string"], _) => Kind::plain("text"),
        (["integer"], Some("unix-time" | "unix-timestamp")) => unix("unix_s"),
        (["integer"], _) => Kind::plain("integer"),
        (["number"], _) => number(shape_here),
        (["boolean"], _) => Kind::plain("boolean"),
        (["array"], _) => {
            let texts = shape_here.items.is_some_and(|items| shape(document, items).types == ["string"]);
            match texts {
                true if shape_here.unique => Kind::plain("set"),
                true if is_unordered(name) => {
                    Kind::plain("set").because("by its name the order of its texts means nothing")
                }
                true => Kind::plain("list"),
                false => Kind::plain("json"),
            }
        }
        (["object"], _) => Kind::plain("json"),
        ([], _) => Kind::plain("json").because("the description does not say its type"),
        _ => Kind::plain("json").because("the description has several types"),
    }
}

fn number(shape: &Shape<'_>) -> Kind {
    let digits = shape.multiple_of.and_then(|step| step.strip_prefix("0.")).map(str::len);
    match digits.filter(|digits| (1..=9).contains(digits)).and_then(|digits| u32::try_from(digits).ok()) {
        Some(scale) => Kind { scale: Some(scale), ..Kind::plain("decimal") },
        None if matches!(shape.format, Some("double" | "float")) => Kind::plain("real"),
        None => Kind::plain("real").because("a number; amounts of money are better decimal, with their scale"),
    }
}
