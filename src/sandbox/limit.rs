//! Owns: the token bucket and what it says in headers.
//!
//! Must not know: what the requests are for.

use chrono::{DateTime, TimeDelta, Utc};

use super::config::{RateLimit, RetryAfter};
use super::reply::{Answer, Refusal};

/// How full the bucket is.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    spent: u32,
    refilled: Option<DateTime<Utc>>,
}

impl Bucket {
    /// Takes a token, or answers 429.
    pub fn take(&mut self, limit: &RateLimit, now: DateTime<Utc>) -> Result<(), Answer> {
        self.refill(limit, now);
        if self.spent < limit.burst {
            self.spent += 1;
            return Ok(());
        }
        let answer = Answer::from(Refusal::new(429, "rate_limited", "too many requests"));
        // Round up: whoever waits as told must not be early.
        let wait_s = self.next_ms(limit, now).div_ceil(1000);
        Err(match limit.retry_after {
            RetryAfter::Absent => answer,
            RetryAfter::Seconds => answer.with("retry-after", wait_s.to_string()),
            RetryAfter::HttpDate => {
                let rounding = TimeDelta::milliseconds(i64::from(now.timestamp_subsec_millis() > 0) * 1000);
                let until = now + TimeDelta::seconds(i64::try_from(wait_s).unwrap_or(i64::MAX / 1000)) + rounding;
                answer.with("date", http_date(now)).with("retry-after", http_date(until))
            }
        })
    }

    /// The headers that tell clients where they stand.
    pub fn headers(&self, limit: &RateLimit, now: DateTime<Utc>) -> Vec<(String, String)> {
        if !limit.headers {
            return Vec::new();
        }
        let full_ms = match self.spent {
            0 => 0,
            spent => self.next_ms(limit, now) + u64::from(spent - 1) * u64::from(limit.refill_ms),
        };
        let reset_s = now.timestamp() + i64::try_from(full_ms.div_ceil(1000)).unwrap_or_default();
        vec![
            ("x-ratelimit-limit".into(), limit.burst.to_string()),
            ("x-ratelimit-remaining".into(), limit.burst.saturating_sub(self.spent).to_string()),
            ("x-ratelimit-reset".into(), reset_s.to_string()),
        ]
    }

    fn refill(&mut self, limit: &RateLimit, now: DateTime<Utc>) {
        let since = *self.refilled.get_or_insert(now);
        let elapsed_ms = (now - since).num_milliseconds().max(0);
        let refill_ms = i64::from(limit.refill_ms.max(1));
        let tokens = u32::try_from(elapsed_ms / refill_ms).unwrap_or(u32::MAX);
        self.spent = self.spent.saturating_sub(tokens);
        let counted = if self.spent == 0 { elapsed_ms } else { i64::from(tokens) * refill_ms };
        self.refilled = Some(since + TimeDelta::milliseconds(counted));
    }

    /// How long until one token is back, in milliseconds.
    fn next_ms(&self, limit: &RateLimit, now: DateTime<Utc>) -> u64 {
        let elapsed_ms = self.refilled.map_or(0, |since| (now - since).num_milliseconds().max(0));
        u64::from(limit.refill_ms).saturating_sub(u64::try_from(elapsed_ms).unwrap_or_default())
    }
}

/// A time as RFC 9110, section 5.6.7 wants it.
fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        Utc.timestamp_millis_opt(1_700_000_000_000 + ms).unwrap()
    }

    fn retry_after(limit: &RateLimit, times_ms: &[i64]) -> Vec<Option<String>> {
        let mut bucket = Bucket::default();
        let header = |answer: Answer| answer.headers.into_iter().find(|(name, _)| name == "retry-after").map(|h| h.1);
        times_ms.iter().map(|ms| bucket.take(limit, at(*ms)).err().and_then(header)).collect()
    }

    #[test]
    fn a_bucket_gives_its_burst_then_one_token_per_refill() {
        let limit = RateLimit { burst: 2, refill_ms: 1500, headers: true, retry_after: RetryAfter::Seconds };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(
            retry_after(&limit, &[0, 0, 0, 600, 1500, 1600, 3000, 60_000, 60_000, 60_000]),
            [None, None, said("2"), said("1"), None, said("2"), None, None, None, said("2")]
        );
    }

    #[test]
    fn a_date_to_retry_at_is_never_early() {
        let limit = RateLimit { burst: 1, refill_ms: 1000, headers: true, retry_after: RetryAfter::HttpDate };
        assert_eq!(retry_after(&limit, &[0, 500])[1].as_deref(), Some("Tue, 14 Nov 2023 22:13:22 GMT"));
    }

    #[test]
    fn the_headers_say_what_is_left_and_when_it_is_full_again() {
        let limit = RateLimit { burst: 3, refill_ms: 2000, headers: true, retry_after: RetryAfter::Absent };
        let mut bucket = Bucket::default();
        bucket.take(&limit, at(0)).unwrap();
        bucket.take(&limit, at(0)).unwrap();
        let values: Vec<String> = bucket.headers(&limit, at(0)).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["3", "1", "1700000004"]);
    }

    #[test]
    fn a_clock_that_jumps_back_gives_no_tokens() {
        let limit = RateLimit { burst: 1, refill_ms: 10, headers: false, retry_after: RetryAfter::Seconds };
        assert_eq!(retry_after(&limit, &[1000, 0]), [None, Some("1".into())]);
    }
}
