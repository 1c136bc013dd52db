//! Owns: the pieces that the JSON Schema is put together from.
//!
//! Must not know: how values are read.

use schemars::Schema;

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
