//! Owns: what is said of a pass that is over, and whether the daemon can go on after it.
//!
//! Must not know: what is done next.

use crate::reconcile::{Outcome, PassError, PassReport, pass_span};
use crate::store::StoreError;

use super::decide::Mode;
use super::outage::News;
use super::run::{Host, Told};

/// Reports a pass; true where going on makes no sense. `take_news`: what it says of outages.
pub fn account(
    (collection, result): (&str, Result<PassReport, PassError>),
    (mode, take_news): (Mode, impl FnOnce(&PassReport) -> News),
    host: &mut dyn Host,
    failed: &mut Option<PassError>,
) -> bool {
    match result {
        Ok(report) => {
            // Of a single pass the report says everything, once.
            if mode == Mode::Scheduled {
                log(&report, &take_news(&report));
            }
            host.tell(Told::Report(&report));
            false
        }
        Err(error) => {
            if mode == Mode::Scheduled {
                tracing::error!(collection, "a pass of {collection} failed: {error}");
            }
            // A one-shot run has no next tick at which the cause may be gone.
            let fatal = mode == Mode::Once || is_fatal(&error);
            if fatal {
                *failed = Some(error);
            }
            fatal
        }
    }
}

/// Whether a pass did not do what it was made for: it failed, was halted, or some upstream was not to be had.
pub fn has_failed(result: &Result<PassReport, PassError>) -> bool {
    let ended_so =
        |report: &PassReport| matches!(report.outcome, Outcome::Failed | Outcome::Halted | Outcome::Unavailable);
    result.as_ref().map_or(true, ended_so)
}

/// Whether a pass left something that waits for another record.
pub fn has_left(result: &Result<PassReport, PassError>) -> bool {
    let left = |report: &PassReport| report.parked > 0 || report.upstreams.iter().any(|one| one.deferred > 0);
    result.as_ref().is_ok_and(left)
}

/// Whether waiting for the next tick cannot help.
fn is_fatal(error: &PassError) -> bool {
    match error {
        PassError::Store(error) => match error {
            StoreError::Constraint { .. }
            | StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::Abandoned => false,
            StoreError::Locked { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Unreadable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Newer { .. }
            | StoreError::Shape { .. }
            | StoreError::Missing { .. }
            | StoreError::Replaced { .. }
            | StoreError::Closed
            | StoreError::State { .. }
            | StoreError::Sqlite { .. } => true,
        },
        PassError::UnknownCollection(_) => true,
    }
}

/// One line per pass, and one where an outage is over.
fn log(report: &PassReport, news: &News) {
    let (collection, pass, ms) = (&report.collection, report.pass, report.elapsed_ms);
    let (local, remote) = (report.local.total(), report.remote_writes());
    let _of_this_pass = pass_span(pass, collection).entered();
    let words = format!("pass {pass} of {collection}: {local} changes here, {remote} writes upstream, {ms} ms");
    let errors: Vec<String> = report
        .upstreams
        .iter()
        .filter_map(|one| one.error.as_ref().map(|error| format!("{}: {error}", one.upstream)))
        .collect();
    match report.outcome {
        Outcome::Pending if report.stale => tracing::warn!("{words}; {}", report.notes.join("; ")),
        Outcome::Ok | Outcome::Pending => tracing::info!("{words}"),
        Outcome::Conflicts => {
            tracing::info!("{words}; {} conflicts open, {} set aside", report.conflicts_open, report.quarantined);
        }
        Outcome::Unavailable => {
            let words = format!("{words}; {}; tried again within minutes", errors.join("; "));
            // An operator hears of each outage once, however many edits come meanwhile.
            if news.begins {
                tracing::warn!("{words}");
            } else {
                tracing::info!("{words}");
            }
        }
        Outcome::Halted => {
            let halt = report.halt.unwrap_or_default();
            tracing::error!(
                "{words}; halted by a guard: nothing was written; `reconciled approve {halt}` lets it through"
            );
        }
        Outcome::Failed => tracing::error!("{words}; {}", report.error.as_deref().unwrap_or("failed")),
    }
    for (upstream, passes) in &news.over {
        tracing::info!(upstream, "{upstream} is to be had again; passes that went without it: {passes}");
    }
}
