//! Owns: what a filter may not say: the impure, and what may run for ever.
//!
//! Must not know: how filters run. The walk also puts the guarded `*` of `natives` in the place of jq's, and
//! the values of the settings in the place of `$vars.NAME`.

use std::collections::BTreeMap;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::span;
use jaq_core::{ops, path};

use super::FilterError;
use super::natives::MUL;
use super::run::nearest;

/// The name under which a filter is compiled: it becomes a definition, because what is compiled is the walked term and no text.
pub(super) const MAIN: &str = "reconciled__main";

/// The variable whose members are the variables of the settings.
pub(super) const VARS: &str = "$vars";

/// The largest count that `range` may take.
const RANGE_COUNT_MAX: f64 = 10_000.0;

/// The deepest nesting of brackets in a filter's text; jaq's parser recurses.
const NESTING_MAX: usize = 100;

/// The variable that holds the right side of `*=`; no name that a filter can write.
const FACTOR: &str = "$!factor";

/// Refuses texts that are too deep for the parser.
pub(super) fn check_nesting(source: &str) -> Result<(), FilterError> {
    let mut depth = 0_usize;
    for (offset, byte) in source.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            let reason = format!("brackets are nested deeper than {NESTING_MAX} levels");
            return Err(FilterError { reason, span: Some((offset, 1)) });
        }
    }
    Ok(())
}

/// Walks the whole term; every part is visited, so that nothing hides in a path, a pattern or a string.
pub(super) struct Check<'s> {
    source: &'s str,
    vars: &'s BTreeMap<String, String>,
    /// The `$vars` that were met, with their values.
    pub(super) used: BTreeMap<&'s str, &'s str>,
}

type Checked<'s> = Result<Term<&'s str>, FilterError>;

impl<'s> Check<'s> {
    pub(super) fn new(source: &'s str, vars: &'s BTreeMap<String, String>) -> Self {
        Self { source, vars, used: BTreeMap::new() }
    }

    pub(super) fn term(&mut self, term: Term<&'s str>) -> Checked<'s> {
        Ok(match term {
            Term::Var(name @ "$ENV") => {
                return self.refuse(name, "the environment", "pass the value as a variable of the rules");
            }
            Term::Var(name @ VARS) => {
                return Err(self.misused(name, "write `$vars.NAME`, one variable of the settings by its name"));
            }
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
            Term::Str(format, parts) => Term::Str(format, self.parts(parts)?),
            Term::Arr(inner) => Term::Arr(self.optional(inner)?),
            Term::Obj(members) => {
                let member = |(key, value): (_, Option<_>)| {
                    Ok((self.term(key)?, value.map(|value| self.term(value)).transpose()?))
                };
                Term::Obj(members.into_iter().map(member).collect::<Result<_, FilterError>>()?)
            }
            Term::Neg(inner) => Term::Neg(self.boxed(inner)?),
            Term::BinOp(left, op, right) => self.binary(*left, op, *right)?,
            Term::Label(name, inner) => Term::Label(name, self.boxed(inner)?),
            Term::Fold(kind, source, pattern, args) => {
                Term::Fold(kind, self.boxed(source)?, self.pattern(pattern)?, self.terms(args)?)
            }
            Term::TryCatch(inner, catch) => Term::TryCatch(self.boxed(inner)?, self.optional(catch)?),
            Term::IfThenElse(branches, otherwise) => {
                let branch = |(condition, then)| Ok((self.term(condition)?, self.term(then)?));
                let branches = branches.into_iter().map(branch).collect::<Result<_, FilterError>>()?;
                Term::IfThenElse(branches, self.optional(otherwise)?)
            }
            Term::Def(defs, _) => {
                let name = defs.first().map_or(self.source, |def| def.name);
                return self.refuse(name, "a definition (`def`), which may run for ever", "write the filter out");
            }
            Term::Call(name, args) => {
                self.check_call(name, &args)?;
                Term::Call(name, self.terms(args)?)
            }
            Term::Path(inner, path::Path(parts)) if matches!(*inner, Term::Var(VARS)) => self.setting(parts)?,
            Term::Path(inner, path::Path(parts)) => {
                let part = |(part, optional)| Ok((self.path_part(part)?, optional));
                let parts = parts.into_iter().map(part).collect::<Result<_, FilterError>>()?;
                Term::Path(self.boxed(inner)?, path::Path(parts))
            }
        })
    }

    /// `$vars.NAME`: the value as a text that was written out, which no part of it can end.
    fn setting(&mut self, parts: Vec<(path::Part<Term<&'s str>>, path::Opt)>) -> Checked<'s> {
        let mut parts = parts.into_iter();
        let first = parts.next().and_then(|(part, _)| match part {
            path::Part::Index(Term::Str(None, text)) => match text.as_slice() {
                [StrPart::Str(name)] => Some(*name),
                _ => None,
            },
            path::Part::Index(_) | path::Part::Range(..) => None,
        });
        let (Some(name), None) = (first, parts.next()) else {
            let place = self.source.find(VARS).map_or(self.source, |at| &self.source[at..at + VARS.len()]);
            return Err(self.misused(place, "write `$vars.NAME`, a text"));
        };
        let Some((name, value)) = self.vars.get_key_value(name) else {
            return Err(self.unset(name));
        };
        self.used.insert(name, value);
        Ok(Term::Str(None, vec![StrPart::Str(value)]))
    }

    fn unset(&self, name: &str) -> FilterError {
        let remedy = match nearest(name, self.vars.keys().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{VARS}.{nearest}`?"),
            None => format!("set it in the daemon's configuration under [vars], as {name} = \"…\""),
        };
        FilterError {
            reason: format!("there is no variable `{VARS}.{name}`; {remedy}"),
            span: span_of(self.source, name),
        }
    }

    fn misused(&self, part: &str, remedy: &str) -> FilterError {
        FilterError { reason: format!("`{VARS}` cannot stand here; {remedy}"), span: span_of(self.source, part) }
    }

    fn check_call(&self, name: &'s str, args: &[Term<&'s str>]) -> Result<(), FilterError> {
        match (name, args.len()) {
            ("env", _) => self.refuse(name, "the environment", "pass the value as a variable of the rules"),
            ("now" | "localtime" | "strflocaltime", _) => {
                self.refuse(name, "the clock or the local time zone", "compare times that stand in the record, in UTC")
            }
            ("input" | "inputs" | "input_filename" | "input_line_number", _) => {
                self.refuse(name, "other inputs", "a filter sees one record at a time")
            }
            (MAIN, _) => self.refuse(name, "itself", "choose another name"),
            ("halt" | "halt_error", _) => self.refuse(name, "the end of the process", "use `error` or `empty`"),
            ("debug" | "stderr", _) => self.refuse(name, "output", "remove it"),
            ("repeat" | "while" | "until" | "infinite" | "combinations", _) | ("recurse", 1..) => {
                self.refuse(name, "what may run for ever", "use `.[]`, `..`, `reduce` or `limit` over what is there")
            }
            ("range", _) if !is_bounded_range(args) => self.refuse(
                name,
                "a range without literal bounds",
                "give whole numbers up to 10000, or iterate with `.[]` or `to_entries`",
            ),
            _ => Ok(()),
        }
    }

    fn refuse<T>(&self, part: &str, what: &str, instead: &str) -> Result<T, FilterError> {
        let reason = format!("`{part}` is not allowed: a filter cannot use {what}; {instead}");
        Err(FilterError { reason, span: span_of(self.source, part) })
    }

    /// Multiplication repeats a string, so data of the wrong type could ask for gigabytes: `natives` has a bounded one.
    fn binary(&mut self, left: Term<&'s str>, op: BinaryOp<&'s str>, right: Term<&'s str>) -> Checked<'s> {
        let (left, right) = (self.term(left)?, self.term(right)?);
        Ok(match op {
            BinaryOp::Math(ops::Math::Mul) => Term::Call(MUL, vec![left, right]),
            BinaryOp::UpdateMath(ops::Math::Mul) => {
                let product = Term::Call(MUL, vec![Term::Id, Term::Var(FACTOR)]);
                let update = Term::BinOp(left.into(), BinaryOp::Update, product.into());
                Term::BinOp(right.into(), BinaryOp::Pipe(Some(Pattern::Var(FACTOR))), update.into())
            }
            BinaryOp::Pipe(Some(pattern)) => {
                Term::BinOp(left.into(), BinaryOp::Pipe(Some(self.pattern(pattern)?)), right.into())
            }
            op => Term::BinOp(left.into(), op, right.into()),
        })
    }

    fn pattern(&mut self, pattern: Pattern<&'s str>) -> Result<Pattern<&'s str>, FilterError> {
        Ok(match pattern {
            Pattern::Var(name @ VARS) => {
                return Err(self.misused(name, "choose another name: these are the variables of the settings"));
            }
            Pattern::Var(name) => Pattern::Var(name),
            Pattern::Arr(items) => {
                Pattern::Arr(items.into_iter().map(|item| self.pattern(item)).collect::<Result<_, _>>()?)
            }
            Pattern::Obj(members) => {
                let member = |(key, value)| Ok((self.term(key)?, self.pattern(value)?));
                Pattern::Obj(members.into_iter().map(member).collect::<Result<_, FilterError>>()?)
            }
        })
    }

    fn path_part(&mut self, part: path::Part<Term<&'s str>>) -> Result<path::Part<Term<&'s str>>, FilterError> {
        let mut bound = |term: Option<Term<&'s str>>| term.map(|term| self.term(term)).transpose();
        Ok(match part {
            path::Part::Index(index) => path::Part::Index(self.term(index)?),
            path::Part::Range(from, upto) => path::Part::Range(bound(from)?, bound(upto)?),
        })
    }

    fn parts(
        &mut self,
        parts: Vec<StrPart<&'s str, Term<&'s str>>>,
    ) -> Result<Vec<StrPart<&'s str, Term<&'s str>>>, FilterError> {
        let part = |part| {
            Ok(match part {
                StrPart::Term(term) => StrPart::Term(self.term(term)?),
                StrPart::Str(_) | StrPart::Char(_) => part,
            })
        };
        parts.into_iter().map(part).collect()
    }

    fn terms(&mut self, terms: Vec<Term<&'s str>>) -> Result<Vec<Term<&'s str>>, FilterError> {
        terms.into_iter().map(|term| self.term(term)).collect()
    }

    #[expect(clippy::boxed_local, reason = "terms come boxed and go back boxed")]
    fn boxed(&mut self, term: Box<Term<&'s str>>) -> Result<Box<Term<&'s str>>, FilterError> {
        self.term(*term).map(Box::new)
    }

    fn optional(&mut self, term: Option<Box<Term<&'s str>>>) -> Result<Option<Box<Term<&'s str>>>, FilterError> {
        term.map(|term| self.boxed(term)).transpose()
    }
}

/// Whole literal bounds, a literal step that is not 0, and a bounded count.
fn is_bounded_range(args: &[Term<&str>]) -> bool {
    let numbers: Option<Vec<f64>> = args.iter().map(literal).collect();
    let (from, upto, step) = match numbers.as_deref() {
        Some([upto]) => (0.0, *upto, 1.0),
        Some([from, upto]) => (*from, *upto, 1.0),
        Some([from, upto, step]) => (*from, *upto, *step),
        _ => return false,
    };
    step != 0.0 && (upto - from) / step <= RANGE_COUNT_MAX
}

fn literal(term: &Term<&str>) -> Option<f64> {
    match term {
        Term::Num(token) => token.parse().ok(),
        Term::Neg(inner) => literal(inner).map(|number| -number),
        _ => None,
    }
}

/// Where `part`, a slice of `whole`, stands in it.
pub(super) fn span_of(whole: &str, part: &str) -> Option<(usize, usize)> {
    let inside = whole.as_bytes().as_ptr_range();
    let found = part.as_bytes().as_ptr_range();
    (inside.start <= found.start && found.end <= inside.end).then(|| {
        let range = span(whole, part);
        (range.start, range.len())
    })
}
