//! Owns: the strict reading of one settings file: every unknown key and wrong type at once, with its place and remedy.
//!
//! Must not know: environment, flags, which file is taken.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, VARS, check_value, check_variable_name, key, suggestion};

/// The most that is shown of a line.
const LINE_CHARS_MAX: usize = 100;

/// Something wrong with the settings, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `path:line:column`, an environment variable, a flag.
    pub place: String,
    /// What is wrong, as a lower-case fragment.
    pub what: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The line of the file, as it is written.
    pub line: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        match &self.line {
            Some(line) => write!(f, "\n  | {line}"),
            None => Ok(()),
        }
    }
}

/// The settings of a file by dotted name, or everything that is wrong with it.
pub fn parse_file(path: &Path, text: &str) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path, text, values: BTreeMap::new(), problems: Vec::new() };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().lines().next().unwrap_or("no TOML").to_owned();
        reader.problem(at, what, None);
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    reader.table("", table.get_ref());
    if reader.problems.is_empty() { Ok(reader.values) } else { Err(reader.problems) }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    values: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        // The parser hands members over in name order; people read a file from its top.
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in members {
            let dotted =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            self.member(prefix, &dotted, name.span().start, value);
        }
    }

    fn member(&mut self, prefix: &str, dotted: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        if prefix == VARS {
            let name = &dotted[VARS.len() + 1..];
            match check_variable_name(name) {
                Ok(()) => self.text_value(dotted, value),
                Err(remedy) => self.problem(at, format!("`{name}` is {remedy}"), None),
            }
            return;
        }
        let is_section = dotted == VARS || KEYS.iter().any(|key| key.name.starts_with(&format!("{dotted}.")));
        match (key(dotted), is_section, value.get_ref()) {
            (Some(_), _, _) => self.text_value(dotted, value),
            (None, true, DeValue::Table(table)) => self.table(dotted, table),
            (None, true, other) => self.problem(
                value.span().start,
                format!("`{dotted}` is a {}, and should be a table", other.type_str()),
                Some(format!("write [{dotted}] on a line of its own")),
            ),
            (None, false, _) => {
                let last = dotted.rsplit('.').next().unwrap_or(dotted);
                self.problem(at, format!("unknown key `{last}`"), Some(suggestion(last, &names_under(prefix))));
            }
        }
    }

    fn text_value(&mut self, dotted: &str, value: &Spanned<DeValue<'_>>) {
        let at = value.span().start;
        let Some(text) = value.get_ref().as_str() else {
            let found = value.get_ref().type_str();
            let remedy = "put the value between quotes".to_owned();
            self.problem(at, format!("`{dotted}` is of type {found}, and should be a string"), Some(remedy));
            return;
        };
        match key(dotted).map_or(Ok(()), |key| check_value(key, text)) {
            Ok(()) => {
                self.values.insert(dotted.to_owned(), text.to_owned());
            }
            Err(why) => self.problem(at, format!("`{dotted}` is {why}"), None),
        }
    }

    fn problem(&mut self, at: usize, what: String, remedy: Option<String>) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = format!("{}:{line}:{column}", self.path.display());
        let text = self.text.lines().nth(line - 1).map(|text| text.trim().chars().take(LINE_CHARS_MAX).collect());
        self.problems.push(Problem { place, what, remedy, line: text });
    }
}

/// What may stand in the table of this name (`""`: the top).
fn names_under(prefix: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = KEYS
        .iter()
        .filter_map(|key| match prefix {
            "" => key.name.split('.').next(),
            _ => key.name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')),
        })
        .chain((prefix.is_empty()).then_some(VARS))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = match parse_file(Path::new("a.toml"), text) {
            Ok(_) => Vec::new(),
            Err(problems) => {
                let told = problems.iter().map(|problem| Problem { line: None, ..problem.clone() }.to_string());
                told.collect::<Vec<_>>()
            }
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_mistake_is_shown_in_its_line() {
        let problems = parse_file(Path::new("a.toml"), "color = \"auto\"\ndrain_timeout = \"soon\" # ?\n").unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "a.toml:2:17: `drain_timeout` is no duration; write a number and a unit, like \"500ms\", \"20s\", \"2m\" or \
             \"1h\"\n  | drain_timeout = \"soon\" # ?"
        );
    }

    #[test]
    fn every_mistake_is_named_with_place_and_remedy() {
        check("database = \"a.db\"\n[log]\nlevel = \"debug\"\n[vars]\ntenant = \"x\"\n", &[]);
        check(
            "databse = \"a.db\"\n[log]\nlevle = \"debug\"\nformat = \"xml\"\n",
            &[
                "a.toml:1:1: unknown key `databse`; did you mean `database`?",
                "a.toml:3:1: unknown key `levle`; did you mean `level`?",
                "a.toml:4:10: `log.format` is not a word that it knows; write one of auto, text, json, journal, human",
            ],
        );
        check(
            "drain_timeout = 20\nlog = \"debug\"\n",
            &[
                "a.toml:1:17: `drain_timeout` is of type integer, and should be a string; put the value between quotes",
                "a.toml:2:7: `log` is a string, and should be a table; write [log] on a line of its own",
            ],
        );
        check(
            "[vars]\nTenant = \"x\"\nport = 80\n",
            &[
                "a.toml:2:1: `Tenant` is no variable name; use lower case letters, digits and single `_`, beginning with a letter",
                "a.toml:3:8: `vars.port` is of type integer, and should be a string; put the value between quotes",
            ],
        );
        check("[webhooks]\nlisten = \"127.0.0.1:8481\"\n", &[]);
        check(
            "[webhooks]\nlisten = \"localhost\"\n",
            &[
                "a.toml:2:10: `webhooks.listen` is no address; write an IP address with a port, like 127.0.0.1:8481, or `web`",
            ],
        );
        check(
            "wholly_different = 1\n",
            &[
                "a.toml:1:1: unknown key `wholly_different`; known here: `busy_timeout`, `color`, `database`, `drain_timeout`, `log`, `otlp`, `rules_dir`, `secrets_dir`, `trusted_proxies`, `vars`, `web`, `webhooks`",
            ],
        );
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let problems = parse_file(Path::new("a.toml"), "database = \"a\"\nlog = = 1\n").unwrap_err();
        assert!(problems[0].place.starts_with("a.toml:2:"), "{problems:?}");
    }
}
