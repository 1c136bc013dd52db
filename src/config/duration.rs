//! Owns: durations as people write them in settings (`500ms`, `20s`, `2m`, `1h`).
//!
//! Must not know: which setting it is.

use std::time::Duration;

/// The longest duration that a setting may have: a day.
const SECONDS_MAX: u64 = 86_400;

/// Reads a duration; the error says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let hint = || "write a number and a unit, like \"500ms\", \"20s\", \"2m\" or \"1h\"".to_owned();
    let number: u64 = number.parse().map_err(|_not_a_number| hint())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        _ => return Err(hint()),
    };
    if duration > Duration::from_secs(SECONDS_MAX) { Err("at most \"24h\"".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        let check = |text: &str, millis: Option<u128>| {
            assert_eq!(parse_duration(text).ok().map(|it| it.as_millis()), millis, "{text}");
        };
        check("500ms", Some(500));
        check("20s", Some(20_000));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        check("20", None);
        check("s", None);
        check("-1s", None);
        check("1 s", None);
        check("25h", None);
        check("99999999999999999999s", None);
    }
}
