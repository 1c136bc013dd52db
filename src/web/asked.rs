//! Owns: what the address or the form of a page asks for: whatever cannot be understood there asks for nothing in particular.
//!
//! Must not know: how it is answered; what programs ask (that is `question`).

use std::collections::BTreeMap;

use http::Uri;

use crate::store::{ConflictFilter, PassFilter};

use super::look::{LIST_DEFAULT, LIST_MAX};

/// The parameters of a question; of one that is given twice, the last.
pub fn parameters(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The parameters of an address.
pub fn query(uri: &Uri) -> BTreeMap<String, String> {
    parameters(uri.query().unwrap_or_default().as_bytes())
}

/// How many are asked for.
pub fn limit(query: &BTreeMap<String, String>) -> usize {
    let given = query.get("limit").and_then(|text| text.parse().ok());
    given.unwrap_or(LIST_DEFAULT).clamp(1, LIST_MAX)
}

/// The number after which a page goes on.
pub fn after(query: &BTreeMap<String, String>) -> Option<i64> {
    query.get("after").and_then(|text| text.parse().ok())
}

/// Which passes are asked for; an empty value asks for nothing in particular.
pub fn pass_filter(query: &BTreeMap<String, String>) -> PassFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
    let (collection, outcome) = (given("collection"), given("outcome"));
    PassFilter { collection, outcome, before: after(query), limit: limit(query) }
}

/// Which conflicts are asked for; an empty value asks for nothing in particular.
pub fn conflict_filter(query: &BTreeMap<String, String>) -> ConflictFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).cloned();
    ConflictFilter {
        collection: given("collection"),
        field: given("field"),
        after: after(query),
        closed_too: query.get("all").is_some_and(|all| all == "true"),
        limit: limit(query),
        ..ConflictFilter::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded() {
        let check = |text: &str, expected: usize| assert_eq!(limit(&parameters(text.as_bytes())), expected, "{text}");
        check("", LIST_DEFAULT);
        check("limit=7", 7);
        check("limit=0", 1);
        check("limit=100000", LIST_MAX);
        check("limit=x", LIST_DEFAULT);
    }
}
