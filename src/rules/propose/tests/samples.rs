//! Proposals by samples: types, ids, paging, where records are, errors, whole texts.

use serde_json::{Value, json};

use super::super::kind::kind_of;
use super::{Sample, WANTED, Wanted, assert_passes, by_sample, from_samples, lines, refused};
use crate::record::Json;

#[test]
fn types_follow_from_all_values() {
    let check = |name: &str, values: Value, expected: &str| {
        let values: Vec<Json> = values.as_array().unwrap().iter().cloned().map(Json::from).collect();
        let kind = kind_of(name, &values.iter().collect::<Vec<_>>());
        let scale = kind.scale.map(|scale| format!("({scale})")).unwrap_or_default();
        let codec = kind.codec.map(|codec| format!(" {codec}")).unwrap_or_default();
        let guess = if kind.guess.is_some() { " ?" } else { "" };
        assert_eq!(format!("{}{scale}{codec}{guess}", kind.word), expected, "{name} {values:?}");
    };
    check("a", json!([]), "json ?");
    check("a", json!(["x", ""]), "text");
    check("a", json!([1, -2, 9_007_199_254_740_993_i64]), "integer");
    check("a", json!([12_345_678_901_234_567_890_u64]), "real ?");
    check("price", json!([1, 2.5, -0.25]), "decimal(2) ?");
    check("lat", json!([52.520_008, 13.404_954]), "real ?");
    check("price", json!(["1.50", "12.00"]), "decimal(2) string ?");
    check("zip", json!(["01067", "10115"]), "text");
    check("a", json!([true, false]), "boolean");
    check("born", json!(["2024-02-29", "1999-12-31"]), "date");
    check("born", json!(["2024-02-30"]), "text");
    check("seenat", json!(["2024-01-31T09:30:00Z", "2024-01-31 09:30:00+02:00"]), "datetime");
    check("seenat", json!(["2024-01-31T09:30:00Z", "soon"]), "text");
    check("seenat", json!([1_706_693_400]), "datetime unix_s ?");
    check("seenat", json!([1_706_693_400_123_i64]), "datetime unix_ms ?");
    check("number", json!([1_706_693_400]), "integer");
    check("seenat", json!(["Wed, 31 Jan 2024 09:30:00 GMT"]), "datetime http_date");
    check("tags", json!([["a", "b"], []]), "set ?");
    check("tags", json!([["a", "a"]]), "list");
    check("lines", json!([["a", "b"]]), "list");
    check("lines", json!([["a", 1]]), "json");
    check("lines", json!([[{"sku": 1}]]), "json");
    check("a", json!(["x", 1]), "json ?");
    check("a", json!([{}]), "json");
}

#[test]
fn the_id_is_the_one_that_is_unique() {
    let check = |records: Value, expected: &str| {
        let proposed = by_sample(&WANTED, &json!({ "results": records }).to_string()).unwrap();
        let found = lines(&proposed, "id = ");
        assert!(found[0].starts_with(&format!("id = \"{expected}\"")), "{found:?}");
    };
    check(json!([{ "id": 1, "uuid": "a", "n": 1 }, { "id": 2, "uuid": "b", "n": 1 }]), ".id");
    check(json!([{ "id": 1, "uuid": "a", "n": 1 }, { "id": 1, "uuid": "b", "n": 1 }]), ".uuid");
    check(json!([{ "_id": "x", "n": 1 }]), "._id");
    check(json!([{ "contact_id": "x", "company_id": "y", "n": 1 }]), ".contact_id");
    check(json!([{ "sys": { "id": "x" }, "n": 1 }]), ".sys.id");
    check(json!([{ "objectId": "x", "n": 1 }]), ".objectId");
    let refused_with = |records: Value, words: &str| {
        let error = refused(by_sample(&WANTED, &records.to_string()));
        assert!(error.contains(words), "{error}");
    };
    refused_with(json!([{ "id": 1, "n": 1 }, { "id": 1, "n": 2 }]), ".id has 1 values in 2 records");
    refused_with(json!([{ "name": 1 }]), "none is called like an id");
    refused_with(json!([{ "id": 1 }]), "no members beside their id");
    let given = Wanted { id: Some(".mail"), ..WANTED };
    let proposed = by_sample(&given, &json!([{ "mail": "a@x.io", "n": 1 }]).to_string()).unwrap();
    assert_eq!(lines(&proposed, "id = "), ["id = \".mail\""]);
    assert!(refused(by_sample(&given, "[{\"id\": 1}]")).contains(".mail stands in none"));
}

#[test]
fn paging_is_read_off_the_answer() {
    let check = |envelope: Value, expected: &str| {
        let mut answer = envelope;
        answer["results"] = json!([{ "id": 1, "name": "Ann" }]);
        let proposed = by_sample(&WANTED, &answer.to_string()).unwrap();
        let found = lines(&proposed, "page = ");
        assert!(found[0].starts_with(&format!("page = {expected}  # guess: ")), "{found:?}");
    };
    check(json!({ "next": "https://x.io/?page=2" }), "{ kind = \"next_url\", next = \".next\" }");
    check(json!({ "count": 1, "next": null }), "{ kind = \"next_url\", next = \".next\" }");
    check(json!({ "@odata.nextLink": "https://x.io" }), r#"{ kind = "next_url", next = '."@odata.nextLink"' }"#);
    check(json!({ "_links": { "next": { "href": "/a" } } }), "{ kind = \"next_url\", next = \"._links.next.href\" }");
    check(json!({ "next_cursor": "abc" }), "{ kind = \"cursor\", next = \".next_cursor\", into = \"query.cursor\" }");
    check(
        json!({ "nextPageToken": null }),
        "{ kind = \"cursor\", next = \".nextPageToken\", into = \"query.pageToken\" }",
    );
    check(
        json!({ "paging": { "next": { "after": "x" } } }),
        "{ kind = \"cursor\", next = \".paging.next.after\", into = \"query.after\" }",
    );
    check(
        json!({ "offset": 0, "limit": 50, "total": 3 }),
        "{ kind = \"offset\", into = \"query.offset\", size = { into = \"query.limit\", value = 50 } }",
    );
    check(
        json!({ "page": 1, "per_page": 20, "total": 3 }),
        "{ kind = \"page\", into = \"query.page\", size = { into = \"query.per_page\", value = 20 } }",
    );
    check(
        json!({ "next_cursor": "abc", "has_more": true }),
        "{ kind = \"cursor\", next = \".next_cursor\", into = \"query.cursor\", more = \".has_more\" }",
    );
    check(
        json!({ "info": { "page": 1, "more_records": false }, "total_pages": 9 }),
        "{ kind = \"page\", into = \"query.page\", more = \".info.more_records\" }",
    );
    check(
        json!({ "page": 1, "total_pages": 9, "has_more": "yes" }),
        "{ kind = \"page\", into = \"query.page\", pages = \".total_pages\" }",
    );
    check(json!({ "meta": { "page": 0 } }), "{ kind = \"page\", into = \"query.page\", start = 0 }");
    check(
        json!({ "startAt": 0, "isLast": false }),
        "{ kind = \"offset\", into = \"query.startAt\", more = \".isLast == false\" }",
    );
    check(json!({ "has_more": true }), "\"none\"");
    check(json!({ "total": 1 }), "\"none\"");
    check(json!({}), "\"none\"");
}

#[test]
fn records_are_where_the_largest_list_is() {
    let check = |answer: &str, expected: &str| {
        let proposed = by_sample(&WANTED, answer).unwrap();
        let found = lines(&proposed, "records = ");
        assert!(found[0].starts_with(&format!("records = \"{expected}\"")), "{found:?}");
    };
    check(r#"[{"id":1,"n":1}]"#, ".[]");
    check(r#"{"data":{"items":[{"id":1,"n":1}]}}"#, ".data.items[]");
    check(r#"{"included":[{"x":1}],"people":[{"id":1,"n":1},{"id":2,"n":1}]}"#, ".people[]");
    check(r#"{"errors":[{"x":1}],"results":[{"id":1,"n":1}]}"#, ".results[]");
    check("{\"id\":1,\"lines\":[{\"sku\":1}]}\n{\"id\":2,\"lines\":[]}\n", ".[]");
    check(r#"{"id":1,"lines":[{"sku":1}]}"#, ".[]");
    let wanted = Wanted { records: Some(".b[]"), ..WANTED };
    let proposed = by_sample(&wanted, r#"{"a":[{"id":1,"n":1}],"b":[{"id":2,"m":1}]}"#).unwrap();
    assert_eq!(lines(&proposed, "records = "), ["records = \".b[]\""]);
    let refused_with = |wanted: &Wanted<'_>, answer: &str, words: &str| {
        let error = refused(by_sample(wanted, answer));
        assert!(error.contains(words), "{error}");
    };
    refused_with(&WANTED, r#"{"a":[{"id":1}],"b":[{"id":2}]}"#, ".a[], .b[]; choose one with --records");
    refused_with(&wanted, r#"{"a":[{"id":1}]}"#, "--records .b[] is no list of objects in answer.json");
    refused_with(&WANTED, r#"{"results":[],"total":0}"#, "answer.json holds no record");
    refused_with(&WANTED, "[]", "answer.json holds no record");
    refused_with(&WANTED, "  \n", "answer.json holds no record");
    refused_with(&WANTED, "<html>", "answer.json is neither JSON nor JSON a line");
    refused_with(&WANTED, "{\"id\":1}\n7\n", "a line holds number");
    refused_with(&Wanted { path: Some("contacts"), ..WANTED }, "[{}]", "--path begins with `/`");
    refused_with(&Wanted { path: Some("/a?api_key=x"), ..WANTED }, "[{\"id\":1,\"n\":1}]", "looks like a credential");
    refused_with(&Wanted { path: Some("/a/{id}"), ..WANTED }, "[{\"id\":1,\"n\":1}]", "write the value");
}

#[test]
fn samples_are_taken_together_and_may_overlap() {
    let page = |records: Value, next: Value| json!({ "results": records, "next_cursor": next }).to_string();
    let one = page(json!([{ "id": 1, "n": 1 }, { "id": 2, "n": null }]), json!("x"));
    let two = page(json!([{ "id": 2, "n": null }, { "id": 3, "n": "text" }]), json!(null));
    let samples = [("one", &one), ("two", &two)].map(|(name, text)| Sample { name, bytes: text.as_bytes() });
    let proposed = from_samples(&WANTED, &samples).unwrap();
    assert_passes(&proposed);
    assert!(proposed.contains("from 3 records of 2 samples"), "{proposed}");
    assert_eq!(lines(&proposed, "n = ")[0], "n = \"json\"  # guess: there are values of several kinds: number, string");
    let other = Sample { name: "three", bytes: b"[{\"id\": 4}]" };
    assert!(refused(from_samples(&WANTED, &[samples[0], other])).contains("take samples of one listing"));
}

#[test]
fn no_value_of_a_sample_gets_into_the_rules() {
    let record = |number: usize| {
        json!({
            "id": format!("SECRET{number}"), "api_token": "SECRETtoken", "status": format!("SECRET{}", number % 2),
            "sessions": { format!("SECRET{number}99999"): { "x": 1 } }, "SECRET 12345 key": 1, "note": "SECRET\n[x]",
            "pin": 774_411, "kept": { "deep": { "deeper": "SECRET" } },
        })
    };
    let records: Vec<Value> = (0..40).map(record).collect();
    let answer = json!({ "results": records, "next": "https://u:SECRET@x.io/?token=SECRET", "cursor": "SECRET" });
    let proposed = by_sample(&WANTED, &answer.to_string()).unwrap();
    assert!(!proposed.contains("SECRET") && !proposed.contains("774411"), "{proposed}");
    assert!(proposed.contains("# api_token: by its name it holds a credential"), "{proposed}");
    assert_eq!(lines(&proposed, "api_token = ").iter().filter(|line| line.starts_with('#')).count(), 2, "{proposed}");
    assert!(proposed.contains("# 1 member left out"), "{proposed}");
    assert!(proposed.contains("# status: 2 different texts in 40 records"), "{proposed}");
    assert!(proposed.contains("sessions = { type = \"json\""), "{proposed}");
}

#[test]
fn what_holds_a_credential_by_its_name_stands_in_comments_field_and_map_alike() {
    let record = json!({ "id": 1, "name": "Ann", "api_key": "k", "auth": { "user": "u" }, "next_page_token": "t" });
    let proposed = by_sample(&WANTED, &json!([record]).to_string()).unwrap();
    let first = |name: &str| lines(&proposed, name).iter().map(|line| line[..1].to_owned()).collect::<String>();
    assert_eq!([first("name = "), first("api_key = "), first("auth_user = ")], ["nn", "##", "##"], "{proposed}");
    assert_eq!(first("next_page_token = "), "nn", "{proposed}");
    let alone = json!([{ "id": 1, "password": "x" }]).to_string();
    assert!(refused(by_sample(&WANTED, &alone)).contains("no members beside their id"));
}

#[test]
fn records_are_not_matched_by_what_stands_in_a_comment() {
    let record = |number: usize| json!({ "id": number, "name": "Ann", "auth": { "email": format!("{number}@x.io") } });
    let records = |count| Value::from((0..count).map(record).collect::<Vec<_>>()).to_string();
    let proposed = by_sample(&WANTED, &records(40)).unwrap();
    assert!(proposed.contains("#auth_email = ") && !proposed.contains("\nmatch = "), "{proposed}");
}

#[test]
fn digits_are_counted_in_words_that_fit() {
    let told = |value: Value| kind_of("n", &[&Json::from(value)]).guess.unwrap();
    assert_eq!(told(json!(1.5)), "at most 1 digit after the point, as far as was seen");
    assert_eq!(told(json!(1.25)), "at most 2 digits after the point, as far as was seen");
    assert_eq!(told(json!("1.5")), "texts that are numbers, with at most 1 digit after the point");
}

#[test]
fn a_whole_proposal_by_an_answer() {
    let record = |number: usize| {
        json!({
            "id": format!("c{number}"), "etag": format!("v{number}"), "email": format!("p{number}@x.io"),
            "firstName": "Ann", "phone": number.is_multiple_of(2).then_some("+44"),
            "address": { "city": "Bath", "geo": { "lat": 51.380_001, "lon": -2.36 } },
            "balance": format!("{number}.50"), "tags": ["a"], "createdAt": "2024-01-31T09:30:00Z",
            "updatedAt": "2024-02-01T09:30:00Z", "lastSeen": 1_706_693_400 + number, "isDeleted": false,
            "archived_at": null, "order": number, "sync_state": "on", "odd key": true, "rowid": 7,
        })
    };
    let records: Vec<Value> = (0..25).map(record).collect();
    let wanted = Wanted { path: Some("/v2/contacts?limit=25"), base_url: Some("https://api.x.io"), ..WANTED };
    let answer = json!({ "results": records, "paging": { "next": { "after": "x" } } });
    insta::assert_snapshot!(by_sample(&wanted, &answer.to_string()).unwrap());
}

#[test]
fn a_whole_proposal_by_records_a_line_for_an_upstream_that_is_known() {
    let text =
        "{\"id\":1,\"name\":\"Ann\",\"modified\":1706693400000}\n{\"id\":2,\"name\":null,\"modified\":1706693400001}\n";
    let wanted = Wanted { upstream_known: true, ..WANTED };
    let proposed = from_samples(&wanted, &[Sample { name: "-", bytes: text.as_bytes() }]).unwrap();
    assert_passes(&format!("[upstream.crm]\nbase_url = \"https://x.io\"\n{proposed}"));
    insta::assert_snapshot!(proposed);
}

#[test]
fn records_match_by_an_address_or_by_two_names_together() {
    let check = |record: fn(usize) -> Value, expected: &[&str]| {
        let records: Vec<Value> = (0..24).map(record).collect();
        let proposed = by_sample(&WANTED, &json!({ "results": records }).to_string()).unwrap();
        let found: Vec<&str> = lines(&proposed, "match = ");
        assert_eq!(found, expected, "{proposed}");
    };
    let name = |n: usize| json!({ "id": n, "first_name": format!("F{}", n / 5), "last_name": format!("L{}", n % 5) });
    let why = "# guess: together unique in 24 of 24 records, and never null";
    check(name, &[&format!("match = {{ keys = [[\"first_name\", \"last_name\"]] }}  {why}")]);
    check(|n| json!({ "id": n, "first_name": format!("F{}", n / 5), "last_name": "L" }), &[]);
    check(|n| json!({ "id": n, "first_name": format!("F{n}"), "last_name": if n == 3 { "" } else { "L" } }), &[]);
    let alone = "# guess: unique in 24 of 24 records, and never null";
    check(
        |n| json!({ "id": n, "first_name": format!("F{n}"), "last_name": "L", "email": format!("{n}@x.io") }),
        &[&format!("match = {{ keys = [[\"email\"]] }}  {alone}")],
    );
}
