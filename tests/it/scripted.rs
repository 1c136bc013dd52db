//! An upstream that a test writes itself, on loopback, and a world whose rules name it.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::world::{Ran, World};

/// A router that is served, and a world.
pub struct Scripted {
    pub world: World,
    name: &'static str,
    url: String,
    _runtime: tokio::runtime::Runtime,
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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
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
