//! Owns: whether an array that may be missing is really missing, and whether an error is told beside it.
//!
//! Must not know: what the records say, where else the rules look.

use std::ops::Range;

use super::split::{SplitError, find_values};
use crate::record::{Path, Step};

/// Where errors stand beside what could be had.
const ERROR_KEYS: [&str; 2] = ["error", "errors"];

/// Where an error may be told beside the array at `path`: in each object on the way to it.
pub fn beside(path: &Path) -> Vec<Path> {
    let at = |(depth, step): (usize, &Step)| {
        let on_the_way = path.steps.get(..depth).unwrap_or_default().to_vec();
        let keys = ERROR_KEYS.into_iter().map(|name| Step::Key(name.to_owned())).filter(|key| key != step);
        keys.map(|key| Path { steps: on_the_way.iter().cloned().chain([key]).collect() }).collect::<Vec<_>>()
    };
    path.steps.iter().enumerate().flat_map(at).collect()
}

/// Whether what stands beside records says that not all of them could be had. Counts and marks (`"errors": 3`) do not.
pub fn tells_error(body: &[u8], told: &[Option<Range<usize>>]) -> bool {
    told.iter().flatten().filter_map(|at| body.get(at.clone())).any(|told| match told.first() {
        Some(b'{') => true,
        Some(b'"') => told != b"\"\"",
        Some(b'[') => !told.iter().all(|byte| byte.is_ascii_whitespace() || b"[]".contains(byte)),
        Some(_) | None => false,
    })
}

/// Known at this point: no array stands at `path`. It is missing where each step but the last leads through what it
/// should lead through, as far as there is something, nothing or null is where it ends, and no error is told on the way: a
/// text or an error in the place of what should be there is no empty answer.
pub fn is_missing(body: &[u8], path: &Path) -> Result<bool, SplitError> {
    let told = beside(path);
    let found = find_values(body, &told.iter().collect::<Vec<_>>())?;
    if found.iter().flatten().any(|at| body.get(at.clone()) != Some(b"null")) {
        return Ok(false);
    }
    for (depth, step) in path.steps.iter().enumerate() {
        let opens = match step {
            Step::Key(_) => b'{',
            Step::Index(_) => b'[',
        };
        match value_at(body, path, depth)? {
            // The whole is there in any case.
            None | Some(b"null") if depth > 0 => return Ok(true),
            Some(value) if value.first() == Some(&opens) => {}
            Some(_) | None => return Ok(false),
        }
    }
    Ok(matches!(value_at(body, path, path.steps.len())?, None | Some(b"null")))
}

/// What so many steps of the path lead to.
fn value_at<'b>(body: &'b [u8], path: &Path, depth: usize) -> Result<Option<&'b [u8]>, SplitError> {
    let prefix = Path { steps: path.steps.get(..depth).unwrap_or_default().to_vec() };
    let found = find_values(body, &[&prefix])?;
    Ok(found.into_iter().next().flatten().and_then(|at| body.get(at)))
}
