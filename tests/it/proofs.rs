//! The table of situations in `docs/proofs.md` against the tests that carry their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = "docs/proofs.md";
const COLUMNS: &str = "| number | situation | tests |";
/// Situations of what is not built yet.
const LACKING: [&str; 1] = ["f54"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The numbers at the beginning of a test's name, as in `s60_f46_…`, and what comes behind them.
fn numbers(mut name: &str) -> (Vec<String>, &str) {
    let mut found = Vec::new();
    while let Some((first, rest)) = name.split_once('_') {
        let digits = first.strip_prefix(['s', 'f']).filter(|digits| !digits.is_empty());
        let Some(Ok(number)) = digits.map(str::parse::<u32>) else { break };
        found.push(format!("{}{number:02}", &first[..1]));
        name = rest;
    }
    (found, name)
}

/// By number the tests that carry it: what holds, and where.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    for folder in ["src", "tests/it"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(root()).unwrap().display();
        let names = text
            .lines()
            .filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once('('))
            .map(|(name, _)| name);
        for name in names {
            let (carried, holds) = numbers(name);
            for number in carried {
                let cell = format!("{} (`{place}`)", holds.replace('_', " "));
                found.entry(number).or_default().insert(cell);
            }
        }
    }
    found
}

/// The table as it should be: each row's last cell made anew. Also the numbers of its rows.
fn written(table: &str, tests: &BTreeMap<String, BTreeSet<String>>) -> (String, BTreeSet<String>) {
    let mut rows = BTreeSet::new();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let (Some(number), Some(situation)) = (cells[0].strip_prefix("| "), cells.get(1)) else {
            return line.to_owned();
        };
        if line == COLUMNS {
            return line.to_owned();
        }
        rows.insert(number.to_owned());
        let shown = tests.get(number).map(|tests| tests.iter().cloned().collect::<Vec<_>>().join("<br>"));
        format!("| {number} | {situation} | {} |", shown.unwrap_or_else(|| "not built yet".to_owned()))
    };
    let text: Vec<String> = table.lines().map(line).collect();
    (text.join("\n") + "\n", rows)
}

#[test]
fn every_situation_has_a_test_with_its_number_and_the_table_names_them() {
    let (path, tests) = (root().join(TABLE), tests());
    let table = fs::read_to_string(&path).unwrap();
    let (should, rows) = written(&table, &tests);
    let lacking: BTreeSet<&str> = rows.iter().filter(|row| !tests.contains_key(*row)).map(String::as_str).collect();
    assert_eq!(lacking, BTreeSet::from(LACKING));
    let unknown: Vec<&String> = tests.keys().filter(|number| !rows.contains(*number)).collect();
    assert!(unknown.is_empty(), "tests carry numbers that {TABLE} does not know: {unknown:?}");
    assert!((1..=67).all(|number| rows.contains(&format!("s{number:02}"))), "a scenario is gone from {TABLE}");
    assert!((1..=61).all(|number| rows.contains(&format!("f{number:02}"))), "a fault is gone from {TABLE}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &should).unwrap();
    }
    let table = fs::read_to_string(&path).unwrap();
    assert!(table == should, "{TABLE} is old: UPDATE_DOCS=1 writes it anew");
}
