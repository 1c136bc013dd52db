//! Owns: `auth login`: leading a person through a sign-in.
//!
//! Must not know: what the server is asked; how the browser's way back is listened to.

use std::io::BufRead as _;
use std::path::PathBuf;

use url::Url;

use crate::rules::{Grant, is_loopback};
use crate::upstream::{Holder, Keeper, SignIn, read_back_url};

use super::super::args_secrets::LoginArgs;
use super::super::exit::{CliError, Exit};
use super::super::out::Out;
use super::super::style;
use super::super::workspace::{SecretsAre, Workspace};
use super::listen::{Listener, Reply};
use super::{client_of, failed, holder_of};

/// The address that is written on a page which nobody serves: the person copies it from the browser.
const PASTED: &str = "http://127.0.0.1:1/callback";

/// Signs in.
pub async fn run(args: &LoginArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let rules = workspace.rules(SecretsAre::Needed, out)?;
    let name = &args.upstream;
    let client = client_of(name, &rules, workspace)?;
    let mut heard = true;
    let made = match holder_of(name, &client)? {
        Holder::OAuth(keeper) => sign_in(keeper, args, workspace, out).await?,
        // Nobody is asked: the rules have the credentials, and a person says that they are to be tried again.
        Holder::Session(session) => {
            heard = session.log_in().await.map_err(|failure| failed(name, &failure.words))?;
            None
        }
    };
    if let Some(file) = made {
        out.insist(&format!(
            "tokens are sealed with a new master key in {}: keep a copy of it elsewhere",
            file.display()
        ));
    }
    let account = client.check_account().await.map_err(|failure| failed(name, &failure.words))?;
    let account = account.map(|account| format!(" as {}", style::clean(&account))).unwrap_or_default();
    out.talk(&format!("signed in to {name}{account}; {}", what_next(heard)));
    Ok(Exit::IN_SYNC)
}

/// What a running daemon makes of it. A token that is in no vault is this process's own.
fn what_next(heard: bool) -> &'static str {
    if heard {
        "a running daemon goes on with its next pass"
    } else {
        "a running daemon does not hear of it, since the token could not be kept: reload it, or, where there is no vault yet, \
         `reconciled key create` and sign in again"
    }
}

/// Leads through the sign-in of the grant. Says where a master key was made for it.
async fn sign_in(
    keeper: &Keeper,
    args: &LoginArgs,
    workspace: &Workspace,
    out: &Out,
) -> Result<Option<PathBuf>, CliError> {
    let name = &args.upstream;
    match keeper.grant() {
        Grant::AuthorizationCode(rules) if args.paste => paste(name, keeper, rules.redirect_url.as_ref(), out).await,
        Grant::AuthorizationCode(rules) if rules.redirect_url.as_ref().is_some_and(|url| !is_here(url)) => {
            let url = rules.redirect_url.as_ref().map(Url::as_str).unwrap_or_default();
            Err(CliError::Usage(format!(
                "{url} is not on this machine: sign in with --paste, and paste the address that the browser ends at; or, where \
                 that is the daemon's own /oauth/callback, by its page of upstreams"
            )))
        }
        Grant::AuthorizationCode(rules) => browse(name, keeper, rules.redirect_url.as_ref(), workspace, out).await,
        Grant::DeviceCode { .. } => device(name, keeper, out).await,
        other @ (Grant::ClientCredentials | Grant::RefreshToken(_) | Grant::JwtBearer(_)) => Err(CliError::Usage(
            format!("nobody signs in to {name}: by the grant {} tokens are had without a person", other.name()),
        )),
    }
}

/// The browser comes back to this machine.
async fn browse(
    name: &str,
    keeper: &Keeper,
    fixed: Option<&Url>,
    workspace: &Workspace,
    out: &Out,
) -> Result<Option<PathBuf>, CliError> {
    let mut listener = Listener::open(fixed, workspace.clock())
        .await
        .map_err(|error| CliError::Other(format!("nothing can listen for the browser: {error}; try --paste")))?;
    let sign_in = keeper.sign_in(listener.url().to_owned()).map_err(|failure| failed(name, &failure.words))?;
    out.insist(&format!("sign in to {name} in a browser on this machine (elsewhere: --paste):\n\n  {}\n", sign_in.url));
    loop {
        let Some((back, reply)) = listener.next().await else {
            return Err(CliError::Other("nobody listens for the browser any more".to_owned()));
        };
        if !sign_in.is_answered_by(&back) {
            reply.send(Reply::Foreign);
            continue;
        }
        let signed_in = keeper.signed_in(&sign_in, &back).await;
        reply.send(if signed_in.is_ok() { Reply::SignedIn } else { Reply::Failed });
        listener.close().await;
        return signed_in.map_err(|failure| failed(name, &failure.words));
    }
}

/// The person copies the address that the browser ends at.
async fn paste(name: &str, keeper: &Keeper, fixed: Option<&Url>, out: &Out) -> Result<Option<PathBuf>, CliError> {
    let redirect_url = fixed.map_or_else(|| PASTED.to_owned(), Url::to_string);
    let sign_in = keeper.sign_in(redirect_url).map_err(|failure| failed(name, &failure.words))?;
    out.insist(&format!(
        "sign in to {name} in any browser:\n\n  {}\n\nIt ends at a page that cannot be reached. Paste the address of that page here:",
        sign_in.url
    ));
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = line.await.map_err(|error| CliError::Other(error.to_string()))?;
    let line = line.map_err(|error| CliError::Other(format!("stdin cannot be read: {error}")))?;
    let query = query_of(line.trim(), &sign_in)?;
    keeper.signed_in(&sign_in, &read_back_url(&query)).await.map_err(|failure| failed(name, &failure.words))
}

/// A browser on this machine can come back to it, by plain http.
fn is_here(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

/// The query of the address, if it is the one that was waited for.
fn query_of(line: &str, sign_in: &SignIn) -> Result<String, CliError> {
    let url = Url::parse(line).map_err(|error| CliError::Usage(format!("this is no address: {error}")))?;
    let mut place = url.clone();
    place.set_query(None);
    place.set_fragment(None);
    if place.as_str() != sign_in.redirect_url {
        return Err(CliError::Usage(format!("the address should begin with {}?", sign_in.redirect_url)));
    }
    Ok(url.query().unwrap_or_default().to_owned())
}

async fn device(name: &str, keeper: &Keeper, out: &Out) -> Result<Option<PathBuf>, CliError> {
    let mut device = keeper.device().await.map_err(|failure| failed(name, &failure.words))?;
    let complete = device.complete_url.as_ref().map(|url| format!("\n\nor go to\n\n  {url}")).unwrap_or_default();
    out.insist(&format!(
        "sign in to {name} on any device: go to\n\n  {}\n\nand type the code {}{complete}\n\nIt counts until {}.",
        device.verification_url,
        device.user_code,
        device.expires_at.format("%H:%M:%S UTC")
    ));
    loop {
        if let Ok(made) = keeper.asked_device(&mut device).await.map_err(|failure| failed(name, &failure.words))? {
            return Ok(made);
        }
    }
}
