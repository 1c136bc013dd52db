//! Owns: tests of what is listed and written under a parent: addresses, whose a record is, what is sent of that.
//!
//! Must not know: which parents there are.

use super::*;
use crate::rules::{Delete, Parent};

/// The second field says whose a record is.
fn rules(client: &Client, listing: &str) -> Binding {
    let mut rules = binding(client.upstream());
    let parent = Parent { collection: "companies".to_owned(), name: Some("of".to_owned()), in_id: false, batch: 1 };
    rules.read = Some(Read { request: request(listing), parent: Some(parent), ..read(Paging::None) });
    let mut fields = rules.mapper.fields.clone();
    fields[1].lens = lens(".of");
    rules.mapper = Mapper::new(rules.mapper.field_count, rules.mapper.probe.clone(), fields);
    rules
}

fn results(records: &[Tree]) -> Result<Response, TransportError> {
    ok(&json!({ "results": records }))
}

#[tokio::test]
async fn the_parent_stands_in_the_address_encoded_and_in_each_record_as_it_is() {
    let script = Script::new([results(&[json!({ "id": "1" }), json!({ "id": "2", "of": "x" })]), results(&[])]);
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let query = ListQuery { parent: Some("a/b c".to_owned()), ..ListQuery::default() };
    let mut lister = Lister::new(client.clone(), Arc::new(rules(&client, "GET /c/{parent}/list")), query.clone());
    let page = lister.page().await.unwrap().unwrap();
    let shown: Vec<Tree> =
        page.records.iter().map(|at| serde_json::from_slice(&page.body[at.clone()]).unwrap()).collect();
    assert_eq!(shown, [json!({ "id": "1", "of": "a/b c" }), json!({ "id": "2", "of": "a/b c" })]);
    let mut by_query = rules(&client, "GET /c");
    by_query.read.as_mut().unwrap().request.query = vec![("of".to_owned(), template("{parent}"))];
    Lister::new(client, Arc::new(by_query), query).page().await.unwrap();
    assert_eq!(script.lines(), ["GET /c/a%2Fb%20c/list", "GET /c?of=a%2Fb+c"]);
}

#[tokio::test]
async fn a_record_that_is_read_again_is_as_it_was_listed_and_what_was_written_into_it_here_is_not_sent() {
    let now = json!({ "id": "7", "name": "Ann", "more": 1 });
    let script = Script::new([ok(&now), ok(&json!({ "id": "7", "name": "Anna", "more": 1 }))]);
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let mut rules = rules(&client, "GET /c/{parent}/list");
    let update = rules.update.as_mut().unwrap();
    (update.body, update.precondition) = (Body::Full, Precondition::Reread);
    let listed = json!({ "of": "p1", "id": "7", "name": "Ann", "more": 1 });
    let write = WriteRequest { expected_raw: Some(raw(&listed)), ..write(SendOp::Update, Some("7"), &[(0, "Anna")]) };
    let written = write_one(&client, &rules, &write).await;
    let Written::Done { record: Some(record), .. } = tell_whose(&rules, &write, written) else { panic!("not done") };
    let shown: Tree = serde_json::from_slice(&record.raw).unwrap();
    assert_eq!(shown["of"], "p1");
    assert_eq!(script.lines(), ["GET /c/7", "PATCH /c/7"]);
    assert_eq!(script.body(1), json!({ "id": "7", "name": "Anna", "more": 1 }));

    // Where the write itself moves it, nothing says where it is now.
    let moved = WriteRequest { values: vec![(1, Value::Text("p2".to_owned()))], ..write };
    let record = Remote { raw: raw(&now), ..record };
    let done = Written::Done { remote_id: "7".to_owned(), version: None, record: Some(record), repeated: false };
    assert_eq!(tell_whose(&rules, &moved, done.clone()), done);
}

#[tokio::test]
async fn what_is_not_found_below_its_parent_is_astray_unless_its_id_names_the_parent() {
    let missing = || answer(404, &[], "{}");
    let found = ok(&json!({ "id": "7", "of": "x", "name": "Ann" }));
    let script = Script::new([found, missing(), missing(), ok(&json!({ "id": "7", "name": "Ann" }))]);
    let client = client(upstream("https://up.test"), script.clone(), &TestClock::new());
    let mut rules = rules(&client, "GET /c/{parent}/list");
    rules.read.as_mut().unwrap().get = Some(request("GET /c/{parent}/list/{id}"));
    let seen = Site::of(&rules, "7", br#"{"of":"p 1","id":"7"}"#);
    let Ok(Got::Found(remote)) = get(&client, &rules, &seen).await else { panic!("not found") };
    assert_eq!(&remote.raw[..], br#"{"id":"7","of":"p 1","name":"Ann"}"#, "whose it is, the address says");
    let Ok(Got::Astray(why)) = get(&client, &rules, &seen).await else { panic!("not astray") };
    assert!(why.contains("7 is not found under p 1"), "{why}");
    // Nothing is sent where the parent is not known.
    let Ok(Got::Astray(why)) = get(&client, &rules, &Site::of(&rules, "7", b"")).await else { panic!("not astray") };
    assert!(why.contains("is not known yet"), "{why}");
    let write = write(SendOp::Delete, Some("7"), &[]);
    rules.delete = Some(Delete { request: request("DELETE /c/{parent}/list/{id}"), precondition: Precondition::None });
    let Written::Refused(why) = write_one(&client, &rules, &write).await else { panic!("not refused") };
    assert!(why.contains("is not known yet"), "{why}");

    rules.read.as_mut().unwrap().parent.as_mut().unwrap().in_id = true;
    let probe = Probe { under: Some(path(".of")), ..rules.mapper.probe.clone() };
    rules.mapper = Mapper::new(rules.mapper.field_count, probe, rules.mapper.fields.clone());
    let named = Site::of(&rules, "p 1/7", b"");
    assert_eq!(get(&client, &rules, &named).await, Ok(Got::Missing));
    let Ok(Got::Found(remote)) = get(&client, &rules, &named).await else { panic!("not found") };
    assert_eq!(rules.mapper.id(&remote.raw).unwrap(), "p 1/7");
    assert_eq!(rules.mapper.read(&remote.raw).unwrap().id, "p 1/7");
    assert_eq!(script.lines(), vec!["GET /c/p%201/list/7"; 4]);
}
