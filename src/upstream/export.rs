//! Owns: what an upstream makes in the background to be listed: asked for, waited for, its files.
//!
//! Must not know: how a job is asked (that is `job`), how results are paged.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::job::{Patience, Standing, announced, ask};
use super::paging::set_since;
use super::split::cut_short;
use super::{Built, Client, Failure, FailureKind, Holes, ListQuery, Response};
use crate::record::Json;
use crate::rules::{self, Read};

/// Files of one export, at most.
const FILES_MAX: usize = 10_000;

/// Which export is listed, as a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Made {
    /// The URL or the id that the job is asked about by.
    pub at: String,
    /// When it was asked for: what it shows is no older.
    pub since: DateTime<Utc>,
}

/// An export that is there.
#[derive(Debug)]
pub struct Export {
    /// Which.
    pub made: Made,
    /// Its files, where it has some; `None`: the listing's own request reads it.
    pub files: Option<Vec<Url>>,
}

/// Asks for an export and waits until it is there.
pub async fn begin(client: &Client, read: &Read, rules: &rules::Export, query: &ListQuery) -> Result<Export, Failure> {
    let mut built = client.build(&rules.request, &Holes::default())?;
    set_since(&mut built, read, query, None)?;
    built.conditional = false;
    let since = client.now();
    let response = client.read(built.clone(), &mut |response| cut_short(&response.body)).await?;
    let at = announced(client, &rules.job, &built, &response)?;
    let standing = ask(client, &rules.job, &at, client.now(), Patience::UntilEnd).await;
    made(client, rules, Made { at, since }, standing)
}

/// Goes on with an export that was there.
pub async fn resume(client: &Client, rules: &rules::Export, made: Made) -> Result<Export, Failure> {
    // It was there before, so that its time is over: what is not known now is not known any more.
    let long_ago =
        TimeDelta::from_std(rules.job.timeout).ok().and_then(|timeout| made.since.checked_sub_signed(timeout));
    let standing = ask(client, &rules.job, &made.at, long_ago.unwrap_or(made.since), Patience::AskOnce).await;
    self::made(client, rules, made, standing).map_err(|failure| match failure.kind {
        FailureKind::BadAnswer | FailureKind::NotFound | FailureKind::Gone => {
            Failure { kind: FailureKind::CursorExpired, ..failure }
        }
        _ => failure,
    })
}

fn made(client: &Client, rules: &rules::Export, made: Made, standing: Standing) -> Result<Export, Failure> {
    match standing {
        Standing::AtWork(failure) | Standing::Forgotten(failure) => Err(failure),
        Standing::Ended(answer, Some(failed)) => Err(client.bad_answer(&answer.0, &answer.1, &failed)),
        Standing::Ended(answer, None) => {
            let files = files(client, rules, &answer.0, &answer.1)?;
            Ok(Export { made, files })
        }
    }
}

/// The URLs of the files; none, or null, is an export of nothing.
fn files(
    client: &Client,
    rules: &rules::Export,
    built: &Built,
    response: &Response,
) -> Result<Option<Vec<Url>>, Failure> {
    let Some(urls) = &rules.urls else { return Ok(None) };
    let bad = |what: String| client.bad_answer(built, response, &what);
    let json = Json::parse(&response.body).map_err(|error| bad(format!("not JSON: {error}")))?;
    let found = urls.run(&json, &[], FILES_MAX + 1).map_err(|error| bad(format!("`urls`: {error}")))?;
    if found.len() > FILES_MAX {
        return Err(bad(format!("the export has more than {FILES_MAX} files")));
    }
    let mut files = Vec::with_capacity(found.len());
    for url in found {
        match url {
            Json::Null => {}
            Json::String(url) => {
                let url = built.url.join(&url).map_err(|error| bad(format!("a file's URL cannot be read: {error}")))?;
                files.push(url);
            }
            _ => return Err(bad("`urls` gives something that is no URL".to_owned())),
        }
    }
    Ok(Some(files))
}

/// The read of a file. Somebody else's host gets no credentials: the URL itself is what opens it.
pub fn file_request(client: &Client, url: &Url) -> Built {
    let bare = url.origin() != client.upstream.base_url.origin();
    Built { bare, ..Built::of_url(url.clone()) }
}
