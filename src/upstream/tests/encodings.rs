//! Owns: tests of bodies as they are sent: JSON, forms, multipart.
//!
//! Must not know: what is in them.

use super::*;
use crate::record::Json;
use crate::rules::Encoding;
use crate::upstream::encode::encode;

fn encoded(body: &str, encoding: Encoding) -> (String, String) {
    let (kind, bytes) = encode(&Json::parse(body.as_bytes()).unwrap(), encoding).unwrap();
    (kind.to_str().unwrap().to_owned(), String::from_utf8(bytes).unwrap())
}

#[test]
fn a_form_has_nested_names_in_brackets_and_empty_values_that_clear() {
    for (body, form) in [
        ("{}", ""),
        (r#"{"a":"b","n":-1.50,"t":true,"f":false}"#, "a=b&n=-1.50&t=true&f=false"),
        (r#"{"metadata":{"a":"b","c":{"d":1}}}"#, "metadata%5Ba%5D=b&metadata%5Bc%5D%5Bd%5D=1"),
        (
            r#"{"items":[{"x":1,"y":[2,3]},"z"]}"#,
            "items%5B0%5D%5Bx%5D=1&items%5B0%5D%5By%5D%5B0%5D=2&items%5B0%5D%5By%5D%5B1%5D=3&items%5B1%5D=z",
        ),
        (r#"{"a":null,"b":{},"c":[],"d":""}"#, "a=&b=&c=&d="),
        (r#"{"a b":"ä&=+ *-._~"}"#, "a+b=%C3%A4%26%3D%2B+*-._%7E"),
    ] {
        let (kind, bytes) = encoded(body, Encoding::Form);
        assert_eq!((kind.as_str(), bytes.as_str()), ("application/x-www-form-urlencoded", form), "{body}");
    }
    let body = r#"{"a":[1,{"b":null}]}"#;
    assert_eq!(encoded(body, Encoding::Json), ("application/json".to_owned(), body.to_owned()));
    for encoding in [Encoding::Form, Encoding::Multipart] {
        for body in ["[1]", "\"a\"", "null", "3"] {
            let failure = encode(&Json::parse(body.as_bytes()).unwrap(), encoding).unwrap_err();
            assert_eq!(
                (failure.kind, failure.words.as_str()),
                (FailureKind::Invalid, "the request body: a form is made of an object")
            );
        }
    }
}

#[test]
fn multipart_has_a_part_per_name_and_the_same_bytes_each_time() {
    let body = r#"{"a":"x\r\n--y","m":{"k\"\n":2},"n":null}"#;
    let (kind, bytes) = encoded(body, Encoding::Multipart);
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |name: &str, text: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let expected = [part("a", "x\r\n--y"), part("m[k%22%0A]", "2"), part("n", ""), format!("--{boundary}--\r\n")];
    assert_eq!(bytes, expected.concat());
    assert_eq!(encoded(body, Encoding::Multipart), (kind.clone(), bytes));
    assert_ne!(encoded(r#"{"a":"x"}"#, Encoding::Multipart).0, kind, "another boundary for another body");
    assert!(boundary.len() <= 70, "RFC 2046, 5.1.1");
}

#[tokio::test]
async fn a_write_goes_in_the_encoding_of_its_request_and_is_refused_where_that_cannot_be() {
    let done = json!({ "id": "1", "etag": "6", "name": "Ann", "phone": "2" });
    let script = Script::new([ok(&done), ok(&done), ok(&done)]);
    let client = client(upstream("https://api.example.com"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.update.as_mut().unwrap().precondition = Precondition::None;
    let update = write(SendOp::Update, Some("1"), &[(1, "2")]);
    for (encoding, kind, body) in [
        (Encoding::Json, "application/json", r#"{"phone":"2"}"#),
        (Encoding::Form, "application/x-www-form-urlencoded", "phone=2"),
    ] {
        rules.update.as_mut().unwrap().request.encoding = encoding;
        assert!(matches!(write_one(&client, &rules, &update).await, Written::Done { .. }));
        let sent = script.asked().pop().unwrap();
        assert_eq!(
            (sent.headers["content-type"].to_str().unwrap(), sent.body.as_deref()),
            (kind, Some(body.as_bytes()))
        );
    }
    // The rules may name another media type, but not for multipart: its boundary is in it.
    rules.update.as_mut().unwrap().request.headers = vec![("Content-Type".to_owned(), template("text/plain"))];
    rules.update.as_mut().unwrap().request.encoding = Encoding::Multipart;
    assert!(matches!(write_one(&client, &rules, &update).await, Written::Done { .. }));
    let sent = script.asked().pop().unwrap();
    assert!(sent.headers["content-type"].to_str().unwrap().starts_with("multipart/form-data; boundary="));

    rules.update.as_mut().unwrap().body = Body::Filter(crate::record::Filter::compile("[.changed]", &[]).unwrap());
    let written = write_one(&client, &rules, &update).await;
    assert!(matches!(&written, Written::Refused(words) if words.contains("made of an object")), "{written:?}");
    assert_eq!(script.asked().len(), 3, "nothing was sent");
}
