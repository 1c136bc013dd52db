//! Owns: values between our JSON and jaq's, exact where jaq can be.
//!
//! Must not know: filters.

use jaq_json::{Map, Num, Rc, Val};

use crate::record::{Json, number};

/// Longer whole numbers are handed over as tokens: making a big integer of them takes quadratic time.
const BIG_DIGITS_MAX: usize = 400;

/// The most values that one output may hold: jaq shares what a filter repeats, we could not.
const NODES_MAX: usize = 1_000_000;

/// Numbers that are no 64-bit integers keep their token (`0.10`, `1e400`) or become big integers.
pub(super) fn to_val(json: &Json) -> Val {
    match json {
        Json::Null => Val::Null,
        Json::Bool(value) => Val::Bool(*value),
        Json::Number(token) => Val::Num(to_num(token)),
        Json::String(text) => Val::from(text.clone()),
        Json::Array(items) => Val::Arr(Rc::new(items.iter().map(to_val).collect())),
        Json::Object(members) => {
            Val::obj(members.iter().map(|(key, item)| (Val::from(key.clone()), to_val(item))).collect::<Map>())
        }
    }
}

fn to_num(token: &str) -> Num {
    let whole = (token.len() <= BIG_DIGITS_MAX).then(|| Num::from_str_radix(token, 10)).flatten();
    whole.unwrap_or_else(|| Num::Dec(Rc::new(token.to_owned())))
}

/// An error says what JSON cannot carry.
pub(super) fn to_json(val: &Val) -> Result<Json, String> {
    convert(val, 0, &mut 0)
}

fn convert(val: &Val, depth: usize, nodes: &mut usize) -> Result<Json, String> {
    *nodes += 1;
    if *nodes > NODES_MAX {
        return Err(format!("the result holds more than {NODES_MAX} values"));
    }
    if depth > Json::DEPTH_MAX {
        return Err(format!("the result is nested deeper than {} levels", Json::DEPTH_MAX));
    }
    Ok(match val {
        Val::Null => Json::Null,
        Val::Bool(value) => Json::Bool(*value),
        Val::Num(num) => Json::Number(number_token(num)?),
        Val::TStr(text) | Val::BStr(text) => Json::String(text_of(text)?),
        Val::Arr(items) => {
            Json::Array(items.iter().map(|item| convert(item, depth + 1, nodes)).collect::<Result<_, _>>()?)
        }
        Val::Obj(members) => {
            let member = |(key, item): (&Val, &Val)| match key {
                Val::TStr(key) | Val::BStr(key) => Ok((text_of(key)?, convert(item, depth + 1, nodes)?)),
                _ => Err("an object key is no string".to_owned()),
            };
            Json::Object(members.iter().map(member).collect::<Result<_, _>>()?)
        }
    })
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("a string is not UTF-8: {error}"))
}

fn number_token(num: &Num) -> Result<String, String> {
    let float = match num {
        Num::Int(_) | Num::BigInt(_) => return Ok(num.to_string()),
        Num::Dec(token) if number::is_number(token) => return Ok((**token).clone()),
        Num::Dec(token) => token.parse().unwrap_or(f64::NAN),
        Num::Float(float) => *float,
    };
    if !float.is_finite() {
        return Err(format!("{float} is no JSON number"));
    }
    // As jq: a whole result is written whole, `6 / 2` is `3`.
    let whole = format!("{float:.0}");
    Ok(if float.fract() == 0.0 && whole.len() <= 17 {
        number::canonical(&whole).into_owned()
    } else {
        format!("{float:?}")
    })
}
