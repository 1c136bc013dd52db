//! Owns: `auth login|status|revoke`: signing in to upstreams whose tokens are OAuth's.
//!
//! Must not know: how tokens are asked for and kept.

mod listen;
mod login;

use chrono::{DateTime, Utc};

use crate::rules::{Auth, Ruleset, Upstream};
use crate::upstream::{Client, Holder, Standing};

use super::args_secrets::{AuthArgs, AuthCommand};
use super::exit::{CliError, Exit};
use super::find::nearest;
use super::out::Out;
use super::style;
use super::workspace::{SecretsAre, Workspace};

/// Does what was asked.
pub async fn run(args: &AuthArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    match &args.command {
        AuthCommand::Login(args) => login::run(args, workspace, out).await,
        AuthCommand::Status => status(workspace, out).await,
        AuthCommand::Revoke(args) => revoke(&args.upstream, workspace, out).await,
    }
}

/// How it stands with one upstream.
#[derive(serde::Serialize)]
struct Row {
    upstream: String,
    grant: &'static str,
    /// `as_needed`, `signed_in`, `nobody` or `reauth_required`.
    state: &'static str,
    since: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    renewable: Option<bool>,
    scope: Option<String>,
    reason: Option<String>,
}

impl Row {
    fn of(upstream: &str, holder: &Holder, standing: Standing) -> Self {
        let row = |state| Self {
            upstream: upstream.to_owned(),
            grant: holder.grant_name(),
            state,
            since: None,
            expires_at: None,
            renewable: None,
            scope: None,
            reason: None,
        };
        match standing {
            Standing::AsNeeded => row("as_needed"),
            Standing::Nobody => row("nobody"),
            Standing::Again(reason) => Self { reason: Some(reason), ..row("reauth_required") },
            Standing::In { since, expires_at, renewable, scope } => {
                Self { since: Some(since), expires_at, renewable: Some(renewable), scope, ..row("signed_in") }
            }
        }
    }

    fn words(&self, now: DateTime<Utc>) -> Vec<String> {
        let state = match (self.state, self.renewable) {
            ("as_needed", _) => "asked for as needed".to_owned(),
            ("nobody", _) => format!("nobody is signed in: reconciled auth login {}", self.upstream),
            ("reauth_required", _) => format!("sign in again: {}", self.reason.as_deref().unwrap_or_default()),
            (_, Some(false)) if self.expires_at.is_some_and(|end| end <= now) => {
                format!("ended: reconciled auth login {}", self.upstream)
            }
            (_, Some(false)) => "signed in until it ends".to_owned(),
            _ => "signed in, renewed as needed".to_owned(),
        };
        let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "–".to_owned(), |at| style::short(&at.to_rfc3339()));
        let scope = self.scope.clone().unwrap_or_else(|| "–".to_owned());
        vec![self.upstream.clone(), self.grant.to_owned(), state, time(self.expires_at), scope]
    }
}

async fn status(workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Needed, out)?;
    let mut rows = Vec::new();
    for (name, upstream) in &rules.upstreams {
        if !has_tokens(upstream) {
            continue;
        }
        let client = workspace.client(&rules, name)?;
        let Some(holder) = client.holder() else { continue };
        let standing = holder.standing().await.map_err(|failure| failed(name, &failure.words))?;
        rows.push(Row::of(name, holder, standing));
    }
    let now = workspace.clock().now();
    out.show(&rows, |rows, width| {
        if rows.is_empty() {
            return "no upstream in the rules has tokens (auth kinds oauth2, jwt_bearer, session)\n".to_owned();
        }
        let header = ["upstream", "grant", "tokens", "until", "granted"];
        style::table(width, &header, rows.iter().map(|row| row.words(now)).collect())
    })?;
    let missing = rows.iter().any(|row| matches!(row.state, "nobody" | "reauth_required"));
    Ok(if missing { Exit::UNAVAILABLE } else { Exit::IN_SYNC })
}

async fn revoke(name: &str, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Needed, out)?;
    let client = client_of(name, &rules, workspace)?;
    let holder = holder_of(name, &client)?;
    let there = matches!(&rules.upstreams[name].auth, Auth::Tokens(rules) if rules.revoke_url.is_some());
    let had = holder.revoke().await.map_err(|failure| failed(name, &failure.words))?;
    let by_login = matches!(holder, Holder::Session(_));
    match (had, there) {
        (true, _) if by_login => out.talk(&format!("the token of {name} is forgotten here; it counts there until it ends")),
        (false, _) => out.talk(&format!("nothing is kept for {name}")),
        (true, true) => out.talk(&format!("the tokens of {name} are given up, there and here")),
        (true, false) => out.talk(&format!(
            "the tokens of {name} are forgotten here; the rules have no `revoke_url`, so they count there until they end"
        )),
    }
    Ok(Exit::IN_SYNC)
}

fn has_tokens(upstream: &Upstream) -> bool {
    upstream.auth.has_tokens()
}

fn client_of(name: &str, rules: &Ruleset, workspace: &Workspace) -> Result<Client, CliError> {
    if !rules.upstreams.contains_key(name) {
        let known: Vec<&str> = rules.upstreams.keys().map(String::as_str).collect();
        return Err(CliError::Usage(format!("no upstream named `{name}` in the rules; {}", nearest(name, &known))));
    }
    workspace.client(rules, name)
}

fn holder_of<'a>(name: &str, client: &'a Client) -> Result<&'a Holder, CliError> {
    client.holder().ok_or_else(|| {
        CliError::Usage(format!(
            "{name} has no tokens: its `auth` is of another kind than oauth2, jwt_bearer and session"
        ))
    })
}

fn failed(upstream: &str, words: &str) -> CliError {
    CliError::Upstream { upstream: upstream.to_owned(), reason: words.to_owned() }
}
