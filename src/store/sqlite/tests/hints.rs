//! Owns: what other programs' plain SQL leaves behind.
//!
//! Must not know: the engine.

use rusqlite::Connection;

use crate::store::contract::{collection, contacts, field, id, text, unique};
use crate::store::{CollectionKey, DirtyOp};

use super::{Fixture, open, place, plain};

use crate::record::{FieldType, Value};

fn hints(on: &Fixture) -> Vec<(String, DirtyOp)> {
    let hints = on.read(|view| {
        let key = view.collection_key("contacts")?.unwrap_or(CollectionKey(0));
        view.dirty_after(key, "", 99)
    });
    hints.into_iter().map(|(record, hint)| (record.0, hint.op)).collect()
}

fn seen(conn: &Connection) -> i64 {
    conn.query_row("SELECT seen FROM sync_engine", [], |row| row.get(0)).expect("a number")
}

#[test]
fn every_plain_statement_leaves_exactly_one_fitting_hint_per_record() {
    use DirtyOp::{Delete, Insert, Recheck, Update};
    let cases: &[(&str, &[(&str, DirtyOp)])] = &[
        ("INSERT INTO contacts (id, email) VALUES ('n', 'n@x.io')", &[("n", Insert)]),
        ("INSERT OR IGNORE INTO contacts (id, email) VALUES ('n', 'n@x.io')", &[("n", Insert)]),
        ("INSERT OR IGNORE INTO contacts (id, email) VALUES ('a', 'n@x.io')", &[]),
        ("INSERT INTO contacts SELECT 'n' || id, NULL, phone FROM contacts", &[("na", Insert), ("nb", Insert)]),
        ("UPDATE contacts SET phone = '1' WHERE id = 'a'", &[("a", Update)]),
        ("UPDATE OR IGNORE contacts SET phone = '1' WHERE id = 'a'", &[("a", Update)]),
        ("UPDATE contacts SET phone = '1'", &[("a", Update), ("b", Update)]),
        ("UPDATE contacts SET phone = '1' WHERE id = 'none'", &[]),
        ("UPDATE contacts SET id = 'z' WHERE id = 'a'", &[("a", Delete), ("z", Insert)]),
        ("DELETE FROM contacts WHERE id = 'a'", &[("a", Delete)]),
        ("DELETE FROM contacts", &[("a", Delete), ("b", Delete)]),
        ("REPLACE INTO contacts (id, email) VALUES ('a', 'a@x.io')", &[("a", Insert)]),
        ("INSERT OR REPLACE INTO contacts (id, email) VALUES ('n', 'a@x.io')", &[("a", Recheck), ("n", Insert)]),
        ("UPDATE OR REPLACE contacts SET email = 'a@x.io' WHERE id = 'b'", &[("a", Recheck), ("b", Update)]),
        (
            "INSERT INTO contacts (id, email) VALUES ('a', 'new@x.io') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
            &[("a", Update)],
        ),
        (
            "INSERT INTO contacts (email, phone) VALUES ('a@x.io', '7') ON CONFLICT (email) DO UPDATE SET phone = '7'",
            &[("a", Update)],
        ),
        ("DELETE FROM contacts WHERE id = 'a' RETURNING id", &[("a", Delete)]),
        ("BEGIN; UPDATE contacts SET phone = '1'; ROLLBACK", &[]),
        (
            "BEGIN; DELETE FROM contacts WHERE id = 'a'; INSERT INTO contacts (id) VALUES ('a'); COMMIT",
            &[("a", Insert)],
        ),
    ];
    for (sql, expected) in cases {
        let (_folder, path) = place();
        let on = open(&path).expect("it opens");
        on.prepare(vec![contacts()]).expect("prepared");
        on.write(|tx| {
            tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), Value::Null])?;
            tx.insert_row(&contacts(), &id("b"), &[text("b@x.io"), Value::Null])
        })
        .expect("inserted");
        assert_eq!(hints(&on), [], "the engine's own");
        plain(&path).execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let expected: Vec<_> = expected.iter().map(|(record, op)| ((*record).to_owned(), *op)).collect();
        assert_eq!(hints(&on), expected, "{sql}");
    }
}

#[test]
fn a_row_without_an_id_gets_one_that_is_a_uuid_v7() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let other = plain(&path);
    other
        .execute_batch("INSERT INTO contacts (email) VALUES ('1@x'), ('2@x'); INSERT INTO contacts (id, email) VALUES (NULL, '3@x')")
        .expect("inserted");
    let rows = hints(&on);
    assert_eq!(rows.len(), 3);
    for (record, op) in &rows {
        let uuid: uuid::Uuid = record.parse().unwrap_or_else(|error| panic!("{record}: {error}"));
        assert_eq!(
            (uuid.get_version_num(), uuid.get_variant(), uuid.to_string()),
            (7, uuid::Variant::RFC4122, record.clone())
        );
        assert_eq!(*op, DirtyOp::Insert);
        let record = id(record);
        assert!(on.read(move |view| view.row(&contacts(), &record)).is_some());
    }
    let nothing = other.execute("INSERT INTO contacts (id) VALUES ('')", []).expect_err("an empty id");
    assert!(nothing.to_string().contains("contacts.id must be text that is not empty"), "{nothing}");
}

#[test]
fn an_edit_after_the_hint_was_read_survives_its_clearing() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let other = plain(&path);
    other.execute_batch("INSERT INTO contacts (id) VALUES ('a')").expect("inserted");
    let read = on.read(|view| view.dirty(CollectionKey(1), &id("a"))).expect("a hint");
    other.execute_batch("UPDATE contacts SET phone = '2'").expect("edited meanwhile");
    on.write(move |tx| tx.clear_dirty(CollectionKey(1), &id("a"), read.seen)).expect("not cleared");
    let left = on.read(|view| view.dirty(CollectionKey(1), &id("a"))).expect("still there");
    assert!(left.seen > read.seen && left.at >= read.at && left.op == DirtyOp::Update, "{left:?}");
    assert_eq!(left.seen, seen(&other));
}

#[test]
fn other_programs_are_told_what_a_column_takes() {
    let cases = [
        ("amount", "'1.5'", true),
        ("amount", "7", true),
        ("amount", "1.50", true),
        ("amount", "'-0.25'", true),
        ("amount", "'1.500'", true),
        ("amount", "'1.505'", false),
        ("amount", "'1.'", false),
        ("amount", "'.5'", false),
        ("amount", "'1-2'", false),
        ("amount", "'1.2.3'", false),
        ("amount", "'1e3'", false),
        ("amount", "''", false),
        ("day", "'2024-02-29'", true),
        ("day", "'2023-02-29'", false),
        ("day", "'2024-02-30'", false),
        ("day", "'now'", false),
        ("day", "20240229", false),
        ("at", "datetime('now')", true),
        ("at", "'2024-01-31T09:30:00.123456Z'", true),
        ("at", "'2024-01-31T09:30:00+02:00'", true),
        ("at", "'2024-01-32T09:30:00Z'", false),
        ("at", "'2024-02-30T09:30:00Z'", false),
        ("at", "'2024-01-31'", false),
        ("flag", "1", true),
        ("flag", "TRUE", true),
        ("flag", "'1'", true),
        ("flag", "2", false),
        ("flag", "'yes'", false),
        ("whole", "12", true),
        ("whole", "'12'", true),
        ("whole", "1.5", false),
        ("share", "1", true),
        ("share", "9e999", false),
        ("share", "'x'", false),
        ("data", "'{\"a\":1}'", true),
        ("data", "'{a:1}'", false),
        ("tags", "'[\"a\"]'", true),
        ("tags", "'{}'", false),
        ("tags", "'a,b'", false),
        ("stage", "'lead'", true),
        ("stage", "'Lead'", false),
        ("stage", "NULL", true),
        ("name", "x'00'", false),
        ("name", "5", true),
    ];
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    let mut stage = field("stage", FieldType::Text);
    stage.domain.one_of = Some(vec!["lead".to_owned(), "won't".to_owned()]);
    let fields = vec![
        field("amount", FieldType::Decimal { scale: 2 }),
        field("day", FieldType::Date),
        field("at", FieldType::Datetime),
        field("flag", FieldType::Boolean),
        field("whole", FieldType::Integer),
        field("share", FieldType::Real),
        field("data", FieldType::Json),
        field("tags", FieldType::Set),
        field("name", FieldType::Text),
        stage,
    ];
    on.prepare(vec![collection("deals", fields)]).expect("prepared");
    let other = plain(&path);
    for (column, value, fits) in cases {
        let outcome = other.execute(&format!("INSERT INTO deals ({column}) VALUES ({value})"), []);
        match outcome {
            Ok(_) => assert!(fits, "{column} = {value} got in"),
            Err(error) => {
                let said = format!("deals.{column} must be ");
                assert!(!fits && error.to_string().contains(&said), "{column} = {value}: {error}");
            }
        }
    }
}

#[test]
fn a_column_that_refuses_the_engines_value_is_named() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![collection("deals", vec![field("day", FieldType::Date)])]).expect("prepared");
    let wrong = on.write(|tx| {
        let deals = collection("deals", vec![field("day", FieldType::Text)]);
        tx.insert_row(&deals, &id("x"), &[text("soon")])
    });
    match wrong {
        Err(crate::store::StoreError::Constraint { table, .. }) => assert_eq!(table, "deals.day"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_persons_triggers_edit_leaves_hints_and_the_engines_own_write_does_not() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let insert = |name: &'static str| {
        on.write(move |tx| tx.insert_row(&contacts(), &id(name), &[text(name), Value::Null])).expect("inserted");
    };
    let update = |name: &'static str, email: &'static str| {
        on.write(move |tx| tx.update_row(&contacts(), &id(name), &[(0, text(email))])).expect("updated");
    };
    for name in ["a", "b", "c", "d"] {
        insert(name);
    }
    let other = plain(&path);
    other
        .execute_batch(
            "CREATE TRIGGER others AFTER UPDATE ON contacts WHEN NEW.email = 'cascade' BEGIN \
               UPDATE contacts SET phone = '1' WHERE id = 'b'; DELETE FROM contacts WHERE id = 'c'; \
               INSERT INTO contacts (id) VALUES ('e'); END; \
             CREATE TRIGGER own AFTER UPDATE OF email ON contacts WHEN NEW.email = 'own' BEGIN \
               UPDATE contacts SET phone = '2' WHERE id = NEW.id; END; \
             CREATE TRIGGER undone AFTER INSERT ON contacts WHEN NEW.email = 'f' BEGIN \
               UPDATE contacts SET email = NULL WHERE id = NEW.id; END; \
             CREATE TRIGGER kept BEFORE DELETE ON contacts WHEN OLD.id = 'd' BEGIN SELECT raise(IGNORE); END",
        )
        .expect("made");
    let cleared = |expected: &[(&str, DirtyOp)]| {
        let expected: Vec<_> = expected.iter().map(|(record, op)| ((*record).to_owned(), *op)).collect();
        assert_eq!(hints(&on), expected);
        other.execute_batch("DELETE FROM sync_dirty").expect("cleared");
    };
    update("a", "plain");
    cleared(&[]);
    update("a", "cascade");
    cleared(&[("b", DirtyOp::Update), ("c", DirtyOp::Delete), ("e", DirtyOp::Insert)]);
    update("b", "own");
    cleared(&[("b", DirtyOp::Update)]);
    insert("f");
    cleared(&[("f", DirtyOp::Insert)]);
    on.write(|tx| tx.delete_row(&contacts(), &id("d"))).expect("ignored");
    cleared(&[("d", DirtyOp::Update)]);
    on.write(|tx| tx.delete_row(&contacts(), &id("a"))).expect("deleted");
    cleared(&[]);

    // The hint of an edit that was not dealt with yet survives the engine's own write as it was.
    other.execute_batch("UPDATE contacts SET phone = '3' WHERE id = 'b'").expect("edited");
    let before = on.read(|view| view.dirty(CollectionKey(1), &id("b")));
    update("b", "plain");
    assert_eq!(on.read(|view| view.dirty(CollectionKey(1), &id("b"))), before);
    assert!(before.is_some());
}

#[test]
fn a_trigger_that_keeps_a_row_as_it_is_refuses_that_write_alone() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])).expect("inserted");
    plain(&path)
        .execute_batch("CREATE TRIGGER kept BEFORE UPDATE ON contacts BEGIN SELECT raise(IGNORE); END")
        .expect("made");
    match on.write(|tx| tx.update_row(&contacts(), &id("a"), &[(1, text("1"))])) {
        Err(crate::store::StoreError::Constraint { table, .. }) => assert_eq!(table, "contacts"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_persons_own_triggers_fire_and_still_no_hint_is_left() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![contacts()]).expect("prepared");
    let insert = |name: &'static str| {
        on.write(move |tx| tx.insert_row(&contacts(), &id(name), &[text(name), Value::Null])).expect("inserted");
    };
    insert("a");
    let other = plain(&path);
    other
        .execute_batch(
            "CREATE TABLE log (record TEXT); \
             CREATE TRIGGER own AFTER INSERT ON contacts BEGIN INSERT INTO log VALUES (NEW.id); END",
        )
        .expect("made");
    insert("b");
    other.execute_batch("DROP TRIGGER own").expect("dropped");
    insert("c");
    let log: String = other.query_row("SELECT group_concat(record) FROM log", [], |row| row.get(0)).expect("a log");
    assert_eq!((log.as_str(), hints(&on)), ("b", vec![]));
    other.execute_batch("UPDATE contacts SET phone = '1' WHERE id = 'b'").expect("edited");
    assert_eq!(hints(&on), [("b".to_owned(), DirtyOp::Update)]);
}

#[test]
fn candidates_are_found_by_index() {
    let (_folder, path) = place();
    let on = open(&path).expect("it opens");
    on.prepare(vec![collection("contacts", vec![unique("email")])]).expect("prepared");
    let other = plain(&path);
    let sql = format!("EXPLAIN QUERY PLAN {}", super::super::hints::CANDIDATES);
    let mut statement = other.prepare(&sql).expect("a plan");
    let steps: Vec<String> =
        statement.query_map(rusqlite::params![1, "", 10], |row| row.get(3)).and_then(Iterator::collect).expect("steps");
    assert!(steps.iter().all(|step| !step.contains("SCAN") && !step.contains("TEMP B-TREE")), "{steps:#?}");
    assert_eq!(steps.iter().filter(|step| step.contains("record>?")).count(), 4, "{steps:#?}");
}
