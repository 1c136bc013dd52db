//! Owns: the claim that the short way of first contact says what `decide` says.
//!
//! Must not know: how either comes to it.

use proptest::prelude::*;

use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{FieldType, Normalize, Slot, Value};
use crate::rules::{Collection, Drift, Origin, Owner};

fn any_text() -> impl Strategy<Value = Slot> {
    prop_oneof![
        1 => Just(Slot::Absent),
        1 => Just(Slot::Value(Value::Null)),
        4 => prop::sample::select(vec!["", "a", " A ", "b"]).prop_map(|text| Slot::Value(Value::Text(text.to_owned()))),
    ]
}

fn any_number() -> impl Strategy<Value = Slot> {
    prop_oneof![1 => Just(Slot::Absent), 3 => (0_i64..3).prop_map(|number| Slot::Value(Value::Integer(number)))]
}

proptest! {
    #[test]
    fn the_short_way_says_what_decide_says(first in any_text(), second in any_text(), third in any_number(), required: bool) {
        let mut email = text("email");
        email.domain.normalize = vec![Normalize::Trim, Normalize::Lowercase];
        email.required = required;
        let rules = collection(vec![email, text("name"), field("age", FieldType::Integer)], &["ash", "oak"]);
        prop_assert!(is_plain(&rules, &rules.bindings[0]));
        let observation =
            Observation { slots: vec![first, second, third], version: None, updated_at: None, observed_at: at(1) };
        let spoke = |seen: Seen, blocked: bool| Spoke { link: None, seen, blocked: blocked.then(|| "later".to_owned()) };
        let facts = Facts {
            record: None,
            hub: Hub::Never,
            origins: vec![None; 3],
            spokes: vec![spoke(Seen::Record(observation.clone()), false), spoke(Seen::Same, true)],
            unreadable: Vec::new(),
            frozen: Vec::new(),
            turns: Vec::new(),
            now: at(2),
        };
        let plan = decide(&rules, &facts);
        match first_contact(&rules, &observation.slots) {
            None => prop_assert!(plan.quarantine.is_some()),
            Some(short) => {
                prop_assert_eq!(plan.local, LocalChange::Insert(short.values));
                let base = &plan.bases[0];
                prop_assert_eq!(&base.hub, &short.hub);
                prop_assert_eq!(&base.remote, &observation.slots);
            }
        }
    }
}

#[test]
fn the_short_way_is_for_bindings_that_take_every_field_from_a_side_that_nobody_overrules() {
    let rules = || collection(vec![text("f"), text("g")], &["ash"]);
    let plain = |rules: &Collection| is_plain(rules, &rules.bindings[0]);
    assert!(plain(&rules()));
    let mut pushed = rules();
    edit(&mut pushed, 0).pull = false;
    let mut part = rules();
    edit_map(&mut part, 0, 1).pull = false;
    let mut owned = rules();
    owned.fields[0].owner = Some(Owner { origin: Origin::from_name("ash"), drift: Drift::Revert });
    assert_eq!([pushed, part, owned].map(|rules| plain(&rules)), [false; 3]);
}
