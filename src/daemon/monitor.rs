//! Owns: what the daemon does about upstreams beside passes: every few seconds, what was asked of them is written down.
//!
//! Must not know: when passes run; what is counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::reconcile::Engine;

/// How long a count may be missing from the database.
const KEPT_EVERY: Duration = Duration::from_secs(5);

/// Works beside passes until it is dropped.
pub struct Monitor {
    engine: watch::Sender<Arc<Engine>>,
    _work: JoinSet<()>,
}

impl Monitor {
    /// Begins.
    pub fn start(engine: &Arc<Engine>, clock: Arc<dyn Clock>) -> Self {
        let (tell, told) = watch::channel(Arc::clone(engine));
        let mut work = JoinSet::new();
        work.spawn(watch_over(told, clock));
        Self { engine: tell, _work: work }
    }

    /// Other rules are in force.
    pub fn renew(&self, engine: &Arc<Engine>) {
        self.engine.send_replace(Arc::clone(engine));
    }
}

async fn watch_over(engine: watch::Receiver<Arc<Engine>>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(KEPT_EVERY).await;
        let now = Arc::clone(&engine.borrow());
        // What could not be written down is tried again; why that is, the next pass finds out.
        now.keep_usage().await.ok();
    }
}
