//! Owns: which man pages there are, and their sections.
//!
//! Must not know: how a section is written down; who reads them.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::config::{KEYS, VARIABLES};

use super::super::args::CommandLine;
use super::super::examples;
use super::super::exit::MEANINGS;
use super::roff::Sheet;
use super::texts;

/// The head line of every page.
const MANUAL: &str = "Reconciled Manual";
/// What the pages belong to.
const SOURCE: &str = concat!("reconciled ", env!("CARGO_PKG_VERSION"));
/// Pages have none, so that they are the same whenever they are made; quoted, as an empty argument would be none at all.
const NO_DATE: &str = "\"\"";
/// What the page of the settings is about.
const SETTINGS: &str = "reconciled.toml";

/// A man page.
#[derive(Debug)]
pub struct Page {
    /// What it is asked for by: a command, `reconciled`, `reconciled.toml`.
    pub topic: String,
    /// Its name, such as `reconciled-run`.
    pub name: String,
    /// 1: a command, 5: a file.
    pub section: u8,
    /// Its text in man(7).
    pub text: String,
}

impl Page {
    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// A command that does something, by itself or below another one.
pub struct Leaf {
    /// How it is asked for, such as `auth login`.
    pub words: String,
    /// Its grammar.
    pub command: Command,
}

impl Leaf {
    /// Its name where there may be no spaces: `auth-login`.
    pub fn dashed(&self) -> String {
        self.words.replace(' ', "-")
    }
}

/// All commands that are shown.
pub fn leaves(line: &Command) -> Vec<Leaf> {
    fn collect(above: &str, command: &Command, leaves: &mut Vec<Leaf>) {
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let words = format!("{above}{}", command.get_name());
            if command.has_subcommands() {
                collect(&format!("{words} "), command, leaves);
            } else {
                leaves.push(Leaf { words, command: command.clone() });
            }
        }
    }
    let mut leaves = Vec::new();
    collect("", line, &mut leaves);
    leaves
}

/// All pages: the program's, its settings', one per command.
pub fn pages() -> Vec<Page> {
    let line = CommandLine::command();
    let page = |topic: &str, name: String, section, text| Page { topic: topic.to_owned(), name, section, text };
    let mut pages = vec![
        page("reconciled", "reconciled".to_owned(), 1, of_program(&line)),
        page(SETTINGS, SETTINGS.to_owned(), 5, of_settings()),
    ];
    for leaf in leaves(&line) {
        let name = format!("reconciled-{}", leaf.dashed());
        let text = of_command(&leaf, &name);
        pages.push(page(&leaf.dashed(), name, 1, text));
    }
    pages
}

/// Renders one of `clap_mangen`'s sections.
fn piece(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes everything.
    write(&mut bytes).ok();
    bytes
}

fn of_program(line: &Command) -> String {
    let man = Man::new(line.clone()).date(NO_DATE).source(SOURCE).manual(MANUAL);
    let mut sheet = Sheet::of(&[
        piece(|to| man.render_title(to)),
        piece(|to| man.render_name_section(to)),
        piece(|to| man.render_synopsis_section(to)),
    ]);
    sheet.section("DESCRIPTION");
    for text in texts::ABOUT {
        sheet.paragraph(text);
    }
    sheet.section("COMMANDS").line("Each has a page of its own.");
    for leaf in leaves(line) {
        let about = leaf.command.get_about().map(ToString::to_string).unwrap_or_default();
        sheet.term(&format!("reconciled-{}(1)", leaf.dashed()), &about);
    }
    sheet.made(&String::from_utf8_lossy(&piece(|to| man.render_options_section(to))));
    exit_status(&mut sheet);
    sheet.section("SIGNALS");
    for (name, about) in texts::SIGNALS {
        sheet.term(name, about);
    }
    sheet.section("ENVIRONMENT").line("Settings and secrets as reconciled.toml(5) says, and:");
    environment(&mut sheet);
    files(&mut sheet);
    examples_of(&mut sheet, line);
    sheet.section("SEE ALSO").line(&format!("{SETTINGS}(5)"));
    sheet.text()
}

fn of_command(Leaf { words, command }: &Leaf, name: &str) -> String {
    let bin = format!("reconciled {words}");
    let spoken = command.clone().display_name(name.to_owned()).bin_name(bin);
    let man = Man::new(spoken).date(NO_DATE).source(SOURCE).manual(MANUAL);
    let mut sheet = Sheet::of(&[
        piece(|to| man.render_title(to)),
        piece(|to| man.render_name_section(to)),
        piece(|to| man.render_synopsis_section(to)),
        piece(|to| man.render_description_section(to)),
        piece(|to| man.render_options_section(to)),
    ]);
    sheet.paragraph(
        "The global options, such as `--config`, `--db`, `--rules` and `--json`, are described in reconciled(1).",
    );
    examples_of(&mut sheet, command);
    exit_status(&mut sheet);
    sheet.section("SEE ALSO").line(&format!("reconciled(1), {SETTINGS}(5)"));
    sheet.text()
}

fn of_settings() -> String {
    let mut sheet = Sheet::titled([SETTINGS, "5", NO_DATE, SOURCE, MANUAL]);
    sheet.section("NAME").line(&format!("{SETTINGS} - settings of reconciled(1)"));
    sheet.section("DESCRIPTION");
    for text in texts::LAYERS {
        sheet.paragraph(text);
    }
    sheet.section("SETTINGS");
    for key in KEYS {
        sheet.term(key.name, key.about);
        let default = if key.default.is_empty() { "nothing".to_owned() } else { format!("`{}`", key.default) };
        let flag = key.flag.map(|flag| format!(" Flag: `{flag}`.")).unwrap_or_default();
        let kind = key.kind.words();
        sheet.more(&format!(
            "Value: {kind}. Default: {default}.{flag} Environment: `{}`. Example: `{}`.",
            key.variable(),
            key.example
        ));
    }
    sheet.term("vars.NAME", texts::VARS).more("Environment: `RECONCILED__VARS__NAME`.");
    sheet.section("SECRETS");
    for text in texts::SECRETS {
        sheet.paragraph(text);
    }
    sheet.section("ENVIRONMENT").line("Besides settings and secrets:");
    environment(&mut sheet);
    files(&mut sheet);
    sheet.section("EXAMPLES").lines(texts::EXAMPLE);
    sheet.section("SEE ALSO").line("reconciled(1)");
    sheet.text()
}

fn exit_status(sheet: &mut Sheet) {
    sheet.section("EXIT STATUS");
    for (exit, about) in MEANINGS {
        sheet.term(&exit.code().to_string(), about);
    }
    sheet.paragraph(texts::STREAMS);
}

fn environment(sheet: &mut Sheet) {
    for variable in VARIABLES {
        sheet.term(variable.name, variable.about);
    }
}

fn files(sheet: &mut Sheet) {
    sheet.section("FILES");
    for (path, about) in texts::FILES {
        sheet.term(path, about);
    }
}

fn examples_of(sheet: &mut Sheet, command: &Command) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    sheet.section("EXAMPLES");
    for (line, about) in examples::lines(&text) {
        sheet.term(line, about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_all_its_flags_and_examples() {
        let pages = pages();
        let line = CommandLine::command();
        for leaf in leaves(&line) {
            let page = pages.iter().find(|page| page.topic == leaf.dashed()).unwrap();
            assert_eq!(page.file(), format!("reconciled-{}.1", leaf.dashed()));
            for flag in leaf.command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.text.contains(&flag.replace('-', "\\-")), "{}: {flag}", page.name);
            }
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "SEE ALSO"] {
                assert!(page.text.contains(heading), "{}: {heading}", page.name);
            }
            assert!(!page.text.contains('`'), "{}: code is in bold", page.name);
        }
        let settings = pages.iter().find(|page| page.section == 5).unwrap();
        assert!(KEYS.iter().all(|key| settings.text.contains(&key.variable())));
    }
}
