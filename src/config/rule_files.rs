//! Owns: finding and reading the rules files of a folder.
//!
//! Must not know: what is in them.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::ConfigError;

/// The largest rules file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How deep folders may nest; also ends loops of symbolic links.
const DEPTH_MAX: usize = 16;
/// Symbolic links on the way to one file, as for the kernel.
const LINKS_MAX: usize = 40;
/// A folder of this name is read only when it is named itself.
const EXAMPLES: &str = "examples";

/// One rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Its path, below the folder as given.
    pub path: PathBuf,
    /// Its text, as far as it could be read.
    pub text: String,
    /// Why that is not all of it. The other files are read all the same, so that nobody mends one mistake at a time.
    pub defect: Option<Defect>,
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The byte of the text at which it shows.
    pub at: usize,
    /// Why, and what to do.
    pub reason: String,
}

/// All `*.toml` below `folder` in path order, without hidden files, editor backups and folders named `examples`.
pub fn load_rule_files(folder: &Path) -> Result<Vec<RuleFile>, ConfigError> {
    let (mut paths, mut files) = (Vec::new(), Vec::new());
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_file() => paths.push(folder.to_owned()),
        Ok(_) => {
            std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
            list(folder, 0, &mut paths, &mut files);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = "the rules folder does not exist; name it with --rules or the setting `rules_dir`".to_owned();
            return Err(ConfigError::Unreadable { path: folder.to_owned(), reason });
        }
        Err(error) => return Err(unreadable(folder, &error)),
    }
    if paths.is_empty() && files.is_empty() {
        let reason = "no rules in here: there is no file *.toml".to_owned();
        return Err(ConfigError::Unreadable { path: folder.to_owned(), reason });
    }
    files.extend(paths.into_iter().map(load));
    files.sort_by(|one: &RuleFile, other| one.path.cmp(&other.path));
    Ok(files)
}

/// A number that is another one whenever the files that [`load_rule_files`] reads are other ones, or were written to.
pub fn rules_stamp(folder: &Path) -> u64 {
    let (mut paths, mut defective) = (Vec::new(), Vec::new());
    if folder.is_file() {
        paths.push(folder.to_owned());
    } else {
        list(folder, 0, &mut paths, &mut defective);
    }
    paths.extend(defective.into_iter().map(|file| file.path));
    paths.sort();
    files_stamp(&paths)
}

/// The folders that rules are read from; of a single file the one that it is in.
pub fn rules_folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if folder.is_file() {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        folders.push(parent.unwrap_or(Path::new(".")).to_owned());
    } else {
        list_folders(folder, 0, &mut folders);
    }
    folders
}

/// A name in a folder.
pub type Name = (PathBuf, OsString);

/// The names by which the rules are found besides those in their own folders: where one of these comes to stand for something
/// else, the rules do. They are the folder's own, and those of symbolic links that lead to it or to files of rules.
pub fn rules_names(folder: &Path) -> Vec<Name> {
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    list(folder, 0, &mut paths, &mut Vec::new());
    follow(folder, &mut names);
    let below = rules_folders(folder).into_iter().skip(1);
    for path in paths.into_iter().chain(below).filter(|path| path.is_symlink()) {
        follow(&path, &mut names);
    }
    names
}

/// Every link on the way to what this path stands for, and that itself.
fn follow(path: &Path, names: &mut Vec<Name>) {
    let mut left: VecDeque<OsString> = path.iter().map(ToOwned::to_owned).collect();
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(name) = left.pop_front() {
        let here = at.join(&name);
        let Ok(target) = std::fs::read_link(&here) else {
            if left.is_empty() {
                names.push((folder_or_here(at), name));
                return;
            }
            at = here;
            continue;
        };
        names.push((folder_or_here(at.clone()), name));
        links += 1;
        if links > LINKS_MAX {
            return;
        }
        // A relative one goes on from where it is, an absolute one from the root, by what `join` does.
        target.iter().rev().for_each(|name| left.push_front(name.to_owned()));
    }
}

fn folder_or_here(folder: PathBuf) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }
}

fn list_folders(folder: &Path, depth: usize, folders: &mut Vec<PathBuf>) {
    folders.push(folder.to_owned());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|_| depth < DEPTH_MAX) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && is_of_rules(&name, true) {
            list_folders(&path, depth + 1, folders);
        }
    }
}

/// Another number whenever one of these files is another one, or was written to, or came or went.
fn files_stamp(paths: &[PathBuf]) -> u64 {
    let mut text = Vec::new();
    for path in paths {
        text.extend_from_slice(path.as_os_str().as_bytes());
        if let Ok(meta) = std::fs::metadata(path) {
            for number in [meta.ino().cast_signed(), meta.size().cast_signed(), meta.ctime(), meta.ctime_nsec()] {
                text.extend_from_slice(&number.to_le_bytes());
            }
        }
        text.push(0);
    }
    xxh3_64(&text)
}

fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>, defective: &mut Vec<RuleFile>) {
    if depth > DEPTH_MAX {
        let reason = format!("folders nest deeper than {DEPTH_MAX}, or a symbolic link leads in a circle");
        defective.push(nothing_of(folder, reason));
        return;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return defective.push(nothing_of(folder, error.to_string())),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                defective.push(nothing_of(folder, error.to_string()));
                continue;
            }
        };
        let (name, is_folder) = (path.file_name().unwrap_or_default(), path.is_dir());
        match (is_of_rules(name, is_folder), is_folder) {
            (false, _) => {}
            (true, true) => list(&path, depth + 1, paths, defective),
            (true, false) => paths.push(path),
        }
    }
}

/// Whether a file or a folder of this name below the folder of the rules is read.
pub fn is_of_rules(name: &OsStr, is_folder: bool) -> bool {
    let is_named = if is_folder {
        name != EXAMPLES
    } else {
        Path::new(name).extension().is_some_and(|extension| extension == "toml")
    };
    is_named && !is_skipped(&name.to_string_lossy())
}

/// What editors and version control leave beside files.
fn is_skipped(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~')
}

/// Known before opening: what it is. Opening a pipe would wait for somebody to write into it.
fn load(path: PathBuf) -> RuleFile {
    let bytes = match std::fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            return nothing_of(&path, "no regular file (a pipe, a socket or a device); only regular files are read");
        }
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return nothing_of(&path, format!("larger than {FILE_BYTES_MAX} bytes; split it"));
        }
        Ok(_) => std::fs::read(&path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return nothing_of(&path, "a symbolic link that leads nowhere; mend or remove it");
        }
        Err(error) => Err(error),
    };
    match bytes.map(String::from_utf8) {
        Ok(Ok(text)) => RuleFile { path, text, defect: None },
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let reason = "a byte that is not UTF-8; save the file as UTF-8".to_owned();
            // Up to the first such byte the offsets of both are the same.
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            RuleFile { path, text, defect: Some(Defect { at, reason }) }
        }
        Err(error) => nothing_of(&path, error.to_string()),
    }
}

fn nothing_of(path: &Path, reason: impl Into<String>) -> RuleFile {
    let defect = Defect { at: 0, reason: reason.into() };
    RuleFile { path: path.to_owned(), text: String::new(), defect: Some(defect) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::Unreadable { path: path.to_owned(), reason: format!("cannot be read: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_backups_and_examples_are_left_out_and_the_rest_is_sorted() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.toml",
            "a/z.toml",
            "a/.#z.toml",
            ".c.toml",
            "c.toml~",
            "notes.md",
            "examples/x.toml",
            "a/examples/y.toml",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let names = |below: &str| -> Vec<String> {
            load_rule_files(&folder.path().join(below)).unwrap().into_iter().map(|file| file.text).collect()
        };
        assert_eq!(names(""), ["a/z.toml", "b.toml"]);
        assert_eq!(names("examples"), ["examples/x.toml"], "a folder that is named itself is read");
        assert_eq!(names("b.toml"), ["b.toml"]);
    }

    #[test]
    fn the_stamp_tells_whatever_happens_to_a_file_that_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        write("a.toml", "a = 1");
        let mut last = rules_stamp(folder.path());
        let mut moved = |what: &str, expected: bool| {
            let now = rules_stamp(folder.path());
            assert_eq!(now != last, expected, "{what}");
            last = now;
        };
        moved("nothing", false);
        write("notes.md", "x");
        write(".a.toml.swp", "x");
        moved("another file", false);
        write("a.toml", "a = 12");
        moved("written to", true);
        write("b.tmp", "a = 13");
        std::fs::rename(path("b.tmp"), path("a.toml")).unwrap();
        moved("replaced, as editors do", true);
        write("b.toml", "");
        moved("a new one", true);
        std::fs::remove_file(path("b.toml")).unwrap();
        moved("gone", true);
        std::os::unix::fs::symlink(path("notes.md"), path("c.toml")).unwrap();
        moved("a link", true);
        write("notes.md", "longer");
        moved("what it leads to", true);
        let one = rules_stamp(&path("a.toml"));
        write("a.toml", "a = 144");
        assert_ne!(one, rules_stamp(&path("a.toml")), "a file that is named itself");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_hides_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "# fine\n").unwrap();
        std::fs::write(folder.path().join("b.toml"), b"# caf\xe9\n").unwrap();
        std::os::unix::fs::symlink("nowhere.toml", folder.path().join("c.toml")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("d.toml")).unwrap();
        let files = load_rule_files(folder.path()).unwrap();
        let told: Vec<Option<(usize, &str)>> = files
            .iter()
            .map(|file| file.defect.as_ref().map(|it| (it.at, it.reason.split([';', '(']).next().unwrap().trim())))
            .collect();
        assert_eq!(
            told,
            [
                None,
                Some((5, "a byte that is not UTF-8")),
                Some((0, "a symbolic link that leads nowhere")),
                Some((0, "no regular file")),
            ]
        );
    }

    #[test]
    fn no_rules_at_all_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let words = |path: &Path| load_rule_files(path).unwrap_err().to_string();
        assert!(words(folder.path()).contains("there is no file *.toml"));
        assert!(words(&folder.path().join("none")).contains("does not exist; name it with --rules"));
    }
}
