//! Owns: how counts, money and bytes are written for people.
//!
//! Must not know: what is counted.

/// With commas between thousands.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are neither negative nor huge")]
pub fn rounded(number: f64) -> String {
    whole(number.round() as u64)
}

/// US dollars; small amounts to the last digit that counts.
pub fn dollars(amount: f64) -> String {
    match amount {
        0.0 => "$0".to_owned(),
        ..0.01 => format!("${amount:.6}").trim_end_matches('0').to_owned(),
        1000.0.. => format!("${}", rounded(amount)),
        _ => format!("${amount:.2}"),
    }
}

/// Bytes in the largest unit that leaves a number before the point.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut amount = count as f64;
    let mut unit = "B";
    for next in units {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{amount:.1} {unit}") }
}

/// How long something took, in microseconds, for people.
pub fn duration(micros: u64) -> String {
    let tenths = |whole: u64, tenth: u64| format!("{}.{}", micros / whole, micros % whole / tenth);
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", tenths(1_000, 100)),
        1_000_000..60_000_000 => format!("{} s", tenths(1_000_000, 100_000)),
        60_000_000..3_600_000_000 => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
        _ => format!("{} h {} min", micros / 3_600_000_000, micros / 60_000_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_say_them() {
        let check = |micros: u64, expected: &str| assert_eq!(duration(micros), expected, "{micros}");
        check(0, "0 µs");
        check(999, "999 µs");
        check(1_049, "1.0 ms");
        check(999_999, "999.9 ms");
        check(1_500_000, "1.5 s");
        check(61_000_000, "1 min 1 s");
        check(3_600_000_000, "1 h 0 min");
        check(u64::MAX, "5124095576 h 1 min");
    }

    #[test]
    fn amounts_are_shown_as_people_read_them() {
        assert_eq!([0, 7, 999, 1_000, 1_234_567].map(whole), ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!([0.4, 999.6].map(rounded), ["0", "1,000"]);
        assert_eq!([0.0, 0.0001, 0.5, 12.345, 20_000.0].map(dollars), ["$0", "$0.0001", "$0.50", "$12.35", "$20,000"]);
        assert_eq!([5, 1_500, 2_500_000, 7_000_000_000].map(bytes), ["5 B", "1.5 kB", "2.5 MB", "7.0 GB"]);
    }
}
