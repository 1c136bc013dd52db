//! Owns: claims about what is shipped beside the binary: commands in README.md, the unit file.
//!
//! Must not know: what the commands do.

use super::bench::Bench;

fn shipped(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The command line is understood: `--help` behind it is answered, wrong usage before it would be refused.
fn understood(bench: &Bench, line: &str) {
    let mut args: Vec<&str> = line.split_whitespace().skip(1).collect();
    args.push("--help");
    let ran = bench.run(&args);
    assert_eq!(ran.code, 0, "{line}: {}", ran.err);
}

#[test]
fn every_command_in_the_readme_is_one() {
    let bench = Bench::empty();
    let readme = shipped("README.md");
    let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with("reconciled ")).collect();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `reconciled ")?.split(['`', ' ']).next());
    let rows: Vec<String> = rows.map(|row| format!("reconciled {}", row.trim())).collect();
    assert!(lines.len() >= 3 && rows.len() >= 13, "{lines:?} {rows:?}");
    for line in lines.into_iter().chain(rows.iter().map(String::as_str)) {
        understood(&bench, line);
    }
    let help = bench.run(&["--help"]).out;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for command in listed.filter_map(|line| line.split_whitespace().next()) {
        assert!(readme.contains(&format!("`reconciled {command}")), "README.md does not tell of `{command}`");
    }
}

#[test]
fn every_setting_is_in_the_readme_with_its_default_and_no_other_is() {
    let readme = shipped("README.md");
    let table = readme.split("| key | default | flag | |").nth(1).unwrap().split("\n\n").next().unwrap();
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let mut cells = line.split('|').skip(1);
        (cell(cells.next().unwrap()), cell(cells.next().unwrap()))
    });
    let mut told: Vec<(String, String)> = rows.filter(|(name, _)| name != "vars.NAME").collect();
    told.sort();
    let shown = Bench::empty().run(&["--print-config", "--json"]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let shown = shown["settings"].as_array().unwrap().iter().map(|one| (text(&one["key"]), text(&one["value"])));
    assert_eq!(told, shown.collect::<Vec<_>>());
}

#[test]
fn the_unit_runs_commands_that_exist() {
    let unit = shipped("systemd/reconciled.service");
    let commands = unit.lines().filter(|line| line.starts_with("Exec")).filter_map(|line| line.split_once('='));
    let commands: Vec<&str> = commands.map(|(_, line)| line).filter(|line| line.contains("reconciled")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for line in commands {
        understood(&Bench::empty(), line);
    }
}
