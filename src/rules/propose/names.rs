//! Owns: names: of fields, made of paths; and what a member is likely to be by its name alone.
//!
//! Must not know: values.

use std::collections::BTreeSet;

use crate::record::{Path, Step};
use crate::rules::names::{COLUMNS_OF_SQLITE, snake_case};

/// The longest name of a field, in bytes, with room for a number behind it.
const NAME_BYTES_MAX: usize = 56;
/// A longer key is taken for data.
const KEY_BYTES_MAX: usize = 48;
/// A key with more digits is taken for data.
const KEY_DIGITS_MAX: usize = 4;

/// Letters and digits of a name in lower case, so that `updatedAt`, `updated_at` and `Updated-At` are one.
pub fn squeezed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The squeezed name of the last member on a path.
pub fn last(path: &Path) -> String {
    let key = path.steps.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    squeezed(key.unwrap_or_default())
}

/// Members like these hold credentials.
pub fn is_secret(squeezed: &str) -> bool {
    const WORDS: [&str; 9] =
        ["secret", "password", "passwd", "passphrase", "token", "apikey", "accesskey", "privatekey", "credential"];
    // The token of a page is none.
    let paging = ["pagetoken", "nexttoken", "pagingtoken", "continuationtoken", "synctoken"];
    WORDS.iter().any(|word| squeezed.contains(word)) && !paging.iter().any(|word| squeezed.ends_with(word))
        || squeezed == "key"
        || squeezed == "auth"
}

/// Whether what stands there is a credential, by the name of a member on the way.
pub fn holds_secret(path: &Path) -> bool {
    path.steps.iter().any(|step| matches!(step, Step::Key(key) if is_secret(&squeezed(key))))
}

/// Members like these hold e-mail addresses.
pub fn is_email(squeezed: &str) -> bool {
    ["email", "mail", "emailaddress", "primaryemail", "mailaddress"].contains(&squeezed)
}

/// Members like these say when a record changed.
pub fn is_updated(squeezed: &str) -> bool {
    const WORDS: [&str; 22] = [
        "updatedat",
        "updated",
        "modifiedat",
        "modified",
        "lastmodified",
        "lastmodifiedat",
        "lastupdated",
        "lastupdatedat",
        "datemodified",
        "dateupdated",
        "modifiedon",
        "updatedon",
        "updatetime",
        "updatedtime",
        "modifiedtime",
        "modifieddate",
        "lastmodifieddate",
        "updateddate",
        "mtime",
        "lastmodifiedtime",
        "changedat",
        "lasteditedtime",
    ];
    WORDS.contains(&squeezed)
}

/// Members like these say when a record was made, or what the upstream alone sets.
pub fn is_set_there(squeezed: &str) -> bool {
    let starts = squeezed.starts_with("created") || squeezed.starts_with("datecreated");
    starts || ["createtime", "ctime", "href", "self", "selflink", "object"].contains(&squeezed) || is_updated(squeezed)
}

/// Members like these hold instants.
pub fn is_time(squeezed: &str) -> bool {
    let ends = ["at", "on", "time", "date", "timestamp", "ts", "seen", "until", "expires", "created", "updated"];
    ends.iter().any(|end| squeezed.ends_with(end)) || is_updated(squeezed) || is_set_there(squeezed)
}

/// Flags that say in so many words whether more follows.
pub fn is_more(squeezed: &str) -> bool {
    ["hasmore", "hasnext", "hasnextpage", "hasmoreitems", "morerecords", "moreavailable"].contains(&squeezed)
}

/// Flags that say whether this was the last page.
pub fn is_last_page(squeezed: &str) -> bool {
    ["islast", "islastpage", "lastpage", "last"].contains(&squeezed)
}

/// Members like these hold versions.
pub fn is_version(squeezed: &str) -> bool {
    let words = ["etag", "odataetag", "version", "revision", "rev", "lockversion", "rowversion", "resourceversion"];
    words.contains(&squeezed)
}

/// Texts of members like these have no order.
pub fn is_unordered(squeezed: &str) -> bool {
    ["tags", "labels", "groups", "roles", "categories", "keywords", "scopes", "permissions"].contains(&squeezed)
}

/// A key that is rather data than a name: an id, an address, a token.
pub fn is_data(key: &str) -> bool {
    key.is_empty()
        || key.len() > KEY_BYTES_MAX
        || key.bytes().filter(u8::is_ascii_digit).count() > KEY_DIGITS_MAX
        || key.chars().any(|c| c.is_control() || (c.is_ascii_punctuation() && !"_-.$@:".contains(c)))
        || key.contains('@') && !key.starts_with('@') && key.contains('.') && !key.contains("@odata")
}

/// The name of a field for what stands at a path; `taken` learns it.
pub fn field_name(path: &Path, taken: &mut BTreeSet<String>) -> String {
    // Where JSON:API keeps what describes a record.
    let is_wrapper = |step: &Step| matches!(step, Step::Key(key) if key == "attributes");
    let wrapped = path.steps.len() > 1 && path.steps.first().is_some_and(is_wrapper);
    let steps = path.steps.iter().skip(usize::from(wrapped)).map(|step| match step {
        Step::Key(key) => snake_case(key),
        Step::Index(index) => index.to_string(),
    });
    let mut name = steps.filter(|step| !step.is_empty()).collect::<Vec<_>>().join("_");
    if name == "id" {
        "remote_id".clone_into(&mut name);
    }
    let reserved = COLUMNS_OF_SQLITE.contains(&name.as_str());
    let prefixed = name.starts_with("sync_") || !name.starts_with(|c: char| c.is_ascii_lowercase());
    if reserved || prefixed {
        name = format!("f_{name}");
    }
    name.truncate(NAME_BYTES_MAX);
    let name = name.trim_end_matches('_').to_owned();
    let mut free = name.clone();
    let mut number = 1;
    while !taken.insert(free.clone()) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}
