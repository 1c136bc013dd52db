//! Owns: plans over the control socket: one at a time, each of a moment at which no pass of its collections was under way, so
//! that neither disturbs the other.
//!
//! Must not know: how a plan is shown; where the copy of the database is kept.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use http::{StatusCode, header};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Mutex, mpsc};

use crate::clock::Clock;
use crate::daemon::{Desk, Heard, Standing, step_words};
use crate::reconcile::{Engine, PassOptions, Progress, Step};

use super::control::{alive, refuse};
use super::wire::{Line, PlanRequest};

/// Lines that wait for a slow reader; steps beyond are left out.
const LINES_MAX: usize = 256;
/// How often the copy is made anew where a pass began while it was made.
const COPIES_MAX: usize = 5;

/// Makes what a plan is made of.
pub trait Planner: Send + Sync {
    /// The folder of the rules in force.
    fn rules_dir(&self) -> &Path;

    /// A copy of the database, with the engine in force over it. An error says, for people, why there is none.
    fn copy(&self) -> BoxFuture<'_, Result<Copied, String>>;
}

/// A copy of the database.
pub struct Copied {
    /// It goes by the rules in force, and by the budgets of the passes.
    pub engine: Engine,
    /// What was done to its tables.
    pub notices: Vec<String>,
    /// Where it is; gone with this.
    pub folder: TempDir,
}

/// Who plans.
#[derive(Clone)]
pub struct Plans {
    desk: Desk,
    planner: Arc<dyn Planner>,
    clock: Arc<dyn Clock>,
    turn: Arc<Mutex<()>>,
}

impl Plans {
    /// For the collections of this loop.
    pub fn new(desk: Desk, planner: Arc<dyn Planner>, clock: Arc<dyn Clock>) -> Self {
        Self { desk, planner, clock, turn: Arc::default() }
    }
}

/// Answers by lines, the last of which are reports.
pub async fn plan(State(plans): State<Plans>, asked: Result<Json<PlanRequest>, JsonRejection>) -> Response {
    let asked = match asked {
        Ok(Json(asked)) => asked,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let own = plans.planner.rules_dir();
    if asked.rules_dir.as_deref().is_some_and(|folder| folder != own) {
        let words = format!("the daemon goes by the rules in {}", own.display());
        return refuse(StatusCode::PRECONDITION_FAILED, &words);
    }
    let known: Vec<String> = plans.desk.standing().collections.into_iter().map(|place| place.collection).collect();
    if let Some(name) = asked.collections.iter().find(|name| !known.contains(name)) {
        let names = known.join(", ");
        return refuse(
            StatusCode::CONFLICT,
            &format!("the daemon works on no collection `{name}`; it works on {names}"),
        );
    }
    let named = |name: &String| asked.collections.is_empty() || asked.collections.contains(name);
    let collections = known.into_iter().filter(named).collect();
    let (send, lines) = mpsc::channel(LINES_MAX);
    let clock = Arc::clone(&plans.clock);
    let making = Making { plans, collections, asked, lines: send };
    let body = Body::from_stream(alive(told(Box::pin(making.run()), lines), clock));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Lines as they come. Whoever goes away takes the plan along, and the copy of the database.
fn told(
    work: BoxFuture<'static, ()>,
    lines: mpsc::Receiver<Line>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((Some(work), lines), |(mut work, mut lines)| async move {
        let line = loop {
            let Some(making) = work.as_mut() else { break lines.recv().await };
            tokio::select! {
                biased;
                line = lines.recv() => break line,
                () = making => work = None,
            }
        }?;
        Some((Ok(Bytes::from(line.text())), (work, lines)))
    })
}

/// A plan that is made.
struct Making {
    plans: Plans,
    collections: Vec<String>,
    asked: PlanRequest,
    lines: mpsc::Sender<Line>,
}

impl Making {
    async fn run(self) {
        let mut standing = self.plans.desk.follow();
        let failed = tokio::select! {
            biased;
            // An error: the loop is over.
            _stopping = standing.wait_for(|standing| standing.stopping) => Err("the daemon is stopping".to_owned()),
            done = self.make() => done,
        };
        if let Err(error) = failed {
            self.say(Line::Failed { collection: self.collections.join(", "), error }).await;
        }
    }

    async fn make(&self) -> Result<(), String> {
        self.say(Line::Accepted(self.collections.clone())).await;
        let _turn = match self.plans.turn.try_lock() {
            Ok(turn) => turn,
            Err(_taken) => {
                self.note("another plan is being made; this one waits for it").await;
                self.plans.turn.lock().await
            }
        };
        if self.plans.desk.standing().rules_refused.is_some() {
            self.note("the rules as they are now cannot be used: the plan is by those from before, which are in force")
                .await;
        }
        if !self.plans.desk.standing().rules_wait_for.is_empty() {
            self.note("new rules wait for a pass: the plan is by those from before, which are in force").await;
        }
        let (copied, mut heard) = self.copy().await?;
        for notice in &copied.notices {
            self.note(&format!("not done by a plan: {notice}")).await;
        }
        let options = PassOptions {
            trigger: "plan".to_owned(),
            full: self.asked.full,
            dry_run: true,
            all_changes: self.asked.all,
        };
        let mut meanwhile = BTreeSet::new();
        for name in &self.collections {
            let steps = Steps(self.lines.clone());
            let pass = Box::pin(copied.engine.pass(name, &options, &steps));
            let report = self.hearing(&mut heard, &mut meanwhile, pass).await.map_err(|error| error.to_string())?;
            for line in Line::of_report(report) {
                self.say(line).await;
            }
        }
        if !meanwhile.is_empty() {
            let names = meanwhile.into_iter().collect::<Vec<_>>().join(", ");
            self.note(&format!("a pass of {names} was made meanwhile: some of this plan may be done by now")).await;
        }
        let Copied { engine, folder, .. } = copied;
        drop(engine);
        // What cannot be removed is told by nobody: the next plan has a folder of its own.
        folder.close().ok();
        Ok(())
    }

    /// A copy that no pass of these collections was under way in, with what is heard of them since before it was made.
    async fn copy(&self) -> Result<(Copied, Receiver<Heard>), String> {
        for _ in 0..COPIES_MAX {
            self.idle().await?;
            let (mut heard, mut began) = (self.plans.desk.listen(), BTreeSet::new());
            if self.running().is_some() {
                continue;
            }
            let copied = self.hearing(&mut heard, &mut began, self.plans.planner.copy()).await?;
            if began.is_empty() {
                return Ok((copied, heard));
            }
        }
        let names = self.collections.join(", ");
        Err(format!(
            "passes of {names} begin too fast one after the other; `reconciled pause` lets them rest meanwhile"
        ))
    }

    /// Does something, and hears meanwhile of which of these collections passes are made.
    async fn hearing<T>(
        &self,
        heard: &mut Receiver<Heard>,
        names: &mut BTreeSet<String>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let done = loop {
            tokio::select! {
                biased;
                told = heard.recv() => match told {
                    Ok(told) => self.count(names, Some(&told)),
                    Err(RecvError::Lagged(_)) => self.count(names, None),
                    // The loop is over.
                    Err(RecvError::Closed) => break work.await,
                },
                done = work.as_mut() => break done,
            }
        };
        // What was told before the end counts as well.
        loop {
            match heard.try_recv() {
                Ok(told) => self.count(names, Some(&told)),
                Err(TryRecvError::Lagged(_)) => self.count(names, None),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return done,
            }
        }
    }

    /// `None`: so much was told at once that one of these may be among it.
    fn count(&self, names: &mut BTreeSet<String>, told: Option<&Heard>) {
        match told {
            Some(Heard::Step { collection, .. } | Heard::Ended { collection, .. }) => {
                names.extend(self.collections.contains(collection).then(|| collection.clone()));
            }
            None => names.extend(self.collections.iter().cloned()),
        }
    }

    /// Waits until no pass of these collections runs.
    async fn idle(&self) -> Result<(), String> {
        let Some(name) = self.running() else { return Ok(()) };
        self.note(&format!("a pass of {name} is under way; the plan waits for its end")).await;
        let mut standing = self.plans.desk.follow();
        let is_idle = |now: &Standing| {
            !now.collections.iter().any(|place| place.running && self.collections.contains(&place.collection))
        };
        standing.wait_for(is_idle).await.map(|_idle| ()).map_err(|_over| "the daemon is stopping".to_owned())
    }

    fn running(&self) -> Option<String> {
        let places = self.plans.desk.standing().collections.into_iter();
        let mut ours = places.filter(|place| place.running && self.collections.contains(&place.collection));
        Some(ours.next()?.collection)
    }

    async fn note(&self, words: &str) {
        self.say(Line::Note(words.to_owned())).await;
    }

    async fn say(&self, line: Line) {
        // Whoever does not listen any more drops this as well.
        self.lines.send(line).await.ok();
    }
}

/// Passes steps on, as far as they are taken.
struct Steps(mpsc::Sender<Line>);

impl Progress for Steps {
    fn step(&self, step: &Step<'_>) {
        if let Some((collection, text)) = step_words(step) {
            self.0.try_send(Line::Step { collection: collection.to_owned(), text }).ok();
        }
    }
}

/// A folder as both sides of the socket name it.
pub fn whole_path(folder: &Path) -> PathBuf {
    std::fs::canonicalize(folder).unwrap_or_else(|_not_there| folder.to_owned())
}
