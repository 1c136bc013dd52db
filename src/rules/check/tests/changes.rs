//! Owns: the proof of which collections an edit of rules changes.
//!
//! Must not know: what follows from that.

use std::collections::BTreeSet;

use super::check_files;
use crate::rules::Ruleset;

/// `people` and `deals` at crm, `bills` at erp; deals refer to people.
const BEFORE: &str = r#"
[upstream.crm]
base_url = "https://crm.example.com"
[upstream.erp]
base_url = "https://erp.example.com"
[collection.people]
every = "5m"
[collection.people.fields]
name = "text"
[collection.deals.fields]
title = "text"
person = { type = "ref", to = "people" }
[collection.bills.fields]
total = "text"
[binding.people.crm]
direction = "pull"
id = ".id"
read = { request = "GET /people", records = ".people[]", page = "none", incremental = "none", deletes = { kind = "none" } }
map = { name = ".name" }
[binding.deals.crm]
direction = "pull"
id = ".id"
read = { request = "GET /deals", records = ".deals[]", page = "none", incremental = "none", deletes = { kind = "none" } }
map = { title = ".title", person = ".person" }
[binding.bills.erp]
direction = "pull"
id = ".id"
read = { request = "GET /bills", records = ".bills[]", page = "none", incremental = "none", deletes = { kind = "none" } }
map = { total = ".total" }
"#;

fn ruleset(text: &str) -> Ruleset {
    let (_, checked) = check_files(&[("rules.toml", text)]);
    checked.ruleset.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

#[test]
fn rules_change_what_they_say_something_else_of_and_what_that_is_tied_to() {
    let check = |replaced: &str, by: &str, renewed: &[&str], expected: &[&str]| {
        assert!(BEFORE.contains(replaced), "{replaced}");
        let after = ruleset(&BEFORE.replace(replaced, by));
        let renewed = renewed.iter().map(|name| (*name).to_owned()).collect();
        let both = [after.changed_since(&ruleset(BEFORE), &renewed), ruleset(BEFORE).changed_since(&after, &renewed)];
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(both, [expected.clone(), expected], "{by}");
    };
    check("5m", "5m", &[], &[]);
    check("\n[upstream.crm]", "\n# what people read\n[upstream.crm]", &[], &[]);
    check("GET /bills", "GET /invoices", &[], &["bills"]);
    check("5m", "6m", &[], &["people", "deals"]);
    check("GET /deals", "GET /opportunities", &[], &["people", "deals"]);
    check("erp.example.com", "erp2.example.com", &[], &["bills"]);
    check("crm.example.com\"", "crm.example.com\"\nconcurrency = 2", &[], &["people", "deals"]);
    check("5m", "5m", &["erp"], &["bills"]);
    let bills = BEFORE.find("[binding.bills.erp]").unwrap();
    let gone = BEFORE[..bills].replace("[collection.bills.fields]\ntotal = \"text\"\n", "");
    let gone = gone.replace("[upstream.erp]\nbase_url = \"https://erp.example.com\"\n", "");
    check(BEFORE, &gone, &[], &["bills"]);
}
