//! Claims about `mapping`.

use crate::record::mapping::{MapError, Mapped};
use crate::record::{
    Codec, Domain, FieldMap, FieldType, Filter, IdSpelling, Json, Lens, Mapper, Path, Probe, Put, Slot, TimeFormat,
    Value,
};

fn path(text: &str) -> Lens {
    Lens::Path(Path::parse(text).unwrap())
}

fn map(field: usize, name: &str, ty: FieldType, lens: Lens) -> FieldMap {
    FieldMap {
        field,
        name: name.to_owned(),
        domain: Domain::of(ty),
        lens,
        codec: Codec::Plain { as_string: false },
        pull: true,
        push: true,
        create_only: false,
    }
}

fn contacts() -> Mapper {
    let fields = vec![
        map(0, "email", FieldType::Text, path(".properties.email")),
        map(1, "age", FieldType::Integer, path(".properties.age")),
        map(3, "balance", FieldType::Decimal { scale: 2 }, path(".properties.balance")),
        map(4, "first", FieldType::Text, path(".items[0].name")),
        map(5, "extra", FieldType::Json, path(".properties.extra")),
        map(6, "deep", FieldType::Text, path(".properties.extra.deep")),
    ];
    let probe = Probe {
        version: Some(path(".etag")),
        updated_at: Some((path(".updatedAt"), TimeFormat::Rfc3339)),
        ..Probe::of(path(".id"))
    };
    Mapper::new(7, probe, fields)
}

fn shown(mapped: &Mapped) -> String {
    let slot = |slot: &Slot| match slot {
        Slot::Absent => "-".to_owned(),
        Slot::Value(value) => value.to_json().to_string(),
        Slot::Bad(error) => format!("bad({error})"),
    };
    let slots: Vec<String> = mapped.slots.iter().map(slot).collect();
    format!("{} {} {}", mapped.id, mapped.version.as_deref().unwrap_or("-"), slots.join(" "))
}

#[test]
fn s42_absent_null_empty_and_bad_are_four_things() {
    let check = |raw: &str, expected: &str| {
        let mapped = contacts().read(raw.as_bytes()).unwrap_or_else(|error| panic!("{raw}: {error}"));
        assert_eq!(shown(&mapped), expected, "{raw}");
        assert_eq!(contacts().id(raw.as_bytes()).unwrap(), mapped.id);
    };
    check(r#"{"id":"c7"}"#, "c7 - - - - - - - -");
    check(
        r#"{"properties":{"email":"","age":null,"other":[1,{"email":2}],"balance":0.10},"etag":"5","id":7.0}"#,
        r#"7 5 "" null - "0.10" - - -"#,
    );
    check(
        r#"{"id":"c7","properties":{"email":5,"age":"12","balance":0.105,"extra":{"deep":"d","n":1e400}},"items":[{"name":"a\u00e9"},{"name":"b"}]}"#,
        r#"c7 - bad(expected a string, found number 5) 12 - bad(expected at most 2 digits after the point (they are never rounded), found number 0.105) "aé" {"deep":"d","n":1e400} "d""#,
    );
    check(r#"{"id":"c7","properties":null,"items":{},"etag":9}"#, "c7 9 - - - - - - -");
    check(r#"{"id":"c7","properties":{"extra":"s"},"items":[]}"#, "c7 - - - - - - \"s\" -");
    check(r#" { "nested" : { "id" : "no" } , "id" : "c\u0037" } "#, "c7 - - - - - - - -");
}

#[test]
fn the_time_of_change_is_read_or_left_out() {
    let read = |raw: &str| contacts().read(raw.as_bytes()).unwrap().updated_at.map(|at| at.timestamp());
    assert_eq!(read(r#"{"id":1,"updatedAt":"2024-01-31T10:30:00+01:00"}"#), Some(1_706_693_400));
    assert_eq!(read(r#"{"id":1,"updatedAt":null}"#), None);
    assert_eq!(read(r#"{"id":1,"updatedAt":"yesterday"}"#), None);
}

#[test]
fn f31_a_record_that_is_no_json_is_refused_with_its_path() {
    let check = |raw: &str, expected: &str| {
        let error = contacts().read(raw.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{raw}");
    };
    check(r#"{"id":"c7","properties":{"email":"a","email":"b"}}"#, "duplicate key at .properties.email");
    check(r#"{"id":"c7","properties":{"extra":{"x":1,"x":1}}}"#, "duplicate key at .properties.extra.x");
    check(r#"{"id":"c7","id":"c8"}"#, "duplicate key at .id");
    check(r#"{"id":"c7","other":[1,"\ud800"]}"#, "lone surrogate in a string (byte 23) at .other[1]");
    check(r#"{"id":"c7"} x"#, "expected nothing more, found `x` (byte 12) at .");
    check(r#"{"id":"c7""#, "expected `,` or `}`, found the end of the document at .");
    check(r#"{"x":"c7"}"#, "no id at .id");
    check(r#"{"id":null}"#, "no id at .id");
    check(r#"{"id":""}"#, "no id at .id");
    check(r#"{"id":["a"]}"#, "no id at .id");
    check("[]", "no id at .id");
    let deep = format!("{{\"id\":1,\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(matches!(contacts().read(deep.as_bytes()), Err(MapError::Json(error)) if error.reason.contains("deeper")));
}

#[test]
fn the_id_is_found_wherever_it_stands() {
    let check = |at: &str, raw: &str, expected: &str| {
        assert_eq!(Mapper::new(0, Probe::of(path(at)), Vec::new()).id(raw.as_bytes()).unwrap(), expected, "{at} {raw}");
    };
    check(".id", r#"{"id":"a","rest":never read"#, "a");
    check(".id", r#"{"x":{"id":0},"y":[[{}]],"id":"a"}"#, "a");
    check(".meta.id", r#"{"meta":{"x":1,"id":12345678901234567890},"z":0}"#, "12345678901234567890");
    check(".ids[1].v", r#"{"ids":[{"v":1},{"u":0,"v":2},{"v":3}]}"#, "2");
    check(".", "\"a\"", "a");
}

fn write(mapper: &Mapper, body: &str, values: &[(usize, Value)]) -> (String, Vec<String>) {
    let mut body = Json::parse(body.as_bytes()).unwrap();
    let refused = mapper.write(&mut body, values);
    (body.to_string(), refused.into_iter().map(|(field, error)| format!("{field}: {error}")).collect())
}

#[test]
fn an_id_is_written_as_it_is_spelled_there_and_by_its_looks_where_nobody_knows() {
    let domain = Domain::of(FieldType::Ref { to: "companies".to_owned() });
    let field = |field: usize, as_string: bool| FieldMap {
        field,
        name: format!("f{field}"),
        domain: domain.clone(),
        lens: path(&format!(".f{field}")),
        codec: Codec::Plain { as_string },
        pull: true,
        push: true,
        create_only: false,
    };
    let mapper = Mapper::new(2, Probe::of(path(".id")), vec![field(0, false), field(1, true)]);
    let spelled = |raw: &str| [mapper.spelling_of_id(raw.as_bytes()), mapper.spelling_of(0, raw.as_bytes())];
    assert_eq!(spelled(r#"{"id": 7, "f0": "10"}"#), [Some(IdSpelling::Number), Some(IdSpelling::Text)]);
    assert_eq!(spelled(r#"{"id": "7", "f0": null}"#), [Some(IdSpelling::Text), None]);
    assert_eq!(spelled("{}"), [None, None]);
    let written = |id: &str, spelling: Option<IdSpelling>| {
        let mut body = Json::parse(b"{}").unwrap();
        let spellings = spelling.into_iter().flat_map(|it| [(0, it), (1, it)]).collect();
        let value = Value::Ref(id.to_owned());
        assert_eq!(mapper.write_as(&mut body, &[(0, value.clone()), (1, value)], &spellings), []);
        body.to_string()
    };
    assert_eq!(written("10", Some(IdSpelling::Text)), r#"{"f0":"10","f1":"10"}"#);
    // `codec = "string"` has the last word.
    assert_eq!(written("10", Some(IdSpelling::Number)), r#"{"f0":10,"f1":"10"}"#);
    assert_eq!(written("10", None), r#"{"f0":10,"f1":"10"}"#);
    // What is no whole number of its own spelling is none in JSON either.
    for id in ["010", "1e3", "c7", "99999999999999999999"] {
        assert_eq!(written(id, Some(IdSpelling::Number)), format!(r#"{{"f0":"{id}","f1":"{id}"}}"#));
    }
}

#[test]
fn writing_touches_the_given_fields_only_and_names_what_cannot_be_said() {
    let text = |text: &str| Value::Text(text.to_owned());
    let (body, refused) =
        write(&contacts(), "{}", &[(0, text("a@x.io")), (3, Value::Decimal(rust_decimal::Decimal::new(5, 1)))]);
    assert_eq!((body.as_str(), refused.len()), (r#"{"properties":{"email":"a@x.io","balance":0.5}}"#, 0));
    let raw = r#"{"id":1,"n":1.0,"properties":{"age":3,"email":"b","z":0.10}}"#;
    let (body, refused) = write(&contacts(), raw, &[(0, Value::Null), (2, text("x")), (4, text("y"))]);
    assert_eq!(body, r#"{"id":1,"n":1.0,"properties":{"age":3,"email":null,"z":0.10},"items":[{"name":"y"}]}"#);
    assert_eq!(refused, ["2: the binding does not map this field"]);
    let mut mapper = contacts();
    mapper.fields[0].push = false;
    let (body, refused) = write(&mapper, "{}", &[(0, text("x"))]);
    assert_eq!((body.as_str(), refused[0].as_str()), ("{}", "0: `email` is only pulled from this upstream"));
}

#[test]
fn many_keys_of_one_object_are_found_and_checked_for_duplicates() {
    let fields = (0..200).map(|field| map(field, "f", FieldType::Integer, path(&format!(".key{field}")))).collect();
    let mapper = Mapper::new(200, Probe::of(path(".id")), fields);
    let members: Vec<String> = (0..200).map(|field| format!("\"key{field}\":{field}")).collect();
    let record = mapper.read(format!("{{\"id\":1,{}}}", members.join(",")).as_bytes()).unwrap();
    let expected: Vec<Slot> = (0..200).map(|field| Slot::Value(Value::Integer(field))).collect();
    assert_eq!(record.slots, expected);
    let error = mapper.read(format!("{{\"id\":1,{},\"key199\":1}}", members.join(",")).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "duplicate key at .key199");
}

#[test]
fn what_a_filter_reads_is_written_to_a_plain_path_with_the_objects_on_its_way() {
    let lens = Lens::Filter {
        get: Filter::compile(".fields.Name // null", &[]).unwrap(),
        put: Some(Put::Path(Path::parse(".fields.Name").unwrap())),
    };
    let mapper =
        Mapper::new(1, Probe::of(Lens::Path(Path::parse(".id").unwrap())), vec![map(0, "name", FieldType::Text, lens)]);
    assert_eq!(mapper.read(br#"{"id":1,"fields":{}}"#).unwrap().slots, [Slot::Value(Value::Null)]);
    for (before, after) in
        [("{}", r#"{"fields":{"Name":"Ann"}}"#), (r#"{"fields":{"A":1}}"#, r#"{"fields":{"A":1,"Name":"Ann"}}"#)]
    {
        let mut body = Json::parse(before.as_bytes()).unwrap();
        assert_eq!(mapper.write(&mut body, &[(0, Value::Text("Ann".to_owned()))]), []);
        assert_eq!(body.to_string(), after);
    }
}

fn people() -> Mapper {
    let filter = |source: &str| Filter::compile(source, &[]).unwrap();
    let put = ". + ($value | split(\" \") | {first: .[0], last: .[1]})";
    let name = Lens::Filter {
        get: filter("[.first, .last] | join(\" \")"),
        put: Some(Put::Filter(Filter::compile(put, &["value"]).unwrap())),
    };
    let count = Lens::Filter { get: filter(".items | length | select(. > 0)"), put: None };
    let fields = vec![map(0, "name", FieldType::Text, name), map(1, "count", FieldType::Integer, count)];
    let probe = Probe {
        version: Some(Lens::Filter { get: filter(".meta.v"), put: None }),
        scope: Some(filter(".type == \"person\"")),
        tombstone: Some(filter(".archived")),
        ..Probe::of(Lens::Filter { get: filter(".kind + \":\" + .id"), put: None })
    };
    Mapper::new(2, probe, fields)
}

#[test]
fn filters_read_what_paths_cannot() {
    let check = |raw: &str, expected: &str, flags: (bool, bool)| {
        let mapped = people().read(raw.as_bytes()).unwrap();
        assert_eq!((shown(&mapped).as_str(), (mapped.in_scope, mapped.deleted)), (expected, flags), "{raw}");
        assert_eq!(people().id(raw.as_bytes()).unwrap(), mapped.id);
    };
    check(
        r#"{"kind":"k","id":"1","type":"person","first":"Ann","last":"B","items":[1,2],"meta":{"v":3}}"#,
        r#"k:1 3 "Ann B" 2"#,
        (true, false),
    );
    check(r#"{"kind":"k","id":"1","archived":true,"first":"A","last":""}"#, r#"k:1 - "A " -"#, (false, true));
}

#[test]
fn a_failing_filter_blocks_its_field_or_its_record() {
    let raw = r#"{"kind":"k","id":"1","first":"A","last":"B","items":true}"#;
    let mapped = people().read(raw.as_bytes()).unwrap();
    assert!(matches!(&mapped.slots[1], Slot::Bad(error) if error.reason.contains("has no length")), "{mapped:?}");
    assert!(matches!(&mapped.slots[0], Slot::Value(_)));
    let error = people().read(br#"{"kind":"k","id":1}"#).unwrap_err();
    assert!(error.to_string().starts_with("id: cannot calculate"), "{error}");
    let twice = people().read(br#"{"kind":"k","id":"1","x":{"y":1,"y":2}}"#).unwrap_err();
    assert_eq!(twice.to_string(), "duplicate key at .x.y");
}

#[test]
fn a_put_filter_writes_and_a_filter_without_one_refuses() {
    let (body, refused) =
        write(&people(), r#"{"id":"1"}"#, &[(0, Value::Text("Bo Li".to_owned())), (1, Value::Integer(3))]);
    assert_eq!(body, r#"{"id":"1","first":"Bo","last":"Li"}"#);
    assert_eq!(refused, ["1: `count` is read by a filter and has no `put` to write it"]);
}
