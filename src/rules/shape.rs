//! Owns: how types describe the shape of rules: one declaration gives the struct, its reader with spans, and its JSON Schema.
//!
//! Must not know: which keys there are (that is `grammar`), what they mean (that is `check`).

use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml::de::DeValue;

use super::diagnostic::{DiagnosticKind, Notes, Span, suggestion};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The key it is given for (the value itself in arrays).
    pub key: Span,
    /// The value.
    pub span: Span,
    /// What was read.
    pub value: T,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key of a table: not there, there but refused (already reported), or read.
#[derive(Clone, Debug, Default)]
pub enum Key<T> {
    /// Not there.
    #[default]
    Absent,
    /// There, and reported.
    Bad,
    /// There.
    Given(At<T>),
}

impl<T> Key<T> {
    /// The value, where it was read.
    pub fn get(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }

    /// True where the author wrote nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Copy> Key<T> {
    /// The value, or a default.
    pub fn or(&self, default: T) -> T {
        self.get().map_or(default, |at| at.value)
    }
}

/// One value of a parsed file.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Where its key stands.
    pub key: Span,
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    /// The members of a table in the order written, or `None` for anything else.
    pub fn members(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let table = self.value.as_table()?;
        let source = self.span.source;
        let mut members: Vec<(&str, Node<'_>)> = table
            .iter()
            .map(|(key, value)| {
                let node = Node {
                    key: Span::new(source, key.span()),
                    span: Span::new(source, value.span()),
                    value: value.get_ref(),
                };
                (key.get_ref().as_ref(), node)
            })
            .collect();
        members.sort_by_key(|(_, node)| node.key);
        Some(members)
    }

    /// The items of an array, or `None`.
    pub fn items(&self) -> Option<Vec<Node<'a>>> {
        let source = self.span.source;
        let item = |value: &'a toml::Spanned<DeValue<'a>>| {
            let span = Span::new(source, value.span());
            Node { key: span, span, value: value.get_ref() }
        };
        Some(self.value.as_array()?.iter().map(item).collect())
    }

    /// What stands here, for messages: `the integer 5`.
    pub fn found(&self) -> String {
        let shorten = |text: &str| text.chars().take(40).collect::<String>();
        match self.value {
            DeValue::String(text) => format!("the text \"{}\"", shorten(text)),
            DeValue::Integer(number) => format!("the integer {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(at) => format!("the date-time {at}"),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// Reports that something else is wanted here.
    pub fn wrong(&self, wanted: &str, notes: &mut Notes<'_>) {
        notes.error(DiagnosticKind::WrongType, self.span, format!("wants {wanted}, found {}", self.found()));
    }
}

/// Something that can be read from a node, reporting everything that is wrong below it.
pub trait Shape: JsonSchema + Sized {
    /// What is wanted, with an example: `a duration such as "5m"`.
    const WANTED: &'static str;

    /// Reads it; `None` after a report.
    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self>;
}

/// Reads a node with its place.
pub fn read_at<T: Shape>(node: Node<'_>, notes: &mut Notes<'_>) -> Key<T> {
    match T::read(node, notes) {
        Some(value) => Key::Given(At { key: node.key, span: node.span, value }),
        None => Key::Bad,
    }
}

/// The kind of a tagged table, and the keys of all its kinds.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'t> {
    /// This one's kind.
    pub kind: &'t str,
    /// Every kind with its keys.
    pub all: &'t [(&'t str, &'t [&'t str])],
}

impl<'t> Tag<'t> {
    /// Another kind that knows this key.
    fn sibling(&self, key: &str) -> Option<&'t str> {
        self.all.iter().find(|(_, keys)| keys.contains(&key)).map(|(kind, _)| *kind)
    }
}

/// A table under reading: keys are taken one by one, what is left over is unknown.
pub struct Reader<'a> {
    members: Vec<(&'a str, Node<'a>)>,
    at: Span,
}

impl<'a> Reader<'a> {
    /// Opens a table. The tag, where there is one, was read by somebody else.
    pub fn open(
        node: Node<'a>,
        wanted: &str,
        keys: &[&str],
        later: &[(&str, &str)],
        tag: Option<Tag<'_>>,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let Some(mut members) = node.members() else {
            node.wrong(wanted, notes);
            return None;
        };
        members.retain(|(name, member)| {
            if keys.contains(name) {
                return true;
            }
            if tag.is_some() && *name == "kind" {
                return false;
            }
            if let Some((tag, sibling)) = tag.and_then(|tag| Some((tag, tag.sibling(name)?))) {
                notes
                    .inert(member.key, name, format_args!("the kind is \"{}\"", tag.kind))
                    .help(format!("it is for kind = \"{sibling}\""));
            } else if let Some((_, why)) = later.iter().find(|(key, _)| key == name) {
                not_supported(member.key, name, why, notes);
            } else {
                let note = notes.error(DiagnosticKind::UnknownKey, member.key, format!("unknown key `{name}`"));
                if let Some(help) = suggestion(name, keys) {
                    note.help(help);
                }
            }
            false
        });
        Some(Self { members, at: node.key })
    }

    /// Takes one key; `example` is shown where it is missing or of the wrong type.
    pub fn take<T: Shape>(
        &mut self,
        name: &str,
        required: bool,
        example: Option<&str>,
        notes: &mut Notes<'_>,
    ) -> Key<T> {
        let Some(at) = self.members.iter().position(|(key, _)| *key == name) else {
            if required {
                let help = example.map_or_else(
                    || format!("`{name}` wants {}", T::WANTED),
                    |example| format!("write {name} = {example}"),
                );
                notes.error(DiagnosticKind::Missing, self.at, format!("`{name}` is missing")).help(help);
                return Key::Bad;
            }
            return Key::Absent;
        };
        let (_, node) = self.members.remove(at);
        let before = notes.count();
        let key = read_at(node, notes);
        if let Some(example) = example {
            notes.help_wrong_type(before, node.span, &format!("write {name} = {example}"));
        }
        key
    }
}

/// Reports a part of the language that this version does not carry out, or what never will be part of it.
pub fn not_supported(span: Span, name: &str, why: &str, notes: &mut Notes<'_>) {
    if let Some((why, help)) = why.strip_prefix("never: ").and_then(|why| why.split_once("; ")) {
        notes.error(DiagnosticKind::UnknownName, span, format!("there is no `{name}`: {why}")).help(help);
        return;
    }
    notes.error(DiagnosticKind::NotSupported, span, format!("not supported yet: `{name}` ({why})"));
}

/// The key as rules write it: `r#match` is `match`.
pub const fn plain_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Joins doc lines into one description.
pub fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// An object schema that takes exactly the given keys.
pub fn object_schema(about: &str, members: Vec<(&'static str, Schema, String, bool)>) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for (name, mut schema, about, needed) in members {
        if !about.is_empty() {
            schema.insert("description".to_owned(), about.into());
        }
        properties.insert(name.to_owned(), schema.to_value());
        if needed {
            required.push(name);
        }
    }
    let mut schema = schemars::json_schema!({
        "type": "object",
        "description": about,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

/// A schema that takes either of several.
pub fn any_of(schemas: Vec<Schema>) -> Schema {
    let list: Vec<serde_json::Value> = schemas.into_iter().map(Schema::to_value).collect();
    schemars::json_schema!({ "anyOf": list })
}

/// Adds the tag of a kind-tagged table.
pub fn tagged(mut schema: Schema, kind: &str, about: &str) -> Schema {
    let tag = serde_json::json!({ "const": kind, "description": about });
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        properties.insert("kind".to_owned(), tag);
    }
    let mut required = vec![serde_json::Value::from("kind")];
    if let Some(list) = schema.get("required").and_then(serde_json::Value::as_array) {
        required.extend(list.iter().cloned());
    }
    schema.insert("required".to_owned(), required.into());
    schema
}

/// Declares a table: the struct with spans, its reader and its schema. `= required` marks keys that must be there;
/// `later` names keys of the language that are refused as not supported yet.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $wanted:literal {
            $( $(#[doc = $about:literal])+ $key:ident : $ty:ty $(= $required:ident)? ),* $(,)?
        }
        $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $( $(#[doc = $about])+ pub $key: $crate::rules::shape::Key<$ty>, )*
        }

        impl $name {
            /// Every key that is accepted.
            pub const KEYS: &[&str] = &[$( $crate::rules::shape::plain_name(stringify!($key)), )*];
            /// Keys of the language that are refused as not supported yet, with the reason.
            pub const LATER: &[(&str, &str)] = &[$($( ($late, $why), )*)?];

            fn read_skipping(
                node: $crate::rules::shape::Node<'_>,
                tag: Option<$crate::rules::shape::Tag<'_>>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                #[allow(unused_mut, reason = "a table may have no keys")]
                let mut reader = $crate::rules::shape::Reader::open(
                    node,
                    <Self as $crate::rules::shape::Shape>::WANTED,
                    Self::KEYS,
                    Self::LATER,
                    tag,
                    notes,
                )?;
                let _ = &mut reader;
                Some(Self {
                    $( $key: reader.take(
                        $crate::rules::shape::plain_name(stringify!($key)),
                        $crate::rules::shape::table!(@required $($required)?),
                        $crate::rules::grammar::example($crate::rules::shape::plain_name(stringify!($key))),
                        notes,
                    ), )*
                })
            }
        }

        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                Self::read_skipping(node, None, notes)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let _ = &generator;
                $crate::rules::shape::object_schema(
                    &$crate::rules::shape::description(&[$($doc),+]),
                    vec![$( (
                        $crate::rules::shape::plain_name(stringify!($key)),
                        generator.subschema_for::<$ty>(),
                        $crate::rules::shape::description(&[$($about),+]),
                        $crate::rules::shape::table!(@required $($required)?),
                    ), )*],
                )
            }
        }
    };
    (@required) => { false };
    (@required required) => { true };
    (@bare $kind:literal) => { "" };
    (@bare $kind:literal bare) => { $kind };
}

/// Declares a table whose `kind` says which keys it takes. A kind without required keys may be written as its bare word.
macro_rules! kinds {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $wanted:literal {
            $( $(#[doc = $about:literal])+ $kind:literal => $variant:ident($ty:ty) $(= $bare:ident)? ),* $(,)?
        }
        $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub enum $name {
            $( $(#[doc = $about])+ $variant($ty), )*
        }

        impl $name {
            const WORDS: &[&str] = &[$($kind),*];
            const LATER: &[(&str, &str)] = &[$($( ($late, $why), )*)?];
        }

        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                let all: &[(&str, &[&str])] = &[$( ($kind, <$ty>::KEYS), )*];
                let bare: &[&str] = &[$( $crate::rules::shape::table!(@bare $kind $($bare)?), )*];
                let (kind, whole) = $crate::rules::shape::read_kind(node, Self::WANTED, Self::WORDS, Self::LATER, bare, notes)?;
                match kind {
                    $( $kind if whole => Some(Self::$variant(<$ty>::default())), )*
                    $( $kind => <$ty>::read_skipping(node, Some($crate::rules::shape::Tag { kind: $kind, all }), notes).map(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let bare: Vec<&str> = [$( $crate::rules::shape::table!(@bare $kind $($bare)?), )*].into_iter().filter(|word| !word.is_empty()).collect();
                let mut all = vec![$(
                    $crate::rules::shape::tagged(
                        <$ty as schemars::JsonSchema>::json_schema(generator),
                        $kind,
                        &$crate::rules::shape::description(&[$($about),+]),
                    ),
                )*];
                if !bare.is_empty() {
                    all.push(schemars::json_schema!({ "enum": bare }));
                }
                let mut schema = $crate::rules::shape::any_of(all);
                schema.insert("description".to_owned(), $crate::rules::shape::description(&[$($doc),+]).into());
                schema
            }
        }
    };
}

/// Declares how a closed list of words is read into an existing type.
macro_rules! words {
    ($name:ty, $schema:literal, $wanted:literal { $( $word:literal => $value:expr ),* $(,)? }
     $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                let later: &[(&str, &str)] = &[$($( ($late, $why), )*)?];
                match $crate::rules::shape::read_word(node, Self::WANTED, &[$($word),*], later, notes)? {
                    $( $word => Some($value), )*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "enum": [$($word),*] })
            }
        }
    };
}

pub(super) use {kinds, table, words};

/// Reads the word of a closed list.
pub fn read_word<'a>(
    node: Node<'a>,
    wanted: &str,
    words: &[&str],
    later: &[(&str, &str)],
    notes: &mut Notes<'_>,
) -> Option<&'a str> {
    let Some(word) = node.value.as_str() else {
        node.wrong(wanted, notes);
        return None;
    };
    if words.contains(&word) {
        return Some(word);
    }
    if let Some((name, why)) = later.iter().find(|(name, _)| *name == word) {
        not_supported(node.span, name, why, notes);
    } else {
        notes.unknown(node.span, format!("wants {wanted}, found \"{word}\""), word, words);
    }
    None
}

/// Reads the kind of a tagged table; true where the whole value is the bare word.
pub fn read_kind<'a>(
    node: Node<'a>,
    wanted: &str,
    words: &[&str],
    later: &[(&str, &str)],
    bare: &[&str],
    notes: &mut Notes<'_>,
) -> Option<(&'a str, bool)> {
    if let Some(text) = node.value.as_str() {
        let word = read_word(node, wanted, words, later, notes)?;
        if bare.contains(&word) {
            return Some((word, true));
        }
        notes
            .error(DiagnosticKind::Missing, node.span, format!("\"{text}\" wants further keys"))
            .help(format!("write a table: {{ kind = \"{text}\", … }}"));
        return None;
    }
    let Some(members) = node.members() else {
        node.wrong(wanted, notes);
        return None;
    };
    let Some((_, kind)) = members.iter().find(|(name, _)| *name == "kind") else {
        if let Some((name, member)) = members.iter().find(|(name, _)| strsim::jaro_winkler(name, "kind") >= 0.8) {
            notes
                .error(DiagnosticKind::UnknownKey, member.key, format!("unknown key `{name}`"))
                .help("did you mean `kind`?");
            return None;
        }
        notes
            .error(DiagnosticKind::Missing, node.key, "`kind` is missing")
            .help(format!("one of {}", super::diagnostic::listed(words)));
        return None;
    };
    read_word(*kind, "a kind", words, later, notes).map(|word| (word, false))
}

// ---- wrappers ------------------------------------------------------------------------------------------------------

/// A list.
pub type List<T> = Vec<At<T>>;

impl<T: Shape> Shape for Vec<At<T>> {
    const WANTED: &'static str = "an array";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let Some(items) = node.items() else {
            let message = format!("wants an array (each item {}), found {}", T::WANTED, node.found());
            let note = notes.error(DiagnosticKind::WrongType, node.span, message);
            if node.value.is_table() {
                note.help("write the header with two brackets: [[…]]");
            }
            return None;
        };
        Some(items.into_iter().filter_map(|item| read_at::<T>(item, notes).get_owned()).collect())
    }
}

impl<T> Key<T> {
    /// The value itself.
    pub fn get_owned(self) -> Option<At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A table whose keys are names that the author chose, in the order written.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// Name and value; `Bad` values keep their name known.
    pub members: Vec<(String, Span, Key<T>)>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<T: Shape> Shape for Named<T> {
    const WANTED: &'static str = "a table";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let Some(members) = node.members() else {
            node.wrong(Self::WANTED, notes);
            return None;
        };
        let read = |(name, member): (&str, Node<'_>)| (name.to_owned(), member.key, read_at(member, notes));
        Some(Self { members: members.into_iter().map(read).collect() })
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// Either a text (a scalar form) or a table.
#[derive(Clone, Debug)]
pub enum Either<A, B> {
    /// The short form.
    Short(A),
    /// The long form.
    Table(B),
}

impl<A: Shape, B: Shape> Shape for Either<A, B> {
    const WANTED: &'static str = A::WANTED;

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        if node.value.is_table() {
            return B::read(node, notes).map(Self::Table);
        }
        if !node.value.is_str() && !A::WANTED.contains("array") {
            node.wrong(&format!("{} or {}", A::WANTED, B::WANTED), notes);
            return None;
        }
        A::read(node, notes).map(Self::Short)
    }
}

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Either<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Or{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        any_of(vec![generator.subschema_for::<A>(), generator.subschema_for::<B>()])
    }
}

/// One value or a list of them; refused as a whole where one item is refused.
#[derive(Clone, Debug)]
pub struct OneOrMany<T> {
    /// In the order written.
    pub items: List<T>,
}

impl<T: Shape> Shape for OneOrMany<T> {
    const WANTED: &'static str = T::WANTED;

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        if node.value.is_array() {
            let items = List::<T>::read(node, notes)?;
            let complete = node.value.as_array().is_some_and(|array| array.len() == items.len());
            return complete.then_some(Self { items });
        }
        let one = read_at::<T>(node, notes).get_owned()?;
        Some(Self { items: vec![one] })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        let list = schemars::json_schema!({ "type": "array", "items": one.clone() });
        any_of(vec![one, list])
    }
}
