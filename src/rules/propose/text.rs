//! Owns: the text of a proposal: tables in the order in which they are read, guesses as comments behind what they are about,
//! suggestions as lines that count when their `#` is taken away.
//!
//! Must not know: what was looked at.

use std::fmt::Write as _;

use super::draft::{Draft, FieldDraft, Said, Setting, System};
use crate::record::{Step, TimeFormat};

/// The text of a proposal.
pub fn write(draft: &Draft) -> String {
    let mut text = format!(
        "# Proposed by `reconciled init` from {}. It only reads.\n# Look at each line that says `guess`, and try it: \
         `reconciled check`, then `reconciled fetch {}.{}`.\n",
        comment(&draft.made_of),
        comment(&draft.collection),
        comment(&draft.upstream)
    );
    for note in &draft.notes {
        line(&mut text, &format!("# {}", comment(note)));
    }
    match &draft.system {
        Some(system) => system_text(&mut text, &draft.upstream, system),
        None => line(&mut text, &format!("# The upstream `{}` is in the rules already.", comment(&draft.upstream))),
    }
    collection_text(&mut text, draft);
    binding_text(&mut text, draft);
    read_text(&mut text, draft);
    map_text(&mut text, draft);
    writes_text(&mut text, draft);
    text
}

fn system_text(text: &mut String, name: &str, system: &System) {
    let name = key(name);
    line(text, &format!("\n[upstream.{name}]"));
    said(
        text,
        "",
        &Said { it: format!("base_url = {}", quoted(&system.base_url.it)), guess: system.base_url.guess.clone() },
    );
    for note in &system.notes {
        line(text, &format!("# {}", comment(note)));
    }
    let Some(auth) = &system.auth else { return };
    line(text, "");
    let off = if auth.guess.is_some() { "#" } else { "" };
    said(text, off, &Said { it: format!("[upstream.{name}.auth]"), guess: auth.guess.clone() });
    for (setting, value) in &auth.it {
        let value = match value {
            Setting::Text(value) => quoted(value),
            Setting::List(items) => list(items),
        };
        line(text, &format!("{off}{setting} = {value}"));
    }
}

fn collection_text(text: &mut String, draft: &Draft) {
    let name = key(&draft.collection);
    line(text, &format!("\n[collection.{name}]"));
    line(text, "#every = \"15m\"  # without it there are passes on demand only");
    if let Some(key) = &draft.match_key {
        let it = format!("match = {{ keys = [{}] }}", list(&key.it));
        said(text, "", &Said { it, guess: key.guess.clone() });
    }
    line(text, &format!("\n[collection.{name}.fields]"));
    for field in &draft.fields {
        field_text(text, field);
    }
}

fn field_text(text: &mut String, field: &FieldDraft) {
    let mut settings = vec![format!("type = \"{}\"", field.kind.word)];
    settings.extend(field.kind.scale.map(|scale| format!("scale = {scale}")));
    settings.extend(field.required.as_ref().map(|_| "required = true".to_owned()));
    if field.normalize {
        settings.push("normalize = [\"trim\", \"lowercase\"]".to_owned());
    }
    let value = match settings.as_slice() {
        [_] => format!("\"{}\"", field.kind.word),
        several => format!("{{ {} }}", several.join(", ")),
    };
    let required = field.required.as_ref().and_then(|said| said.guess.as_ref()).map(|why| format!("required: {why}"));
    let normalize = field.normalize.then(|| "an e-mail address by its name".to_owned());
    let guesses: Vec<String> = [field.kind.guess.clone(), normalize, required].into_iter().flatten().collect();
    let guess = (!guesses.is_empty()).then(|| guesses.join("; "));
    let mut notes: Vec<String> = field.note.iter().cloned().collect();
    if field.is_secret {
        notes.push(
            "by its name it holds a credential: to have it in the database, take the `#` away here and in the map"
                .to_owned(),
        );
    }
    if !field.one_of.is_empty() {
        notes.push(format!("one_of = {}", list(&field.one_of)));
    }
    if !notes.is_empty() {
        line(text, &format!("# {}: {}", key(&field.name), comment(&notes.join("; "))));
    }
    said(text, off(field), &Said { it: format!("{} = {value}", key(&field.name)), guess });
}

/// What takes the lines of a field out: a credential gets into a database only where somebody wants it there.
fn off(field: &FieldDraft) -> &'static str {
    if field.is_secret { "#" } else { "" }
}

fn binding_text(text: &mut String, draft: &Draft) {
    line(text, &format!("\n[binding.{}.{}]", key(&draft.collection), key(&draft.upstream)));
    line(text, "direction = \"pull\"  # nothing is written there; see the end");
    path(text, "id", &draft.id);
    if let Some(version) = &draft.version {
        path(text, "version", version);
    }
    if let Some((place, format)) = &draft.updated_at {
        let place_text = quoted(&place.it.to_string());
        let format = match format {
            TimeFormat::Rfc3339 => None,
            TimeFormat::UnixS => Some("unix_s"),
            TimeFormat::UnixMs => Some("unix_ms"),
            TimeFormat::HttpDate => Some("http_date"),
        };
        let value = format.map_or(place_text.clone(), |word| format!("{{ path = {place_text}, format = \"{word}\" }}"));
        said(text, "", &Said { it: format!("updated_at = {value}"), guess: place.guess.clone() });
    }
    if let Some(archived) = &draft.archived {
        said(text, "", &Said { it: format!("archived = {}", quoted(&archived.it)), guess: archived.guess.clone() });
    }
}

fn read_text(text: &mut String, draft: &Draft) {
    let listing = &draft.listing;
    line(text, &format!("\n[binding.{}.{}.read]", key(&draft.collection), key(&draft.upstream)));
    let pairs: Vec<String> =
        listing.query.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
    let request = if pairs.is_empty() {
        quoted(&format!("GET {}", listing.path.it))
    } else {
        format!("{{ path = {}, query = {{ {} }} }}", quoted(&listing.path.it), pairs.join(", "))
    };
    said(text, "", &Said { it: format!("request = {request}"), guess: listing.path.guess.clone() });
    said(
        text,
        "",
        &Said { it: format!("records = {}", quoted(&listing.records.it)), guess: listing.records.guess.clone() },
    );
    said(text, "", &Said { it: format!("page = {}", listing.page.it), guess: listing.page.guess.clone() });
    match &draft.deleted {
        Some(deleted) => {
            let it = format!("deletes = {{ kind = \"tombstone\", when = {} }}", quoted(&deleted.it));
            said(text, "", &Said { it, guess: deleted.guess.clone() });
        }
        None => said(
            text,
            "#",
            &Said::guess(
                "deletes = { kind = \"absence\" }".to_owned(),
                "nothing marks deleted records; what a whole listing lacks is gone, if `page` is right",
            ),
        ),
    }
    let off = if draft.get.guess.is_some() { "#" } else { "" };
    said(text, off, &Said { it: format!("get = {}", single(draft, &draft.get.it)), guess: draft.get.guess.clone() });
    let since = listing.since.clone().unwrap_or_else(|| {
        Said::guess(
            "query.updated_since".to_owned(),
            "if the listing can be asked for what changed since; name its parameter",
        )
    });
    if draft.updated_at.is_some() {
        let it = format!("incremental = {{ kind = \"since\", into = {} }}", quoted(&since.it));
        said(text, "#", &Said { it, guess: since.guess });
    }
}

fn map_text(text: &mut String, draft: &Draft) {
    line(text, &format!("\n[binding.{}.{}.map]", key(&draft.collection), key(&draft.upstream)));
    for field in &draft.fields {
        let place = quoted(&field.path.to_string());
        let codec = field.kind.codec.map(|codec| format!("codec = \"{codec}\""));
        let direction = field.pull.as_ref().map(|_| "direction = \"pull\"".to_owned());
        let settings: Vec<String> = codec.into_iter().chain(direction).collect();
        let value = if settings.is_empty() { place } else { format!("{{ path = {place}, {} }}", settings.join(", ")) };
        let guess = field.pull.as_ref().and_then(|said| said.guess.clone());
        said(text, off(field), &Said { it: format!("{} = {value}", key(&field.name)), guess });
    }
}

fn writes_text(text: &mut String, draft: &Draft) {
    let writes = &draft.writes;
    let kinds = [("create", &writes.create), ("update", &writes.update), ("delete", &writes.delete)];
    if kinds.iter().all(|(_, said)| said.is_none()) {
        return;
    }
    line(text, "\n# To write there as well: take `direction` above out, and the `#` away before what it shall do.");
    let whole = format!("binding.{}.{}.write", key(&draft.collection), key(&draft.upstream));
    if writes.delete.is_none() {
        line(text, &format!("#[{whole}]"));
        line(text, "#delete = \"none\"  # nothing shows how a record is deleted there");
    }
    for (kind, request) in kinds {
        let Some(request) = request else { continue };
        line(text, &format!("#[{whole}.{kind}]"));
        let it = if kind == "delete" { quoted(&request.it) } else { single(draft, &request.it) };
        said(text, "#", &Said { it: format!("request = {it}"), guess: request.guess.clone() });
        match kind {
            "create" | "update" if is_json_api(draft) => json_api_body(text, kind, &draft.collection),
            // What a PUT lacks is taken away there.
            "update" if request.it.starts_with("PUT ") => {
                line(text, "#body = \"full\"  # a PUT replaces the whole record");
            }
            _ => {}
        }
        let if_match = writes.if_match.as_ref().filter(|_| draft.version.is_some());
        match (kind, &draft.match_key, if_match) {
            ("create", _, _) if writes.idempotency_header.is_some() => {
                let header = writes.idempotency_header.as_deref().unwrap_or_default();
                line(text, &format!("#idempotency = {{ header = {} }}", quoted(header)));
            }
            ("create", Some(Said { it, .. }), _) if it.len() == 1 => {
                let why = "after a lost answer it is looked up, not repeated";
                line(text, &format!("#idempotency = {{ match = {} }}  # {why}", quoted(&it[0])));
            }
            ("update" | "delete", _, Some(if_match)) => {
                let it = "precondition = { header = \"If-Match\", value = '\"{version}\"' }".to_owned();
                said(text, "#", &Said { it, guess: if_match.guess.clone() });
            }
            _ => {}
        }
    }
}

/// Resources by <https://jsonapi.org/format/>: what describes one is in `attributes`, and documents have it as `data`.
fn is_json_api(draft: &Draft) -> bool {
    let is_attribute =
        |field: &FieldDraft| matches!(field.path.steps.as_slice(), [Step::Key(key), _, ..] if key == "attributes");
    draft.listing.records.it == ".data[]" && draft.fields.iter().any(is_attribute)
}

fn json_api_body(text: &mut String, kind: &str, resources: &str) {
    let (known, values) = if kind == "create" { ("", ".record") } else { (", id: .id", ".changed") };
    let filter = format!("{{ data: ({values} + {{ type: {}{known} }}) }}", quoted(resources));
    line(text, &format!("#body = {}  # guess: the type, as JSON:API wants it", quoted(&filter)));
}

/// A request whose answer is one record.
fn single(draft: &Draft, request: &str) -> String {
    match request.split_once(' ').filter(|_| is_json_api(draft)) {
        Some((method, path)) => {
            format!("{{ method = {}, path = {}, record = \".data\" }}", quoted(method), quoted(path))
        }
        None => quoted(request),
    }
}

fn path(text: &mut String, name: &str, place: &Said<crate::record::Path>) {
    let it = format!("{name} = {}", quoted(&place.it.to_string()));
    said(text, "", &Said { it, guess: place.guess.clone() });
}

fn said(text: &mut String, off: &str, said: &Said<String>) {
    match &said.guess {
        Some(why) => line(text, &format!("{off}{}  # guess: {}", said.it, comment(why))),
        None => line(text, &format!("{off}{}", said.it)),
    }
}

fn line(text: &mut String, line: &str) {
    // Writing into a text does not fail.
    writeln!(text, "{line}").ok();
}

/// A comment ends with its line, and holds no control characters.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1 record`, `2 records`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// A key of TOML.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { basic(name) }
}

/// A text of TOML, in the form that is best to read.
pub fn quoted(text: &str) -> String {
    let literal = text.contains(['"', '\\']) && !text.contains('\'') && !text.chars().any(char::is_control);
    if literal { format!("'{text}'") } else { basic(text) }
}

fn basic(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
