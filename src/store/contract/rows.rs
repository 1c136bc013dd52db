//! Owns: the part of the suite about rows of plain tables, and jobs as such.
//!
//! Must not know: SQL, files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixture::*;
use crate::record::*;
use crate::rules::*;
use crate::store::*;

pub(in crate::store) fn every_type_reads_back_as_written(on: &Fixture) {
    let types = [
        FieldType::Text,
        FieldType::Integer,
        FieldType::Real,
        FieldType::Decimal { scale: 2 },
        FieldType::Boolean,
        FieldType::Date,
        FieldType::Datetime,
        FieldType::Json,
        FieldType::Set,
        FieldType::List { key: None },
        FieldType::Ref { to: "companies".to_owned() },
    ];
    let fields = types.iter().map(|ty| field(&format!("f_{}", ty.name()), ty.clone())).collect();
    let all = || {
        let at = chrono::DateTime::from_timestamp_micros(1_706_693_400_123_456).expect("a time");
        vec![
            text("o'neill \"x\"\u{0}"),
            Value::Integer(i64::MIN),
            Value::Real(Real::new(0.1).expect("finite")),
            Value::Decimal("-12.50".parse().expect("a decimal")),
            Value::Boolean(true),
            Value::Date(at.date_naive()),
            Value::Datetime(at),
            Value::Json(Json::parse(b"{\"a\":[1.0,null]}").expect("json")),
            Value::Set(["b".to_owned(), "a".to_owned()].into()),
            Value::List(vec![Json::Null]),
            Value::Ref("r9".to_owned()),
        ]
    };
    let table = Arc::new(collection("all_types", fields));
    let rules = Ruleset {
        upstreams: BTreeMap::new(),
        collections: [("all_types".to_owned(), Arc::clone(&table))].into(),
        hash: String::new(),
    };
    on.write(move |tx| tx.prepare(&rules)).expect("prepared");
    let it = Arc::clone(&table);
    on.write(move |tx| {
        tx.insert_row(&it, &id("r1"), &all())?;
        tx.insert_row(&it, &id("r2"), &vec![Value::Null; it.fields.len()])
    })
    .expect("inserted");
    let it = Arc::clone(&table);
    let domains = table.fields.iter().map(|field| field.domain.clone()).collect::<Vec<_>>();
    let row = on.read(move |view| view.row(&it, &id("r1"))).expect("a row");
    for ((slot, value), domain) in row.iter().zip(all()).zip(domains) {
        assert!(slot.value().is_some_and(|found| domain.same(found, &value)), "{slot:?} is not {value:?}");
    }
    let it = Arc::clone(&table);
    let at = it.fields.iter().position(|field| matches!(field.domain.ty, FieldType::Ref { .. })).expect("a ref");
    assert_eq!(on.read(move |view| view.referring(&it, at, &id("r9"), 9)), [id("r1")]);
    let it = Arc::clone(&table);
    assert_eq!(on.read(move |view| view.referring(&it, at, &id("r8"), 9)), []);
    let it = Arc::clone(&table);
    assert_eq!(on.read(move |view| view.row(&it, &id("r2"))), Some(said(&vec![Value::Null; 11])));
    assert_eq!(on.read(move |view| view.row(&table, &id("r3"))), None);
}

pub(in crate::store) fn rows_are_updated_deleted_and_counted(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| {
        for name in ["c", "a", "b"] {
            tx.insert_row(&contacts(), &id(name), &[text(&format!("{name}@x.io")), Value::Null])?;
        }
        tx.update_row(&contacts(), &id("b"), &[(1, text("020"))])?;
        tx.update_row(&contacts(), &id("b"), &[])?;
        tx.delete_row(&contacts(), &id("c"))?;
        tx.delete_row(&contacts(), &id("never was"))
    })
    .expect("written");
    assert_eq!(on.read(|view| view.row_count(&contacts())), 2);
    for (most, counted) in [(0, 0), (1, 1), (2, 2), (3, 2), (u64::MAX, 2)] {
        assert_eq!(on.read(move |view| view.rows_up_to(&contacts(), most)), counted, "up to {most}");
    }
    assert_eq!(rows_left(on, ["a", "b", "c"]), ["a", "b"]);
    assert_eq!(on.read(|view| view.row(&contacts(), &id("b"))), Some(said(&[text("b@x.io"), text("020")])));
    let lost = on.write(|tx| tx.update_row(&contacts(), &id("c"), &[(1, text("1"))]));
    assert!(matches!(lost, Err(StoreError::State { .. })), "{lost:?}");
}

pub(in crate::store) fn a_unique_field_refuses_a_second_record_and_names_itself(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), Value::Null])).expect("inserted");
    let second = on.write(|tx| tx.insert_row(&contacts(), &id("b"), &[text("a@x.io"), Value::Null]));
    assert_eq!(is_constraint(second), "contacts.email");
    let nulls = on.write(|tx| {
        tx.insert_row(&contacts(), &id("n1"), &[Value::Null, Value::Null])?;
        tx.insert_row(&contacts(), &id("n2"), &[Value::Null, Value::Null])
    });
    assert!(nulls.is_ok(), "{nulls:?}");
}

pub(in crate::store) fn a_failed_job_leaves_nothing(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let failed: Result<(), _> = on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
        Err(StoreError::State { what: "test".to_owned(), reason: "on purpose".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(on.read(|view| view.row_count(&contacts())), 0);
}

pub(in crate::store) fn a_refused_row_may_be_skipped_and_the_rest_kept(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), Value::Null])?;
        assert!(tx.insert_row(&contacts(), &id("b"), &[text("a@x.io"), Value::Null]).is_err());
        tx.insert_row(&contacts(), &id("c"), &[text("c@x.io"), Value::Null])
    })
    .expect("written");
    assert_eq!(rows_left(on, ["a", "b", "c"]), ["a", "c"]);
}

pub(in crate::store) fn small_jobs_share_a_commit_and_fail_alone(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let outcomes = wait(async {
        let job = |name: &'static str, email: &'static str| {
            write_small(&*on.store, move |tx| tx.insert_row(&contacts(), &id(name), &[text(email), Value::Null]))
        };
        let many = futures_util::future::join_all((0..40).map(|n| {
            let (name, email) = (format!("n{n:02}"), format!("{}@x.io", n / 2));
            write_small(&*on.store, move |tx| tx.insert_row(&contacts(), &id(&name), &[text(&email), Value::Null]))
        }));
        let (first, second, third, many) =
            futures_util::future::join4(job("a", "a@x.io"), job("b", "a@x.io"), job("c", "c@x.io"), many).await;
        assert_eq!(many.iter().filter(|outcome| outcome.is_ok()).count(), 20);
        [first, second, third]
    });
    assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(on.read(|view| view.row_count(&contacts())), 22);
}

pub(in crate::store) fn a_panic_in_a_job_closes_the_store(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let panicked: Result<(), _> = on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
        panic!("on purpose: this line belongs to a test")
    });
    assert!(matches!(panicked, Err(StoreError::Closed)), "{panicked:?}");
    assert!(matches!(wait(read(&*on.store, |view| view.row_count(&contacts()))), Err(StoreError::Closed)));
    assert!(matches!(on.write(|tx| tx.drop_intent("k")), Err(StoreError::Closed)));
}

pub(in crate::store) fn new_records_come_with_link_and_match_and_a_refused_one_leaves_the_others(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let (key, binding, outcomes) = on
        .write(|tx| {
            let (key, binding, mapping) = keys(tx)?;
            let ids = [id("a"), id("b"), id("c")];
            let emails = ["a@x.io", "a@x.io", "c@x.io"];
            let values = emails.map(|email| [text(email), Value::Null]);
            let match_texts = emails.map(|email| [Some(email.to_owned()), None]);
            let new: Vec<NewRecord<'_>> = (0..ids.len())
                .map(|at| NewRecord {
                    values: &values[at],
                    link: new_link(binding, &ids[at].0, &ids[at], mapping),
                    match_texts: &match_texts[at],
                    recheck: at == 2,
                })
                .collect();
            Ok((key, binding, tx.insert_new(&contacts(), key, &new)?))
        })
        .expect("the job goes on");
    let [Ok(first), Err(reason), Ok(third)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert!(reason.contains("contacts.email"), "{reason}");
    assert_eq!(rows_left(on, ["a", "b", "c"]), ["a", "c"]);
    let known = on.read(move |view| view.known(binding, &["a", "b", "c"]));
    assert_eq!(
        known.iter().map(|one| one.map(|known| known.link)).collect::<Vec<_>>(),
        [Some(*first), None, Some(*third)]
    );
    assert_eq!(on.read(move |view| view.matching(key, 0, "a@x.io")), [id("a")]);
    assert_eq!(on.read(move |view| view.matching(key, 0, "c@x.io")), [id("c")]);
    let hints = on.read(move |view| view.dirty_after(key, "", 9));
    assert_eq!(
        hints.iter().map(|(record, hint)| (record.0.as_str(), hint.op)).collect::<Vec<_>>(),
        [("c", DirtyOp::Recheck)]
    );
}
