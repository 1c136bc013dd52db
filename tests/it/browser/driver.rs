//! A headless Chromium by the `WebDriver` protocol (W3C), which is JSON over HTTP. It is gone, with its profile, when dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::faults::tools::is_left_out;

/// What never comes ends a test after so long, in milliseconds.
const PATIENCE_MS: u64 = 30_000;
/// How often the driver is started until it listens.
const STARTS_MAX: usize = 5;
/// Pages that may load while something is waited for.
const LOADS_MAX: usize = 50;
/// How often it is looked where a page is by now; each look takes the driver some milliseconds.
const LOOKS_MAX: usize = 3_000;
/// How the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,1000",
];

/// The program that drives it while it lives.
struct Driver {
    child: Child,
    /// Nobody reads on; closed, the driver could not write to it.
    _says: BufReader<ChildStdout>,
    address: String,
}

/// A browser.
pub struct Browser {
    driver: Driver,
    session: String,
    site: String,
    _profile: tempfile::TempDir,
}

impl Driver {
    fn start() -> Self {
        let started = (0..STARTS_MAX).find_map(|_| Self::try_to_start());
        started.unwrap_or_else(|| panic!("chromedriver ends before it listens, {STARTS_MAX} times"))
    }

    /// `None` where it ended at once: it takes a free port for IPv6 first, and somebody may have it for IPv4.
    fn try_to_start() -> Option<Self> {
        let command = || Command::new("chromedriver");
        let child = command().arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!(
                "chromedriver: {error}: install the packages chromium and chromium-driver, or leave these tests out with \
                 RECONCILED_TESTS_WITHOUT=chromium"
            )
        });
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("started successfully on port ") {
            line.clear();
            if says.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return None;
            }
        }
        let port = line.rsplit("on port ").next().unwrap().trim().trim_end_matches('.');
        Some(Self { child, _says: says, address: format!("127.0.0.1:{port}") })
    }

    /// One command; an error as the protocol tells it.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(3 * PATIENCE_MS))).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let (address, length) = (&self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        let is_done = line.contains(" 200 ");
        let mut length = 0;
        while !line.trim().is_empty() {
            line.clear();
            answer.read_line(&mut line).unwrap();
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes).unwrap();
        let value = serde_json::from_slice::<Value>(&bytes).unwrap()["value"].take();
        if is_done { Ok(value) } else { Err(value) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Browser {
    /// Opens one for the site at this address; `None`, said aloud, where such tests are left out.
    pub fn open(site: &str) -> Option<Self> {
        if is_left_out("chromium") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "script": 2 * PATIENCE_MS, "pageLoad": PATIENCE_MS },
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let opened = driver.ask("POST", "/session", &wanted).unwrap_or_else(|error| panic!("no browser: {error:#}"));
        let session = format!("/session/{}", opened["sessionId"].as_str().unwrap());
        Some(Self { driver, session, site: format!("http://{site}"), _profile: profile })
    }

    fn try_to(&self, command: &str, body: &Value) -> Result<Value, Value> {
        self.driver.ask("POST", &format!("{}/{command}", self.session), body)
    }

    #[track_caller]
    fn command(&self, command: &str, body: &Value) -> Value {
        self.try_to(command, body).unwrap_or_else(|error| panic!("{command} {body}: {error:#}"))
    }

    /// Opens a page, and waits until it is there, or the one to log in: a page that loads itself again at that moment is taken by
    /// the driver for the one that was asked for.
    #[track_caller]
    pub fn go(&self, path: &str) {
        self.eval("document.documentElement.dataset.left = ''");
        self.command("url", &json!({ "url": format!("{}{path}", self.site) }));
        self.until(&format!(
            "document.documentElement.dataset.left === undefined && document.readyState === 'complete'
             && [{path:?}, '/login'].includes(location.pathname + location.search)"
        ));
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn eval(&self, expression: &str) -> Value {
        self.command("execute/sync", &json!({ "script": format!("return ({expression});"), "args": [] }))
    }

    /// Waits until an expression holds in the page, whichever page that is by then.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{ if ({expression}) done(true); else setTimeout(look, 20); }};
             setTimeout(() => done(false), {PATIENCE_MS});
             look();"
        );
        let mut said = Value::Null;
        for _ in 0..LOADS_MAX {
            match self.try_to("execute/async", &json!({ "script": script, "args": [] })) {
                Ok(Value::Bool(true)) => return,
                Ok(other) => {
                    said = other;
                    break;
                }
                // Another page was loaded meanwhile: the driver calls that an error of the script, or its time-out.
                Err(error) => said = error,
            }
        }
        panic!("{expression} does not come true at {}: {said:#}\n{}", self.at(), self.text());
    }

    /// Where it is, without the host.
    pub fn at(&self) -> String {
        self.eval("location.pathname + location.search").as_str().unwrap().to_owned()
    }

    /// What can be read.
    pub fn text(&self) -> String {
        self.eval("document.body.innerText").as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn find(&self, css: &str) -> String {
        let found = self.try_to("element", &json!({ "using": "css selector", "value": css }));
        let found = found.unwrap_or_else(|_| panic!("no {css} at {}:\n{}", self.at(), self.text()));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Clicks the button (or link) that says this, within what the selector finds.
    #[track_caller]
    pub fn press(&self, within: &str, says: &str) {
        let find = format!(
            "[...document.querySelectorAll({within:?} + ' button, ' + {within:?} + ' a')]
             .find((one) => one.textContent.trim() === {says:?}) ?? null"
        );
        let mut said = Value::Null;
        for _ in 0..LOADS_MAX {
            let found = self.eval(&find);
            let Some(element) = found[ELEMENT].as_str() else {
                panic!("no {says:?} in {within} at {}:\n{}", self.at(), self.text());
            };
            match self.try_to(&format!("element/{element}/click"), &json!({})) {
                Ok(_) => return,
                // The page changed between the look and the click, by itself or to another one.
                Err(error) if error["error"] == "stale element reference" => said = error,
                Err(error) => panic!("{says:?} cannot be pressed: {error:#}"),
            }
        }
        panic!("{says:?} never stays: {said:#}");
    }

    /// Presses a button that sends a form, and waits until the page that answers is there: what is opened before would be
    /// overtaken by it.
    #[track_caller]
    pub fn sends(&self, within: &str, says: &str) {
        self.eval("document.documentElement.dataset.sent = ''");
        self.press(within, says);
        self.until("document.documentElement.dataset.sent === undefined && document.readyState === 'complete'");
    }

    /// Writes into a field.
    #[track_caller]
    pub fn write(&self, css: &str, text: &str) {
        let element = self.find(css);
        self.command(&format!("element/{element}/clear"), &json!({}));
        self.command(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Chooses an option of a list by its value.
    #[track_caller]
    pub fn choose(&self, list: &str, value: &str) {
        self.click(&format!("{list} option[value={value:?}]"));
    }

    /// Presses a key, wherever the focus is.
    fn key(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.command("actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// Types, wherever the focus is.
    pub fn types(&self, text: &str) {
        text.chars().for_each(|one| self.key(&one.to_string()));
    }

    /// The tabulator key.
    pub fn tab(&self) {
        self.key(TAB);
    }

    /// The enter key.
    pub fn enter(&self) {
        self.key(ENTER);
    }

    /// From now on no page runs a script of its own; expressions of this driver are still answered.
    pub fn without_scripts(&self) {
        let params = json!({ "value": true });
        self.command("goog/cdp/execute", &json!({ "cmd": "Emulation.setScriptExecutionDisabled", "params": params }));
    }

    /// Waits until an expression holds, without a script in the page.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let script = format!("return ({expression});");
        for _ in 0..LOOKS_MAX {
            // An error: the page was another one meanwhile.
            if self.try_to("execute/sync", &json!({ "script": script, "args": [] })) == Ok(Value::Bool(true)) {
                return;
            }
        }
        panic!("{expression} does not come true at {}:\n{}", self.at(), self.text());
    }

    /// Waits until it is at this path, without a script in the page.
    #[track_caller]
    pub fn arrives(&self, path: &str) {
        self.until(&format!("location.pathname === {path:?}"));
    }

    /// Looks as it would where people like it light or dark.
    pub fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let params = json!({ "features": features });
        self.command("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": params }));
    }

    /// Looks as it would in a window so wide; `None`: as wide as it is.
    pub fn width(&self, width: Option<u32>) {
        let (cmd, params) = match width {
            Some(width) => {
                let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
                ("Emulation.setDeviceMetricsOverride", metrics)
            }
            None => ("Emulation.clearDeviceMetricsOverride", json!({})),
        };
        self.command("goog/cdp/execute", &json!({ "cmd": cmd, "params": params }));
    }

    /// What pages complained of since it was asked last: errors, and what the content security policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.command("se/log", &json!({ "type": "browser" }));
        let bad = |line: &&Value| {
            // The browser's own first page is none of ours.
            let is_ours = !line["message"].as_str().unwrap().starts_with("chrome://");
            is_ours && line["level"] != "INFO" && line["level"] != "DEBUG"
        };
        lines.as_array().unwrap().iter().filter(bad).map(Value::to_string).collect()
    }

    /// Keeps a picture of the whole page in the folder `RECONCILED_TESTS_PICTURES`, where that is set.
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("RECONCILED_TESTS_PICTURES") else { return };
        let params = json!({ "captureBeyondViewport": true });
        let picture = self.command("goog/cdp/execute", &json!({ "cmd": "Page.captureScreenshot", "params": params }));
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It closes its windows and ends; its driver ends after it.
        self.driver.ask("DELETE", &self.session, &Value::Null).ok();
    }
}
