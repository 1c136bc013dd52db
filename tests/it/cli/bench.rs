//! Owns: a folder of its own for each test, and the binary run in it.
//!
//! Must not know: what is claimed.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// Rules that need nothing from outside; the port is one on which nobody listens.
pub const RULES: &str = r#"
[upstream.crm]
base_url = "http://127.0.0.1:9"
retry = { attempts = 1 }

[collection.contacts]
every = "5m"
merge = ["local_edit_wins", "manual"]

[collection.contacts.fields]
email = { type = "text", required = true }
name = "text"

[binding.contacts.crm]
id = ".id"

[binding.contacts.crm.read]
request = "GET /contacts"
records = ".results[]"

[binding.contacts.crm.map]
email = ".email"
name = ".name"

[binding.contacts.crm.write.create]
request = "POST /contacts"
idempotency = { match = "email" }

[binding.contacts.crm.write.update]
request = "PATCH /contacts/{id}"
precondition = "none"
"#;

/// A folder to work in.
pub struct Bench {
    folder: tempfile::TempDir,
}

/// What a command did.
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
}

impl Bench {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with [`RULES`].
    pub fn with_rules() -> Self {
        let bench = Self::empty();
        bench.put("sync-rules/all.toml", RULES);
        bench
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The command, in this folder, without settings from outside.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciled"));
        command.current_dir(self.path()).args(args).env("COLUMNS", "120");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RECONCILED")) {
            command.env_remove(name);
        }
        command.env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Runs the command.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Runs the command with variables.
    pub fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        ran(self.command(args).envs(variables.iter().copied()))
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// stdout as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// stdout as a JSON document per line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
