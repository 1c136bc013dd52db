//! Owns: the answer to a scrape of metrics: what was counted, and how things stand in the store at that moment.
//!
//! Must not know: how the counters come about.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::daemon::{Place, Standing};
use crate::ops::{InboxStatus, USAGE_DAYS, inbox_status, upstreams, usage};
use crate::reconcile::{breaker_is_open, reauth_required};
use crate::store::{ConflictFilter, IntentFilter, Micros, PassRow, QuarantineFilter, StoreError, View, read};

use super::control::refuse;
use super::exposition::Exposition;
use super::families::{self as f, Family};
use super::site::Site;
use super::watched::{write_health, write_usage};
use super::wires::{wires, write_wires};

/// Beyond this, waiting things are not counted.
const COUNT_MAX: usize = 1_000;
/// Passes that are looked at for the last one that succeeded.
const PASSES_MAX: usize = 200;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// How one collection stands.
#[derive(Debug, Default)]
struct Stand {
    records: u64,
    conflicts: u64,
    quarantined: usize,
    parked: usize,
    writes: usize,
    halts: usize,
    last_success: Option<Micros>,
}

/// Metrics for Prometheus.
pub async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let standing = site.front.desk.standing();
    let counts = Arc::clone(&site.counts);
    let (places, rules, now) = (standing.collections.clone(), Arc::clone(&standing.rules), site.front.clock.now());
    let clients = Arc::clone(&standing.clients);
    let found = read(site.store.as_ref(), move |view| {
        let mut stands = Vec::new();
        for place in &places {
            let Some(collection) = rules.collections.get(&place.collection) else { continue };
            let records = counts.of(view, collection)?.records;
            stands.push((place.collection.clone(), Stand { records, ..stand(view, &place.collection)? }));
        }
        let names = rules.upstreams.keys();
        let breakers = names.map(|name| Ok((name.clone(), breaker_is_open(view, name)?)));
        let breakers = breakers.collect::<Result<Vec<_>, StoreError>>()?;
        let signed_in = rules.upstreams.iter().filter(|(_, upstream)| upstream.auth.has_tokens());
        let reauth = signed_in.map(|(name, _)| Ok((name.clone(), reauth_required(view, name)?.is_some())));
        let flags = (breakers, reauth.collect::<Result<Vec<_>, StoreError>>()?);
        let health = upstreams(view, &rules, now)?;
        let wires = wires(view, &rules, &clients)?;
        let hooks = inbox_status(view)?;
        Ok((stands, flags, wires, usage(view, &rules, None, USAGE_DAYS, now)?, (health, hooks)))
    })
    .await;
    let (stands, (breakers, reauth), wires, usage, (health, hooks)) = match found {
        Ok(found) => found,
        Err(error) => return refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    };
    let mut text = Exposition::default();
    text.family(&f::BUILD_INFO).put(&[env!("CARGO_PKG_VERSION")], 1);
    text.family(&f::START_TIME).put(&[], standing.started_at.timestamp());
    site.tally.expect(&standing.rules);
    site.tally.write(&mut text);
    write_stands(&stands, &mut text);
    write_places(&standing, &mut text);
    write_hooks(&site.front.arrivals.told(&standing.rules), &hooks, &mut text);
    write_flags(&f::BREAKER_OPEN, &breakers, &mut text);
    write_flags(&f::REAUTH_REQUIRED, &reauth, &mut text);
    write_wires(&wires, &mut text);
    write_usage(&usage, &mut text);
    write_health(&health, &mut text);
    ([(header::CONTENT_TYPE, Exposition::MEDIA_TYPE)], text.into_text()).into_response()
}

fn write_flags(family: &'static Family, flags: &[(String, bool)], text: &mut Exposition) {
    let mut samples = text.family(family);
    for (upstream, flag) in flags {
        samples.put(&[upstream], u8::from(*flag));
    }
}

fn write_hooks(arrivals: &[(String, &'static str, u64)], inbox: &InboxStatus, text: &mut Exposition) {
    let mut samples = text.family(&f::WEBHOOKS);
    for (upstream, called, count) in arrivals {
        samples.put(&[upstream, called], count);
    }
    text.family(&f::WEBHOOKS_WAITING).put(&[], inbox.waiting);
    text.family(&f::WEBHOOKS_DEAD).put(&[], inbox.dead);
}

fn stand(view: &dyn View, name: &str) -> Result<Stand, StoreError> {
    let collection = Some(name.to_owned());
    let conflicts = ConflictFilter { collection: collection.clone(), ..ConflictFilter::default() };
    let intents = IntentFilter { collection: collection.clone(), limit: COUNT_MAX, ..IntentFilter::default() };
    let aside = QuarantineFilter { collection, limit: COUNT_MAX, ..QuarantineFilter::default() };
    let aside = view.quarantined(&aside)?;
    let parked = aside.iter().filter(|row| row.is_waiting()).count();
    Ok(Stand {
        records: 0,
        conflicts: view.conflict_count(&conflicts)?.0,
        quarantined: aside.len() - parked,
        parked,
        writes: view.intents(&intents)?.len(),
        halts: view.halts(Some(name), true)?.len(),
        last_success: last_success(&view.passes(Some(name), PASSES_MAX)?),
    })
}

/// When the last pass ended that did all it could.
fn last_success(passes: &[PassRow]) -> Option<Micros> {
    let is_good = |pass: &&PassRow| matches!(pass.outcome.as_str(), "ok" | "conflicts" | "pending");
    passes.iter().filter(is_good).filter_map(|pass| pass.ended_at).max()
}

fn write_stands(stands: &[(String, Stand)], text: &mut Exposition) {
    let mut gauge = |family: &'static Family, value: &dyn Fn(&Stand) -> Option<i64>| {
        let mut samples = text.family(family);
        for (collection, stand) in stands {
            if let Some(value) = value(stand) {
                samples.put(&[collection], value);
            }
        }
    };
    let number = |count: usize| i64::try_from(count).ok();
    gauge(&f::RECORDS, &|stand| i64::try_from(stand.records).ok());
    gauge(&f::CONFLICTS_OPEN, &|stand| i64::try_from(stand.conflicts).ok());
    gauge(&f::QUARANTINED, &|stand| number(stand.quarantined));
    gauge(&f::PARKED, &|stand| number(stand.parked));
    gauge(&f::WRITES_WAITING, &|stand| number(stand.writes));
    gauge(&f::HALTS_OPEN, &|stand| number(stand.halts));
    gauge(&f::LAST_SUCCESS, &|stand| stand.last_success.map(|at| at / MICROS_PER_SECOND));
}

fn write_places(standing: &Standing, text: &mut Exposition) {
    let mut gauge = |family: &'static Family, value: &dyn Fn(&Place) -> bool| {
        let mut samples = text.family(family);
        for place in &standing.collections {
            samples.put(&[&place.collection], u8::from(value(place)));
        }
    };
    gauge(&f::PAUSED, &|place| place.paused);
    gauge(&f::PASS_RUNNING, &|place| place.running);
    text.family(&f::RULES_REFUSED).put(&[], u8::from(standing.rules_refused.is_some()));
}
