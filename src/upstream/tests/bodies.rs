//! Owns: tests of bodies as they arrive: how much they unpack to, and pages that one record makes too large.
//!
//! Must not know: connections.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::upstream::body::Body;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn listed(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().concat()
}

fn read_body(
    gzipped: bool,
    limit: u64,
    records: Option<&str>,
    bytes: &[u8],
    chunk: usize,
) -> Result<(Bytes, Vec<usize>), TransportError> {
    let mut body = Body::new(gzipped, limit, records.map(|at| RecordsIn::Array(path(at).into())), 0)?;
    for chunk in bytes.chunks(chunk) {
        body.take(chunk)?;
    }
    body.finish()
}

#[test]
fn f29_what_unpacks_to_too_much_is_given_up_by_ratio_and_by_size() {
    let bomb = gzip(&vec![b' '; 8 << 20]);
    assert!(bomb.len() < 10_000);
    for chunk in [1, 1000, bomb.len()] {
        let error = read_body(true, 64 << 20, None, &bomb, chunk).unwrap_err();
        assert_eq!(error, TransportError::Bomb { ratio: 250 }, "{chunk}");
        let error = read_body(true, 500_000, None, &bomb, chunk).unwrap_err();
        assert_eq!(error, TransportError::TooLarge { limit: 500_000 }, "{chunk}");
    }
    // Small answers may be as empty as they like; large ones as JSON is.
    assert_eq!(read_body(true, 64 << 20, None, &gzip(&vec![b' '; 900_000]), 100).unwrap().0.len(), 900_000);
    let listing = listed(60_000, |n| format!(r#"{{"id":"{n}","name":"somebody","phone":null}},"#));
    let packed = gzip(listing.as_bytes());
    assert_eq!(read_body(true, 64 << 20, None, &packed, 777).unwrap().0, listing.as_bytes());
    // Several members are one body; nothing is nothing; what ends too early or is none is broken.
    let two = [gzip(b"[1,"), gzip(b"2]")].concat();
    assert_eq!(read_body(true, 100, None, &two, 5).unwrap().0, b"[1,2]".as_slice());
    assert_eq!(read_body(true, 100, None, b"", 1).unwrap().0.len(), 0);
    for broken in [&packed[..packed.len() - 1], &packed[..5], b"{}"] {
        let error = read_body(true, 64 << 20, None, broken, 777).unwrap_err();
        assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
    }
}

/// A page whose record `3` is too large, in many shapes; every other record is had as it is.
#[test]
fn f30_one_record_that_is_too_large_for_its_page_is_cut_down_and_the_others_are_had() {
    let long = "x".repeat(20_000);
    let quotes = r#"\"},{\\"#.repeat(4000);
    let many = listed(3000, |n| format!(r#","k{n}":"v""#));
    let items = listed(9000, |n| format!("[{n}],"));
    let others = |id: u32| format!(r#"{{"id":"{id}","name":"a, \"b\" }}] {id}","tags":[{{"id":"no"}},[]]}}"#);
    for large in [
        format!(r#"{{"id":"3","blob":"{long}"}}"#),
        format!(r#"{{"blob":"{long}","id":"3"}}"#),
        format!(r#"{{ "blob" : "{long}" , "id" : "3" , "more" : "{long}" }}"#),
        format!(r#"{{"id":"3","blob":"{quotes}","last":null}}"#),
        format!(r#"{{"id":"3"{many}}}"#),
        format!(r#"{{"items":[{items}0],"id":"3"}}"#),
        format!(r#"{{"deep":{{"id":"4","blob":"{long}"}},"id":"3"}}"#),
    ] {
        let records = [others(1), others(2), large, others(4), others(5)].join(" , ");
        for (records_at, page) in [
            (".", format!("[{records}]")),
            (".results", format!(r#"{{"results":[{records}],"next":"?page=2"}}"#)),
            (".a.results", format!(r#"{{"results":[{{"id":"3"}}],"a":{{"n":1,"results":[{records}]}},"b":[[]]}}"#)),
        ] {
            for chunk in [1, 7, 4096, page.len()] {
                let (body, cut_down) = read_body(false, 16_000, Some(records_at), page.as_bytes(), chunk).unwrap();
                assert!(body.len() <= 16_000);
                let split = split::split_records(&body, &path(records_at), &[]).unwrap();
                let at = |n: usize| std::str::from_utf8(&body[split.records[n].clone()]).unwrap();
                assert_eq!([at(0), at(1), at(3), at(4)], [1, 2, 4, 5].map(others), "{page:.200}");
                assert_eq!(cut_down, [split.records[2].start]);
                let rest: Tree = serde_json::from_str(at(2)).unwrap_or_else(|error| panic!("{error}: {}", at(2)));
                assert_eq!(rest["id"], "3", "{}", at(2));
                assert!(serde_json::from_slice::<Tree>(&body).is_ok());
            }
        }
    }
}

#[test]
fn f30_a_page_that_no_single_record_makes_too_large_fails_as_a_whole() {
    let records: Vec<String> = (0..1000).map(|n| format!(r#"{{"id":"{n}","name":"somebody"}}"#)).collect();
    let page = format!(r#"{{"results":[{}]}}"#, records.join(","));
    let too_large = TransportError::TooLarge { limit: 16_000 };
    assert_eq!(read_body(false, 16_000, Some(".results"), page.as_bytes(), 100), Err(too_large.clone()));
    // Elsewhere than in a record nothing is cut.
    let page = format!(r#"{{"results":[],"meta":"{}"}}"#, "x".repeat(20_000));
    assert_eq!(read_body(false, 16_000, Some(".results"), page.as_bytes(), 100), Err(too_large.clone()));
    assert_eq!(read_body(false, 16_000, None, page.as_bytes(), 100), Err(too_large.clone()));
    assert_eq!(read_body(false, 16_000, Some(".a[0]"), page.as_bytes(), 100), Err(too_large.clone()));
    // What is thrown away has a limit, too, whether it was promised or not.
    let page = format!(r#"{{"results":[{{"id":"1","blob":"{}"}}]}}"#, "x".repeat(16 * 16_000));
    assert_eq!(read_body(false, 16_000, Some(".results"), page.as_bytes(), 4096), Err(too_large.clone()));
    assert_eq!(
        Body::new(false, 16_000, Some(RecordsIn::Array(path(".results").into())), 16 * 16_000 + 1).err(),
        Some(too_large)
    );
    // A page within its limit is untouched, however large its records are.
    let page = format!(r#"{{"results":[{{"id":"1","blob":"{}"}}]}}"#, "x".repeat(15_000));
    let read = read_body(false, 16_000, Some(".results"), page.as_bytes(), 4096).unwrap();
    assert_eq!(read, (Bytes::from(page), Vec::new()));
}

proptest! {
    /// Whatever arrives, in whatever pieces: no reader falls over, and nothing is kept beyond the limit.
    #[test]
    fn f30_f31_no_bytes_make_a_reader_fall_over(
        bytes in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(b"{}[]\",:\\ud8001e9 -.".to_vec()),
            1 => any::<u8>(),
        ], 0..400),
        prefix in prop::sample::select(vec!["", "{\"results\":[", "{\"results\":[{\"id\":\"1\",\"b\":\""]),
        chunk in 1_usize..50,
        limit in 1_u64..300,
    ) {
        let bytes = [prefix.as_bytes(), &bytes].concat();
        for gzipped in [false, true] {
            if let Ok((body, _)) = read_body(gzipped, limit, Some(".results"), &bytes, chunk) {
                prop_assert!(body.len() as u64 <= limit);
            }
        }
        let _any_outcome = split::split_records(&bytes, &path(".results"), &[&path(".next")]);
        if let Ok(json) = crate::record::Json::parse(&bytes) {
            prop_assert_eq!(crate::record::Json::parse(json.to_string().as_bytes()), Ok(json), "numbers stay exact");
        }
        let _any_outcome = mapper().read(&bytes);
    }
}
