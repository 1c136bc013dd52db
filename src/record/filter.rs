//! Owns: jq filters, compiled when rules are checked and evaluated within limits (jaq).
//!
//! Must not know: what a filter is used for.

use super::Json;

/// A compiled jq filter. Cheap to clone, safe to share between threads.
///
/// `env`, `halt`, `input` and the like do not compile; neither does what may run for ever (own `def`s, `repeat`, `while`,
/// `until`, `infinite`, `range` without literal bounds, `recurse(f)`).
#[derive(Clone)]
pub struct Filter {
    source: String,
}

/// Why a filter did not compile or run. `offset..offset+length` is the byte range in the filter's text, when known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FilterError {
    /// What is wrong, as a lower-case fragment.
    pub reason: String,
    /// Byte range inside the filter's text.
    pub span: Option<(usize, usize)>,
}

impl Filter {
    /// Compiles `source`; `variables` are the names (without `$`) that will be given when it runs.
    pub fn compile(source: &str, variables: &[&str]) -> Result<Self, FilterError> {
        let _ = (source, variables);
        todo!()
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All outputs for one input, at most `outputs_max`. `variables` in the order given to `compile`.
    pub fn run(&self, input: &Json, variables: &[Json], outputs_max: usize) -> Result<Vec<Json>, FilterError> {
        let _ = (input, variables, outputs_max);
        todo!()
    }

    /// The first output taken as a condition: jq truth (neither `false` nor `null`); no output is false.
    pub fn test(&self, input: &Json) -> Result<bool, FilterError> {
        let _ = input;
        todo!()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
impl Eq for Filter {}
impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}
