//! Owns: what each policy decides, and that all of them are what their docs claim: order-independent and idempotent.
//!
//! Must not know: spokes.

use proptest::prelude::*;

use crate::merge::policy::{Answer, Asked, Question, consult};
use crate::merge::testkit::*;
use crate::merge::*;
use crate::record::{FieldType, Value};
use crate::rules::{Collection, Origin, Policy};

const ALL: [Policy; 9] = [
    Policy::SourcePriority,
    Policy::LocalEditWins,
    Policy::Latest,
    Policy::Earliest,
    Policy::Max,
    Policy::Min,
    Policy::PreferNonEmpty,
    Policy::Set,
    Policy::Manual,
];

fn one(ty: FieldType) -> Collection {
    let mut collection = collection(vec![field("f", ty)], &[]);
    collection.priority = ["crm", "local"].map(Origin::from_name).to_vec();
    collection
}

/// Candidates as `origin value minute` (`?` for no time) → the winning value, the merge in brackets, or the reason.
fn asked(policy: Policy, ty: FieldType, hub: &str, sides: &[&str]) -> String {
    let collection = one(ty);
    let candidates: Vec<Candidate> = sides
        .iter()
        .map(|side| {
            let words: Vec<&str> = side.split_whitespace().collect();
            let source_time = words[2].parse().ok().map(at);
            Candidate { source_time, ..candidate(words[0], vec![value(&collection, 0, words[1])]) }
        })
        .collect();
    let base = [value(&collection, 0, if hub == "~" { "~" } else { hub })];
    let question = Question {
        domains: vec![&collection.fields[0].domain],
        priority: &collection.priority,
        hub: base.to_vec(),
        candidates: candidates.iter().map(|candidate| Asked { candidate, base: &base }).collect(),
    };
    match consult(policy, &question) {
        Answer::Winner(at) => candidates[at].origin.name().to_owned(),
        Answer::Merged(values) => format!("[{}]", values[0]),
        Answer::CannotDecide(reason) => reason.to_owned(),
        Answer::AskPerson => "ask".to_owned(),
    }
}

#[test]
fn each_policy_decides_its_own_case_and_no_other() {
    let text = |policy, sides: &[&str]| asked(policy, FieldType::Text, "~", sides);
    let number = |policy, sides: &[&str]| asked(policy, FieldType::Integer, "~", sides);
    assert_eq!(text(Policy::SourcePriority, &["local a 1", "crm b 1"]), "crm");
    assert_eq!(text(Policy::SourcePriority, &["erp a 1", "local b 1"]), "local");
    assert_eq!(text(Policy::SourcePriority, &["erp a 1", "ash b 1"]), "no candidate's origin is listed in `priority`");
    assert_eq!(text(Policy::LocalEditWins, &["local a 1", "crm b 1"]), "local");
    assert_eq!(text(Policy::LocalEditWins, &["erp a 1", "crm b 1"]), "no local edit");
    assert_eq!(text(Policy::Latest, &["local a 1", "crm b 2"]), "crm");
    assert_eq!(text(Policy::Earliest, &["local a 1", "crm b 2"]), "local");
    assert_eq!(text(Policy::Latest, &["local a 1", "crm b 1"]), "equal times");
    assert_eq!(text(Policy::Latest, &["local a 1", "crm b ?"]), "a source gives no time of change");
    assert_eq!(number(Policy::Max, &["local 9 1", "crm 10 1"]), "crm");
    assert_eq!(number(Policy::Min, &["local 9 1", "crm ~ 1"]), "local", "null is no value");
    assert_eq!(text(Policy::PreferNonEmpty, &["local _ 1", "crm b 1"]), "crm");
    assert_eq!(text(Policy::PreferNonEmpty, &["local a 1", "crm b 1"]), "several candidates are not empty");
    assert_eq!(text(Policy::Set, &["local a 1", "crm b 1"]), "not a set");
    assert_eq!(text(Policy::Manual, &["local a 1", "crm b 1"]), "ask");
    let set = |hub, sides: &[&str]| asked(Policy::Set, FieldType::Set, hub, sides);
    assert_eq!(set("a+b", &["crm a+c 1", "erp b+d 1"]), "[{c, d}]", "each side's additions and removals");
    assert_eq!(set("~", &["crm a 1", "erp b 1"]), "[{a, b}]", "a side without a base only adds");
}

fn any_case() -> impl Strategy<Value = (bool, Vec<(usize, usize, Option<i64>)>)> {
    let side = (0_usize..4, prop::option::of(0_i64..3)).prop_map(|(value, time)| (0, value, time));
    (any::<bool>(), prop::collection::vec(side, 2..5)).prop_map(|(sets, mut sides)| {
        sides.iter_mut().enumerate().for_each(|(origin, side)| side.0 = origin);
        (sets, sides)
    })
}

proptest! {
    /// Commutative: the order of candidates changes nothing. Idempotent: asked again with the result alone, it stands.
    #[test]
    fn policies_are_commutative_and_idempotent((sets, sides) in any_case(), turn in 0_usize..4) {
        let collection = one(if sets { FieldType::Set } else { FieldType::Integer });
        let words = if sets { ["~", "a", "a+b", "c"] } else { ["~", "1", "2", "3"] };
        let names = ["local", "crm", "erp", "ash"];
        let base = [value(&collection, 0, words[1])];
        let candidates: Vec<Candidate> = sides
            .iter()
            .map(|(origin, word, time)| Candidate {
                source_time: time.map(at),
                ..candidate(names[*origin], vec![value(&collection, 0, words[*word])])
            })
            .collect();
        let result = |policy, candidates: &[Candidate], hub: &[Value]| {
            let question = Question {
                domains: vec![&collection.fields[0].domain],
                priority: &collection.priority,
                hub: hub.to_vec(),
                candidates: candidates.iter().map(|candidate| Asked { candidate, base: &base }).collect(),
            };
            match consult(policy, &question) {
                Answer::Winner(at) => Ok(candidates[at].values.clone()),
                Answer::Merged(values) => Ok(values),
                Answer::CannotDecide(reason) => Err(reason),
                Answer::AskPerson => Err("ask"),
            }
        };
        let mut turned = candidates.clone();
        turned.rotate_left(turn % candidates.len());
        for policy in ALL {
            let decided = result(policy, &candidates, &base);
            prop_assert_eq!(&decided, &result(policy, &turned, &base), "{:?} is commutative", policy);
            if let Ok(values) = decided {
                let twice: Vec<Candidate> =
                    candidates.iter().map(|one| Candidate { values: values.clone(), ..one.clone() }).collect();
                if let Ok(again) = result(policy, &twice, &values) {
                    prop_assert_eq!(again, values, "{:?} is idempotent", policy);
                }
            }
        }
    }
}
