//! Owns: lists, tables of chosen names, short and long forms.
//!
//! Must not know: what is in them.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{At, Key, Node, Shape, any_of, read_at};
use crate::rules::diagnostic::{DiagnosticKind, Notes, Span};

/// A list.
pub type List<T> = Vec<At<T>>;

impl<T: Shape> Shape for Vec<At<T>> {
    const WANTED: &'static str = "an array";

    fn read(node: Node<'_>, notes: &mut Notes<'_>) -> Option<Self> {
        let Some(items) = node.items() else {
            let message = format!("wants an array (each item {}), found {}", T::WANTED, node.found());
            let report = notes.error(DiagnosticKind::WrongType, node.span, message);
            if node.value.is_table() {
                report.help("write the header with two brackets: [[…]]");
            }
            return None;
        };
        Some(items.into_iter().filter_map(|item| read_at::<T>(item, notes).get_owned()).collect())
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
        let is_scalar = node.value.is_str() || (node.value.is_integer() && A::WANTED.contains("number"));
        if !is_scalar && !A::WANTED.contains("array") {
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
