//! Owns: what is to be done with each file and folder, by what is there and what was put there before. Pure.
//!
//! Must not know: how files are read or written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::shipped::Shipped;

/// What was installed last: the hash of what was shipped, by path.
pub type Noted = BTreeMap<String, String>;

/// What is found at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file with this hash.
    File(String),
    /// A folder with nothing in it.
    EmptyFolder,
    /// Something else: a folder with something in it, a link.
    Other,
}

/// What is found, by path; at any other there is nothing.
pub type Seen = BTreeMap<String, Found>;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A folder is made.
    Make,
    /// A file is written that was not there.
    Write,
    /// An earlier version that nobody edited is replaced.
    Replace,
    /// It is as it is shipped.
    Same,
    /// It was edited, and is left as it is; what is shipped has not changed.
    Keep,
    /// It was edited, and is left as it is; what is shipped now is written beside it.
    PutBeside,
    /// It is taken away.
    Remove,
    /// It was edited, or holds something of somebody's: it stays.
    Leave,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    #[serde(rename = "do")]
    pub what: What,
    /// With this, from the root on.
    pub path: String,
}

impl Step {
    /// One of them.
    pub fn new(what: What, path: impl Into<String>) -> Self {
        Self { what, path: path.into() }
    }
}

/// What becomes of a file.
pub fn of_file(shipped: &str, noted: Option<&str>, found: &Found) -> What {
    match found {
        Found::Nothing => What::Write,
        Found::File(hash) if hash == shipped => What::Same,
        Found::File(hash) if noted == Some(hash.as_str()) => What::Replace,
        Found::File(_) | Found::EmptyFolder | Found::Other if noted == Some(shipped) => What::Keep,
        Found::File(_) | Found::EmptyFolder | Found::Other => What::PutBeside,
    }
}

/// What becomes of a file that is shipped no more, or is to go.
pub fn of_leftover(noted: &str, found: &Found) -> Option<What> {
    match found {
        Found::Nothing => None,
        Found::File(hash) if hash == noted => Some(What::Remove),
        Found::File(_) | Found::EmptyFolder | Found::Other => Some(What::Leave),
    }
}

/// All steps to install these: folders, then files, then what is shipped no more.
pub fn install(folders: &[(&str, u32)], files: &[(&Shipped, String)], noted: &Noted, seen: &Seen) -> Vec<Step> {
    let missing = folders.iter().filter(|(path, _)| at(seen, path) == &Found::Nothing);
    let mut steps: Vec<Step> = missing.map(|(path, _)| Step::new(What::Make, *path)).collect();
    steps.extend(files.iter().map(|(file, hash)| {
        let before = noted.get(&file.path).map(String::as_str);
        Step::new(of_file(hash, before, at(seen, &file.path)), &file.path)
    }));
    let old = noted.iter().filter(|(path, _)| files.iter().all(|(file, _)| file.path != **path));
    steps.extend(old.filter_map(|(path, hash)| Some(Step::new(of_leftover(hash, at(seen, path))?, path))));
    steps
}

/// The steps that take away the files that were installed.
pub fn remove(noted: &Noted, seen: &Seen) -> Vec<Step> {
    noted.iter().filter_map(|(path, hash)| Some(Step::new(of_leftover(hash, at(seen, path))?, path))).collect()
}

fn at<'a>(seen: &'a Seen, path: &str) -> &'a Found {
    seen.get(path).unwrap_or(&Found::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_somebody_edited_is_overwritten() {
        let file = |hash: &str| Found::File(hash.to_owned());
        let cases = [
            // (shipped, noted before, found, becomes)
            ("b", None, Found::Nothing, What::Write),
            ("b", Some("b"), Found::Nothing, What::Write),
            ("b", None, file("b"), What::Same),
            ("b", Some("a"), file("b"), What::Same),
            ("b", Some("a"), file("a"), What::Replace),
            ("b", None, file("x"), What::PutBeside),
            ("b", Some("a"), file("x"), What::PutBeside),
            ("b", Some("b"), file("x"), What::Keep),
            ("b", None, Found::Other, What::PutBeside),
            ("b", Some("b"), Found::Other, What::Keep),
            ("b", None, Found::EmptyFolder, What::PutBeside),
        ];
        for (shipped, noted, found, expected) in cases {
            assert_eq!(of_file(shipped, noted, &found), expected, "{shipped} {noted:?} {found:?}");
        }
    }

    #[test]
    fn what_is_shipped_no_more_goes_unless_it_was_edited() {
        let noted: Noted = [("/a", "1"), ("/b", "1"), ("/c", "1")].map(|(a, b)| (a.into(), b.into())).into();
        let seen =
            [("/a", "1"), ("/b", "2")].map(|(path, hash)| (path.to_owned(), Found::File(hash.to_owned()))).into();
        let expected = [Step::new(What::Remove, "/a"), Step::new(What::Leave, "/b")];
        assert_eq!(install(&[], &[], &noted, &seen), expected);
        assert_eq!(remove(&noted, &seen), expected);
    }
}
