//! Owns: when a pass is due: intervals by elapsed time, cron expressions in their time zone.
//!
//! Must not know: the current time (it is an argument), what a pass is.
//!
//! Across daylight saving, as Vixie cron does: a fixed time in the gap fires right after it, one in the overlap fires once; what
//! comes every so many minutes or hours (`*`, `/`) goes by the clock that hangs there, hours that come twice included. croner
//! only finds times on a calendar without time zones: where clocks change it fires twice, or finds what lies before.
//! Whatever was missed is caught up by one pass.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Offset as _, SubsecRound as _, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use crate::rules::Schedule;

use super::event::Moment;

/// When a collection last ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// By the wall clock.
    pub wall: DateTime<Utc>,
    /// By the steady clock; `None` where it ran in an earlier process.
    pub steady: Option<Duration>,
}

/// Whether a pass is due now, and has been for `delay`. One that never ran is due.
pub fn is_due(schedule: &Schedule, last: Option<Last>, now: Moment, delay: Duration) -> bool {
    let Some(last) = last else { return true };
    match (schedule, last.steady) {
        (Schedule::Every(every), Some(steady)) => now.steady.saturating_sub(steady) >= every.saturating_add(delay),
        (Schedule::Every(_), None) | (Schedule::Cron { .. }, _) => {
            let delay = TimeDelta::from_std(delay).unwrap_or_default();
            next_due(schedule, Some(last.wall), now.wall).is_some_and(|due| due <= now.wall - delay)
        }
    }
}

/// How long until a pass is due and has been for `delay`, if the wall clock goes as it should.
pub fn due_in(schedule: &Schedule, last: Option<Last>, now: Moment, delay: Duration) -> Option<Duration> {
    let Some(last) = last else { return Some(Duration::ZERO) };
    match (schedule, last.steady) {
        (Schedule::Every(every), Some(steady)) => {
            Some((steady + every.saturating_add(delay)).saturating_sub(now.steady))
        }
        (Schedule::Every(_), None) | (Schedule::Cron { .. }, _) => {
            let due = next_due(schedule, Some(last.wall), now.wall)?;
            let delay = TimeDelta::from_std(delay).unwrap_or_default();
            Some((due + delay - now.wall).to_std().unwrap_or_default())
        }
    }
}

/// When the next pass is due; never before `now` where it never ran. `None` where the expression never comes true.
pub fn next_due(schedule: &Schedule, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Some(last) = last else { return Some(now) };
    match schedule {
        Schedule::Every(every) => TimeDelta::from_std(*every).ok().map(|every| last + every),
        Schedule::Cron { expression, timezone } => {
            let (cron, after) = (parse(expression)?, last.trunc_subsecs(0));
            if is_fixed(expression) {
                next_fixed(&cron, *timezone, after)
            } else {
                next_of_many(&cron, *timezone, after)
            }
        }
    }
}

/// How often the search may begin anew, at a change of clocks or at a time that came already.
const SEARCHES_MAX: usize = 64;
/// No zone has skipped more at once.
const GAP_MINUTES_MAX: i64 = 2 * 24 * 60;

/// Times of day that are spelled out, each of which is to come once a day.
fn is_fixed(expression: &str) -> bool {
    if expression.trim().eq_ignore_ascii_case("@hourly") {
        return false;
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    // Seconds come first where there are six, with a year behind them where there are seven.
    let of_day = if fields.len() > 5 { 3 } else { 2 };
    !fields.iter().take(of_day).any(|field| field.contains(['*', '/']))
}

fn next_fixed(cron: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut shown = after.with_timezone(&zone).naive_local().and_utc();
    for _ in 0..SEARCHES_MAX {
        shown = cron.find_next_occurrence(&shown, false).ok()?;
        // In the hour that comes twice it may have been in the first one.
        if let Some(next) = instant(zone, shown.naive_utc()).filter(|next| *next > after) {
            return Some(next);
        }
    }
    None
}

/// When clocks in a zone first show this; where they never do, when they first show more.
fn instant(zone: Tz, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
    let found = |shown: NaiveDateTime| zone.from_local_datetime(&shown).earliest().map(|time| time.with_timezone(&Utc));
    let minute = shown.with_second(0)?;
    found(shown).or_else(|| (1..=GAP_MINUTES_MAX).find_map(|more| found(minute + TimeDelta::minutes(more))))
}

fn next_of_many(cron: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (mut from, mut inclusive) = (after, false);
    for _ in 0..SEARCHES_MAX {
        let offset = offset(zone, from);
        let next = cron.find_next_occurrence(&(from + offset), inclusive).ok()? - offset;
        // Up to the next change of clocks they go on as they do now.
        match first_change(zone, from, next) {
            None => return Some(next),
            Some(change) => (from, inclusive) = (change, true),
        }
    }
    None
}

fn offset(zone: Tz, at: DateTime<Utc>) -> TimeDelta {
    TimeDelta::seconds(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
}

/// The first second at which clocks differ from what they showed at `from`, up to `until`.
fn first_change(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = offset(zone, from);
    let mut same = from;
    let mut other = loop {
        let next = (same + TimeDelta::days(1)).min(until);
        if offset(zone, next) != before {
            break next;
        }
        if next >= until {
            return None;
        }
        same = next;
    };
    while other - same > TimeDelta::seconds(1) {
        let middle = same + TimeDelta::seconds((other - same).num_seconds() / 2);
        if offset(zone, middle) == before { same = middle } else { other = middle }
    }
    Some(other)
}

fn parse(expression: &str) -> Option<Cron> {
    CronParser::builder().seconds(Seconds::Optional).build().parse(expression).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    fn cron(expression: &str, timezone: &str) -> Schedule {
        Schedule::Cron { expression: expression.to_owned(), timezone: timezone.parse().unwrap() }
    }

    /// All times between two moments, as a loop that looks every second would see them.
    fn fired(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
        let mut last = at(from);
        let mut all = Vec::new();
        while let Some(next) = next_due(schedule, Some(last), last).filter(|next| *next <= at(until)) {
            assert!(next > last, "time goes forward");
            all.push(next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
            last = next;
        }
        all
    }

    #[test]
    fn f48_fixed_times_fire_once_on_both_days_of_the_change() {
        let check = |expression: &str, from: &str, until: &str, expected: &[&str]| {
            assert_eq!(fired(&cron(expression, "Europe/Paris"), from, until), expected, "{expression}");
        };
        // 29 March 2026: 02:00 → 03:00. 02:30 does not exist; it fires when the gap is over.
        check(
            "30 2 * * *",
            "2026-03-28T12:00:00Z",
            "2026-03-30T12:00:00Z",
            &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        );
        // 25 October 2026: 03:00 → 02:00. 02:30 comes twice; it fires at the first.
        check(
            "30 2 * * *",
            "2026-10-24T12:00:00Z",
            "2026-10-26T12:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
        // A fixed local hour stays at its local hour.
        check(
            "30 9 * * *",
            "2026-10-24T00:00:00Z",
            "2026-10-25T23:00:00Z",
            &["2026-10-24T07:30:00Z", "2026-10-25T08:30:00Z"],
        );
        // With seconds.
        check("15 0 12 * * *", "2026-07-01T00:00:00Z", "2026-07-01T23:00:00Z", &["2026-07-01T10:00:15Z"]);
        // With a year: 00:00 comes once, at midnight, and 02:30 at the first of two.
        check("0 30 2 * * * 2026", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", &["2026-10-25T00:30:00Z"]);
        // By its name.
        check(
            "@daily",
            "2026-10-24T12:00:00Z",
            "2026-10-26T12:00:00Z",
            &["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
        );
    }

    #[test]
    fn f48_an_hour_that_is_named_is_every_hour_the_one_that_comes_twice_as_well() {
        for expression in ["@hourly", "@HOURLY", "0 * * * *"] {
            let all = |from, until| fired(&cron(expression, "Europe/Paris"), from, until);
            let autumn = all("2026-10-24T22:30:00Z", "2026-10-25T02:30:00Z");
            let expected = ["23", "00", "01", "02"].map(|hour| {
                let day = if hour == "23" { "24" } else { "25" };
                format!("2026-10-{day}T{hour}:00:00Z")
            });
            assert_eq!(autumn, expected, "{expression}");
            let spring = all("2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z");
            let expected = ["00", "01", "02"].map(|hour| format!("2026-03-29T{hour}:00:00Z"));
            assert_eq!(spring, expected, "{expression}");
        }
    }

    #[test]
    fn f48_quarters_of_one_hour_come_as_often_as_clocks_show_it() {
        let quarters = |from: &str, until: &str| {
            let all = fired(&cron("*/15 2 * * *", "Europe/Paris"), from, until);
            all.iter().map(|time| time[8..16].to_owned()).collect::<Vec<_>>()
        };
        // 29 March: there is no such hour.
        let spring = quarters("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(spring, ["30T00:00", "30T00:15", "30T00:30", "30T00:45"]);
        // 25 October: it comes twice.
        let autumn = quarters("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        let twice = ["00", "01"].map(|hour| ["00", "15", "30", "45"].map(|minute| format!("25T{hour}:{minute}")));
        assert_eq!(autumn, twice.concat());
    }

    #[test]
    fn nothing_is_left_to_wait_for_exactly_when_it_is_due() {
        let every = Schedule::Every(Duration::from_mins(5));
        let (started, before) = (at("2026-01-01T00:00:00Z"), Duration::from_secs(1000));
        let steadies = [None, Some(before)];
        for (schedule, steady) in [(every, steadies[0]), (Schedule::Every(Duration::from_mins(5)), steadies[1])]
            .into_iter()
            .chain(steadies.map(|steady| (cron("*/5 * * * *", "UTC"), steady)))
        {
            let last = Some(Last { wall: started, steady });
            for delay in [0, 1, 17_500].map(Duration::from_millis) {
                let due = Duration::from_mins(5) + delay;
                for millis in [0, 1, 299_999, 300_000, 300_001, 310_000, 317_499, 317_500, 317_501, 400_000] {
                    let passed = Duration::from_millis(millis);
                    let now = Moment { wall: started + passed, steady: before + passed };
                    let left = due_in(&schedule, last, now, delay).unwrap();
                    let words = format!("{schedule:?} {steady:?} {delay:?} after {passed:?}");
                    assert_eq!(left, due.saturating_sub(passed), "{words}");
                    assert_eq!(left.is_zero(), is_due(&schedule, last, now, delay), "{words}");
                }
            }
        }
        let now = Moment { wall: started, steady: before };
        let never = cron("0 0 30 2 *", "UTC");
        assert_eq!(due_in(&never, None, now, Duration::ZERO), Some(Duration::ZERO), "what never ran is due");
        assert!(is_due(&never, None, now, Duration::ZERO));
    }

    #[test]
    fn intervals_count_elapsed_time() {
        let every = Schedule::Every(Duration::from_mins(5));
        let now = |wall: &str, steady: u64| Moment { wall: at(wall), steady: Duration::from_secs(steady) };
        let last = |steady| Some(Last { wall: at("2026-01-01T00:00:00Z"), steady });
        let second = Duration::from_secs;
        let is_due = |every, last, now| is_due(every, last, now, Duration::ZERO);
        assert!(is_due(&every, None, now("2026-01-01T00:00:00Z", 0)), "what never ran is due");
        assert!(!is_due(&every, last(Some(second(10))), now("2026-01-01T00:04:59Z", 309)));
        assert!(is_due(&every, last(Some(second(10))), now("2026-01-01T00:05:00Z", 310)));
        // f47: the wall clock jumps a year either way; the interval does not care.
        assert!(!is_due(&every, last(Some(second(10))), now("2027-01-01T00:00:00Z", 20)));
        assert!(is_due(&every, last(Some(second(10))), now("2025-01-01T00:00:00Z", 310)));
        // After a restart only the wall clock knows.
        assert!(!is_due(&every, last(None), now("2026-01-01T00:04:59Z", 0)));
        assert!(is_due(&every, last(None), now("2026-01-02T00:00:00Z", 0)));
    }

    #[test]
    fn a_time_that_never_comes_is_never_due() {
        let schedule = cron("0 0 30 2 *", "UTC");
        assert_eq!(next_due(&schedule, Some(at("2026-01-01T00:00:00Z")), at("2026-01-01T00:00:00Z")), None);
    }

    /// The moments of 2024 to 2030 at which clocks are changed in a zone.
    fn transitions(zone: Tz) -> Vec<DateTime<Utc>> {
        let (first, hours) = (at("2024-01-01T00:00:00Z"), 7 * 365 * 24);
        let offset = |time: DateTime<Utc>| time.with_timezone(&zone).naive_local() - time.naive_utc();
        let all = (0..hours).map(|hour| first + TimeDelta::hours(hour));
        all.filter(|time| offset(*time) != offset(*time + TimeDelta::hours(1)))
            .map(|time| time + TimeDelta::hours(1))
            .collect()
    }

    const ZONES: [&str; 8] = [
        "Europe/Paris",
        "America/New_York",
        "America/St_Johns",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Beirut",
        "Pacific/Chatham",
    ];

    /// Noon of the day before and of the day after: neither is ever skipped or repeated.
    fn noons(zone: Tz, change: DateTime<Utc>) -> [DateTime<Utc>; 2] {
        [-1, 1].map(|days| {
            let day = (change.with_timezone(&zone) + TimeDelta::days(days)).date_naive();
            day.and_hms_opt(12, 0, 0).unwrap().and_local_timezone(zone).unwrap().with_timezone(&Utc)
        })
    }

    #[test]
    fn f48_a_fixed_time_fires_once_a_day_around_every_change_of_clocks() {
        for name in ZONES {
            let zone: Tz = name.parse().unwrap();
            let changes = transitions(zone);
            assert!(changes.len() >= 10, "{name}: {}", changes.len());
            for change in changes {
                let [from, until] = noons(zone, change);
                let days =
                    (until.with_timezone(&zone).date_naive() - from.with_timezone(&zone).date_naive()).num_days();
                for quarter in 0..96 {
                    let (hour, minute) = (quarter / 4, quarter % 4 * 15);
                    let schedule = cron(&format!("{minute} {hour} * * *"), name);
                    let mut all = Vec::new();
                    let mut last = from;
                    while let Some(next) = next_due(&schedule, Some(last), last).filter(|next| *next <= until) {
                        assert!(next > last, "{name} {hour}:{minute}");
                        (last, all) = (next, [all, vec![next]].concat());
                    }
                    assert_eq!(
                        i64::try_from(all.len()).unwrap(),
                        days,
                        "{name} {hour}:{minute} around {change}: {all:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn f48_what_comes_every_quarter_of_an_hour_comes_so_whatever_clocks_show() {
        for name in ZONES {
            let (zone, schedule) = (name.parse().unwrap(), cron("*/15 * * * *", name));
            for change in transitions(zone) {
                let [mut last, until] = noons(zone, change);
                while last < until {
                    let next = next_due(&schedule, Some(last), last).unwrap();
                    assert_eq!(next - last, TimeDelta::minutes(15), "{name} after {last}");
                    last = next;
                }
                // Whenever a pass began, also between the times, the next one lies ahead.
                let [from, until] = noons(zone, change);
                for second in (0..(until - from).num_seconds()).step_by(601) {
                    let last = from + TimeDelta::seconds(second) + TimeDelta::milliseconds(700);
                    for expression in ["*/15 * * * *", "30 2 * * *", "0 1,2,3 * * *", "*/20 1-3 * * *", "0 */2 * * *"] {
                        let next = next_due(&cron(expression, name), Some(last), last).unwrap();
                        assert!(
                            next > last && next - last < TimeDelta::hours(49),
                            "{name} {expression} after {last}: {next}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn f48_hours_that_are_spelled_out_come_once_each_on_both_days_of_the_change() {
        let hours = |day: &str, from: &str, until: &str| {
            let all = fired(&cron("0 1,2,3 * * *", "Europe/Paris"), from, until);
            assert!(all.iter().all(|time| time.starts_with(day)), "{all:?}");
            all.iter().map(|time| time[11..16].to_owned()).collect::<Vec<_>>()
        };
        // 02:00 does not exist and fires at 03:00, which has its own: one pass is for both.
        assert_eq!(hours("2026-03-29", "2026-03-28T23:30:00Z", "2026-03-29T12:00:00Z"), ["00:00", "01:00"]);
        // 02:00 comes twice, and fires at the first.
        let autumn = hours("2026-10-2", "2026-10-24T22:30:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(autumn, ["23:00", "00:00", "02:00"]);
    }

    #[test]
    fn f48_an_interval_does_not_care_about_changes_of_clocks() {
        let every = Schedule::Every(Duration::from_mins(90));
        for zone in ZONES {
            for change in transitions(zone.parse().unwrap()) {
                let last = change - TimeDelta::minutes(30);
                assert_eq!(next_due(&every, Some(last), last), Some(change + TimeDelta::hours(1)), "{zone}");
                let before = Some(Last { wall: last, steady: None });
                let now = Moment { wall: change, steady: Duration::ZERO };
                assert_eq!(due_in(&every, before, now, Duration::ZERO), Some(Duration::from_hours(1)), "{zone}");
            }
        }
    }
}
