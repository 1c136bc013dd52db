//! Owns: tests of changes of state that are calls of their own.
//!
//! Must not know: how a write is cut into calls.

use super::*;
use crate::record::Filter;
use crate::rules::{Place, Transition};

const BASE: &str = "https://api.example.com";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// `phone` goes from 1 or 2 to 9 by a call.
fn rules(client: &Client) -> Binding {
    let mut rules = binding(client.upstream());
    rules.transitions = vec![Transition {
        field: 1,
        from: vec![text("1"), text("2")],
        to: vec![text("9")],
        before: false,
        request: request("POST /c/{id}/ring"),
        body: None,
        precondition: Precondition::None,
    }];
    rules
}

fn called(values: &[(usize, &str)]) -> WriteRequest {
    let seen = raw(&json!({ "id": "1", "etag": "5", "name": "Ann", "phone": "1" }));
    WriteRequest {
        transition: Some(0),
        expected_raw: Some(seen),
        expected_version: Some("5".to_owned()),
        ..write(SendOp::Update, Some("1"), values)
    }
}

fn scripted(answers: impl IntoIterator<Item = Result<Response, TransportError>>) -> (Arc<Client>, Arc<Script>) {
    let script = Script::new(answers);
    (client(upstream(BASE), script.clone(), &TestClock::new()), script)
}

#[tokio::test]
async fn the_call_goes_as_declared_and_its_answer_may_show_the_record_anywhere() {
    let done = json!({ "order": { "id": "1", "etag": "6", "name": "Ann", "phone": "9" } });
    let (client, script) = scripted([answer(204, &[], ""), ok(&done)]);
    let mut rules = rules(&client);
    let written = write_one(&client, &rules, &called(&[(1, "9")])).await;
    assert!(matches!(&written, Written::Done { remote_id, record: None, .. } if remote_id == "1"), "{written:?}");
    assert!(script.asked()[0].body.is_none(), "nothing is sent where nothing is declared");

    let call = &mut rules.transitions[0];
    call.request.record = Some(path(".order"));
    call.body = Some(Body::Filter(
        Filter::compile("{was: .remote.phone, to: .changed.phone, name: .record.name, id, key}", &[]).unwrap(),
    ));
    call.precondition =
        Precondition::Version { place: Place::Header("If-Match".to_owned()), value: template("{version}") };
    rules.read.as_mut().unwrap().get = None;
    let write = WriteRequest { record: vec![(0, text("Ann")), (1, text("9"))], ..called(&[(1, "9")]) };
    let written = write_one(&client, &rules, &write).await;
    assert!(matches!(&written, Written::Done { version: Some(v), record: Some(_), .. } if v == "6"), "{written:?}");
    assert_eq!(script.lines(), ["POST /c/1/ring"; 2]);
    assert_eq!(script.header(1, "if-match").as_deref(), Some("5"));
    let sent = json!({ "was": "1", "to": "9", "name": "Ann", "id": "1", "key": "op-1" });
    assert_eq!(script.body(1), sent);
}

#[tokio::test]
async fn a_call_is_sent_once_and_what_moved_on_is_not_called_upon() {
    let moved = json!({ "id": "1", "etag": "6", "name": "Ann", "phone": "2" });
    let (client, script) = scripted([status(502), ok(&moved)]);
    let mut rules = rules(&client);
    let written = write_one(&client, &rules, &called(&[(1, "9")])).await;
    assert!(matches!(written, Written::Unknown(_)), "{written:?}");
    assert_eq!(script.lines(), ["POST /c/1/ring"]);
    rules.transitions[0].precondition = Precondition::Reread;
    let written = write_one(&client, &rules, &called(&[(1, "9")])).await;
    assert!(matches!(written, Written::Stale(Some(_))), "{written:?}");
    assert_eq!(script.lines()[1..], ["GET /c/1"]);
}

#[tokio::test]
async fn a_state_stands_in_no_create_and_no_update() {
    let made = json!({ "id": "7", "etag": "1", "name": "Ann", "phone": "1" });
    let changed = json!({ "id": "1", "etag": "6", "name": "Bea", "phone": "1" });
    let (client, script) = scripted([ok(&made), ok(&changed)]);
    let mut rules = rules(&client);
    write_one(&client, &rules, &write(SendOp::Create, None, &[(0, "Ann"), (1, "9")])).await;
    assert_eq!(script.body(0), json!({ "name": "Ann" }));

    rules.update.as_mut().unwrap().body = Body::Filter(Filter::compile(".record + .changed", &[]).unwrap());
    let update =
        WriteRequest { transition: None, record: vec![(0, text("Bea")), (1, text("9"))], ..called(&[(0, "Bea")]) };
    let written = write_one(&client, &rules, &update).await;
    assert!(matches!(written, Written::Done { .. }), "{written:?}");
    assert_eq!(script.body(1), json!({ "name": "Bea" }));

    // Recorded when the rules had no transition: it is decided anew, and nothing is sent.
    let mixed = WriteRequest { transition: None, ..called(&[(0, "Bea"), (1, "9")]) };
    let written = write_one(&client, &rules, &mixed).await;
    assert!(matches!(&written, Written::Refused(words) if words.contains("`phone`")), "{written:?}");
    assert_eq!(script.lines().len(), 2);
}

#[test]
fn the_first_that_fits_is_taken() {
    let (client, _) = scripted([]);
    let mut rules = rules(&client);
    rules.transitions.push(Transition {
        from: Vec::new(),
        to: vec![text("9"), text("0")],
        ..rules.transitions[0].clone()
    });
    for (from, to, expected) in [
        (Some("1"), "9", Some(0)),
        (Some("2"), "9", Some(0)),
        (Some("3"), "9", Some(1)),
        (None, "9", Some(1)),
        (Some("1"), "0", Some(1)),
        (Some("1"), "7", None),
    ] {
        let from = from.map(text);
        assert_eq!(rules.transition(1, from.as_ref(), &text(to)), expected, "{from:?} → {to}");
    }
    assert_eq!(rules.transition(0, None, &text("9")), None);
    assert!(rules.is_state(1) && !rules.is_state(0));
}
