//! Owns: signatures against what upstreams publish, and that each attempt has its own.
//!
//! Must not know: sockets.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use url::Url;

use super::aws::{Scope, Signed, authorization, canonical_path, canonical_query};
use super::hmac::{signature, written};
use crate::clock::Clock as _;
use crate::record::{Json, TimeFormat, hex};
use crate::rules::{
    Auth, AwsSigning, HashAlgorithm, HmacSigning, KeyEncoding, Payload, Place, SignatureEncoding, Upstream,
};
use crate::upstream::tests::{Script, TestClock, answer, lookup, ok, request, status, template, upstream};
use crate::upstream::{Client, FailureKind, Holes, Outgoing, Response, Safety, TransportError};

fn hmac() -> HmacSigning {
    HmacSigning {
        key: template("${key}"),
        key_encoding: KeyEncoding::Text,
        algorithm: HashAlgorithm::Sha256,
        sign: template("{timestamp}{method}{target}{body}"),
        encoding: SignatureEncoding::Base64,
        into: Place::Header("cb-access-sign".into()),
        value: template("{signature}"),
        timestamp: TimeFormat::UnixS,
        headers: vec![
            ("CB-ACCESS-KEY".into(), template("${id}")),
            ("CB-ACCESS-TIMESTAMP".into(), template("{timestamp}")),
        ],
        query: Vec::new(),
    }
}

fn client(
    base: &str,
    auth: Auth,
    keys: &'static [(&'static str, &'static str)],
    answers: Vec<Result<Response, TransportError>>,
) -> (Client, Arc<Script>, Arc<TestClock>) {
    let (script, clock) = (Script::new(answers), TestClock::new());
    let find = |name: &str| {
        let known = keys.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| lookup(name), |(_, key)| Some((*key).into()))
    };
    let upstream = Upstream { auth, ..upstream(base) };
    let client = Client::new(Arc::new(upstream), &find, script.clone(), clock.clone()).unwrap();
    (client, script, clock)
}

async fn send(client: &Client, line: &str, body: Option<&str>) -> Result<u16, (FailureKind, String)> {
    let mut built = client.build(&request(line), &Holes::default()).unwrap();
    built.body = body.map(|body| Json::parse(body.as_bytes()).unwrap());
    let answered = client.send(built, Safety::Read).await;
    answered.map(|response| response.status).map_err(|failure| (failure.kind, failure.words))
}

/// `signed` is published beside `expected`.
fn check(algorithm: HashAlgorithm, key: &str, signed: &str, expected: &str) {
    assert_eq!(hex(&signature(algorithm, key.as_bytes(), signed.as_bytes())), expected);
}

#[test]
fn signatures_are_those_of_published_examples() {
    // Binance, REST API, "SIGNED Endpoint Example for POST /api/v3/order".
    check(
        HashAlgorithm::Sha256,
        "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    );
    // Duo, Accounts API, "Authentication".
    check(
        HashAlgorithm::Sha1,
        "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep",
        "Tue, 21 Aug 2012 17:29:18 -0000\nPOST\napi-xxxxxxxx.duosecurity.com\n/accounts/v1/account/list\n\
         realname=First%20Last&username=root",
        "2d97d6166319781b5a3a07af39d366f491234edc",
    );
    // RFC 4231, 4.3 (test case 2).
    check(
        HashAlgorithm::Sha512,
        "Jefe",
        "what do ya want for nothing?",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e\
         070a38bce737",
    );
}

/// As Coinbase Exchange wants it: the key in base64, the time in a header of its own; the figure comes of OpenSSL.
#[tokio::test]
async fn a_request_is_signed_over_the_bytes_that_are_sent() {
    let keys = &[("key", "Y2FuYXJ5LWNvaW5iYXNlLWtleS1vZi0zMi1ieXRlcyEh")];
    let auth = Auth::Hmac(Box::new(HmacSigning { key_encoding: KeyEncoding::Base64, ..hmac() }));
    let (client, script, _) = client("https://up.test/v1", auth, keys, vec![ok(&serde_json::json!({}))]);
    let body = r#"{"price":"1.0","size":"1.0","side":"buy","product_id":"BTC-USD"}"#;
    send(&client, "POST /orders", Some(body)).await.unwrap();
    assert_eq!(script.header(0, "cb-access-timestamp").as_deref(), Some("1700000000"));
    assert_eq!(script.header(0, "cb-access-key").as_deref(), Some("canary/id+7731"));
    assert_eq!(script.header(0, "cb-access-sign").as_deref(), Some("m3q5DtY7uxPpXMfhmAOV74Vzen02PSJ7gcLoJwsWn0Q="));
    assert!(script.asked()[0].headers["cb-access-sign"].is_sensitive());
}

/// As Binance wants it: parameters and their signature in the query.
#[tokio::test]
async fn every_attempt_has_a_signature_of_its_own() {
    let keys = &[("key", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")];
    let auth = Auth::Hmac(Box::new(HmacSigning {
        sign: template("{query}"),
        encoding: SignatureEncoding::Hex,
        into: Place::Query("signature".into()),
        timestamp: TimeFormat::UnixMs,
        headers: Vec::new(),
        query: vec![("timestamp".into(), template("{timestamp}")), ("nonce".into(), template("{nonce}"))],
        ..hmac()
    }));
    let answers = vec![status(500), ok(&serde_json::json!([]))];
    let (client, script, _) = client("https://up.test/v1", auth, keys, answers);
    send(&client, "GET /orders?symbol=LTCBTC", None).await.unwrap();
    let queries: Vec<String> = script.asked().iter().map(|asked| asked.url.query().unwrap().to_owned()).collect();
    let mut parts = Vec::new();
    for query in &queries {
        let (signed, given) = query.split_once("&signature=").unwrap();
        assert!(signed.starts_with("symbol=LTCBTC&timestamp=17"), "{signed}");
        check(HashAlgorithm::Sha256, keys[0].1, signed, given);
        parts.push(signed);
    }
    assert_ne!(parts[0], parts[1]);
    // What an upstream echoes in the address of the next page is not taken over.
    let next = client.without_credentials(&format!("https://up.test/v1/orders?{}&page=2", queries[0]));
    assert_eq!(next, "https://up.test/v1/orders?symbol=LTCBTC&page=2");
}

#[tokio::test]
async fn a_key_that_is_not_as_it_should_be_is_told_without_it() {
    for (encoding, word) in [(KeyEncoding::Base64, "base64"), (KeyEncoding::Hex, "hex")] {
        let auth = Auth::Hmac(Box::new(HmacSigning { key_encoding: encoding, ..hmac() }));
        let (client, script, _) = client("https://up.test", auth, &[("key", "canary-é")], Vec::new());
        let (kind, words) = send(&client, "GET /c", None).await.unwrap_err();
        assert_eq!(words, format!("the `key` of hmac is no {word}; is `key_encoding` right?"));
        assert!(kind == FailureKind::Fatal && script.lines().is_empty());
    }
    let auth = Auth::Hmac(Box::new(HmacSigning { key_encoding: KeyEncoding::Hex, ..hmac() }));
    let (client, _, _) = client("https://up.test", auth, &[("key", "6b6579\n")], vec![ok(&serde_json::json!({}))]);
    send(&client, "GET /c", None).await.unwrap();
}

#[tokio::test]
async fn an_empty_key_is_told_as_one() {
    let auth = Auth::Hmac(Box::new(hmac()));
    let (client, script, _) = client("https://up.test", auth, &[("key", "")], Vec::new());
    let expected = (FailureKind::Fatal, "the `key` of hmac is empty".to_owned());
    assert_eq!(send(&client, "GET /c", None).await.unwrap_err(), expected);
    assert!(script.lines().is_empty());
}

#[test]
fn times_have_one_shape_at_every_moment() {
    let at = |micros: i64| Utc.timestamp_micros(1_700_000_000_000_000 + micros).unwrap();
    let check = |format, expected: [&str; 2]| {
        assert_eq!([written(at(0), format), written(at(123_456), format)], expected);
    };
    check(TimeFormat::UnixS, ["1700000000"; 2]);
    check(TimeFormat::UnixMs, ["1700000000000", "1700000000123"]);
    check(TimeFormat::Rfc3339, ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.123Z"]);
    check(TimeFormat::HttpDate, ["Tue, 14 Nov 2023 22:13:20 GMT"; 2]);
}

/// How long a body is does not depend on its signature.
#[test]
fn a_length_is_told_without_a_signature() {
    let auth = Auth::Hmac(Box::new(HmacSigning { key_encoding: KeyEncoding::Hex, ..hmac() }));
    let (client, _, _) = client("https://up.test", auth, &[("key", "no hex")], Vec::new());
    let mut built = client.build(&request("POST /c"), &Holes::default()).unwrap();
    built.body = Some(Json::parse(b"{\"a\":1}").unwrap());
    assert_eq!(client.body_bytes(&built), Ok(7));
}

// ---- AWS -----------------------------------------------------------------------------------------------------------

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2015, 8, 30, 12, 36, 0).unwrap()
}

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A case of the test suite that AWS publishes for its own clients (`aws-signing-test-suite/v4`, signed headers).
fn check_suite(line: &str, more: &[(&str, &str)], payload: &str, expected: &str) {
    let (method, target) = line.split_once(' ').unwrap();
    let url = Url::parse(&format!("https://example.amazonaws.com{target}")).unwrap();
    let query = canonical_query(url.query().unwrap_or_default());
    // The paths of the suite are encoded once.
    let path = canonical_path(url.path(), true);
    let own = [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")];
    let headers = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let scope = Scope {
        id: "AKIDEXAMPLE",
        key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
        service: "service",
        at: at(),
    };
    let value = authorization(&scope, &Signed { method, path: &path, query: &query, headers, payload });
    let prefix = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
    let (names, signature) = value.strip_prefix(prefix).unwrap().split_once(", Signature=").unwrap();
    assert!(names.contains("host") && names.contains("x-amz-date"), "{names}");
    assert_eq!(signature, expected, "{line}");
}

#[test]
fn aws_signatures_are_those_of_its_own_test_suite() {
    check_suite("GET /", &[], EMPTY, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    check_suite(
        "GET /?Param2=value2&Param1=value1",
        &[],
        EMPTY,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    );
    check_suite(
        "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        EMPTY,
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    );
    check_suite("GET /ሴ", &[], EMPTY, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
    check_suite("GET /?ሴ=bar", &[], EMPTY, "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04");
    check_suite("GET //example//", &[], EMPTY, "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5");
    check_suite(
        "GET /",
        &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        EMPTY,
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    );
    check_suite(
        "GET /",
        &[("X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267")],
        EMPTY,
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    );
    let form = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    check_suite(
        "POST /",
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            ("x-amz-content-sha256", form),
        ],
        form,
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    );
}

#[test]
fn paths_are_encoded_once_for_objects_and_twice_for_the_rest() {
    let check = |wire: &str, object: &str, other: &str| {
        assert_eq!(canonical_path(wire, true), object);
        assert_eq!(canonical_path(wire, false), other);
    };
    check("/", "/", "/");
    check("/a%20b/c+d:e", "/a%20b/c%2Bd%3Ae", "/a%2520b/c%2Bd%3Ae");
    check("//x//y/", "//x//y/", "/x/y/");
    check("/k=v&w/%E1%88%B4", "/k%3Dv%26w/%E1%88%B4", "/k%3Dv%26w/%25E1%2588%25B4");
    assert_eq!(canonical_query("b=2&a=x+y%2Bz&a=&acl&A=1"), "A=1&a=&a=x%20y%2Bz&acl=&b=2");
}

fn aws(service: &str, payload: Payload) -> Auth {
    Auth::Aws(Box::new(AwsSigning {
        region: "us-east-1".into(),
        service: service.into(),
        access_key_id: template("${id}"),
        secret_access_key: template("${key}"),
        session_token: Some(template("${token}")),
        payload,
    }))
}

/// Verifies as AWS does: from the request that arrived.
fn verify(asked: &Outgoing, service: &str, at: DateTime<Utc>) {
    let given = asked.headers["authorization"].to_str().unwrap();
    let names = given.split_once("SignedHeaders=").unwrap().1.split_once(',').unwrap().0;
    let headers = names.split(';').map(|name| {
        let value = if name == "host" { "up.test:8443" } else { asked.headers[name].to_str().unwrap() };
        (name.to_owned(), value.to_owned())
    });
    let body = asked.body.as_deref().unwrap_or_default();
    let hash = hex(ring::digest::digest(&ring::digest::SHA256, body).as_ref());
    let payload = asked.headers.get("x-amz-content-sha256").map_or(hash, |value| value.to_str().unwrap().to_owned());
    let path = canonical_path(asked.url.path(), service == "s3");
    let signed = Signed {
        method: asked.method.as_str(),
        path: &path,
        query: asked.url.query().unwrap_or_default(),
        headers: headers.collect(),
        payload: &payload,
    };
    let scope = Scope { id: "canary/id+7731", key: "canary/key+7731", region: "us-east-1", service, at };
    assert_eq!(given, authorization(&scope, &signed));
    assert_eq!(asked.headers["x-amz-date"].to_str().unwrap(), at.format("%Y%m%dT%H%M%SZ").to_string());
    assert!(names.contains("x-amz-security-token"), "{names}");
}

#[tokio::test]
async fn aws_gets_a_signature_of_its_own_for_every_attempt() {
    let answers = vec![answer(429, &[("retry-after", "3")], "{}"), answer(200, &[], "[]")];
    let (client, script, clock) = client("https://up.test:8443/v1", aws("execute-api", Payload::Signed), &[], answers);
    let began = clock.now();
    send(&client, "POST /c?b=x y&a=1", Some("{\"q\":1}")).await.unwrap();
    let asked = script.asked();
    assert_eq!(asked[0].url.query(), Some("a=1&b=x%20y"));
    verify(&asked[0], "execute-api", began);
    verify(&asked[1], "execute-api", clock.now());
    assert!(clock.now() > began + Duration::from_secs(1), "{:?}", clock.elapsed());
    assert!(
        asked[0].headers["authorization"].to_str().unwrap().contains("SignedHeaders=content-type;host;x-amz-date;")
    );
    assert!(asked[0].headers.get("x-amz-content-sha256").is_none());
    for name in ["authorization", "x-amz-security-token"] {
        assert!(asked[0].headers[name].is_sensitive(), "{name}");
    }
}

#[tokio::test]
async fn objects_tell_the_hash_of_their_body_or_that_it_is_not_signed() {
    for (payload, told) in [(Payload::Signed, EMPTY), (Payload::Unsigned, "UNSIGNED-PAYLOAD")] {
        let answers = vec![answer(200, &[], "{}")];
        let (client, script, clock) = client("https://up.test:8443", aws("s3", payload), &[], answers);
        let mut built = client.build(&request("GET /bucket"), &Holes::default()).unwrap();
        built.url.set_path("/bucket/a%20b:c");
        client.send(built, Safety::Read).await.unwrap();
        let asked = &script.asked()[0];
        assert_eq!(asked.url.path(), "/bucket/a%20b%3Ac");
        assert_eq!(asked.headers["x-amz-content-sha256"].to_str().unwrap(), told);
        verify(asked, "s3", clock.now());
    }
}

/// An id is data of others: it must not lead to another object than the one that it names.
#[tokio::test]
async fn an_id_that_would_be_resolved_to_another_object_is_refused() {
    let (client, script, _) = client("https://up.test", aws("s3", Payload::Signed), &[], vec![answer(200, &[], "{}")]);
    for id in ["a/../b", "a/./b", "../b", "a/.."] {
        let built = client.build(&request("DELETE /bucket/{id}"), &Holes { id: Some(id), ..Holes::default() }).unwrap();
        let failure = client.send(built, Safety::Idempotent).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{id}: {failure}");
    }
    assert!(script.lines().is_empty());
    let built =
        client.build(&request("DELETE /bucket/{id}"), &Holes { id: Some("a/b..c/.d"), ..Holes::default() }).unwrap();
    client.send(built, Safety::Idempotent).await.unwrap();
    assert_eq!(script.lines(), ["DELETE /bucket/a/b..c/.d"]);
}
