//! Owns: telling the last page of a list from one that goes on: one more is looked up than is shown.
//!
//! Must not know: what is listed.

/// How many are looked up for a page of so many.
pub fn with_one_more(limit: usize) -> usize {
    limit.saturating_add(1)
}

/// Leaves a page of what was looked up. The last of it, where there is more: after that the next page begins.
pub fn cut_page<T>(found: &mut Vec<T>, limit: usize) -> Option<&T> {
    let is_more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| is_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_after_its_last_item_where_there_is_one_more() {
        let check = |all: usize, limit: usize, shown: usize, next: Option<usize>| {
            let mut found: Vec<usize> = (1..=all).take(with_one_more(limit)).collect();
            assert_eq!(cut_page(&mut found, limit).copied(), next, "{all} by {limit}");
            assert_eq!(found.len(), shown, "{all} by {limit}");
        };
        check(0, 2, 0, None);
        check(2, 2, 2, None);
        check(3, 2, 2, Some(2));
        check(9, 2, 2, Some(2));
        assert_eq!(with_one_more(usize::MAX), usize::MAX);
    }
}
