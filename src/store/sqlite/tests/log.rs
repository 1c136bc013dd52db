//! Owns: the tests of the log and of the thread that moves it.
//!
//! Must not know: the contract.

use rusqlite::Connection;

use crate::store::sqlite::checkpoint::Checkpointer;
use crate::store::sqlite::fault::Place;
use crate::store::sqlite::thread::Dead;

use super::{open, place, plain};

/// Pages in the log, and those of them that were moved.
fn log(conn: &Connection) -> (i64, i64) {
    conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| Ok((row.get(1)?, row.get(2)?))).expect("the log's size")
}

fn write(conn: &Connection, bytes: i64) {
    conn.execute("INSERT INTO notes (text) VALUES (zeroblob(?1))", [bytes]).expect("written");
}

#[test]
fn what_is_committed_is_moved_beside_the_writer_once_it_is_worth_it() {
    let (_folder, path) = place();
    drop(open(&path).expect("it opens"));
    let conn = plain(&path);
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE notes (text BLOB)").expect("a table");
    let place = Place { path: path.display().to_string(), busy_ms: 50 };
    let moved_after = |bytes: i64| {
        write(&conn, bytes);
        let checkpointer = Checkpointer::start(&path, &place, &Dead::default()).expect("it starts");
        checkpointer.wake();
        drop(checkpointer);
        log(&conn)
    };
    let (pages, moved) = moved_after(1 << 20);
    assert!(pages > 100 && moved == 0, "a short log is not worth two waits for the disk: {moved} of {pages}");
    let (pages, moved) = moved_after(8 << 20);
    assert!(pages > 1000 && moved == pages, "{moved} of {pages}");
    conn.execute("INSERT INTO notes (text) VALUES ('the log begins anew')", []).expect("written");
    assert!(log(&conn).0 < 10, "all of it was moved: {:?}", log(&conn));
}

#[test]
fn a_store_has_its_log_moved_by_itself() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    let looking = plain(&path);
    looking.execute_batch("CREATE TABLE notes (text BLOB); PRAGMA wal_autocheckpoint = 0").expect("a table");
    write(&looking, 12 << 20);
    assert_eq!(log(&looking).1, 0);
    // The commit wakes the thread; it is over when the store is.
    on.write(|tx| tx.set_note("a", "commit")).expect("written");
    while log(&looking).1 < 1000 {
        std::thread::yield_now();
    }
}
