//! Owns: the shape of a request's fixed body: any TOML value that JSON has as well.
//!
//! Must not know: which requests have one.

use crate::rules::shape::{At, Node, Shape};
use crate::rules::units::Text;

/// A body as it is written in rules; texts may hold variables and holes.
#[derive(Clone, Debug)]
pub enum RawBody {
    /// A text.
    Text(At<Text>),
    /// A number, as JSON writes it.
    Number(String),
    /// True or false.
    Boolean(bool),
    /// A list.
    List(Vec<RawBody>),
    /// Members in the order written.
    Table(Vec<(String, RawBody)>),
}

/// What a body is: a table.
#[derive(Clone, Debug)]
pub struct BodyShape(pub RawBody);

impl Shape for BodyShape {
    const WANTED: &'static str = "a table that is sent as JSON, such as { limit = 100 }";

    fn read(node: Node<'_>, notes: &mut crate::rules::diagnostic::Notes<'_>) -> Option<Self> {
        if !node.value.is_table() {
            node.wrong(Self::WANTED, notes);
            node.keep_orphans(notes);
            return None;
        }
        value(node, notes).map(Self)
    }
}

fn value(node: Node<'_>, notes: &mut crate::rules::diagnostic::Notes<'_>) -> Option<RawBody> {
    use toml::de::DeValue;
    match node.value {
        DeValue::String(text) => {
            Some(RawBody::Text(At { key: node.key, span: node.span, value: Text(text.to_string()) }))
        }
        DeValue::Boolean(flag) => Some(RawBody::Boolean(*flag)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(RawBody::Number(number.to_string())),
            Err(_too_large) => refuse(node, "a whole number of 64 bits", notes),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => Some(RawBody::Number(number.to_string())),
            None => refuse(node, "a number that JSON has", notes),
        },
        DeValue::Datetime(_) => refuse(node, "a text: JSON has no date-times", notes),
        DeValue::Array(_) => {
            let items = node.items().unwrap_or_default();
            // All of them are looked at, so that every mistake is told.
            let read: Vec<Option<RawBody>> = items.into_iter().map(|item| value(item, notes)).collect();
            read.into_iter().collect::<Option<Vec<RawBody>>>().map(RawBody::List)
        }
        DeValue::Table(_) => {
            let members = node.members().unwrap_or_default();
            let read: Vec<Option<(String, RawBody)>> =
                members.into_iter().map(|(name, member)| Some((name.to_owned(), value(member, notes)?))).collect();
            read.into_iter().collect::<Option<Vec<(String, RawBody)>>>().map(RawBody::Table)
        }
    }
}

fn refuse(node: Node<'_>, wanted: &str, notes: &mut crate::rules::diagnostic::Notes<'_>) -> Option<RawBody> {
    node.wrong(wanted, notes);
    None
}

impl schemars::JsonSchema for BodyShape {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Body".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}
