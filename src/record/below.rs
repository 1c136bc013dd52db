//! Owns: remote ids that name the parent as well, where ids are unique under one parent only: `PARENT/ID`.
//!
//! Must not know: which records have parents.

use std::borrow::Cow;

/// The remote id of a record under a parent. A `/` of the parent is written as `%2F` (and `%` as `%25`), so that the first one
/// ends it.
pub fn join(parent: &str, id: &str) -> String {
    let parent = if parent.contains(['%', '/']) {
        Cow::Owned(parent.replace('%', "%25").replace('/', "%2F"))
    } else {
        Cow::Borrowed(parent)
    };
    format!("{parent}/{id}")
}

/// The parent, and the id as the upstream has it. `None` for a text that is no such remote id.
pub fn split(remote_id: &str) -> Option<(String, &str)> {
    let (parent, id) = remote_id.split_once('/')?;
    let is_whole = !parent.is_empty() && !id.is_empty();
    is_whole.then(|| (parent.replace("%2F", "/").replace("%25", "%"), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_again_whatever_is_in_it() {
        let cases =
            [("7", "1", "7/1"), ("a/b", "1/2", "a%2Fb/1/2"), ("50%2F", "x", "50%252F/x"), ("ä b", "%", "ä b/%")];
        for (parent, id, remote_id) in cases {
            assert_eq!(join(parent, id), remote_id);
            assert_eq!(split(remote_id), Some((parent.to_owned(), id)));
        }
        for none in ["", "7", "/7", "7/"] {
            assert_eq!(split(none), None, "{none}");
        }
    }
}
