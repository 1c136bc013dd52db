//! Whatever a sample or a description holds: what is proposed passes the check.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ProposeError, WANTED, by_description, by_sample};

/// Names that mean something to a proposal, and names that nobody should use.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "id",
        "_id",
        "uuid",
        "etag",
        "version",
        "updated_at",
        "updatedAt",
        "deleted",
        "deleted_at",
        "archived",
        "email",
        "next",
        "next_cursor",
        "page",
        "offset",
        "limit",
        "total",
        "results",
        "data",
        "sys",
        "tags",
        "order",
        "rowid",
        "sync_x",
        "createdAt",
        "@odata.nextLink",
        "a b",
        "a-b",
        "1st",
        "",
        "\"",
        "'",
        "\\(x)",
        "{id}",
        "${var.x}",
        "\n[x]",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>(), 1 => "[a-zA-Z_ü.]{1,70}"]
}

pub fn value() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        "x",
        "a@x.io",
        "2024-01-31",
        "2024-01-31T09:30:00Z",
        "1.50",
        "https://x.io",
        "Wed, 31 Jan 2024 09:30:00 GMT",
    ]);
    let numbers =
        prop::sample::select(vec![json!(0), json!(1.25), json!(1e300), json!(1_706_693_400), json!(u64::MAX)]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        texts.prop_map(Value::from),
        numbers,
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..5).prop_map(|members| json!(members)),
        ]
    })
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let record = prop::collection::btree_map(name(), value(), 1..6);
    prop::collection::vec(record, 1..30).prop_map(|records| {
        let numbered = records.into_iter().enumerate().map(|(at, mut record)| {
            record.insert("id".to_owned(), json!(at));
            json!(record)
        });
        numbered.collect()
    })
}

/// A schema of any make, with references to others and to itself.
pub fn schema() -> impl Strategy<Value = Value> {
    let types = prop::sample::select(vec!["string", "integer", "number", "boolean", "null", "array", "object", "odd"]);
    let formats = prop::sample::select(vec!["date", "date-time", "unix-time", "double", "uri", "email", "odd"]);
    let leaf = prop_oneof![
        (types, formats, any::<bool>()).prop_map(|(kind, format, flag)| {
            json!({ "type": kind, "format": format, "readOnly": flag, "nullable": !flag, "enum": ["a", "'\"\n"] })
        }),
        prop::sample::select(vec!["#/components/schemas/R", "#/components/schemas/P", "#/x", "y.json"])
            .prop_map(|reference| json!({ "$ref": reference })),
        value(),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map(name(), inner.clone(), 0..5)
                .prop_map(|members| json!({ "type": "object", "properties": members, "required": ["id", "email"] })),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|parts| json!({ "allOf": parts })),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|parts| json!({ "oneOf": parts })),
            inner.prop_map(|items| json!({ "type": "array", "items": items })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proposed_by_a_sample_passes_the_check(
        records in records(),
        envelope in prop::collection::btree_map(name(), value(), 0..4),
        bare in any::<bool>(),
    ) {
        let mut answer = json!(envelope);
        answer["results"] = json!(records);
        let text = if bare { json!(records).to_string() } else { answer.to_string() };
        match by_sample(&WANTED, &text) {
            Ok(_) | Err(ProposeError::NoFields | ProposeError::NoId { .. } | ProposeError::Records { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn what_is_proposed_by_a_description_passes_the_check(
        members in prop::collection::btree_map(name(), schema(), 1..6),
        page in schema(),
        parameters in prop::collection::vec(name(), 0..4),
        servers in value(),
        scheme in value(),
    ) {
        let mut record = json!({ "type": "object", "properties": members });
        record["properties"]["id"] = json!({ "type": "string" });
        let parameters: Vec<Value> = parameters.iter().map(|name| json!({ "in": "query", "name": name })).collect();
        let body = json!({ "allOf": [page, { "properties": { "data": { "type": "array", "items": { "$ref": "#/components/schemas/R" } } } }] });
        let document = json!({
            "openapi": "3.0.3", "servers": [{ "url": servers }], "security": [{ "s": [] }],
            "components": { "schemas": { "R": record, "P": body }, "securitySchemes": { "s": scheme } },
            "paths": { "/contacts": { "post": {}, "get": { "parameters": parameters, "responses": { "2XX": { "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/P" } } } } } } },
                "/contacts/{id}": { "get": {}, "put": {}, "delete": {} } }
        });
        match by_description(&WANTED, &document.to_string()) {
            Ok(_) | Err(ProposeError::NoFields | ProposeError::NoId { .. } | ProposeError::Wanted(_)) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn no_text_makes_a_proposal_fall(text in any::<String>()) {
        let _ = by_sample(&WANTED, &text).map_err(|error| error.to_string());
        let _ = by_description(&WANTED, &text).map_err(|error| error.to_string());
    }
}
