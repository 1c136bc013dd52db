//! Owns: what is looked at of the running program: its unit, the daemon behind the control socket.
//!
//! Must not know: what the daemon does.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::store::lock_holder;
use crate::web::Reach;

use super::super::ask::{Daemon, rules_waiting};
use super::super::workspace::Workspace;
use super::finding::Finding;

const UNIT: &str = "reconciled.service";
const PROPERTIES: &str = "LoadState,UnitFileState,ActiveState,NeedDaemonReload,ExecStart";

/// The unit, where there is a service manager.
pub fn unit() -> Finding {
    let asked = Command::new("systemctl").args(["show", UNIT, "--no-pager", "--property", PROPERTIES]).output();
    match asked {
        Ok(answer) if answer.status.success() => {
            let this = std::env::current_exe().and_then(std::fs::canonicalize).ok();
            judge(&properties(&String::from_utf8_lossy(&answer.stdout)), this.as_deref())
        }
        _ => Finding::good("unit", "there is no systemd here that could be asked"),
    }
}

fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

fn judge(unit: &BTreeMap<&str, &str>, this: Option<&Path>) -> Finding {
    let of = |name: &str| unit.get(name).copied().unwrap_or_default();
    let active = of("ActiveState");
    if of("LoadState") == "not-found" {
        let remedy = "install it where the daemon is to run by itself (README, As a service)";
        return Finding::warning("unit", format!("{UNIT} is not installed"), remedy);
    }
    if of("LoadState") != "loaded" {
        let remedy = format!("`systemctl status {UNIT}` says more, `systemd-analyze verify {UNIT}` what is wrong");
        return Finding::error("unit", format!("{UNIT} cannot be loaded ({})", of("LoadState")), remedy);
    }
    if active == "failed" {
        return Finding::error("unit", format!("{UNIT} has failed"), format!("`journalctl -u {UNIT} -e` says why"));
    }
    if of("NeedDaemonReload") == "yes" {
        return Finding::warning("unit", format!("{UNIT} was changed since it was loaded"), "systemctl daemon-reload");
    }
    let starts = of("ExecStart").split_once("path=").and_then(|(_, rest)| rest.split([' ', ';']).next());
    if let (Some(starts), Some(this)) = (starts, this)
        && std::fs::canonicalize(starts).ok().as_deref() != Some(this)
    {
        let found = format!("{UNIT} starts {starts}, and this is {}", this.display());
        return Finding::warning("unit", found, "install this one there, or run that one");
    }
    match of("UnitFileState") {
        "enabled" | "enabled-runtime" | "static" | "linked" | "alias" => {
            Finding::good("unit", format!("{UNIT} is installed, {}, {active}", of("UnitFileState")))
        }
        state => {
            let found = format!("{UNIT} is {state}: it does not start with the machine");
            Finding::warning("unit", found, format!("systemctl enable --now {UNIT}"))
        }
    }
}

/// The daemon that works on this database, where one does.
pub async fn daemon(workspace: &Workspace) -> Finding {
    let socket = workspace.control_socket();
    let shown = socket.display();
    let found = match Daemon::find(workspace) {
        Ok(found) => found,
        Err(error) => {
            return Finding::warning(
                "daemon",
                error.to_string(),
                "run this as the daemon's user or a member of its group",
            );
        }
    };
    let Some(daemon) = found else {
        if let Err(error) = Reach::of(&socket)
            && error.kind() == ErrorKind::InvalidInput
        {
            let found = format!("whether one runs cannot be told: {shown}: {error}");
            return Finding::warning("daemon", found, "give the database a shorter name; its folder does not matter");
        }
        // A single run has no socket, and is soon over.
        if let Some(holder) = lock_holder(&workspace.settings().database) {
            let found = format!("one works on this database ({holder}), and does not listen at {shown}");
            let remedy = "a single run never does; a daemon's log says why, and it tries again every 10 seconds";
            return Finding::warning("daemon", found, remedy);
        }
        return match std::fs::metadata(&socket) {
            Ok(_) => Finding::warning(
                "daemon",
                format!("nobody answers behind {shown}, and it is there"),
                "it was killed, and the next one makes it anew",
            ),
            Err(_) => Finding::good("daemon", "none runs on this database"),
        };
    };
    match daemon.standing().await {
        Err(error) => {
            let holder = lock_holder(&workspace.settings().database);
            let works = holder.map(|holder| format!("; {holder} works on this database")).unwrap_or_default();
            Finding::error("daemon", format!("{error}{works}"), "look into its log; restart it if it hangs")
        }
        Ok(standing) => {
            let (version, pid) = (standing["version"].as_str().unwrap_or("an older version"), &standing["pid"]);
            let ours = env!("CARGO_PKG_VERSION");
            if version != ours {
                let found = format!("process {pid} is {version}, and this is {ours}");
                return Finding::warning("daemon", found, "restart it, or run the program that it is");
            }
            if let Some(refused) = standing["rules_refused"].as_str() {
                let line = refused.lines().next().unwrap_or_default();
                let found = format!("process {pid} works by older rules: those in the files are refused: {line}");
                return Finding::error("daemon", found, "`reconciled check` shows what is wrong with them");
            }
            if let Some(words) = standing["not_served"].get(0).and_then(serde_json::Value::as_str) {
                let remedy = "`ss -ltnp` shows who listens there; end it, or set another address";
                return Finding::error("daemon", format!("process {pid} runs, but {words}"), remedy);
            }
            if let Some(mode) = opened_to_all(&socket) {
                let found = format!(
                    "everybody on this machine may open {shown} (mode {mode:03o}); only some of them are answered"
                );
                return Finding::warning("daemon", found, format!("chmod 660 {shown}"));
            }
            if let Some((awaited, changed)) = rules_waiting(&standing) {
                let found =
                    format!("process {pid} works on {changed} by older rules until the pass of {awaited} has ended");
                return Finding::good("daemon", found);
            }
            Finding::good("daemon", format!("process {pid}, version {version}, answers behind {shown}"))
        }
    }
}

/// The permissions of a socket that others than its owner and its group may open.
fn opened_to_all(socket: &Path) -> Option<u32> {
    let mode = std::fs::metadata(socket).map_or(0, |meta| meta.permissions().mode() & 0o777);
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_unit_is_judged_by_what_systemd_says_of_it() {
        let this = std::fs::canonicalize("/proc/self/exe").unwrap();
        let check = |more: &str, level: Level, words: &str| {
            let text = format!(
                "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nNeedDaemonReload=no\n\
                 ExecStart={{ path={} ; argv[]=x run ; }}\n{more}",
                this.display()
            );
            let found = judge(&properties(&text), Some(&this));
            assert!(found.level == level && found.found.contains(words), "{more}: {found:?}");
        };
        check("", Level::Ok, "reconciled.service is installed, enabled, active");
        check("LoadState=not-found", Level::Warning, "is not installed");
        check("LoadState=bad-setting", Level::Error, "cannot be loaded (bad-setting)");
        check("ActiveState=failed", Level::Error, "has failed");
        check("NeedDaemonReload=yes", Level::Warning, "changed since");
        check("UnitFileState=disabled", Level::Warning, "does not start with the machine");
        check("ExecStart={ path=/bin/sh ; argv[]=sh }", Level::Warning, "starts /bin/sh, and this is ");
    }
}
