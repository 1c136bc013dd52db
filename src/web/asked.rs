//! Owns: what the address or the form of a page asks for: whatever cannot be understood there asks for nothing in particular.
//!
//! Must not know: how it is answered; what programs may ask, and which filter that makes (that is `question`).

use std::collections::BTreeMap;

use http::Uri;

use crate::store::HookState;

use super::look::LIST_DEFAULT;
use super::question::{OfConflicts, OfPasses, OfQuarantine, OfRecords, OfWebhooks};

/// The parameters of a question; of one that is given twice, the last.
pub fn parameters(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The parameters of an address.
pub fn query(uri: &Uri) -> BTreeMap<String, String> {
    parameters(uri.query().unwrap_or_default().as_bytes())
}

/// The number after which a page goes on.
pub fn after(query: &BTreeMap<String, String>) -> Option<i64> {
    query.get("after").and_then(|text| text.parse().ok())
}

/// A text that is not empty.
fn given(query: &BTreeMap<String, String>, name: &str) -> Option<String> {
    query.get(name).filter(|text| !text.is_empty()).cloned()
}

fn limit(query: &BTreeMap<String, String>) -> Option<usize> {
    query.get("limit").and_then(|text| text.parse().ok())
}

/// How many a page shows, for the address of the next one: nothing where that is what goes without saying.
pub fn shown_limit(limit: usize) -> Option<String> {
    (limit != LIST_DEFAULT).then(|| limit.to_string())
}

/// Which passes are asked for.
pub fn of_passes(query: &BTreeMap<String, String>) -> OfPasses {
    let (collection, outcome) = (given(query, "collection"), given(query, "outcome"));
    OfPasses { collection, outcome, after: after(query), limit: limit(query) }
}

/// Which conflicts are asked for.
pub fn of_conflicts(query: &BTreeMap<String, String>) -> OfConflicts {
    let all = query.get("all").is_some_and(|all| all == "true");
    let (collection, field) = (given(query, "collection"), given(query, "field"));
    OfConflicts { collection, field, all, after: after(query), limit: limit(query) }
}

/// Which records that are set aside are asked for.
pub fn of_quarantine(query: &BTreeMap<String, String>) -> OfQuarantine {
    let after = given(query, "after").and_then(|text| serde_json::from_str(&text).ok());
    OfQuarantine { collection: given(query, "collection"), after, limit: limit(query) }
}

/// Which webhooks are asked for.
pub fn of_webhooks(query: &BTreeMap<String, String>) -> OfWebhooks {
    let state = query.get("state").and_then(|name| HookState::named(name));
    OfWebhooks { state, after: after(query), limit: limit(query) }
}

/// Which records are asked for.
pub fn of_records(query: &BTreeMap<String, String>) -> OfRecords {
    let after = given(query, "after").unwrap_or_default();
    OfRecords { after, limit: limit(query), q: given(query, "q") }
}

#[cfg(test)]
mod tests {
    use super::super::look::LIST_MAX;
    use super::*;
    use crate::store::{ConflictFilter, PassFilter, QuarantineFilter};

    #[test]
    fn limits_are_bounded() {
        let check = |text: &str, expected: usize| {
            let query = parameters(text.as_bytes());
            assert_eq!((of_records(&query).limit(), of_passes(&query).filter().limit), (expected, expected), "{text}");
        };
        check("", LIST_DEFAULT);
        check("limit=7", 7);
        check("limit=0", 1);
        check("limit=100000", LIST_MAX);
        check("limit=x", LIST_DEFAULT);
    }

    #[test]
    fn what_is_empty_or_cannot_be_understood_asks_for_nothing_in_particular() {
        let shown = |filter: &dyn std::fmt::Debug| format!("{filter:?}");
        for text in ["", "collection=&field=&state=&outcome=&after=&q=&all=", "state=odd&after=odd&all=odd"] {
            let query = parameters(text.as_bytes());
            let plain = ConflictFilter { limit: LIST_DEFAULT, ..ConflictFilter::default() };
            assert_eq!(shown(&of_conflicts(&query).filter()), shown(&plain), "{text}");
            let plain = QuarantineFilter { limit: LIST_DEFAULT, ..QuarantineFilter::default() };
            assert_eq!(shown(&of_quarantine(&query).filter()), shown(&plain), "{text}");
            let plain = PassFilter { limit: LIST_DEFAULT, ..PassFilter::default() };
            assert_eq!(shown(&of_passes(&query).filter()), shown(&plain), "{text}");
            let hooks = of_webhooks(&query);
            assert_eq!((hooks.state, hooks.after, hooks.limit()), (None, None, LIST_DEFAULT), "{text}");
        }
    }
}
