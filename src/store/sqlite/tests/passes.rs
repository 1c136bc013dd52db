//! Owns: the test of how long phases of passes are kept.
//!
//! Must not know: what phases are.

use super::{open, place, plain};

#[test]
fn phases_of_passes_long_ago_are_forgotten_and_the_passes_are_not() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    plain(&path)
        .execute_batch(
            "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10240) \
             INSERT INTO sync_pass (id, collection, \"trigger\", started_at, outcome, counts, rules_hash, phases) \
             SELECT id, 'contacts', 'once', 1, 'ok', '{}', '', '[]' FROM n",
        )
        .expect("passes");
    let kept = || -> (i64, i64, i64) {
        let sql = "SELECT count(*), count(phases), min(id) FILTER (WHERE phases IS NOT NULL) FROM sync_pass";
        plain(&path).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("counted")
    };
    on.write(|tx| tx.set_phases(10_239, "[1]")).expect("kept");
    assert_eq!(kept(), (10_240, 10_240, 1), "not each pass forgets");
    on.write(|tx| tx.set_phases(10_240, "[1]")).expect("kept");
    assert_eq!(kept(), (10_240, 10_000, 241));
}
