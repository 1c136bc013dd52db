//! Owns: the two upstreams of the demo, as the shipped rules describe them, with their first records.
//!
//! Must not know: rules, the engine, what happens in the demo.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::sandbox::{
    Account, Auth, Batch, Concurrency, CursorEnd, Delete, Envelope, IdStyle, Idempotency, Normalise, Paging,
    ResourceConfig, Sandbox, SandboxConfig, Served, Since, SinceBy, TimeFormat, UpdatedAt, VersionAt, serve,
};

use super::super::exit::CliError;

/// What the CRM takes as a bearer token; nothing else is behind it.
pub const CRM_TOKEN: &str = "demo-token-of-the-made-up-crm";
/// What billing takes as a key.
pub const BILLING_KEY: &str = "demo-key-of-the-made-up-billing";

/// The CRM's first records, by resource.
const CRM: &str = include_str!("../../../demo/crm.json");
/// Billing's first records, by resource.
const BILLING: &str = include_str!("../../../demo/billing.json");

/// Mounts the CRM: cursor paging, versions, archived records, batches, a phone field that it formats its own way.
pub async fn crm(clock: &Arc<dyn Clock>) -> Result<Served, CliError> {
    let resource = |path: &str, prefix: &str| ResourceConfig {
        id: IdStyle::Server { prefix: prefix.to_owned() },
        version: Some(VersionAt { path: "etag".to_owned(), number: false }),
        updated_at: Some(UpdatedAt { path: "updatedAt".to_owned(), format: TimeFormat::Rfc3339Ms }),
        removed_at: Some("archived".to_owned()),
        paging: Paging::Cursor {
            param: "after".to_owned(),
            limit: "limit".to_owned(),
            next_at: "paging.next.after".to_owned(),
            end: CursorEnd::Absent,
        },
        since: Some(Since { param: "updatedAfter".to_owned(), by: SinceBy::UpdatedAt, tombstones: false }),
        delete: Delete::Archive { listed: true },
        concurrency: Concurrency { headers: true, body: true, query: None },
        idempotency: Some(Idempotency::default()),
        ..ResourceConfig::at(path)
    };
    let contacts = ResourceConfig {
        normalise: vec![("properties.phone".to_owned(), Normalise::PhoneGroups)],
        batch: Some(Batch { request_id: Some("request_id".to_owned()), ..Batch::default() }),
        ..resource("/contacts", "c")
    };
    let config = SandboxConfig {
        resources: vec![resource("/companies", "co"), contacts],
        auth: Auth::Bearer { token: CRM_TOKEN.to_owned() },
        account: Some(Account { path: "/me".to_owned(), id_at: "account.id".to_owned(), id: "crm-demo".to_owned() }),
        ..SandboxConfig::default()
    };
    mount(config, CRM, clock).await
}

/// Mounts billing: numbered pages and link headers, times in seconds, no versions, deleted means gone.
pub async fn billing(clock: &Arc<dyn Clock>) -> Result<Served, CliError> {
    let resource = |path: &str, prefix: &str| ResourceConfig {
        id: IdStyle::Server { prefix: prefix.to_owned() },
        version: None,
        updated_at: Some(UpdatedAt { path: "updated_at".to_owned(), format: TimeFormat::UnixS }),
        delete: Delete::Gone,
        concurrency: Concurrency::ignored(),
        ..ResourceConfig::at(path)
    };
    let numbered = || ("page".to_owned(), "per_page".to_owned());
    let organisations = ResourceConfig {
        envelope: Envelope::Bare,
        paging: Paging::LinkHeader { page: numbered().0, per_page: numbered().1 },
        ..resource("/organisations", "org")
    };
    let customers = ResourceConfig {
        envelope: Envelope::Key("customers".to_owned()),
        paging: Paging::Page { page: numbered().0, per_page: numbered().1 },
        unique: vec!["email".to_owned()],
        ..resource("/customers", "cus")
    };
    let config = SandboxConfig {
        resources: vec![organisations, customers],
        auth: Auth::ApiKey { header: "X-Api-Key".to_owned(), key: BILLING_KEY.to_owned() },
        account: Some(Account { path: "/account".to_owned(), id_at: "id".to_owned(), id: "billing-demo".to_owned() }),
        ..SandboxConfig::default()
    };
    mount(config, BILLING, clock).await
}

async fn mount(config: SandboxConfig, records: &str, clock: &Arc<dyn Clock>) -> Result<Served, CliError> {
    let other = |why: String| CliError::Other(format!("the demo's upstream cannot be set up: {why}"));
    let mut sandbox = Sandbox::new(config);
    let records: Map<String, Value> = serde_json::from_str(records).map_err(|error| other(error.to_string()))?;
    // They have been there for a while.
    let yesterday = clock.now() - TimeDelta::days(1);
    for (resource, bodies) in &records {
        for body in bodies.as_array().into_iter().flatten() {
            sandbox.insert(resource, body, yesterday).map_err(|refusal| other(format!("{refusal:?}")))?;
        }
    }
    let clock = Arc::clone(clock);
    serve(Arc::new(Mutex::new(sandbox)), Arc::new(move || clock.now())).await.map_err(|error| other(error.to_string()))
}
