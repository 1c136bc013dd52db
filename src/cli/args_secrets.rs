//! Owns: the grammar of the commands about sign-ins, secrets and keys: their flags, and the help of those.
//!
//! Must not know: what any command does.

use clap::{Args, Subcommand};

use super::examples;

/// `auth`
#[derive(Debug, Args)]
pub struct AuthArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AuthCommand,
}

/// The commands of `auth`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Sign in to an upstream: in a browser, or by a code that is typed on another device
    ///
    /// Which of the two is said by the `grant` in the rules. The tokens are kept sealed beside the database, renewed before they
    /// end, and used by every process; a daemon that runs goes on with its next pass.
    #[command(after_help = examples::AUTH_LOGIN)]
    Login(LoginArgs),
    /// Show which upstreams are signed in to
    ///
    /// Asks nobody. Ends with 6 where somebody has to sign in.
    #[command(after_help = examples::AUTH_STATUS)]
    Status,
    /// Give the tokens of an upstream up, there and here
    ///
    /// There only where the rules have a `revoke_url`; without it they count until they end.
    #[command(after_help = examples::AUTH_REVOKE)]
    Revoke(RevokeArgs),
}

/// `auth login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The upstream
    pub upstream: String,
    /// Sign in with a browser elsewhere, and paste the address that it ends at
    #[arg(long)]
    pub paste: bool,
}

/// `auth revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The upstream
    pub upstream: String,
}

/// `secret`
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// The commands of `secret`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret sealed; its value is read from stdin, never from the command line
    ///
    /// A terminal does not show what is typed. It is found by rules as `${secret.NAME}`, after credentials of systemd, files in
    /// `secrets_dir` and the environment. A daemon takes it at its next reload.
    #[command(after_help = examples::SECRET_SET)]
    Set(SecretName),
    /// List secrets that the rules name or that are kept, and where each is; never their values
    #[command(after_help = examples::SECRET_LIST)]
    List,
    /// Remove a secret that is kept
    #[command(after_help = examples::SECRET_RM)]
    Rm(SecretName),
}

/// Which secret.
#[derive(Debug, Args)]
pub struct SecretName {
    /// Its name, as in ${secret.NAME}
    pub name: String,
}

/// `key`
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// The commands of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a master key, where there is none
    ///
    /// The first secret or token makes one as well. It is the file `master_key` in `secrets_dir`. Without it nothing that is sealed
    /// can be opened again: keep a copy elsewhere.
    #[command(after_help = examples::KEY_CREATE)]
    Create,
    /// Seal everything with a new master key, and replace the old one
    ///
    /// In one transaction; a process that dies in the midst of it leaves a key that fits.
    #[command(after_help = examples::KEY_ROTATE)]
    Rotate,
}
