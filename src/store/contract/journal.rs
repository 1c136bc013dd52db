//! Owns: the part of the suite about intents, conflicts, quarantine, halts, passes, history.
//!
//! Must not know: SQL, files.

use super::fixture::*;
use crate::merge::IntentState;
use crate::record::*;
use crate::store::*;

pub(super) fn intent(key: &str, binding: BindingKey, record: &str, state: IntentState) -> IntentRow {
    IntentRow {
        checks: 0,
        job: None,
        key: key.to_owned(),
        collection: "contacts".to_owned(),
        upstream: "crm".to_owned(),
        binding,
        record: id(record),
        remote_id: None,
        op: "create".to_owned(),
        state,
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

pub(in crate::store) fn one_intent_is_outstanding_per_record_and_binding(on: &Fixture) {
    let binding = on.write(|tx| Ok(keys(tx)?.1)).expect("registered");
    on.write(move |tx| tx.put_intent(&intent("k1", binding, "r1", IntentState::Prepared))).expect("put");
    is_constraint(on.write(move |tx| tx.put_intent(&intent("k2", binding, "r1", IntentState::Prepared))));
    let all = |filter: IntentFilter| on.read(move |view| view.intents(&filter));
    assert_eq!(all(IntentFilter::default()), [intent("k1", binding, "r1", IntentState::Prepared)]);
    on.write(move |tx| {
        tx.set_intent("k1", &IntentUpdate { sent_at: Some(7), ..IntentUpdate::to(IntentState::Sent) })?;
        let remote_id = Some("c1".to_owned());
        let note = Some("201".to_owned());
        tx.set_intent("k1", &IntentUpdate { remote_id, note, ..IntentUpdate::to(IntentState::Unknown) })?;
        tx.put_intent(&intent("k2", binding, "r2", IntentState::Parked))?;
        tx.put_intent(&intent("k3", binding, "r3", IntentState::Prepared))
    })
    .expect("updated");
    let unknown = IntentRow {
        state: IntentState::Unknown,
        remote_id: Some("c1".to_owned()),
        attempts: 1,
        sent_at: Some(7),
        not_before: None,
        note: Some("201".to_owned()),
        ..intent("k1", binding, "r1", IntentState::Sent)
    };
    let parked = intent("k2", binding, "r2", IntentState::Parked);
    let prepared = intent("k3", binding, "r3", IntentState::Prepared);
    assert_eq!(all(IntentFilter::default()), [unknown.clone(), parked.clone(), prepared.clone()]);
    let states = vec![IntentState::Unknown, IntentState::Parked];
    let both = IntentFilter { states, ..IntentFilter::default() };
    assert_eq!(all(IntentFilter { record: Some(id("r3")), ..IntentFilter::default() }), [prepared]);
    assert_eq!(all(both.clone()), [unknown.clone(), parked.clone()]);
    assert_eq!(all(IntentFilter { after: Some("k1".to_owned()), ..both.clone() }), [parked]);
    assert_eq!(all(IntentFilter { upstream: Some("erp".to_owned()), ..both.clone() }), []);
    assert_eq!(all(IntentFilter { limit: 1, ..both.clone() }).len(), 1);
    let job = |of: &str| all(both.clone()).into_iter().find(|row| row.key == of).and_then(|row| row.job);
    let of_job = |job: Option<&str>, sent_at| {
        let update = IntentUpdate { job: job.map(str::to_owned), sent_at, ..IntentUpdate::to(IntentState::Parked) };
        on.write(move |tx| tx.set_intent("k2", &update)).expect("updated");
    };
    of_job(Some("a"), None);
    of_job(None, None);
    assert_eq!(job("k2").as_deref(), Some("a"), "what an update leaves out stays");
    of_job(Some("b"), Some(8));
    assert_eq!(job("k2").as_deref(), Some("b"));
    of_job(None, Some(9));
    assert_eq!(job("k2"), None, "another attempt has another job");
    on.write(|tx| tx.drop_intent("k2")).expect("dropped");
    assert_eq!(all(both), [unknown]);
    let missing = on.write(|tx| tx.set_intent("k9", &IntentUpdate::to(IntentState::Sent)));
    assert!(matches!(missing, Err(StoreError::State { .. })), "{missing:?}");
}

pub(super) fn conflict(collection: &str, record: &str) -> ConflictRow {
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

pub(in crate::store) fn an_open_conflict_is_replaced_and_keeps_its_number(on: &Fixture) {
    let first = on.write(|tx| tx.put_conflict(&conflict("contacts", "r1"))).expect("opened");
    let newer = ConflictRow { candidates: "[2]".to_owned(), pass: 9, opened_at: 9, ..conflict("contacts", "r1") };
    let again = on.write(move |tx| tx.put_conflict(&newer)).expect("replaced");
    assert_eq!(first, again);
    let open = ConflictRow { id: first, candidates: "[2]".to_owned(), ..conflict("contacts", "r1") };
    assert_eq!(on.read(|view| view.conflicts(&ConflictFilter::default())), std::slice::from_ref(&open));
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

pub(in crate::store) fn conflicts_are_found_by_field_and_paged(on: &Fixture) {
    let about = |record: &str, fields: &str| ConflictRow { fields: fields.to_owned(), ..conflict("contacts", record) };
    for row in [about("r1", "phone"), about("r2", "name,phone"), about("r3", "phone_too"), about("r4", "")] {
        on.write(move |tx| tx.put_conflict(&row)).expect("opened");
    }
    let check = |filter: ConflictFilter, expected: &[&str]| {
        let rows = on.read(move |view| view.conflicts(&filter));
        assert_eq!(rows.iter().map(|row| row.record.0.as_str()).collect::<Vec<_>>(), expected);
    };
    let phone = || ConflictFilter { field: Some("phone".to_owned()), ..ConflictFilter::default() };
    check(phone(), &["r1", "r2"]);
    assert_eq!(on.read(|view| view.conflict_count(&ConflictFilter { limit: 1, ..ConflictFilter::default() })), (4, 4));
    assert_eq!(on.read(move |view| view.conflict_count(&phone())), (2, 2));
    let none = ConflictFilter { collection: Some("deals".to_owned()), ..ConflictFilter::default() };
    assert_eq!(on.read(move |view| view.conflict_count(&none)), (0, 0));
    check(ConflictFilter { limit: 1, ..phone() }, &["r1"]);
    check(ConflictFilter { after: Some(1), ..phone() }, &["r2"]);
    on.write(|tx| tx.set_resolution(3, Some("{}"))).expect("resolved");
    check(ConflictFilter { resolved_only: true, ..ConflictFilter::default() }, &["r3"]);
    check(ConflictFilter { after: Some(2), ..ConflictFilter::default() }, &["r3", "r4"]);
    check(ConflictFilter { field: Some("name,phone".to_owned()), ..ConflictFilter::default() }, &["r2"]);
}

pub(in crate::store) fn quarantine_is_replaced_filtered_and_cleared(on: &Fixture) {
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
    let there = || {
        let one = one.clone();
        on.read(move |view| view.quarantined(&one))
    };
    assert_eq!(there(), [row("r1", "worse")]);
    // For the same reason it is there since then; for another one since now.
    let again = |reason: &str, since| QuarantineRow { since, pass: 2, ..row("r1", reason) };
    let (same, another) = (again("worse", 7), again("worst", 8));
    on.write(move |tx| tx.put_quarantine(&same)).expect("put");
    assert_eq!(there(), [again("worse", 1)]);
    on.write(move |tx| tx.put_quarantine(&another)).expect("put");
    assert_eq!(there(), [again("worst", 8)]);
    let other = QuarantineRow { collection: "deals".to_owned(), subject: "a".to_owned(), ..row("", "bad") };
    on.write(move |tx| tx.put_quarantine(&other)).expect("put");
    let check = |after: (&str, &str, &str), only: Option<&str>, expected: &[&str]| {
        let after = Some((after.0.to_owned(), after.1.to_owned(), after.2.to_owned()));
        let filter = QuarantineFilter { after, collection: only.map(str::to_owned), ..QuarantineFilter::default() };
        let rows = on.read(move |view| view.quarantined(&filter));
        assert_eq!(rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), expected);
    };
    check(("contacts", "crm", "r"), None, &["r1", "remote:c1", "a"]);
    check(("contacts", "crm", "r1"), None, &["remote:c1", "a"]);
    check(("contacts", "crm", "r1"), Some("contacts"), &["remote:c1"]);
    check(("contacts", "dr", ""), None, &["a"]);
    check(("deals", "crm", "a"), None, &[]);
    on.write(|tx| tx.clear_quarantine("deals", "crm", "a")).expect("cleared");
    on.write(|tx| tx.clear_quarantine("contacts", "crm", "r1")).expect("cleared");
    assert_eq!(on.read(|view| view.quarantined(&QuarantineFilter::default())), [row("remote:c1", "bad")]);
}

pub(in crate::store) fn a_halt_for_another_plan_gets_another_number(on: &Fixture) {
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

pub(in crate::store) fn passes_are_paged_by_collection_and_outcome_and_keep_their_phases(on: &Fixture) {
    let begun = |collection: &str, outcome: &str| PassRow {
        collection: collection.to_owned(),
        outcome: outcome.to_owned(),
        counts: "{}".to_owned(),
        ..PassRow::default()
    };
    for (collection, outcome) in [("contacts", "ok"), ("deals", "ok"), ("contacts", "failed"), ("contacts", "ok")] {
        let row = begun(collection, outcome);
        on.write(move |tx| tx.begin_pass(&row)).expect("begun");
    }
    let check =
        |collection: Option<&str>, outcome: Option<&str>, before: Option<i64>, limit: usize, expected: &[i64]| {
            let (collection, outcome) = (collection.map(str::to_owned), outcome.map(str::to_owned));
            let filter = PassFilter { collection, outcome, before, limit, ..PassFilter::default() };
            let found: Vec<i64> = on.read(move |view| view.list_passes(&filter)).iter().map(|row| row.id).collect();
            assert_eq!(found, expected);
        };
    check(None, None, None, 9, &[4, 3, 2, 1]);
    check(None, None, Some(4), 2, &[3, 2]);
    check(Some("contacts"), None, Some(3), 9, &[1]);
    check(None, Some("ok"), None, 9, &[4, 2, 1]);
    check(Some("contacts"), Some("ok"), Some(4), 9, &[1]);
    check(Some("deals"), Some("failed"), None, 9, &[]);
    let undo = PassRow { trigger: PassRow::UNDO.to_owned(), ended_at: Some(99), ..begun("contacts", "ok") };
    on.write(move |tx| tx.begin_pass(&undo)).expect("begun");
    check(Some("contacts"), None, None, 9, &[5, 4, 3, 1]);
    let passes: Vec<i64> = on.read(|view| view.passes(Some("contacts"), 9)).iter().map(|row| row.id).collect();
    assert_eq!(passes, [4, 3, 1], "an undo is no pass");
    let ended = PassRow { id: 4, ended_at: Some(5), ..begun("contacts", "ok") };
    on.write(move |tx| tx.end_pass(&ended)).expect("ended");
    assert_eq!(on.read(|view| view.last_pass("contacts")).map(|row| row.id), Some(4));
    let full = |started_at: i64, outcome: &str| {
        let trigger = "full_scan".to_owned();
        let row = PassRow { trigger, started_at, ..begun("contacts", outcome) };
        on.write(move |tx| tx.begin_pass(&row)).expect("begun");
        on.read(|view| view.last_full_scan("contacts"))
    };
    assert_eq!(on.read(|view| view.last_full_scan("contacts")), Some(0), "the first pass was one");
    assert_eq!([full(7, "unavailable"), full(8, "ok"), full(9, "failed")], [Some(0), Some(8), Some(8)]);
    assert_eq!(on.read(|view| view.last_full_scan("companies")), None);
    assert_eq!(on.read(|view| view.phases(1)), None);
    on.write(|tx| tx.set_phases(1, "[]")).expect("kept");
    assert_eq!(on.read(|view| view.phases(1)), Some("[]".to_owned()));
    assert_eq!(on.read(|view| view.phases(99)), None);
    assert!(matches!(on.write(|tx| tx.set_phases(99, "[]")), Err(StoreError::State { .. })));
}

pub(in crate::store) fn passes_cursors_upstreams_and_history_read_back(on: &Fixture) {
    let pass = PassRow { collection: "contacts".to_owned(), started_at: 1, ..PassRow::default() };
    let first = pass.clone();
    let (one, two, binding) =
        on.write(move |tx| Ok((tx.begin_pass(&first)?, tx.begin_pass(&first)?, keys(tx)?.1))).expect("begun");
    let ended = PassRow { id: one, ended_at: Some(2), outcome: "ok".to_owned(), counts: "{}".to_owned(), ..pass };
    let row = ended.clone();
    on.write(move |tx| {
        tx.end_pass(&row)?;
        tx.set_cursor(binding, "a")?;
        tx.set_cursor(binding, "b")
    })
    .expect("ended");
    let passes = on.read(|view| view.passes(Some("contacts"), 9));
    let first = passes[0].clone();
    assert_eq!(on.read(move |view| view.pass(first.id)), Some(passes[0].clone()));
    assert_eq!(on.read(|view| view.pass(99)), None);
    assert_eq!((passes[0].id, &passes[1]), (two, &ended));
    assert_eq!(on.read(|view| view.passes(Some("companies"), 9)), []);
    // They run side by side: the one that began last need not be the one that ended last.
    let last = |on: &Fixture| on.read(|view| view.last_pass("contacts")).map(|pass| pass.id);
    assert_eq!(last(on), Some(two), "it runs");
    for (id, ended_at, expected) in [(two, 4, two), (one, 5, one), (one, 4, two)] {
        let row = PassRow { id, ended_at: Some(ended_at), ..ended.clone() };
        on.write(move |tx| tx.end_pass(&row)).expect("ended");
        assert_eq!(last(on), Some(expected), "{id} at {ended_at}");
    }
    assert_eq!(on.read(|view| view.last_pass("companies")), None);
    assert_eq!(on.read(move |view| view.cursor(binding)), Some("b".to_owned()));
    assert_eq!(on.read(|view| view.upstream_state("crm")), None);
    on.write(|tx| tx.set_upstream_state("crm", "{}")).expect("set");
    assert_eq!(on.read(|view| view.upstream_state("crm")), Some("{}".to_owned()));
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
    assert_eq!(of(HistoryFilter { before: Some(3), limit: 1, ..HistoryFilter::default() }), ["r1 email"]);
}

pub(in crate::store) fn a_record_is_found_by_its_own_or_any_remote_id(on: &Fixture) {
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
