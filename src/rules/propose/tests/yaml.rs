//! YAML: what is read is what JSON says, by the core schema of YAML 1.2; what has no end, or no counterpart, is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::properties::{schema, value};
use super::written::written;
use super::{Sample, WANTED, by_description, from_openapi, refused};
use crate::record::Json;
use crate::rules::propose::openapi::{LIMITS, Limits, YamlError, parse_yaml};

fn read(text: &str) -> Result<Json, YamlError> {
    parse_yaml(text.as_bytes(), LIMITS)
}

fn exact(value: &Value) -> Json {
    Json::parse(value.to_string().as_bytes()).unwrap()
}

#[test]
fn scalars_are_what_the_core_schema_says() {
    let is = |text: &str, expected: &str| {
        let read = read(text).unwrap();
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(json, expected, "{text}");
    };
    for (text, expected) in [
        ("[~, null, Null, NULL, ]", "[null,null,null,null]"),
        ("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]"),
        ("[yes, No, on, off, y, tRUE, nULL]", r#"["yes","No","on","off","y","tRUE","nULL"]"#),
        (
            "[2024-01-31, 2024-01-31T09:30:00Z, 1:30, 12:30:45]",
            r#"["2024-01-31","2024-01-31T09:30:00Z","1:30","12:30:45"]"#,
        ),
        ("[0, -0, +12, 012, 0x1F, 0o17, -7]", "[0,-0,12,12,31,15,-7]"),
        ("[0.10, .5, -.5, 1., 1.e3, 6.02E+23, 1e400]", "[0.10,0.5,-0.5,1.0,1.0e3,6.02E+23,1e400]"),
        (
            "[1180591620717411303424, 3.1.0, 1_000, 0b1, -0x1, 1e, .]",
            "[1180591620717411303424,\"3.1.0\",\"1_000\",\"0b1\",\"-0x1\",\"1e\",\".\"]",
        ),
        ("[.inf, -.INF, .nan]", r#"[".inf","-.INF",".nan"]"#),
        ("['1', \"true\", '~', '']", r#"["1","true","~",""]"#),
        ("[!!str 200, ! 200, !!int '7', !!float 1, !!bool 'true', !!null '']", r#"["200","200",7,1,true,null]"#),
        ("a: |\n  x\n   y\nb: >-\n  one\n  two\n", r#"{"a":"x\n y\n","b":"one two"}"#),
        ("a:\n  - b: 1\n    c:\n  -\n    - 2\n", r#"{"a":[{"b":1,"c":null},[2]]}"#),
        ("%YAML 1.2\n---\na: 1 # one\n...\n", r#"{"a":1}"#),
        ("\u{feff}a: 1\n", r#"{"a":1}"#),
        ("{a: 1, \"b\":2, c}", r#"{"a":1,"b":2,"c":null}"#),
    ] {
        is(text, expected);
    }
}

#[test]
fn keys_are_texts_as_written() {
    let read = read("200: a\n2XX: b\non: c\ntrue: d\n0x10: e\n1.0: f\n'null': g\n").unwrap();
    let expected = r#"{"200":"a","2XX":"b","on":"c","true":"d","0x10":"e","1.0":"f","null":"g"}"#;
    assert_eq!(serde_json::to_string(&read).unwrap(), expected);
}

#[test]
fn anchors_are_followed_and_mappings_merged() {
    let is = |text: &str, expected: &str| {
        assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), expected, "{text}");
    };
    is("a: &x { k: 1 }\nb: *x\nc: [*x, &y 7, *y]\n", r#"{"a":{"k":1},"b":{"k":1},"c":[{"k":1},7,7]}"#);
    is("a: &x 1\nb: &x 2\nc: *x\n", r#"{"a":1,"b":2,"c":2}"#);
    is("a: &x name\n*x : 1\n", r#"{"a":"name","name":1}"#);
    is("- &x { k: 1, l: 2 }\n- { <<: *x, k: 3, m: 4 }\n", r#"[{"k":1,"l":2},{"l":2,"k":3,"m":4}]"#);
    is("- &x { k: 1, l: 2 }\n- { k: 3, <<: *x }\n", r#"[{"k":1,"l":2},{"k":3,"l":2}]"#);
    is("- &x { k: 1 }\n- &y { k: 2, n: 5 }\n- { <<: [*x, *y] }\n", r#"[{"k":1},{"k":2,"n":5},{"k":1,"n":5}]"#);
    is("- &x { k: 1 }\n- { '<<': *x }\n", r#"[{"k":1},{"<<":{"k":1}}]"#);
}

#[test]
fn what_has_no_counterpart_is_refused_with_its_place_and_what_helps() {
    let check = |text: &str, line: usize, words: &str| {
        let error = read(text).unwrap_err();
        assert!(error.line == line && error.column >= 1 && error.reason.contains(words), "{text}: {error:?}");
    };
    check("a: 1\nb: 2\na: 3\n", 3, "the key `a` stands on line 1 already: remove one");
    check("a: 1\nb: { '200': 1, 200: 2 }\n", 2, "the key `200` stands on line 2");
    check("a: &x {}\n<<: *x\n<<: *x\n", 3, "the key `<<` stands on line 2");
    check("a: 1\n---\nb: 2\n", 2, "another document begins here: keep one");
    check("a: 1\nb: !include x.yaml\n", 2, "the tag `!include` is not understood here");
    check("a: !!binary aGk=\n", 1, "is not understood here");
    check("a: !!set {}\n", 1, "is not understood here");
    check("a: !!int x\n", 1, "does not fit `x`");
    check("a: !!int 1.5\n", 1, "does not fit `1.5`");
    check("a:\n  b: &x [1, *x]\n", 2, "would never end; use `$ref`");
    check("a: *nowhere\n", 1, "anchor");
    check("? [1]\n: 2\n", 1, "a key that is no plain text");
    check("a: &x [1]\n*x : 2\n", 2, "a key that is no plain text");
    check("a: 1\n<<: 2\nb: 1\n", 2, "takes a mapping or a list of mappings");
    check("a:\n\tb: 1\n", 2, "");
    check("a: [1, 2\nb: 3\n", 2, "");
    check("a: \"x\n", 1, "unclosed quote");
    let error = parse_yaml(b"a: 1\nb: \xff\n", LIMITS).unwrap_err();
    assert_eq!((error.line, error.column), (2, 4), "{error}");
    assert!(error.reason.contains("not UTF-8"), "{error}");
    let error =
        parse_yaml("\u{feff}a: 1".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice(), LIMITS);
    assert!(error.unwrap_err().reason.contains("not UTF-8"));
}

#[test]
fn it_is_as_deep_as_json_may_be() {
    for deep in [Json::DEPTH_MAX, Json::DEPTH_MAX + 1] {
        let flow = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        let is_read = Json::parse(flow.as_bytes()).is_ok();
        assert_eq!(is_read, deep == Json::DEPTH_MAX);
        assert_eq!(read(&flow).is_ok(), is_read);
        assert_eq!(read(&format!("{}1", "- ".repeat(deep))).is_ok(), is_read);
        // Each alias is one deeper than the last.
        let steps = (1..deep).map(|at| format!("a{at}: &a{at} [*a{}]\n", at - 1)).collect::<Vec<_>>().concat();
        assert_eq!(read(&format!("a0: &a0 1\n{steps}")).is_ok(), is_read);
    }
    for deep in ["[", "{a: ", "- ", "? ", "&a [", "!!seq ["] {
        let error = read(&deep.repeat(200_000)).unwrap_err();
        assert!(error.line == 1 && !error.reason.is_empty(), "{deep}: {error}");
    }
}

#[test]
fn what_aliases_repeat_is_counted_before_it_is_copied() {
    let mut laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for at in 1..30 {
        let last = format!("*a{}, ", at - 1);
        laughs += &format!("a{at}: &a{at} [{}]\n", last.repeat(10));
    }
    let error = read(&laughs).unwrap_err();
    assert!(error.line == 7 && error.reason.contains("more than 4000000 values"), "{error}");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), "*a, ".repeat(1_000));
    let error = read(&long).unwrap_err();
    assert!(error.line == 2 && error.reason.contains("more than 128 MB of text"), "{error}");
    let merges = (1..40).map(|at| format!("a{at}: &a{at} {{ <<: *a{0}, k{at}: *a{0} }}\n", at - 1));
    let merges = merges.collect::<Vec<_>>().concat();
    let error = read(&format!("a0: &a0 {{ k0: 1 }}\n{merges}")).unwrap_err();
    assert!(error.reason.contains("keep only the paths you need"), "{error}");
    // What anchors keep counts, though no alias follows; without them there is room for twice as much.
    let limits = Limits { nodes: 10, bytes: 100 };
    assert!(parse_yaml(b"[1, 2, 3, 4, 5, 6, 7, 8, 9]", limits).is_ok());
    assert_eq!(parse_yaml(b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", limits).unwrap_err().column, 29);
    assert!(parse_yaml(b"&a [1, 2, 3, 4, 5]", limits).is_err());
}

#[test]
fn a_file_of_many_megabytes_ends_in_an_error() {
    // Here a tenth of the limits, for the sake of time.
    let limits = Limits { nodes: LIMITS.nodes / 10, bytes: LIMITS.bytes / 10 };
    for (line, words) in [("k: v\n", "stands on line 1 already"), ("- {a: b}\n", "more than"), ("- x\n", "more than")] {
        let error = parse_yaml(line.repeat(4_000_000 / line.len()).as_bytes(), limits).unwrap_err();
        assert!(error.reason.contains(words), "{error}");
    }
    let commented = "# nothing\n".repeat(500_000);
    let error = refused(from_openapi(&WANTED, &Sample { name: "api.yaml", bytes: commented.as_bytes() }));
    assert!(error.contains("`openapi` is missing at the top of this null"), "{error}");
}

/// Collections of the description that is made here once in each spelling, by hand and not by a conversion; it is as large as
/// those of well-known services.
fn names() -> impl Iterator<Item = (usize, String)> {
    (0..250).map(|at| (at, if at == 125 { "contacts".to_owned() } else { format!("things{at}") }))
}

fn as_json() -> Value {
    let mut document = json!({
        "openapi": "3.0.3", "info": { "title": "Shop", "version": "1.0" }, "servers": [{ "url": "https://api.x.io/v1" }],
        "security": [{ "key": [] }], "paths": {},
        "components": { "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } }, "schemas": {
            "Base": { "type": "object", "required": ["id"], "properties": {
                "id": { "type": "string", "readOnly": true },
                "updated_at": { "type": "string", "format": "date-time", "readOnly": true, "example": "2024-01-31T09:30:00Z" } } } } },
    });
    let text = json!({ "type": "string", "maxLength": 255 });
    for (at, name) in names() {
        let page = json!({ "in": "query", "name": "cursor", "schema": text });
        let size = json!({ "in": "query", "name": "limit", "schema": { "type": "integer", "maximum": 100 } });
        let answer = json!({ "description": "A page.\nOne of many.\n", "content": { "application/json": { "schema": {
            "type": "object", "properties": { "next": { "type": "string", "nullable": true },
            "data": { "type": "array", "items": { "$ref": format!("#/components/schemas/Thing{at}") } } } } } } });
        document["paths"][format!("/{name}")] = json!({
            "get": { "tags": ["on", "yes"], "parameters": [page, size], "responses": { "200": answer, "404": { "description": "no" } } },
            "post": { "responses": { "201": { "description": "'it''s' made" } } } });
        document["paths"][format!("/{name}/{{id}}")] = json!({ "get": {}, "patch": {}, "delete": {} });
        document["components"]["schemas"][format!("Thing{at}")] = json!({ "allOf": [
            { "$ref": "#/components/schemas/Base" },
            { "type": "object", "required": ["email"], "properties": {
                "name": text, "nick": { "type": "string", "maxLength": 40, "nullable": true },
                "email": { "type": "string", "maxLength": 255, "format": "email" },
                "status": { "type": "string", "enum": ["on", "off", "2024-01-31", "1"] },
                "price": { "type": "number", "multipleOf": 0.01 }, "count": { "type": "integer", "format": "int64" } } }] });
    }
    document["x-text"] = text;
    document["x-paging"] = document["paths"]["/things0"]["get"]["parameters"].clone();
    document
}

fn as_yaml() -> String {
    let (mut paths, mut schemas) = (String::new(), String::new());
    for (at, name) in names() {
        paths += &format!(
            r#"  /{name}:
    get:
      tags: [on, yes]
      parameters: *paging
      responses:
        200:
          description: |
            A page.
            One of many.
          content:
            application/json:
              schema:
                type: object
                properties:
                  next: {{ type: string, nullable: true }}
                  data: {{ type: array, items: {{ $ref: '#/components/schemas/Thing{at}' }} }}
        404: &none{at}
          description: no
    post:
      responses:
        "201": {{ description: '''it''''s'' made' }}
  /{name}/{{id}}: {{ get: {{}}, patch: {{}}, delete: {{}} }}
"#
        );
        schemas += &format!(
            r"    Thing{at}:
      allOf:
        - $ref: '#/components/schemas/Base'
        - type: object
          required: [email]
          properties:
            name: *text
            nick:
              <<: *text
              maxLength: 40
              nullable: true
            email: {{ <<: *text, format: email }}
            status: {{ type: string, enum: [on, 'off', 2024-01-31, '1'] }}
            price: {{ type: number, multipleOf: 0.01 }}
            count:
              type: integer
              format: int64
"
        );
    }
    format!(
        r"# The shop, described.
openapi: 3.0.3
info: {{ title: Shop, version: '1.0' }}
servers:
- url: https://api.x.io/v1
security:
- key: []
x-text: &text {{ type: string, maxLength: 255 }}
x-paging: &paging
- {{ in: query, name: cursor, schema: *text }}
- {{ in: query, name: limit, schema: {{ type: integer, maximum: 100 }} }}
components:
  securitySchemes:
    key: {{ type: http, scheme: bearer }}
  schemas:
    Base:
      type: object
      required: [id]
      properties:
        id: {{ type: string, readOnly: true }}
        updated_at: {{ type: string, format: date-time, readOnly: true, example: 2024-01-31T09:30:00Z }}
{schemas}paths:
{paths}"
    )
}

#[test]
fn the_same_description_proposes_the_same_rules_in_either_spelling() {
    let (document, yaml) = (as_json(), as_yaml());
    assert!(yaml.lines().count() > 9_000, "{}", yaml.lines().count());
    assert_eq!(read(&yaml).unwrap(), exact(&document));
    let by_yaml = by_description(&WANTED, &yaml).unwrap();
    assert!(
        by_yaml.contains("request = \"GET /contacts\"") && by_yaml.contains("one_of = [\"on\", \"off\","),
        "{by_yaml}"
    );
    assert_eq!(sorted(&by_yaml), sorted(&by_description(&WANTED, &document.to_string()).unwrap()));
    assert_eq!(by_yaml, by_description(&WANTED, &serde_json::to_string(&read(&yaml).unwrap()).unwrap()).unwrap());
}

/// Lines in an order: `json!` sorts members, a file has them as they were written.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Pieces of YAML that have a meaning.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        " *a ",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "\n  ",
        "\n    ",
        "!!str ",
        "!x ",
        "! ",
        "<<: ",
        "|\n",
        ">-\n",
        "|2+\n",
        "\"",
        "'",
        "#",
        " #",
        "%YAML 1.2\n",
        "%TAG ! x\n",
        "---\n",
        "...\n",
        "a",
        "b: ",
        "1",
        ",",
        "\t",
        "\\",
        "~",
        "@",
        "\u{feff}",
        "\u{85}",
        "\u{0}",
        "ü",
        "\r",
        "\r\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yaml_written_from_json_reads_as_that_json(value in value(), choices in prop::collection::vec(any::<u8>(), 1..40)) {
        let text = written(&value, &choices);
        let read = read(&text);
        prop_assert_eq!(read.as_ref().ok(), Some(&exact(&value)), "{:?}\n{}", read, text);
    }

    #[test]
    fn what_is_proposed_does_not_depend_on_the_spelling(
        members in prop::collection::btree_map("[a-z]{1,6}", schema(), 1..6),
        choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut record = json!({ "type": "object", "properties": members });
        record["properties"]["id"] = json!({ "type": "string" });
        let document = json!({
            "openapi": "3.0.3", "components": { "schemas": { "R": record } },
            "paths": { "/contacts": { "get": { "responses": { "200": { "content": { "application/json": { "schema": {
                "type": "array", "items": { "$ref": "#/components/schemas/R" } } } } } } } }, "/contacts/{id}": { "get": {}, "put": {} } }
        });
        let said = |text: &str| by_description(&WANTED, text).map_err(|error| error.to_string());
        // It would be taken for JSON otherwise.
        let text = format!("# described\n{}", written(&document, &choices));
        prop_assert_eq!(said(&text), said(&document.to_string()), "{}", text);
    }

    #[test]
    fn no_bytes_make_the_reader_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_yaml(&bytes, LIMITS);
    }

    #[test]
    fn no_pieces_make_the_reader_fall(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        if let Err(error) = read(&text) {
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            prop_assert!((1..=lines).contains(&error.line) && error.column >= 1 && !error.reason.is_empty(), "{:?}", error);
        }
    }
}
