//! Owns: finding and reading the rules files of a folder.
//!
//! Must not know: what is in them.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The largest rules file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How deep folders may nest; also ends loops of symbolic links.
const DEPTH_MAX: usize = 16;
/// A folder of this name is read only when it is named itself.
const EXAMPLES: &str = "examples";

/// The text of one rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Its path, below the folder as given.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// All `*.toml` below `folder` in path order, without hidden files, editor backups and folders named `examples`.
pub fn load_rule_files(folder: &Path) -> Result<Vec<RuleFile>, ConfigError> {
    let mut paths = Vec::new();
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_file() => paths.push(folder.to_owned()),
        Ok(_) => list(folder, 0, &mut paths)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = "the rules folder does not exist; name it with --rules or the setting `rules_dir`".to_owned();
            return Err(ConfigError::Unreadable { path: folder.to_owned(), reason });
        }
        Err(error) => return Err(unreadable(folder, &error)),
    }
    if paths.is_empty() {
        let reason = "no rules in here: there is no file *.toml".to_owned();
        return Err(ConfigError::Unreadable { path: folder.to_owned(), reason });
    }
    paths.sort();
    paths.into_iter().map(load).collect()
}

fn list(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), ConfigError> {
    if depth > DEPTH_MAX {
        let reason = format!("folders nest deeper than {DEPTH_MAX}, or a symbolic link leads in a circle");
        return Err(ConfigError::Unreadable { path: folder.to_owned(), reason });
    }
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(['.', '#']) || name.ends_with('~') {
            continue;
        }
        if path.is_dir() {
            if name != EXAMPLES {
                list(&path, depth + 1, paths)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    Ok(())
}

fn load(path: PathBuf) -> Result<RuleFile, ConfigError> {
    let metadata = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
    if metadata.len() > FILE_BYTES_MAX {
        let reason = format!("larger than {FILE_BYTES_MAX} bytes; split it");
        return Err(ConfigError::Unreadable { path, reason });
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(RuleFile { path, text }),
        Err(error) => Err(unreadable(&path, &error)),
    }
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
    fn no_rules_at_all_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let words = |path: &Path| load_rule_files(path).unwrap_err().to_string();
        assert!(words(folder.path()).contains("there is no file *.toml"));
        assert!(words(&folder.path().join("none")).contains("does not exist; name it with --rules"));
    }
}
