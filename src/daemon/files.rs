//! Owns: noticing by inotify(7) that the database was written to, or that files of the rules have changed.
//!
//! Must not know: what is in them; what is done about it.
//!
//! It is quick, and no more: file systems of other machines tell nothing, a folder that comes later is missed. The loop
//! looks at the files now and then whatever is told here.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::clock::Clock;
use crate::config::is_of_rules;

/// A commit comes in several writes.
const STORE_SETTLES: Duration = Duration::from_millis(20);
/// However much is written, so much time lies between two looks: a pass writes all the time.
const STORE_PAUSE: Duration = Duration::from_millis(300);
/// What is written is not committed yet: that takes as long as the disk does, and is itself told by nothing. So it is told again
/// so long after each time, where nothing else is written.
const ECHOES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1500),
    Duration::from_millis(1500),
    Duration::from_millis(1500),
];
/// Editors write in several steps.
const RULES_SETTLE: Duration = Duration::from_secs(1);
/// What is read at once of what the kernel tells.
const BUFFER: usize = 4096;
/// Folders of rules that are watched, at most.
const FOLDERS_MAX: usize = 256;
/// The link by which all files of a folder are replaced at once where Kubernetes mounts it.
const ALL_FILES: &str = "..data";

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The database and its log.
    pub store: Vec<PathBuf>,
    /// The folders of the rules, or one of their file.
    pub rules: Vec<PathBuf>,
    /// Its name, where the rules are one file: nothing else in its folder counts.
    pub rules_file: Option<OsString>,
    /// Names in these folders by which the rules are found: where one is given to something else, the rules are other ones.
    pub names: Vec<(PathBuf, OsString)>,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The database, by whomever.
    Store,
    /// Something in the folders of the rules, which is still now.
    Rules,
}

/// A watch.
pub struct Files {
    inotify: AsyncFd<OwnedFd>,
    /// The watches of the database.
    store: BTreeSet<i32>,
    /// Those of the rules' folders.
    rules: BTreeSet<i32>,
    /// See [`Watched::rules_file`].
    rules_file: Option<OsString>,
    /// See [`Watched::names`], by the watches of their folders.
    names: BTreeSet<(i32, OsString)>,
    clock: Arc<dyn Clock>,
    /// When it is told that the database has changed.
    store_at: Option<Duration>,
    /// When it was told last.
    told: Option<Duration>,
    /// How often it was told since something was written.
    echoes: usize,
    /// When it is told that the rules have changed, unless something comes before.
    rules_at: Option<Duration>,
}

impl Files {
    /// Watches nothing yet.
    pub fn open(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "what replaces it is unsafe; it is sound for a descriptor that is owned")]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self {
            inotify,
            store: BTreeSet::new(),
            rules: BTreeSet::new(),
            rules_file: None,
            names: BTreeSet::new(),
            clock,
            store_at: None,
            told: None,
            echoes: 0,
            rules_at: None,
        })
    }

    /// Watches these from now on; to be said again when files may have been replaced. False where the database cannot be
    /// watched.
    pub fn watch(&mut self, watched: &Watched) -> bool {
        // By their inodes: it does not matter under which name they are written to.
        let add = |path: &PathBuf, what| inotify::add_watch(self.inotify.get_ref(), path, what).ok();
        let store: BTreeSet<i32> = watched.store.iter().filter_map(|path| add(path, WatchFlags::MODIFY)).collect();
        let folder = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        // One that cannot be watched is looked at now and then.
        let rules: BTreeSet<i32> =
            watched.rules.iter().take(FOLDERS_MAX).filter_map(|path| add(path, folder)).collect();
        let given = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        // Such a folder may be one of those above.
        let given = given | WatchFlags::MASK_ADD;
        let names: BTreeSet<(i32, OsString)> = watched
            .names
            .iter()
            .take(FOLDERS_MAX)
            .filter_map(|(folder, name)| Some((add(folder, given)?, name.clone())))
            .collect();
        let all = |store: &BTreeSet<i32>, rules: &BTreeSet<i32>, names: &BTreeSet<(i32, OsString)>| -> BTreeSet<i32> {
            store.union(rules).copied().chain(names.iter().map(|(watch, _)| *watch)).collect()
        };
        for gone in all(&self.store, &self.rules, &self.names).difference(&all(&store, &rules, &names)) {
            // That of a file that is gone has ended by itself.
            inotify::remove_watch(self.inotify.get_ref(), *gone).ok();
        }
        // What happened in a folder before it was watched was told by nothing.
        if !self.rules.is_empty() && self.rules != rules {
            self.rules_at = Some(self.clock.monotonic() + RULES_SETTLE);
        }
        (self.store, self.rules, self.names) = (store, rules, names);
        self.rules_file.clone_from(&watched.rules_file);
        self.store.len() == watched.store.len()
    }

    /// Whether what happened to this file or folder in a folder of the rules may have changed them.
    fn is_of_rules(&self, name: &OsStr, is_folder: bool) -> bool {
        let is_named = self.rules_file.as_deref().map_or_else(|| is_of_rules(name, is_folder), |file| file == name);
        is_named || name == ALL_FILES
    }

    /// The next change. Nothing is lost where this is dropped.
    pub async fn next(&mut self) -> Seen {
        loop {
            let now = self.clock.monotonic();
            let at = [self.store_at, self.rules_at].into_iter().flatten().min();
            let left = at.map_or(Duration::MAX, |at| at.saturating_sub(now));
            tokio::select! {
                ready = self.inotify.readable(), if left > STORE_PAUSE => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_closing) => std::future::pending().await,
                },
                // What comes in so short a time is taken in at its end, however much it is.
                () = self.clock.sleep(left), if at.is_some() => {}
            }
            self.take_in();
            let now = self.clock.monotonic();
            if self.store_at.take_if(|at| *at <= now).is_some() {
                self.told = Some(now);
                self.store_at = ECHOES.get(self.echoes).map(|later| now + *later);
                self.echoes += 1;
                return Seen::Store;
            }
            if self.rules_at.take_if(|at| *at <= now).is_some() {
                return Seen::Rules;
            }
        }
    }

    fn take_in(&mut self) {
        let now = self.clock.monotonic();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
        let (mut store, mut rules) = (false, false);
        loop {
            match reader.next() {
                // Too much came; whatever it was.
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => (store, rules) = (true, true),
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                Ok(event) if self.store.contains(&event.wd()) => store = true,
                Ok(event) => {
                    let is_folder = event.events().contains(ReadFlags::ISDIR);
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    // Without a name it is about the folder itself. Others are of something that was watched before.
                    // A link to a folder comes and goes as a file does.
                    let may_be_link = event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO)
                        && name.is_some_and(|name| Path::new(name).extension().is_none());
                    rules |= self.rules.contains(&event.wd())
                        && name.is_none_or(|name| self.is_of_rules(name, is_folder || may_be_link));
                    rules |= name.is_some_and(|name| self.names.contains(&(event.wd(), name.to_owned())));
                }
                Err(Errno::INTR) => {}
                Err(_nothing_more) => break,
            }
        }
        if store {
            let settled = now + STORE_SETTLES;
            let soon = self.told.map_or(settled, |told| settled.max(told + STORE_PAUSE));
            self.store_at = Some(self.store_at.map_or(soon, |at| at.min(soon)));
            self.echoes = 0;
        }
        if rules {
            self.rules_at = Some(now + RULES_SETTLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::clock::SystemClock;
    use crate::config::{rules_folders, rules_names};

    fn watching(folder: &Path) -> (Files, Watched) {
        let store = ["data.db", "data.db-wal"].map(|name| folder.join(name)).to_vec();
        for path in &store {
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(folder.join("rules")).unwrap();
        let mut files = Files::open(Arc::new(SystemClock::new())).unwrap();
        let watched = Watched { store, rules: vec![folder.join("rules")], rules_file: None, names: Vec::new() };
        assert!(files.watch(&watched));
        (files, watched)
    }

    #[tokio::test]
    async fn a_write_to_the_database_and_one_to_the_rules_are_told_apart_and_other_files_are_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        std::fs::write(folder.path().join("other"), "x").unwrap();
        std::fs::write(folder.path().join("rules/a.toml"), "x").unwrap();
        assert_eq!(files.next().await, Seen::Rules);
        std::fs::write(folder.path().join("other"), "y").unwrap();
        std::fs::write(&watched.store[1], "x").unwrap();
        assert_eq!(files.next().await, Seen::Store);
        std::fs::remove_file(folder.path().join("rules/a.toml")).unwrap();
        while files.next().await != Seen::Rules {}
    }

    #[tokio::test]
    async fn a_write_is_told_again_until_it_must_be_committed_and_then_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        // By another name of the same file.
        std::fs::hard_link(&watched.store[0], folder.path().join("name")).unwrap();
        std::fs::write(folder.path().join("name"), "y").unwrap();
        let began = files.clock.monotonic();
        for told in 0..=ECHOES.len() {
            assert_eq!(files.next().await, Seen::Store);
            let least: Duration = ECHOES.iter().take(told).sum();
            assert!(files.clock.monotonic() >= began + least, "{told}");
        }
        assert_eq!(files.store_at, None);
    }

    #[tokio::test]
    async fn a_write_waits_for_nothing_that_is_told_again_or_settles() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        std::fs::write(folder.path().join("rules/a.toml"), "x").unwrap();
        std::fs::write(&watched.store[0], "x").unwrap();
        // What is told next is a second and a half away.
        while files.echoes <= ECHOES.len() - 2 || files.rules_at.is_some() {
            files.next().await;
        }
        assert!(files.store_at.is_some());
        std::fs::write(&watched.store[0], "y").unwrap();
        let written = files.clock.monotonic();
        assert_eq!(files.next().await, Seen::Store);
        let told = files.clock.monotonic().saturating_sub(written);
        assert!(told < ECHOES[2] / 2, "{told:?}");
    }

    #[tokio::test]
    async fn a_file_that_was_replaced_is_watched_once_that_is_said_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        std::fs::remove_file(&watched.store[1]).unwrap();
        assert!(!files.watch(&watched), "it is missing");
        std::fs::write(&watched.store[1], "").unwrap();
        assert!(files.watch(&watched));
        std::fs::write(&watched.store[1], "x").unwrap();
        assert_eq!(files.next().await, Seen::Store);
    }

    #[tokio::test]
    async fn a_database_that_was_replaced_is_not_taken_for_rules_when_it_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        let mut before = std::fs::OpenOptions::new().append(true).open(&watched.store[0]).unwrap();
        std::fs::remove_file(&watched.store[0]).unwrap();
        std::fs::write(&watched.store[0], "").unwrap();
        assert!(files.watch(&watched));
        before.write_all(b"x").unwrap();
        std::fs::write(&watched.store[0], "x").unwrap();
        assert_eq!(files.next().await, Seen::Store);
        assert_eq!(files.rules_at, None);
    }

    #[tokio::test]
    async fn what_is_watched_no_more_is_told_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        std::fs::create_dir(folder.path().join("rules/sub")).unwrap();
        let more = Watched { rules: vec![folder.path().join("rules"), folder.path().join("rules/sub")], ..watched };
        assert!(files.watch(&more));
        assert_eq!(files.next().await, Seen::Rules, "what came into it before it was watched");
        assert_eq!((files.rules.len(), files.rules_at), (2, None));
        let less = Watched { rules: vec![folder.path().join("rules/sub")], ..more };
        assert!(files.watch(&less));
        assert_eq!(files.next().await, Seen::Rules);
        std::fs::write(folder.path().join("rules/a.toml"), "x").unwrap();
        files.take_in();
        assert_eq!((files.rules.len(), files.rules_at), (1, None));
        std::fs::write(folder.path().join("rules/sub/a.toml"), "x").unwrap();
        assert_eq!(files.next().await, Seen::Rules);
    }

    #[tokio::test]
    async fn in_folders_of_rules_only_what_is_read_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        let path = |name: &str| folder.path().join("rules").join(name);
        std::fs::create_dir(path("examples")).unwrap();
        for name in ["notes.md", ".a.toml.swp", ".#a.toml", "a.toml~", "data.db", "data.db-wal", "data.db-journal"] {
            std::fs::write(path(name), "x").unwrap();
        }
        files.take_in();
        assert_eq!(files.rules_at, None);
        std::os::unix::fs::symlink(path("notes.md"), path("..data")).unwrap();
        files.take_in();
        assert!(files.rules_at.take().is_some(), "all files are replaced at once");
        std::fs::create_dir(path("sub")).unwrap();
        files.take_in();
        assert!(files.rules_at.take().is_some(), "a folder");
        std::fs::rename(path("notes.md"), path("a.toml")).unwrap();
        files.take_in();
        assert!(files.rules_at.take().is_some(), "a file that is moved here");
        // One file alone, whatever its name.
        files.watch(&Watched { rules_file: Some("rules.conf".into()), ..watched });
        std::fs::write(path("b.toml"), "x").unwrap();
        files.take_in();
        assert_eq!(files.rules_at, None);
        std::fs::write(path("rules.conf"), "x").unwrap();
        files.take_in();
        assert!(files.rules_at.is_some());
    }

    #[tokio::test]
    async fn f55_a_database_in_the_folder_of_the_rules_does_not_put_them_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, mut watched) = watching(folder.path());
        watched.rules = vec![folder.path().to_owned()];
        assert!(files.watch(&watched));
        files.rules_at = None;
        std::fs::write(folder.path().join("a.toml"), "x").unwrap();
        let began = files.clock.monotonic();
        let passed = |files: &Files| files.clock.monotonic().saturating_sub(began);
        loop {
            std::fs::write(&watched.store[0], "x").unwrap();
            if files.next().await == Seen::Rules {
                break;
            }
            assert!(passed(&files) < 5 * RULES_SETTLE, "each write puts them off");
        }
        assert!(passed(&files) >= RULES_SETTLE);
    }

    #[tokio::test]
    async fn f55_rules_are_told_once_when_they_have_been_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        let began = files.clock.monotonic();
        let mut told = Vec::new();
        while told.last() != Some(&Seen::Rules) {
            // Writes to the database come in between and put nothing off.
            std::fs::write(&watched.store[0], "x").unwrap();
            if files.clock.monotonic() < began + RULES_SETTLE {
                std::fs::write(folder.path().join("rules/a.toml"), "x").unwrap();
            }
            told.push(files.next().await);
        }
        assert!(files.clock.monotonic() > began + RULES_SETTLE, "{told:?}");
        assert!(told.len() > 2, "{told:?}");
    }

    #[tokio::test]
    async fn rules_that_a_link_leads_to_are_others_when_it_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        let path = |name: &str| folder.path().join(name);
        for release in ["one", "two"] {
            std::fs::create_dir_all(path(release).join("rules")).unwrap();
        }
        // As deployments do: a link to the release in use, made elsewhere and moved over the one before.
        std::os::unix::fs::symlink("one", path("current")).unwrap();
        let rules = path("current/rules");
        let watched = Watched { rules: rules_folders(&rules), names: rules_names(&rules), ..watched };
        assert!(files.watch(&watched));
        assert_eq!(files.next().await, Seen::Rules, "other folders than before");
        std::fs::write(path("other"), "x").unwrap();
        std::fs::write(path("data.db-journal"), "x").unwrap();
        files.take_in();
        assert_eq!(files.rules_at, None);
        std::os::unix::fs::symlink("two", path("next")).unwrap();
        std::fs::rename(path("next"), path("current")).unwrap();
        assert_eq!(files.next().await, Seen::Rules);
        assert!(files.watch(&Watched { rules: rules_folders(&rules), names: rules_names(&rules), ..watched }));
        assert_eq!(files.next().await, Seen::Rules, "what came into the other folder before it was watched");
        std::fs::write(path("two/rules/a.toml"), "x").unwrap();
        assert_eq!(files.next().await, Seen::Rules);
        std::fs::rename(path("two/rules"), path("two/before")).unwrap();
        assert_eq!(files.next().await, Seen::Rules, "the folder's own name");
    }

    #[tokio::test]
    async fn a_file_of_rules_that_is_kept_elsewhere_is_watched_there() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        std::fs::create_dir(folder.path().join("kept")).unwrap();
        let kept = folder.path().join("kept/a.conf");
        std::fs::write(&kept, "x").unwrap();
        std::os::unix::fs::symlink(&kept, folder.path().join("rules/a.toml")).unwrap();
        files.take_in();
        files.rules_at = None;
        let watched = Watched { names: rules_names(&folder.path().join("rules")), ..watched };
        assert!(files.watch(&watched));
        std::fs::write(folder.path().join("kept/b.conf"), "x").unwrap();
        files.take_in();
        assert_eq!(files.rules_at, None);
        std::fs::write(&kept, "y").unwrap();
        assert_eq!(files.next().await, Seen::Rules);
    }

    #[tokio::test]
    async fn a_folder_of_rules_that_is_kept_elsewhere_is_watched_and_so_is_what_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, watched) = watching(folder.path());
        let (rules, team) = (folder.path().join("rules"), folder.path().join("rules/team"));
        let all =
            |watched: &Watched| Watched { rules: rules_folders(&rules), names: rules_names(&rules), ..watched.clone() };
        for release in ["one", "two"] {
            std::fs::create_dir(folder.path().join(release)).unwrap();
        }
        std::os::unix::fs::symlink("../one", &team).unwrap();
        assert_eq!(files.next().await, Seen::Rules, "it came");
        assert!(files.watch(&all(&watched)));
        assert_eq!(files.next().await, Seen::Rules);
        std::os::unix::fs::symlink("../two", folder.path().join("next")).unwrap();
        std::fs::rename(folder.path().join("next"), &team).unwrap();
        assert_eq!(files.next().await, Seen::Rules, "it leads elsewhere");
        assert!(files.watch(&all(&watched)));
        assert_eq!(files.next().await, Seen::Rules);
        std::fs::write(folder.path().join("two/a.toml"), "x").unwrap();
        assert_eq!(files.next().await, Seen::Rules);
        std::fs::remove_file(&team).unwrap();
        assert_eq!(files.next().await, Seen::Rules, "it is gone");
    }
}
