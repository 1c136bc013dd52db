//! Owns: the suite that every implementation of the store's contract passes.
//!
//! Must not know: SQL, files. `suite!` runs it on whatever a function makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::merge::{Evidence, LinkState};
use crate::record::{Domain, FieldType, Real, RecordId, Slot, Value};
use crate::rules::{Collection, Field, Limits, OnLocalDelete, OnRemoteDelete, Policy, Ruleset, UpdateVsDelete};
use crate::store::*;

/// A store and whatever must live as long.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    pub(super) keep: Box<dyn std::any::Any>,
}

impl Fixture {
    pub(super) fn write<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Tx) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        wait(write(&*self.store, job))
    }

    pub(super) fn read<R: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn View) -> Result<R, StoreError> + Send + 'static,
    ) -> R {
        wait(read(&*self.store, job)).expect("a read")
    }

    pub(super) fn prepare(&self, collections: Vec<Collection>) -> Result<Vec<String>, StoreError> {
        let rules = ruleset(collections);
        self.write(move |tx| tx.prepare(&rules))
    }
}

pub(super) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(super) fn ruleset(collections: Vec<Collection>) -> Ruleset {
    let collections = collections.into_iter().map(|it| (it.name.clone(), Arc::new(it))).collect();
    Ruleset { upstreams: BTreeMap::new(), collections, hash: "r".to_owned() }
}

pub(super) fn field(name: &str, ty: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        domain: Domain::of(ty),
        required: false,
        unique: false,
        chain: vec![Policy::Manual],
        owner: None,
        group: None,
    }
}

pub(super) fn unique(name: &str) -> Field {
    Field { unique: true, ..field(name, FieldType::Text) }
}

pub(super) fn collection(name: &str, fields: Vec<Field>) -> Collection {
    Collection {
        name: name.to_owned(),
        fields,
        schedule: None,
        full_scan: None,
        priority: Vec::new(),
        update_vs_delete: UpdateVsDelete::UpdateWins,
        on_remote_delete: OnRemoteDelete::Queue,
        on_local_delete: OnLocalDelete::Propagate,
        limits: Limits { delete: None, update: None, create: None },
        match_keys: vec![vec![0]],
        bindings: Vec::new(),
    }
}

pub(super) fn contacts() -> Collection {
    collection("contacts", vec![unique("email"), field("phone", FieldType::Text)])
}

pub(super) fn id(text: &str) -> RecordId {
    RecordId(text.to_owned())
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn said(values: &[Value]) -> Vec<Slot> {
    values.iter().cloned().map(Slot::Value).collect()
}

fn update(state: LinkState, mapping: MappingKey, fingerprint: u64) -> LinkUpdate<'static> {
    LinkUpdate {
        state,
        version: Some("5"),
        mapping,
        fingerprint,
        raw: b"{\"id\":\"c7\"}",
        base_hub: None,
        base_remote: Some("{}"),
        updated_at: Some(11),
        observed_at: 12,
    }
}

fn new_link<'a>(binding: BindingKey, remote_id: &'a str, record: &'a RecordId, mapping: MappingKey) -> NewLink<'a> {
    let made = Some(Made { pass: 3, source_time: None, observed_at: 12 });
    NewLink { binding, remote_id, record, state: update(LinkState::Live, mapping, u64::MAX - 1), made }
}

/// Registers `contacts` at `crm` and a mapping.
fn keys(tx: &mut dyn Tx) -> Result<(CollectionKey, BindingKey, MappingKey), StoreError> {
    let (collection, binding) = tx.register("contacts", "crm")?;
    Ok((collection, binding, tx.register_mapping("m1")?))
}

fn is_constraint(outcome: Result<impl Sized, StoreError>) -> String {
    match outcome {
        Err(StoreError::Constraint { table, .. }) => table,
        Err(other) => panic!("expected a constraint, got {other}"),
        Ok(_) => panic!("expected a constraint, got through"),
    }
}

// ---- rows ----------------------------------------------------------------------------------------------------------

pub(super) fn every_type_reads_back_as_written(on: &Fixture) {
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
            Value::Json(crate::record::Json::parse(b"{\"a\":[1.0,null]}").expect("json")),
            Value::Set(["b".to_owned(), "a".to_owned()].into()),
            Value::List(vec![crate::record::Json::Null]),
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
    assert_eq!(on.read(move |view| view.row(&it, &id("r2"))), Some(said(&vec![Value::Null; 11])));
    assert_eq!(on.read(move |view| view.row(&table, &id("r3"))), None);
}

pub(super) fn rows_are_updated_deleted_counted_and_listed_in_order(on: &Fixture) {
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
    assert_eq!(on.read(|view| view.rows_after(&contacts(), "", 9)), [id("a"), id("b")]);
    assert_eq!(on.read(|view| view.rows_after(&contacts(), "a", 1)), [id("b")]);
    assert_eq!(on.read(|view| view.row(&contacts(), &id("b"))), Some(said(&[text("b@x.io"), text("020")])));
    let lost = on.write(|tx| tx.update_row(&contacts(), &id("c"), &[(1, text("1"))]));
    assert!(matches!(lost, Err(StoreError::State { .. })), "{lost:?}");
}

pub(super) fn a_unique_field_refuses_a_second_record_and_names_itself(on: &Fixture) {
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

pub(super) fn a_failed_job_leaves_nothing(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let failed: Result<(), _> = on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
        Err(StoreError::State { what: "test".to_owned(), reason: "on purpose".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(on.read(|view| view.row_count(&contacts())), 0);
}

pub(super) fn a_refused_row_may_be_skipped_and_the_rest_kept(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[text("a@x.io"), Value::Null])?;
        assert!(tx.insert_row(&contacts(), &id("b"), &[text("a@x.io"), Value::Null]).is_err());
        tx.insert_row(&contacts(), &id("c"), &[text("c@x.io"), Value::Null])
    })
    .expect("written");
    assert_eq!(on.read(|view| view.rows_after(&contacts(), "", 9)), [id("a"), id("c")]);
}

pub(super) fn small_jobs_share_a_commit_and_fail_alone(on: &Fixture) {
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

// ---- links ---------------------------------------------------------------------------------------------------------

pub(super) fn links_are_known_by_remote_id_and_read_back_whole(on: &Fixture) {
    let (binding, mapping, link) = on
        .write(|tx| {
            let (_collection, binding, mapping) = keys(tx)?;
            Ok((binding, mapping, tx.put_link(&new_link(binding, "c7", &id("r1"), mapping))?))
        })
        .expect("linked");
    let known = Known { link, fingerprint: u64::MAX - 1, state: LinkState::Live };
    assert_eq!(on.read(move |view| view.known(binding, &["x", "c7", ""])), [None, Some(known), None]);
    let row = LinkRow {
        link,
        binding,
        remote_id: "c7".to_owned(),
        record: id("r1"),
        state: LinkState::Live,
        version: Some("5".to_owned()),
        mapping,
        fingerprint: u64::MAX - 1,
        raw: b"{\"id\":\"c7\"}".to_vec(),
        base_hub: None,
        base_remote: Some("{}".to_owned()),
        updated_at: Some(11),
        observed_at: 12,
        made: Some(Made { pass: 3, source_time: None, observed_at: 12 }),
    };
    assert_eq!(on.read(move |view| view.link(link)), Some(row.clone()));
    assert_eq!(on.read(|view| view.links_of(&id("r1"))), [row]);
    on.write(move |tx| {
        tx.set_link(link, &update(LinkState::Live, mapping, 7))?;
        tx.set_link_state(link, LinkState::Deleted)
    })
    .expect("set");
    let known = on.read(move |view| view.known(binding, &["c7"]));
    assert_eq!(known, [Some(Known { link, fingerprint: 7, state: LinkState::Deleted })]);
    on.write(move |tx| tx.drop_link(link)).expect("dropped");
    assert_eq!(on.read(move |view| view.known(binding, &["c7"])), [None]);
    assert_eq!(on.read(move |view| view.link(link)), None);
    assert!(matches!(on.write(move |tx| tx.set_link_state(link, LinkState::Live)), Err(StoreError::State { .. })));
}

pub(super) fn a_second_link_of_a_record_or_remote_id_is_refused_whole(on: &Fixture) {
    let (binding, outcomes) = on
        .write(|tx| {
            let (_collection, binding, mapping) = keys(tx)?;
            tx.put_link(&new_link(binding, "c7", &id("r1"), mapping))?;
            let same_record = tx.put_link(&new_link(binding, "c8", &id("r1"), mapping));
            let same_remote = tx.put_link(&new_link(binding, "c7", &id("r2"), mapping));
            Ok((binding, [same_record, same_remote]))
        })
        .expect("the job goes on");
    for outcome in outcomes {
        is_constraint(outcome);
    }
    assert_eq!(on.read(|view| view.links_of(&id("r2"))), []);
    assert_eq!(on.read(move |view| view.link_count(binding, LinkState::Live)), 1);
}

pub(super) fn live_links_and_links_under_other_mappings_are_paged(on: &Fixture) {
    let (binding, new) = on
        .write(|tx| {
            let (_collection, binding, old) = keys(tx)?;
            let (_same, other) = tx.register("contacts", "erp")?;
            let (older, new) = (tx.register_mapping("m0")?, tx.register_mapping("m2")?);
            for (remote_id, mapping) in [("c", old), ("a", older), ("b", new), ("d", old)] {
                tx.put_link(&new_link(binding, remote_id, &id(remote_id), mapping))?;
            }
            tx.put_link(&new_link(other, "a", &id("a"), old))?;
            let gone = tx.put_link(&new_link(binding, "0", &id("0"), old))?;
            tx.set_link_state(gone, LinkState::Detached)?;
            Ok((binding, new))
        })
        .expect("linked");
    let names = |links: Vec<(String, LinkId)>| links.into_iter().map(|(name, _link)| name).collect::<Vec<_>>();
    assert_eq!(names(on.read(move |view| view.live_links(binding, "", 9))), ["a", "b", "c", "d"]);
    assert_eq!(names(on.read(move |view| view.live_links(binding, "a", 2))), ["b", "c"]);
    let under = on.read(move |view| view.links_not_under(binding, new, 0, 2));
    assert_eq!(under.iter().map(|row| row.remote_id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    let last = under[1].link.0;
    let under = on.read(move |view| view.links_not_under(binding, new, last, 9));
    assert_eq!(under.iter().map(|row| row.remote_id.as_str()).collect::<Vec<_>>(), ["d"]);
    assert_eq!(on.read(move |view| view.link_count(binding, LinkState::Detached)), 1);
}

pub(super) fn keys_are_registered_once(on: &Fixture) {
    assert_eq!(on.read(|view| view.collection_key("contacts")), None);
    assert_eq!(on.read(|view| view.binding_key("contacts", "crm")), None);
    let (first, again, other) =
        on.write(|tx| Ok((keys(tx)?, keys(tx)?, tx.register("contacts", "erp")?))).expect("registered");
    assert_eq!(first, again);
    assert_eq!((other.0, other.1 == first.1), (first.0, false));
    assert_eq!(on.read(|view| view.collection_key("contacts")), Some(first.0));
    assert_eq!(on.read(|view| view.binding_key("contacts", "erp")), Some(other.1));
}

// ---- matches, hints, provenance ------------------------------------------------------------------------------------

pub(super) fn the_match_index_replaces_a_records_entries(on: &Fixture) {
    let (key, other) = on
        .write(|tx| {
            let (key, ..) = keys(tx)?;
            let (other, _binding) = tx.register("companies", "crm")?;
            tx.index_match(key, &id("r1"), &[Some("a@x.io".to_owned()), Some("020".to_owned())])?;
            tx.index_match(key, &id("r2"), &[Some("a@x.io".to_owned()), None])?;
            tx.index_match(other, &id("r1"), &[Some("a@x.io".to_owned())])?;
            tx.index_match(key, &id("r1"), &[Some("a@x.io".to_owned()), Some("030".to_owned())])?;
            Ok((key, other))
        })
        .expect("indexed");
    assert_eq!(on.read(move |view| view.matching(key, 0, "a@x.io")), [id("r1"), id("r2")]);
    assert!(on.read(move |view| view.matching(key, 1, "a@x.io")).is_empty());
    assert!(on.read(move |view| view.matching(key, 1, "020")).is_empty());
    assert_eq!(on.read(move |view| view.matching(key, 1, "030")), [id("r1")]);
    on.write(move |tx| tx.index_match(key, &id("r1"), &[])).expect("emptied");
    assert_eq!(on.read(move |view| view.matching(key, 0, "a@x.io")), [id("r2")]);
    assert_eq!(on.read(move |view| view.matching(other, 0, "a@x.io")), [id("r1")]);
}

pub(super) fn a_hint_is_cleared_only_if_it_is_the_one_that_was_read(on: &Fixture) {
    let key = on.write(|tx| Ok(keys(tx)?.0)).expect("registered");
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Recheck)).expect("marked");
    let first = on.read(move |view| view.dirty(key, &id("r1"))).expect("a hint");
    assert_eq!(first.op, DirtyOp::Recheck);
    assert!(first.at > 1_500_000_000_000_000, "{}", first.at);
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Update)).expect("marked");
    assert_eq!(on.read(move |view| view.dirty(key, &id("r1"))), Some(first), "an existing hint stays");
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen - 1)).expect("not cleared");
    assert!(on.read(move |view| view.dirty(key, &id("r1"))).is_some());
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen)).expect("cleared");
    assert!(on.read(move |view| view.dirty(key, &id("r1"))).is_none());
    on.write(move |tx| tx.mark_dirty(key, &id("r1"), DirtyOp::Delete)).expect("marked");
    on.write(move |tx| tx.clear_dirty(key, &id("r1"), first.seen)).expect("not cleared");
    let hints = on.read(move |view| view.dirty_after(key, "", 9));
    assert_eq!(
        hints.iter().map(|(record, hint)| (record.0.as_str(), hint.op)).collect::<Vec<_>>(),
        [("r1", DirtyOp::Delete)]
    );
    assert!(hints[0].1.seen > first.seen);
    assert!(on.read(move |view| view.dirty_after(key, "r1", 9)).is_empty());
}

pub(super) fn the_engines_own_writes_leave_no_hint(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let key = on
        .write(|tx| {
            tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
            tx.insert_row(&contacts(), &id("b"), &[Value::Null, Value::Null])?;
            tx.update_row(&contacts(), &id("a"), &[(1, text("1"))])?;
            tx.delete_row(&contacts(), &id("b"))?;
            Ok(tx.register("contacts", "crm")?.0)
        })
        .expect("written");
    assert!(on.read(move |view| view.dirty_after(key, "", 9)).is_empty());
}

pub(super) fn provenance_is_kept_per_field(on: &Fixture) {
    let origin = |field: &str, origin: &str| OriginRow {
        field: field.to_owned(),
        origin: origin.to_owned(),
        source_time: None,
        observed_at: 4,
        pass: 1,
        rule: "latest".to_owned(),
    };
    let (default, phone, newer) = (origin("", "crm"), origin("phone", "local"), origin("phone", "crm"));
    let (first, second) = (vec![default.clone(), phone], vec![newer.clone()]);
    let key = on
        .write(move |tx| {
            let (key, ..) = keys(tx)?;
            tx.set_origins(key, &id("r1"), &first)?;
            tx.set_origins(key, &id("r1"), &second)?;
            Ok(key)
        })
        .expect("set");
    assert_eq!(on.read(move |view| view.origins(key, &id("r1"))), [default, newer]);
}

// ---- staging -------------------------------------------------------------------------------------------------------

fn staged(binding: BindingKey, collection: CollectionKey, remote_id: &str) -> Staged {
    Staged {
        binding,
        remote_id: remote_id.to_owned(),
        collection,
        record: None,
        kind: StagedKind::Record,
        fingerprint: 9,
        raw: b"{}".to_vec(),
        version: None,
        observed_at: 5,
        parked: None,
    }
}

pub(super) fn observations_are_staged_matched_parked_and_unstaged(on: &Fixture) {
    let (key, binding) = on
        .write(|tx| {
            let (key, binding, _mapping) = keys(tx)?;
            for remote_id in ["c2", "c1", "c3"] {
                tx.stage(&staged(binding, key, remote_id))?;
            }
            let gone = StagedKind::Gone(Evidence::AbsenceConfirmed);
            tx.stage(&Staged { kind: gone, version: Some("2".to_owned()), ..staged(binding, key, "c3") })?;
            tx.stage_matched(binding, "c3", &id("r3"))?;
            tx.stage_parked(binding, "c1", Some("parent unknown"))?;
            Ok((key, binding))
        })
        .expect("staged");
    let unmatched = on.read(move |view| view.staged_unmatched(binding, "", 9));
    let parked = Staged { parked: Some("parent unknown".to_owned()), ..staged(binding, key, "c1") };
    assert_eq!(unmatched, [parked, staged(binding, key, "c2")]);
    assert_eq!(on.read(move |view| view.staged_unmatched(binding, "c1", 9)).len(), 1);
    let expected = Staged {
        kind: StagedKind::Gone(Evidence::AbsenceConfirmed),
        version: Some("2".to_owned()),
        record: Some(id("r3")),
        ..staged(binding, key, "c3")
    };
    assert_eq!(on.read(move |view| view.staged_of(key, &id("r3"))), [expected]);
    assert_eq!(on.read(move |view| view.staged_count(binding)), 3);
    let old = on.read(move |view| view.staged_before(binding, i64::MAX, "", 9));
    assert_eq!((old.len(), old.iter().all(|staged| staged.raw.is_empty())), (3, true));
    assert_eq!(on.read(move |view| view.staged_before(binding, old[0].observed_at, "", 9)).len(), 0);
    on.write(move |tx| {
        tx.unstage(binding, "c3")?;
        tx.stage_parked(binding, "c1", None)
    })
    .expect("unstaged");
    assert_eq!(on.read(move |view| view.staged_count(binding)), 2);
    assert_eq!(on.read(move |view| view.staged_unmatched(binding, "", 1))[0].parked, None);
    let unknown = on.write(move |tx| tx.stage_matched(binding, "c9", &id("r")));
    assert!(matches!(unknown, Err(StoreError::State { .. })), "{unknown:?}");
}

pub(super) fn candidates_are_distinct_ordered_and_paged(on: &Fixture) {
    let key = on
        .write(|tx| {
            let (key, binding, _mapping) = keys(tx)?;
            let (other, other_binding) = tx.register("companies", "crm")?;
            tx.mark_dirty(key, &id("r5"), DirtyOp::Recheck)?;
            tx.mark_dirty(key, &id("r1"), DirtyOp::Recheck)?;
            tx.mark_dirty(other, &id("x1"), DirtyOp::Recheck)?;
            tx.stage(&Staged { record: Some(id("r2")), ..staged(binding, key, "c2") })?;
            tx.stage(&Staged { record: Some(id("r1")), ..staged(binding, key, "c1") })?;
            tx.stage(&staged(binding, key, "c9"))?;
            tx.stage(&Staged { record: Some(id("x2")), ..staged(other_binding, other, "c2") })?;
            let conflict = tx.put_conflict(&conflict("contacts", "r3"))?;
            tx.set_resolution(conflict, Some("{}"))?;
            tx.put_conflict(&conflict_without_answer())?;
            tx.put_intent(&intent("k1", binding, "r4", "unknown"))?;
            tx.put_intent(&intent("k2", binding, "r0", "settled"))?;
            Ok(key)
        })
        .expect("written");
    let all = on.read(move |view| view.candidates(key, "", 99));
    assert_eq!(all, ["r1", "r2", "r3", "r4", "r5"].map(id));
    assert_eq!(on.read(move |view| view.candidates(key, "r2", 2)), ["r3", "r4"].map(id));
}

// ---- intents, conflicts, quarantine, halts, passes, history --------------------------------------------------------

fn intent(key: &str, binding: BindingKey, record: &str, state: &str) -> IntentRow {
    IntentRow {
        key: key.to_owned(),
        collection: "contacts".to_owned(),
        upstream: "crm".to_owned(),
        binding,
        record: id(record),
        remote_id: None,
        op: "create".to_owned(),
        state: state.to_owned(),
        payload_hash: "h".to_owned(),
        values: "{}".to_owned(),
        expected_version: Some("5".to_owned()),
        attempts: 0,
        not_before: Some(99),
        pass: 1,
        created_at: 2,
        sent_at: None,
        note: None,
    }
}

pub(super) fn one_intent_is_outstanding_per_record_and_binding(on: &Fixture) {
    let binding = on.write(|tx| Ok(keys(tx)?.1)).expect("registered");
    on.write(move |tx| tx.put_intent(&intent("k1", binding, "r1", "prepared"))).expect("put");
    is_constraint(on.write(move |tx| tx.put_intent(&intent("k2", binding, "r1", "prepared"))));
    let all = |filter: IntentFilter| on.read(move |view| view.intents(&filter));
    assert_eq!(all(IntentFilter::default()), [intent("k1", binding, "r1", "prepared")]);
    on.write(move |tx| {
        tx.set_intent("k1", &IntentUpdate { state: "sent", sent_at: Some(7), ..IntentUpdate::default() })?;
        let remote_id = Some("c1".to_owned());
        let note = Some("201".to_owned());
        tx.set_intent("k1", &IntentUpdate { state: "settled", remote_id, note, ..IntentUpdate::default() })?;
        tx.put_intent(&intent("k2", binding, "r1", "parked"))
    })
    .expect("settled");
    let settled = IntentRow {
        state: "settled".to_owned(),
        remote_id: Some("c1".to_owned()),
        attempts: 1,
        sent_at: Some(7),
        not_before: None,
        note: Some("201".to_owned()),
        ..intent("k1", binding, "r1", "settled")
    };
    let parked = intent("k2", binding, "r1", "parked");
    assert_eq!(all(IntentFilter::default()), [parked.clone()]);
    let both = IntentFilter { states: vec!["settled", "parked"], record: Some(id("r1")), ..IntentFilter::default() };
    assert_eq!(all(both.clone()), [settled, parked.clone()]);
    assert_eq!(all(IntentFilter { after: Some("k1".to_owned()), ..both.clone() }), [parked]);
    assert_eq!(all(IntentFilter { upstream: Some("erp".to_owned()), ..both.clone() }), []);
    assert_eq!(all(IntentFilter { limit: 1, ..both }).len(), 1);
    on.write(|tx| tx.drop_intent("k2")).expect("dropped");
    assert_eq!(all(IntentFilter::default()), []);
    let unknown = on.write(|tx| tx.set_intent("k9", &IntentUpdate { state: "sent", ..IntentUpdate::default() }));
    assert!(matches!(unknown, Err(StoreError::State { .. })), "{unknown:?}");
}

fn conflict(collection: &str, record: &str) -> ConflictRow {
    ConflictRow {
        id: 0,
        collection: collection.to_owned(),
        record: id(record),
        fields: "phone".to_owned(),
        kind: "edit".to_owned(),
        base: None,
        candidates: "[1]".to_owned(),
        resolution: None,
        pass: 1,
        opened_at: 2,
        closed: None,
    }
}

fn conflict_without_answer() -> ConflictRow {
    conflict("contacts", "r9")
}

pub(super) fn an_open_conflict_is_replaced_and_keeps_its_number(on: &Fixture) {
    let first = on.write(|tx| tx.put_conflict(&conflict("contacts", "r1"))).expect("opened");
    let newer = ConflictRow { candidates: "[2]".to_owned(), pass: 9, opened_at: 9, ..conflict("contacts", "r1") };
    let again = on.write(move |tx| tx.put_conflict(&newer)).expect("replaced");
    assert_eq!(first, again);
    let open = ConflictRow { id: first, candidates: "[2]".to_owned(), ..conflict("contacts", "r1") };
    assert_eq!(on.read(|view| view.conflicts(&ConflictFilter::default())), [open.clone()]);
    on.write(move |tx| tx.close_conflict(first, "agreed", 5)).expect("closed");
    assert_eq!(on.read(|view| view.conflicts(&ConflictFilter::default())), []);
    let all = ConflictFilter { closed_too: true, record: Some(id("r1")), ..ConflictFilter::default() };
    let closed = ConflictRow { closed: Some((5, "agreed".to_owned())), ..open };
    assert_eq!(on.read(move |view| view.conflicts(&all)), [closed]);
    let third = on.write(|tx| tx.put_conflict(&conflict("contacts", "r1"))).expect("opened again");
    assert_ne!(first, third);
    let late = on.write(move |tx| tx.set_resolution(first, Some("{}")));
    assert!(matches!(late, Err(StoreError::State { .. })), "{late:?}");
}

pub(super) fn quarantine_is_replaced_filtered_and_cleared(on: &Fixture) {
    let row = |subject: &str, reason: &str| QuarantineRow {
        collection: "contacts".to_owned(),
        upstream: "crm".to_owned(),
        subject: subject.to_owned(),
        stage: "pull".to_owned(),
        reason: reason.to_owned(),
        inputs: "h".to_owned(),
        since: 1,
        pass: 1,
    };
    let rows = [row("r1", "bad"), row("remote:c1", "bad"), row("r1", "worse")];
    on.write(move |tx| rows.iter().try_for_each(|row| tx.put_quarantine(row))).expect("put");
    let one = QuarantineFilter { subject: Some("r1".to_owned()), ..QuarantineFilter::default() };
    assert_eq!(on.read(move |view| view.quarantined(&one)), [row("r1", "worse")]);
    on.write(|tx| tx.clear_quarantine("contacts", "crm", "r1")).expect("cleared");
    assert_eq!(on.read(|view| view.quarantined(&QuarantineFilter::default())), [row("remote:c1", "bad")]);
}

pub(super) fn a_halt_for_another_plan_gets_another_number(on: &Fixture) {
    let halt = |fingerprint: &str| HaltRow {
        id: 0,
        collection: "contacts".to_owned(),
        pass: 1,
        fingerprint: fingerprint.to_owned(),
        halts: "[]".to_owned(),
        created_at: 1,
        approved_at: None,
        closed_at: None,
    };
    let (one, same, other) = (halt("p1"), halt("p1"), halt("p2"));
    let (first, again, second) =
        on.write(move |tx| Ok((tx.put_halt(&one)?, tx.put_halt(&same)?, tx.put_halt(&other)?))).expect("halted");
    assert_eq!(first, again);
    assert_ne!(first, second);
    assert!(matches!(on.write(move |tx| tx.set_halt(first, Some(3), None)), Err(StoreError::State { .. })));
    on.write(move |tx| tx.set_halt(second, Some(3), None)).expect("approved");
    let approved = HaltRow { id: second, approved_at: Some(3), ..halt("p2") };
    assert_eq!(on.read(|view| view.halts(Some("contacts"), true)), [approved]);
    on.write(move |tx| tx.set_halt(second, None, Some(4))).expect("closed");
    assert_eq!(on.read(|view| view.halts(None, true)), []);
    assert_eq!(on.read(|view| view.halts(None, false))[0].approved_at, Some(3));
}

pub(super) fn passes_cursors_upstreams_and_history_read_back(on: &Fixture) {
    let pass = PassRow { collection: "contacts".to_owned(), started_at: 1, ..PassRow::default() };
    let first = pass.clone();
    let (one, two, binding) =
        on.write(move |tx| Ok((tx.begin_pass(&first)?, tx.begin_pass(&first)?, keys(tx)?.1))).expect("begun");
    let ended = PassRow { id: one, ended_at: Some(2), outcome: "ok".to_owned(), counts: "{}".to_owned(), ..pass };
    let row = ended.clone();
    on.write(move |tx| {
        tx.end_pass(&row)?;
        tx.set_cursor(binding, "a")?;
        tx.set_cursor(binding, "b")?;
        tx.set_upstream_state("crm", "s")
    })
    .expect("ended");
    let passes = on.read(|view| view.passes(Some("contacts"), 9));
    assert_eq!((passes[0].id, &passes[1]), (two, &ended));
    assert_eq!(on.read(|view| view.passes(Some("companies"), 9)), []);
    assert_eq!(on.read(move |view| view.cursor(binding)), Some("b".to_owned()));
    assert_eq!(on.read(|view| view.upstream_state("crm")), Some("s".to_owned()));
    assert_eq!(on.read(|view| view.upstream_state("erp")), None);
    let line = |record: &str, field: &str| HistoryRow {
        id: 0,
        pass: 1,
        at: 3,
        collection: "contacts".to_owned(),
        record: id(record),
        field: field.to_owned(),
        kind: "local".to_owned(),
        origin: "crm".to_owned(),
        target: None,
        rule: "latest".to_owned(),
        before: None,
        after: Some("1".to_owned()),
        detail: None,
    };
    let lines = [line("r1", "phone"), line("r1", "email"), line("r2", "phone")];
    on.write(move |tx| lines.iter().try_for_each(|line| tx.add_history(line))).expect("added");
    let of = |filter: HistoryFilter| {
        let rows = on.read(move |view| view.history(&filter));
        rows.into_iter().map(|row| format!("{} {}", row.record, row.field)).collect::<Vec<_>>()
    };
    assert_eq!(of(HistoryFilter::default()), ["r2 phone", "r1 email", "r1 phone"]);
    let one = HistoryFilter { record: Some(id("r1")), field: Some("phone".to_owned()), ..HistoryFilter::default() };
    assert_eq!(of(one), ["r1 phone"]);
    assert_eq!(of(HistoryFilter { pass: Some(2), ..HistoryFilter::default() }), Vec::<String>::new());
    assert_eq!(of(HistoryFilter { limit: 1, ..HistoryFilter::default() }), ["r2 phone"]);
}

pub(super) fn a_record_is_found_by_its_own_or_any_remote_id(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    on.write(|tx| {
        let (_collection, binding, mapping) = keys(tx)?;
        tx.insert_row(&contacts(), &id("r1"), &[Value::Null, Value::Null])?;
        tx.insert_row(&contacts(), &id("r2"), &[Value::Null, Value::Null])?;
        tx.put_link(&new_link(binding, "c7", &id("r1"), mapping))?;
        tx.put_link(&new_link(binding, "r2", &id("gone"), mapping))
    })
    .expect("written");
    let found = |text: &'static str| on.read(move |view| view.find_record(text));
    assert_eq!(found("r1"), [("contacts".to_owned(), id("r1"))]);
    assert_eq!(found("c7"), [("contacts".to_owned(), id("r1"))]);
    assert_eq!(found("r2"), [("contacts".to_owned(), id("gone")), ("contacts".to_owned(), id("r2"))]);
    assert_eq!(found("gone"), [("contacts".to_owned(), id("gone"))]);
    assert_eq!(found("nobody"), []);
}

pub(super) fn a_panic_in_a_job_closes_the_store(on: &Fixture) {
    on.prepare(vec![contacts()]).expect("prepared");
    let panicked: Result<(), _> = on.write(|tx| {
        tx.insert_row(&contacts(), &id("a"), &[Value::Null, Value::Null])?;
        panic!("on purpose: this line belongs to a test")
    });
    assert!(matches!(panicked, Err(StoreError::Closed)), "{panicked:?}");
    assert!(matches!(wait(read(&*on.store, |view| view.row_count(&contacts()))), Err(StoreError::Closed)));
    assert!(matches!(on.write(|tx| tx.drop_intent("k")), Err(StoreError::Closed)));
}

macro_rules! suite {
    ($make:expr; $($claim:ident)*) => {
        $(#[test] fn $claim() { crate::store::contract::$claim(&$make()); })*
    };
    ($make:expr) => {
        crate::store::contract::suite! { $make;
            every_type_reads_back_as_written
            rows_are_updated_deleted_counted_and_listed_in_order
            a_unique_field_refuses_a_second_record_and_names_itself
            a_failed_job_leaves_nothing
            a_refused_row_may_be_skipped_and_the_rest_kept
            small_jobs_share_a_commit_and_fail_alone
            links_are_known_by_remote_id_and_read_back_whole
            a_second_link_of_a_record_or_remote_id_is_refused_whole
            live_links_and_links_under_other_mappings_are_paged
            keys_are_registered_once
            the_match_index_replaces_a_records_entries
            a_hint_is_cleared_only_if_it_is_the_one_that_was_read
            the_engines_own_writes_leave_no_hint
            provenance_is_kept_per_field
            observations_are_staged_matched_parked_and_unstaged
            candidates_are_distinct_ordered_and_paged
            one_intent_is_outstanding_per_record_and_binding
            an_open_conflict_is_replaced_and_keeps_its_number
            quarantine_is_replaced_filtered_and_cleared
            a_halt_for_another_plan_gets_another_number
            passes_cursors_upstreams_and_history_read_back
            a_record_is_found_by_its_own_or_any_remote_id
            a_panic_in_a_job_closes_the_store
        }
    };
}
pub(super) use suite;
