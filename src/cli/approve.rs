//! Owns: `approve`: what a guard stopped, shown and let through once.
//!
//! Must not know: guards.

use serde_json::Value;

use crate::ops::{Approved, Halt};

use super::args::ApproveArgs;
use super::ask;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::style;
use super::workspace::Workspace;

/// Shows the halt and approves it.
pub async fn run(args: &ApproveArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let (Approved { halt, before }, by_daemon) = ask::approve(args.halt, args.wins.as_deref(), workspace).await?;
    out.show(&halt, |halt, width| text(halt, before, by_daemon, width))?;
    Ok(Exit::IN_SYNC)
}

fn text(halt: &Halt, before: bool, by_daemon: bool, width: usize) -> String {
    let mut text = style::heading(&format!("halt {} of {}, pass {}", halt.id, halt.collection, halt.pass));
    text += &halts_text(halt, width);
    let when = style::short(halt.approved_at.as_deref().unwrap_or("–"));
    let words = if before { "was approved already" } else { "approved" };
    let then = if halt.restored {
        "the next pass reads everything anew and goes on from there, within its limits"
    } else {
        "the next pass carries it out, if it would still do exactly this"
    };
    let how = if by_daemon {
        "the daemon makes it at once".to_owned()
    } else {
        format!("`reconciled run --once {}`", halt.collection)
    };
    text + &format!("{words} ({when}); {then}: {how}\n")
}

/// What the guards found too much.
pub fn halts_text(halt: &Halt, width: usize) -> String {
    let list: Vec<Value> =
        halt.halts.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let rows = list
        .iter()
        .map(|one| {
            let target = match one.get("target") {
                Some(Value::String(name)) => name.clone(),
                Some(Value::Object(upstream)) => {
                    upstream.values().next().and_then(Value::as_str).unwrap_or("?").to_owned()
                }
                _ => "?".to_owned(),
            };
            let text = |key: &str| match one.get(key) {
                Some(Value::String(text)) => style::clean(text),
                Some(other) => other.to_string(),
                None => "–".to_owned(),
            };
            vec![target, text("what"), text("count"), text("total"), text("limit")]
        })
        .collect();
    style::table(width, &["target", "what", "records", "of", "limit"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HaltRow;

    #[test]
    fn an_approval_shows_what_it_lets_through() {
        let halts = r#"[{"target":{"upstream":"crm"},"what":"delete","count":50,"total":100,"limit":"5%"},
            {"target":"local","what":"delete","count":50,"total":100,"limit":"5%"}]"#;
        let row = HaltRow {
            id: 2,
            collection: "contacts".to_owned(),
            pass: 9,
            fingerprint: String::new(),
            halts: halts.to_owned(),
            created_at: 0,
            approved_at: Some(1_700_000_000_000_000),
            closed_at: None,
        };
        insta::assert_snapshot!(style::bare(&text(&Halt::from(&row), false, false, 100)));
    }
}
