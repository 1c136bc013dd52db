//! Databases in odd places and of odd kinds: what is said, what is left as it was.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::world::{Ran, World};

fn one() -> World {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.add_ann("crm");
    world
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_plan_of_a_damaged_database_names_the_database_and_not_its_copy() {
    let world = one();
    let mut bytes = std::fs::read(world.database()).unwrap();
    let last = bytes.len() - 8192;
    bytes[last..last + 64].fill(0xA5);
    std::fs::write(world.database(), &bytes).unwrap();
    let ran = world.run(&["plan"]).exits(1);
    assert!(ran.stderr.contains("data.db is damaged"), "{ran:#?}");
    assert!(!ran.stderr.contains("copy.db"), "{ran:#?}");
}

#[test]
fn a_plan_says_of_nothing_that_it_was_done() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    let ran = world.run(&["plan"]).exits(0);
    assert!(ran.stderr.contains("not done by a plan: table contacts created"), "{ran:#?}");
    assert!(!world.database().exists());
}

#[test]
fn another_programs_file_whose_table_does_not_fit_is_left_as_it_is() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    world.sql("create table contacts (id integer primary key, email text); insert into contacts values (1, 'a')");
    let before = std::fs::read(world.database()).unwrap();
    for arguments in [&["run", "--once"][..], &["plan"][..]] {
        let ran = world.run(arguments).exits(1);
        assert!(ran.stderr.contains("it was not made by reconciled"), "{ran:#?}");
        assert!(!ran.stderr.contains("brings it up to date"), "{ran:#?}");
    }
    let ran = world.run(&["status"]).exits(1);
    assert!(ran.stderr.contains("it is another program's"), "{ran:#?}");
    assert_eq!(std::fs::read(world.database()).unwrap(), before);
}

#[test]
fn a_database_that_cannot_be_begun_leaves_no_stub() {
    let world = World::with_contacts(&["crm"], |_, _| {});
    // No file may grow beyond half a page; the signal that would say so is ignored.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"]);
    let program = world.command();
    shell
        .current_dir(world.path(""))
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.arg(program.get_program()).args(program.get_args()).args(["run", "--once"]);
    let ran = Ran::of(shell.output().unwrap()).exits(1);
    assert!(ran.stderr.contains("data.db"), "{ran:#?}");
    assert!(ran.stderr.contains("`df`") || ran.stderr.contains("disk full"), "it says what to look at: {ran:#?}");
    assert!(!world.database().exists(), "{ran:#?}");
}

#[test]
fn who_only_looks_needs_no_permission_to_write() {
    let world = one();
    let id = world.rows("select id from contacts")[0][0].clone();
    let program = world.path("program");
    std::fs::copy(env!("CARGO_BIN_EXE_reconciled"), &program).unwrap();
    set_mode(&program, 0o755);
    set_mode(&world.database(), 0o444);
    set_mode(&world.path(""), 0o555);
    let run = |arguments: &[&str]| {
        // The system's administrator may write anywhere, so that somebody else has to look.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = Command::new(if root { "setpriv" } else { "env" });
        if root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        let template = world.command();
        command.current_dir(world.path("")).env_clear().arg(&program).args(template.get_args()).args(arguments);
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var("PATH").unwrap());
        Ran::of(command.output().unwrap())
    };
    for arguments in [&["status"][..], &["history"], &["conflicts"], &["show", &id], &["explain", &id], &["plan"]] {
        let ran = run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:#?}");
    }
    set_mode(&world.path(""), 0o755);
    std::fs::write(world.path("data.db-wal"), "what another program has not put into the database yet").unwrap();
    set_mode(&world.path("data.db-wal"), 0o444);
    set_mode(&world.path(""), 0o555);
    let ran = run(&["status"]).exits(1);
    assert!(ran.stderr.contains("run this as the owner of the database, or copy both files elsewhere"), "{ran:#?}");
    set_mode(&world.path(""), 0o755);
}
