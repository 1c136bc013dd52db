//! Owns: what is looked at of each upstream: whether somebody is there, its certificate, its clock, what it says to our
//! credentials.
//!
//! Must not know: how HTTP is spoken.

use chrono::{DateTime, TimeDelta, Utc};

use super::super::beside::{Beside, reason};
use super::super::exit::CliError;
use super::super::out::Out;
use super::super::workspace::Workspace;
use super::finding::Finding;
use crate::rules::{Ruleset, TlsFiles, Upstream};
use crate::upstream::{Failure, HttpTransport, Reached, TransportError, check_url, offset, our_certificate_until};

/// Signatures and tokens are refused by clocks that differ by minutes.
const OFFSET_BAD: TimeDelta = TimeDelta::minutes(4);
/// As far as that clocks should not differ.
const OFFSET_WORTH_A_LOOK: TimeDelta = TimeDelta::seconds(5);
/// A certificate that is good for less time should have been renewed.
const RENEWAL: TimeDelta = TimeDelta::days(14);
/// Our own takes longer: somebody has to sign it.
const OUR_RENEWAL: TimeDelta = TimeDelta::days(30);

const LEAVE_ALONE: &str = "wait until then: passes go on by themselves, and `reconciled status` shows what they met";

/// Asks each of them.
pub async fn look(workspace: &Workspace, rules: &Ruleset, out: &Out) -> Vec<Finding> {
    let transport = HttpTransport::new();
    let clock = workspace.clock();
    let mut findings = Vec::new();
    for (name, upstream) in &rules.upstreams {
        let check = format!("upstream {name}");
        if !out.is_json() {
            out.talk(&format!("asking {name} …"));
        }
        if let Err(failure) = check_url(upstream, &upstream.base_url) {
            findings.push(Finding::error(check, failure.words, "put base_url right"));
            continue;
        }
        findings.extend(upstream.tls.as_deref().and_then(|files| our_certificate(&check, files, clock.now())));
        let (before, began) = (clock.now(), clock.monotonic());
        match left_alone(workspace, rules, name, out).await {
            Ok(None) => {}
            Ok(Some(failure)) => {
                let found = format!("it is not asked: {}", reason(&failure));
                findings.push(match failure.retry_at {
                    Some(_) => Finding::warning(check, found, LEAVE_ALONE),
                    None => Finding::error(check, found, "see above what to do"),
                });
                continue;
            }
            Err(error) => {
                findings.push(Finding::error(check, error.to_string(), "put the rules right"));
                continue;
            }
        }
        let reached = transport.reach(upstream.base_url.clone(), upstream.timeout.connect, upstream.tls.as_ref()).await;
        let took_ms = clock.monotonic().saturating_sub(began).as_millis();
        match reached {
            Err(error) => findings.push(unreached(&check, upstream, &error)),
            Ok(reached) => {
                let after = clock.now();
                findings.push(answered(&check, reached.status, took_ms));
                let found = reached.date.map(|there| offset(there, before, after));
                findings.extend(found.and_then(|offset| clocks_differ(&check, offset)));
                findings.extend(certificate(&check, &reached, after));
                findings.push(credentials(workspace, rules, (name, upstream), out).await);
            }
        }
    }
    findings
}

/// Why it is not to be asked at the moment, where it is not.
async fn left_alone(
    workspace: &Workspace,
    rules: &Ruleset,
    name: &String,
    out: &Out,
) -> Result<Option<Failure>, CliError> {
    let client = workspace.client_to_count(rules, name)?;
    Beside::begin(workspace, [(name, &client)], out);
    Ok(client.turn_for_another().await.err())
}

/// Asked without credentials, for the mere address: a 4xx is what many say to that.
fn answered(check: &str, status: u16, took_ms: u128) -> Finding {
    let found = format!("answers {status} within {took_ms} ms");
    match status {
        500.. => Finding::warning(
            check,
            format!("{found}: somebody is there, and not well"),
            "`reconciled status` tells what it said to passes; ask those who run it, or look at the proxy before it",
        ),
        400.. => Finding::good(check, format!("{found}, to nobody in particular")),
        _ => Finding::good(check, found),
    }
}

fn unreached(check: &str, upstream: &Upstream, error: &TransportError) -> Finding {
    let origin = upstream.base_url.origin().ascii_serialization();
    let remedy = match error {
        TransportError::Identity(_) => {
            "put the files of [upstream.NAME.tls] right, or ask those who run it for a certificate"
        }
        TransportError::Certificate(_) => "its certificate must be renewed, or its authority be known to this machine",
        _ => "is it up, its name known here, the way there open? `curl -v` tells more",
    };
    Finding::error(check, format!("{origin}: {error}"), remedy)
}

fn clocks_differ(check: &str, offset: TimeDelta) -> Option<Finding> {
    let side = if offset > TimeDelta::zero() { "ahead of" } else { "behind" };
    let found = format!("the clock here is {} s {side} the one there", offset.num_seconds().abs());
    let remedy = "let a time service keep it: `timedatectl set-ntp true`; or it is their clock that is wrong";
    match offset.abs() {
        far if far >= OFFSET_BAD => Some(Finding::error(check, found, remedy)),
        far if far >= OFFSET_WORTH_A_LOOK => Some(Finding::warning(check, found, remedy)),
        _ => None,
    }
}

fn certificate(check: &str, reached: &Reached, now: DateTime<Utc>) -> Option<Finding> {
    let until = reached.certificate_until?;
    let words = format!("its certificate is good until {}", until.format("%Y-%m-%d"));
    Some(if until - now < RENEWAL {
        Finding::warning(check, words, "tell those who run it")
    } else {
        Finding::good(check, words)
    })
}

/// Who we are there, and for how long.
fn our_certificate(check: &str, files: &TlsFiles, now: DateTime<Utc>) -> Option<Finding> {
    let client = files.client.as_ref();
    let path = client.map(|client| client.certificate.display().to_string()).unwrap_or_default();
    Some(match our_certificate_until(files) {
        Ok(until) => {
            let until = until?;
            let words = format!("our certificate {path} is good until {}", until.format("%Y-%m-%d"));
            let remedy =
                "have it renewed, and replace it and its key: a running daemon takes them at its next connection";
            match until - now {
                left if left <= TimeDelta::zero() => Finding::error(check, words, remedy),
                left if left < OUR_RENEWAL => Finding::warning(check, words, remedy),
                _ => Finding::good(check, words),
            }
        }
        Err(words) => Finding::error(check, words, "put the files of [upstream.NAME.tls] right"),
    })
}

/// What it says to the request that tells whose account it is.
async fn credentials(
    workspace: &Workspace,
    rules: &Ruleset,
    (name, upstream): (&String, &Upstream),
    out: &Out,
) -> Finding {
    let check = format!("upstream {name}");
    if upstream.check.is_none() {
        return Finding::good(
            check,
            "whether it takes our credentials only a pass tells: the rules have no `check` for it",
        );
    }
    let client = match workspace.client_to_look(rules, name) {
        Ok(client) => client,
        Err(error) => return Finding::error(check, error.to_string(), "see the secrets above"),
    };
    let beside = Beside::begin(workspace, [(name, &client)], out);
    let answer = client.check().await;
    beside.end(workspace, [(name, &client)], out).await;
    match answer {
        Ok(Some(account)) => Finding::good(check, format!("takes our credentials, account {account}")),
        Ok(None) => Finding::good(check, "takes our credentials"),
        Err(failure) => Finding::error(check, reason(&failure), "`reconciled check --online` tells more"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::rules::ClientFiles;

    #[test]
    fn our_own_certificate_is_told_of_a_month_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
        let pair = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 3, 1);
        std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let private = |mode| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let client = ClientFiles { certificate: certificate.clone(), key: key.clone() };
        let files = TlsFiles { client: Some(client), ca: None };
        let until = DateTime::parse_from_rfc3339("2030-03-01T00:00:00Z").unwrap().to_utc();
        let level = |days| our_certificate("u", &files, until - TimeDelta::days(days)).map(|one| one.level);
        private(0o600);
        assert_eq!([31, 29, 0].map(level), [Level::Ok, Level::Warning, Level::Error].map(Some));
        let told = our_certificate("u", &files, until).unwrap().found;
        assert_eq!(told, format!("our certificate {} is good until 2030-03-01", certificate.display()));
        private(0o644);
        let told = our_certificate("u", &files, until).unwrap();
        assert!(told.level == Level::Error && told.found.ends_with(&format!("run `chmod 600 {}`", key.display())));
        assert!(our_certificate("u", &TlsFiles { client: None, ca: None }, until).is_none());
    }

    #[test]
    fn who_is_not_well_is_worth_a_look_and_who_wants_credentials_is_there() {
        let told = |status| {
            let finding = answered("u", status, 3);
            (finding.level, finding.found)
        };
        assert_eq!(told(200), (Level::Ok, "answers 200 within 3 ms".to_owned()));
        assert_eq!(told(401), (Level::Ok, "answers 401 within 3 ms, to nobody in particular".to_owned()));
        let (level, words) = told(503);
        assert_eq!(level, Level::Warning);
        assert!(words.ends_with(": somebody is there, and not well"), "{words}");
    }

    #[test]
    fn clocks_and_certificates_are_judged_by_how_far_off_they_are() {
        let differ = |seconds| clocks_differ("u", TimeDelta::seconds(seconds));
        assert_eq!([0, 4, -4].map(differ), [None, None, None]);
        let told = |seconds: i64| differ(seconds).map(|finding| (finding.level, finding.found));
        assert_eq!(told(9), Some((Level::Warning, "the clock here is 9 s ahead of the one there".to_owned())));
        assert_eq!(told(-300), Some((Level::Error, "the clock here is 300 s behind the one there".to_owned())));
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let level = |days: Option<i64>| {
            let certificate_until = days.map(|days| now + TimeDelta::days(days));
            certificate("u", &Reached { status: 200, date: None, certificate_until }, now).map(|one| one.level)
        };
        assert_eq!([None, Some(90), Some(3)].map(level), [None, Some(Level::Ok), Some(Level::Warning)]);
    }
}
