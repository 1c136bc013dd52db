//! Owns: how long an initial load takes here, and how large the file becomes. Run by hand, in release.
//!
//! Must not know: the engine.

use std::os::unix::fs::MetadataExt as _;

use crate::merge::LinkState;
use crate::record::{FieldType, RecordId};
use crate::rules::{Collection, Field};
use crate::store::contract::{collection, field, text, wait};
use crate::store::{LinkUpdate, Made, NewLink, write};

use super::open;

const RECORDS: usize = 100_000;
const PER_JOB: usize = 1000;

fn wide() -> Collection {
    let fields: Vec<Field> = (0..15).map(|n| field(&format!("field_{n}"), FieldType::Text)).collect();
    collection("contacts", fields)
}

#[test]
#[ignore = "a measurement: cargo test --release --lib timing -- --ignored --nocapture"]
#[expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it measures real time, for people")]
fn initial_load() {
    let (_folder, path) = path();
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
        "load: {:.2} s, {:.2} µs per record, {:.1} MB, {:.2} × raw",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / RECORDS as f64,
        bytes as f64 / 1e6,
        bytes as f64 / (RECORDS as f64 * 750.0),
    );
}

/// The least that any store must do: one upsert per record, one transaction per page. What the load above is compared to.
#[test]
#[ignore = "a measurement: cargo test --release --lib timing -- --ignored --nocapture --test-threads 1"]
#[expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it measures real time, for people")]
fn limit_of_the_machine() {
    let (_folder, path) = path();
    let db = rusqlite::Connection::open(&path).expect("it opens");
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; \
        CREATE TABLE contacts (id TEXT PRIMARY KEY NOT NULL, hash INTEGER NOT NULL, body TEXT NOT NULL)";
    db.execute_batch(pragmas).expect("made");
    let began = std::time::Instant::now();
    let sql = "INSERT INTO contacts (id, hash, body) VALUES (?1, ?2, ?3) \
               ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, body = excluded.body";
    let mut upsert = db.prepare(sql).expect("prepared");
    for page in 0..RECORDS / PER_JOB {
        db.execute_batch("BEGIN").expect("begun");
        for n in page * PER_JOB..(page + 1) * PER_JOB {
            let raw = format!("{{\"id\":\"c{n}\",\"x\":\"{}\"}}", "y".repeat(730));
            upsert.execute(rusqlite::params![format!("c{n}"), 7, raw]).expect("upserted");
        }
        db.execute_batch("COMMIT").expect("a page");
    }
    let took = began.elapsed();
    println!("limit: {:.2} s, {:.2} µs per record", took.as_secs_f64(), took.as_secs_f64() * 1e6 / RECORDS as f64);
}

/// `TIMING_FOLDER` moves the measurement, for instance to memory.
fn path() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = std::env::var("TIMING_FOLDER").unwrap_or_else(|_| std::env::temp_dir().display().to_string());
    let folder = tempfile::TempDir::new_in(folder).expect("a folder");
    let path = folder.path().join("sync.db");
    (folder, path)
}
