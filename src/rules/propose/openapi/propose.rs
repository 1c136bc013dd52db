//! Owns: the order in which a description is looked at: the listing, what belongs to it, the record, who may ask.
//!
//! Must not know: how any one part is read.

use std::collections::BTreeSet;

use super::document::Document;
use super::operations::{Chosen, choose, demanded, is_links, listings, parameters, point};
use super::paging::{paging, since};
use super::schema::{Leaf, kind_of, lay_flat};
use super::security::system;
use crate::record::{Json, Path, Step, TimeFormat};
use crate::rules::propose::draft::{Draft, FieldDraft, Listing, Said, Writes};
use crate::rules::propose::names::{
    field_name, holds_secret, is_email, is_secret, is_updated, is_version, last, squeezed,
};
use crate::rules::propose::text::{quoted, write};
use crate::rules::propose::wanted::Asked;
use crate::rules::propose::{ProposeError, Sample, Wanted};

/// Fields that are proposed at most.
const FIELDS_MAX: usize = 200;

/// Proposes rules by an OpenAPI description.
pub fn from_openapi(wanted: &Wanted<'_>, sample: &Sample<'_>) -> Result<String, ProposeError> {
    let document = Document::parse(sample)?;
    let asked = wanted.asked()?;
    let chosen = choose(listings(&document), wanted, asked.as_ref())?;
    let found = &chosen.found;
    let leaves = lay_flat(&document, found.record);
    let point = point(&document, &chosen);
    let id = id(&leaves, wanted, point.as_ref().map(|(_, _, name)| *name))?;
    let is_link = |leaf: &Leaf<'_>| matches!(leaf.path.steps.first(), Some(Step::Key(name)) if is_links(name) && leaf.path.steps.len() > 1);
    let others: Vec<&Leaf<'_>> =
        leaves.iter().filter(|leaf| leaf.path != id.it && !leaf.path.steps.is_empty() && !is_link(leaf)).collect();
    let version = by_name(&others, &document, is_version, &["text", "integer"]).map(|(said, _)| said);
    let updated_at = by_name(&others, &document, is_updated, &["datetime"]);
    let deleted = flag(&others, &document, &["deleted", "isdeleted", "removed"], &["deletedat", "removedat"]);
    let archived = flag(&others, &document, &["archived", "isarchived"], &["archivedat"]);
    let own: Vec<&Path> = [version.as_ref().map(|said| &said.it), updated_at.as_ref().map(|(said, _)| &said.it)]
        .into_iter()
        .chain([&deleted, &archived].map(|mark| mark.as_ref().map(|(path, _)| path)))
        .flatten()
        .collect();
    let fields = fields(&document, others.iter().filter(|leaf| !own.contains(&&leaf.path)));
    if fields.iter().all(|field| field.is_secret) {
        return Err(ProposeError::NoFields);
    }
    let query = parameters(&document, found.item, found.get, "query");
    let (page, since) = (paging(&document, found, &query, &id.it), since(&query));
    let (path, query, notes) =
        asked_for(&document, (&chosen, asked.as_ref()), (&page, since.as_ref()), wanted.upstream);
    let text = found.records.to_string();
    let records = if text == "." { ".[]".to_owned() } else { format!("{text}[]") };
    let draft = Draft {
        made_of: "an OpenAPI description".to_owned(),
        collection: wanted.collection.to_owned(),
        upstream: wanted.upstream.to_owned(),
        system: (!wanted.upstream_known).then(|| system(&document, found.item, found.get, wanted)),
        match_key: None,
        listing: Listing { path, query, records: Said::known(records), page, since },
        get: get(&chosen, point.as_ref().map(|(path, item, _)| (path.as_str(), *item))),
        writes: writes(&document, &chosen, point.as_ref().map(|(path, item, _)| (path.as_str(), *item))),
        id,
        version,
        updated_at,
        deleted: deleted.map(|(_, said)| said),
        archived: archived.map(|(_, said)| said),
        fields,
        notes,
    };
    Ok(write(&draft))
}

/// What the listing is asked, with what is worth knowing of it: as was said, and what the description demands besides.
fn asked_for(
    document: &Document,
    (chosen, asked): (&Chosen<'_>, Option<&Asked>),
    (page, since): (&Said<String>, Option<&Said<String>>),
    upstream: &str,
) -> (Said<String>, Vec<(String, String)>, Vec<String>) {
    let mut query = asked.map(|(_, query)| query.clone()).unwrap_or_default();
    let pages = |name: &str| page.it.contains(&quoted(&format!("query.{name}")));
    let asks_since = |name: &str| since.is_some_and(|since| since.it == format!("query.{name}"));
    let said: Vec<String> = query.iter().map(|(name, _)| name.clone()).collect();
    let known = |name: &str| pages(name) || asks_since(name) || said.iter().any(|other| other == name);
    let (secret, demanded): (Vec<_>, Vec<_>) =
        demanded(document, &chosen.found, known).into_iter().partition(|(name, _)| is_secret(&squeezed(name)));
    let note = |(name, _): &(String, String)| {
        format!("the listing wants `{name}`, which looks like a credential: see [upstream.{upstream}.auth]")
    };
    let notes = secret.iter().map(note).collect();
    let names: Vec<String> = demanded.iter().map(|(name, _)| format!("`{name}`")).collect();
    query.extend(demanded);
    let wants =
        (!names.is_empty()).then(|| format!("the description demands {}: say which values", names.join(" and ")));
    let why: Vec<String> = chosen.guess.clone().into_iter().chain(wants).collect();
    let guess = (!why.is_empty()).then(|| why.join("; "));
    (Said { it: chosen.path.clone(), guess }, query, notes)
}

fn id(leaves: &[Leaf<'_>], wanted: &Wanted<'_>, parameter: Option<&str>) -> Result<Said<Path>, ProposeError> {
    let scalar = |leaf: &&Leaf<'_>| matches!(leaf.shape.types.as_slice(), ["string" | "integer"]) && !leaf.shape.mixed;
    let no_id = |why: &str| ProposeError::NoId { why: why.to_owned() };
    if let Some(path) = wanted.id_path()? {
        let there = leaves.iter().any(|leaf| leaf.path == path);
        return if there { Ok(Said::known(path)) } else { Err(no_id("the schema has no such place")) };
    }
    let top = || leaves.iter().filter(scalar).filter(|leaf| leaf.path.steps.len() == 1);
    let named = parameter.map(squeezed);
    if let Some(leaf) = named.as_ref().and_then(|name| top().find(|leaf| last(&leaf.path) == *name)) {
        return Ok(Said::guess(leaf.path.clone(), "called like the parameter of the point read"));
    }
    let usual = ["id", "uuid", "guid", "uid", "key", "number", "code", "slug"];
    let leaf = usual.iter().find_map(|name| top().find(|leaf| last(&leaf.path) == *name));
    let leaf = leaf.or_else(|| top().find(|leaf| last(&leaf.path).ends_with("id")));
    leaf.map(|leaf| Said::guess(leaf.path.clone(), "by its name")).ok_or_else(|| no_id("none is called like an id"))
}

/// A place with such a name and type.
fn by_name(
    leaves: &[&Leaf<'_>],
    document: &Document,
    is_named: fn(&str) -> bool,
    words: &[&str],
) -> Option<(Said<Path>, TimeFormat)> {
    let fits = |leaf: &&&Leaf<'_>| {
        let name = last(&leaf.path);
        leaf.path.steps.len() <= 2 && is_named(&name) && words.contains(&kind_of(document, &name, &leaf.shape).word)
    };
    let leaf = leaves.iter().filter(fits).min_by_key(|leaf| leaf.path.steps.len())?;
    let codec = kind_of(document, &last(&leaf.path), &leaf.shape).codec;
    let format = if codec == Some("unix_s") { TimeFormat::UnixS } else { TimeFormat::Rfc3339 };
    Some((Said::guess(leaf.path.clone(), "by its name"), format))
}

fn flag(leaves: &[&Leaf<'_>], document: &Document, flags: &[&str], instants: &[&str]) -> Option<(Path, Said<String>)> {
    let find = |names: &[&str], word: &str| {
        leaves.iter().find(|leaf| {
            let name = last(&leaf.path);
            let named = leaf.path.steps.len() <= 2 && names.contains(&name.as_str());
            named && kind_of(document, &name, &leaf.shape).word == word
        })
    };
    let said = |path: &Path, condition: &str| (path.clone(), Said::guess(format!("{path} {condition}"), "by its name"));
    find(flags, "boolean")
        .map(|leaf| said(&leaf.path, "== true"))
        .or_else(|| find(instants, "datetime").map(|leaf| said(&leaf.path, "!= null")))
}

fn fields<'l, 'a: 'l>(document: &Document, leaves: impl Iterator<Item = &'l &'l Leaf<'a>>) -> Vec<FieldDraft> {
    let mut taken = BTreeSet::new();
    let field = |leaf: &&Leaf<'_>| {
        let word = last(&leaf.path);
        let kind = kind_of(document, &word, &leaf.shape);
        FieldDraft {
            name: field_name(&leaf.path, &mut taken),
            path: leaf.path.clone(),
            normalize: kind.word == "text" && (is_email(&word) || leaf.shape.format == Some("email")),
            required: leaf.required.then(|| Said::known(())),
            pull: leaf.shape.read_only.then(|| Said::known(())),
            one_of: if kind.word == "text" {
                leaf.shape.one_of.iter().map(|&text| text.to_owned()).collect()
            } else {
                Vec::new()
            },
            kind,
            is_secret: holds_secret(&leaf.path),
            note: None,
        }
    };
    leaves.take(FIELDS_MAX).map(field).collect()
}

fn get(chosen: &Chosen<'_>, point: Option<(&str, &Json)>) -> Said<String> {
    match point {
        Some((path, item)) if item.get("get").is_some() => Said::known(format!("GET {path}")),
        _ => Said::guess(
            format!("GET {}/{{id}}", chosen.path.trim_end_matches('/')),
            "the description has no point read below the listing",
        ),
    }
}

fn writes(document: &Document, chosen: &Chosen<'_>, point: Option<(&str, &Json)>) -> Writes {
    let item = chosen.found.item;
    let create = ["post", "put"].iter().find(|method| item.get(method).is_some());
    let mut writes = Writes {
        create: create.map(|method| Said::known(format!("{} {}", method.to_uppercase(), chosen.path))),
        ..Writes::default()
    };
    writes.idempotency_header = create.and_then(|method| {
        let headers = parameters(document, item, item.get(method)?, "header");
        let is_key = |name: &&str| {
            squeezed(name).contains("idempotency") && http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        };
        headers.into_iter().map(|(name, _)| name).find(is_key).map(str::to_owned)
    });
    let Some((path, item)) = point else { return writes };
    let update = ["patch", "put", "post"].into_iter().find(|method| item.get(method).is_some());
    let request = |method: &str| Said::known(format!("{} {path}", method.to_uppercase()));
    writes.update = update.map(request);
    writes.delete = item.get("delete").is_some().then(|| request("delete"));
    let conditional = update.and_then(|method| item.get(method)).is_some_and(|operation| {
        let headers = parameters(document, item, operation, "header");
        headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("if-match"))
    });
    writes.if_match = conditional.then(|| Said::known(()));
    writes
}
