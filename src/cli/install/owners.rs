//! Owns: the user that the service runs as and the owners of its folders: systemd's own tools make them of what was installed.
//!
//! Must not know: what is installed, and what is told.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::carry::Root;

/// Where systemd looks for descriptions of users and folders.
pub const LOOKED_AT: [&str; 2] = ["/usr/local", "/usr"];

/// One of systemd's tools, and the description that it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    program: &'static str,
    option: &'static str,
    /// Below the prefix.
    description: &'static str,
}

/// The user first: folders are given to it.
pub const MAKERS: [Maker; 2] = [
    Maker { program: "systemd-sysusers", option: "", description: "lib/sysusers.d/reconciled.conf" },
    Maker { program: "systemd-tmpfiles", option: " --create", description: "lib/tmpfiles.d/reconciled.conf" },
];

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    /// All is as the description says.
    Done,
    /// Not begun, and why: somebody has to do it.
    Left(String),
}

/// Whether users can be made at all by who runs this.
pub fn allowed() -> bool {
    rustix::process::geteuid().is_root()
}

impl Maker {
    /// As a person writes it, for the system below `root`.
    pub fn command(self, root: &Path, prefix: &str) -> String {
        let Self { program, option, description } = self;
        let of_root = super::command::of_root(root);
        if LOOKED_AT.contains(&prefix) {
            return format!("{program}{of_root}{option} reconciled.conf");
        }
        let at = Root::new(root).at(&format!("{prefix}/{description}"));
        format!("{program}{of_root}{option} - < {}", at.display())
    }

    /// Does it.
    ///
    /// # Errors
    /// What the tool said, where it failed.
    pub fn make(self, root: &Path, prefix: &str) -> io::Result<Made> {
        if !allowed() {
            return Ok(Made::Left("it takes root".to_owned()));
        }
        // By its standard input: the tool itself finds nothing below another prefix, and with a root it takes no path at all.
        let description = File::open(Root::new(root).at(&format!("{prefix}/{}", self.description)))?;
        let mut command = Command::new(self.program);
        if root != Path::new("/") {
            command.arg(format!("--root={}", root.display()));
        }
        command.args(self.option.split_whitespace()).arg("-").stdin(Stdio::from(description));
        match command.output() {
            Ok(output) if output.status.success() => Ok(Made::Done),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(io::Error::other(format!("{}: {}", output.status, said.trim().lines().last().unwrap_or_default())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Made::Left(format!("{} is not on this machine", self.program)))
            }
            Err(error) => Err(error),
        }
    }
}
