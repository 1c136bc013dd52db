//! Owns: the compiled filter: from text to program, from one input to its outputs.
//!
//! Must not know: what a filter is used for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jaq_core::load::lex::Expect;
use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser};
use jaq_core::{Compiler, Ctx, Vars};

use super::check::{Check, MAIN, VARS, check_nesting, span_of};
use super::convert::{to_json, to_val};
use super::natives::{Data, defs, funs};
use crate::record::Json;

/// The longest message of a failing filter; jaq puts whole values into its own.
const MESSAGE_CHARS_MAX: usize = 160;

/// A compiled jq filter. Cheap to clone, safe to share between threads.
///
/// `env`, `halt`, `input`, `now` and the like do not compile; neither does what may run for ever (own `def`s, `repeat`,
/// `while`, `until`, `infinite`, `range` without literal bounds, `recurse(f)`).
#[derive(Clone)]
pub struct Filter {
    source: Arc<str>,
    identity: Arc<str>,
    program: Arc<jaq_core::Filter<Data>>,
    variable_count: usize,
}

/// Why a filter did not compile or run. `offset..offset+length` is the byte range in the filter's text, when known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FilterError {
    /// What is wrong, as a lower-case fragment.
    pub reason: String,
    /// Byte range inside the filter's text: offset and length.
    pub span: Option<(usize, usize)>,
}

impl Filter {
    /// As [`Self::compile_with`], without variables of the settings.
    #[cfg(any(test, fuzzing))]
    pub fn compile(source: &str, variables: &[&str]) -> Result<Self, FilterError> {
        Self::compile_with(source, variables, &BTreeMap::new())
    }

    /// Compiles `source`; `variables` are the names (without `$`) that will be given when it runs, `$vars.NAME` is the text
    /// that `vars` has under that name.
    pub fn compile_with(
        source: &str,
        variables: &[&str],
        vars: &BTreeMap<String, String>,
    ) -> Result<Self, FilterError> {
        check_nesting(source)?;
        let mut check = Check::new(source, vars);
        let body = check.term(parse(source)?)?;
        let identity = identity(source, &check.used);
        let main = Def { name: MAIN, args: Vec::new(), body };
        let variables: Vec<String> = variables.iter().map(|name| format!("${name}")).collect();
        let arena = Arena::default();
        let modules = Loader::new(defs().chain([main]))
            .load(&arena, File { code: MAIN, path: () })
            .map_err(|_errors| FilterError { reason: "the filter cannot be loaded".to_owned(), span: None })?;
        let program = Compiler::default()
            .with_funs(funs())
            .with_global_vars(variables.iter().map(String::as_str))
            .compile(modules)
            .map_err(|errors| {
                let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
                first.map_or_else(
                    || FilterError { reason: "the filter does not compile".to_owned(), span: None },
                    |(name, undefined)| undefined_error(source, name, undefined.as_str(), &variables),
                )
            })?;
        Ok(Self { source: source.into(), identity, program: Arc::new(program), variable_count: variables.len() })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What tells filters apart that give other outputs: the text, and the values of the `$vars` in it.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The first `outputs_max` outputs for one input. `variables` in the order given to `compile`, as many as there.
    pub fn run(&self, input: &Json, variables: &[Json], outputs_max: usize) -> Result<Vec<Json>, FilterError> {
        if variables.len() != self.variable_count {
            let reason = format!("compiled for {} variables, run with {}", self.variable_count, variables.len());
            return Err(FilterError { reason, span: None });
        }
        let context = Ctx::<Data>::new(&self.program.lut, Vars::new(variables.iter().map(to_val)));
        let outputs = self.program.id.run((context, to_val(input)));
        let output = |output: Result<_, jaq_core::Exn<'_, _>>| match output {
            Ok(val) => to_json(&val).map_err(|reason| FilterError { reason, span: None }),
            Err(exception) => Err(FilterError {
                reason: exception.get_err().map_or_else(|_| "stopped".to_owned(), |error| short(&error.to_string())),
                span: None,
            }),
        };
        outputs.take(outputs_max).map(output).collect()
    }

    /// The first output taken as a condition: jq truth (neither `false` nor `null`); no output is false.
    pub fn test(&self, input: &Json) -> Result<bool, FilterError> {
        let first = self.run(input, &[], 1)?.into_iter().next();
        Ok(!matches!(first, None | Some(Json::Null | Json::Bool(false))))
    }
}

fn identity(source: &str, used: &BTreeMap<&str, &str>) -> Arc<str> {
    let values = used.iter().map(|(name, value)| format!("\n{VARS}.{name} = {value:?}"));
    std::iter::once(source.to_owned()).chain(values).collect::<String>().into()
}

fn parse(source: &str) -> Result<Term<&str>, FilterError> {
    // The lexer hands over all that is left; its first character is the offending one.
    let first = |part: &str| part.chars().next().map_or(0, char::len_utf8);
    let at = |part: &str| span_of(source, part).map(|(offset, _)| (offset, first(part)));
    let found = |part: &str| match part.chars().next() {
        Some(first) => format!("`{first}`"),
        None => "the end".to_owned(),
    };
    let tokens = Lexer::new(source).lex().map_err(|errors| match errors.first() {
        Some((Expect::Delim(open), _)) => {
            FilterError { reason: format!("`{open}` is not closed"), span: span_of(source, open) }
        }
        Some((expected, part)) => {
            let reason = format!("expected {}, found {}", expected.as_str(), found(part));
            FilterError { reason, span: at(part) }
        }
        None => FilterError { reason: "no filter".to_owned(), span: None },
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| match errors.first() {
        Some((expected, Some(token))) => FilterError {
            reason: format!("expected {}, found `{}`", expected.as_str(), short(token.0)),
            span: span_of(source, token.0),
        },
        Some((expected, None)) => FilterError {
            reason: format!("expected {}, found the end", expected.as_str()),
            span: Some((source.len(), 0)),
        },
        None => FilterError { reason: "no filter".to_owned(), span: None },
    })
}

fn undefined_error(source: &str, name: &str, kind: &str, variables: &[String]) -> FilterError {
    let known: Vec<String> = match kind {
        "variable" => variables.to_vec(),
        "filter" => defs().map(|def| def.name.to_owned()).chain(funs().map(|(name, _, _)| name.to_owned())).collect(),
        _ => Vec::new(),
    };
    let same_name = known.iter().any(|other| other == name);
    let nearest = nearest(name, known.iter().map(String::as_str).filter(|other| !other.starts_with('!')));
    let reason = match nearest {
        _ if same_name => format!("`{name}` does not take that many arguments"),
        Some(nearest) => format!("there is no {kind} `{name}`; did you mean `{nearest}`?"),
        None => format!("there is no {kind} `{name}`"),
    };
    FilterError { reason, span: span_of(source, name) }
}

/// The known name that was probably meant.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = known.map(|other| (strsim::osa_distance(name, other), other)).filter(|(distance, _)| *distance <= 2);
    near.min().map(|(_, other)| other)
}

fn short(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", message.get(..at).unwrap_or_default()),
        None => message.to_owned(),
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}
impl Eq for Filter {}
impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}
