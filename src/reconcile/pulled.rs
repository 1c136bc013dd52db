//! Owns: what came of reading one binding, for those who decide about it.
//!
//! Must not know: how it was read.

use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::store::Micros;

use super::report::UpstreamReport;

/// What came of reading one binding.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what holds of a reading, independent of each other")]
pub struct Pulled {
    /// The binding's position.
    pub binding: usize,
    /// Counts so far.
    pub report: UpstreamReport,
    /// Why the binding takes no part in this pass.
    pub blocked: Option<String>,
    /// The links that were listed.
    pub seen: Arc<RoaringTreemap>,
    /// One of them was listed more than once: pages moved while they were read, or repeat.
    pub twice: bool,
    /// When the first page was asked for.
    pub started_at: Micros,
    /// A complete generation was read from beginning to end: what `seen` lacks was not there.
    pub complete: bool,
    /// It was last read before the oldest tombstone that it lists.
    pub gap: bool,
    /// Everything was read from beginning to end because the upstream no longer knew the place to go on from, now or in a pass that
    /// did not come to ask for what was missing: what was deleted between that place and now is told by nothing.
    pub expired: bool,
    /// Rows that first contact inserted while reading.
    pub inserted: u64,
}
