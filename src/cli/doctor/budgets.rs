//! Owns: what is looked at of the file of what is spent, beside the database: whether it can be used, and whose it is.
//!
//! Must not know: budgets, upstreams.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::super::workspace::Workspace;
use super::finding::Finding;
use super::local::{of_another_user, open_to_all};

const CHECK: &str = "budgets";

/// Looks at it, where it is there.
pub fn look(workspace: &Workspace) -> Vec<Finding> {
    let spending = workspace.spending();
    match spending.examine() {
        Ok(None) => Vec::new(),
        Ok(Some(path)) => {
            let mut findings: Vec<Finding> = open_to_all(CHECK, path).into_iter().collect();
            findings.extend(of_another_user(CHECK, path).or_else(|| of_another_than_its_folder(path)));
            if findings.is_empty() {
                findings.push(Finding::good(CHECK, format!("what is spent is kept in {}", path.display())));
            }
            findings
        }
        Err(error) => {
            let found = format!("{} cannot be used, and nothing is asked of upstreams: {}", error.path, error.reason);
            vec![Finding::error(CHECK, found, error.remedy)]
        }
    }
}

/// Made by root, and not given to the user that the service runs as: that one cannot write it.
fn of_another_than_its_folder(path: &Path) -> Option<Finding> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (owner, wanted) = (std::fs::metadata(path).ok()?.uid(), std::fs::metadata(folder).ok()?.uid());
    (owner != wanted).then(|| {
        let shown = path.display();
        let found = format!("{shown} belongs to the user with id {owner}, and its folder to {wanted}");
        Finding::warning(CHECK, found, format!("chown {wanted} {shown}"))
    })
}
