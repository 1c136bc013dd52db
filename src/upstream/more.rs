//! Owns: what an answer says of whether more pages follow it.
//!
//! Must not know: how the next page is asked for; what a short page may mean where nothing is said.

use std::ops::Range;

use super::Response;
use super::split::next_text;
use crate::record::Json;
use crate::rules::{More, NextAt};

/// An answer, and how much of its listing was shown with it.
pub struct Told<'a> {
    /// The answer.
    pub response: &'a Response,
    /// What stands in its body where the rules look for that.
    pub at: Option<Range<usize>>,
    /// Records so far.
    pub records: u64,
    /// Pages so far.
    pub pages: u64,
}

impl Told<'_> {
    /// Whether more follows behind so many records. An answer that does not say it is an error: taken for the end, it would make
    /// a listing look complete.
    pub fn follows(&self, more: &More, records: u64) -> Result<bool, String> {
        match more {
            More::Flag(at) => self.flag(at),
            More::Filter(filter) => {
                let json = Json::parse(&self.response.body).map_err(|error| format!("not JSON: {error}"))?;
                filter.test(&json).map_err(|error| format!("`more`: {error}"))
            }
            More::Total(at) => Ok(records < self.number(at, "records", "total")?),
            More::Pages(at) => Ok(self.pages < self.number(at, "pages", "pages")?),
        }
    }

    /// The next place, unless the answer says that there is no more: then it does not matter what stands where the next place would.
    pub fn leads_on(
        &self,
        more: Option<&More>,
        next: Result<Option<String>, String>,
    ) -> Result<Option<String>, String> {
        let Some(more) = more else { return next };
        match (next, self.follows(more, self.records)) {
            (Ok(None), Ok(true)) => Err("the answer says that more follows, and not where".to_owned()),
            (Ok(None), Ok(false) | Err(_)) | (_, Ok(false)) => Ok(None),
            (next, Ok(true)) => next,
            (Ok(Some(_)) | Err(_), Err(what)) => Err(what),
        }
    }

    fn flag(&self, at: &NextAt) -> Result<bool, String> {
        let said = match at {
            NextAt::Body(_) => self.at.clone().and_then(|at| self.response.body.get(at)),
            NextAt::Header(name) => self.response.headers.get(name).map(|value| value.as_bytes().trim_ascii()),
        };
        let is = |word: &str| said.is_some_and(|said| said.eq_ignore_ascii_case(word.as_bytes()));
        if is("true") || is("false") {
            return Ok(is("true"));
        }
        Err(match at {
            NextAt::Body(path) => format!(
                "what stands at {path} is neither true nor false, so that nothing says whether more pages follow; where \
                 that means that none do, write more = \"{path} == true\""
            ),
            NextAt::Header(name) => {
                format!("header {name} is neither true nor false, so that nothing says whether more pages follow")
            }
        })
    }

    fn number(&self, at: &NextAt, what: &str, key: &str) -> Result<u64, String> {
        let (said, place) = match at {
            NextAt::Body(path) => (next_text(&self.response.body, self.at.as_ref()).ok().flatten(), path.to_string()),
            NextAt::Header(name) => {
                let value = self.response.headers.get(name).and_then(|value| value.to_str().ok());
                (value.map(|value| value.trim().to_owned()), format!("header {name}"))
            }
        };
        said.and_then(|said| said.parse().ok()).ok_or_else(|| {
            format!("{place} does not say how many {what} there are in all; leave `{key}` out if it does not always")
        })
    }
}
