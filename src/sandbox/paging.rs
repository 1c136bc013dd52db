//! Owns: which records of a listing a page has, and what the next page is called.
//!
//! Must not know: how records look; what a listing is restricted to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::call::Call;
use super::config::{Paging, ResourceConfig};
use super::reply::Refusal;
use super::shelf::Stored;

/// The parameter of the opaque token inside absolute URLs.
pub const TOKEN_PARAM: &str = "cursor";

/// What a fault does to a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    None,
    /// It is empty.
    Empty,
    /// The next page of a page is itself.
    Repeat,
    /// The next page of the second is the one before.
    Cycle {
        /// Where the last request stood.
        previous: Option<String>,
    },
}

/// One page.
#[derive(Debug)]
pub struct Window<'a> {
    /// Its records.
    pub records: Vec<&'a Stored>,
    /// What the request called it: a page number, offset, token or id; nothing for the first.
    pub position: Option<String>,
    /// What the next page is called; nothing after the last.
    pub next: Option<String>,
}

/// Cuts a page out of a listing in order; each record comes with the number it is ordered by.
pub fn cut<'a>(
    config: &ResourceConfig,
    call: &Call,
    listing: &[(u64, &'a Stored)],
    twist: &Twist,
) -> Result<Window<'a>, Refusal> {
    if *twist == Twist::Empty {
        return Ok(Window { records: Vec::new(), position: None, next: None });
    }
    let (param, length_param) = match &config.paging {
        Paging::None => {
            let records = listing.iter().map(|(_, stored)| *stored).collect();
            return Ok(Window { records, position: None, next: None });
        }
        Paging::Page { page, per_page } | Paging::LinkHeader { page, per_page } => (page.as_str(), per_page),
        Paging::Offset { offset, limit } => (offset.as_str(), limit),
        Paging::Cursor { param, limit, .. } | Paging::Keyset { param, limit, .. } => (param.as_str(), limit),
        Paging::NextUrl { limit, .. } | Paging::Header { limit, .. } => (TOKEN_PARAM, limit),
    };
    let length = length(config, call, length_param)?;
    let position = call.param(param).filter(|value| !value.is_empty()).map(str::to_owned);
    let start = start(config, listing, position.as_deref(), length, twist)?;
    let end = listing.len().min(start.saturating_add(length));
    let page = listing.get(start..end).unwrap_or_default();
    let last = page.last().filter(|_| end < listing.len());
    let next = last.map(|(order, stored)| match &config.paging {
        Paging::Cursor { .. } | Paging::NextUrl { .. } | Paging::Header { .. } => token(*order),
        Paging::Keyset { .. } => stored.id.clone(),
        Paging::None | Paging::Page { .. } | Paging::Offset { .. } | Paging::LinkHeader { .. } => {
            (start / length + 2).to_string()
        }
    });
    let next = twisted(twist, position.as_deref(), next);
    Ok(Window { records: page.iter().map(|(_, stored)| *stored).collect(), position, next })
}

/// The index of a page's first record.
fn start(
    config: &ResourceConfig,
    listing: &[(u64, &Stored)],
    position: Option<&str>,
    length: usize,
    twist: &Twist,
) -> Result<usize, Refusal> {
    // Where the client counts pages itself, an endless listing is one that always has the same pages.
    let endless = |page: usize| match twist {
        Twist::None | Twist::Empty => page,
        Twist::Repeat => 0,
        Twist::Cycle { .. } => page % 2,
    };
    let Some(position) = position else { return Ok(0) };
    let number = |least: usize| {
        let number = position.parse::<usize>().ok().filter(|number| *number >= least);
        number.ok_or_else(|| Refusal::new(400, "bad_page", format!("{position:?} is no page of this listing")))
    };
    match &config.paging {
        Paging::None => Ok(0),
        Paging::Page { .. } => Ok(endless(number(1)? - 1).saturating_mul(length)),
        Paging::LinkHeader { .. } => Ok((number(1)? - 1).saturating_mul(length)),
        Paging::Offset { .. } => {
            let skipped = number(0)?;
            Ok(if *twist == Twist::None { skipped } else { endless(skipped / length) * length })
        }
        Paging::Cursor { .. } | Paging::NextUrl { .. } | Paging::Header { .. } => {
            let after = untoken(position)
                .ok_or_else(|| Refusal::new(400, "bad_cursor", format!("{position:?} is no cursor of ours")))?;
            Ok(listing.partition_point(|(order, _)| *order <= after))
        }
        Paging::Keyset { .. } => {
            let at = listing.iter().position(|(_, stored)| stored.id == position);
            let at = at.ok_or_else(|| Refusal::new(400, "bad_cursor", format!("there is no record {position:?}")))?;
            Ok(if *twist == Twist::None { at + 1 } else { endless((at + 1) / length) * length })
        }
    }
}

fn twisted(twist: &Twist, position: Option<&str>, next: Option<String>) -> Option<String> {
    match (twist, position) {
        (Twist::None | Twist::Empty, _) | (_, None) => next,
        (Twist::Repeat, Some(here)) => Some(here.to_owned()),
        (Twist::Cycle { previous }, Some(here)) => match previous {
            Some(previous) if previous != here => Some(previous.clone()),
            _ => next,
        },
    }
}

fn length(config: &ResourceConfig, call: &Call, param: &str) -> Result<usize, Refusal> {
    let Some(asked) = call.param(param) else { return Ok(config.page_size.max(1)) };
    match asked.parse::<usize>() {
        Ok(length) if length > 0 => Ok(length.min(config.page_size_max.max(1))),
        _ => Err(Refusal::new(400, "bad_page_length", format!("{asked:?} is no length of a page"))),
    }
}

fn token(order: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{order}"))
}

fn untoken(token: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("after:")?.parse().ok()
}
