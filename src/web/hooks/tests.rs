//! Owns: what is genuine and what a genuine webhook is about, as tables; vectors are those of the schemes' own documents.
//!
//! Must not know: sockets, stores.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::record::{Filter, Path, unhex};
use crate::rules::{HmacScheme, HookAction, HookEvent, HookScheme, NextAt, Part, SignatureEncoding, Template, Webhook};

use super::mac::{digest, is_signed};
use super::meaning::{Meaning, read};
use super::secrets::Keys;
use super::verify::{Genuine, Refused, verify};

/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md> and its libraries' tests.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
];

/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SLACK_BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F\
hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.\
803a0bc887a14d10d2c447fce8b6703c";

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn webhook(scheme: HookScheme, secrets: &[&str]) -> Webhook {
    let secret = |name: &&str| Template { parts: vec![Part::Secret((*name).to_owned())] };
    Webhook {
        scheme,
        secrets: secrets.iter().map(secret).collect(),
        tolerance: Duration::from_mins(5),
        delivery: None,
        events: Vec::new(),
    }
}

/// The name of a secret is what it holds.
fn keys(webhook: &Webhook) -> Result<Keys, String> {
    Keys::of(webhook, &|name: &str| (!name.starts_with("un")).then(|| SecretString::from(name.to_owned())))
}

fn headers(all: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in all {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// Its delivery, or why it is refused.
#[track_caller]
fn check(webhook: &Webhook, sent: &[(&str, &str)], body: &[u8], now: i64, expected: Result<Option<&str>, Refused>) {
    let found = verify(webhook, &keys(webhook).unwrap(), &headers(sent), body, at(now));
    assert_eq!(found.map(|genuine| genuine.delivery), expected.map(|delivery| delivery.map(str::to_owned)));
}

/// With one header in another's place.
fn with<'a>(sent: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = sent.iter().copied().filter(|(one, _)| *one != name);
    others.chain([(name, value)]).collect()
}

fn without<'a>(sent: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    sent.iter().copied().filter(|(one, _)| *one != name).collect()
}

#[test]
fn the_mac_is_that_of_rfc_4231() {
    // Test cases 1, 2 and 6.
    let cases: [(&[u8], &[u8], &str); 3] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, data, expected) in cases {
        let mut mac = unhex(expected).unwrap();
        let (first, rest) = data.split_at(3);
        assert!(is_signed(key, &[first, rest], &mac));
        assert!(!is_signed(key, &[first, rest], &mac[..16]), "a part of it is none");
        assert!(!is_signed(key, &[first, rest], b""));
        mac[31] ^= 1;
        assert!(!is_signed(key, &[first, rest], &mac));
    }
    assert_eq!(digest(&[b"a", b"bc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180");
}

#[test]
fn standard_webhooks_are_checked_by_their_own_vector() {
    let rules = webhook(HookScheme::Standard, &[STANDARD_SECRET]);
    let genuine = Ok(Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
    let sent_at = 1_614_265_330;
    check(&rules, &STANDARD, STANDARD_BODY, sent_at, genuine.clone());
    check(&rules, &STANDARD, br#"{"test": 2432232315}"#, sent_at, Err(Refused::Forged));
    check(&rules, &with(&STANDARD, "webhook-id", "msg_other"), STANDARD_BODY, sent_at, Err(Refused::Forged));
    // The window, both ways.
    for (now, expected) in [(300, genuine.clone()), (301, Err(Refused::Stale)), (-300, genuine.clone())] {
        check(&rules, &STANDARD, STANDARD_BODY, sent_at + now, expected);
    }
    check(&rules, &STANDARD, STANDARD_BODY, sent_at - 301, Err(Refused::Stale));
    // A time that was changed to be young is not what was signed.
    let young = with(&STANDARD, "webhook-timestamp", "1614300000");
    check(&rules, &young, STANDARD_BODY, 1_614_300_000, Err(Refused::Forged));
    // Several signatures: of other versions, of secrets that are replaced.
    let several = format!("v1a,xxx v1,AAAA v1,not base64 {}", STANDARD[2].1);
    check(&rules, &with(&STANDARD, "webhook-signature", &several), STANDARD_BODY, sent_at, genuine.clone());
    check(&rules, &with(&STANDARD, "webhook-signature", "v1,"), STANDARD_BODY, sent_at, Err(Refused::Forged));
    // Several secrets: any of them, one of them missing; with and without the prefix.
    let bare = STANDARD_SECRET.trim_start_matches("whsec_");
    for secrets in [vec!["whsec_b3RoZXI=", STANDARD_SECRET], vec![STANDARD_SECRET, "unknown"], vec![bare]] {
        let rules = webhook(HookScheme::Standard, &secrets);
        check(&rules, &STANDARD, STANDARD_BODY, sent_at, genuine.clone());
    }
    check(&webhook(HookScheme::Standard, &["whsec_b3RoZXI="]), &STANDARD, STANDARD_BODY, sent_at, Err(Refused::Forged));
    let keys_of = |secrets: &[&str]| keys(&webhook(HookScheme::Standard, secrets)).unwrap_err();
    assert_eq!(
        keys_of(&["whsec_", "whsec_???", "unknown"]),
        "secret 1 of `secrets` is empty; secret 2 of `secrets` is not base64 after `whsec_`; \
         secret 3 of `secrets` is missing (`unknown`)"
    );
    assert!(!format!("{:?}", keys(&rules).unwrap()).contains("MfKQ9"));
}

#[test]
fn a_header_that_is_missing_doubled_or_unreadable_is_refused_before_anything_is_computed() {
    let rules = webhook(HookScheme::Standard, &[STANDARD_SECRET]);
    for (name, _) in STANDARD {
        let missing = Err(Refused::Missing(name.to_owned()));
        check(&rules, &without(&STANDARD, name), STANDARD_BODY, 1_614_265_330, missing);
        let value = STANDARD.iter().find(|(one, _)| *one == name).unwrap().1;
        let twice: Vec<_> = STANDARD.into_iter().chain([(name, value)]).collect();
        check(&rules, &twice, STANDARD_BODY, 1_614_265_330, Err(Refused::Twice(name.to_owned())));
    }
    for time in ["", "soon", "1614265330.0", "-5", "+1614265330", "99999999999999999999"] {
        let malformed = Err(Refused::Malformed("webhook-timestamp".to_owned()));
        check(&rules, &with(&STANDARD, "webhook-timestamp", time), STANDARD_BODY, 1_614_265_330, malformed);
    }
    let long = "x".repeat(257);
    let malformed = Err(Refused::Malformed("webhook-id".to_owned()));
    check(&rules, &with(&STANDARD, "webhook-id", &long), STANDARD_BODY, 1_614_265_330, malformed);
    let codes = [
        (Refused::Stale, 401),
        (Refused::Forged, 401),
        (Refused::Missing(String::new()), 401),
        (Refused::Twice(String::new()), 400),
        (Refused::Malformed(String::new()), 400),
    ];
    for (refused, code) in codes {
        assert_eq!(refused.status().as_u16(), code, "{refused:?}");
    }
}

#[test]
fn github_is_checked_by_its_own_vector() {
    let rules = webhook(HookScheme::Github, &[GITHUB_SECRET]);
    let sent = [("x-hub-signature-256", GITHUB_SIGNATURE), ("x-github-delivery", "72d3162e")];
    check(&rules, &sent, b"Hello, World!", 0, Ok(Some("72d3162e")));
    check(&rules, &sent, b"Hello, World?", 0, Err(Refused::Forged));
    let bare = GITHUB_SIGNATURE.trim_start_matches("sha256=");
    check(&rules, &with(&sent, "x-hub-signature-256", bare), b"Hello, World!", 0, Err(Refused::Forged));
    let nameless = without(&sent, "x-github-delivery");
    check(&rules, &nameless, b"Hello, World!", 0, Err(Refused::Missing("x-github-delivery".to_owned())));
}

#[test]
fn slack_is_checked_by_its_own_vector() {
    let rules = webhook(HookScheme::Slack, &["old", SLACK_SECRET]);
    let sent = [
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    check(&rules, &sent, SLACK_BODY, 1_531_420_618, Ok(None));
    check(&rules, &sent, SLACK_BODY, 1_531_421_000, Err(Refused::Stale));
    check(&rules, &sent, &SLACK_BODY[1..], 1_531_420_618, Err(Refused::Forged));
    check(&webhook(HookScheme::Slack, &["old"]), &sent, SLACK_BODY, 1_531_420_618, Err(Refused::Forged));
}

/// Neither document has a vector with its secret: these were made with `openssl dgst -sha256 -hmac` as they say,
/// <https://docs.stripe.com/webhooks#verify-manually> and
/// <https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook-to-ensure-its-coming-from-shopify>.
#[test]
fn stripe_and_shopify_are_checked_as_their_documents_say() {
    let rules = webhook(HookScheme::Stripe, &["whsec_test_secret"]);
    let body = br#"{"id":"evt_1","type":"customer.updated"}"#;
    let signature = "f4d0c71a3be0787e382efb4a48964e2a27d880235a345a9b5fa0812d59396886";
    let (now, malformed) = (1_492_774_577, || Err(Refused::Malformed("stripe-signature".to_owned())));
    let cases = [
        (format!("t=1492774577,v1={signature}"), Ok(None)),
        (format!("t=1492774577,v1=00ff,v1={signature},v0=6ffbb59b"), Ok(None)),
        (format!("t=1492774577,v0={signature}"), Err(Refused::Forged)),
        (format!("t=1492774578,v1={signature}"), Err(Refused::Forged)),
        (format!("t=1492774000,v1={signature}"), Err(Refused::Stale)),
        (format!("t=1492774577,t=1492774577,v1={signature}"), malformed()),
        (format!("v1={signature}"), malformed()),
        ("t=1492774577,v1".to_owned(), malformed()),
        (format!("t=x,v1={signature}"), malformed()),
    ];
    for (header, expected) in cases {
        check(&rules, &[("stripe-signature", header.as_str())], body, now, expected);
    }
    let rules = webhook(HookScheme::Shopify, &["hush"]);
    let sent = [
        ("x-shopify-hmac-sha256", "fhhqwxYconmiOqTJ0cD1XzOlT7ONdp6Ryc18pkvlq5Q="),
        ("x-shopify-webhook-id", "b54557e4"),
    ];
    check(&rules, &sent, br#"{"id":788032119674292922}"#, 0, Ok(Some("b54557e4")));
    check(&rules, &sent, br#"{"id":788032119674292923}"#, 0, Err(Refused::Forged));
}

#[test]
fn a_scheme_of_the_rules_own_signs_what_they_say() {
    let hole = |name: &str| Part::Hole(name.to_owned());
    let text = |text: &str| Part::Text(text.to_owned());
    // The vector of Standard Webhooks and that of Slack, described by rules.
    let standard = HmacScheme {
        header: "webhook-signature".to_owned(),
        prefix: "v1,".to_owned(),
        encoding: SignatureEncoding::Base64,
        timestamp: Some("webhook-timestamp".to_owned()),
        content: Template { parts: vec![hole("id"), text("."), hole("timestamp"), text("."), hole("body")] },
    };
    let slack = HmacScheme {
        header: "x-slack-signature".to_owned(),
        prefix: "v0=".to_owned(),
        encoding: SignatureEncoding::Hex,
        timestamp: Some("x-slack-request-timestamp".to_owned()),
        content: Template { parts: vec![text("v0:"), hole("timestamp"), text(":"), hole("body")] },
    };
    let sent = [
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    let rules = webhook(HookScheme::Hmac(slack), &[SLACK_SECRET]);
    check(&rules, &sent, SLACK_BODY, 1_531_420_618, Ok(None));
    check(&rules, &sent, SLACK_BODY, 1_531_420_919, Err(Refused::Stale));
    // The key is the bytes, which no text holds here: the same content is another signature.
    let rules = Webhook {
        delivery: Some(NextAt::Header("webhook-id".to_owned())),
        ..webhook(HookScheme::Hmac(standard), &[STANDARD_SECRET])
    };
    check(&rules, &STANDARD, STANDARD_BODY, 1_614_265_330, Err(Refused::Forged));
    // The plain one: a header in hex over the body, told apart by a header.
    let plain = HmacScheme {
        header: "x-signature".to_owned(),
        prefix: String::new(),
        encoding: SignatureEncoding::Hex,
        timestamp: None,
        content: Template { parts: vec![hole("body")] },
    };
    let rules = Webhook {
        delivery: Some(NextAt::Header("x-id".to_owned())),
        ..webhook(HookScheme::Hmac(plain), &[GITHUB_SECRET])
    };
    let signature = GITHUB_SIGNATURE.trim_start_matches("sha256=");
    check(&rules, &[("x-signature", signature), ("x-id", "7")], b"Hello, World!", 0, Ok(Some("7")));
    let nameless = Err(Refused::Missing("x-id".to_owned()));
    check(&rules, &[("x-signature", signature)], b"Hello, World!", 0, nameless);
}

fn event(when: Option<&str>, id: Option<&str>, collection: &str, action: HookAction) -> HookEvent {
    HookEvent {
        when: when.map(|text| Filter::compile(text, &[]).unwrap()),
        collection: collection.to_owned(),
        id: id.map(|text| Path::parse(text).unwrap()),
        action,
        record: None,
    }
}

fn meaning(scheme: HookScheme, delivery: Option<&str>, body: &str) -> Meaning {
    let mut rules = webhook(scheme, &["x"]);
    rules.events = vec![
        event(Some(".type | startswith(\"contact.\")"), Some(".data.id"), "contacts", HookAction::Fetch),
        event(Some(".type == \"gone\""), Some(".data.id"), "contacts", HookAction::Delete),
        event(Some(".type == \"bulk\""), None, "companies", HookAction::Fetch),
    ];
    let genuine = Genuine { delivery: delivery.map(str::to_owned), digest: "d1".to_owned() };
    read(&rules, &genuine, &Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn the_first_event_that_matches_says_what_a_webhook_is_about() {
    let told = |body: &str| {
        let told = meaning(HookScheme::Github, Some("m1"), body);
        assert_eq!(told.delivery, "m1");
        format!(
            "{:?} {} {} {} {}",
            told.state,
            told.event,
            told.collection.unwrap_or_default(),
            told.remote_id.unwrap_or_default(),
            told.error.unwrap_or_default()
        )
    };
    let cases = [
        (r#"{"type": "contact.updated", "data": {"id": "c1"}}"#, "Waiting fetch contacts c1 "),
        (
            r#"{"type": "contact.updated", "data": {"id": 9007199254740993}}"#,
            "Waiting fetch contacts 9007199254740993 ",
        ),
        (r#"{"type": "gone", "data": {"id": "c1"}}"#, "Waiting delete contacts c1 "),
        (r#"{"type": "bulk"}"#, "Waiting fetch companies  "),
        (r#"{"type": "ping"}"#, "Ignored    "),
        (r#"{"type": "contact.updated", "data": {"id": null}}"#, "Dead fetch contacts  no id at .data.id"),
        (r#"{"type": "gone", "data": {"id": ""}}"#, "Dead delete contacts  no id at .data.id"),
        ("token=1&secret=canary", "Dead    the body is no JSON"),
        (
            r#"{"type": 17, "canary": "canary"}"#,
            "Dead    the condition `.type | startswith(\"contact.\")` cannot be applied to it",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(told(body), expected, "{body}");
    }
}

#[test]
fn the_record_is_kept_as_it_is_written() {
    let shown = |body: &str| {
        let mut rules = webhook(HookScheme::Github, &["x"]);
        let record = Path::parse(".data");
        rules.events = vec![HookEvent { record, ..event(None, Some(".data.id"), "contacts", HookAction::Apply) }];
        let genuine = Genuine { delivery: Some("m1".to_owned()), digest: "d1".to_owned() };
        let Meaning { event, record, .. } = read(&rules, &genuine, &Bytes::copy_from_slice(body.as_bytes()));
        assert_eq!(event, "apply");
        record.map(|raw| String::from_utf8(raw).unwrap())
    };
    let exact = r#"{"id": "c1",  "n": 1.10}"#;
    assert_eq!(shown(&format!(r#"{{"type": "x", "data": {exact}}}"#)).as_deref(), Some(exact));
    assert_eq!(shown(&format!(r#"{{"data": {{"id": "c1", "n": "{}"}}}}"#, "x".repeat(64 * 1024))), None, "too long");
}

#[test]
fn what_tells_a_repeat_is_a_header_else_the_body_else_what_was_signed() {
    let cases = [
        (HookScheme::Standard, Some("m1"), r#"{"id": "e1"}"#, "m1"),
        (HookScheme::Stripe, None, r#"{"id": "evt_1"}"#, "evt_1"),
        (HookScheme::Stripe, None, r#"{"idea": 1}"#, "sha256:d1"),
        (HookScheme::Slack, None, r#"{"event_id": "Ev1"}"#, "Ev1"),
        (HookScheme::Slack, None, "a=b", "sha256:d1"),
    ];
    for (scheme, delivery, body, expected) in cases {
        assert_eq!(meaning(scheme, delivery, body).delivery, expected, "{body}");
    }
    let mut rules = webhook(HookScheme::Github, &["x"]);
    rules.delivery = Some(NextAt::Body(Path::parse(".n").unwrap()));
    let genuine = Genuine { delivery: None, digest: "d1".to_owned() };
    assert_eq!(read(&rules, &genuine, &Bytes::from_static(br#"{"n": 5}"#)).delivery, "5");
}

#[test]
fn slack_hears_its_own_word_when_it_asks_for_it() {
    let asks = r#"{"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let echo = meaning(HookScheme::Slack, None, asks).echo;
    assert_eq!(echo.as_deref(), Some("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"));
    assert_eq!(meaning(HookScheme::Github, Some("m1"), asks).echo, None);
}
