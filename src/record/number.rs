//! Owns: what a JSON number token means: its grammar, its exact value, its one canonical form.
//!
//! Must not know: fields, types, where the token stands.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Digits in front of or behind the point up to which the canonical form is written out; beyond it has an exponent.
const PLAIN_DIGITS_MAX: i64 = 40;

/// Significant digits of an exponent that are read: 10^±(10^18) is more than any system means.
const EXPONENT_DIGITS_MAX: usize = 18;

/// The length of the number token at the start of `bytes` (RFC 8259 §6), or how many bytes still looked like one.
pub(super) fn lex(bytes: &[u8]) -> Result<usize, usize> {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut at = if bytes.get(start) == Some(&b'0') { start + 1 } else { digits(start) };
    if at == start {
        return Err(at);
    }
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return Err(end);
        }
        at = end;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + sign);
        if end == at + 1 + sign {
            return Err(end);
        }
        at = end;
    }
    Ok(at)
}

/// True where the whole text is a JSON number.
pub(super) fn is_number(text: &str) -> bool {
    lex(text.as_bytes()) == Ok(text.len())
}

/// The exact value of a token, without allocation: `0.d₁d₂…dₙ × 10^point`, where d₁ and dₙ are not 0; zero has no digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact<'a> {
    negative: bool,
    /// Significant digits that stood in front of the point.
    whole: &'a [u8],
    /// Significant digits that stood behind the point.
    fraction: &'a [u8],
    point: i64,
}

/// A number as a whole count of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Exactly so many.
    Exact(i128),
    /// Not a whole count; this many when the rest is cut off (towards zero).
    Cut(i128),
    /// More than 38 digits.
    TooLarge,
}

impl<'a> Exact<'a> {
    /// `None` where the text is no number token or its exponent is beyond reason.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let bytes = token.as_bytes();
        if lex(bytes) != Ok(bytes.len()) {
            return None;
        }
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, bytes),
        };
        let mark = bytes.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match mark {
            Some(at) => (bytes.get(..at)?, parse_exponent(bytes.get(at + 1..)?)?),
            None => (bytes, 0),
        };
        let dot = mantissa.iter().position(|byte| *byte == b'.');
        let (whole, fraction): (&[u8], &[u8]) = match dot {
            Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
            None => (mantissa, &[]),
        };
        let mut whole = without_leading_zeros(whole);
        let mut fraction = without_trailing_zeros(fraction);
        let mut point = i64::try_from(whole.len()).ok()?;
        if whole.is_empty() {
            let short = without_leading_zeros(fraction);
            point = -i64::try_from(fraction.len() - short.len()).ok()?;
            fraction = short;
        } else if fraction.is_empty() {
            whole = without_trailing_zeros(whole);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self { negative: false, whole, fraction, point: 0 });
        }
        Some(Self { negative, whole, fraction, point: point.checked_add(exponent)? })
    }

    fn is_zero(&self) -> bool {
        self.digit_count() == 0
    }

    fn digit_count(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// The value times 10^`scale` as a whole number.
    pub(super) fn units(&self, scale: u32) -> Units {
        if self.is_zero() {
            return Units::Exact(0);
        }
        let kept = self.point.saturating_add(i64::from(scale));
        if kept > 38 {
            return Units::TooLarge;
        }
        let kept = usize::try_from(kept).unwrap_or(0);
        let mut units: i128 = 0;
        let digits = self.digits().chain(std::iter::repeat(b'0')).take(kept);
        for digit in digits {
            let next = units.checked_mul(10).and_then(|units| units.checked_add(i128::from(digit - b'0')));
            let Some(next) = next else { return Units::TooLarge };
            units = next;
        }
        let units = if self.negative { -units } else { units };
        if self.digit_count() > kept { Units::Cut(units) } else { Units::Exact(units) }
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits())),
        }
    }

    fn canonical(&self) -> String {
        let digits: String = self.digits().map(char::from).collect();
        let sign = if self.negative { "-" } else { "" };
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        if digits.is_empty() {
            "0".to_owned()
        } else if self.point > PLAIN_DIGITS_MAX || self.point < -PLAIN_DIGITS_MAX {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{sign}{first}{dot}{rest}e{}", self.point.saturating_sub(1))
        } else if self.point <= 0 {
            format!("{sign}0.{}{digits}", zeros(-self.point))
        } else if self.point >= count {
            format!("{sign}{digits}{}", zeros(self.point - count))
        } else {
            let (whole, fraction) = digits.split_at(usize::try_from(self.point).unwrap_or(0));
            format!("{sign}{whole}.{fraction}")
        }
    }
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    digits.get(..digits.len() - zeros).unwrap_or_default()
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = without_leading_zeros(digits);
    if digits.len() > EXPONENT_DIGITS_MAX {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -magnitude } else { magnitude })
}

/// Order by value. Texts that are no number (nobody reads such) come last, by their bytes.
pub(super) fn cmp(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    match (Exact::parse(left), Exact::parse(right)) {
        (Some(left), Some(right)) => match (left.negative, right.negative) {
            (false, false) => left.cmp_magnitude(&right),
            (true, true) => right.cmp_magnitude(&left),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// Hashes by value, in agreement with [`cmp`].
pub(super) fn hash<H: Hasher>(token: &str, state: &mut H) {
    match Exact::parse(token) {
        Some(exact) => {
            (exact.negative, exact.point).hash(state);
            exact.digits().for_each(|digit| state.write_u8(digit));
        }
        None => token.hash(state),
    }
}

/// The one form in which equal numbers are equal text: `1.0` → `1`, `1e2` → `100`, `-0` → `0`, `1E400` → `1e400`.
pub(super) fn canonical(token: &str) -> Cow<'_, str> {
    let plain = token.len() <= 18
        && !token.starts_with("-0")
        && (token.len() == 1 || !token.starts_with('0'))
        && token.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && byte == b'-'));
    match (plain, Exact::parse(token)) {
        (false, Some(exact)) => Cow::Owned(exact.canonical()),
        (true, _) | (false, None) => Cow::Borrowed(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_canonical_text() {
        let check = |token: &str, expected: &str| {
            assert_eq!(canonical(token), expected, "{token}");
            assert_eq!(canonical(expected), expected, "idempotent: {token}");
            assert_eq!(cmp(token, expected), Ordering::Equal, "{token}");
        };
        check("1", "1");
        check("1.0", "1");
        check("1e0", "1");
        check("100e-2", "1");
        check("0.10", "0.1");
        check("1E-1", "0.1");
        check("-0", "0");
        check("-0.0e99", "0");
        check("0e999999999999999999999999999", "0e999999999999999999999999999");
        check("1e2", "100");
        check("-12.340", "-12.34");
        check("1180591620717411303424", "1180591620717411303424");
        check("1e400", "1e400");
        check("12.50E399", "1.25e400");
        check("-1.5e-900000000000000000", "-1.5e-900000000000000000");
    }

    #[test]
    fn order_is_by_value_and_exact_beyond_doubles() {
        let rising = [
            "-1e400",
            "-10",
            "-9.99",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000000001",
            "1",
            "9007199254740992",
            "9007199254740993",
            "1e400",
            "1.0000000000000000001e400",
        ];
        for pair in rising.windows(2) {
            assert_eq!(cmp(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(cmp(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn units_are_exact_or_say_that_they_are_cut() {
        let check = |token: &str, scale: u32, expected: Units| {
            assert_eq!(Exact::parse(token).unwrap().units(scale), expected, "{token} at {scale}");
        };
        check("12.5", 2, Units::Exact(1250));
        check("0.10", 1, Units::Exact(1));
        check("-0.105", 2, Units::Cut(-10));
        check("1e3", 0, Units::Exact(1000));
        check("1e-3", 2, Units::Cut(0));
        check("1e400", 2, Units::TooLarge);
        check("0", 28, Units::Exact(0));
        check("99999999999999999999999999999999999999", 0, Units::Exact(10_i128.pow(38) - 1));
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for good in ["0", "-0", "10", "1.5", "1e5", "1E+5", "-1.25e-10"] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", "01", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN", "1 ", " 1", "1_000"] {
            assert!(!is_number(bad), "{bad}");
        }
    }
}
