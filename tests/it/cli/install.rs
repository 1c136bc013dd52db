//! Owns: claims about `install`: what is put where, what is never overwritten, what is taken away.
//!
//! Must not know: what the units say.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::bench::{Bench, Ran};

const UNIT: &str = "root/opt/sync/lib/systemd/system/reconciled.service";
const SETTINGS: &str = "root/etc/reconciled/config.toml";
const NOTED: &str = "root/opt/sync/share/reconciled/SHA256SUMS";

/// Installs below the folder `root` of a bench.
fn install(bench: &Bench, more: &[&str]) -> Ran {
    let root = bench.path().join("root");
    let args = ["install", "--root", root.to_str().unwrap(), "--prefix", "/opt/sync"];
    let ran = bench.run(&[&args[..], more].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    ran
}

/// Everything below a folder: permissions, inode and time of each, by path.
fn tree(folder: &Path) -> BTreeMap<String, (u32, u64, i64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(&one).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let shown = path.strip_prefix(folder).unwrap().display().to_string();
            all.insert(shown, (metadata.permissions().mode() & 0o7777, metadata.ino(), metadata.mtime_nsec()));
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

fn read(bench: &Bench, path: &str) -> String {
    fs::read_to_string(bench.path().join(path)).unwrap()
}

/// What somebody put there by hand.
fn edit(bench: &Bench, path: &str, text: &str) {
    fs::write(bench.path().join(path), text).unwrap();
}

#[test]
fn it_puts_everything_in_its_place_and_a_second_time_changes_nothing() {
    let bench = Bench::empty();
    let root = bench.path().join("root");
    let planned = install(&bench, &["--dry-run"]).out;
    assert!(planned.contains("write    /opt/sync/bin/reconciled\n"), "{planned}");
    assert!(!root.exists(), "nothing is done");
    let ran = install(&bench, &[]).out;
    assert!(ran.contains("wrote    /opt/sync/bin/reconciled\n"), "{ran}");
    assert!(
        ran.contains(&format!(
            "systemctl --root={} enable /opt/sync/lib/systemd/system/reconciled.service",
            root.display()
        )),
        "{ran}"
    );
    let first = tree(&root);
    let modes = [
        ("opt/sync/bin/reconciled", 0o755),
        ("opt/sync/lib/systemd/system/reconciled@.service", 0o644),
        ("opt/sync/lib/sysusers.d/reconciled.conf", 0o644),
        ("opt/sync/lib/tmpfiles.d/reconciled.conf", 0o644),
        ("etc", 0o755),
        ("etc/reconciled", 0o750),
        ("etc/reconciled/config.toml", 0o644),
        ("etc/reconciled/sync-rules", 0o750),
        ("var/lib/reconciled", 0o700),
    ];
    for (path, mode) in modes {
        assert_eq!(format!("{:o}", first[path].0), format!("{mode:o}"), "{path}");
    }
    let program = fs::read(env!("CARGO_BIN_EXE_reconciled")).unwrap();
    assert!(fs::read(root.join("opt/sync/bin/reconciled")).unwrap() == program, "it is the program");
    assert!(read(&bench, UNIT).contains("ExecStart=/opt/sync/bin/reconciled run"));
    let again = install(&bench, &[]).out;
    assert!(again.lines().any(|line| line.ends_with(" files are as they are shipped")), "{again}");
    assert!(!again.contains("wrote ") && !again.contains("made "), "{again}");
    assert_eq!(tree(&root), first);
}

#[test]
fn man_pages_and_completions_are_where_they_are_looked_for_and_as_they_are_published() {
    let bench = Bench::empty();
    install(&bench, &[]);
    let share = bench.path().join("root/opt/sync/share");
    let published = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = 0;
    for page in fs::read_dir(published.join("docs/man")).unwrap().map(|entry| entry.unwrap().path()) {
        let (name, section) =
            (page.file_name().unwrap().to_str().unwrap(), page.extension().unwrap().to_str().unwrap());
        let packed = fs::File::open(share.join(format!("man/man{section}/{name}.gz"))).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, fs::read_to_string(&page).unwrap(), "{name}");
        pages += 1;
    }
    assert!(pages > 20, "{pages}");
    let scripts = [
        ("reconciled", "bash-completion/completions/reconciled"),
        ("_reconciled", "zsh/site-functions/_reconciled"),
        ("reconciled.fish", "fish/vendor_completions.d/reconciled.fish"),
    ];
    for (name, installed) in scripts {
        let text = fs::read_to_string(share.join(installed)).unwrap();
        assert_eq!(text, fs::read_to_string(published.join("completions").join(name)).unwrap(), "{name}");
    }
    install(&bench, &["--remove"]);
    let left = tree(&share).into_keys().filter(|path| share.join(path).is_file()).collect::<Vec<_>>();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_was_edited_is_kept_and_an_earlier_version_that_was_not_is_replaced() {
    let bench = Bench::empty();
    install(&bench, &[]);
    let (unit, settings) = (read(&bench, UNIT), read(&bench, SETTINGS));
    edit(&bench, SETTINGS, "database = \"mine.db\"\n");
    let ran = install(&bench, &[]).out;
    assert!(ran.contains("kept     /etc/reconciled/config.toml: it was edited, and what is shipped has not"), "{ran}");
    assert!(!bench.path().join(format!("{SETTINGS}.new")).exists());
    // The version before shipped another unit and other settings.
    let noted = read(&bench, NOTED);
    let other = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0";
    let lines = noted.lines().map(|line| match line.split_once("  ").unwrap() {
        (_, path) if path.ends_with("/reconciled.service") || path.ends_with("/config.toml") => {
            format!("{other}  {path}\n")
        }
        _ => format!("{line}\n"),
    });
    edit(&bench, NOTED, &lines.collect::<String>());
    // The hash is of this text.
    edit(&bench, UNIT, "aaa");
    let planned = install(&bench, &["--dry-run", "--json"]).json();
    let step = |path: &str| {
        let steps = planned["steps"].as_array().unwrap();
        steps.iter().find(|step| step["path"] == path).unwrap()["do"].clone()
    };
    assert_eq!(step("/opt/sync/lib/systemd/system/reconciled.service"), "replace");
    assert_eq!(step("/etc/reconciled/config.toml"), "put_beside");
    assert_eq!(read(&bench, UNIT), "aaa");
    let ran = install(&bench, &[]).out;
    assert!(ran.contains("replaced /opt/sync/lib/systemd/system/reconciled.service\n"), "{ran}");
    assert!(ran.contains("what is shipped now is beside it, as .new"), "{ran}");
    assert_eq!(read(&bench, UNIT), unit);
    assert_eq!(read(&bench, SETTINGS), "database = \"mine.db\"\n");
    assert_eq!(read(&bench, &format!("{SETTINGS}.new")), settings);
    assert_eq!(read(&bench, NOTED), noted);
    // A unit that somebody has masked, and one that nobody noted, are somebody's as well.
    fs::remove_file(bench.path().join(UNIT)).unwrap();
    std::os::unix::fs::symlink("/dev/null", bench.path().join(UNIT)).unwrap();
    fs::remove_file(bench.path().join(NOTED)).unwrap();
    install(&bench, &[]);
    assert_eq!(fs::read_link(bench.path().join(UNIT)).unwrap(), Path::new("/dev/null"));
    assert_eq!(read(&bench, &format!("{UNIT}.new")), unit);
}

#[test]
fn what_was_installed_is_taken_away_and_what_is_somebodys_stays() {
    let bench = Bench::empty();
    let root = bench.path().join("root");
    install(&bench, &[]);
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink(UNIT, wants.join("reconciled@sales.service")).unwrap();
    std::os::unix::fs::symlink(UNIT, wants.join("cron.service")).unwrap();
    let args = ["install", "--remove", "--prefix", "/opt/sync", "--root", root.to_str().unwrap()];
    let refused = bench.run(&args);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("`systemctl disable --now reconciled@sales.service`"), "{}", refused.err);
    fs::remove_dir_all(root.join("etc/systemd")).unwrap();
    edit(&bench, "root/etc/reconciled/sync-rules/crm.toml", "");
    edit(&bench, "root/var/lib/reconciled/reconciled.db", "");
    edit(&bench, UNIT, "mine");
    let before = tree(&root);
    install(&bench, &["--remove", "--dry-run"]);
    assert_eq!(tree(&root), before);
    let ran = install(&bench, &["--remove"]).out;
    let mut files: Vec<String> = tree(&root).into_keys().filter(|path| root.join(path).is_file()).collect();
    // The user that systemd made is taken away by whoever knows that nothing else is his.
    let users = ["etc/.pwd.lock", "etc/group", "etc/gshadow", "etc/passwd", "etc/shadow"];
    files.retain(|file| !users.contains(&file.as_str()));
    files.sort();
    let left = [
        "etc/reconciled/sync-rules/crm.toml",
        "opt/sync/lib/systemd/system/reconciled.service",
        "var/lib/reconciled/reconciled.db",
    ];
    assert_eq!(files, left);
    for words in ["left     /var/lib/reconciled: ", "left     /etc/reconciled: ", "removed  /opt/sync/bin/reconciled\n"]
    {
        assert!(ran.contains(words), "{words}: {ran}");
    }
    assert_eq!(bench.run(&args).code, 1, "nothing of ours is left to be removed");
}

#[test]
fn an_installation_that_cannot_be_is_refused_with_the_reason() {
    let bench = Bench::empty();
    for prefix in ["usr", "/opt/my sync", "/opt/%i", "/opt/../usr"] {
        let ran = bench.run(&["install", "--dry-run", "--prefix", prefix]);
        assert_eq!(ran.code, 2, "{prefix}: {}", ran.out);
        assert!(ran.err.contains("write an absolute path"), "{}", ran.err);
    }
    edit(&bench, "file", "");
    let ran = bench.run(&["install", "--root", bench.path().join("file").to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("Not a directory"), "{}", ran.err);
}

/// A folder of programs that stand in for systemd's: each ends as it is told.
fn tools(bench: &Bench, script: &str) -> String {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = bench.path().join("tools");
    fs::create_dir(&folder).unwrap();
    for name in ["systemd-sysusers", "systemd-tmpfiles"] {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(folder.join(name)).unwrap();
        std::io::Write::write_all(&mut file, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    }
    folder.display().to_string()
}

#[test]
fn it_has_systemd_make_the_user_and_its_folders_or_says_what_is_left_to_do() {
    let bench = Bench::empty();
    let root = bench.path().join("root");
    let shown = root.display();
    let commands = |prefix: &str| {
        [
            format!("systemd-sysusers --root={shown} - < {shown}{prefix}/lib/sysusers.d/reconciled.conf"),
            format!("systemd-tmpfiles --root={shown} --create - < {shown}{prefix}/lib/tmpfiles.d/reconciled.conf"),
        ]
    };
    let install = |path: &str, prefix: &str| {
        let args = ["install", "--root", root.to_str().unwrap(), "--prefix", prefix, "--json"];
        bench.run_with(&[("PATH", path)], &args)
    };
    let empty = bench.path().display().to_string();
    let told = install(&empty, "/opt/sync").json();
    let why = if rustix::process::geteuid().is_root() {
        ["systemd-sysusers is not on this machine", "systemd-tmpfiles is not on this machine"]
    } else {
        ["it takes root"; 2]
    };
    for (nth, command) in commands("/opt/sync").iter().enumerate() {
        assert_eq!(told["next"][nth], format!("{command}  # {}", why[nth]));
    }
    assert_eq!(told["ran"], serde_json::json!([]));
    let enable = format!("systemctl --root={shown} enable /opt/sync/lib/systemd/system/reconciled.service");
    assert_eq!(told["next"][3], enable);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // What they read is the description that was installed.
    let folder = tools(&bench, "echo \"$0 $*\" >&2; while read -r line; do echo \"$line\"; done >> \"${0%/*}/read\"");
    let told = install(&folder, "/opt/sync").json();
    assert_eq!(told["ran"], serde_json::json!(commands("/opt/sync")));
    let read = fs::read_to_string(bench.path().join("tools/read")).unwrap();
    assert!(read.contains("\nu reconciled - ") && read.contains("\nd /var/lib/reconciled "), "{read}");
    assert_eq!(told["next"][1], enable);
    let told = install(&folder, "/usr").json();
    let short = ["systemd-sysusers", "systemd-tmpfiles"].map(|name| {
        let option = if name.ends_with("files") { " --create" } else { "" };
        format!("{name} --root={shown}{option} reconciled.conf")
    });
    assert_eq!(told["ran"], serde_json::json!(short));
    fs::remove_dir_all(&folder).unwrap();
    let failing = tools(&bench, "echo 'No room for users.' >&2; exit 3");
    let ran = install(&failing, "/opt/sync");
    assert_ne!(ran.code, 0);
    let failed = format!(
        "all files are in their places, but `{}` failed: exit status: 3: No room for users.",
        commands("/opt/sync")[0]
    );
    assert!(ran.err.contains(&failed), "{}", ran.err);
}
