//! Owns: `man`: one page on stdout, or all of them as files.
//!
//! Must not know: what is in them.

use std::fs;
use std::path::Path;

use super::super::args::ManArgs;
use super::super::exit::{CliError, Exit};
use super::super::find::nearest;
use super::super::out::Out;
use super::pages::{Page, pages};

/// Prints a page, or writes all.
pub fn run(args: &ManArgs, out: &Out) -> Result<Exit, CliError> {
    let pages = pages();
    if let Some(folder) = &args.out {
        write(folder, &pages).map_err(|error| CliError::Other(format!("{}: {error}", folder.display())))?;
        out.talk(&format!("{} man pages are in {}", pages.len(), folder.display()));
        return Ok(Exit::IN_SYNC);
    }
    let asked = args.page.as_deref().unwrap_or("reconciled");
    let Some(page) = pages.iter().find(|page| page.topic == asked) else {
        let topics: Vec<&str> = pages.iter().map(|page| page.topic.as_str()).collect();
        return Err(CliError::Usage(format!("no page `{asked}`; {}", nearest(asked, &topics))));
    };
    out.data(&page.text)?;
    Ok(Exit::IN_SYNC)
}

fn write(folder: &Path, pages: &[Page]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    pages.iter().try_for_each(|page| fs::write(folder.join(page.file()), &page.text))
}
