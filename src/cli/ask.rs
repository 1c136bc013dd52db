//! Owns: asking a running daemon over its control socket: `sync`, `pause`, `resume`, `apply`, `approve`, `reject`, `resolve`, `undo`, and how it
//! stands for `status`; doing it here where none runs.
//!
//! Must not know: how the daemon answers; what passes do.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustix::net::sockopt::socket_peercred;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::daemon::{Passed, set_paused};
use crate::ops::{self, Approved, Choice, Known, Resolved, UndoRequest, Undone};
use crate::reconcile::PassReport;
use crate::store::lock_holder;
use crate::upstream::install_crypto;
use crate::web::{
    ApplyRequest, ApproveRequest, Gathered, LINE_BYTES_MAX, Line, Reach, Refusal, RejectRequest, Rejected,
    ResolveRequest, SyncRequest, VERSION_PATH,
};

use super::args::{NamedArgs, RunArgs, SyncArgs};
use super::exit::{CliError, Exit, exit_of_outcome};
use super::out::Out;
use super::report::run_text;
use super::run;
use super::style;
use super::workspace::{SecretsAre, Workspace, select_collections};

/// How long a daemon may take to begin an answer, and to end one that it gives at once.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long one may say nothing in an answer that goes on; it says every five seconds that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is given at once.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest answer that goes on, in bytes: reports with some of their changes.
pub const LINES_BYTES_MAX: u64 = 256 << 20;
/// The same of reports that list every change: a plan of a first load lists every record.
pub const WHOLE_BYTES_MAX: u64 = 4 << 30;

/// A daemon that listens.
pub struct Daemon {
    client: Client,
    path: PathBuf,
    /// By this name the client finds it.
    _reach: Reach,
    /// Its process, where that is known.
    pid: Option<i32>,
}

impl Daemon {
    /// The one that works on this database; `None` where none listens. An error says that this user may not ask it.
    pub fn find(workspace: &Workspace) -> Result<Option<Self>, CliError> {
        Self::at(workspace.control_socket())
    }

    fn at(path: PathBuf) -> Result<Option<Self>, CliError> {
        let reached = Reach::of(&path).and_then(|reach| Ok((UnixStream::connect(reach.name())?, reach)));
        let (stream, reach) = match reached {
            Ok(reached) => reached,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(forbidden(&path)),
            Err(_nobody_listens) => return Ok(None),
        };
        let pid = socket_peercred(&stream).ok().map(|peer| peer.pid.as_raw_nonzero().get());
        install_crypto();
        // One host only, and it is this file.
        let client = Client::builder().unix_socket(reach.name().to_owned()).no_proxy().build();
        Ok(client.ok().map(|client| Self { client, path, _reach: reach, pid }))
    }

    /// How it stands.
    pub async fn standing(&self) -> Result<Value, CliError> {
        self.answer(self.request(Method::GET, "standing")).await
    }

    /// How everything stands, by the rules that it goes by.
    pub async fn known(&self) -> Result<Known, CliError> {
        self.answer(self.request(Method::GET, "status")).await
    }

    /// The names of its collections, each with whether it is paused.
    async fn collections(&self) -> Result<Vec<(String, bool)>, CliError> {
        let standing = self.standing().await?;
        let places = standing["collections"].as_array().into_iter().flatten();
        let of = |place: &Value| Some((place["collection"].as_str()?.to_owned(), place["paused"] == true));
        Ok(places.filter_map(of).collect())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://daemon{VERSION_PATH}/{path}"))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let answer = timeout(ANSWER_MAX, request.send()).await.map_err(|_late| self.hangs(ANSWER_MAX))?;
        let answer = answer.map_err(|error| self.silent(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let bytes = self.whole(answer).await?;
        let words = serde_json::from_slice::<Refusal>(&bytes).map_or_else(
            |_| {
                format!(
                    "the daemon behind {} does not know this question ({status}): {OTHER_VERSION}",
                    self.path.display()
                )
            },
            |refusal| refusal.error,
        );
        match status {
            StatusCode::FORBIDDEN => Err(CliError::Other(format!("the daemon refuses: {words}"))),
            StatusCode::NOT_FOUND => Err(CliError::NotFound(words)),
            StatusCode::PRECONDITION_FAILED => Err(CliError::OtherRules(words)),
            StatusCode::SERVICE_UNAVAILABLE => Err(CliError::Other(format!("the daemon cannot do it: {words}"))),
            _ => Err(CliError::Usage(format!("the daemon refuses: {words}"))),
        }
    }

    async fn ask<A: DeserializeOwned>(&self, path: &str, asked: &impl Serialize) -> Result<A, CliError> {
        self.answer(self.with(self.request(Method::POST, path), asked)?).await
    }

    /// Sends a question that is answered at once, and takes the answer.
    async fn answer<A: DeserializeOwned>(&self, request: RequestBuilder) -> Result<A, CliError> {
        let bytes = self.whole(self.send(request).await?).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.strange(&error))
    }

    /// Takes in an answer that is given at once.
    async fn whole(&self, answer: Response) -> Result<Vec<u8>, CliError> {
        let mut parts = answer.bytes_stream();
        let mut whole = Vec::new();
        while let Some(part) = self.next(&mut parts, ANSWER_MAX).await? {
            if whole.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(self.endless());
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    async fn next(
        &self,
        parts: &mut (impl Stream<Item = reqwest::Result<Bytes>> + Unpin),
        silence_max: Duration,
    ) -> Result<Option<Bytes>, CliError> {
        let part = timeout(silence_max, parts.next()).await.map_err(|_late| self.hangs(silence_max))?;
        part.transpose().map_err(|error| self.silent(&error))
    }

    /// Sends a question that is answered line by line, by so many bytes at most, and hands on each line.
    pub async fn follow(
        &self,
        path: &str,
        asked: &impl Serialize,
        bytes_max: u64,
        mut take: impl FnMut(Line) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let request = self.with(self.request(Method::POST, path), asked)?;
        let mut answer = self.send(request).await?.bytes_stream();
        let (mut rest, mut gathered): (Vec<u8>, _) = (Vec::new(), Gathered::default());
        let mut said: u64 = 0;
        while let Some(bytes) = self.next(&mut answer, SILENCE_MAX).await? {
            let mut looked = rest.len();
            rest.extend_from_slice(&bytes);
            while let Some(end) = rest[looked..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=looked + end).collect();
                // An empty one says that the daemon lives.
                if line.len() > 1 {
                    said += line.len() as u64;
                    if said > bytes_max {
                        return Err(self.endless());
                    }
                    if let Some(line) = gathered.line(&line).map_err(|error| self.strange(&error))? {
                        take(line)?;
                    }
                }
                looked = 0;
            }
            if rest.len() > LINE_BYTES_MAX {
                return Err(self.endless());
            }
        }
        Ok(())
    }

    fn with(&self, request: RequestBuilder, asked: &impl Serialize) -> Result<RequestBuilder, CliError> {
        let body = serde_json::to_vec(asked).map_err(|error| self.strange(&error))?;
        Ok(request.header("content-type", "application/json").body(body))
    }

    fn silent(&self, error: &reqwest::Error) -> CliError {
        let error = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        CliError::Other(format!("the daemon behind {} does not answer: {error}", self.path.display()))
    }

    fn hangs(&self, waited: Duration) -> CliError {
        let process = self.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        CliError::Other(format!(
            "the daemon behind {}{process} has said nothing for {} s: it hangs or was stopped; \
             `systemctl status reconciled` or its log tells more, and a restart loses nothing",
            self.path.display(),
            waited.as_secs()
        ))
    }

    fn endless(&self) -> CliError {
        CliError::Other(format!("the daemon behind {} answers without end", self.path.display()))
    }

    fn strange(&self, error: &serde_json::Error) -> CliError {
        CliError::Other(format!(
            "the daemon behind {} answers what is not understood ({error}): {OTHER_VERSION}",
            self.path.display()
        ))
    }
}

/// What helps where the daemon speaks otherwise.
const OTHER_VERSION: &str = "it may be of another version: restart it, or use the `reconciled` that it was started from; `reconciled doctor` compares them";

/// A daemon listens there, perhaps.
fn forbidden(path: &Path) -> CliError {
    let shown = path.display();
    let who = std::fs::metadata(path).map_or_else(
        |_hidden| "the daemon's user, root or a member of its group".to_owned(),
        |file| format!("user {}, root or a member of group {}", file.uid(), file.gid()),
    );
    CliError::Other(format!("{shown}: this user may not ask the daemon there (permission denied): run this as {who}"))
}

/// `sync`: passes now, by the running daemon, or here where none runs.
pub async fn sync(args: &SyncArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let Some(daemon) = Daemon::find(workspace)? else {
        let args = RunArgs { once: true, dry_run: false, full: args.full, collections: args.collections.clone() };
        return run::run(&args, Passed::default(), workspace, out).await;
    };
    if args.collections.is_empty() {
        for (name, _) in daemon.collections().await?.iter().filter(|(_, is_paused)| *is_paused) {
            let name = style::clean(name);
            out.talk(&format!("{name} is paused and left out; `reconciled resume {name}` lets it go on"));
        }
    }
    let asked = SyncRequest { collections: args.collections.clone(), full: args.full };
    let mut exit = Exit::IN_SYNC;
    daemon
        .follow("sync", &asked, LINES_BYTES_MAX, |line| {
            exit = exit.or_worse(take(line, out)?);
            Ok(())
        })
        .await?;
    Ok(exit)
}

/// Has the running daemon make a saved plan, by these rules, having read everything or not.
pub async fn apply(
    daemon: &Daemon,
    (rules, full, plans): (String, bool, BTreeMap<String, String>),
    out: &Out,
) -> Result<Exit, CliError> {
    let mut exit = Exit::IN_SYNC;
    let asked = ApplyRequest { rules, full, plans };
    let followed = daemon.follow("apply", &asked, LINES_BYTES_MAX, |line| {
        exit = exit.or_worse(take(line, out)?);
        Ok(())
    });
    match followed.await {
        Err(CliError::OtherRules(words)) => Err(CliError::Stale(words)),
        followed => followed.map(|()| exit),
    }
}

/// Shows a line; what the exit code is if nothing worse comes.
fn take(line: Line, out: &Out) -> Result<Exit, CliError> {
    match line {
        Line::Accepted(collections) if collections.is_empty() => {
            out.insist("the daemon has nothing to do: everything is paused");
            Ok(Exit::PENDING)
        }
        // The last two are gathered before they come here.
        Line::Accepted(_) | Line::Changes(_) | Line::Part { .. } => Ok(Exit::IN_SYNC),
        Line::Note(words) => {
            out.talk(&style::clean(&words));
            Ok(Exit::IN_SYNC)
        }
        Line::Step { collection, text } => {
            if out.shows_progress() {
                out.talk(&format!("{}: {}", style::clean(&collection), style::clean(&text)));
            }
            Ok(Exit::IN_SYNC)
        }
        Line::Report(report) => {
            show(&report, out)?;
            Ok(exit_of_outcome(report.outcome))
        }
        Line::Failed { collection, error } => {
            out.insist(&format!("{}: {}", style::clean(&collection), style::clean(&error)));
            Ok(Exit::ERROR)
        }
    }
}

fn show(report: &PassReport, out: &Out) -> Result<(), CliError> {
    if out.is_json() { out.json_line(report) } else { out.data(&run_text(report, out.width())) }
}

/// Approves a halt: the running daemon does (`true`), or this process in its stead.
pub async fn approve(halt: i64, wins: Option<&str>, workspace: &Workspace) -> Result<(Approved, bool), CliError> {
    if let Some(daemon) = Daemon::find(workspace)? {
        let asked = ApproveRequest { halt, wins: wins.map(str::to_owned) };
        let approved = daemon.ask("approve", &asked).await;
        return Ok((approved.map_err(|error| wins_hint(error, halt, wins))?, true));
    }
    let store = workspace.store_to_edit()?;
    let now = workspace.clock().now().timestamp_micros();
    let approved = ops::approve(store.as_ref(), halt, wins, now).await;
    Ok((approved.map_err(|error| wins_hint(error.into(), halt, wins))?, false))
}

/// Rejects a halt: the running daemon does, or this process in its stead. Its collection, which rests now.
pub async fn reject(halt: i64, workspace: &Workspace) -> Result<String, CliError> {
    if let Some(daemon) = Daemon::find(workspace)? {
        let rejected: Result<Rejected, CliError> = daemon.ask("reject", &RejectRequest { halt }).await;
        return Ok(rejected.map_err(halt_hint)?.collection);
    }
    let store = workspace.store_to_edit()?;
    let rejected = ops::reject(store.as_ref(), halt).await;
    let collection = rejected.map_err(|error| halt_hint(error.into()))?;
    set_paused(store.as_ref(), &collection, true).await?;
    Ok(collection)
}

/// Decides a conflict: the running daemon does by the rules in force, or this process by those in the files.
pub async fn resolve(conflict: i64, choice: Choice, workspace: &Workspace, out: &Out) -> Result<Resolved, CliError> {
    if let Some(daemon) = Daemon::find(workspace)? {
        return daemon.ask("resolve", &ResolveRequest { conflict, choice }).await.map_err(conflict_hint);
    }
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = workspace.store_to_edit()?;
    ops::resolve(store.as_ref(), &rules, conflict, choice).await.map_err(|error| conflict_hint(error.into()))
}

/// Plans to take a pass back, or does it: the running daemon does by the rules in force (`true`), or this process by those in the files.
pub async fn undo(asked: UndoRequest, workspace: &Workspace, out: &Out) -> Result<(Undone, bool), CliError> {
    if let Some(daemon) = Daemon::find(workspace)? {
        return Ok((daemon.ask("undo", &asked).await.map_err(pass_hint)?, true));
    }
    let rules = workspace.rules(SecretsAre::Unused, out)?;
    let store = if asked.apply { workspace.store_to_edit()? } else { workspace.store_to_look()? };
    let now = workspace.clock().now().timestamp_micros();
    let is_at_work = |_: &str| lock_holder(&workspace.settings().database).is_some();
    let undone = ops::undo(store.as_ref(), &rules, asked, is_at_work, now).await;
    Ok((undone.map_err(|error| pass_hint(error.into()))?, false))
}

/// Which command helps.
fn pass_hint(error: CliError) -> CliError {
    match error {
        CliError::NotFound(words) => CliError::NotFound(format!("{words}; `reconciled history` shows what passes did")),
        other => other,
    }
}

/// As above.
fn halt_hint(error: CliError) -> CliError {
    match error {
        CliError::NotFound(words) => CliError::NotFound(format!("{words}; `reconciled status` lists those that do")),
        other => other,
    }
}

/// As above. Where no side was named, all there is to refuse is that one is missing.
fn wins_hint(error: CliError, halt: i64, wins: Option<&str>) -> CliError {
    match error {
        CliError::Usage(words) if wins.is_none() => {
            CliError::Usage(format!("{words}; `reconciled approve {halt} --wins local` says the first"))
        }
        other => halt_hint(other),
    }
}

/// As above.
fn conflict_hint(error: CliError) -> CliError {
    match error {
        CliError::NotFound(words) => {
            CliError::NotFound(format!("{words}; `reconciled conflicts` lists those that are open"))
        }
        other => other,
    }
}

/// `pause` and `resume`: by the running daemon, or in the database for the next one.
pub async fn pause(args: &NamedArgs, paused: bool, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let daemon = Daemon::find(workspace)?;
    let collections = match &daemon {
        // It goes by rules of its own, and says what it does not know.
        Some(_) if !args.collections.is_empty() => args.collections.clone(),
        Some(daemon) => daemon.collections().await?.into_iter().map(|(name, _)| name).collect(),
        None => select_collections(&*workspace.rules(SecretsAre::Unused, out)?, &args.collections)?,
    };
    for collection in &collections {
        if let Some(daemon) = &daemon {
            let what = if paused { "pause" } else { "resume" };
            daemon.send(daemon.request(Method::POST, &format!("{what}/{collection}"))).await?;
        } else {
            let store = workspace.store_to_edit()?;
            set_paused(store.as_ref(), collection, paused).await?;
        }
        let now = if paused { "is paused" } else { "goes on" };
        out.talk(&format!("{collection} {now}"));
    }
    Ok(Exit::IN_SYNC)
}

/// Since when a write of a collection may be under way, as a daemon says; `None` where no pass of it runs there.
pub fn sends_since(daemon: &Value, collection: &str) -> Option<DateTime<Utc>> {
    let places = daemon["collections"].as_array()?;
    let is_running = |place: &&Value| place["collection"] == collection && place["running"] == true;
    places.iter().find(is_running)?;
    Some(DateTime::parse_from_rfc3339(daemon["started_at"].as_str()?).ok()?.to_utc())
}

/// The collections whose passes new rules wait for, and all that they change, where any wait.
pub fn rules_waiting(daemon: &Value) -> Option<(String, String)> {
    let names = |key: &str| {
        let names = daemon.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names.map(style::clean).collect::<Vec<_>>().join(", ")
    };
    Some((names("rules_wait_for"), names("rules_change"))).filter(|(awaited, _)| !awaited.is_empty())
}

/// What the running daemon is at.
pub fn daemon_lines(daemon: &Value) -> Vec<String> {
    let text = |of: &Value, name: &str| Some(style::clean(of.get(name)?.as_str()?));
    let since = text(daemon, "started_at").map(|at| style::short(&at)).unwrap_or_default();
    let pid = daemon.get("pid").and_then(Value::as_u64).unwrap_or_default();
    let mut lines = vec![format!("daemon {pid} runs since {since}")];
    if let Some(words) = daemon.get("rules_refused").and_then(Value::as_str).map(style::clean_lines) {
        let mark = style::paint(style::BAD, "!");
        lines
            .push(format!("{mark} the rules as they are now cannot be used; those from before are in force:\n{words}"));
    }
    let not_served = daemon.get("not_served").and_then(Value::as_array).into_iter().flatten();
    for words in not_served.filter_map(Value::as_str) {
        lines.push(format!("{} {}", style::paint(style::BAD, "!"), style::clean(words)));
    }
    if let Some((awaited, changed)) = rules_waiting(daemon) {
        let mark = style::paint(style::CHANGED, "→");
        lines.push(format!(
            "{mark} new rules change {changed}, and come into force when the pass of {awaited} has ended; until then those from \
             before are in force, and what the new ones change makes passes for edits and webhooks only"
        ));
    }
    let places = daemon.get("collections").and_then(Value::as_array).into_iter().flatten();
    for place in places {
        if let Some(doing) = text(place, "doing") {
            lines.push(format!("{} {doing}", style::paint(style::CHANGED, "→")));
        }
        if let (Some(name), Some(why)) = (text(place, "collection"), text(place, "failed")) {
            lines.push(format!("{} {name}: its last pass failed: {why}", style::paint(style::BAD, "!")));
        }
        if let (Some(name), Some(at)) = (text(place, "collection"), text(place, "retry_at")) {
            lines.push(format!("  {name}: what was left is taken up again at {}", style::short(&at)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    /// What comes of a question that is answered by this text over and over.
    async fn told(text: &str, times: usize) -> (Vec<Line>, Result<(), CliError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let answer = async {
            // The first connection only looks whether somebody listens.
            listener.accept().await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.unwrap();
            for _ in 0..times {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    break;
                }
            }
        };
        let daemon = Daemon::at(path.clone()).unwrap().unwrap();
        let mut lines = Vec::new();
        let follow = async {
            let take = |line| {
                lines.push(line);
                Ok(())
            };
            let followed = daemon.follow("sync", &SyncRequest::default(), 64 << 10, take).await;
            drop(daemon);
            followed
        };
        let (followed, ()) = tokio::join!(follow, answer);
        (lines, followed)
    }

    #[tokio::test]
    async fn an_empty_line_says_that_the_daemon_lives_and_nothing_else() {
        let (lines, followed) = told("\n{\"note\":\"x\"}\n\n", 2).await;
        assert!(followed.is_ok());
        assert_eq!(lines, [Line::Note("x".to_owned()), Line::Note("x".to_owned())]);
    }

    #[tokio::test]
    async fn a_line_or_an_answer_without_end_is_not_kept() {
        let (lines, followed) = told(&"x".repeat(1 << 16), usize::MAX).await;
        let words = followed.unwrap_err().to_string();
        assert!(words.contains("answers without end") && lines.is_empty(), "{words}");
        for endless in ["{\"note\":\"x\"}\n", "{\"changes\":[]}\n", "{\"part\":{\"text\":\" \",\"more\":true}}\n"] {
            let (lines, followed) = told(endless, usize::MAX).await;
            let words = followed.unwrap_err().to_string();
            assert!(words.contains("answers without end") && lines.len() <= (64 << 10) / endless.len() + 1, "{words}");
        }
    }
}
