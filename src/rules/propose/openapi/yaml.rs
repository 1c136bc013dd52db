//! Owns: YAML 1.2 by its core schema → exact JSON, within limits: what aliases repeat is counted before it is copied.
//!
//! Must not know: OpenAPI; files; how YAML is spelled (the parser's).

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::core_schema;
use crate::record::Json;

/// How much one text may become, aliases followed and what anchors keep for them included.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Values of all kinds, and keys.
    pub nodes: usize,
    /// Bytes of texts, numbers and keys.
    pub bytes: usize,
}

/// Ten times the largest description that is published.
pub const LIMITS: Limits = Limits { nodes: 4_000_000, bytes: 128_000_000 };

/// What cannot be read, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what helps.
    pub reason: String,
}

/// Reads one document. Mappings become objects whose keys are the texts as written (`200:` is "200"), `<<` merges mappings
/// where it is no quoted text, anchors and aliases are followed; plain scalars are what YAML 1.2's core schema says (`yes`,
/// `on` and dates are texts), numbers keep their digits.
///
/// Errors: broken YAML, another encoding than UTF-8, keys that are given twice or are no scalars, tags beyond the core
/// schema, aliases inside what they name, several documents, depth beyond [`Json::DEPTH_MAX`], more than the limits.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Json, YamlError> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut reader = Reader { open: Vec::new(), anchors: HashMap::new(), used: Size::default(), limits, root: None };
    let options = granit_parser::options! { emit_comments: false, flow_nesting_limit: 255, block_nesting_limit: 255 };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| at(error.marker(), error.info().clone()))?;
        reader.take(event, span.start.line()).map_err(|reason| at(&span.start, reason))?;
    }
    Ok(reader.root.unwrap_or(Json::Null))
}

fn at(marker: &Marker, reason: String) -> YamlError {
    YamlError { line: marker.line(), column: marker.col() + 1, reason }
}

fn not_utf8(bytes: &[u8], valid: usize) -> YamlError {
    let before = bytes.get(..valid).unwrap_or_default();
    let line = before.split(|&byte| byte == b'\n').count();
    let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    YamlError { line, column, reason: "it is not UTF-8: convert it, e.g. with `iconv -t utf-8`".to_owned() }
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// What an anchor names.
#[derive(Debug)]
struct Anchored {
    json: Json,
    size: Size,
    /// Arrays and objects that stand inside each other.
    height: usize,
}

/// An array or object whose end has not come yet.
#[derive(Debug)]
struct Open {
    holds: Holds,
    /// The anchor it has, or 0.
    anchor: usize,
    height: usize,
    /// What was used before it.
    before: Size,
}

#[derive(Debug)]
enum Holds {
    Items(Vec<Json>),
    Members {
        members: Vec<(Key, Json)>,
        /// Keys, and the lines where they stand.
        lines: HashMap<Key, usize>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    /// `<<`
    Merge,
}

struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    used: Size,
    limits: Limits,
    root: Option<Json>,
}

type Read<T> = Result<T, String>;

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Read<()> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err("another document begins here: keep one in the file".to_owned())
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), line),
            Event::SequenceStart(_, anchor, tag) => {
                core_schema::check_tag(tag.as_deref(), "seq")?;
                self.enter(Holds::Items(Vec::new()), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                core_schema::check_tag(tag.as_deref(), "map")?;
                self.enter(Holds::Members { members: Vec::new(), lines: HashMap::new(), key: None }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(line),
            Event::Alias(anchor) => self.alias(anchor, line),
            // The events are not closed; what the parser was not asked for does not come.
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, line: usize) -> Read<()> {
        let json = core_schema::resolve(text, style == ScalarStyle::Plain, tag)?;
        let size = Size { nodes: 1, bytes: text.len() };
        self.spend(size)?;
        if anchor != 0 {
            self.spend(size)?;
            self.anchors.insert(anchor, Anchored { json: json.clone(), size, height: 0 });
        }
        if !self.wants_key() {
            return self.put(json, 0, line);
        }
        let is_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
        self.name(if is_merge { Key::Merge } else { Key::Name(text.to_owned()) }, line)
    }

    /// A copy of what an anchor names.
    fn alias(&mut self, anchor: usize, line: usize) -> Read<()> {
        let Some(known) = self.anchors.get(&anchor) else {
            return Err("the alias stands inside what it names: that would never end; use `$ref` instead".to_owned());
        };
        let (size, height) = (known.size, known.height);
        check_depth(self.open.len() + height)?;
        self.spend(size)?;
        let json = self.anchors.get(&anchor).map_or(Json::Null, |known| known.json.clone());
        if !self.wants_key() {
            return self.put(json, height, line);
        }
        match json {
            Json::String(text) | Json::Number(text) => self.name(Key::Name(text), line),
            _ => Err(NO_KEY.to_owned()),
        }
    }

    fn enter(&mut self, holds: Holds, anchor: usize) -> Read<()> {
        if self.wants_key() {
            return Err(NO_KEY.to_owned());
        }
        check_depth(self.open.len() + 1)?;
        let before = self.used;
        self.spend(Size { nodes: 1, bytes: 0 })?;
        self.open.push(Open { holds, anchor, height: 1, before });
        Ok(())
    }

    fn leave(&mut self, line: usize) -> Read<()> {
        let Some(Open { holds, anchor, height, before }) = self.open.pop() else { return Ok(()) };
        let json = match holds {
            Holds::Items(items) => Json::Array(items),
            Holds::Members { members, lines, .. } => Json::Object(merged(members, &lines)),
        };
        if anchor != 0 {
            let size = Size { nodes: self.used.nodes - before.nodes, bytes: self.used.bytes - before.bytes };
            self.spend(size)?;
            self.anchors.insert(anchor, Anchored { json: json.clone(), size, height });
        }
        self.put(json, height, line)
    }

    /// Whether a mapping is open whose next scalar is a key.
    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { holds: Holds::Members { key: None, .. }, .. }))
    }

    fn name(&mut self, name: Key, line: usize) -> Read<()> {
        let Some(Open { holds: Holds::Members { lines, key, .. }, .. }) = self.open.last_mut() else { return Ok(()) };
        if let Some(first) = lines.insert(name.clone(), line) {
            let name = if let Key::Name(name) = &name { name.as_str() } else { "<<" };
            return Err(format!("the key `{}` stands on line {first} already: remove one", core_schema::short(name)));
        }
        *key = Some(name);
        Ok(())
    }

    fn put(&mut self, json: Json, height: usize, line: usize) -> Read<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(json);
            return Ok(());
        };
        open.height = open.height.max(height + 1);
        match &mut open.holds {
            Holds::Items(items) => items.push(json),
            Holds::Members { members, lines, key } => {
                let Some(key) = key.take() else { return Ok(()) };
                if key == Key::Merge && !can_merge(&json) {
                    let line = lines.get(&key).unwrap_or(&line);
                    return Err(format!(
                        "`<<` on line {line} takes a mapping or a list of mappings, mostly by an alias"
                    ));
                }
                members.push((key, json));
            }
        }
        Ok(())
    }

    fn spend(&mut self, size: Size) -> Read<()> {
        self.used.nodes += size.nodes;
        self.used.bytes += size.bytes;
        let what = if self.used.nodes > self.limits.nodes {
            format!("{} values", self.limits.nodes)
        } else if self.used.bytes > self.limits.bytes {
            format!("{} MB of text", self.limits.bytes / 1_000_000)
        } else {
            return Ok(());
        };
        Err(format!(
            "up to here there are more than {what}, with all that aliases repeat: keep only the paths you need"
        ))
    }
}

fn check_depth(depth: usize) -> Read<()> {
    if depth <= Json::DEPTH_MAX {
        return Ok(());
    }
    Err(format!("nested deeper than {}: put what is inside into `components` and use `$ref`", Json::DEPTH_MAX))
}

const NO_KEY: &str = "a key that is no plain text: JSON has none such, write a text";

fn can_merge(json: &Json) -> bool {
    match json {
        Json::Object(_) => true,
        Json::Array(items) => items.iter().all(|item| matches!(item, Json::Object(_))),
        _ => false,
    }
}

/// Members in their order, with what `<<` brings in its place. What the mapping gives itself wins, then what is named first.
fn merged(members: Vec<(Key, Json)>, lines: &HashMap<Key, usize>) -> Vec<(String, Json)> {
    let mut brought: HashSet<String> = HashSet::new();
    let mut all = Vec::with_capacity(members.len());
    for (key, json) in members {
        let parts = match (key, json) {
            (Key::Name(name), json) => {
                all.push((name, json));
                continue;
            }
            (Key::Merge, Json::Array(parts)) => parts,
            (Key::Merge, part) => vec![part],
        };
        for part in parts {
            let Json::Object(part) = part else { continue };
            for (name, json) in part {
                let is_own = lines.contains_key(&Key::Name(name.clone()));
                if !is_own && brought.insert(name.clone()) {
                    all.push((name, json));
                }
            }
        }
    }
    all
}
