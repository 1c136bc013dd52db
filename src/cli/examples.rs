//! Owns: the examples that `--help`, the man pages and docs/commands.md show of each command: a command line, two blanks or
//! more, what it is for.
//!
//! Must not know: what the commands do.

/// `run`
pub const RUN: &str = "\
Examples:
  reconciled run                         the daemon: on schedule, until stopped
  reconciled run --once                  one pass of each collection, then stop
  reconciled run --once --full contacts  one pass of contacts that reads everything
  reconciled --json run --once           a report a line, for programs";

/// `sync`
pub const SYNC: &str = "\
Examples:
  reconciled sync                 everything, now
  reconciled sync contacts deals  these two
  reconciled sync --full          read everything anew";

/// `pause`
pub const PAUSE: &str = "\
Examples:
  reconciled pause contacts  before a migration at an upstream
  reconciled pause           all of them";

/// `resume`
pub const RESUME: &str = "\
Examples:
  reconciled resume contacts  let it go on
  reconciled resume           all of them";

/// `plan`
pub const PLAN: &str = "\
Examples:
  reconciled plan                  what would change, and by which rule
  reconciled plan --full --all     read everything, list everything
  reconciled plan --json contacts  for programs
  reconciled plan --out now.plan   save it, for `reconciled apply now.plan`";

/// `apply`
pub const APPLY: &str = "\
Examples:
  reconciled apply monday.plan         what `reconciled plan --out monday.plan` saved, and nothing else
  reconciled --json apply monday.plan  for programs";

/// `init`
pub const INIT: &str = "\
Examples:
  reconciled init contacts crm --sample answer.json                   rules to look at, on stdout
  reconciled init copy crm --sample - < records.ndjson                by records a line each, as `fetch --raw` prints them
  reconciled init contacts crm --openapi openapi.yaml --write         into sync-rules/contacts-crm.toml
  reconciled init issues hub --openapi api.json --path /repos/me/it/issues  one listing of several";

/// `check`
pub const CHECK: &str = "\
Examples:
  reconciled check                                    before a commit or a reload
  reconciled check --online                           are the credentials right, and the mapping?
  reconciled --rules sync-rules/examples/kinto check  rules in another folder";

/// `fetch`
pub const FETCH: &str = "\
Examples:
  reconciled fetch contacts.crm                  the first records, raw and mapped
  reconciled fetch contacts.crm --id 17          one record
  reconciled fetch contacts.crm --limit 50 --raw for other programs, a line each";

/// `record`
pub const RECORD: &str = "\
Examples:
  reconciled record contacts.crm --to crm.cassette                   one binding
  reconciled record --to all.cassette --redact email --redact phone  everything, without personal data
  reconciled record crm --to crm.cassette --requests 20              the beginning of a large upstream";

/// `replay`
pub const REPLAY: &str = "\
Examples:
  reconciled replay crm.cassette                      what the rules make of it, offline
  reconciled --rules new-rules replay crm.cassette    by other rules: what do they ask, what becomes of it?
  reconciled replay crm.cassette contacts --limit 50  one collection, more records";

/// `status`
pub const STATUS: &str = "\
Examples:
  reconciled status         how do things stand?
  reconciled status --json  for programs";

/// `usage`
pub const USAGE: &str = "\
Examples:
  reconciled usage                today, this month, and when a quota runs out
  reconciled usage crm --days 90  one upstream, day by day";

/// `doctor`
pub const DOCTOR: &str = "\
Examples:
  reconciled doctor            what is wrong, and what to do
  reconciled doctor --offline  without asking upstreams";

/// `show`
pub const SHOW: &str = "\
Examples:
  reconciled show 0190f1a2-7c3b-7d11-9a3e-2f6b5c4d3e2f  by its local id
  reconciled show contacts/c42                          by its id at an upstream, in one collection";

/// `explain`
pub const EXPLAIN: &str = "\
Examples:
  reconciled explain c42        every field of the record that is c42 upstream
  reconciled explain c42 phone  one field, with its history";

/// `history`
pub const HISTORY: &str = "\
Examples:
  reconciled history                             the last 50 changes
  reconciled history --record c42 --field phone  how one field got there
  reconciled history --pass 1207 --json          everything that a pass did";

/// `conflicts`
pub const CONFLICTS: &str = "\
Examples:
  reconciled conflicts                              what waits for a person
  reconciled conflicts --collection contacts --all  closed ones as well";

/// `resolve`
pub const RESOLVE: &str = "\
Examples:
  reconciled resolve 7 --take crm                    the CRM is right
  reconciled resolve 7 --value '\"+44 20 7946 0000\"'  neither is
  reconciled resolve 8 --keep                        the record stays, and is made again where it is gone";

/// `settle`
pub const SETTLE: &str = "\
Examples:
  reconciled settle contacts/0190f1a2-7c3b-7d11-9a3e-2f6b5c4d3e2f crm --made c42  it is there, as c42
  reconciled settle contacts/0190f1a2-7c3b-7d11-9a3e-2f6b5c4d3e2f crm --not-made  it is not there";

/// `approve`
pub const APPROVE: &str = "\
Examples:
  reconciled approve 3               yes, do that
  reconciled approve 4 --wins local  the CRM was restored from a backup: send it again what it lost";

/// `reject`
pub const REJECT: &str = "\
Examples:
  reconciled reject 3  no: nothing of it is done";

/// `backup`
pub const BACKUP: &str = "\
Examples:
  reconciled backup /mnt/backup/crm-monday.db  a new file
  reconciled backup --force latest.db          each time the same";

/// `restore`
pub const RESTORE: &str = "\
Examples:
  reconciled restore crm-monday.db  stop the daemon before";

/// `verify`
pub const VERIFY: &str = "\
Examples:
  reconciled verify                  is the database whole and consistent?
  reconciled verify --deep contacts  and do contacts say here what they say there?";

/// `repair`
pub const REPAIR: &str = "\
Examples:
  reconciled repair          what would be mended, and what would not
  reconciled repair --apply  stop the daemon before";

/// `undo`
pub const UNDO: &str = "\
Examples:
  reconciled undo 17                  what would be taken back of pass 17, and what would stay
  reconciled undo 17 --apply          do it; the next pass sends it on
  reconciled undo 17 --record c42     of one record only
  reconciled undo 17 --delete         with the records that it created";

/// `auth login`
pub const AUTH_LOGIN: &str = "\
Examples:
  reconciled auth login crm          with a browser on this machine
  reconciled auth login crm --paste  with a browser elsewhere: paste the address that it ends at";

/// `auth status`
pub const AUTH_STATUS: &str = "\
Examples:
  reconciled auth status  who is signed in where, and until when";

/// `auth revoke`
pub const AUTH_REVOKE: &str = "\
Examples:
  reconciled auth revoke crm  the CRM is asked no more until somebody signs in again";

/// `secret set`
pub const SECRET_SET: &str = "\
Examples:
  reconciled secret set crm_token              type it, unseen
  reconciled secret set crm_token < token.txt  from a file or a pipe";

/// `secret list`
pub const SECRET_LIST: &str = "\
Examples:
  reconciled secret list  where each secret is that the rules name, and what is kept besides";

/// `secret rm`
pub const SECRET_RM: &str = "\
Examples:
  reconciled secret rm crm_token  it is gone, here";

/// `key create`
pub const KEY_CREATE: &str = "\
Examples:
  reconciled key create  before the first secret, to keep a copy or to pass it as a systemd credential";

/// `key rotate`
pub const KEY_ROTATE: &str = "\
Examples:
  reconciled key rotate  after somebody left who could read the old one";

/// `install`
pub const INSTALL: &str = "\
Examples:
  reconciled install --dry-run           what would be done
  reconciled install --prefix /opt/sync  elsewhere than /usr/local
  reconciled install --root /mnt/image   on another machine's image
  reconciled install --remove            off this machine";

/// `schema`
pub const SCHEMA: &str = "\
Examples:
  reconciled schema  to be kept beside the rules, and named in their first line: #:schema rules.schema.json";

/// `demo`
pub const DEMO: &str = "\
Examples:
  reconciled demo                watch it
  reconciled demo --keep looked  leave its database and rules there to look around in";

/// `completions`
pub const COMPLETIONS: &str = "\
Examples:
  reconciled completions bash  source it, or put it into ~/.local/share/bash-completion/completions/reconciled";

/// `man`
pub const MAN: &str = "\
Examples:
  reconciled man                  the page of the program itself, for `man -l -`
  reconciled man check            that of a command
  reconciled man reconciled.toml  that of the settings
  reconciled man --out man        all of them, as files";

/// The command lines of a text, each with what it is for.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.trim_start().split_once("  ")).map(|(line, what)| (line, what.trim_start()))
}
