//! Owns: docs/commands.md, docs/settings.md, docs/man and completions/: what is published of the grammar and the table of settings is
//! what they say now.
//!
//! Must not know: what commands and settings do.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _, Parser as _};

use crate::config::{KEYS, VARIABLES};

use super::super::args::CommandLine;
use super::super::completions;
use super::super::examples;
use super::super::exit::MEANINGS;
use super::pages::{Leaf, leaves, pages};
use super::texts;

/// Compares a published file with what it should be; with `UPDATE_DOCS` set it is written anew.
fn published(path: &str, current: &str) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(&at, current).unwrap();
    }
    let found = std::fs::read_to_string(&at).unwrap_or_default();
    assert!(found == current, "{path} is old: run UPDATE_DOCS=1 cargo test --lib the_published");
}

/// The files in a folder are these and no others.
fn only(folder: &str, names: &[String]) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in std::fs::read_dir(at).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{folder}/{name} belongs to nothing; take it away");
    }
}

#[test]
fn the_published_commands_are_current() {
    published("docs/commands.md", &commands());
}

#[test]
fn the_published_settings_are_current() {
    published("docs/settings.md", &settings());
}

#[test]
fn the_published_man_pages_are_current() {
    let pages = pages();
    for page in &pages {
        published(&format!("docs/man/{}", page.file()), &page.text);
    }
    only("docs/man", &pages.iter().map(super::pages::Page::file).collect::<Vec<_>>());
}

#[test]
fn the_published_completions_are_current() {
    for (shell, name, _) in completions::INSTALLED {
        published(&format!("completions/{name}"), &completions::script(shell));
    }
    only("completions", &completions::INSTALLED.map(|(_, name, _)| name.to_owned()));
}

#[test]
fn every_command_and_flag_is_described_and_every_example_is_a_command() {
    let line = CommandLine::command();
    let program = Leaf { words: "reconciled".to_owned(), command: line.clone() };
    for Leaf { words, command } in leaves(&line).into_iter().chain([program]) {
        let name = words.as_str();
        assert!(command.get_about().is_some(), "{name}");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{name}: {}", arg.get_id());
        }
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut count = 0;
        for (example, about) in examples::lines(&text) {
            // What a shell reads is no argument.
            let command = example.split(" < ").next().unwrap();
            let words: Vec<String> =
                command.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
            let quoted = example.contains('\'');
            let parsed = CommandLine::try_parse_from(&words);
            assert!(quoted || parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            assert!(example.contains(name) && !about.is_empty(), "{name}: {example}");
            count += 1;
        }
        assert!(count > 0, "{name} has no example");
    }
}

#[test]
fn the_readme_has_the_exit_codes_of_the_program() {
    let readme = include_str!("../../../README.md");
    for (exit, about) in MEANINGS {
        assert!(readme.contains(&format!("| {} | {about} |", exit.code())), "{}: {about}", exit.code());
    }
}

#[test]
fn the_settings_of_the_example_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a.toml");
    std::fs::write(&config, texts::EXAMPLE).unwrap();
    let overrides = crate::config::Overrides { config: Some(config), ..Default::default() };
    let settings =
        crate::config::Settings::load(&overrides, &crate::config::Environment::new(), Path::new("")).unwrap();
    assert!(settings.web_listen.is_some() && settings.vars.len() == 1);
}

fn commands() -> String {
    let mut line = CommandLine::command();
    let mut text = String::from(
        "# Commands\n\nMade from the program itself (`UPDATE_DOCS=1 cargo test --lib the_published`); the same is in `reconciled COMMAND \
         --help` and in the\nman pages. [`settings.md`](settings.md) describes settings, [`json.md`](json.md) what `--json` prints.\n\n",
    );
    let shown = leaves(&line);
    text += "| command | |\n|---|---|\n";
    for leaf in &shown {
        let (name, dashed, about) = (&leaf.words, leaf.dashed(), words(leaf.command.get_about()));
        writeln!(text, "| [`reconciled {name}`](#reconciled-{dashed}) | {about} |").unwrap();
    }
    text += "\n## Global options\n\nThey may stand before or after the command.\n\n";
    text += &arguments(line.get_arguments());
    writeln!(text, "\n## Exit codes\n\n{}\n\n| code | meaning |\n|---|---|", texts::STREAMS).unwrap();
    for (exit, about) in MEANINGS {
        writeln!(text, "| {} | {about} |", exit.code()).unwrap();
    }
    text += "\n## Signals of `reconciled run`\n\n| signal | |\n|---|---|\n";
    for (signal, about) in texts::SIGNALS {
        writeln!(text, "| {signal} | {about} |").unwrap();
    }
    line.build();
    for leaf in &shown {
        text += &section(leaf, &mut line);
    }
    text
}

fn section(Leaf { words: name, command }: &Leaf, line: &mut Command) -> String {
    let built = name.split(' ').fold(line, |above, word| above.find_subcommand_mut(word).unwrap());
    let usage = built.render_usage().to_string();
    let mut text = format!("\n## `reconciled {name}`\n\n");
    let about = words(command.get_long_about().or_else(|| command.get_about()));
    let paragraphs: Vec<String> = about.split("\n\n").map(|one| format!("{}.", one.trim_end_matches('.'))).collect();
    let about = paragraphs.join("\n\n");
    writeln!(text, "{about}\n\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")).unwrap();
    let arguments = arguments(command.get_arguments());
    if !arguments.is_empty() {
        writeln!(text, "{arguments}").unwrap();
    }
    text += "```sh\n";
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let width = examples::lines(&help).map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    for (line, about) in examples::lines(&help) {
        writeln!(text, "{line:width$}   # {about}").unwrap();
    }
    text + "```\n"
}

fn words(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// A table of arguments and flags.
fn arguments<'a>(all: impl Iterator<Item = &'a Arg>) -> String {
    let mut rows = String::new();
    for arg in all.filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())) {
        let values = arg.get_value_names().map(|names| names.join(" ")).filter(|_| arg.get_action().takes_values());
        let long = arg.get_long().map(|long| format!("--{long}"));
        let names: Vec<String> = arg.get_short().map(|short| format!("-{short}")).into_iter().chain(long).collect();
        let shown = match values {
            Some(values) if names.is_empty() => format!("`{values}`"),
            Some(values) => format!("`{} {values}`", names.join("`, `")),
            None => format!("`{}`", names.join("`, `")),
        };
        let help = words(arg.get_long_help().or_else(|| arg.get_help())).replace("\n\n", ". ").replace('|', "\\|");
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|one| one.to_string_lossy().into_owned()).collect();
        let default = match defaults.as_slice() {
            [one] if arg.get_action().takes_values() => format!(" [default: {one}]"),
            _ => String::new(),
        };
        writeln!(rows, "| {shown} | {help}{default} |").unwrap();
    }
    if rows.is_empty() { rows } else { format!("| | |\n|---|---|\n{rows}") }
}

fn settings() -> String {
    let mut text = String::from(
        "# Settings\n\nMade from the table in the program itself (`UPDATE_DOCS=1 cargo test --lib the_published`); the same is in the man page\n\
         `reconciled.toml(5)`. What is synchronised is no setting: that is in the rules ([`rules.md`](rules.md)).\n",
    );
    for paragraph in texts::LAYERS {
        writeln!(text, "\n{paragraph}").unwrap();
    }
    text += "\n| setting | default | in the environment |\n|---|---|---|\n";
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        writeln!(text, "| [`{}`](#{}) | {default} | `{}` |", key.name, key.name.replace('.', ""), key.variable())
            .unwrap();
    }
    text += "| [`vars.NAME`](#varsname) | | `RECONCILED__VARS__NAME` |\n";
    for key in KEYS {
        let default = if key.default.is_empty() { "nothing".to_owned() } else { format!("`{}`", key.default) };
        let flag = key.flag.map(|flag| format!(" Flag: `{flag}`.")).unwrap_or_default();
        let example = match key.name.split_once('.') {
            Some((table, name)) => format!("[{table}]\n{name} = \"{}\"", key.example),
            None => format!("{} = \"{}\"", key.name, key.example),
        };
        let (name, about, kind) = (key.name, key.about, key.kind.words());
        writeln!(
            text,
            "\n## `{name}`\n\n{about}\n\nValue: {kind}. Default: {default}.{flag}\n\n```toml\n{example}\n```"
        )
        .unwrap();
    }
    writeln!(
        text,
        "\n## `vars.NAME`\n\n{}\n\n```toml\n[vars]\ncrm_url = \"https://crm.example.com/api\"\n```",
        texts::VARS
    )
    .unwrap();
    text += "\n## Secrets\n";
    for paragraph in texts::SECRETS {
        writeln!(text, "\n{paragraph}").unwrap();
    }
    text += "\n## Other variables of the environment\n\n| variable | |\n|---|---|\n";
    for variable in VARIABLES {
        let names: Vec<String> = variable.name.split(", ").map(|name| format!("`{name}`")).collect();
        writeln!(text, "| {} | {} |", names.join(", "), variable.about).unwrap();
    }
    text += "\n## Files\n\n| file | |\n|---|---|\n";
    for (path, about) in texts::FILES {
        let paths: Vec<String> = path.split(", ").map(|path| format!("`{path}`")).collect();
        writeln!(text, "| {} | {about} |", paths.join(", ")).unwrap();
    }
    text + "\n## A whole file\n\n```toml\n" + texts::EXAMPLE + "```\n"
}
