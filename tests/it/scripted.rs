//! An upstream that a test writes itself, on loopback, and a world whose rules name it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::world::{Ran, World};

/// A router that is served, and a world.
pub struct Scripted {
    pub world: World,
    name: &'static str,
    url: String,
    vars: Vec<(&'static str, &'static str)>,
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

/// A request as a scripted upstream looks at it.
pub struct Asked {
    pub method: Method,
    /// The steps of its path.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    /// `METHOD`, and the steps of the path below `prefix`.
    pub fn below<'a>(&'a self, prefix: &str) -> (&'a str, Vec<&'a str>) {
        let before: Vec<&str> = prefix.split('/').filter(|step| !step.is_empty()).collect();
        let path = self.path.iter().map(String::as_str);
        let is_below = self.path.len() >= before.len() && path.clone().zip(&before).all(|(step, other)| step == *other);
        (self.method.as_str(), if is_below { path.skip(before.len()).collect() } else { vec!["elsewhere"] })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Comes with the token of [`Scripted`].
    pub fn is_signed_in(&self) -> bool {
        self.header("authorization") == "Bearer a-secret-of-tests"
    }

    /// The body, where it is said to be JSON and is an object.
    pub fn json(&self) -> Option<Value> {
        let json = self.header("content-type").starts_with("application/json");
        serde_json::from_slice(&self.body).ok().filter(|body: &Value| json && body.is_object())
    }

    /// The body, where it is said to be a form.
    pub fn form(&self) -> Option<BTreeMap<String, String>> {
        let text = std::str::from_utf8(&self.body).ok()?.to_owned();
        (self.header("content-type") == "application/x-www-form-urlencoded").then(|| query(Some(text)))
    }

    /// The page of `size` that begins at `from`, and where the next one does.
    pub fn page<T: Clone>(all: &[T], from: usize, size: usize) -> (Vec<T>, Option<usize>) {
        let some: Vec<T> = all.iter().skip(from).take(size).cloned().collect();
        (some, (all.len() > from + size).then_some(from + size))
    }
}

/// One function answers whatever is asked.
pub fn answered_by<T: Default + Send + 'static>(server: Shared<T>, serve: fn(&mut T, &Asked) -> Response) -> Router {
    let handler = async move |State(server): State<Shared<T>>,
                              method: Method,
                              uri: Uri,
                              RawQuery(text): RawQuery,
                              headers: HeaderMap,
                              body: Bytes| {
        let path = uri.path().split('/').filter(|step| !step.is_empty()).map(str::to_owned).collect();
        serve(&mut server.look(), &Asked { method, path, query: query(text), headers, body })
    };
    Router::new().fallback(handler).with_state(server)
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
        Self { world, name, url, vars: Vec::new(), _runtime: runtime }
    }

    /// Rules see the value as `${var.NAME}`, too.
    pub fn with_var(mut self, name: &'static str, value: &'static str) -> Self {
        self.vars.push((name, value));
        self
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
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Where the upstream is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The program, to be run.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.world.command();
        let name = self.name.to_uppercase();
        command.env(format!("RECONCILED__VARS__{name}_URL"), &self.url);
        command.env(format!("RECONCILED__VARS__{name}_USER"), "sync@example.com");
        command.env(format!("RECONCILED_SECRET_{name}"), "a-secret-of-tests");
        command
            .envs(self.vars.iter().map(|(name, value)| (format!("RECONCILED__VARS__{}", name.to_uppercase()), value)));
        command.args(arguments);
        command
    }
}
