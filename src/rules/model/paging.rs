//! Owns: the checked form of how a listing is cut into pages, and where records stand in one.
//!
//! Must not know: what a page says of its records.

use std::fmt;

use super::{NextAt, Place};
use crate::record::{Filter, Path};

/// An array in an answer: `.results[]` is the path `.results`, `.[]` is `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAt {
    /// Where it is.
    pub path: Path,
    /// `.results[]?`: an answer without it (or with null there) has no items. Otherwise that is no answer.
    pub may_lack: bool,
    /// What each item of it holds.
    pub item: ItemAt,
}

/// What an item of an array holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemAt {
    /// It is the record.
    Whole,
    /// A record at this path: `.edges[].node`.
    Record(Path),
    /// An array of its own: `.groups[].items[]`.
    List(Box<ListAt>),
}

impl From<Path> for ListAt {
    fn from(path: Path) -> Self {
        Self { path, may_lack: false, item: ItemAt::Whole }
    }
}

/// As in rules.
impl fmt::Display for ListAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[]{}", self.path, if self.may_lack { "?" } else { "" })?;
        let item = match &self.item {
            ItemAt::Whole => String::new(),
            ItemAt::Record(path) => path.to_string(),
            ItemAt::List(list) => list.to_string(),
        };
        // A path that begins with no key is written with a dot only at the beginning.
        f.write_str(item.strip_prefix('.').filter(|rest| rest.starts_with('[')).unwrap_or(&item))
    }
}

/// How pages follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// One answer holds all.
    None,
    /// Numbered pages; without `more` it ends with an empty page, or a short one after a full one.
    Page {
        /// Where the number goes; `None`: into the request's hole `{page}`.
        into: Option<Place>,
        /// The first page's number (default 1).
        start: u64,
        /// Where the page size goes, and the size.
        size: Option<(Place, u64)>,
        /// What says whether more follows.
        more: Option<More>,
    },
    /// Offsets; without `more` it ends with an empty page, or a short one after a full one.
    Offset {
        /// Where the offset goes; `None`: into the request's hole `{offset}`.
        into: Option<Place>,
        /// The first record's offset (default 0).
        start: u64,
        /// Where the page size goes, and the size.
        size: Option<(Place, u64)>,
        /// What says whether more follows.
        more: Option<More>,
        /// How far one page is from the next.
        step: OffsetStep,
    },
    /// A token in the answer goes into the next request; absent, null or `""` ends.
    Cursor {
        /// Where the token is.
        next: NextAt,
        /// Where it goes.
        into: Place,
        /// What says whether more follows; where it says no, a token that is given leads nowhere.
        more: Option<More>,
    },
    /// RFC 8288 `Link: <…>; rel="next"`.
    LinkHeader,
    /// The key of the last record goes into the next request; without `more` it ends with an empty page, or a short one after a
    /// full one.
    Keyset {
        /// Where a record has its key: a text or a number.
        key: Path,
        /// Where it goes.
        into: Place,
        /// Where the page size goes, and the size.
        size: Option<(Place, u64)>,
        /// What says whether more follows.
        more: Option<More>,
    },
    /// The answer holds the next page's URL, absolute or relative.
    NextUrl {
        /// Where the URL is.
        next: NextAt,
        /// What says whether more follows; where it says no, a URL that is given leads nowhere.
        more: Option<More>,
    },
}

impl Paging {
    /// What says whether more pages follow.
    pub fn more(&self) -> Option<&More> {
        match self {
            Self::None | Self::LinkHeader => None,
            Self::Page { more, .. }
            | Self::Offset { more, .. }
            | Self::Cursor { more, .. }
            | Self::Keyset { more, .. }
            | Self::NextUrl { more, .. } => more.as_ref(),
        }
    }
}

/// What an answer says of whether more pages follow. Records and pages in all are for pages that are counted only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum More {
    /// True or false.
    Flag(NextAt),
    /// jq condition over the answer.
    Filter(Filter),
    /// How many records there are in all.
    Total(NextAt),
    /// How many pages there are in all.
    Pages(NextAt),
}

impl More {
    /// The one place in the body where it is said.
    pub fn path(&self) -> Option<&Path> {
        let at = match self {
            Self::Flag(at) | Self::Total(at) | Self::Pages(at) => at,
            Self::Filter(_) => return None,
        };
        match at {
            NextAt::Body(path) => Some(path),
            NextAt::Header(_) => None,
        }
    }
}

/// How far the next offset is from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetStep {
    /// By as many records as the page had.
    Records,
    /// By the page's size, whatever the page shows of it.
    Size,
}

/// A listing that ends without a word after so many results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCap {
    /// So many.
    pub results: u64,
    /// How it goes on; `None`: it cannot, and fails there.
    pub split: Option<CapSplit>,
}

/// How a capped listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapSplit {
    /// From the last time of change on, that included, as `since` asks for it.
    Time,
    /// After the last key.
    Key {
        /// Where a record has its key: a text or a number.
        key: Path,
        /// Where it goes.
        into: Place,
    },
}
