//! Owns: the shipped rules are good, and say what they mean to say.
//!
//! Must not know: other snippets.

use super::check_files;
use crate::record::{Json, Slot, Value};
use crate::rules::model::{Encoding, Idempotency, OnLocalDelete, Paging, Policy, Precondition, Ruleset};
use crate::rules::render;

pub const SHIPPED: &[(&str, &str)] = &[
    ("sync-rules/billing.toml", include_str!("../../../../sync-rules/billing.toml")),
    ("sync-rules/companies.toml", include_str!("../../../../sync-rules/companies.toml")),
    ("sync-rules/contacts.toml", include_str!("../../../../sync-rules/contacts.toml")),
    ("sync-rules/crm.toml", include_str!("../../../../sync-rules/crm.toml")),
];

pub const KINTO: &[(&str, &str)] = &[
    ("kinto/companies.toml", include_str!("../../../../sync-rules/examples/kinto/companies.toml")),
    ("kinto/kinto.toml", include_str!("../../../../sync-rules/examples/kinto/kinto.toml")),
    ("kinto/people.toml", include_str!("../../../../sync-rules/examples/kinto/people.toml")),
];

/// Each a rule set of its own.
pub const ALONE: &[(&str, &str)] = &[
    ("airtable/contacts.toml", include_str!("../../../../sync-rules/examples/airtable/contacts.toml")),
    ("asana/tasks.toml", include_str!("../../../../sync-rules/examples/asana/tasks.toml")),
    ("drive/files.toml", include_str!("../../../../sync-rules/examples/drive/files.toml")),
    ("github/issues.toml", include_str!("../../../../sync-rules/examples/github/issues.toml")),
    ("graph/contacts.toml", include_str!("../../../../sync-rules/examples/graph/contacts.toml")),
    ("hubspot/contacts.toml", include_str!("../../../../sync-rules/examples/hubspot/contacts.toml")),
    ("intercom/contacts.toml", include_str!("../../../../sync-rules/examples/intercom/contacts.toml")),
    ("jira/issues.toml", include_str!("../../../../sync-rules/examples/jira/issues.toml")),
    ("linear/issues.toml", include_str!("../../../../sync-rules/examples/linear/issues.toml")),
    ("mailchimp/members.toml", include_str!("../../../../sync-rules/examples/mailchimp/members.toml")),
    ("mailchimp_lists/members.toml", include_str!("../../../../sync-rules/examples/mailchimp_lists/members.toml")),
    ("notion/tasks.toml", include_str!("../../../../sync-rules/examples/notion/tasks.toml")),
    ("odk/people.toml", include_str!("../../../../sync-rules/examples/odk/people.toml")),
    ("people/people.toml", include_str!("../../../../sync-rules/examples/people/people.toml")),
    ("pipedrive/deals.toml", include_str!("../../../../sync-rules/examples/pipedrive/deals.toml")),
    ("quickbooks/books.toml", include_str!("../../../../sync-rules/examples/quickbooks/books.toml")),
    ("salesforce/contacts.toml", include_str!("../../../../sync-rules/examples/salesforce/contacts.toml")),
    ("salesforce_bulk/accounts.toml", include_str!("../../../../sync-rules/examples/salesforce_bulk/accounts.toml")),
    ("shopify/customers.toml", include_str!("../../../../sync-rules/examples/shopify/customers.toml")),
    ("shopify_bulk/products.toml", include_str!("../../../../sync-rules/examples/shopify_bulk/products.toml")),
    ("slack/people.toml", include_str!("../../../../sync-rules/examples/slack/people.toml")),
    ("stripe/customers.toml", include_str!("../../../../sync-rules/examples/stripe/customers.toml")),
    ("twilio/queues.toml", include_str!("../../../../sync-rules/examples/twilio/queues.toml")),
    ("typesense/people.toml", include_str!("../../../../sync-rules/examples/typesense/people.toml")),
    ("xero/contacts.toml", include_str!("../../../../sync-rules/examples/xero/contacts.toml")),
    ("zendesk/tickets.toml", include_str!("../../../../sync-rules/examples/zendesk/tickets.toml")),
];

fn good(files: &[(&str, &str)]) -> Ruleset {
    let (sources, checked) = check_files(files);
    assert!(checked.diagnostics.is_empty(), "{}", render(&checked.diagnostics, &sources, false, 120));
    checked.ruleset.expect("no errors")
}

#[test]
fn the_shipped_rules_are_good() {
    let rules = good(SHIPPED);
    let order: Vec<&str> = rules.in_order().iter().map(|collection| collection.name.as_str()).collect();
    assert_eq!(order, ["companies", "contacts"]);
    let contacts = &rules.collections["contacts"];
    let names: Vec<&str> = contacts.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names[..4], ["email", "name", "phone", "company"]);
    assert_eq!(contacts.match_keys, vec![vec![0], vec![1, 2]]);
    let chain = |name: &str| contacts.fields[contacts.field(name).expect("known")].chain.clone();
    assert_eq!(chain("email"), [Policy::Latest, Policy::SourcePriority, Policy::Manual]);
    assert_eq!(chain("tags"), [Policy::Set]);
    assert_eq!(chain("street"), chain("city"));
    let [billing, crm] = contacts.bindings.as_slice() else { panic!("two bindings") };
    assert_eq!((billing.upstream.name.as_str(), crm.upstream.name.as_str()), ("billing", "crm"));
    assert_eq!(crm.upstream.base_url.as_str(), "https://crm.example.com/v1");
    assert_eq!(billing.upstream.base_url.as_str(), "https://billing.example.com/api");
    assert!(crm.mapper.probe.tombstone.is_some() && crm.mapper.probe.scope.is_some());
    let welcome = contacts.field("welcome_code").expect("known");
    assert!(crm.mapper.field(welcome).expect("mapped").create_only);
    let balance = billing.mapper.field(contacts.field("balance").expect("known")).expect("mapped");
    assert!(balance.pull && !balance.push);
    assert_eq!(billing.create.as_ref().expect("given").idempotency, Idempotency::Match(0));
    assert_eq!(billing.update.as_ref().expect("given").precondition, Precondition::Reread);
    assert!(matches!(&billing.read.as_ref().expect("given").page, Paging::Page { start: 1, .. }));
}

/// One of [`ALONE`], with its variables filled in.
fn alone(path: &str) -> Ruleset {
    let (path, text) = ALONE.iter().find(|(one, _)| *one == path).expect("known");
    good(&[(path, text)])
}

#[test]
fn the_kinto_rules_are_good() {
    let rules = good(KINTO);
    let people = &rules.collections["people"];
    let kinto = &people.bindings[0];
    assert_eq!(kinto.create.as_ref().expect("given").idempotency, Idempotency::ClientId);
    assert_eq!(kinto.batches[0].items_max, 25);
}

#[test]
fn rules_with_calls_archives_and_forms_are_good() {
    let [github, notion, stripe] = ["github/issues.toml", "notion/tasks.toml", "stripe/customers.toml"].map(alone);
    let issues = &github.collections["issues"];
    let locked = issues.field("locked").expect("known");
    let calls: Vec<(usize, &str)> =
        issues.bindings[0].transitions.iter().map(|one| (one.field, one.request.method.as_str())).collect();
    assert_eq!(calls, [(locked, "PUT"), (locked, "DELETE")]);
    let tasks = &notion.collections["tasks"];
    assert_eq!(tasks.on_local_delete, OnLocalDelete::Archive);
    assert!(tasks.bindings[0].archive.as_ref().expect("given").request.body.is_some());
    let update = stripe.collections["customers"].bindings[0].update.as_ref().expect("given");
    assert_eq!(update.request.encoding, Encoding::Form);
}

#[test]
fn each_example_of_one_file_is_good() {
    for (path, _text) in ALONE {
        alone(path);
    }
}

#[test]
fn every_shipped_file_names_its_schema() {
    for (path, text) in SHIPPED {
        assert!(text.starts_with("#:schema ../docs/rules.schema.json\n"), "{path}");
    }
    for (path, text) in KINTO.iter().chain(ALONE) {
        assert!(text.starts_with("#:schema ../../../docs/rules.schema.json\n"), "{path}");
    }
}

fn one(filter: &crate::record::Filter, input: &str) -> String {
    let input = Json::parse(input.as_bytes()).expect("json");
    let outputs = filter.run(&input, &[], 2).expect("runs");
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    outputs[0].to_string()
}

#[test]
fn a_batch_of_the_crm_carries_our_operation_id() {
    let rules = good(SHIPPED);
    let batch = rules.collections["contacts"].bindings[1].batches[0].clone();
    let item = batch.item.as_ref().expect("given");
    let create = r#"{"op":"create","id":null,"version":null,"key":"k1","body":{"properties":{"email":"a@x.io"}}}"#;
    assert_eq!(one(item, create), r#"{"properties":{"email":"a@x.io"},"request_id":"k1"}"#);
    let update = r#"{"op":"update","id":"c7","version":"5","key":"k2","body":{"properties":{"phone":"1"}}}"#;
    assert_eq!(one(item, update), r#"{"properties":{"phone":"1"},"request_id":"k2","id":"c7","etag":"5"}"#);
}

#[test]
fn a_batch_of_kinto_is_conditional_item_by_item() {
    let rules = good(KINTO);
    let batch = rules.collections["people"].bindings[0].batches[0].clone();
    let item = batch.item.as_ref().expect("given");
    let create = r#"{"op":"create","id":"u","version":null,"method":"PUT","path":"/r/u","body":{"data":{"name":"Ann"}},"key":"k"}"#;
    let expected = r#"{"method":"PUT","path":"/r/u","headers":{"If-None-Match":"*"},"body":{"data":{"name":"Ann"}}}"#;
    assert_eq!(one(item, create), expected);
    let delete = r#"{"op":"delete","id":"u","version":"12","method":"DELETE","path":"/r/u","body":null,"key":"k"}"#;
    assert_eq!(one(item, delete), r#"{"method":"DELETE","path":"/r/u","headers":{"If-Match":"\"12\""}}"#);
}

#[test]
fn the_industry_of_a_company_is_put_back_among_billing_metadata() {
    let rules = good(SHIPPED);
    let companies = &rules.collections["companies"];
    let billing = &companies.bindings[0];
    let industry = companies.field("industry").expect("known");
    let raw = r#"{"id":1,"metadata":[{"key":"size","value":"L"},{"key":"industry","value":"retail"}]}"#;
    let read = billing.mapper.read(raw.as_bytes()).expect("reads");
    assert_eq!(read.slots[industry], Slot::Value(Value::Text("retail".to_owned())));
    let none = billing.mapper.read(br#"{"id":1}"#).expect("reads");
    assert_eq!(none.slots[industry], Slot::Absent);
    let mut body = Json::parse(raw.as_bytes()).expect("json");
    assert!(billing.mapper.write(&mut body, &[(industry, Value::Text("software".to_owned()))]).is_empty());
    let expected = r#"{"id":1,"metadata":[{"key":"size","value":"L"},{"key":"industry","value":"software"}]}"#;
    assert_eq!(body, Json::parse(expected.as_bytes()).expect("json"));
}
