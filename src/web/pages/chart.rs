//! Owns: small charts as SVG, readable without seeing them.
//!
//! Must not know: what is charted.

use maud::{Markup, html};

const BAR: u64 = 6;
const GAP: u64 = 2;
const HEIGHT: u64 = 48;
const LANE: u64 = 32;
const FOOT: u64 = 20;

/// One bar.
pub struct Bar {
    /// How high.
    pub value: u64,
    /// For whoever points at it.
    pub says: String,
    /// Whether it stands for something bad.
    pub is_bad: bool,
}

/// Bars side by side, the oldest first, as high as the highest allows. `of` is what they stand for, `unit` is said of
/// the highest value.
pub fn bars(title: &str, of: &str, unit: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or_default();
    let width = (BAR + GAP) * bars.len() as u64;
    let label = format!("{title}: {} {of}, {most} {unit} at most", bars.len());
    html! {
        figure.chart {
            svg role="img" aria-label=(label) width=(width) height=(HEIGHT) viewBox={ "0 0 " (width) " " (HEIGHT) } {
                @for (at, bar) in (0_u64..).zip(bars) {
                    @let height = height(bar.value, most);
                    rect class=(if bar.is_bad { "bar bad" } else { "bar" }) x=(at * (BAR + GAP)) y=(HEIGHT - height)
                        width=(BAR) height=(height) { title { (bar.says) } }
                }
            }
            figcaption { (title) ", at most " (most) " " (unit) }
        }
    }
}

/// One lane of a timeline.
pub struct Lane {
    /// What it stands for, with how long it took.
    pub says: String,
    /// When it began, in microseconds.
    pub began: u64,
    /// How long it took, in microseconds.
    pub took: u64,
}

/// What took how long, one below the other, from the beginning on; `says` tells how long all of it took. Its words keep their
/// size however wide it is drawn.
pub fn timeline(title: &str, says: impl Fn(u64) -> String, lanes: &[Lane]) -> Markup {
    let height = LANE * lanes.len() as u64 + FOOT;
    let total = lanes.iter().map(|lane| lane.began.saturating_add(lane.took)).max().unwrap_or_default();
    let total_says = says(total);
    html! {
        figure.timeline {
            svg role="img" aria-label={ (title) ", " (lanes.len()) " phases within " (total_says) } width="100%" height=(height) {
                @for (at, lane) in (0_u64..).zip(lanes) {
                    @let (x, width) = part(lane, total);
                    text x="0" y=(at * LANE + 13) { (lane.says) }
                    rect.lane x="0" width="100%" y=(at * LANE + 18) height="8" {}
                    rect.bar x={ (x) "%" } width={ (width) "%" } y=(at * LANE + 18) height="8" { title { (lane.says) } }
                }
                text.quiet x="0" y=(height - 4) { "0" }
                text.quiet x="100%" y=(height - 4) text-anchor="end" { (total_says) }
            }
            figcaption { (title) }
        }
    }
}

/// Where a lane begins and how wide it is, in hundredths with one decimal; never too narrow to be seen, never past the end.
fn part(lane: &Lane, total: u64) -> (f64, f64) {
    let thousandths = |value: u64| u128::from(value) * 1000 / u128::from(total.max(1));
    let width = thousandths(lane.took).clamp(3, 1000);
    let x = thousandths(lane.began).min(1000 - width);
    let tenth = |value: u128| f64::from(u32::try_from(value).unwrap_or_default()) / 10.0;
    (tenth(x), tenth(width))
}

/// What is there at all can be seen.
fn height(value: u64, most: u64) -> u64 {
    if value == 0 || most == 0 {
        return 1;
    }
    u64::try_from(u128::from(value) * u128::from(HEIGHT) / u128::from(most)).unwrap_or(HEIGHT).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_share_and_never_too_low_to_be_seen() {
        let check =
            |value: u64, most: u64, expected: u64| assert_eq!(height(value, most), expected, "{value} of {most}");
        check(0, 0, 1);
        check(0, 9, 1);
        check(1, 1_000_000, 2);
        check(1, 2, HEIGHT / 2);
        check(u64::MAX, u64::MAX, HEIGHT);
    }

    #[test]
    fn lanes_lie_where_their_time_was_and_within_the_whole() {
        let lane = |began: u64, took: u64| Lane { says: "<read>".to_owned(), began, took };
        let check = |began: u64, took: u64, total: u64, expected: (f64, f64)| {
            assert_eq!(part(&lane(began, took), total), expected, "{began} {took} {total}");
        };
        check(0, 1_000, 1_000, (0.0, 100.0));
        check(250, 500, 1_000, (25.0, 50.0));
        check(0, 0, 1_000, (0.0, 0.3));
        check(1_000, 0, 1_000, (99.7, 0.3));
        check(0, 0, 0, (0.0, 0.3));
        check(0, u64::MAX, u64::MAX, (0.0, 100.0));
        let text = timeline("Phases", |total| format!("{total} µs"), &[lane(5, 5), lane(0, 4)]).into_string();
        assert!(text.contains("x=\"50%\" width=\"50%\"") && text.contains("&lt;read&gt;"), "{text}");
        assert!(text.contains("aria-label=\"Phases, 2 phases within 10 µs\""), "{text}");
    }

    #[test]
    fn what_a_bar_says_is_text() {
        let bar = Bar { value: 3, says: "<b>".to_owned(), is_bad: true };
        let text = bars("Written", "passes", "records", &[bar]).into_string();
        assert!(text.contains("aria-label=\"Written: 1 passes, 3 records at most\""), "{text}");
        assert!(text.contains("<title>&lt;b&gt;</title>") && text.contains("class=\"bar bad\""), "{text}");
    }
}
