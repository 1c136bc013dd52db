//! Owns: what holds for the source tree itself: layers, module docs, file sizes, paths, dependencies.
//!
//! Must not know: what any module does.
//!
//! Each check is a function over text, so that its own test can feed it a bad sample.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom. A module that is missing here may not exist; a name that is missing may not be imported.
const IMPORTS: &[(&str, &[&str])] = &[
    // Pure.
    ("record", &[]),
    ("rules", &["record"]),
    ("merge", &["record", "rules"]),
    // Leaves for the modules that do I/O.
    ("config", &[]),
    ("clock", &[]),
    ("telemetry", &[]),
    ("spending", &[]),
    ("vault", &[]),
    // I/O.
    ("store", &["record", "rules", "merge", "config", "clock", "telemetry"]),
    ("upstream", &["record", "rules", "merge", "config", "clock", "telemetry", "spending", "vault"]),
    ("reconcile", &["record", "rules", "merge", "store", "upstream", "config", "clock", "telemetry"]),
    ("effects", &["record", "rules", "merge", "store", "upstream", "reconcile", "config", "clock", "telemetry"]),
    ("daemon", &["record", "rules", "merge", "store", "upstream", "reconcile", "config", "clock", "telemetry"]),
    ("ops", &["record", "rules", "merge", "store", "upstream", "reconcile", "daemon", "config", "clock", "telemetry"]),
    (
        "web",
        &[
            "record",
            "rules",
            "merge",
            "store",
            "upstream",
            "reconcile",
            "daemon",
            "ops",
            "config",
            "clock",
            "telemetry",
        ],
    ),
    // Stands outside: the fake upstream knows nothing of ours, the simulator drives the engine against it.
    ("sandbox", &[]),
    ("sim", &["record", "rules", "merge", "store", "upstream", "reconcile", "config", "clock", "telemetry", "sandbox"]),
    // The doors of `fuzz/`.
    ("fuzzing", &["record", "rules", "upstream", "reconcile"]),
    (
        "cli",
        &[
            "record",
            "rules",
            "merge",
            "store",
            "upstream",
            "reconcile",
            "effects",
            "daemon",
            "ops",
            "web",
            "config",
            "clock",
            "telemetry",
            "spending",
            "vault",
            "sandbox",
            "sim",
        ],
    ),
];

/// What the unit tests inside any module may use besides: a fake upstream to talk to.
const IMPORTS_OF_TESTS: &[&str] = &["sandbox"];

/// The longest that a source file may be.
const SOURCE_LINES_MAX: usize = 600;

/// Files that are longer for now, and the most they may grow to. An entry that is no longer needed fails the test.
const SOURCE_LINES_OWED: &[(&str, usize)] = &[];

/// Folders that exist on somebody's machine only; spelt in halves so that this file does not contain them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

// ---- the tree ----

#[test]
fn imports_go_one_way() {
    let found: Vec<String> =
        sources("src").iter().flat_map(|(file, text)| forbidden_imports(file, text)).collect::<Vec<_>>();
    assert_none(&found);
}

#[test]
fn every_module_says_what_it_owns_and_what_it_must_not_know() {
    let found: Vec<String> = sources("src").iter().filter_map(|(file, text)| missing_doc(file, text)).collect();
    assert_none(&found);
}

#[test]
fn no_source_file_is_too_long() {
    let files = sources("src");
    let mut found: Vec<String> =
        files.iter().filter_map(|(file, text)| too_long(file, text, SOURCE_LINES_OWED)).collect();
    found.extend(SOURCE_LINES_OWED.iter().filter_map(|(owed, _)| match files.get(*owed) {
        Some(text) if text.lines().count() > SOURCE_LINES_MAX => None,
        _ => Some(format!("{owed}: is short enough now; take it out of SOURCE_LINES_OWED")),
    }));
    assert_none(&found);
}

#[test]
fn no_test_is_ignored_and_no_lint_is_allowed_for_ever() {
    let mut files = sources("src");
    files.extend(sources("tests"));
    assert_none(&files.iter().flat_map(|(file, text)| waived(file, text)).collect::<Vec<_>>());
}

#[test]
fn no_tracked_file_names_a_folder_of_one_machine() {
    let found: Vec<String> =
        tracked_texts().iter().flat_map(|(file, text)| machine_paths(file, text)).collect::<Vec<_>>();
    assert_none(&found);
}

#[test]
fn operations_are_worded_for_every_front() {
    assert_none(&sources("src/ops").iter().flat_map(|(file, text)| worded_for_one(file, text)).collect::<Vec<_>>());
}

#[test]
fn every_direct_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let code: Vec<String> = ["src", "tests", "benches"].iter().flat_map(|dir| sources(dir).into_values()).collect();
    assert_none(&unused_dependencies(&manifest, &code));
}

// ---- the checks can fail ----

#[test]
fn the_import_check_names_file_line_and_import() {
    let check = |file: &str, text: &str, expected: &[&str]| assert_eq!(forbidden_imports(file, text), expected);
    check("src/rules/a.rs", "use crate::record::Value;\nuse crate::rules::b;\n", &[]);
    check(
        "src/record/a.rs",
        "//! Doc.\n\nuse crate::merge::Plan;\n",
        &["src/record/a.rs:3: `record` may not import `crate::merge`"],
    );
    check(
        "src/record/mod.rs",
        "use crate::{\n    record::path,\n    clock::Clock,\n};\n",
        &["src/record/mod.rs:1: `record` may not import `crate::clock`"],
    );
    check("src/clock.rs", "use super::config::X;\n", &["src/clock.rs:1: `clock` may not import `crate::config`"]);
    check(
        "src/store/sqlite/a.rs",
        "fn f() { super::super::super::upstream::go() }\n",
        &["src/store/sqlite/a.rs:1: `store` may not import `crate::upstream`"],
    );
    check("src/store/sqlite/a.rs", "use super::upstream::X;\n", &[]);
    check("src/record/a.rs", "/// See [`crate::merge`].\nstruct A; // crate::merge\n", &[]);
    check("src/reconcile/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::sandbox::Sandbox;\n}\n", &[]);
    check(
        "src/reconcile/a.rs",
        "use crate::sandbox::Sandbox;\n",
        &["src/reconcile/a.rs:1: `reconcile` may not import `crate::sandbox`"],
    );
    check("src/magic/a.rs", "", &["src/magic/a.rs:1: `magic` is not in the import table of tests/it/house.rs"]);
    check("src/lib.rs", "pub use crate::merge::Plan;\n", &[]);
}

#[test]
fn the_doc_check_wants_both_sentences_first() {
    let check = |file: &str, text: &str, ok: bool| assert_eq!(missing_doc(file, text).is_none(), ok, "{file}: {text}");
    check("src/a.rs", "//! Owns: x.\n//!\n//! Must not know: y.\n\nuse z;\n", true);
    check("src/a.rs", "//! It owns x and\n//! must\n//! not know y.\n", true);
    check("src/a.rs", "//! Owns: x.\n", false);
    check("src/a.rs", "use z;\n//! Owns: x. Must not know: y.\n", false);
    check("src/a.rs", "// Owns: x. Must not know: y.\n", false);
    check("src/lib.rs", "//! The map.\n", true);
    check("src/lib.rs", "mod a;\n", false);
}

#[test]
fn the_length_check_knows_what_is_owed() {
    let lines = |count: usize| "x\n".repeat(count);
    assert_eq!(too_long("src/a.rs", &lines(SOURCE_LINES_MAX), &[]), None);
    assert!(too_long("src/a.rs", &lines(SOURCE_LINES_MAX + 1), &[]).is_some());
    assert_eq!(too_long("src/a.rs", &lines(SOURCE_LINES_MAX + 1), &[("src/a.rs", 700)]), None);
    assert!(too_long("src/a.rs", &lines(701), &[("src/a.rs", 700)]).is_some());
}

#[test]
fn the_waiver_check_sees_attributes_only() {
    let found =
        waived("a.rs", "#[test]\n    #[ignore = \"slow\"]\n#[expect(dead_code)]\n// #[ignore]\n#![allow(unused)]\n");
    assert_eq!(found, ["a.rs:2: #[ignore = \"slow\"]", "a.rs:5: #![allow(unused)]"]);
}

#[test]
fn the_wording_check_sees_flags_and_commands_in_texts_only() {
    let found = worded_for_one(
        "a.rs",
        "a(\"use --take\")\n/// `reconciled status`\nb(\"`reconciled status` lists\"); // --x\nc(\"one -- two\", x--y)\n",
    );
    assert_eq!(found, ["a.rs:1: names a flag", "a.rs:3: names a command"]);
}

#[test]
fn the_path_check_sees_absolute_paths_only() {
    let bad = MACHINE_PATHS[0];
    assert_eq!(machine_paths("a.md", &format!("one\nsee {bad}x\n")), [format!("a.md:2: names {bad}")]);
    assert_eq!(machine_paths("a.md", &format!("\"{bad}x\"")), [format!("a.md:1: names {bad}")]);
    assert!(machine_paths("a.md", &format!("https://example.com{bad}x and target{bad}")).is_empty());
}

#[test]
fn the_dependency_check_wants_a_path_into_the_crate() {
    let manifest = "[dependencies]\nfoo-bar = \"1\"\nurl = { version = \"2\" }\nconfig = \"1\"\n[dev-dependencies]\nlate = \"1\"\n";
    let used = |code: &str| unused_dependencies(manifest, &[code.to_owned()]);
    assert_eq!(used("use foo_bar::X; let u = url::Url::parse(s); use config; late::go();"), Vec::<String>::new());
    assert_eq!(
        used("// foo_bar::X\nlet url = 1; crate::config::load(); use late as l;"),
        [
            "Cargo.toml: nothing uses `config`; take it out",
            "Cargo.toml: nothing uses `foo-bar`; take it out",
            "Cargo.toml: nothing uses `url`; take it out"
        ]
    );
}

// ---- how ----

/// The imports in `text` that [`IMPORTS`] does not have.
fn forbidden_imports(file: &str, text: &str) -> Vec<String> {
    let Some(inside) = file.strip_prefix("src/") else { return Vec::new() };
    if inside == "lib.rs" || inside == "main.rs" {
        return Vec::new();
    }
    let parts: Vec<&str> = inside.split('/').collect();
    let module = parts[0].trim_end_matches(".rs");
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{file}:1: `{module}` is not in the import table of tests/it/house.rs")];
    };
    // `src/a.rs` and `src/a/mod.rs` are one step below the root, `src/a/b.rs` two.
    let depth = if parts.last() == Some(&"mod.rs") { parts.len() - 1 } else { parts.len() };

    let code = without_comments(text);
    let tests_from = if is_test_code(inside) { 0 } else { code.find("#[cfg(test)]").unwrap_or(code.len()) };
    let mut found = Vec::new();
    for (at, name) in root_names(&code, depth) {
        let permitted = name == module
            || allowed.contains(&name)
            || !IMPORTS.iter().any(|(known, _)| *known == name)
            || (at >= tests_from && IMPORTS_OF_TESTS.contains(&name));
        if !permitted {
            let line = code[..at].matches('\n').count() + 1;
            found.push(format!("{file}:{line}: `{module}` may not import `crate::{name}`"));
        }
    }
    found
}

/// Every name taken from the crate's root: by `crate::x`, `crate::{x, y}`, or `super::…::x` that climbs that far.
fn root_names(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| starts_word(code, *at)) {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_names(group).into_iter().map(|name| (at, name))),
            None => found.push((at, first_word(rest))),
        }
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| starts_word(code, *at)) {
        let mut rest = &code[at..];
        let mut climbed = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            rest = next;
            climbed += 1;
        }
        let inner = code[..at].ends_with("super::");
        if climbed >= depth && !inner {
            found.push((at, first_word(rest)));
        }
    }
    found.sort_unstable();
    found
}

/// The first words of the members of `a::b, c::{d, e}, f}`, up to the brace that closes the group.
fn group_names(group: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut level, mut start) = (0_usize, 0);
    for (at, symbol) in group.char_indices() {
        match symbol {
            '{' => level += 1,
            '}' if level > 0 => level -= 1,
            '}' => {
                names.push(first_word(group[start..at].trim_start()));
                break;
            }
            ',' if level == 0 => {
                names.push(first_word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn missing_doc(file: &str, text: &str) -> Option<String> {
    let doc: String = text.lines().map_while(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join(" ");
    let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if doc.is_empty() {
        return Some(format!("{file}:1: must begin with a `//!` doc"));
    }
    let exempt = file == "src/lib.rs" || is_test_code(file);
    (!exempt && (!doc.contains("owns") || !doc.contains("must not know")))
        .then(|| format!("{file}:1: the first doc must say what the module owns and what it must not know"))
}

/// Files that hold nothing but tests and what tests need.
fn is_test_code(file: &str) -> bool {
    file.contains("/tests/") || ["tests.rs", "testkit.rs", "contract.rs"].iter().any(|name| file.ends_with(name))
}

fn too_long(file: &str, text: &str, owed: &[(&str, usize)]) -> Option<String> {
    let lines_max = owed.iter().find(|(name, _)| *name == file).map_or(SOURCE_LINES_MAX, |(_, lines_max)| *lines_max);
    let lines = text.lines().count();
    (lines > lines_max).then(|| format!("{file}: {lines} lines, at most {lines_max}; split it by topic"))
}

/// Attributes that switch a check off and are never missed when there is nothing left to switch off; `expect` is.
fn waived(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start).enumerate();
    let waives = |line: &str| ["#[ignore", "#[allow", "#![allow"].iter().any(|start| line.starts_with(start));
    lines.filter(|(_, line)| waives(line)).map(|(at, line)| format!("{file}:{}: {line}", at + 1)).collect()
}

/// Words of the command line, where pages and programs read as well.
fn worded_for_one(file: &str, text: &str) -> Vec<String> {
    let code = without_comments(text);
    let is_flag = |line: &str| {
        line.match_indices(" --").any(|(at, _)| line[at + 3..].starts_with(|symbol: char| symbol.is_ascii_lowercase()))
    };
    let lines = code.lines().enumerate().filter_map(|(at, line)| {
        let what = match () {
            () if line.contains("`reconciled ") => "a command",
            () if is_flag(line) => "a flag",
            () => return None,
        };
        Some(format!("{file}:{}: names {what}", at + 1))
    });
    lines.collect()
}

fn machine_paths(file: &str, text: &str) -> Vec<String> {
    let absolute = |line: &str, at: usize| {
        line[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && !"._-~}>/".contains(before))
    };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for path in MACHINE_PATHS {
            if line.match_indices(path).any(|(at, _)| absolute(line, at)) {
                found.push(format!("{file}:{}: names {path}", number + 1));
            }
        }
    }
    found
}

/// The dependencies of `manifest` that no file of `code` reaches into, by `name::`, `use name` or an attribute.
fn unused_dependencies(manifest: &str, code: &[String]) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let code: Vec<String> = code.iter().map(|text| without_comments(text)).collect();
    let mut found: Vec<String> = ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(toml::Table::keys)
        .filter(|name| !code.iter().any(|text| names_crate(text, &name.replace('-', "_"))))
        .map(|name| format!("Cargo.toml: nothing uses `{name}`; take it out"))
        .collect();
    found.sort();
    found
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let whole = starts_word(code, at) && !before.ends_with("::");
        let used = before.ends_with("use ") && after.starts_with([';', ' ']);
        whole && (after.starts_with("::") || used)
    })
}

fn starts_word(code: &str, at: usize) -> bool {
    code[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != '$')
}

fn first_word(code: &str) -> &str {
    let end = code.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_').unwrap_or(code.len());
    &code[..end]
}

/// The text with line comments cut off, lines kept. A `//` inside a string is cut too, which hides no import.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| match line.find("//") {
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The Rust files below a folder of the package, by path relative to its root.
/// Hunks of a patch whose old lines do not stand in the file.
fn stale_hunks(patch: &str, read: &dyn Fn(&str) -> String) -> Vec<String> {
    let (mut found, mut file, mut old) = (Vec::new(), "", None::<String>);
    for line in patch.lines().chain(["@@"]) {
        if line.starts_with("@@") || line.starts_with("--- ") {
            if let Some(old) = old.take().filter(|old| old.is_empty() || !read(file).contains(old.as_str())) {
                found.push(format!("{file}: {}", old.trim()));
            }
            file = line.strip_prefix("--- a/").unwrap_or(file);
            old = line.starts_with("@@").then(String::new);
        } else if let Some(old) = &mut old {
            let kept = line.strip_prefix([' ', '-']).or(line.is_empty().then_some(""));
            old.extend(kept.map(|kept| format!("{kept}\n")));
        }
    }
    found
}

#[test]
fn patches_of_mutants_fit_the_code() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("tests/mutants")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_default();
            let stale = stale_hunks(&fs::read_to_string(&path).unwrap(), &read);
            assert!(stale.is_empty(), "{}: write it anew: {stale:#?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn a_patch_that_does_not_fit_is_found() {
    let patch = "Why.\n\n--- a/one\n+++ b/one\n@@ -1,3 +1,3 @@\n first\n-second\n+another\n third\n@@ -9 +9 @@\n-ninth\n+10th\n";
    assert_eq!(stale_hunks(patch, &|_| "first\nsecond\nthird\n\nninth\n".to_owned()), [""; 0]);
    assert_eq!(stale_hunks(patch, &|_| "first\nsecond\n\nthird\nninth\n".to_owned()), ["one: first\nsecond\nthird"]);
    assert_eq!(stale_hunks(patch, &|_| String::new()).len(), 2);
}

fn sources(dir: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.insert(relative(&path), fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// What git tracks and is text; nothing where the sources were unpacked from an archive.
fn tracked_texts() -> Vec<(String, String)> {
    let Ok(listing) = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&listing.stdout)
        .split('\0')
        .filter(|file| !file.is_empty())
        .filter_map(|file| Some((file.to_owned(), fs::read_to_string(root().join(file)).ok()?)))
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
