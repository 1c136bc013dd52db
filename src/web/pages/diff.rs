//! Owns: what is gone and what is new between two texts, marked within the text.
//!
//! Must not know: whose texts they are.

use maud::{Markup, html};
use similar::ChangeTag;

use crate::ops::word_changes;

/// Longer texts are shown without their difference.
const DIFF_CHARS_MAX: usize = 20_000;

/// The text, with what is gone and what is new of it marked.
pub fn difference(before: Option<&str>, after: &str) -> Markup {
    let Some(before) = before.filter(|before| before.len() + after.len() <= DIFF_CHARS_MAX) else {
        return html! { span.long { (after) } };
    };
    html! {
        span.long {
            @for (tag, text) in word_changes(before, after) {
                @match tag {
                    ChangeTag::Equal => (text),
                    ChangeTag::Delete => del { (text) },
                    ChangeTag::Insert => ins { (text) },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_marks_words_and_escapes_them() {
        let check = |before: Option<&str>, after: &str, expected: &str| {
            assert_eq!(difference(before, after).into_string(), format!("<span class=\"long\">{expected}</span>"));
        };
        check(None, "<b>", "&lt;b&gt;");
        check(Some("Ann Lee"), "Ann <Poe>", "Ann <del>Lee</del><ins>&lt;Poe&gt;</ins>");
        let long = "x".repeat(DIFF_CHARS_MAX);
        check(Some("a"), &long, &long);
    }
}
