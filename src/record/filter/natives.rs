//! Owns: the names that a filter can call: jq's standard library without what is impure, and our own guarded natives.
//!
//! Must not know: filters as written.

use std::sync::LazyLock;

use jaq_core::data::JustLut;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Cv, Error};
use jaq_json::Val;

use super::convert::{to_json, to_val};
use crate::record::Json;

pub(super) type Data = JustLut<Val>;

/// The guarded `*`; no name that a filter can write.
pub(super) const MUL: &str = "!mul";

/// The longest string that `*` makes.
const REPEATED_BYTES_MAX: usize = 1 << 20;

/// Natives that read the world or write to it, and natives that ours replace.
const NATIVES_LEFT_OUT: &[&str] =
    &["env", "halt", "now", "localtime", "strflocaltime", "debug_empty", "stderr_empty", "fromjson", "tojson"];

/// Definitions over natives that are left out.
const DEFS_LEFT_OUT: &[&str] = &["halt", "halt_error", "debug", "stderr"];

pub(super) fn funs() -> impl Iterator<Item = Fun<Data>> {
    let standard = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let ours: [Fun<Data>; 3] = [
        run((MUL, v(2), |mut cv: Cv<'_, Data>| {
            let right = cv.0.pop_var();
            let left = cv.0.pop_var();
            bome(multiply(left, right))
        })),
        run(("fromjson", v(0), |cv: Cv<'_, Data>| bome(from_json(&cv.1)))),
        run(("tojson", v(0), |cv: Cv<'_, Data>| {
            bome(to_json(&cv.1).map(|json| Val::from(json.to_string())).map_err(Error::str))
        })),
    ];
    standard.filter(|(name, _, _)| !NATIVES_LEFT_OUT.contains(name)).chain(ours)
}

/// The lifetime is that of the filter's text, which is compiled as one more definition.
pub(super) fn defs<'s>() -> impl Iterator<Item = Def<&'s str>> {
    // Each call of theirs parses them anew.
    static PARSED: LazyLock<Vec<Def<&'static str>>> = LazyLock::new(|| {
        let standard = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        standard.filter(|def| !DEFS_LEFT_OUT.contains(&def.name)).collect()
    });
    PARSED.iter().cloned()
}

fn multiply(left: Val, right: Val) -> Result<Val, Error<Val>> {
    if let (Val::TStr(text) | Val::BStr(text), Val::Num(count)) | (Val::Num(count), Val::TStr(text) | Val::BStr(text)) =
        (&left, &right)
    {
        let fits = count.as_isize().is_some_and(|count| {
            usize::try_from(count).map_or(true, |count| count.saturating_mul(text.len()) <= REPEATED_BYTES_MAX)
        });
        if !fits {
            return Err(Error::str("a string cannot be repeated that often"));
        }
    }
    left * right
}

/// One document, with the limits of all JSON here: jaq's own reader recurses without a bound.
fn from_json(input: &Val) -> Result<Val, Error<Val>> {
    let Val::TStr(text) = input else {
        return Err(Error::str("fromjson needs a string"));
    };
    match Json::parse(text) {
        Ok(json) => Ok(to_val(&json)),
        Err(error) => Err(Error::str(format!("cannot parse as JSON: {error}"))),
    }
}
