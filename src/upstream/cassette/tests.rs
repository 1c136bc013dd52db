//! What is masked, and what is said of a request that is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::mask::Kind;
use super::nearest::{Question, nearest};
use super::tape::Body;
use super::*;
use crate::clock::Clock;
use crate::record::Path;
use crate::rules::CsvFormat;
use crate::upstream::tests::{Script, TestClock, answer, lookup, request, upstream};
use crate::upstream::{Client, Holes, RecordsIn, Secrets, Transport as _, TransportError};

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.add("key", "s3cr&t \"one\"".to_owned());
    secrets
}

fn mask(members: &[&str]) -> Mask {
    let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
    Mask::new(Secrets::default(), &members).unwrap()
}

fn body(mask: &Mask, text: &str) -> String {
    match mask.body(&secrets(), text.as_bytes(), Kind::Text).unwrap() {
        Body::LeftOut(_) => "left out".to_owned(),
        body => String::from_utf8(body.bytes().unwrap().to_vec()).unwrap(),
    }
}

#[test]
fn what_opens_an_address_is_masked_wherever_the_address_stands() {
    let mask = mask(&["email"]);
    let signed = "https://files.test/e.jsonl?part=1&X-Amz-Signature=abc%2F1&x-goog-signature=d#top";
    let clean = "https://files.test/e.jsonl?part=1&X-Amz-Signature=REDACTED&x-goog-signature=REDACTED#top";
    assert_eq!(body(&mask, &format!(r#"{{"urls":["{signed}"]}}"#)), format!(r#"{{"urls":["{clean}"]}}"#));
    assert_eq!(mask.url(&secrets(), signed), clean, "as it is asked, so that a replay finds it");
    let mut headers = ::http::HeaderMap::new();
    headers.insert("location", signed.parse().unwrap());
    headers.insert("link", format!("<{signed}>; rel=\"next\", </b?access_token=t>; rel=\"last\"").parse().unwrap());
    let kept: BTreeMap<String, String> = mask.headers(&secrets(), &headers).into_iter().collect();
    assert_eq!(kept["location"], clean);
    assert_eq!(kept["link"], format!("<{clean}>; rel=\"next\", </b?access_token=REDACTED>; rel=\"last\""));
    let next = body(&mask, r#"{"next":"/p?email=ann%40x.test&page=2","say":"Is it? a & b = c"}"#);
    assert!(!next.contains("ann") && next.contains("&page=2") && next.contains("Is it? a & b = c"), "{next}");
}

#[test]
fn a_token_in_an_address_that_is_told_is_replaced_and_asked_for_by_what_stands_for_it() {
    let mask = mask(&[]);
    let told = r#"{"file":"https://files.test/f?n=1&token=Ab%2Fcdefgh&x=2","token":"p2","page":"/a?token=123456789&auth=short"}"#;
    let masked: serde_json::Value = serde_json::from_str(&body(&mask, told)).unwrap();
    let file = masked["file"].as_str().unwrap();
    let token = file.strip_prefix("https://files.test/f?n=1&token=redacted-").unwrap();
    assert!(token.ends_with("&x=2") && token.len() > "&x=2".len(), "{masked}");
    assert_eq!((&masked["token"], &masked["page"]), (&"p2".into(), &"/a?token=123456789&auth=short".into()));
    assert_eq!(
        mask.url(&secrets(), "https://files.test/f?n=1&token=Ab%2Fcdefgh&x=2"),
        file,
        "so that a replay finds it"
    );
    assert_eq!(
        mask.url(&secrets(), "https://files.test/f?token=not-told-yet"),
        "https://files.test/f?token=not-told-yet"
    );
}

#[test]
fn secrets_are_masked_however_they_are_written() {
    let mask = mask(&[]);
    let check = |text: &str, expected: &str| assert_eq!(body(&mask, text), expected);
    check(r#"{"a":"s3cr&t \"one\"","b":1.50}"#, r#"{"a":"REDACTED","b":1.50}"#);
    // A secret of digits may stand there as a number: JSON stays JSON.
    let digits = secrets().with(["4711".to_owned()]);
    let number = mask.body(&digits, br#"{"tenant":4711,"n":[1,24711]}"#, Kind::Text).unwrap().bytes().unwrap();
    assert_eq!(number, &br#"{"tenant":"REDACTED","n":[1,"REDACTED"]}"#[..]);
    check("plain s3cr&t \"one\" text", "plain REDACTED text");
    // Whoever's secret it is, its name tells.
    check(
        r#"{"x":[{"Access-Token":"abc","n":1}],"password":null}"#,
        r#"{"x":[{"Access-Token":"REDACTED","n":1}],"password":null}"#,
    );
    for name in [
        "jwt",
        "sessionId",
        "session_token",
        "id_token",
        "assertion",
        "client_assertion",
        "code_verifier",
        "privateToken",
        "JSESSIONID",
        "otp",
        "secret-access-key",
        "signing_secret",
        "passphrase",
        "x_api_key",
        "bearer",
        "credentials",
        "sas_token",
        "connectionString",
        "dsn",
        "cookie",
        "passcode",
        "pin",
        "secret_answer",
        "accessKeyId",
        "magicLink",
    ] {
        check(&format!(r#"{{"{name}":"abc","n":1}}"#), &format!(r#"{{"{name}":"REDACTED","n":1}}"#));
        let asked = mask.url(&secrets(), &format!("https://x.test/a?{name}=abc&n=1"));
        assert_eq!(asked, format!("https://x.test/a?{name}=REDACTED&n=1"));
        let form = mask.body(&secrets(), format!("n=1&{name}=abc").as_bytes(), Kind::Form).unwrap().bytes().unwrap();
        assert_eq!(form, format!("n=1&{name}=REDACTED").as_bytes());
    }
    // Of a record that is called so, only what is in it by such a name.
    check(
        r#"{"credentials":{"kind":"a","of":["b",1],"is":true},"pin":{"at":"c","dsn":"d"}}"#,
        r#"{"credentials":{"kind":"REDACTED","of":["REDACTED","REDACTED"],"is":true},"pin":{"at":"c","dsn":"REDACTED"}}"#,
    );
    // Names that only begin or end like one.
    check(
        r#"{"session_ids":["a"],"assertions":"b","jwt_count":"3"}"#,
        r#"{"session_ids":["a"],"assertions":"b","jwt_count":"3"}"#,
    );
    check("{\"token\":\"a page's\"}\n", "{\"token\":\"a page's\"}");
    let url = |url: &str| mask.url(&secrets(), url);
    assert_eq!(url("https://x.test/a?k=s3cr%26t+%22one%22&z=1"), "https://x.test/a?k=REDACTED&z=1");
    assert_eq!(url("https://x.test/s3cr%26t%20%22one%22/b?password=p"), "https://x.test/REDACTED/b?password=REDACTED");
    assert_eq!(url("https://x.test/a%20b?c=%C3%A4+1"), "https://x.test/a%20b?c=%C3%A4+1");
    let secret = SecretString::from("a-token-of-later");
    let own = secrets();
    own.hide(secret);
    assert_eq!(mask.text(&own, "Bearer a-token-of-later"), "Bearer REDACTED");
    let mut headers = ::http::HeaderMap::new();
    for (name, value) in [
        ("set-cookie", "sid=1"),
        ("x-auth-token", "t"),
        ("x-session-id", "s"),
        ("x-goog-iap-jwt", "j"),
        ("ocp-apim-subscription-key", "k"),
        ("etag", "s3cr&t \"one\""),
        ("x-next-page-token", "p2"),
        ("content-length", "5"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let kept = mask.headers(&secrets(), &headers);
    assert_eq!(kept, [("etag".to_owned(), MARK.to_owned()), ("x-next-page-token".to_owned(), "p2".to_owned())]);
}

#[test]
fn personal_data_becomes_other_data_of_its_kind_and_the_same_wherever_it_stands() {
    let mask = mask(&["email", "address.street", ".phone", "born", "age"]);
    let text = r#"{"results":[{"email":"ann@x.io","address":{"street":"High St","no":7},"street":"kept","phone":"+44 20 7946",
        "born":"1980-02-03","age":44},{"email":"","phone":null,"id":"ann@x.io","born":"1980-02-03T10:00:00Z"}]}"#;
    let masked: serde_json::Value = serde_json::from_str(&body(&mask, text)).unwrap();
    let [one, two] = [&masked["results"][0], &masked["results"][1]];
    let email = one["email"].as_str().unwrap();
    assert!(email.starts_with("redacted-") && email.ends_with("@example.invalid"), "{masked}");
    assert!(one["address"]["street"].as_str().unwrap().starts_with("redacted-"), "{masked}");
    assert_eq!((&one["street"], &one["address"]["no"]), (&"kept".into(), &7.into()));
    let phone = one["phone"].as_str().unwrap();
    assert!(phone != "+44 20 7946" && phone.len() == 11 && phone.starts_with('+'), "{masked}");
    assert_eq!((&one["born"], &two["born"]), (&"2000-01-01".into(), &"2000-01-01T00:00:00Z".into()));
    assert!((10..100).contains(&one["age"].as_i64().unwrap()), "{masked}");
    assert_eq!((&two["email"], &two["phone"]), (&"".into(), &serde_json::Value::Null));
    // In addresses as well, and in a form.
    let url = mask.url(&secrets(), "https://x.test/people/ann%40x.io?email=bob%40x.io&to=ann%40x.io");
    assert!(!url.contains("ann") && !url.contains("bob") && url.matches("redacted-").count() == 3, "{url}");
    let form = mask.body(&secrets(), b"email=ann%40x.io&n=1", Kind::Form).unwrap().bytes().unwrap();
    let form = String::from_utf8(form.to_vec()).unwrap();
    assert_eq!(form, format!("email={}&n=1", email.replace('@', "%40")));
    // Records a line each; and what is no JSON is not trusted to have none of it.
    assert!(!body(&mask, "{\"email\":\"ann@x.io\"}\n\n{\"email\":\"bob@x.io\"}\n").contains("x.io"));
    assert_eq!(body(&mask, "email;ann@x.io"), "left out");
    // Nobody can try out who it was: another recording has another key.
    let other = Mask::new(Secrets::default(), &["email".to_owned()]).unwrap();
    assert!(!body(&other, text).contains(email));
}

#[test]
fn tables_are_masked_by_their_columns_and_all_else_in_them_stays() {
    let rows = |members: &[&str], text: &str| {
        let format = CsvFormat { delimiter: b';', empty_is_null: true };
        match mask(members).body(&secrets(), text.as_bytes(), Kind::Rows(format)).unwrap() {
            Body::LeftOut(_) => "left out".to_owned(),
            body => String::from_utf8(body.bytes().unwrap().to_vec()).unwrap(),
        }
    };
    let text = "\u{feff}id;email;address.street;api_key\r\n1;ann@x.io;\"High; \"\"St\"\"\";k1\r\n2;;;\r\n3;\"\";s3cr&t \"\"one\"\";";
    let masked = rows(&["email", "street"], text);
    let lines: Vec<&str> = masked.split("\r\n").collect();
    assert_eq!((lines[0], lines[2]), ("\u{feff}id;email;address.street;api_key", "2;;;"), "{masked}");
    let fields: Vec<&str> = lines[1].split(';').collect();
    assert_eq!((fields.len(), fields[0], fields[3]), (4, "\"1\"", "\"REDACTED\""), "{masked}");
    assert!(fields[1].ends_with("@example.invalid\"") && fields[2].starts_with("\"redacted-"), "{masked}");
    assert!(!masked.contains("s3cr") && lines[3].starts_with("\"3\";\"\";\"redacted-"), "{masked}");
    // Without members the names of columns tell, and secrets are found in quotes.
    let text = "id;api_key;note\n1;k1;\"a s3cr&t \"\"one\"\" b\"\n";
    assert_eq!(rows(&[], text), "id;api_key;note\n\"1\";\"REDACTED\";\"a REDACTED b\"\n");
    // What should be a table and is none: JSON is masked as JSON, and the rest is not trusted.
    assert!(rows(&["email"], r#"{"email":"ann@x.io"}"#).contains("@example.invalid"));
    assert_eq!(rows(&["email"], "id;email\n1\n"), "left out");
}

#[test]
fn the_nearest_request_is_named_with_what_differs() {
    let question = |method: &str, url: &str, body: &str| {
        Question::new(method, &Url::parse(url).unwrap(), BTreeMap::new(), Some(body.as_bytes()))
    };
    let get = |url: &str| question("GET", url, "");
    let known = [
        get("https://x.test/contacts?limit=100&after=2"),
        get("https://x.test/companies"),
        question("POST", "https://x.test/graphql", r#"{"query":"q","variables":{"first":10}}"#),
    ];
    let check = |asked: &Question, expected: &str| {
        let words = nearest(asked, known.iter());
        assert_eq!(words, format!("the cassette has no {expected}"));
    };
    check(
        &get("https://x.test/contacts?limit=50"),
        "`GET /contacts?limit=50`; the nearest that it has is `GET /contacts?after=2&limit=100`: \
         `after` is not there and was `2`, `limit` is `50` and was `100`",
    );
    check(
        &get("https://y.test/companies"),
        "`GET /companies`; the nearest that it has is `GET /companies`: the host is `https://y.test` and was `https://x.test`",
    );
    check(
        &question("POST", "https://x.test/graphql", r#"{"variables":{"first":20,"after":"a"},"query":"q"}"#),
        "`POST /graphql`; the nearest that it has is `POST /graphql`: the body's `.variables.after` is `\"a\"` and was not there, \
         the body's `.variables.first` is `20` and was `10`",
    );
    assert_eq!(
        nearest(&known[0], [].into_iter()),
        "the cassette has no `GET /contacts?after=2&limit=100`, and nothing else of this upstream"
    );
    let versioned = |version: &str| {
        let headers = BTreeMap::from([("x-version".to_owned(), version.to_owned())]);
        Question::new("GET", &Url::parse("https://x.test/a").unwrap(), headers, None)
    };
    let words = nearest(&versioned("2"), [versioned("1")].iter());
    assert!(words.ends_with("`GET /a`: the header `x-version` is `2` and was `1`"), "{words}");
    // The order says nothing.
    assert_eq!(get("https://x.test/a?b=1&c=2"), get("https://x.test/a?c=2&b=1"));
}

#[test]
fn a_cassette_is_whole_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a.cassette");
    let header = Header::new(chrono::DateTime::UNIX_EPOCH, vec!["a.b".to_owned()], Vec::new());
    let limits = Limits { bytes: 1000, requests: 2 };
    let tape = Tape::begin(&at, &header, mask(&[]), limits).unwrap();
    tape.check_room().unwrap();
    assert!(!at.exists(), "nothing is there before it is whole");
    let recorded = tape.finish().unwrap();
    assert_eq!((recorded.requests, recorded.bytes), (0, std::fs::metadata(&at).unwrap().len()));
    drop(tape);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing else is left");
    assert_eq!(Cassette::read(&at).unwrap().header, header);
    assert!(matches!(Tape::begin(&at, &header, mask(&[]), limits), Err(CassetteError::Exists(_))));

    let text = std::fs::read_to_string(&at).unwrap();
    let check = |text: &str, words: &str| {
        std::fs::write(&at, text).unwrap();
        let error = Cassette::read(&at).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    };
    check("", "is no cassette: its first line is not JSON");
    check("{\"results\":[]}\n", "is no cassette: its first line does not say `cassette`");
    check(
        &text.replace("\"cassette\":1", "\"cassette\":2"),
        "is a cassette of version 2, and this program reads version 1",
    );
    check(text.lines().next().unwrap(), "ends after line 1, in the midst of a recording");
    check(&text.replace("{\"end\"", "{\"at\":\"2026\"}\n{\"end\""), "line 2: no exchange");
    check(&format!("{text}{{}}"), "line 3: something follows the end");
    check(&text.replace("\"recorded_at\"", "\"recorded\""), "line 1: missing field `recorded_at`");
}

#[tokio::test]
async fn what_was_recorded_is_played_as_it_came_and_nothing_is_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a.cassette");
    let header = Header::new(chrono::DateTime::UNIX_EPOCH, vec!["c.up".to_owned()], vec!["name".to_owned()]);
    let limits = Limits { bytes: 1 << 20, requests: 5 };
    let tape = Arc::new(Tape::begin(&at, &header, mask(&["name"]), limits).unwrap());

    // Its second record was cut down; the name in the first one becomes longer.
    let page = "{\n\"results\": [{\"id\":\"1\",\"name\":\"A\"}, {\"id\":\"2\"}]}";
    let mut cut = answer(200, &[("etag", "e1")], page).unwrap();
    cut.cut_down = vec![page.find("{\"id\":\"2\"").unwrap()];
    let script = Script::new([
        Err(TransportError::TimedOut("slow".to_owned())),
        Ok(cut),
        answer(200, &[], "name\nA\n"),
        Err(TransportError::TooLarge { limit: 5 }),
        answer(304, &[], ""),
    ]);
    let upstream = Arc::new(upstream("https://up.test/api"));
    let clock: Arc<dyn Clock> = TestClock::new();
    let client = Client::new(upstream.clone(), &lookup, script.clone(), clock).unwrap().recorded_on(&tape);
    let outgoing = |line: &str| {
        let built = client.build(&request(line), &Holes::default()).unwrap();
        let mut outgoing = client.outgoing(&built, None).unwrap();
        outgoing.records = Some(RecordsIn::Array(Path::parse(".results").unwrap().into()));
        outgoing.streams = true;
        outgoing
    };
    let asked = ["GET /c", "GET /c", "GET /table", "GET /large", "GET /same"];
    for line in asked {
        let outcome = client.transport.exchange(outgoing(line)).await;
        if line == "GET /large" {
            // Without a recording it would be read as it comes.
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("more than 5 bytes") && error.contains("raise `body_max`"), "{error}");
        }
    }
    assert!(script.asked().iter().all(|request| !request.streams));
    for refused in ["PATCH /c", "GET /one-too-many"] {
        let error = client.transport.exchange(outgoing(refused)).await.unwrap_err();
        assert!(matches!(error, TransportError::NotRecorded(_)), "{error}");
    }
    assert_eq!(script.lines().len(), asked.len());
    let recorded = tape.finish().unwrap();
    assert_eq!((recorded.requests, recorded.left_out), (5, 1));
    assert_eq!(recorded.early.as_deref(), Some("the limit of requests is reached, 5"));

    let deck = Arc::new(Deck::new(Arc::new(Cassette::read(&at).unwrap())));
    let player = Player::new(Arc::clone(&deck), &upstream);
    let play = |line: &str| player.exchange(outgoing(line));
    assert_eq!(play("GET /c").await.unwrap_err(), TransportError::TimedOut("slow".to_owned()));
    for _ in 0..2 {
        let played = play("GET /c").await.unwrap();
        let text = std::str::from_utf8(&played.body).unwrap();
        assert!(!text.contains("\"A\"") && text.contains("redacted-"), "{text}");
        assert_eq!(played.cut_down, [text.find("{\"id\":\"2\"").unwrap()], "{text}");
        assert_eq!((played.status, &played.headers["etag"]), (200, &"e1".parse().unwrap()));
    }
    let left_out = play("GET /table").await.unwrap_err().to_string();
    assert!(left_out.starts_with("the body was left out"), "{left_out}");
    assert_eq!(play("GET /large").await.unwrap_err(), TransportError::TooLarge { limit: 5 });
    let same = play("GET /same").await.unwrap();
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(deck.missing(), [] as [&str; 0]);
    assert!(play("GET /other").await.is_err() && deck.missing().len() == 1);

    // Bytes that are no text.
    let bytes = mask(&[]).body(&secrets(), &[0xff, 0x00, 0xfe], Kind::Text).unwrap();
    let again: Body = serde_json::from_str(&serde_json::to_string(&bytes).unwrap()).unwrap();
    assert_eq!(again.bytes().unwrap(), &[0xff, 0x00, 0xfe][..]);
}
