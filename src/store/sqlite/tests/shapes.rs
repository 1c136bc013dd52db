//! Owns: what becomes of the plain tables when the rules change, or were not there first.
//!
//! Must not know: the engine.

use crate::record::{FieldType, Slot};
use crate::rules::Field;
use crate::store::contract::{collection, contacts, field, id, text, unique};
use crate::store::{CollectionKey, DirtyOp, StoreError};

use super::{Fixture, open, place, plain};

fn one_of(name: &str, list: &[&str]) -> Field {
    let mut field = field(name, FieldType::Text);
    field.domain.one_of = Some(list.iter().map(|item| (*item).to_owned()).collect());
    field
}

/// What `prepare` says and does to one table with one row.
struct Case {
    claim: &'static str,
    before: fn() -> Vec<Field>,
    row: &'static str,
    after: fn() -> Vec<Field>,
    /// A part of one notice, or of the refusal.
    says: Result<&'static str, &'static str>,
    /// Run afterwards by another program; must be refused.
    refused: Option<&'static str>,
}

fn two_texts() -> Vec<Field> {
    vec![field("a", FieldType::Text), field("b", FieldType::Text)]
}

const CASES: &[Case] = &[
    Case {
        claim: "a new field",
        before: || vec![field("a", FieldType::Text)],
        row: "INSERT INTO t (id, a) VALUES ('r', 'x')",
        after: || vec![field("a", FieldType::Text), field("n", FieldType::Integer)],
        says: Ok("column t.n added"),
        refused: Some("UPDATE t SET n = 'x'"),
    },
    Case {
        claim: "a field that left",
        before: two_texts,
        row: "INSERT INTO t (id, b) VALUES ('r', 'kept')",
        after: || vec![field("a", FieldType::Text)],
        says: Ok("column t.b is in no rule any more; it and its values stay"),
        refused: None,
    },
    Case {
        claim: "another type of the same affinity",
        before: two_texts,
        row: "INSERT INTO t (id, a) VALUES ('r', '2024-01-31')",
        after: || vec![field("a", FieldType::Date), field("b", FieldType::Text)],
        says: Ok("column t.a changed: t.a must be a date"),
        refused: Some("UPDATE t SET a = 'soon'"),
    },
    Case {
        claim: "another type that a row does not fit",
        before: two_texts,
        row: "INSERT INTO t (id, a) VALUES ('r', 'soon')",
        after: || vec![field("a", FieldType::Date), field("b", FieldType::Text)],
        says: Err("t.a must be a date such as 2024-01-31, but \"soon\" in row r: change that value first"),
        refused: None,
    },
    Case {
        claim: "another affinity",
        before: two_texts,
        row: "INSERT INTO t (id, a, b) VALUES ('r', '12', 'x')",
        after: || vec![field("a", FieldType::Integer), field("b", FieldType::Text)],
        says: Ok("column t.a is INTEGER now"),
        refused: Some("UPDATE t SET a = 'twelve'"),
    },
    Case {
        claim: "another affinity of a unique field",
        before: || vec![unique("a")],
        row: "INSERT INTO t (id, a) VALUES ('r', '12')",
        after: || vec![Field { unique: true, ..field("a", FieldType::Integer) }],
        says: Ok("column t.a is INTEGER now"),
        refused: Some("INSERT INTO t (a) VALUES (12)"),
    },
    Case {
        claim: "another affinity that a row does not fit",
        before: two_texts,
        row: "INSERT INTO t (id, a) VALUES ('r', 'twelve')",
        after: || vec![field("a", FieldType::Integer)],
        says: Err("t.a must be a whole number of 64 bits, but \"twelve\" in row r"),
        refused: None,
    },
    Case {
        claim: "a longer list",
        before: || vec![one_of("a", &["x"])],
        row: "INSERT INTO t (id, a) VALUES ('r', 'x')",
        after: || vec![one_of("a", &["x", "y"])],
        says: Ok("t.a must be one of x, y"),
        refused: Some("UPDATE t SET a = 'z'"),
    },
    Case {
        claim: "a shorter list that a row does not fit",
        before: || vec![one_of("a", &["x", "y"])],
        row: "INSERT INTO t (id, a) VALUES ('r', 'y')",
        after: || vec![one_of("a", &["x"])],
        says: Err("t.a must be one of x, but \"y\" in row r"),
        refused: None,
    },
    Case {
        claim: "unique from now on",
        before: || vec![field("a", FieldType::Text)],
        row: "INSERT INTO t (id, a) VALUES ('r', 'x')",
        after: || vec![unique("a")],
        says: Ok(""),
        refused: Some("INSERT INTO t (a) VALUES ('x')"),
    },
    Case {
        claim: "unique with twins",
        before: || vec![field("a", FieldType::Text)],
        row: "INSERT INTO t (id, a) VALUES ('r', 'x'), ('s', 'x')",
        after: || vec![unique("a")],
        says: Err("a is to be unique, but rows r and s both say \"x\""),
        refused: None,
    },
    Case {
        claim: "unique no more",
        before: || vec![unique("a")],
        row: "INSERT INTO t (id, a) VALUES ('r', 'x')",
        after: || vec![field("a", FieldType::Text)],
        says: Ok("index sync_u_t.a dropped"),
        refused: None,
    },
];

#[test]
fn tables_follow_the_rules_where_every_row_fits() {
    for case in CASES {
        check(case);
    }
}

fn check(case: &Case) {
    let claim = case.claim;
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![collection("t", (case.before)())]).expect("prepared");
    let other = plain(&path);
    other
        .execute_batch("ALTER TABLE t ADD COLUMN own TEXT DEFAULT 'mine'; CREATE INDEX own_index ON t (own)")
        .expect(claim);
    other.execute_batch(case.row).expect(claim);
    let hints = |on: &Fixture| on.read(|view| view.dirty_after(CollectionKey(1), "", 99));
    let before = hints(&on);
    let schema = |sql: &str| -> String { other.query_row(sql, [], |row| row.get(0)).expect(claim) };
    let all = "SELECT group_concat(sql) FROM sqlite_schema WHERE tbl_name = 't'";
    let schema_before = schema(all);
    match (on.prepare(vec![collection("t", (case.after)())]), case.says) {
        (Ok(notices), Ok(says)) => {
            let said = says.is_empty() || notices.iter().any(|notice| notice.contains(says));
            assert!(said, "{claim}: {notices:?}");
        }
        (Err(StoreError::Shape { table, reason }), Err(says)) => {
            assert!(table == "t" && reason.contains(says), "{claim}: {reason}");
            assert_eq!(schema(all), schema_before, "{claim}: a refusal changes nothing");
        }
        (outcome, _) => panic!("{claim}: {outcome:?}"),
    }
    if let Some(sql) = case.refused {
        assert!(other.execute_batch(sql).is_err(), "{claim}: {sql}");
    }
    assert_eq!(hints(&on), before, "{claim}: no hint");
    let own: String = other.query_row("SELECT own FROM t WHERE id = 'r'", [], |row| row.get(0)).expect(claim);
    assert_eq!(own, "mine", "{claim}: a person's own column stays");
    assert!(schema(all).contains("own_index"), "{claim}: a person's own index stays");
    if case.says.is_ok() {
        let again = on.prepare(vec![collection("t", (case.after)())]).expect(claim);
        assert_eq!(again, Vec::<String>::new(), "{claim}: the second time there is nothing to do");
        other.execute_batch("DELETE FROM sync_dirty; UPDATE t SET id = 'moved' WHERE id = 'r'").expect(claim);
        assert_eq!(hints(&on).len(), 2, "{claim}: triggers work");
    }
}

#[test]
fn a_field_that_came_back_finds_its_values() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), text("020")])).expect("inserted");
    on.prepare(vec![collection("contacts", vec![unique("email")])]).expect("prepared");
    on.prepare(vec![contacts()]).expect("prepared");
    let row = on.read(|view| view.row(&contacts(), &id("a"))).expect("a row");
    assert_eq!(row[1], Slot::Value(text("020")));
}

#[test]
fn a_foreign_table_that_does_not_fit_is_never_touched() {
    let cases = [
        ("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, phone TEXT)", "primary key is not"),
        ("CREATE TABLE contacts (id TEXT PRIMARY KEY NOT NULL, email TEXT)", "column phone is missing"),
        ("CREATE TABLE contacts (id TEXT PRIMARY KEY NOT NULL, email TEXT, phone INTEGER)", "column phone is INTEGER"),
        ("CREATE VIEW contacts AS SELECT 1 AS id", "there is a view of that name"),
    ];
    for (sql, says) in cases {
        let (_folder, path) = place();
        let on = open(&path).expect("it opens");
        plain(&path).execute_batch(sql).expect("made");
        match on.prepare(vec![contacts()]) {
            Err(StoreError::Shape { reason, .. }) => assert!(reason.contains(says), "{sql}: {reason}"),
            other => panic!("{sql}: {other:?}"),
        }
        let found: String = plain(&path)
            .query_row(
                "SELECT group_concat(sql) FROM sqlite_schema WHERE tbl_name = 'contacts' AND sql <> ''",
                [],
                |row| row.get(0),
            )
            .expect("its text");
        assert_eq!(found, sql);
    }
}

#[test]
fn a_foreign_table_that_fits_is_used_and_its_rows_are_looked_at() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    plain(&path)
        .execute_batch(
            "CREATE TABLE contacts (mine BLOB, id VARCHAR(40) NOT NULL PRIMARY KEY, phone TEXT, email TEXT);
            INSERT INTO contacts (id, email) VALUES ('a', 'a@x.io')",
        )
        .expect("made");
    let notices = on.prepare(vec![contacts()]).expect("prepared");
    assert!(notices[0].contains("was there already and fits"), "{notices:?}");
    let hints = on.read(|view| view.dirty_after(CollectionKey(1), "", 9));
    assert_eq!(
        hints.iter().map(|(record, hint)| (record.0.as_str(), hint.op)).collect::<Vec<_>>(),
        [("a", DirtyOp::Recheck)]
    );
}

#[test]
fn lost_triggers_are_laid_again_and_every_record_is_compared() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), text("020")])).expect("inserted");
    plain(&path)
        .execute_batch("DROP TRIGGER \"sync_t_contacts.update\"; UPDATE contacts SET phone = '1'")
        .expect("unnoticed");
    let notices = on.prepare(vec![contacts()]).expect("prepared");
    assert!(notices[0].contains("triggers of contacts were missing"), "{notices:?}");
    assert_eq!(on.read(|view| view.dirty_after(CollectionKey(1), "", 9)).len(), 1);
}

#[test]
fn a_lost_table_with_links_is_not_taken_for_deletes() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.register("contacts", "crm")).expect("registered");
    plain(&path)
        .execute_batch("INSERT INTO sync_link (binding, record, remote_id, state, mapping, observed_at, raw) VALUES (1, 'a', 'c', 0, 1, 1, x''); DROP TABLE contacts")
        .expect("dropped");
    match on.prepare(vec![contacts()]) {
        Err(StoreError::Shape { reason, .. }) => assert!(reason.contains("restore it from a backup"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reserved_names_are_refused() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    for (name, column) in [("sync_link", "a"), ("Sync_x", "a"), ("sqlite_x", "a"), ("t", "ID")] {
        let outcome = on.prepare(vec![collection(name, vec![field(column, FieldType::Text)])]);
        assert!(matches!(outcome, Err(StoreError::Shape { .. })), "{name}.{column}: {outcome:?}");
    }
}
