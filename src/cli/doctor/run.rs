//! Owns: the order of what is looked at, the sum of it, the exit code.
//!
//! Must not know: what each check does.

use serde::Serialize;

use super::super::args::{DoctorArgs, Global};
use super::super::exit::{CliError, Exit};
use super::super::out::Out;
use super::super::style::{self, count, paint};
use super::super::workspace::Workspace;
use super::finding::{Finding, Level};
use super::{budgets, local, service, upstreams};

/// What `doctor --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Nothing must be put right.
    ok: bool,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// Looks at everything.
pub async fn run(args: &DoctorArgs, global: &Global, plain: &Out) -> Result<Exit, CliError> {
    let mut findings = Vec::new();
    match Workspace::load(global) {
        Err(error) => {
            let remedy = "put the settings right; `reconciled --print-config` shows where each comes from";
            findings.push(Finding::error("settings", error.to_string(), remedy));
            findings.push(service::unit());
        }
        Ok(workspace) => {
            findings.extend(local::settings(&workspace));
            let (of_rules, rules, named) = local::rules(&workspace);
            findings.extend(of_rules);
            findings.extend(local::secrets(&workspace, &named));
            findings.extend(local::vault(&workspace));
            let (of_database, exam) = local::database(&workspace);
            findings.extend(of_database);
            findings.extend(budgets::look(&workspace));
            findings.push(local::disk(&workspace));
            findings.push(local::clock(&workspace, exam.as_ref()));
            findings.push(service::unit());
            findings.push(service::daemon(&workspace).await);
            if let Some(rules) = rules.filter(|_| !args.offline) {
                findings.extend(upstreams::look(&workspace, &rules, plain).await);
            }
        }
    }
    let of = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (of(Level::Error), of(Level::Warning));
    let report = Report { ok: errors == 0, errors, warnings, findings };
    plain.show(&report, |report, _width| text(report))?;
    Ok(if report.ok { Exit::IN_SYNC } else { Exit::ERROR })
}

fn text(report: &Report) -> String {
    let lines: String = report.findings.iter().map(Finding::text).collect();
    let warnings = count(report.warnings as u64, "warning");
    let verdict = match (report.errors, report.warnings) {
        (0, 0) => paint(style::GOOD, "all is well"),
        (0, _) => format!("{}, {warnings}", paint(style::GOOD, "nothing must be put right")),
        (errors, _) => format!("{}, {warnings}", paint(style::BAD, count(errors as u64, "error"))),
    };
    format!("{lines}{verdict}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_shown_with_their_remedies_and_the_worst_decides() {
        let findings = vec![
            Finding::good("rules", "2 files"),
            Finding::warning("clock", "it is\n2 s ahead", "start a time service"),
            Finding::error("secret token", "others may read it", "chmod 600 token"),
        ];
        let shown = |findings: Vec<Finding>| {
            let of = |level| findings.iter().filter(|finding| finding.level == level).count();
            let (errors, warnings) = (of(Level::Error), of(Level::Warning));
            style::bare(&text(&Report { ok: errors == 0, errors, warnings, findings }))
        };
        let expected = "✓ rules: 2 files\n! clock: it is⏎2 s ahead\n    → start a time service\n\
                        × secret token: others may read it\n    → chmod 600 token\n1 error, 1 warning\n";
        assert_eq!(shown(findings.clone()), expected);
        assert!(shown(findings[..2].to_vec()).ends_with("nothing must be put right, 1 warning\n"));
        assert!(shown(findings[..1].to_vec()).ends_with("all is well\n"));
    }
}
