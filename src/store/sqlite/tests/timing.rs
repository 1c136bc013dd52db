//! Owns: how long an initial load takes here, and how large the file becomes. Run by hand, in release.
//!
//! Must not know: the engine.

use std::os::unix::fs::MetadataExt as _;

use crate::merge::LinkState;
use crate::record::{FieldType, RecordId};
use crate::rules::{Collection, Field};
use crate::store::contract::{collection, field, text, wait};
use crate::store::{LinkUpdate, Made, NewLink, write};

use super::{open, place};

const RECORDS: usize = 100_000;
const PER_JOB: usize = 1000;

fn wide() -> Collection {
    let fields: Vec<Field> = (0..15).map(|n| field(&format!("field_{n}"), FieldType::Text)).collect();
    collection("contacts", fields)
}

#[test]
#[ignore = "a measurement: cargo test --release --lib timing -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn initial_load() {
    let (_folder, path) = match std::env::var("TIMING_DB") {
        Ok(path) => (None, path.into()),
        Err(_) => {
            let (folder, path) = place();
            (Some(folder), path)
        }
    };
    let on = open(&path).expect("it opens");
    on.prepare(vec![wide()]).expect("prepared");
    let (key, binding, mapping) = on
        .write(|tx| {
            let (key, binding) = tx.register("contacts", "crm")?;
            Ok((key, binding, tx.register_mapping("m")?))
        })
        .expect("registered");
    let ids: Vec<RecordId> = (0..RECORDS).map(|_| RecordId(uuid::Uuid::now_v7().to_string())).collect();
    let ids = std::sync::Arc::new(ids);
    let began = std::time::Instant::now();
    for page in 0..RECORDS / PER_JOB {
        let ids = std::sync::Arc::clone(&ids);
        wait(write(&*on.store, move |tx| {
            let wide = wide();
            for n in page * PER_JOB..(page + 1) * PER_JOB {
                let record = &ids[n];
                let values: Vec<_> = (0..15).map(|at| text(&format!("value {at} of {n} is some text"))).collect();
                tx.insert_row(&wide, record, &values)?;
                let raw = format!("{{\"id\":\"c{n}\",\"x\":\"{}\"}}", "y".repeat(730));
                let state = LinkUpdate {
                    state: LinkState::Live,
                    version: Some("1"),
                    mapping,
                    fingerprint: (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                    raw: raw.as_bytes(),
                    base_hub: None,
                    base_remote: None,
                    updated_at: Some(1_706_693_400_000_000),
                    observed_at: 1_706_693_400_000_000,
                };
                let made = Some(Made { pass: 1, source_time: None, observed_at: 1_706_693_400_000_000 });
                tx.put_link(&NewLink { binding, remote_id: &format!("c{n}"), record, state, made })?;
                tx.index_match(key, record, &[Some(format!("person{n}@example.com"))])?;
            }
            Ok(())
        }))
        .expect("a page");
    }
    let took = began.elapsed();
    drop(on);
    let bytes = std::fs::metadata(&path).expect("a file").size();
    println!(
        "{:.2} s, {:.2} µs per record, {:.1} MB, {:.2} × raw",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / RECORDS as f64,
        bytes as f64 / 1e6,
        bytes as f64 / (RECORDS as f64 * 750.0),
    );
}
