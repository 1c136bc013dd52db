//! Owns: small charts as SVG, readable without seeing them.
//!
//! Must not know: what is charted.

use maud::{Markup, html};

const BAR: u64 = 6;
const GAP: u64 = 2;
const HEIGHT: u64 = 48;

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
    fn what_a_bar_says_is_text() {
        let bar = Bar { value: 3, says: "<b>".to_owned(), is_bad: true };
        let text = bars("Written", "passes", "records", &[bar]).into_string();
        assert!(text.contains("aria-label=\"Written: 1 passes, 3 records at most\""), "{text}");
        assert!(text.contains("<title>&lt;b&gt;</title>") && text.contains("class=\"bar bad\""), "{text}");
    }
}
