//! Log lines in the journal, by the real protocol, at a socket of the test's own.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use reconciled::sandbox::{Fault, Matcher};

use crate::daemon::{Daemon, PATIENCE, hourly};
use crate::world::World;

const TOKEN: &str = "canary-5b7f0e2d";

/// What listens in the journal's stead.
struct Journal {
    socket: UnixDatagram,
    /// All bytes that came.
    raw: Vec<u8>,
}

impl Journal {
    fn listen(world: &World) -> (Self, (&'static str, String)) {
        let path = world.path("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self { socket, raw: Vec::new() }, ("RECONCILED__LOG__JOURNAL_SOCKET", path.display().to_string()))
    }

    fn next(&mut self) -> BTreeMap<String, String> {
        let mut bytes = vec![0; 1 << 16];
        let length = self.socket.recv(&mut bytes).unwrap();
        self.raw.extend_from_slice(&bytes[..length]);
        fields(&bytes[..length])
    }

    /// The entries up to the first one that says this.
    fn hears(&mut self, words: &str) -> Vec<BTreeMap<String, String>> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|entry: &BTreeMap<String, String>| entry["MESSAGE"].contains(words)) {
            all.push(self.next());
        }
        all
    }
}

/// The fields of a datagram: `NAME=value`, or `NAME`, the length in eight bytes, and a value that may have line ends.
fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = BTreeMap::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value, rest) = if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            (text(&line[..at]), text(&line[at + 1..]), rest)
        } else {
            let length = usize::try_from(u64::from_le_bytes(rest[..8].try_into().unwrap())).unwrap();
            (text(line), text(&rest[8..8 + length]), &rest[9 + length..])
        };
        fields.insert(name, value);
        bytes = rest;
    }
    fields
}

/// Needs a token, which is a secret.
fn guarded() -> World {
    let world = hourly();
    world.settings_of_upstreams(
        "retry = { attempts = 1 }\n[upstream.crm.auth]\nkind = \"bearer\"\ntoken = \"${secret.crm_token}\"",
    );
    world
}

fn environment(more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut all =
        vec![("RECONCILED_SECRET_CRM_TOKEN", TOKEN.to_owned()), ("RECONCILED_LOG", "reconciled=trace".to_owned())];
    all.extend_from_slice(more);
    all
}

#[test]
fn in_the_journal_lines_have_fields_priorities_and_the_pass_and_no_secret() {
    let world = guarded();
    let (mut journal, socket) = Journal::listen(&world);
    let format = ("RECONCILED__LOG__FORMAT", "journal".to_owned());
    let daemon = Daemon::start_with(&world, &environment(&[format, socket]));
    let heard = journal.hears("pass 1 of contacts");
    for entry in &heard {
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "reconciled", "{entry:?}");
        assert!(entry["RECONCILED_TARGET"].starts_with("reconciled"), "{entry:?}");
        assert!(entry["CODE_FILE"].starts_with("src/") && entry["CODE_LINE"].parse::<u32>().is_ok(), "{entry:?}");
    }
    let of_pass = heard.last().unwrap();
    assert_eq!(
        (&*of_pass["PRIORITY"], &*of_pass["RECONCILED_PASS_ID"], &*of_pass["RECONCILED_COLLECTION"]),
        ("6", "1", "contacts")
    );
    let asked = heard.iter().find(|entry| entry["MESSAGE"].contains("answered")).unwrap();
    assert_eq!(
        (
            &*asked["PRIORITY"],
            &*asked["RECONCILED_PASS_ID"],
            &*asked["RECONCILED_UPSTREAM"],
            &*asked["RECONCILED_STATUS"]
        ),
        ("7", "1", "crm", "200")
    );
    assert!(asked["MESSAGE"].contains("upstream=crm method=GET path=/contacts"), "{asked:?}");
    // Rules that are wrong take several lines; an operator must act.
    world.change_rules("rules.toml", |rules| rules.replace("phone = \"text\"", "phone = \"texxt\""));
    daemon.signal("HUP");
    let heard = journal.hears("those from before stay in force");
    let refused = heard.last().unwrap();
    assert!(refused["MESSAGE"].lines().count() > 3 && refused["PRIORITY"] == "3", "{refused:?}");
    world.at("crm", |crm| crm.push_fault(Matcher::any(), Fault::status(500)));
    daemon.signal("USR1");
    let heard = journal.hears("pass 2 of contacts");
    assert_eq!((&*heard.last().unwrap()["PRIORITY"], &*heard.last().unwrap()["RECONCILED_PASS_ID"]), ("4", "2"));
    let (code, stderr) = daemon.stops();
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "nothing is said twice");
    let raw = String::from_utf8_lossy(&journal.raw);
    assert!(raw.contains("crm") && !raw.contains(TOKEN), "{raw}");
}

/// Runs the daemon with `JOURNAL_STREAM` as the shell makes it.
fn with_stream(world: &World, stream: &str, more: &[(&'static str, String)]) -> Daemon {
    let daemon = world.command();
    let mut command = Command::new("sh");
    command.env_clear().current_dir(world.path("")).env("PATH", "/usr/bin:/bin");
    command.envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(environment(more));
    command.arg("-c").arg(format!("export JOURNAL_STREAM={stream}; exec \"$@\"")).arg("sh");
    command.arg(daemon.get_program()).args(daemon.get_args()).arg("run");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Daemon::of(command)
}

#[test]
fn where_stderr_is_the_journal_lines_go_there_by_themselves_and_a_setting_says_otherwise() {
    let own = "$(stat -L -c %d:%i /proc/self/fd/2)";
    let world = guarded();
    let (mut journal, socket) = Journal::listen(&world);
    let daemon = with_stream(&world, own, std::slice::from_ref(&socket));
    journal.hears("pass 1 of contacts");
    assert_eq!(daemon.stops(), (Some(0), String::new()));
    for (format, is_json) in [("text", false), ("json", true)] {
        let world = guarded();
        let mut daemon = with_stream(&world, own, &[("RECONCILED__LOG__FORMAT", format.to_owned()), socket.clone()]);
        let line = daemon.logs("pass 1 of contacts").lines().next().unwrap_or_default().to_owned();
        assert_eq!(line.starts_with('{'), is_json, "{line}");
        daemon.stops();
    }
    // It is the journal of somebody else, whose child this is.
    let world = guarded();
    let mut daemon = with_stream(&world, "1:1", &[socket]);
    assert!(!daemon.logs("pass 1 of contacts").contains("<6>"));
    daemon.stops();
}

#[test]
fn where_the_journal_cannot_be_reached_stderr_has_the_lines_with_their_priorities() {
    let world = guarded();
    let mut daemon = with_stream(
        &world,
        "$(stat -L -c %d:%i /proc/self/fd/2)",
        &[("RECONCILED__LOG__JOURNAL_SOCKET", world.path("nobody").display().to_string())],
    );
    let said = daemon.logs("pass 1 of contacts");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("<4>the journal at ") && lines[0].contains("cannot be reached"), "{said}");
    assert!(lines.last().unwrap().starts_with("<6>pass{pass_id=1 collection=contacts}: pass 1 of contacts"), "{said}");
    assert!(lines.iter().all(|line| line.starts_with('<')), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    daemon.stops();
}
