//! Owns: what holds for any text given as rules, and for any description that rules are proposed by, as assertions for `fuzz/` and tests.
//!
//! Must not know: the language.

use std::collections::BTreeMap;

use super::{Context, ProposeError, Sample, Severity, Source, Wanted, check, from_openapi, render};

/// Files are separated by this line.
const NEXT_FILE: &str = "\n#--- next file\n";

/// The variables of the shipped rules.
pub fn vars() -> BTreeMap<String, String> {
    [
        ("airtable_url", "https://api.airtable.com/v0/app1"),
        ("asana_project", "1200000000000001"),
        ("asana_url", "https://app.asana.com/api/1.0"),
        ("billing_url", "https://billing.example.com/api/"),
        ("crm_url", "https://crm.example.com/v1"),
        ("drive_url", "https://www.googleapis.com/drive/v3"),
        ("github_repository", "them/widgets"),
        ("github_url", "https://api.github.com"),
        ("graph_url", "https://graph.microsoft.com/v1.0"),
        ("hubspot_url", "https://api.hubapi.com"),
        ("intercom_url", "https://api.intercom.io"),
        ("jira_url", "https://example.atlassian.net"),
        ("jira_user", "sync@example.com"),
        ("kinto_url", "http://127.0.0.1:8888/v1"),
        ("linear_url", "https://api.linear.app"),
        ("mailchimp_url", "https://us19.api.mailchimp.com/3.0/lists/a1b2c3"),
        ("notion_database", "tasks"),
        ("notion_url", "https://api.notion.com/v1"),
        ("odk_url", "https://central.example.com/v1/projects/16/datasets/people"),
        ("odk_user", "sync@example.com"),
        ("people_url", "https://people.googleapis.com/v1"),
        ("pipedrive_url", "https://example.pipedrive.com/api/v2"),
        ("quickbooks_url", "https://quickbooks.api.intuit.com/v3/company/4620816365000000"),
        ("salesforce_url", "https://example.my.salesforce.com"),
        ("shopify_url", "https://example.myshopify.com/admin/api/2025-07"),
        ("slack_url", "https://slack.com/api"),
        ("stripe_url", "https://api.stripe.com/v1"),
        ("twilio_account", "AC0000000000000000000000000000000f"),
        ("twilio_url", "https://api.twilio.com"),
        ("typesense_url", "https://search.example.com"),
        ("xero_tenant", "70784a63-d24b-46a9-a4db-0e70a274b056"),
        ("xero_url", "https://api.xero.com/api.xro/2.0"),
        ("zendesk_url", "https://example.zendesk.com"),
        ("zendesk_user", "sync@example.com"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// There is a rule set iff there is no error; every diagnostic points into its file; the same text gives the same answer.
pub fn check_rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = |(at, text): (usize, &str)| Source { path: format!("{at}.toml"), text: text.to_owned(), defect: None };
    let sources: Vec<Source> = text.split(NEXT_FILE).enumerate().map(source).collect();
    let vars = vars();
    let find_secret = |name: &str| if name.starts_with("un") { Err("nowhere".to_owned()) } else { Ok(()) };
    let context = Context { vars: &vars, find_secret: &find_secret };
    let first = check(&sources, &context);
    let errors = first.diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    assert_eq!(first.ruleset.is_some(), errors == 0, "{:#?}", first.diagnostics);
    for diagnostic in &first.diagnostics {
        let source = sources.iter().find(|source| source.path == diagnostic.path);
        let inside = source.and_then(|source| source.text.get(diagnostic.span.clone()));
        assert!(inside.is_some(), "outside its file: {diagnostic:#?}");
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1, "{diagnostic:#?}");
        assert!(!diagnostic.message.is_empty(), "{diagnostic:#?}");
        for also in &diagnostic.also {
            let source = sources.iter().find(|source| source.path == also.path);
            assert!(source.and_then(|source| source.text.get(also.span.clone())).is_some(), "{diagnostic:#?}");
        }
        if let Some(second) = &diagnostic.second {
            let source = sources.iter().find(|source| source.path == second.path);
            assert!(source.and_then(|source| source.text.get(second.span.clone())).is_some(), "{diagnostic:#?}");
        }
    }
    let drawn = render(&first.diagnostics, &sources, false, 100);
    assert_eq!(drawn.is_empty(), first.diagnostics.is_empty());
    let again = check(&sources, &context);
    assert_eq!(first.diagnostics, again.diagnostics);
    assert_eq!(first.ruleset.map(|rules| rules.hash), again.ruleset.map(|rules| rules.hash));
}

/// What is proposed by any description passes the check, and is the same each time. An error has words, and a place inside the text.
pub fn check_openapi(data: &[u8]) {
    let wanted = Wanted { collection: "contacts", upstream: "crm", ..Wanted::default() };
    let sample = Sample { name: "api.yaml", bytes: data };
    let propose = || from_openapi(&wanted, &sample);
    let words = |result: Result<String, ProposeError>| result.map_err(|error| error.to_string());
    let first = propose();
    if let Err(ProposeError::NoYaml { line, column, .. }) = &first {
        let lines = data.split(|byte| *byte == b'\n').count();
        assert!((1..=lines + 1).contains(line) && *column >= 1, "outside the text: {line}:{column}");
    }
    let first = words(first);
    assert_eq!(first, words(propose()));
    let Ok(text) = first else { return };
    let source = Source { path: "proposed.toml".to_owned(), text, defect: None };
    let vars = BTreeMap::new();
    let checked = check(&[source], &Context { vars: &vars, find_secret: &|_| Ok(()) });
    let errors: Vec<_> = checked.diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
