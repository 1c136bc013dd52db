//! Traces: what a collector gets with the feature `otlp`, and that nothing depends on one.

use crate::daemon::hourly;
use crate::world::Ran;

#[cfg(not(feature = "otlp"))]
#[test]
fn without_the_feature_a_collector_that_is_set_is_told_of_and_changes_nothing() {
    let world = hourly();
    let mut command = world.command();
    command.args(["run", "--once"]).env("RECONCILED__OTLP__ENDPOINT", "http://127.0.0.1:9");
    let ran = Ran::of(command.output().unwrap()).exits(0);
    assert!(
        ran.stderr.contains("no traces go to http://127.0.0.1:9 (`otlp.endpoint`): this program was built without"),
        "{ran:#?}"
    );
    // Commands that make no pass have none to send.
    let mut command = world.command();
    command.arg("status").env("RECONCILED__OTLP__ENDPOINT", "http://127.0.0.1:9");
    assert_eq!(Ran::of(command.output().unwrap()).exits(0).stderr, "");
}

#[cfg(feature = "otlp")]
mod with_the_feature {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    use http::Method;
    use reconciled::sandbox::{Fault, Matcher};
    use serde_json::{Value, json};

    use super::*;
    use crate::daemon::{Daemon, PATIENCE};

    const TOKEN: &str = "canary-77aa01c4";

    /// A collector; the bodies that come to it.
    fn collector(status: u16) -> (String, Receiver<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (send, bodies) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = take(stream.unwrap(), status);
                if send.send(body).is_err() {
                    return;
                }
            }
        });
        (address, bodies)
    }

    fn take(stream: TcpStream, status: u16) -> Value {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let head = head.to_lowercase();
        assert!(
            head.starts_with("post /v1/traces http/1.1\r\n") && head.contains("content-type: application/json"),
            "{head}"
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(reader.get_mut(), "HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}").unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// A span as it came.
    #[derive(Clone, Debug)]
    struct Span {
        name: String,
        id: String,
        parent: String,
        trace: String,
        attributes: BTreeMap<String, String>,
        failed: bool,
    }

    fn value(of: &Value) -> String {
        let (_, value) = of.as_object().unwrap().iter().next().unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    fn attributes(of: &Value) -> BTreeMap<String, String> {
        let pairs = of["attributes"].as_array().into_iter().flatten();
        pairs.map(|pair| (pair["key"].as_str().unwrap().to_owned(), value(&pair["value"]))).collect()
    }

    fn spans(body: &Value) -> Vec<Span> {
        let mut all = Vec::new();
        for resource in body["resourceSpans"].as_array().unwrap() {
            let of = attributes(&resource["resource"]);
            assert_eq!((&*of["service.name"], &*of["service.version"]), ("reconciled", env!("CARGO_PKG_VERSION")));
            for scope in resource["scopeSpans"].as_array().unwrap() {
                all.extend(scope["spans"].as_array().unwrap().iter().map(|span| {
                    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
                    let (id, parent, trace) = (text("spanId"), text("parentSpanId"), text("traceId"));
                    let failed = span["status"]["code"] == json!(2);
                    Span { name: text("name"), id, parent, trace, attributes: attributes(span), failed }
                }));
            }
        }
        all
    }

    fn one(all: &[Span], test: impl Fn(&Span) -> bool) -> &Span {
        let found: Vec<&Span> = all.iter().filter(|span| test(span)).collect();
        assert_eq!(found.len(), 1, "{all:#?}");
        found[0]
    }

    #[test]
    fn a_pass_comes_to_the_collector_with_what_it_fetched_decided_pushed_and_asked() {
        let world = hourly();
        world.settings_of_upstreams(
            "retry = { attempts = 1 }\n[upstream.crm.auth]\nkind = \"bearer\"\ntoken = \"${secret.crm_token}\"",
        );
        let (endpoint, bodies) = collector(200);
        let run = |code: i32| {
            let mut command = world.command();
            command.args(["run", "--once"]).env("RECONCILED__OTLP__ENDPOINT", &endpoint);
            command.env("RECONCILED_SECRET_CRM_TOKEN", TOKEN);
            let ran = Ran::of(command.output().unwrap()).exits(code);
            assert!(!ran.stderr.contains("traces"), "{ran:#?}");
            let body = bodies.recv_timeout(PATIENCE).unwrap();
            assert!(!body.to_string().contains(TOKEN), "{body:#}");
            spans(&body)
        };
        run(0);
        world.sql("update contacts set phone = '2'");
        let all = run(0);
        let pass = one(&all, |span| span.name == "pass");
        assert_eq!((&*pass.attributes["pass_id"], &*pass.attributes["collection"]), ("2", "contacts"));
        assert!(pass.parent.is_empty() && all.iter().all(|span| span.trace == pass.trace), "{all:#?}");
        for name in ["fetch", "decide", "push"] {
            let phase = one(&all, |span| span.name == name);
            assert_eq!(phase.parent, pass.id, "{all:#?}");
            assert_eq!(phase.attributes.get("upstream").map(String::as_str), (name != "decide").then_some("crm"));
        }
        let id_of = |name: &str| one(&all, |span| span.name == name).id.clone();
        let listed = one(&all, |span| span.name == "GET" && span.parent == id_of("fetch"));
        let written = one(&all, |span| span.name == "PATCH");
        assert_eq!(written.parent, id_of("push"));
        for (span, method, path) in [(listed, "GET", "/contacts"), (written, "PATCH", "/contacts/1")] {
            let of = |name: &str| span.attributes[name].as_str();
            assert_eq!((of("http.request.method"), of("url.path")), (method, path));
            assert_eq!((of("http.response.status_code"), of("upstream"), span.failed), ("200", "crm", false));
        }
        // What goes wrong is marked.
        world.at("crm", |crm| crm.push_fault(Matcher::exactly(Method::GET, "/contacts"), Fault::status(500)));
        let mut command = world.command();
        command.args(["run", "--once"]).env("RECONCILED__OTLP__ENDPOINT", &endpoint);
        command.env("RECONCILED_SECRET_CRM_TOKEN", TOKEN);
        Ran::of(command.output().unwrap()).exits(6);
        let all = spans(&bodies.recv_timeout(PATIENCE).unwrap());
        let asked = one(&all, |span| span.name == "GET");
        assert_eq!((asked.failed, &*asked.attributes["http.response.status_code"]), (true, "500"));
        assert!(one(&all, |span| span.name == "fetch").failed, "{all:#?}");
        assert!(!one(&all, |span| span.name == "decide").failed);
    }

    #[test]
    fn log_lines_are_what_they_are_without_traces_and_a_collector_that_fails_is_told_of_once() {
        let world = hourly();
        let (endpoint, bodies) = collector(503);
        let environment = [
            ("RECONCILED__OTLP__ENDPOINT", endpoint),
            ("RECONCILED_LOG", "trace".to_owned()),
            ("RECONCILED__LOG__FORMAT", "json".to_owned()),
        ];
        let mut daemon = Daemon::start_with(&world, &environment);
        let said = daemon.logs("pass 1 of contacts");
        let answered: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["message"] == "answered")
            .collect();
        assert!(!answered.is_empty(), "{said}");
        for line in answered {
            let span = json!({ "name": "pass", "pass_id": 1, "collection": "contacts" });
            assert_eq!(line["span"], span, "{line}");
        }
        bodies.recv_timeout(PATIENCE).unwrap();
        let said = daemon.logs("traces cannot be sent to ");
        assert!(said.contains("503"), "{said}");
        let (code, rest) = daemon.stops();
        assert_eq!((code, rest.contains("traces cannot be sent to ")), (Some(0), false), "{rest}");
    }

    #[test]
    fn nobody_waits_for_a_collector_that_is_not_there() {
        let world = hourly();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = world.command();
        command.args(["run", "--once"]).env("RECONCILED__OTLP__ENDPOINT", format!("http://{nobody}"));
        let ran = Ran::of(command.output().unwrap()).exits(0);
        assert_eq!(ran.stderr.matches("traces cannot be sent to ").count(), 1, "{ran:#?}");
    }
}
