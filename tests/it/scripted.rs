//! An upstream that a test writes itself, on loopback, and a world whose rules name it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::world::{Ran, World};

/// A router that is served, and a world.
pub struct Scripted {
    pub world: World,
    name: &'static str,
    url: String,
    _runtime: Runtime,
}

/// An upstream's state, which its requests and a test have in common.
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Shared<T> {
    pub fn look(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Records as they are, or gone, each with the number of the change that made it so.
#[derive(Default)]
pub struct Dated {
    pub records: BTreeMap<String, (usize, Option<Value>)>,
    /// The last change.
    pub change: usize,
}

impl Dated {
    /// Changes a record, which begins as `new`. `edit` is given the number of the change.
    pub fn set(&mut self, id: &str, new: Value, edit: impl FnOnce(&mut Value, usize)) -> Value {
        self.change += 1;
        let (at, record) = self.records.entry(id.to_owned()).or_default();
        *at = self.change;
        let record = record.get_or_insert(new);
        edit(record, self.change);
        record.clone()
    }

    pub fn remove(&mut self, id: &str) {
        self.change += 1;
        self.records.insert(id.to_owned(), (self.change, None));
    }

    pub fn get(&self, id: &str) -> Option<&Value> {
        self.records.get(id)?.1.as_ref()
    }
}

/// Serves a router on loopback for as long as the runtime lives; with its address.
pub fn on_loopback(router: Router) -> (Runtime, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    (runtime, url)
}

/// A second of one hour, by the number of a change.
pub fn moment(change: usize) -> String {
    format!("2026-01-01T00:{:02}:{:02}.000Z", change / 60, change % 60)
}

/// The parameters of a request.
pub fn query(text: Option<String>) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// An answer in JSON.
pub fn answer(status: u16, body: &Value) -> Response {
    let kind = [("content-type", "application/json")];
    (StatusCode::from_u16(status).unwrap(), kind, body.to_string()).into_response()
}

/// An example's rules with another way to sign in: a token.
pub fn with_bearer(example: &str, upstream: &str) -> String {
    let table = format!("[upstream.{upstream}.auth]\n");
    let (before, rest) = example.split_once(&table).unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    format!("{before}{table}kind = \"bearer\"\ntoken = \"${{secret.{upstream}}}\"\n\n{after}")
}

impl Scripted {
    /// Serves the router; rules see its address as `${var.NAME_url}` and have `${secret.NAME}`.
    pub fn new(name: &'static str, router: Router, rules: &str) -> Self {
        let (runtime, url) = on_loopback(router);
        let world = World::new();
        world.rules("rules.toml", rules);
        Self { world, name, url, _runtime: runtime }
    }

    /// One pass.
    pub fn sync(&self) -> Ran {
        self.run(&["--json", "run", "--once"])
    }

    /// One pass that reads everything.
    pub fn full_sync(&self) -> Ran {
        self.run(&["--json", "run", "--once", "--full"])
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.command();
        let name = self.name.to_uppercase();
        command.env(format!("RECONCILED__VARS__{name}_URL"), &self.url);
        command.env(format!("RECONCILED__VARS__{name}_USER"), "sync@example.com");
        command.env(format!("RECONCILED_SECRET_{name}"), "a-secret-of-tests");
        Ran::of(command.args(arguments).output().unwrap())
    }
}
