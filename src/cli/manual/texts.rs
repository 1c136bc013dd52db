//! Owns: what the manual says besides commands, flags and settings, in Markdown.
//!
//! Must not know: how it is laid out.

/// What the program is.
pub const ABOUT: &[&str] = &[
    "`reconciled` keeps a local SQLite database and any number of HTTP/JSON systems (upstreams) in agreement, in both directions. \
     It fetches records, compares them with the local tables and with what it knew before, merges by rules in TOML files, commits \
     the result locally, and writes to each upstream only what that lacks.",
    "It plans before it writes (`reconciled plan`), explains after (`reconciled explain`), and stops before it deletes or changes \
     too much. Edits in the tables, by any program, are edits like any other.",
];

/// Where data, talk and log go.
pub const STREAMS: &str = "Data goes to stdout, everything else to stderr. Of several exit codes the worst counts, in the order \
                           1, 7, 2, 5, 6, 4, 3.";

/// Files: where, what.
pub const FILES: &[(&str, &str)] = &[
    (
        "reconciled.toml, /etc/reconciled/config.toml",
        "Settings: the first of the two that is there, unless `--config` names another file.",
    ),
    (
        "sync-rules/*.toml, /etc/reconciled/sync-rules/*.toml",
        "Rules (setting `rules_dir`); the latter as it is installed.",
    ),
    (
        "reconciled.db, /var/lib/reconciled/reconciled.db",
        "The database (setting `database`); the latter as it is installed.",
    ),
    ("DATABASE.epoch", "How far the database had got. Leave it where it is when you restore a backup."),
    (
        "DATABASE.budgets",
        "What was spent of budgets that still counts, shared by all processes that ask upstreams. No backup needs it.",
    ),
    ("DATABASE.sock", "The socket on which a running daemon is asked; its user and group may."),
    ("/etc/credstore", "Secrets, one file each, for `LoadCredential=`."),
];

/// Signals of `reconciled run`: which, what it does.
pub const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "Finish the running pass (up to `drain_timeout`) and stop; a second one stops at once. Either is safe.",
    ),
    ("SIGHUP", "Read rules and secrets anew. Wrong rules never come into force. (`run --once` takes it for a stop.)"),
    ("SIGUSR1", "A pass of every collection now."),
    ("SIGUSR2", "How each collection stands, into the log."),
];

/// Where settings come from.
pub const LAYERS: &[&str] = &[
    "A setting is taken from the first of these that has it: a flag, the environment, the settings file, the default. The file is \
     the one that `--config` names, else `reconciled.toml` in the current folder, else `/etc/reconciled/config.toml`. Unknown keys \
     and wrong values are errors, all shown at once. `reconciled --print-config` shows every value and where it comes from.",
    "In the file all values are strings; `log.level` is `level` below `[log]`. In the environment it is `RECONCILED__LOG__LEVEL`; \
     an empty variable counts as not set. Settings are read when the program starts: a daemon has to be restarted.",
];

/// What variables are.
pub const VARS: &str = "What rules call `${var.NAME}`: addresses, tenants, whatever differs between installations. A name has lower case \
                        letters, digits and single `_`, and begins with a letter. Not for secrets: values are shown by `--print-config`.";

/// Where secrets come from.
pub const SECRETS: &[&str] = &[
    "No setting is a secret. What rules call `${secret.NAME}` is looked for in this order, and nowhere else: the systemd credential \
     `$CREDENTIALS_DIRECTORY/NAME`; the file `NAME` in `secrets_dir`, which nobody else may read (mode 600); the environment variable \
     `RECONCILED_SECRET_NAME`, with the name in upper case and `_` for `-` and `.`.",
    "A file that is there and cannot be used (empty, or readable for others) is an error: no further place is tried. One line end at the end \
     of a file is not part of the secret. A secret has 64 KiB at most. Secrets are in no log, no plan and no error. A daemon reads all \
     of them anew with its rules (SIGHUP, or when rules change), `web_token` too. Credentials are handed over by systemd when the service \
     starts: a new one takes a restart.",
    "The secret `web_token`, of 16 characters at least, is what people and programs log in with where `web.listen` is set.",
];

/// A settings file, for the manual; a test loads it.
pub const EXAMPLE: &str = "\
database = \"/var/lib/reconciled/reconciled.db\"
rules_dir = \"/etc/reconciled/sync-rules\"
drain_timeout = \"1m\"

[log]
level = \"info\"

[web]
listen = \"127.0.0.1:8480\"
hosts = \"sync.example.com\"

[webhooks]
listen = \"127.0.0.1:8481\"

[vars]
crm_url = \"https://crm.example.com/api\"
";
