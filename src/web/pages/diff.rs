//! Owns: what is gone and what is new between two texts, marked within the text.
//!
//! Must not know: whose texts they are.

use maud::{Markup, html};
use similar::{ChangeTag, TextDiff};

/// Longer texts are shown without their difference.
const DIFF_CHARS_MAX: usize = 20_000;

/// The text, with what is gone and what is new of it marked.
pub fn difference(before: Option<&str>, after: &str) -> Markup {
    let Some(before) = before.filter(|before| before.len() + after.len() <= DIFF_CHARS_MAX) else {
        return html! { span.long { (after) } };
    };
    let diff = TextDiff::from_words(before, after);
    html! {
        span.long {
            @for (tag, text) in joined(&diff) {
                @match tag {
                    ChangeTag::Equal => (text),
                    ChangeTag::Delete => del { (text) },
                    ChangeTag::Insert => ins { (text) },
                }
            }
        }
    }
}

/// Neighbouring changes of one kind, joined.
fn joined(diff: &TextDiff<'_, '_, str>) -> Vec<(ChangeTag, String)> {
    let mut all: Vec<(ChangeTag, String)> = Vec::new();
    for change in diff.iter_all_changes() {
        match all.last_mut() {
            Some((tag, text)) if *tag == change.tag() => text.push_str(change.value()),
            _ => all.push((change.tag(), change.value().to_owned())),
        }
    }
    all
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
