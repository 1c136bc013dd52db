//! Proposals by OpenAPI descriptions: which listing, references, schemas, security, servers, whole texts.

use serde_json::{Value, json};

use super::{WANTED, Wanted, by_description, checked, lines, refused, with_suggestions};

/// A description with one listing; `change` makes another one of it.
fn described(change: impl FnOnce(&mut Value)) -> String {
    let mut document = json!({
        "openapi": "3.1.0",
        "servers": [{ "url": "https://{region}.x.io/v1", "variables": { "region": { "default": "eu" } } }],
        "security": [{ "bearer": [] }],
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Base": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string", "readOnly": true }, "created": { "type": "string", "format": "date-time", "readOnly": true }
                } },
                "Contact": { "allOf": [{ "$ref": "#/components/schemas/Base" }, { "type": "object",
                    "required": ["email", "nick"],
                    "properties": {
                        "email": { "type": "string", "format": "email" }, "nick": { "type": ["string", "null"] },
                        "status": { "type": "string", "enum": ["lead", "it's \"on\""] },
                        "born": { "type": "string", "format": "date" }, "balance": { "type": "number", "multipleOf": 0.01 },
                        "boss": { "$ref": "#/components/schemas/Contact" }, "password": { "type": "string", "writeOnly": true },
                        "address": { "type": "object", "properties": { "city": { "type": "string" } } },
                        "labels": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
                        "any": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
                        "maybe": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
                        "etag": { "type": "string" }, "updated_at": { "type": "string", "format": "date-time" }
                    } }] },
                "Page": { "type": "object", "properties": {
                    "data": { "type": "array", "items": { "$ref": "#/components/schemas/Contact" } },
                    "next_cursor": { "type": "string", "nullable": true }
                } }
            }
        },
        "paths": {
            "/contacts": {
                "get": { "parameters": [
                        { "in": "query", "name": "cursor", "schema": { "type": "string" } },
                        { "in": "query", "name": "updated_since", "schema": { "type": "string" } }],
                    "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Page" } } } } } },
                "post": { "parameters": [{ "in": "header", "name": "Idempotency-Key" }], "responses": {} }
            },
            "/contacts/{contactId}": { "get": {}, "patch": { "parameters": [{ "in": "header", "name": "If-Match" }] }, "delete": {} },
            "/contacts/{contactId}/notes": { "get": { "responses": { "200": { "content": { "application/json": { "schema": {
                "type": "array", "items": { "type": "object", "properties": { "key": { "type": "string" }, "text": { "type": "string" } } } } } } } } } }
        }
    });
    change(&mut document);
    document.to_string()
}

#[test]
fn a_whole_proposal_by_a_description() {
    insta::assert_snapshot!(by_description(&WANTED, &described(|_| {})).unwrap());
}

#[test]
fn a_credential_that_is_described_stands_in_comments() {
    let proposed = by_description(
        &WANTED,
        &described(|document| {
            document["components"]["schemas"]["Base"]["properties"]["apiKey"] = json!({ "type": "string" });
        }),
    );
    let proposed = proposed.unwrap();
    let found = lines(&proposed, "api_key = ");
    assert!(found.len() == 2 && found.iter().all(|line| line.starts_with("#api_key = ")), "{proposed}");
}

#[test]
fn the_listing_is_chosen_by_name_or_by_path() {
    let request = |wanted: &Wanted<'_>, text: &str| {
        let proposed = by_description(wanted, text).unwrap();
        lines(&proposed, "request = ").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let people = Wanted { collection: "people", ..WANTED };
    let why = "guess: the only listing without parameters in its path";
    assert_eq!(request(&people, &described(|_| {}))[0], format!("request = \"GET /contacts\"  # {why}"));
    let notes = Wanted { collection: "notes", path: Some("/contacts/c7/notes?all=1"), ..WANTED };
    let found = request(&notes, &described(|_| {}));
    assert_eq!(found, ["request = { path = \"/contacts/c7/notes\", query = { all = \"1\" } }"]);
    let add = |document: &mut Value| {
        let listing = document["paths"]["/contacts"].clone();
        document["paths"]["/deals"] = listing;
    };
    assert_eq!(request(&WANTED, &described(add)).len(), 4);
    let error = refused(by_description(&people, &described(add)));
    assert!(error.contains("no listing is called `people`; choose one with --path: /contacts, "), "{error}");
    let error = refused(by_description(&Wanted { path: Some("/x"), ..WANTED }, &described(add)));
    assert!(error.contains("no listing at /x"), "{error}");
    let twice = |document: &mut Value| {
        let listing = document["paths"]["/contacts"].clone();
        document["paths"]["/v2/contacts"] = listing;
    };
    let error = refused(by_description(&WANTED, &described(twice)));
    assert!(error.contains("several listings are called `contacts`") && error.contains("/v2/contacts"), "{error}");
    let none = refused(by_description(&WANTED, &described(|document| document["paths"] = json!({}))));
    assert!(none.contains("no GET whose answer holds a list"), "{none}");
}

#[test]
fn paging_is_read_off_parameters_and_answer() {
    let check = |parameters: Value, next: Value, expected: &str| {
        let proposed = by_description(
            &WANTED,
            &described(|document| {
                document["paths"]["/contacts"]["get"]["parameters"] = parameters;
                document["components"]["schemas"]["Page"]["properties"]["next_cursor"] = json!({});
                document["components"]["schemas"]["Page"]["properties"]["next"] = next;
            }),
        );
        let proposed = proposed.unwrap();
        assert!(lines(&proposed, "page = ")[0].starts_with(&format!("page = {expected}")), "{proposed}");
    };
    let query = |name: &str, schema: Value| json!({ "in": "query", "name": name, "schema": schema });
    check(json!([]), json!({ "type": "string", "format": "uri" }), "{ kind = \"next_url\", next = \".next\" }");
    check(
        json!([query("page[after]", json!({})), query("after", json!({}))]),
        json!({ "type": "string" }),
        "{ kind = \"cursor\", next = \".next_cursor\", into = \"query.after\" }",
    );
    check(
        json!([query("page", json!({})), query("per_page", json!({ "type": "integer", "maximum": 200 }))]),
        json!({}),
        "{ kind = \"page\", into = \"query.page\", size = { into = \"query.per_page\", value = 200 } }",
    );
    check(
        json!([query("offset", json!({})), query("limit", json!({ "default": 20 }))]),
        json!({}),
        "{ kind = \"offset\", into = \"query.offset\", size = { into = \"query.limit\", value = 20 } }",
    );
    check(json!([]), json!({}), "\"none\"");
}

#[test]
fn what_says_whether_more_follows_is_taken_over() {
    let check = |parameters: &[&str], properties: Value, expected: &str| {
        let proposed = by_description(
            &WANTED,
            &described(|document| {
                let named = |name: &&str| json!({ "in": "query", "name": name });
                document["paths"]["/contacts"]["get"]["parameters"] = parameters.iter().map(named).collect();
                let page = &mut document["components"]["schemas"]["Page"]["properties"];
                page.as_object_mut().unwrap().remove("next_cursor");
                for (name, schema) in properties.as_object().unwrap() {
                    page[name] = schema.clone();
                }
            }),
        );
        let proposed = proposed.unwrap();
        assert!(lines(&proposed, "page = ")[0].starts_with(&format!("page = {expected}  # guess: ")), "{proposed}");
    };
    let flag = || json!({ "type": "boolean" });
    check(
        &["cursor"],
        json!({ "has_more": flag(), "next_cursor": {} }),
        "{ kind = \"cursor\", next = \".next_cursor\", into = \"query.cursor\", more = \".has_more\" }",
    );
    check(
        &["page"],
        json!({ "meta": { "type": "object", "properties": { "hasNextPage": flag() } } }),
        "{ kind = \"page\", into = \"query.page\", more = \".meta.hasNextPage\" }",
    );
    check(
        &["startAt"],
        json!({ "isLast": flag() }),
        "{ kind = \"offset\", into = \"query.startAt\", more = \".isLast == false\" }",
    );
    check(
        &["starting_after", "limit"],
        json!({ "has_more": flag() }),
        "{ kind = \"keyset\", key = \".id\", into = \"query.starting_after\", size = { into = \"query.limit\", value = 100 }, more = \".has_more\" }",
    );
    check(&["page"], json!({ "has_more": { "type": "string" } }), "{ kind = \"page\", into = \"query.page\" }");
}

#[test]
fn pages_of_json_api_and_of_hal_are_known() {
    let check = |page: Value, record: Value, expected: [&str; 3]| {
        let proposed = by_description(
            &WANTED,
            &described(|document| {
                document["components"]["schemas"]["Page"] = json!({ "type": "object", "properties": page });
                document["components"]["schemas"]["Contact"] = json!({ "type": "object", "properties": record });
                document["paths"]["/contacts"]["get"]["parameters"] = json!([]);
            }),
        );
        let proposed = proposed.unwrap();
        let found = [lines(&proposed, "records = ")[0], lines(&proposed, "page = ")[0], lines(&proposed, "name = ")[1]];
        let starts = |(found, expected): (&&str, &&str)| found.starts_with(expected);
        assert!(found.iter().zip(&expected).all(starts), "{proposed}");
        assert!(!proposed.contains("_self"), "links are no fields: {proposed}");
    };
    let text = || json!({ "type": "string" });
    let of = |properties: Value| json!({ "type": "object", "properties": properties });
    let link = || of(json!({ "href": text() }));
    let contacts = || json!({ "type": "array", "items": { "$ref": "#/components/schemas/Contact" } });
    let resource = || json!({ "type": text(), "id": text(), "attributes": of(json!({ "name": text() })), "links": of(json!({ "self": text() })) });
    for next in [text(), json!({ "type": ["string", "null"] }), json!({ "oneOf": [text(), link()], "nullable": true })]
    {
        check(
            json!({ "data": contacts(), "included": { "type": "array", "items": link() }, "links": of(json!({ "self": text(), "next": next })) }),
            resource(),
            [
                "records = \".data[]\"",
                "page = { kind = \"next_url\", next = \".links.next\" }",
                "name = \".attributes.name\"",
            ],
        );
    }
    check(
        json!({
            "_links": of(json!({ "curies": { "type": "array", "items": link() }, "self": link(), "next": link() })),
            "_embedded": of(json!({ "contacts": contacts() }))
        }),
        json!({ "id": text(), "name": text(), "_links": of(json!({ "self": link() })) }),
        [
            "records = \"._embedded.contacts[]\"",
            "page = { kind = \"next_url\", next = \"._links.next.href\" }",
            "name = \".name\"",
        ],
    );
}

#[test]
fn records_of_json_api_are_read_and_written_in_its_wrapping() {
    let text = || json!({ "type": "string" });
    let of = |properties: Value| json!({ "type": "object", "properties": properties });
    let proposed = by_description(
        &WANTED,
        &described(|document| {
            let contact = of(json!({ "type": text(), "id": text(), "attributes": of(json!({ "name": text() })) }));
            let page = of(json!({ "data": { "type": "array", "items": { "$ref": "#/components/schemas/Contact" } } }));
            document["components"]["schemas"]["Contact"] = contact;
            document["components"]["schemas"]["Page"] = page;
            document["paths"]["/contacts"]["get"]["parameters"] = json!([]);
        }),
    );
    let proposed = proposed.unwrap();
    for line in [
        "get = { method = \"GET\", path = \"/contacts/{id}\", record = \".data\" }",
        "#request = { method = \"POST\", path = \"/contacts\", record = \".data\" }",
        "#body = '{ data: (.record + { type: \"contacts\" }) }'",
        "#body = '{ data: (.changed + { type: \"contacts\", id: .id }) }'",
    ] {
        assert!(proposed.lines().any(|it| it.starts_with(line)), "{line}:\n{proposed}");
    }
}

#[test]
fn parameters_that_are_demanded_get_a_value_that_is_marked() {
    let check = |parameter: Value, expected: &str| {
        let proposed = by_description(
            &WANTED,
            &described(|document| {
                let mut parameter = parameter.clone();
                (parameter["in"], parameter["required"]) = (json!("query"), json!(true));
                document["paths"]["/contacts"]["get"]["parameters"].as_array_mut().unwrap().push(parameter);
            }),
        );
        let proposed = proposed.unwrap();
        assert!(proposed.contains(expected), "{expected}: {proposed}");
    };
    let demands = |value: &str| {
        format!(
            "request = {{ path = \"/contacts\", query = {{ region = \"{value}\" }} }}  # guess: the one listing whose path ends with \
             the collection's name; the description demands `region`: say which values\n"
        )
    };
    check(json!({ "name": "region" }), &demands("CHANGE_ME"));
    check(json!({ "name": "region", "schema": { "enum": ["eu", "us"] } }), &demands("eu"));
    check(json!({ "name": "region", "schema": { "default": 7 }, "example": 8 }), &demands("7"));
    check(json!({ "name": "region", "examples": { "one": { "value": true } } }), &demands("true"));
    check(json!({ "name": "region", "example": "{tenant}" }), &demands("CHANGE_ME"));
    // What pages, or what is asked for otherwise, is there already.
    check(json!({ "name": "cursor" }), "request = \"GET /contacts\"");
    check(json!({ "name": "updated_since" }), "request = \"GET /contacts\"");
    check(
        json!({ "name": "api_key" }),
        "# the listing wants `api_key`, which looks like a credential: see [upstream.crm.auth]\n",
    );
    let given = Wanted { path: Some("/contacts?region=us"), ..WANTED };
    let proposed = by_description(
        &given,
        &described(|document| {
            document["paths"]["/contacts"]["get"]["parameters"] =
                json!([{ "in": "query", "name": "region", "required": true }]);
        }),
    );
    assert_eq!(
        lines(&proposed.unwrap(), "request = ")[0],
        "request = { path = \"/contacts\", query = { region = \"us\" } }"
    );
}

#[test]
fn what_cannot_be_deleted_there_is_said_to_stay() {
    let none = described(|document| {
        document["paths"]["/contacts/{contactId}"].as_object_mut().unwrap().remove("delete");
    });
    let proposed = by_description(&WANTED, &none).unwrap();
    assert_eq!(lines(&proposed, "delete = ")[0], "#delete = \"none\"  # nothing shows how a record is deleted there");
    let warnings = checked(&with_suggestions(&proposed));
    assert!(warnings.iter().all(|one| !one.message.contains("deleted here")), "{warnings:#?}");
    let proposed = by_description(&WANTED, &described(|_| {})).unwrap();
    assert!(lines(&proposed, "delete = ").is_empty(), "{proposed}");
}

/// Another security scheme.
fn scheme(document: &mut Value, scheme: Value) {
    document["components"]["securitySchemes"]["bearer"] = scheme;
}

#[test]
fn credentials_and_servers_are_taken_over() {
    let check = |change: fn(&mut Value), words: &[&str]| {
        let proposed = by_description(&WANTED, &described(change)).unwrap();
        for word in words {
            assert!(proposed.contains(word), "{word}: {proposed}");
        }
    };
    check(|_| {}, &["base_url = \"https://eu.x.io/v1\"  # guess: ", "token = \"${secret.crm_token}\""]);
    check(
        |document| scheme(document, json!({ "type": "apiKey", "in": "header", "name": "X-Key" })),
        &["header = \"X-Key\"", "value = \"${secret.crm_key}\""],
    );
    check(|document| scheme(document, json!({ "type": "apiKey", "in": "cookie", "name": "sid" })), &["sid=${secret."]);
    check(|document| scheme(document, json!({ "type": "apiKey", "in": "query", "name": "k" })), &["query = \"k\""]);
    check(|document| scheme(document, json!({ "type": "http", "scheme": "Basic" })), &["password = \"${secret."]);
    check(
        |document| {
            let flows = json!({ "authorizationCode": { "authorizationUrl": "https://id.x.io/a", "tokenUrl": "https://id.x.io/t" } });
            scheme(document, json!({ "type": "oauth2", "flows": flows }));
            document["security"] = json!([{ "bearer": ["read", "write"] }]);
        },
        &["grant = \"authorization_code\"", "token_url = \"https://id.x.io/t\"", "scopes = [\"read\", \"write\"]"],
    );
    for (token_url, expected) in [
        ("/oauth/token", "token_url = \"https://eu.x.io/oauth/token\""),
        ("oauth/token", "token_url = \"https://eu.x.io/v1/oauth/token\""),
        ("//id.x.io/t", "token_url = \"https://id.x.io/t\""),
    ] {
        let relative = described(|document| {
            scheme(document, json!({ "type": "oauth2", "flows": { "clientCredentials": { "tokenUrl": token_url } } }));
        });
        let proposed = by_description(&WANTED, &relative).unwrap();
        assert!(proposed.contains(expected), "{token_url}: {proposed}");
        assert!(proposed.contains("# guess: `tokenUrl` is relative in the description"), "{proposed}");
    }
    check(|document| scheme(document, json!({ "type": "openIdConnect" })), &["cannot be proposed: bearer"]);
    check(|document| document["security"] = json!([]), &["\n[collection.contacts]"]);
    check(
        |document| drop(document.as_object_mut().unwrap().remove("security")),
        &["#[upstream.crm.auth]  # guess: the description does not say whether"],
    );
    check(
        |document| document["servers"] = json!([{ "url": "/api" }]),
        &["base_url = \"https://crm.example.com/api\"  # guess"],
    );
    check(
        |document| document["servers"] = json!([{ "url": "http://x.io" }]),
        &["base_url = \"https://x.io\"  # guess"],
    );
    check(
        |document| document["servers"] = json!([{ "url": "https://u:hunter2@x.io" }]),
        &["base_url = \"https://crm.example.com\"  # guess"],
    );
}

#[test]
fn references_that_loop_or_lead_nowhere_end() {
    let looped = described(|document| {
        let schemas = &mut document["components"]["schemas"];
        schemas["Base"]["allOf"] = json!([{ "$ref": "#/components/schemas/Contact" }]);
        schemas["Contact"]["allOf"][1]["properties"]["a"] = json!({ "$ref": "#/components/schemas/A" });
        schemas["A"] = json!({ "$ref": "#/components/schemas/B" });
        schemas["B"] = json!({ "$ref": "#/components/schemas/A" });
        schemas["Contact"]["allOf"][1]["properties"]["b"] = json!({ "$ref": "other.json#/x" });
        schemas["Contact"]["allOf"][1]["properties"]["c"] =
            json!({ "type": "array", "items": { "$ref": "#/nowhere" } });
    });
    let proposed = by_description(&WANTED, &looped).unwrap();
    assert_eq!(lines(&proposed, "boss = ")[0], "boss = \"json\"");
    assert!(lines(&proposed, "b = ")[0].starts_with("b = \"json\"  # guess"), "{proposed}");
}

#[test]
fn what_is_no_description_is_refused() {
    let check = |text: &str, words: &str| {
        let error = refused(by_description(&WANTED, text));
        assert!(error.starts_with("api.json") && error.contains(words), "{error}");
    };
    check("openapi: 3.0\n", "`openapi` is a number: write \"3.0.0\", in quotes");
    let empty = refused(by_description(&WANTED, "openapi: 3.0.0\npaths: {}\n"));
    assert!(empty.contains("no GET whose answer holds a list"), "{empty}");
    check("openapi: 3.0.0\npaths: [\n", "api.json:2:8: ");
    check("<html>\n", "is no OpenAPI 3 document: `openapi` is missing at the top of this string");
    let cut = refused(by_description(&WANTED, "{\"openapi\":"));
    assert!(!cut.contains("YAML"), "{cut}");
    check("{}", "`openapi` is missing");
    check(r#"{"swagger":"2.0"}"#, "convert it first");
    check(r#"{"openapi":"4.0.0"}"#, "another version");
}
