//! Owns: where a binding's reading stands between passes: since-value, `ETag`, a listing in progress.
//!
//! Must not know: how pages are fetched.

use chrono::{DateTime, Duration, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::rules::{Incremental, SinceFrom};
use crate::store::{Micros, StoreError};
use crate::upstream::{ListQuery, PageToken};

/// A binding's cursor, kept as JSON in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// The greatest time of change seen by a finished listing (for `since` from `updated_at`).
    pub high: Option<Micros>,
    /// The opaque since-value (from header or body), or the listing's `ETag`, of the last finished listing.
    pub mark: Option<String>,
    /// When the last complete generation was finished.
    pub full_at: Option<Micros>,
    /// When the last listing of any kind was finished, where it matters how long ago that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Micros>,
    /// Where the address stands that tells deletes, where it is not read whole each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Box<Self>>,
    /// What was deleted before the last place that is known was told by nothing, and what is missing was not all asked for yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
    /// A listing that was not finished.
    pub scan: Option<Scan>,
    /// Which way of reading `high` and `mark` belong to; a changed rule starts over. See [`way_of`].
    pub way: String,
}

/// Names a way of reading by hashes: of what is asked for, and of how its pages follow each other, which only a listing in progress
/// depends on.
pub fn way_of(asked: &str, pages: &str) -> String {
    format!("{:016x}.{:016x}", xxh3_64(asked.as_bytes()), xxh3_64(pages.as_bytes()))
}

/// A listing in progress.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scan {
    /// How it goes on.
    pub token: PageToken,
    /// The mark of its first page.
    pub mark: Option<String>,
    /// The greatest time of change so far.
    pub high: Option<Micros>,
    /// When its first page was asked for.
    pub started_at: Micros,
    /// So many passes went on from here and came no further, because the upstream broke down.
    #[serde(default, skip_serializing_if = "is_never")]
    pub stopped: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde passes")]
fn is_never(count: &u32) -> bool {
    *count == 0
}

/// A listing that was left longer ago than this is started over: tokens expire, and what moved meanwhile was missed.
const RESUME_WITHIN: Duration = Duration::hours(24);

/// So many passes go on from a place behind which the upstream breaks down; then the listing begins anew.
const STOPPED_MAX: u32 = 3;

impl Cursor {
    /// Reads the stored text; nothing stored is the beginning. A cursor of another way of reading is the beginning too.
    pub fn load(text: Option<&str>, way: &str) -> Result<Self, StoreError> {
        let fresh = || Self { way: way.to_owned(), ..Self::default() };
        let Some(text) = text else { return Ok(fresh()) };
        let cursor: Self = serde_json::from_str(text)
            .map_err(|error| StoreError::State { what: "a cursor".into(), reason: error.to_string() })?;
        let (asked, pages) = way.split_once('.').unwrap_or((way, ""));
        let (was_asked, were_pages) = cursor.way.split_once('.').unwrap_or((&cursor.way, pages));
        Ok(match (was_asked == asked, were_pages == pages) {
            // One that says nothing of pages is from before they counted.
            (true, true) => Self { way: way.to_owned(), ..cursor },
            // A place among pages of another kind or size is another place.
            (true, false) => Self { way: way.to_owned(), scan: None, ..cursor },
            (false, _) => fresh(),
        })
    }

    /// Whether what is stored of a binding says that it was read to its end once.
    pub fn was_read(text: &str) -> bool {
        serde_json::from_str::<Self>(text).is_ok_and(|cursor| cursor.full_at.is_some())
    }

    /// What is stored, once all that is missing was asked for; `None` where it says so already.
    pub fn told(text: &str) -> Option<String> {
        let cursor = serde_json::from_str::<Self>(text).ok().filter(|cursor| cursor.untold)?;
        Some(Self { untold: false, ..cursor }.save())
    }

    /// What is stored, once one more pass came no further than to the place where its listing goes on. `None`: that is elsewhere
    /// by now.
    pub fn stopped_again(text: &str, place: &PageToken) -> Option<String> {
        let mut cursor = serde_json::from_str::<Self>(text).ok()?;
        let scan = cursor.scan.as_mut().filter(|scan| scan.token == *place)?;
        scan.stopped = scan.stopped.saturating_add(1);
        Some(cursor.save())
    }

    /// The text to store.
    pub fn save(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What to ask for: an incremental listing where the rules and the past allow it and `full` does not forbid it.
    /// The second value is true for a complete listing.
    pub fn query(&self, incremental: &Incremental, full: bool, now: DateTime<Utc>) -> (ListQuery, bool) {
        // Who asks for everything gets everything, whatever an earlier listing has seen of it.
        if full {
            return (ListQuery::default(), true);
        }
        let resume = self.resumable(now).map(|scan| scan.token.clone());
        let complete = (ListQuery { resume, ..ListQuery::default() }, true);
        if self.full_at.is_none() {
            return complete;
        }
        match incremental {
            Incremental::None => complete,
            Incremental::Conditional => match &self.mark {
                Some(etag) => (ListQuery { etag: Some(etag.clone()), ..ListQuery::default() }, true),
                None => complete,
            },
            Incremental::Token { .. } | Incremental::EventFeed(_) => match &self.mark {
                Some(token) => (ListQuery { since: Some(token.clone()), ..ListQuery::default() }, false),
                None => complete,
            },
            Incremental::Since { from, format, lookback, .. } => {
                let since = match from {
                    SinceFrom::UpdatedAt => self.high.and_then(|high| {
                        let back = i64::try_from(lookback.as_micros()).unwrap_or_default();
                        let step = step_of(high).max(format.step_micros());
                        let from = DateTime::from_timestamp_micros(cut(high.saturating_sub(back), step));
                        Some(text_of(&format.write(from.or_else(|| DateTime::from_timestamp_micros(high))?)))
                    }),
                    SinceFrom::Header(_) | SinceFrom::Body(_) => self.mark.clone(),
                };
                match since {
                    Some(since) => (ListQuery { since: Some(since), ..ListQuery::default() }, false),
                    None => complete,
                }
            }
        }
    }

    /// Whether the last listing is longer ago than what was deleted since is still listed.
    pub fn is_behind(&self, horizon: Option<std::time::Duration>, now: DateTime<Utc>) -> bool {
        let last = self.read_at.or(self.full_at).and_then(DateTime::from_timestamp_micros);
        let horizon = horizon.and_then(|horizon| Duration::from_std(horizon).ok());
        last.zip(horizon).is_some_and(|(last, horizon)| now - last > horizon)
    }

    /// The unfinished complete listing, where it is young enough, and the upstream did not break down again and again where it goes on.
    pub fn resumable(&self, now: DateTime<Utc>) -> Option<&Scan> {
        self.scan.as_ref().filter(|scan| scan.stopped < STOPPED_MAX).filter(|scan| {
            DateTime::from_timestamp_micros(scan.started_at).is_some_and(|start| now - start < RESUME_WITHIN)
        })
    }

    /// A listing was finished: its marks become the cursor's. `high` never passes the moment the listing was asked for,
    /// so that a record dated in the future cannot hide later changes; nor is it finer than what the upstream has written, which
    /// may refuse to be asked for more.
    pub fn finish(
        &mut self,
        complete: bool,
        mark: Option<String>,
        high: Option<Micros>,
        started_at: Micros,
        ended_at: Micros,
    ) {
        self.scan = None;
        if mark.is_some() {
            self.mark = mark;
        }
        if let Some(high) = high {
            let reached = self.high.unwrap_or(i64::MIN).max(high.min(started_at));
            self.high = Some(cut(reached, step_of(high)));
        }
        if complete {
            self.full_at = Some(ended_at);
        }
    }
}

/// How finely a time is written, in microseconds: to the second, the thousandth, or finer. One that is whole by chance is taken for a
/// coarser one, which asks for a little more than is needed.
fn step_of(at: Micros) -> Micros {
    [1_000_000, 1000].into_iter().find(|step| at % step == 0).unwrap_or(1)
}

/// The last step at or before this time.
fn cut(at: Micros, step: Micros) -> Micros {
    at.saturating_sub(at.rem_euclid(step))
}

/// A token's text as it goes into a query or header.
fn text_of(json: &crate::record::Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TimeFormat;

    fn since(from: SinceFrom) -> Incremental {
        written(from, TimeFormat::UnixS)
    }

    fn written(from: SinceFrom, format: TimeFormat) -> Incremental {
        let into = crate::rules::Place::Query("since".into());
        Incremental::Since { into, from, format, lookback: std::time::Duration::from_mins(2), value: None }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn s40_a_record_dated_in_the_future_does_not_move_the_cursor_past_the_request() {
        let mut cursor = Cursor::default();
        cursor.finish(true, None, Some(9_000_000_000), 5_000_000_000, 5_100_000_000);
        assert_eq!(cursor.high, Some(5_000_000_000));
        let (query, complete) = cursor.query(&since(SinceFrom::UpdatedAt), false, at(6000));
        assert_eq!((query.since.as_deref(), complete), (Some("4880"), false));
    }

    #[test]
    fn a_since_value_is_no_finer_than_its_format_and_than_what_the_upstream_writes() {
        // The listing was asked for at 09:30:04.567891; what is asked for is two minutes before the time that it reached.
        let started = 1_706_693_404_567_891;
        let check = |format: TimeFormat, before: Option<Micros>, high: Micros, expected: &str| {
            let mut cursor = Cursor { high: before, ..Cursor::default() };
            cursor.finish(true, None, Some(high), started, started);
            let (query, _) = cursor.query(&written(SinceFrom::UpdatedAt, format), false, at(0));
            assert_eq!(query.since.as_deref(), Some(expected), "{format:?} {before:?} {high}");
        };
        let (ahead, earlier) = (started / 1_000_000 * 1_000_000 + 3_000_000, started - 1_000_000);
        for (format, before, high, expected) in [
            // Dated in the future: whole seconds, thousandths, millionths.
            (TimeFormat::UnixS, None, ahead, "1706693284"),
            (TimeFormat::UnixS, None, ahead + 1, "1706693284"),
            (TimeFormat::UnixMs, None, ahead + 1, "1706693284567"),
            (TimeFormat::HttpDate, None, ahead + 1, "Wed, 31 Jan 2024 09:28:04 GMT"),
            (TimeFormat::Rfc3339, None, ahead, "2024-01-31T09:28:04Z"),
            (TimeFormat::Rfc3339, None, ahead + 1000, "2024-01-31T09:28:04.567Z"),
            (TimeFormat::Rfc3339, None, ahead + 1, "2024-01-31T09:28:04.567891Z"),
            // As the upstream writes it.
            (TimeFormat::UnixS, None, earlier, "1706693283"),
            (TimeFormat::Rfc3339, None, earlier, "2024-01-31T09:28:03.567891Z"),
            (TimeFormat::Rfc3339, None, earlier - 891, "2024-01-31T09:28:03.567Z"),
            // What an earlier version has kept more finely.
            (TimeFormat::Rfc3339, Some(started), earlier - 567_891, "2024-01-31T09:28:04Z"),
            (TimeFormat::UnixS, None, -1, "-121"),
        ] {
            check(format, before, high, expected);
        }
    }

    #[test]
    fn the_first_listing_is_complete_and_a_forced_one_too() {
        let mut cursor = Cursor::default();
        assert!(cursor.query(&since(SinceFrom::UpdatedAt), false, at(0)).1);
        cursor.finish(true, Some("\"7\"".into()), Some(1), 2, 3);
        assert!(!cursor.query(&since(SinceFrom::Header("ETag".into())), false, at(0)).1);
        assert!(cursor.query(&since(SinceFrom::Header("ETag".into())), true, at(0)).1);
    }

    #[test]
    fn a_listing_in_progress_is_left_where_its_pages_are_others_and_what_was_read_stays_known() {
        let token = PageToken { at: "3".into(), pages: 3, records: 30, full: true, slice: None, job: None };
        let scan = Some(Scan { token, mark: None, high: None, started_at: 0, stopped: 0 });
        let (before, others, elsewhere) = (way_of("a", "10"), way_of("a", "20"), way_of("b", "10"));
        let old = before.split_once('.').unwrap().0.to_owned();
        for (way, now, high, goes_on) in [
            (&before, &before, Some(7), true),
            (&before, &others, Some(7), false),
            (&before, &elsewhere, None, false),
            (&old, &before, Some(7), true),
        ] {
            let stored = Cursor { scan: scan.clone(), high: Some(7), way: way.clone(), ..Cursor::default() }.save();
            let cursor = Cursor::load(Some(&stored), now).unwrap();
            assert_eq!((cursor.high, cursor.scan.is_some(), &cursor.way), (high, goes_on, now), "{way} {now}");
        }
    }

    #[test]
    fn an_old_unfinished_listing_is_not_resumed() {
        let token = PageToken { at: "x".into(), pages: 3, records: 30, full: true, slice: None, job: None };
        let scan = Scan { token: token.clone(), mark: None, high: None, started_at: 0, stopped: 0 };
        let cursor = Cursor { scan: Some(scan), ..Cursor::default() };
        assert_eq!(cursor.query(&Incremental::None, false, at(3600)).0.resume, Some(token));
        assert_eq!(cursor.query(&Incremental::None, true, at(3600)).0.resume, None, "`--full` begins at the beginning");
        assert_eq!(cursor.query(&Incremental::None, false, at(200_000)).0.resume, None);
    }
}
