//! Owns: whether an observation may be older than what is known already: the version floor (s37).
//!
//! Must not know: where observations come from, how a record is read once more.

use chrono::{DateTime, Utc};

/// When a remote record was so, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Its version.
    pub version: Option<&'a str>,
    /// Its own time of change.
    pub updated_at: Option<DateTime<Utc>>,
}

/// How an observation stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is what is known, or newer.
    Current,
    /// It is older: a list or a cache that lags behind.
    Older,
    /// Nothing orders the two: only another look can tell.
    Unsure,
}

/// A version that is a whole number, quoted (as an `ETag` is) or not: two of them are in the order of time.
pub fn version_number(version: &str) -> Option<u128> {
    version.trim_matches('"').parse().ok()
}

/// How old an observation is. `written` says that the last thing known is, or may be, a write of our own.
///
/// Versions are opaque, but where both are whole numbers their order is that of time. Times of change are compared with
/// those of the same record at the same upstream only; an earlier one may also be a change that was dated back, so it
/// is no proof. Where neither says anything, only a write of ours gives a reason to doubt.
pub fn judge_age(known: Sighting<'_>, seen: Sighting<'_>, written: bool) -> Age {
    if known.version.is_some() && known.version == seen.version {
        return Age::Current;
    }
    let number = |of: Sighting<'_>| of.version.and_then(version_number);
    if let (Some(known), Some(seen)) = (number(known), number(seen)) {
        return if seen < known { Age::Older } else { Age::Current };
    }
    match (known.updated_at, seen.updated_at) {
        (Some(known), Some(seen)) if seen > known => Age::Current,
        (Some(known), Some(seen)) if seen < known => Age::Unsure,
        (Some(_) | None, Some(_) | None) if written => Age::Unsure,
        (Some(_) | None, Some(_) | None) => Age::Current,
    }
}

/// Whether what is seen is surely newer than what is known: by numbers that count versions, else by times of change.
pub fn is_newer(known: Sighting<'_>, seen: Sighting<'_>) -> bool {
    let number = |of: Sighting<'_>| of.version.and_then(version_number);
    match (number(known), number(seen)) {
        (Some(known), Some(seen)) => seen > known,
        (Some(_) | None, Some(_) | None) => {
            known.updated_at.zip(seen.updated_at).is_some_and(|(known, seen)| seen > known)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn only_what_is_surely_newer_is() {
        let sighting = |(version, minutes): (&'static str, i64)| Sighting {
            version: (!version.is_empty()).then_some(version),
            updated_at: (minutes > 0).then(|| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes)),
        };
        for (known, seen, expected) in [
            (("9", 0), ("10", 0), true),
            (("10", 0), ("10", 0), false),
            (("10", 0), ("9", 0), false),
            // The version has the word, whatever the times say.
            (("10", 1), ("9", 2), false),
            (("10", 2), ("11", 1), true),
            // Texts have no order.
            (("a", 0), ("b", 0), false),
            (("a", 1), ("b", 2), true),
            (("", 1), ("", 2), true),
            (("", 2), ("", 2), false),
            (("", 2), ("", 1), false),
            (("", 0), ("", 1), false),
            (("", 1), ("", 0), false),
            (("5", 0), ("", 1), false),
        ] {
            assert_eq!(is_newer(sighting(known), sighting(seen)), expected, "{known:?} {seen:?}");
        }
    }

    #[test]
    fn s37_numbers_order_times_hint_and_after_a_write_everything_else_is_doubted() {
        let sighting = |(version, minutes): (&'static str, i64)| Sighting {
            version: (!version.is_empty()).then_some(version),
            updated_at: (minutes > 0).then(|| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes)),
        };
        for (known, seen, unwritten, written) in [
            (("5", 0), ("5", 0), Age::Current, Age::Current),
            (("9", 0), ("10", 0), Age::Current, Age::Current),
            (("10", 0), ("9", 0), Age::Older, Age::Older),
            // As an `ETag` they are quoted; some count in more than 64 bits.
            (("\"10\"", 0), ("\"9\"", 0), Age::Older, Age::Older),
            (("\"9\"", 0), ("10", 0), Age::Current, Age::Current),
            (("\"10\"", 0), ("10", 0), Age::Current, Age::Current),
            (("36893488147419103233", 0), ("36893488147419103232", 0), Age::Older, Age::Older),
            // The version has the word, whatever the times say.
            (("10", 1), ("9", 2), Age::Older, Age::Older),
            (("a", 0), ("b", 0), Age::Current, Age::Unsure),
            (("a", 0), ("a", 0), Age::Current, Age::Current),
            (("a", 1), ("b", 2), Age::Current, Age::Current),
            (("a", 2), ("b", 1), Age::Unsure, Age::Unsure),
            (("", 2), ("", 2), Age::Current, Age::Unsure),
            (("5", 0), ("", 0), Age::Current, Age::Unsure),
            (("", 0), ("", 0), Age::Current, Age::Unsure),
        ] {
            for (wrote, expected) in [(false, unwritten), (true, written)] {
                assert_eq!(judge_age(sighting(known), sighting(seen), wrote), expected, "{known:?} {seen:?} {wrote}");
            }
        }
    }
}
