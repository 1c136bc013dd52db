//! Owns: `init`: reads samples or a description, has rules proposed and checked, prints them or puts them into a new file.
//!
//! Must not know: how rules are proposed; how they are checked.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::rules::{
    Context, Diagnostic, ProposeError, Sample, Severity, Source, Wanted, check, from_openapi, from_samples, render,
};

use super::args_rules::InitArgs;
use super::exit::{CliError, Exit};
use super::out::Out;
use super::workspace::{Examined, SecretsAre, Workspace};

/// The largest sample or description.
const SAMPLE_BYTES_MAX: u64 = 64_000_000;

/// What `init --json` prints.
#[derive(Debug, Serialize)]
struct Proposed {
    /// The text of the rules.
    rules: String,
    /// The file that they were put into.
    written: Option<String>,
    /// What the check says of them; no errors.
    diagnostics: Vec<Diagnostic>,
}

/// Proposes, checks, prints.
pub fn run(args: &InitArgs, workspace: &Workspace, out: &Out) -> Result<Exit, CliError> {
    let known = known_rules(workspace, out);
    let upstream_known = refuse_known(args, known.as_ref())?;
    let wanted = Wanted {
        collection: &args.collection,
        upstream: &args.upstream,
        upstream_known,
        base_url: args.base_url.as_deref(),
        path: args.path.as_deref(),
        records: args.records.as_deref(),
        id: args.id.as_deref(),
    };
    let rules = propose(args, &wanted).map_err(|error| CliError::Usage(error.to_string()))?;
    let file = format!("{}-{}.toml", args.collection, args.upstream);
    let diagnostics = checked(&rules, &file, known, workspace, out)?;
    let written = if args.write { Some(write(&rules, &workspace.settings().rules_dir, &file)?) } else { None };
    if out.is_json() {
        let written = written.map(|path| path.display().to_string());
        out.json(&Proposed { rules, written, diagnostics })?;
    } else if let Some(path) = written {
        let guesses = rules.lines().filter(|line| line.contains("# guess: ")).count();
        out.talk(&format!(
            "written to {}: look at its {guesses} guesses, then `reconciled check` and `reconciled fetch {}.{}`",
            path.display(),
            args.collection,
            args.upstream
        ));
    } else {
        out.data(&rules)?;
    }
    Ok(Exit::IN_SYNC)
}

/// The rules that are there, where they can be used.
fn known_rules(workspace: &Workspace, out: &Out) -> Option<Examined> {
    let examined = workspace.examine(SecretsAre::Unused).ok()?;
    if examined.rules.is_none() {
        out.talk("the rules that are there have errors (`reconciled check`) and are not looked at");
    }
    Some(examined).filter(|examined| examined.rules.is_some())
}

/// What is in the rules cannot be proposed once more. Whether the upstream is.
fn refuse_known(args: &InitArgs, known: Option<&Examined>) -> Result<bool, CliError> {
    let Some(rules) = known.and_then(|examined| examined.rules.as_ref()) else { return Ok(false) };
    let (collection, upstream) = (&args.collection, &args.upstream);
    if rules.collections.contains_key(collection) {
        return Err(CliError::Usage(format!(
            "the collection `{collection}` is in the rules already; propose it under another name, and take from that what is new \
             for [binding.{collection}.{upstream}]"
        )));
    }
    let known = rules.upstreams.contains_key(upstream);
    if known && args.base_url.is_some() {
        return Err(CliError::Usage(format!(
            "the upstream `{upstream}` is in the rules already: leave --base-url out"
        )));
    }
    Ok(known)
}

fn propose(args: &InitArgs, wanted: &Wanted<'_>) -> Result<String, ProposeError> {
    let read = |file: &PathBuf| {
        let name = if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() };
        let bytes = read(file).map_err(|error| ProposeError::Wanted(format!("{name} cannot be read: {error}")))?;
        Ok((name, bytes))
    };
    if let Some(file) = &args.openapi {
        let (name, bytes) = read(file)?;
        return from_openapi(wanted, &Sample { name: &name, bytes: &bytes });
    }
    let files: Vec<(String, Vec<u8>)> = args.sample.iter().map(read).collect::<Result<_, _>>()?;
    let samples: Vec<Sample<'_>> = files.iter().map(|(name, bytes)| Sample { name, bytes }).collect();
    from_samples(wanted, &samples)
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source: Box<dyn io::Read> =
        if is_stdin(file) { Box::new(io::stdin().lock()) } else { Box::new(std::fs::File::open(file)?) };
    source.take(SAMPLE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SAMPLE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {} MB", SAMPLE_BYTES_MAX / 1_000_000)));
    }
    Ok(bytes)
}

/// Checks a proposal together with the rules that are there. What is wrong then comes from the command line: a name, a URL.
fn checked(
    rules: &str,
    file: &str,
    known: Option<Examined>,
    workspace: &Workspace,
    out: &Out,
) -> Result<Vec<Diagnostic>, CliError> {
    let mut sources = known.map(|examined| examined.sources).unwrap_or_default();
    sources.push(Source { path: file.to_owned(), text: rules.to_owned(), defect: None });
    let context = Context { vars: &workspace.settings().vars, find_secret: &|_| Ok(()) };
    let mut diagnostics = check(&sources, &context).diagnostics;
    diagnostics.retain(|one| one.path == file);
    let is_wrong = diagnostics.iter().any(|one| one.severity == Severity::Error);
    if is_wrong {
        let drawn = render(&diagnostics, &sources, out.colors_talk(), out.width());
        return Err(CliError::Rules(format!("{drawn}\nnothing is proposed: this would not pass `reconciled check`")));
    }
    Ok(diagnostics)
}

/// Puts the rules into a file that is not there yet.
fn write(rules: &str, folder: &Path, file: &str) -> Result<PathBuf, CliError> {
    let path = folder.join(file);
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return CliError::Usage(format!("{} is there already, and nothing is overwritten", path.display()));
        }
        CliError::Other(format!("{} cannot be written: {error}", path.display()))
    };
    if folder.is_file() {
        let path = folder.display();
        return Err(CliError::Usage(format!("{path} is a file: name a folder of rules with --rules")));
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut made = std::fs::File::create_new(&path).map_err(failed)?;
    made.write_all(rules.as_bytes()).and_then(|()| made.sync_all()).map_err(failed)?;
    Ok(path)
}
