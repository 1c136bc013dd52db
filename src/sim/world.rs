//! Owns: what a seed's upstreams are like, and the sandboxes that behave so.
//!
//! Must not know: what goes wrong in it, who edits.

use crate::sandbox::{
    Batch, Child, Concurrency, CursorEnd, Delete, IdStyle, Idempotency, Normalise, Paging, Put, ResourceConfig,
    Sandbox, SandboxConfig, Since, SinceBy, TimeFormat, UpdatedAt,
};

use super::chance::Chance;
use super::kin::{COMPANY, Kin, PARENT};

/// How writes are kept from overwriting what they were not merged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// `If-Match`.
    Header,
    /// The record is read again just before.
    Reread,
    /// The version in the body; creates and updates go in batches.
    Body,
}

/// How a create whose answer was lost is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creates {
    /// By match key in the listing.
    Listing,
    /// By a lookup of the match key.
    Match,
    /// By the same idempotency key.
    Header,
    /// We choose the id.
    ClientId,
}

/// How deletes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// As archived records in the listing.
    Tombstone,
    /// By absence.
    Absence,
}

/// How a listing is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Not at all.
    One,
    /// By cursor.
    Cursor,
    /// By the URL of the next page.
    NextUrl,
    /// By how many to skip: what is made or deleted meanwhile moves the rest.
    Offset,
}

/// One upstream.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is another way to differ, drawn by itself")]
pub struct Style {
    /// `a`, `b`, `c`.
    pub name: &'static str,
    /// Preconditions.
    pub guarded: Guarded,
    /// A point read exists.
    pub get: bool,
    /// Lost creates.
    pub creates: Creates,
    /// Deletes.
    pub deletes: Deletes,
    /// Paging.
    pub pages: Pages,
    /// Listings can be restricted to what changed.
    pub since: bool,
    /// Updates carry the whole record.
    pub whole: bool,
    /// The upstream trims names.
    pub trims: bool,
    /// Records have a version.
    pub versioned: bool,
    /// Ranks are taken from here and never sent.
    pub pulls_rank: bool,
    /// Records tell when they were made, and ids come to be given to something else.
    pub reuses_ids: bool,
    /// Notes are this upstream's alone.
    pub owns_notes: bool,
}

/// The upstreams of a seed.
pub fn styles(chance: &Chance) -> Vec<Style> {
    let count = 1 + chance.index(3);
    let mut styles: Vec<Style> = ["a", "b", "c"].into_iter().take(count).map(|name| style(name, chance)).collect();
    if let Some(first) = styles.first_mut() {
        first.owns_notes = chance.percent(30);
    }
    styles
}

fn style(name: &'static str, chance: &Chance) -> Style {
    let get = chance.percent(70);
    let guarded = match chance.below(10) {
        0..4 if get => Guarded::Reread,
        4..7 => Guarded::Body,
        _ => Guarded::Header,
    };
    let creates = match chance.below(4) {
        0 => Creates::Match,
        1 if guarded != Guarded::Body => Creates::Header,
        2 if get && guarded != Guarded::Body => Creates::ClientId,
        _ => Creates::Listing,
    };
    let deletes = if chance.percent(50) { Deletes::Tombstone } else { Deletes::Absence };
    let pages = match chance.below(4) {
        0 => Pages::One,
        1 => Pages::Cursor,
        2 => Pages::NextUrl,
        _ => Pages::Offset,
    };
    Style {
        name,
        guarded,
        get,
        creates,
        deletes,
        pages,
        since: deletes == Deletes::Tombstone && chance.percent(50),
        whole: get && guarded != Guarded::Body && chance.percent(25),
        trims: chance.percent(40),
        versioned: guarded != Guarded::Reread || chance.percent(60),
        pulls_rank: chance.percent(15),
        reuses_ids: deletes == Deletes::Absence && chance.percent(30),
        owns_notes: false,
    }
}

/// The path of the resource that all worlds have.
pub const PEOPLE: &str = "/people";
/// That of the other one, which some have.
pub const COMPANIES: &str = "/companies";

/// What a person has beside its key, and its company.
pub const FIELDS: [&str; 7] = ["name", "phone", "rank", "street", "city", "tags", "note"];
/// What a company has beside its key, and its parent.
pub const COMPANY_FIELDS: [&str; 2] = ["name", "phone"];

/// What a record has beside its key.
pub fn fields(path: &str, has_companies: bool) -> Vec<&'static str> {
    match (path, has_companies) {
        (COMPANIES, _) => [COMPANY_FIELDS.as_slice(), &[PARENT]].concat(),
        (_, true) => [FIELDS.as_slice(), &[COMPANY]].concat(),
        (_, false) => FIELDS.to_vec(),
    }
}

/// The resource that this is a listing of.
pub fn listed(path: &str) -> Option<&'static str> {
    [PEOPLE, COMPANIES].into_iter().find(|resource| *resource == path)
}

/// A sandbox of this style.
pub fn sandbox(style: &Style, kin: Option<&Kin>) -> Sandbox {
    let mut resources = vec![resource(style, PEOPLE)];
    if let Some(kin) = kin {
        let mut companies = resource(style, COMPANIES);
        if kin.refuses {
            companies.children = vec![Child { resource: PEOPLE.into(), field: COMPANY.into() }];
        }
        resources.push(companies);
    }
    Sandbox::new(SandboxConfig { base_url: Some(base_url(style.name)), account: None, ..SandboxConfig::of(resources) })
}

impl Style {
    /// Its batches are jobs.
    pub fn works_in_background(&self) -> bool {
        self.guarded == Guarded::Body && self.creates == Creates::Match
    }

    /// Some write of ours there goes through although somebody was faster.
    pub fn may_be_overtaken(&self) -> bool {
        match self.guarded {
            Guarded::Header => false,
            Guarded::Reread | Guarded::Body => true,
        }
    }
}

fn resource(style: &Style, path: &str) -> ResourceConfig {
    let mut made = ResourceConfig::at(path);
    made.id = match style.creates {
        Creates::ClientId => IdStyle::Client,
        Creates::Listing | Creates::Match | Creates::Header => IdStyle::Server { prefix: style.name.to_owned() },
    };
    made.concurrency = match style.guarded {
        Guarded::Header => Concurrency::default(),
        Guarded::Body => Concurrency { body: true, ..Concurrency::ignored() },
        Guarded::Reread if style.creates == Creates::ClientId => Concurrency::default(),
        Guarded::Reread => Concurrency::ignored(),
    };
    made.idempotency = (style.creates == Creates::Header).then(Idempotency::default);
    made.batch = (style.guarded == Guarded::Body).then(Batch::default);
    if let Some(batch) = made.batch.as_mut().filter(|_| style.works_in_background()) {
        // At once, after some questions, and long after anybody waits for it.
        batch.background = [1, 20, 150].map(std::time::Duration::from_secs).into();
    }
    made.updated_at = Some(UpdatedAt { path: "updated".into(), format: TimeFormat::Rfc3339Ms });
    made.put = if style.creates == Creates::ClientId { Put::ReplaceOrCreate } else { Put::Replace };
    if style.deletes == Deletes::Tombstone {
        made.delete = Delete::Archive { listed: true };
        made.removed_at = Some("gone".into());
    }
    made.since = style.since.then(|| Since { param: "since".into(), by: SinceBy::UpdatedAt, tombstones: false });
    made.paging = match style.pages {
        Pages::One => Paging::None,
        Pages::Cursor => Paging::Cursor {
            param: "after".into(),
            limit: "limit".into(),
            next_at: "next".into(),
            end: CursorEnd::Null,
        },
        Pages::Offset => Paging::Offset { offset: "offset".into(), limit: "limit".into() },
        Pages::NextUrl => Paging::NextUrl { next_at: "next".into(), limit: "limit".into() },
    };
    made.page_size = 3;
    if style.trims {
        made.normalise = vec![("name".into(), Normalise::Trim)];
    }
    made
}

/// Where an upstream is said to be. Nothing is ever looked up there.
pub fn base_url(name: &str) -> String {
    format!("https://{name}.example.com")
}
