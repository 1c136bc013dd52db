//! Owns: tests of bodies that are larger than `body_max`: their records are taken off as they come, each once, and what is cut
//! off is never taken for whole.
//!
//! Must not know: how records are told apart.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use proptest::prelude::*;

use super::*;
use crate::rules::{CsvFormat, ErrorClass, ErrorRule, ItemAt, ListAt, NextAt, Place};
use crate::upstream::split::split_records;
use crate::upstream::stream::{Piece, Stream, StreamError};

const COMMA: CsvFormat = CsvFormat { delimiter: b',', empty_is_null: false };
/// The `body_max` of these tests.
const LIMIT: usize = 2400;
const FORMATS: [BodyFormat; 3] = [BodyFormat::Json, BodyFormat::Ndjson, BodyFormat::Csv(COMMA)];

fn record(n: usize) -> String {
    format!(r#"{{"id":"{n}","name":"a, \"b\" ]}}{}"}}"#, "n".repeat(n % 90))
}

/// Records one after the other; `large` is put before the fifth.
fn body(format: BodyFormat, count: usize, large: Option<&str>) -> String {
    let mut records: Vec<String> = (0..count).map(record).collect();
    if let (Some(large), false) = (large, matches!(format, BodyFormat::Csv(_))) {
        records.insert(5, large.to_owned());
    }
    match format {
        BodyFormat::Json => format!(r#"{{"n":[1],"data":{{"list":[ {} ]}},"next":"c2"}}"#, records.join(" , ")),
        BodyFormat::Ndjson => records.iter().fold(String::new(), |text, record| text + record + "\r\n\n"),
        BodyFormat::Csv(_) => (0..count).fold("id,name\r\n".to_owned(), |text, n| {
            let name = format!("\"a, \"\"b\"\" ]}}{}\"", "n".repeat(n % 90));
            format!("{text}{n},{name}\r\n")
        }),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Hardly packed, so that it has many places to be cut at.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How an answer says where it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunks,
    /// Not at all: the connection ends.
    Close,
}

/// What a server sends on one connection: all of an answer, or its beginning.
fn wire(body: &[u8], framing: Framing, more: &str, cut: Option<usize>) -> Vec<u8> {
    let head = |how: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{more}{how}\r\n").into_bytes();
    let sent = &body[..cut.unwrap_or(body.len())];
    match framing {
        Framing::Length => [head(&format!("content-length: {}\r\n", body.len())), sent.to_vec()].concat(),
        Framing::Close => [head(""), sent.to_vec()].concat(),
        Framing::Chunks => {
            let mut out = head("transfer-encoding: chunked\r\n");
            for chunk in sent.chunks(700) {
                out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            if cut.is_none() {
                out.extend(b"0\r\n\r\n");
            }
            out
        }
    }
}

/// Serves one answer for each connection, in their order.
fn serve(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _read = stream.read(&mut [0; 4096]);
            // Who has enough may go before all is sent.
            let _written = stream.write_all(&answer);
        }
    });
    base
}

fn lister(base: &str, format: BodyFormat, page: Paging, change: impl FnOnce(&mut Upstream)) -> (Lister, Arc<Client>) {
    let mut rules = Upstream { body_bytes_max: LIMIT as u64, insecure_http: true, ..upstream(base) };
    change(&mut rules);
    let client = client(rules, Arc::new(HttpTransport::new()), &TestClock::new());
    let mut binding = binding(client.upstream());
    binding.read = Some(Read { format, records: path(".data.list").into(), ..read(page) });
    (Lister::new(client.clone(), Arc::new(binding), ListQuery::default()), client)
}

/// What was listed by its ids, and whether a page had a record that is too large; and what it failed by.
async fn listed(mut lister: Lister) -> (Vec<String>, usize, usize, Option<Failure>) {
    let (mut ids, mut cut_down, mut pages) = (Vec::new(), 0, 0);
    loop {
        match lister.page().await {
            Ok(Some(page)) => {
                assert!(page.body.len() <= 4 * LIMIT, "{}", page.body.len());
                pages += 1;
                cut_down += page.cut_down.len();
                for at in page.records {
                    let record: Tree = serde_json::from_slice(&page.body[at]).unwrap();
                    ids.push(record["id"].as_str().unwrap().to_owned());
                }
            }
            Ok(None) => return (ids, cut_down, pages, None),
            Err(failure) => return (ids, cut_down, pages, Some(failure)),
        }
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

const COUNT: usize = 150;

/// What kinds of answers are read as they come.
fn kinds() -> Vec<(BodyFormat, Vec<u8>, Framing)> {
    let mut kinds = Vec::new();
    for format in FORMATS {
        let plain = body(format, COUNT, None).into_bytes();
        assert!(plain.len() > 3 * LIMIT);
        let packed = gzip(&plain);
        for framing in [Framing::Length, Framing::Chunks, Framing::Close] {
            kinds.push((format, packed.clone(), framing));
            if framing != Framing::Close || format == BodyFormat::Json {
                kinds.push((format, plain.clone(), framing));
            }
        }
    }
    kinds
}

#[tokio::test]
async fn a_body_that_is_larger_than_body_max_is_read_as_it_comes() {
    for (format, bytes, framing) in kinds() {
        let base = serve(vec![wire(&bytes, framing, "", None)]);
        let (lister, client) = lister(&base, format, Paging::None, |_| {});
        let (found, cut_down, pages, failure) = listed(lister).await;
        assert_eq!((found, cut_down, failure), (ids(COUNT), 0, None), "{format:?} {framing:?}");
        assert!(pages > 3, "{format:?}: {pages}");
        let received = client.meter.totals().received_bytes;
        assert_eq!(received, body(format, COUNT, None).len() as u64, "each byte is counted once");
    }
}

/// Wherever it is cut off, it is asked for again; each record comes once, and where it is cut off each time nothing looks whole.
#[tokio::test]
async fn f21_a_body_that_is_cut_off_is_never_taken_for_whole_and_none_of_its_records_is_lost_or_doubled() {
    for (format, bytes, framing) in kinds() {
        // One byte is no answer at all, and is not asked for again.
        let cuts = (2..bytes.len()).step_by(bytes.len() / 11).chain([LIMIT + 200, bytes.len() - 1]);
        for cut in cuts {
            let cut_off = wire(&bytes, framing, "", Some(cut));
            let base = serve(vec![cut_off.clone(), cut_off.clone(), wire(&bytes, framing, "", None)]);
            let (found, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
            assert_eq!((found, failure), (ids(COUNT), None), "{format:?} {framing:?} {cut}");
            let base = serve(vec![cut_off; 5]);
            let (found, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
            let failure = failure.unwrap_or_else(|| panic!("{format:?} {framing:?} {cut}: taken for whole"));
            assert!(matches!(failure.kind, FailureKind::NotDone | FailureKind::BadAnswer), "{failure}");
            assert_eq!(found, ids(found.len()), "{format:?} {framing:?} {cut}");
        }
    }
}

#[tokio::test]
async fn lines_and_rows_that_do_not_say_where_they_end_are_not_read_as_they_come() {
    for format in [BodyFormat::Ndjson, BodyFormat::Csv(COMMA)] {
        let base = serve(vec![wire(body(format, COUNT, None).as_bytes(), Framing::Close, "", None)]);
        let (found, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
        let failure = failure.unwrap();
        assert_eq!((found.len(), failure.kind), (0, FailureKind::TooLarge));
        assert!(failure.words.contains("does not say where it ends"), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_that_is_another_one_when_it_is_asked_for_again_is_none_that_goes_on() {
    for format in FORMATS {
        let whole = body(format, COUNT, None);
        let other = whole.replacen("\"b", "\"c", 1);
        let shorter = body(format, 30, None);
        for second in [other, shorter, body(format, 3, None)] {
            let cut = Some(2 * whole.len() / 3);
            let first = wire(whole.as_bytes(), Framing::Length, "", cut);
            let base = serve(vec![first, wire(second.as_bytes(), Framing::Length, "", None)]);
            let (found, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
            let failure = failure.unwrap();
            assert_eq!(failure.kind, FailureKind::NotDone, "{failure}");
            assert!(failure.retry_at.is_some() && found == ids(found.len()) && found.len() < COUNT, "{failure}");
        }
    }
}

#[tokio::test]
async fn f30_one_record_may_be_as_large_as_body_max_and_a_larger_one_is_set_aside() {
    for (size, is_cut) in [(LIMIT - 100, 0), (3 * LIMIT, 1)] {
        let large = format!(r#"{{"id":"large","blob":"{}"}}"#, "x,]\\n{".repeat(size / 7));
        for format in [BodyFormat::Json, BodyFormat::Ndjson] {
            let base = serve(vec![wire(body(format, COUNT, Some(&large)).as_bytes(), Framing::Length, "", None)]);
            let (found, cut_down, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
            let mut expected = ids(COUNT);
            expected.insert(5, "large".to_owned());
            assert_eq!((found, cut_down, failure), (expected, is_cut, None), "{format:?}");
        }
    }
    let row = format!("{}5,{}\r\n", body(BodyFormat::Csv(COMMA), COUNT, None), "x".repeat(3 * LIMIT));
    let around = body(BodyFormat::Json, COUNT, None).replace("\"c2\"", &format!("\"{}\"", "x".repeat(3 * LIMIT)));
    for (format, body) in [(BodyFormat::Csv(COMMA), row), (BodyFormat::Json, around)] {
        let base = serve(vec![wire(body.as_bytes(), Framing::Length, "", None)]);
        let (_, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
        let failure = failure.unwrap();
        assert_eq!(failure.kind, FailureKind::TooLarge, "{failure}");
        assert!(failure.words.contains("larger than 2400 bytes, the limit set by `body_max`"), "{failure}");
    }
}

#[tokio::test]
async fn what_stands_behind_the_records_leads_on_or_says_that_it_failed() {
    let next = NextAt::Body(path(".next"));
    let page = || Paging::Cursor { next: next.clone(), into: Place::Query("after".to_owned()), more: None };
    let first = body(BodyFormat::Json, COUNT, None);
    let last = r#"{"data":{"list":[{"id":"150"}]},"next":null}"#;
    let base = serve([&first, last].map(|body| wire(body.as_bytes(), Framing::Length, "", None)).to_vec());
    let (found, _, _, failure) = listed(lister(&base, BodyFormat::Json, page(), |_| {}).0).await;
    assert_eq!((found, failure), (ids(COUNT + 1), None));

    let when = Some(crate::record::Filter::compile(".errors != null", &[]).unwrap());
    let rule = ErrorRule { status: Vec::new(), headers: Vec::new(), when, class: ErrorClass::Transient };
    let failed = first.replace("\"next\":", "\"errors\":[{}],\"next\":");
    let base = serve(vec![wire(failed.as_bytes(), Framing::Length, "", None)]);
    let (_, _, _, failure) = listed(lister(&base, BodyFormat::Json, page(), |rules| rules.errors = vec![rule]).0).await;
    assert!(failure.unwrap().words.contains("beside the records says that it failed"));

    // Links in headers lead on from lines.
    let lines = body(BodyFormat::Ndjson, COUNT, None);
    let link = "link: </c?page=2>; rel=\"next\"\r\n";
    let answers =
        vec![wire(lines.as_bytes(), Framing::Chunks, link, None), wire(b"{\"id\":\"150\"}", Framing::Length, "", None)];
    let base = serve(answers);
    let (found, _, _, failure) = listed(lister(&base, BodyFormat::Ndjson, Paging::LinkHeader, |_| {}).0).await;
    assert_eq!((found, failure), (ids(COUNT + 1), None));
}

#[tokio::test]
async fn what_is_not_what_it_should_be_fails_though_it_began_well() {
    let json = body(BodyFormat::Json, COUNT, None);
    let lines = body(BodyFormat::Ndjson, COUNT, None);
    let rows = body(BodyFormat::Csv(COMMA), COUNT, None);
    for (format, body, words) in [
        (BodyFormat::Json, json.replacen(" , {\"id\":\"90\"", "  {\"id\":\"90\"", 1), "was expected, in the array"),
        (BodyFormat::Json, json.replacen(" , {\"id\":\"90\"", " , , {\"id\":\"90\"", 1), "a value was expected"),
        (BodyFormat::Json, json.replace(" ]},\"next", " , ]},\"next"), "a value was expected"),
        (BodyFormat::Json, json.replace(" ]},\"next", " }},\"next"), "was expected"),
        (BodyFormat::Json, json.replace("\"next\":", "\"data\":{\"list\":[]},\"next\":"), "a key that stands twice"),
        (BodyFormat::Json, format!("{json} x"), "more after the end"),
        (BodyFormat::Ndjson, lines.replacen("\"id\":\"90\"", "\"id\":[\"90\"", 1), "in line 181 "),
        (BodyFormat::Ndjson, lines.replacen("{\"id\":\"90\"", "\"id\":\"90\"", 1), "line 181 is no object"),
        (BodyFormat::Csv(COMMA), rows.replacen("\r\n90,", "\r\n90,,", 1), "line 92 ends a row of 3 fields"),
        (BodyFormat::Csv(COMMA), rows.replacen("id,", "uuid,", 1), "the header has no column `id`"),
    ] {
        let base = serve(vec![wire(body.as_bytes(), Framing::Length, "", None)]);
        let (found, _, _, failure) = listed(lister(&base, format, Paging::None, |_| {}).0).await;
        let failure = failure.unwrap_or_else(|| panic!("{words}"));
        assert_eq!(failure.kind, FailureKind::BadAnswer, "{failure}");
        assert!(failure.words.contains(words), "{words}: {failure}");
        assert_eq!(found, ids(found.len()));
    }
}

/// All pieces of a body that comes so.
fn pieces(records: &RecordsIn, bytes: &[u8], chunk: usize, limit: usize) -> Result<(Vec<Piece>, Bytes), StreamError> {
    let mut stream = Stream::new(records, limit as u64).unwrap();
    let mut pieces = Vec::new();
    for chunk in bytes.chunks(chunk) {
        stream.feed(Bytes::copy_from_slice(chunk));
        while let Some(piece) = stream.next()? {
            pieces.push(piece);
        }
    }
    stream.end();
    pieces.extend(stream.next()?);
    Ok((pieces, stream.around()))
}

#[test]
fn a_comma_before_the_end_is_wrong_also_where_all_before_it_was_handed_over() {
    let read = |body: &str| pieces(&RecordsIn::Array(path(".list").into()), body.as_bytes(), 1, 10);
    assert_eq!(texts(&read(r#"{"list":[{"a":1},{"b":2} ]}"#).unwrap().0).len(), 2);
    assert_eq!(texts(&read(r#"{"list":[ ]}"#).unwrap().0).len(), 0);
    let error = read(r#"{"list":[{"a":1},{"b":2}, ]}"#).unwrap_err();
    assert_eq!(error.to_string(), "not JSON: a value was expected, in the array at .list");
}

fn texts(pieces: &[Piece]) -> Vec<Vec<u8>> {
    pieces.iter().flat_map(|piece| piece.records.iter().map(|at| piece.body[at.clone()].to_vec())).collect()
}

#[test]
fn records_deeper_in_the_items_of_an_array_are_handed_over_as_well() {
    let inner = ListAt { may_lack: true, ..path(".items").into() };
    let groups = ListAt { item: ItemAt::List(Box::new(inner)), ..path(".groups").into() };
    let body = r#"{"groups":[{"items":[{"id":1},{"id":2}]},{"items":[]},{},{"items":[{"id":3}],"n":"]"}],"next":1}"#;
    for chunk in [1, 7, 1000] {
        let (found, around) = pieces(&RecordsIn::Array(groups.clone()), body.as_bytes(), chunk, 60).unwrap();
        assert_eq!(texts(&found).concat(), br#"{"id":1}{"id":2}{"id":3}"#);
        assert_eq!(found.iter().map(|piece| piece.items).sum::<usize>(), 4);
        assert_eq!(around, r#"{"groups":[],"next":1}"#);
    }
    // A group that could not be had is named by its place in the whole answer.
    let lacking = body.replace("},{},{", r#"},{"error":"no"},{"#);
    for chunk in [1, 7, 1000] {
        let error = pieces(&RecordsIn::Array(groups.clone()), lacking.as_bytes(), chunk, 60).unwrap_err();
        assert!(error.to_string().starts_with(".groups[2] holds nothing for .groups[].items[]?"), "{error}");
    }
    // What holds too much is no record that could be set aside.
    let error = pieces(&RecordsIn::Array(groups), body.as_bytes(), 7, 20).unwrap_err();
    assert_eq!(error, StreamError::TooLarge { what: "an item that holds records", limit: 20 });
}

proptest! {
    /// Piece by piece the same records are found as in the whole, and nothing that is cut off looks whole.
    #[test]
    fn a_body_says_the_same_in_pieces_as_in_one(
        records in prop::collection::vec("[a-c\"\\\\{}\\[\\],:]{0,30}", 0..20),
        others in prop::collection::vec(prop::sample::select(vec!["1", "null", "[[1],{}]", "\"]\"", "{\"list\":[1]}"]), 0..4),
        (chunk, limit) in (1_usize..60, 200_usize..400),
    ) {
        let records: Vec<String> = records.iter().map(|text| json!({"id": text, "in": [{"list": [text]}]}).to_string()).collect();
        let items: Vec<&str> = records.iter().map(String::as_str).chain(others).collect();
        let document = format!("{{\"a\":{{\"list\":[]}},\"list\": [{}\n], \"next\" : [1]}}", items.join(" ,"));
        let at = path(".list");
        let (found, around) = pieces(&RecordsIn::Array(at.clone().into()), document.as_bytes(), chunk, limit).unwrap();
        let whole = split_records(document.as_bytes(), &at, &[]).unwrap();
        let expected: Vec<_> = whole.records.iter().map(|at| document.as_bytes()[at.clone()].to_vec()).collect();
        prop_assert_eq!(texts(&found), expected);
        prop_assert!(found.iter().all(|piece| piece.cut_down.is_empty()));
        let bare = split_records(&around, &at, &[]).unwrap();
        prop_assert!(bare.records.is_empty());
        for cut in 0..document.len() {
            let Ok((_, around)) = pieces(&RecordsIn::Array(at.clone().into()), &document.as_bytes()[..cut], chunk, limit) else { continue };
            prop_assert!(split_records(&around, &at, &[]).is_err(), "{}", cut);
        }
    }

    /// No bytes make it fall over.
    #[test]
    fn f31_no_bytes_make_a_stream_fall_over(
        bytes in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(b"{}[]\",:\\\n\r1a ".to_vec()),
            1 => any::<u8>(),
        ], 0..400),
        prefix in prop::sample::select(vec!["", "{\"list\":[", "{\"list\":[{\"id\":\"1\",\"b\":\"", "id,n\n"]),
        (chunk, limit) in (1_usize..60, 1_usize..200),
    ) {
        let bytes = [prefix.as_bytes(), &bytes].concat();
        for records in [RecordsIn::Array(path(".list").into()), RecordsIn::Lines, RecordsIn::Rows(COMMA)] {
            if let Ok((found, around)) = pieces(&records, &bytes, chunk, limit) {
                prop_assert!(found.iter().all(|piece| piece.records.iter().all(|at| at.end <= piece.body.len())));
                prop_assert!(around.len() <= 2 * limit + 64);
            }
        }
    }
}
