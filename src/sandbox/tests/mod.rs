//! Owns: what the unit tests of the sandbox share.
//!
//! Must not know: what is tested.

mod faults;
mod gates;
mod reads;
mod served;
mod writes;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;

/// Seconds after an arbitrary moment.
fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

/// A sandbox with one resource at `/c` and records `1` to `count`, each `n` and `name`, a second apart.
fn filled(config: ResourceConfig, count: i64) -> Sandbox {
    let mut sandbox = Sandbox::new(SandboxConfig::of([config]));
    for n in 1..=count {
        sandbox.insert("/c", &json!({"id": n.to_string(), "n": n, "name": format!("r{n}")}), at(n)).unwrap();
    }
    sandbox
}

fn request(line: &str, headers: &[(&str, &str)], body: &Value) -> Request<Bytes> {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target).header("host", "up:1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(if body.is_null() { Bytes::new() } else { body.to_string().into() }).unwrap()
}

/// An answer, easy to compare.
struct Got {
    status: u16,
    body: Value,
    response: Response<Bytes>,
    deliver: Deliver,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The ids in a listing, as in `1,2`.
    fn ids(&self) -> String {
        let records = self.body.as_array().or_else(|| self.body["results"].as_array());
        let ids = records.unwrap().iter().map(|record| record["id"].as_str().unwrap());
        ids.collect::<Vec<_>>().join(",")
    }
}

fn send(sandbox: &mut Sandbox, line: &str, headers: &[(&str, &str)], body: &Value) -> Got {
    send_at(sandbox, 1000, line, headers, body)
}

fn send_at(sandbox: &mut Sandbox, seconds: i64, line: &str, headers: &[(&str, &str)], body: &Value) -> Got {
    let Outcome { response, deliver } = sandbox.handle(at(seconds), &request(line, headers, body));
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    Got { status: response.status().as_u16(), body, response, deliver }
}

fn get(sandbox: &mut Sandbox, target: &str) -> Got {
    send(sandbox, &format!("GET {target}"), &[], &Value::Null)
}
