//! Owns: `run`: passes of all (or some) collections, once or on schedule until stopped.
//!
//! Must not know: when passes are due, what signals mean (that is `daemon`).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::daemon::{self, Checked, Desk, Ended, Host, Loaded, Mode, Passed, Plan, Refused, Setup, Told, Watched};
use crate::reconcile::{Engine, PassError, PassReport, Progress, Silent};
use crate::store::{Store, StoreError};
use crate::web::hooks::{self, HookFront};
use crate::web::{self, Found, Front, Place, Proxies, Reached};

use super::args::{PlanArgs, RunArgs};
use super::exit::{CliError, Exit, exit_of_outcome};
use super::out::Out;
use super::plan::{self, Plans};
use super::progress::Bars;
use super::report::run_text;
use super::style::count;
use super::workspace::{Workspace, select_collections};

/// Runs until done or stopped; the daemon serves on the sockets that were passed to it.
pub async fn run(args: &RunArgs, passed: Passed, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    if args.dry_run {
        let args = PlanArgs { all: false, out: None, full: args.full, collections: args.collections.clone() };
        return plan::run(&args, workspace, out).await;
    }
    // With the wrong key neither secrets nor tokens are to be had: better told now than in the midst of it.
    workspace.vault().check()?;
    let stamp = workspace.rules_stamp();
    let (rules, said) = workspace.rules_to_run(out);
    let rules = rules?;
    let collections = select_collections(&rules, &args.collections)?;
    let store = workspace.store_to_run(&rules)?;
    let (engine, notices) = workspace.engine_with_notices(Arc::clone(&store), &rules).await?;
    let engine = Arc::new(engine);
    for notice in notices {
        // The daemon speaks through its log, in whichever form that is.
        if args.once { out.talk(&notice) } else { tracing::info!("{notice}") }
    }
    let bars = Arc::new(Bars::new(out));
    let progress: Arc<dyn Progress> = if args.once { Arc::clone(&bars) as Arc<dyn Progress> } else { Arc::new(Silent) };
    let all = collections.len();
    let plan = Plan {
        mode: if args.once { Mode::Once } else { Mode::Scheduled },
        full: args.full,
        drain_timeout: workspace.settings().drain_timeout,
        lock_max: workspace.settings().busy_timeout,
    };
    let reports = Reports { out, bars, once: args.once, exit: Exit::IN_SYNC, done: 0, failed: None };
    let mut host = Installed {
        workspace,
        store: Arc::clone(&store),
        named: &args.collections,
        reports,
        plans: Arc::new(Plans::new(workspace, &engine)),
        tokens: watch::Sender::new(token(workspace)),
        passed,
        pages: JoinSet::new(),
        served: JoinSet::new(),
    };
    let loaded = Loaded { engine, rules, said, collections };
    let setup = Setup { store: store.as_ref(), clock: workspace.clock(), plan, progress, stamp };
    let ended = daemon::run(loaded, setup, &mut host).await;
    // They end with the loop, once what they are saying is said.
    while host.pages.join_next().await.is_some() {}
    while host.served.join_next().await.is_some() {}
    let ended = ended?;
    let reports = host.reports;
    if let Some(error) = reports.failed {
        return Err(error);
    }
    match ended {
        Ended::Done => Ok(reports.exit),
        // All there was to do was done before the stop took effect.
        Ended::Stopped if args.once && reports.done == all => Ok(reports.exit),
        // A stop that was asked for is no failure of the daemon; of `--once` it says how far it got.
        Ended::Stopped if args.once => {
            out.insist(&format!(
                "stopped after {} of {}; the next run goes on",
                reports.done,
                count(all as u64, "pass")
            ));
            Ok(reports.exit.or_worse(Exit::PENDING))
        }
        Ended::Stopped => Ok(Exit::IN_SYNC),
        Ended::Aborted => Err(CliError::Other(
            "stopped at once by a second signal; the pass under way was cut short, the next one takes up its work"
                .to_owned(),
        )),
    }
}

/// The installation that the daemon runs in.
struct Installed<'a> {
    workspace: &'a Workspace,
    store: Arc<dyn Store>,
    /// The collections that were asked for; all where none is named.
    named: &'a [String],
    reports: Reports<'a>,
    /// Makes plans for those who ask.
    plans: Arc<Plans>,
    /// The token of the pages, as it was last found.
    tokens: watch::Sender<Found>,
    /// What the service manager opened.
    passed: Passed,
    /// Pages for browsers; they end with the loop.
    pages: JoinSet<()>,
    /// What else is served beside the loop; it ends with this.
    served: JoinSet<()>,
}

impl Host for Installed<'_> {
    fn tell(&mut self, told: Told<'_>) {
        match told {
            Told::Report(report) => self.reports.take(report),
            Told::Stopping(up_to) => self.reports.stopping(up_to),
        }
    }

    fn check(&mut self, in_force: &Loaded) -> Result<Checked, Refused> {
        if self.tokens.receiver_count() > 0 {
            let found = token(self.workspace);
            self.tokens.send_modify(|now| *now = found);
        }
        let (rules, said) = self.workspace.rules_anew(self.reports.out);
        let usable = || {
            let rules = rules?;
            let collections = select_collections(&rules, self.named)?;
            let (clients, renewed) = in_force.engine.keep_clients(self.workspace.clients(&rules)?);
            let changed = rules.changed_since(&in_force.rules, &renewed);
            Ok(Checked { rules, said: Arc::clone(&said), collections, clients, changed })
        };
        usable().map_err(|error: CliError| Refused { text: error.to_string(), said: Arc::clone(&said), busy: false })
    }

    fn reload(&mut self, before: Arc<Engine>, checked: Checked) -> BoxFuture<'_, Result<Loaded, Refused>> {
        Box::pin(async move {
            let Checked { rules, said, collections, clients, .. } = checked;
            match before.by_rules(Arc::clone(&rules), clients).await.map_err(CliError::from) {
                Ok((engine, notices)) => {
                    for notice in notices {
                        tracing::info!("{notice}");
                    }
                    Ok(Loaded { engine: Arc::new(engine), rules, said, collections })
                }
                Err(error) => Err(Refused { text: error.to_string(), said, busy: is_busy(&error) }),
            }
        })
    }

    fn comes_into_force(&mut self, loaded: &Loaded) {
        self.plans.comes_into_force(&loaded.engine);
    }

    fn stamp(&self) -> u64 {
        self.workspace.rules_stamp()
    }

    fn watched(&self) -> Watched {
        self.workspace.watched()
    }

    fn open(&mut self, desk: Desk) {
        for words in std::mem::take(&mut self.passed.refused) {
            tracing::warn!("{words}");
        }
        let (path, clock) = (self.workspace.control_socket(), self.workspace.clock());
        let front = Front { desk: desk.clone(), clock: Arc::clone(&clock), arrivals: Arc::default() };
        let beside = self.take_webhooks(&front);
        self.show_pages(&front, beside.as_ref());
        let (store, plans) = (Arc::clone(&self.store), Arc::clone(&self.plans));
        self.served.spawn(async move {
            let router = web::router(front.clone(), store, plans);
            web::serve((&path, || web::open_socket(&path, &front)), router, clock, desk.over()).await;
        });
    }
}

/// Another program holds the database, which passes.
fn is_busy(error: &CliError) -> bool {
    matches!(
        error,
        CliError::Store(StoreError::Busy { .. }) | CliError::Pass(PassError::Store(StoreError::Busy { .. }))
    )
}

impl Installed<'_> {
    fn proxies(&self) -> Proxies {
        Proxies::new(self.workspace.settings().trusted_proxies.clone())
    }

    fn show_pages(&mut self, front: &Front, beside: Option<&Router>) {
        let settings = self.workspace.settings();
        let places = places(std::mem::take(&mut self.passed.web), settings.web_listen, "web.listen");
        if places.is_empty() && beside.is_some() {
            tracing::warn!("no webhook can come: `webhooks.listen` is `web`, and `web.listen` is not set");
        }
        for place in places {
            let reached = Reached { hosts: settings.web_hosts.clone(), proxies: self.proxies() };
            let (tokens, store) = (self.tokens.subscribe(), Arc::clone(&self.store));
            let clients = self.workspace.client_of();
            self.pages.spawn(web::open(place, reached, tokens, front.clone(), (store, clients), beside.cloned()));
        }
    }

    /// Webhooks come to an address of their own, so that nothing else can be reached there; or they are served beside the
    /// pages, by the router that this returns.
    fn take_webhooks(&mut self, front: &Front) -> Option<Router> {
        let settings = self.workspace.settings();
        let (address, is_beside) = (settings.webhooks_listen, settings.webhooks_beside);
        let places = places(std::mem::take(&mut self.passed.webhooks), address, "webhooks.listen");
        if places.is_empty()
            && !is_beside
            && front.desk.standing().rules.upstreams.values().any(|upstream| upstream.webhook.is_some())
        {
            tracing::warn!("the rules take webhooks, and none can come: set `webhooks.listen` to an address");
        }
        let secrets = self.workspace.secret_look_up();
        let router = HookFront::new(front.clone(), Arc::clone(&self.store), secrets);
        let router = hooks::router(router.behind(self.proxies()));
        for place in places {
            let (router, front) = (router.clone(), front.clone());
            self.served.spawn(async move {
                let opened = web::open_listener(place, "webhooks.listen", "no webhook can come", &front).await;
                let Some((listener, at)) = opened else { return };
                tracing::info!("webhooks come to http://{at}/webhooks/UPSTREAM");
                let Front { desk, clock, .. } = front;
                web::accept(listener, router, clock, desk.over()).await;
            });
        }
        is_beside.then_some(router)
    }
}

fn token(workspace: &Workspace) -> Found {
    workspace.secret(web::TOKEN_NAME).map_err(|missing| missing.to_string())
}

/// Where to listen: on the sockets that were passed, else at the address that is set.
fn places(passed: Vec<TcpListener>, address: Option<SocketAddr>, setting: &str) -> Vec<Place> {
    if !passed.is_empty() && address.is_some() {
        tracing::info!("`{setting}` is not used: the service manager opened a socket instead");
    }
    match (passed.is_empty(), address) {
        (false, _) => passed.into_iter().map(Place::Passed).collect(),
        (true, Some(address)) => vec![Place::Address(address)],
        (true, None) => Vec::new(),
    }
}

/// Prints reports as they come in.
struct Reports<'a> {
    out: &'a Out,
    bars: Arc<Bars>,
    once: bool,
    exit: Exit,
    done: usize,
    failed: Option<CliError>,
}

impl Reports<'_> {
    fn take(&mut self, report: &PassReport) {
        self.done += 1;
        self.exit = self.exit.or_worse(exit_of_outcome(report.outcome));
        let result = match (self.out.is_json(), self.once) {
            (true, _) => self.out.json_line(report),
            (false, true) => self.out.data(&run_text(report, self.out.width())),
            // The daemon speaks through its log.
            (false, false) => Ok(()),
        };
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The daemon's log says it as well, from its usual level on.
    fn stopping(&self, up_to: Duration) {
        if self.once {
            self.bars.end();
            let seconds = up_to.as_secs();
            self.out.insist(&format!("stopping: finishing the running pass (up to {seconds}s); again to stop at once"));
        }
    }
}
