//! Owns: tests of listings of lines and tables: where records stand, what is none, parts, packed files.
//!
//! Must not know: writes.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::rules::{CsvFormat, NextAt, Place};
use crate::upstream::body::Body;
use crate::upstream::lines::split_lines;
use crate::upstream::split::SplitError;
use crate::upstream::table::split_rows;

const COMMA: CsvFormat = CsvFormat { delimiter: b',', empty_is_null: false };

fn lines(body: &str) -> Result<Vec<String>, (String, bool)> {
    match split_lines(body.as_bytes()) {
        Ok(records) => Ok(records.into_iter().map(|record| body[record].to_owned()).collect()),
        Err(error) => Err((error.to_string(), error.cut_short(body.len()))),
    }
}

fn table(body: &[u8], format: CsvFormat) -> Result<Vec<String>, SplitError> {
    let (columns, rows) = split_rows(body, format)?;
    let (out, records) = columns.write_out(body, &rows, usize::MAX);
    Ok(records.into_iter().map(|record| String::from_utf8_lossy(&out[record]).into_owned()).collect())
}

#[test]
fn each_line_is_a_record_and_all_of_them_are_whole() {
    let good = |body: &str, expected: &[&str]| assert_eq!(lines(body).unwrap(), expected, "{body:?}");
    good("", &[]);
    good("\n\r\n  \n", &[]);
    good("{\"a\":1.50}\n{}", &["{\"a\":1.50}", "{}"]);
    good("\u{feff} {\"a\":\"}\\n\"} \r\n\n\t{\"b\":[{}]}\n", &["{\"a\":\"}\\n\"}", "{\"b\":[{}]}"]);
    // What is wrong inside one is its own trouble.
    good("{\"a\":}\n{}\n", &["{\"a\":}", "{}"]);
    let bad = |body: &str, words: &str, cut: bool| {
        let (found, is_cut) = lines(body).unwrap_err();
        assert_eq!((found.as_str(), is_cut), (words, cut), "{body:?}");
    };
    bad("{}\n{\"a\":[1,", "not NDJSON: the last line, 2, ends too early", true);
    bad("{}\n{\"a\":\"x", "not NDJSON: the last line, 2, ends too early", true);
    bad("{\"a\":\n1}\n", "not NDJSON: ends too early in line 1 at byte 5", false);
    bad("{\"a\":1}}\n", "not NDJSON: more after the end in line 1 at byte 7", false);
    bad("{}\n\n[{}]\n", "not NDJSON: line 3 is no object", false);
    bad("{}\nthe server is tired", "not NDJSON: line 2 is no object", false);
}

#[test]
fn each_row_is_an_object_of_texts_by_the_names_of_the_header() {
    let good = |body: &str, expected: &[&str]| assert_eq!(table(body.as_bytes(), COMMA).unwrap(), expected, "{body:?}");
    good("id,name\n", &[]);
    good("id,name", &[]);
    good("id,name\n1,Ann\n2,\n", &[r#"{"id":"1","name":"Ann"}"#, r#"{"id":"2","name":""}"#]);
    good(
        "\u{feff}\"id\",\"the \"\"name\"\"\"\r\n1,Ann\r\n\r\n2,B",
        &[r#"{"id":"1","the \"name\"":"Ann"}"#, r#"{"id":"2","the \"name\"":"B"}"#],
    );
    good("id,n\n1,\"a, \"\"b\"\"\r\nc\\\td\"\n", &[r#"{"id":"1","n":"a, \"b\"\r\nc\\\td"}"#]);
    good("id,n\n1,9007199254740993.10\n", &[r#"{"id":"1","n":"9007199254740993.10"}"#]);
    good("id,\r1,\u{feff}é\u{1}\r", &["{\"id\":\"1\",\"\":\"\u{feff}é\\u0001\"}"]);
    good("id\n\u{feff}1\n\u{feff}2", &["{\"id\":\"\u{feff}1\"}", "{\"id\":\"\u{feff}2\"}"]);
    let other = CsvFormat { delimiter: b';', empty_is_null: true };
    assert_eq!(table(b"id;n\n1;\n2;a,b\n", other).unwrap(), [r#"{"id":"1","n":null}"#, r#"{"id":"2","n":"a,b"}"#]);
    // A record that is no text stays what it is, and is its own trouble.
    assert_eq!(table(b"id,n\n1,\xff\n", COMMA).unwrap(), ["{\"id\":\"1\",\"n\":\"\u{fffd}\"}"]);
    let long = "x".repeat(100_000);
    good(&format!("id,n\n1,{long}\n"), &[&format!(r#"{{"id":"1","n":"{long}"}}"#)]);
    let wide: Vec<String> = (0..500).map(|n| format!("c{n}")).collect();
    assert_eq!(table(format!("{0}\n{0}\n", wide.join(",")).as_bytes(), COMMA).unwrap().len(), 1);
}

#[test]
fn what_is_no_table_or_not_all_of_it_has_no_rows() {
    let bad = |body: &str, words: &str, cut: bool| {
        let error = table(body.as_bytes(), COMMA).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.cut_short(body.len())), (words, cut), "{body:?}");
    };
    bad("", "not CSV: there is no header row", false);
    bad("\r\n\n", "not CSV: there is no header row", false);
    bad("<html>", "not CSV: it begins with `<`, as no header does", false);
    bad(" {\"error\":\"x\"}", "not CSV: it begins with `{`, as no header does", false);
    bad("id,name,id\n", "not CSV: the header names `id` twice", false);
    bad("id,name\n1,Ann\n2\n3,Cid\n", "not CSV: line 3 ends a row of 1 fields, and the header names 2", false);
    bad("id,name\r\n1,\"A\r\nB\",x\r\n", "not CSV: line 3 ends a row of 3 fields, and the header names 2", false);
    bad("id,name\n1,Ann\n2", "not CSV: line 3 ends a row of 1 fields, and the header names 2", true);
    bad("id,name\n1,Ann\n2,\"Be", "not CSV: it ends inside quotes", true);
    bad("id,name\n1,Ann\n2,\"Ben\n3,Cid\n", "not CSV: it ends inside quotes", true);
    bad(&format!("{}\n", "x".repeat(70_000)), "not CSV: the header is longer than 65536 bytes", false);
    assert!(table(b"\xff,id\n", COMMA).unwrap_err().to_string().contains("not UTF-8"));
}

fn listing(format: BodyFormat, page: Paging, script: &Arc<Script>) -> Lister {
    let client = client(upstream("https://api.example.com"), script.clone(), &TestClock::new());
    let mut rules = binding(client.upstream());
    rules.read = Some(Read { format, records: path(".").into(), ..read(page) });
    Lister::new(client, Arc::new(rules), ListQuery::default())
}

async fn pages(lister: &mut Lister) -> (Vec<Page>, Option<Failure>) {
    let mut pages = Vec::new();
    loop {
        match lister.page().await {
            Ok(Some(page)) => pages.push(page),
            Ok(None) => return (pages, None),
            Err(failure) => return (pages, Some(failure)),
        }
    }
}

fn texts(pages: &[Page]) -> Vec<String> {
    let of = |page: &Page| -> Vec<String> {
        page.records.iter().map(|record| String::from_utf8_lossy(&page.body[record.clone()]).into_owned()).collect()
    };
    pages.iter().flat_map(of).collect()
}

/// One answer of some megabytes comes in parts, of which only the last one says how the listing goes on.
#[tokio::test]
async fn an_answer_of_many_records_comes_in_parts() {
    let record = |n: usize| format!(r#"{{"id":"{n}","name":"{}"}}"#, "n".repeat(90));
    let row = |n: usize| format!("{n},{}\n", "n".repeat(90));
    let ndjson: String = (0..30_000).map(|n| record(n) + "\n").collect();
    let csv = "id,name\n".to_owned() + &(0..30_000).map(row).collect::<String>();
    for (format, first, second) in [
        (BodyFormat::Ndjson, ndjson, record(30_000)),
        (BodyFormat::Csv(COMMA), csv, format!("id,name\n{}", row(30_000))),
    ] {
        let link = ("link", "</c?page=2>; rel=\"next\"");
        let script = Script::new([answer(200, &[link], &first), answer(200, &[], &second)]);
        let mut lister = listing(format, Paging::LinkHeader, &script);
        let (pages, failure) = pages(&mut lister).await;
        assert_eq!(failure, None);
        assert!(pages.iter().all(|page| page.body.len() < (1 << 20) + 200), "no part is much more than a mebibyte");
        let found = texts(&pages);
        assert_eq!((pages.len() > 3, found.len()), (true, 30_001));
        assert!((0..=30_000).zip(&found).all(|(n, text)| *text == record(n)));
        let ways_on: Vec<bool> = pages.iter().map(|page| page.next.is_some()).collect();
        assert_eq!(ways_on.iter().filter(|is_there| **is_there).count(), 1);
        assert!(ways_on[pages.len() - 2], "the last part of the first answer");
        assert!(script.asked()[0].headers["accept"].to_str().unwrap().contains("*/*;q=0.5"));
    }
}

#[tokio::test]
async fn a_listing_goes_on_while_parts_of_its_last_answer_are_left() {
    let row = |n: usize| format!("{n},{}\n", "n".repeat(90));
    let csv = "id,name\n".to_owned() + &(0..15_000).map(row).collect::<String>();
    let script = Script::new([answer(200, &[], &csv)]);
    let mut lister = listing(BodyFormat::Csv(COMMA), Paging::None, &script);
    let mut left = Vec::new();
    while lister.page().await.unwrap().is_some() {
        left.push(lister.goes_on());
    }
    assert_eq!(left, [true, false]);
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_asked_for_again_and_never_taken_for_the_end() {
    for (format, whole, cut) in [
        (BodyFormat::Ndjson, "{\"id\":\"1\"}\n{\"id\":\"2\"}", "{\"id\":\"1\"}\n{\"id\":\""),
        (BodyFormat::Csv(COMMA), "id,name\n1,A\n2,B\n", "id,name\n1,A\n2"),
    ] {
        let script = Script::new([answer(200, &[], cut), answer(200, &[], whole)]);
        let (pages, failure) = pages(&mut listing(format, Paging::None, &script)).await;
        assert_eq!((texts(&pages).len(), failure), (2, None));
        let script = Script::new((0..4).map(|_| answer(200, &[], cut)));
        let (pages, failure) = self::pages(&mut listing(format, Paging::None, &script)).await;
        let failure = failure.unwrap();
        assert_eq!((pages.len(), failure.kind), (0, FailureKind::BadAnswer), "{failure}");
    }
}

#[tokio::test]
async fn a_table_without_the_ids_is_another_one_and_a_key_of_a_row_leads_on() {
    let script = Script::new([answer(200, &[], "uuid,name\n1,A\n")]);
    let (_, failure) = pages(&mut listing(BodyFormat::Csv(COMMA), Paging::None, &script)).await;
    assert!(failure.unwrap().words.contains("the header has no column `id`, where the id is"));

    let into = Place::Query("after".to_owned());
    let size = Some((Place::Query("limit".to_owned()), 2));
    let keyset = Paging::Keyset { key: path(".id"), into, size, more: None };
    let script = Script::new([answer(200, &[], "id,name\n7,A\n\"8,a\",B\n"), answer(200, &[], "id,name\n9,C\n")]);
    let (pages, failure) = pages(&mut listing(BodyFormat::Csv(COMMA), keyset, &script)).await;
    assert_eq!((texts(&pages).len(), failure), (3, None));
    assert_eq!(script.lines(), ["GET /c?limit=2", "GET /c?limit=2&after=8%2Ca"]);
}

#[tokio::test]
async fn a_cursor_in_a_header_leads_from_lines_to_lines() {
    let next = NextAt::Header("x-next".to_owned());
    let page = Paging::Cursor { next, into: Place::Query("after".to_owned()), more: None };
    let script =
        Script::new([answer(200, &[("x-next", "c2")], "{\"id\":\"1\"}\n"), answer(200, &[], "{\"id\":\"2\"}\n")]);
    let (pages, failure) = pages(&mut listing(BodyFormat::Ndjson, page, &script)).await;
    assert_eq!((texts(&pages).len(), failure), (2, None));
    assert_eq!(script.lines(), ["GET /c", "GET /c?after=c2"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn arrive(bytes: &[u8], chunk: usize, limit: u64, records: RecordsIn) -> Result<(Bytes, Vec<usize>), TransportError> {
    let mut body = Body::new(false, limit, Some(records), 0)?;
    for chunk in bytes.chunks(chunk) {
        body.take(chunk)?;
    }
    body.finish()
}

#[test]
fn f29_a_listing_that_is_a_packed_file_is_unpacked_within_the_same_limits() {
    let text = "id,name\n".to_owned() + &"1,Ann\n".repeat(5000);
    for chunk in [1, 3, 100_000] {
        for bytes in [gzip(text.as_bytes()), text.clone().into_bytes()] {
            assert_eq!(arrive(&bytes, chunk, 1 << 20, RecordsIn::Rows(COMMA)).unwrap().0, text.as_bytes());
        }
        for short in [&b""[..], b"i", &[0x1f]] {
            assert_eq!(arrive(short, chunk, 1 << 20, RecordsIn::Lines).unwrap().0, short);
        }
    }
    let packed = gzip(text.as_bytes());
    assert!(matches!(
        arrive(&packed[..packed.len() - 9], 7, 1 << 20, RecordsIn::Rows(COMMA)),
        Err(TransportError::Broken(_))
    ));
    let bomb = gzip(&vec![b'\n'; 8 << 20]);
    assert_eq!(arrive(&bomb, 100, 64 << 20, RecordsIn::Lines), Err(TransportError::Bomb { ratio: 250 }));
    // Another answer than a listing is what it says it is.
    let mut body = Body::new(false, 1 << 20, None, 0).unwrap();
    body.take(&packed).unwrap();
    assert_eq!(body.finish().unwrap().0, packed);
}

#[test]
fn f30_one_line_that_is_too_large_is_cut_down_and_a_table_fails_as_a_whole() {
    let large = format!(r#"{{"id":"2","blob":"{}"}}"#, "x".repeat(20_000));
    let body = format!("{{\"id\":\"1\"}}\n{large}\n{{\"id\":\"3\"}}\n");
    for chunk in [1, 4096] {
        let (kept, cut_down) = arrive(body.as_bytes(), chunk, 16_000, RecordsIn::Lines).unwrap();
        let records = split_lines(&kept).unwrap();
        let at = |n: usize| std::str::from_utf8(&kept[records[n].clone()]).unwrap();
        assert_eq!((at(0), at(1), at(2)), (r#"{"id":"1"}"#, r#"{"id":"2"}"#, r#"{"id":"3"}"#));
        assert_eq!(cut_down, [records[1].start]);
    }
    let table = format!("id,blob\n1,{}\n", "x".repeat(20_000));
    let error = arrive(table.as_bytes(), 4096, 16_000, RecordsIn::Rows(COMMA)).unwrap_err();
    assert_eq!(error, TransportError::TooLarge { limit: 16_000 });
}

proptest! {
    /// Whatever a table says, in whatever quotes, its records are JSON that says the same.
    #[test]
    fn what_is_written_as_a_table_is_read_as_the_same_texts(
        rows in prop::collection::vec(prop::collection::vec("[a-c\"',;\n\r\\\\é\u{0}-\u{2}]{0,6}", 2..=2), 1..8),
        crlf in any::<bool>(),
        last in any::<bool>(),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
        let body = std::iter::once("id,n".to_owned()).chain(rows.iter().map(line)).collect::<Vec<_>>().join(end);
        let body = if last { body + end } else { body };
        let found = table(body.as_bytes(), COMMA).unwrap();
        let found: Vec<Vec<String>> = found
            .iter()
            .map(|text| serde_json::from_str::<Tree>(text).unwrap())
            .map(|tree| ["id", "n"].map(|name| tree[name].as_str().unwrap().to_owned()).into())
            .collect();
        prop_assert_eq!(&found, &rows);
        // Whatever is cut off, it is refused, or all that is left of it is whole rows.
        for cut in 0..body.len() {
            let Some(text) = body.get(..cut) else { continue };
            if let Ok(found) = table(text.as_bytes(), COMMA) {
                prop_assert!(found.len() <= rows.len());
            }
        }
    }

    /// No bytes make a reader fall over, and records are pieces of the body, in order.
    #[test]
    fn no_bytes_make_a_reader_of_lines_or_tables_fall_over(
        bytes in prop::collection::vec(prop_oneof![8 => prop::sample::select(b"{}\",:\n\r;a1 ".to_vec()), 1 => any::<u8>()], 0..300),
    ) {
        let in_order = |records: &[std::ops::Range<usize>]| {
            records.windows(2).all(|two| two[0].end <= two[1].start) && records.last().is_none_or(|last| last.end <= bytes.len())
        };
        if let Ok(records) = split_lines(&bytes) {
            prop_assert!(in_order(&records));
        }
        if let Ok((columns, rows)) = split_rows(&bytes, COMMA) {
            prop_assert!(in_order(&rows));
            prop_assert_eq!(columns.write_out(&bytes, &rows, usize::MAX).1.len(), rows.len());
        }
    }
}
