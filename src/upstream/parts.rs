//! Owns: answers of many records, handed over in parts: memory is that of the answer and one part of it, written out.
//!
//! Must not know: how pages follow each other, what is done with records.

use std::ops::Range;

use bytes::Bytes;

use super::Page;
use super::table::Columns;

/// A part is handed over once it has so many bytes.
const PART_BYTES: usize = 1 << 20;

/// An answer that is being handed over.
#[derive(Debug)]
pub struct Parts {
    /// The page with its records as they stand in the answer.
    page: Page,
    columns: Option<Columns>,
    /// So many of its records have been handed over.
    taken: usize,
}

impl Parts {
    /// Of a page whose records are lines, or rows of these columns.
    pub fn new(page: Page, columns: Option<Columns>) -> Self {
        Self { page, columns, taken: 0 }
    }

    /// The next part, and whether it is the last one. Only that one says how the listing goes on: an earlier place to go on
    /// from would leave out the rest.
    pub fn next(&mut self) -> (Page, bool) {
        let rest = self.page.records.get(self.taken..).unwrap_or_default();
        let (body, records) = match &self.columns {
            Some(columns) => {
                let (body, records) = columns.write_out(&self.page.body, rest, PART_BYTES);
                (Bytes::from(body), records)
            }
            None => lines(&self.page.body, rest),
        };
        let start = rest.first().map_or(0, |first| first.start);
        let cut_down = self.page.cut_down.iter();
        let cut_down = cut_down.filter_map(|at| at.checked_sub(start)).filter(|at| *at < body.len()).collect();
        self.taken += records.len();
        let is_last = self.taken >= self.page.records.len();
        let next = self.page.next.clone().filter(|_| is_last);
        (Page { body, records, cut_down, told: Vec::new(), next, mark: self.page.mark.clone(), ..self.page }, is_last)
    }
}

/// As many lines as make a part, as a slice of the answer.
fn lines(body: &Bytes, rest: &[Range<usize>]) -> (Bytes, Vec<Range<usize>>) {
    let Some(first) = rest.first() else { return (Bytes::new(), Vec::new()) };
    let records: Vec<Range<usize>> = rest
        .iter()
        .take_while(|line| line.start - first.start < PART_BYTES)
        .map(|line| line.start - first.start..line.end - first.start)
        .collect();
    let end = records.last().map_or(first.start, |last| first.start + last.end);
    (body.slice(first.start..end), records)
}
