//! Owns: many writes in one request: chunks, the shape of items, halving what is refused as a whole.
//!
//! Must not know: what an item's result means (that is `results`).

use super::job::{announced, has_ended};
use super::prepare::{Prepared, own_id, prepare};
use super::results::{Placed, read_results};
use super::write::settle_failure;
use super::{Built, Client, Failure, FailureKind, Holes, JobMark, Safety, SendOp, WriteRequest, Written, write_one};
use crate::record::{Filter, Json, Lens, Path};
use crate::rules::{Batch, Binding, Place, Precondition};

/// A write on its way in a batch.
pub struct Item {
    /// Where its outcome belongs.
    pub position: usize,
    /// The write.
    pub write: WriteRequest,
    /// Its single request, of which the item is made.
    pub prepared: Prepared,
    /// The item's JSON.
    pub json: Json,
    /// Its name, where the items are members of an object.
    name: Option<String>,
    bytes: u64,
}

/// Sends writes in batches; outcomes stand in the order of the writes. What cannot go in a batch goes alone.
pub async fn write_batch(client: &Client, binding: &Binding, writes: Vec<WriteRequest>) -> Vec<Written> {
    let mut outcomes: Vec<(usize, Written)> = Vec::with_capacity(writes.len());
    let mut batched: Vec<Vec<(usize, WriteRequest)>> = binding.batches.iter().map(|_| Vec::new()).collect();
    for (position, write) in writes.into_iter().enumerate() {
        match which_batch(binding, &write).and_then(|at| batched.get_mut(at)) {
            Some(writes) => writes.push((position, write)),
            None => outcomes.push((position, write_one(client, binding, &write).await)),
        }
    }
    for (batch, writes) in binding.batches.iter().zip(batched) {
        send_all(client, binding, batch, writes, &mut outcomes).await;
    }
    outcomes.sort_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, written)| written).collect()
}

async fn send_all(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    writes: Vec<(usize, WriteRequest)>,
    outcomes: &mut Vec<(usize, Written)>,
) {
    // What cannot be measured cannot be sent either, and says so then.
    let room = room(client, batch).unwrap_or(batch.bytes_max);
    let mut items = Vec::with_capacity(writes.len());
    for (position, write) in writes {
        match prepare_item(client, binding, batch, position, write).await {
            Ok(item) if item.bytes > room => {
                let words = format!("{} bytes are more than the {room} that a batch has room for", item.bytes);
                outcomes.push((position, Written::Refused(words)));
            }
            Ok(item) => items.push(item),
            Err(written) => outcomes.push((position, written)),
        }
    }
    // What is left to send, the next chunk on top; halves of a refused chunk come back here.
    let mut left = chunk(batch, room, items);
    left.reverse();
    while let Some(items) = left.pop() {
        send_chunk(client, binding, batch, items, &mut left, outcomes).await;
    }
}

async fn send_chunk(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    mut items: Vec<Item>,
    left: &mut Vec<Vec<Item>>,
    outcomes: &mut Vec<(usize, Written)>,
) {
    let failure = match send_items(client, batch, &items).await {
        Ok((built, response)) => {
            let written = read_answer(client, binding, batch, &items, (&built, &response));
            outcomes.extend(items.iter().map(|item| item.position).zip(written));
            return;
        }
        Err(failure) => failure,
    };
    // That there is no such address, or not for this method, is not said of any item: halving would ask ever again.
    let wrong_address = failure.status == Some(405);
    let for_what_it_says =
        !wrong_address && matches!(failure.kind, FailureKind::Invalid | FailureKind::Forbidden | FailureKind::Conflict);
    if for_what_it_says && batch.bisect && items.len() > 1 {
        let second = items.split_off(items.len() / 2);
        left.push(second);
        left.push(items);
        return;
    }
    let alone = items.len() == 1;
    for item in items {
        let written = match failure.kind {
            _ if for_what_it_says && alone => {
                let version = item.prepared.version.as_deref();
                settle_failure(client, binding, &item.write, version, failure.clone()).await
            }
            FailureKind::Unknown | FailureKind::BadAnswer => Written::Unknown(failure.clone()),
            FailureKind::Auth | FailureKind::Fatal | FailureKind::Unavailable => Written::Stopped(failure.clone()),
            _ => Written::NotDone(failure.clone()),
        };
        outcomes.push((item.position, written));
    }
}

async fn send_items(client: &Client, batch: &Batch, items: &[Item]) -> Result<(Built, super::Response), Failure> {
    let mut built = client.build(&batch.request, &Holes::default())?;
    built.set_body(&batch.items, together(batch, items))?;
    let response = client.send(built.clone(), Safety::Plain).await?;
    Ok((built, response))
}

fn together(batch: &Batch, items: &[Item]) -> Json {
    let named = |item: &Item| (item.name.clone().unwrap_or_default(), item.json.clone());
    match batch.item_name {
        Some(_) => Json::Object(items.iter().map(named).collect()),
        None => Json::Array(items.iter().map(|item| item.json.clone()).collect()),
    }
}

/// The results, or the job that will have them.
fn read_answer(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    items: &[Item],
    (built, response): (&Built, &super::Response),
) -> Vec<Written> {
    let placed = || -> Vec<Placed<'_>> {
        items.iter().enumerate().map(|(index, item)| Placed { write: &item.write, index }).collect()
    };
    let Some(job) = &batch.job else {
        return read_results(client, binding, batch, (&placed(), items.len()), (built, response));
    };
    match announced(client, job, built, response) {
        Ok(at) => {
            let (count, since) = (items.len(), client.now());
            let mark = |index| JobMark { at: at.clone(), index, count, since };
            (0..count).map(|index| Written::Working(mark(index))).collect()
        }
        Err(_) if has_ended(job, response) => {
            read_results(client, binding, batch, (&placed(), items.len()), (built, response))
        }
        Err(failure) => {
            let failure = Failure { kind: FailureKind::Unknown, ..failure };
            items.iter().map(|_| Written::Unknown(failure.clone())).collect()
        }
    }
}

/// A write whose precondition stands in a header or the query goes in a batch only where items can carry it.
fn which_batch(binding: &Binding, write: &WriteRequest) -> Option<usize> {
    let precondition = match write.op {
        SendOp::Create | SendOp::Archive => None,
        SendOp::Update => binding.update.as_ref().map(|update| &update.precondition),
        SendOp::Delete => binding.delete.as_ref().map(|delete| &delete.precondition),
    };
    let batch = write.op.batch_of(binding, write.transition.is_some()).filter(|_| !write.alone)?;
    let may = match precondition {
        Some(Precondition::Version { place: Place::Header(_) | Place::Query(_), .. }) => batch.items_say_version(),
        _ => true,
    };
    binding.batches.iter().position(|one| std::ptr::eq(one, batch)).filter(|_| may)
}

async fn prepare_item(
    client: &Client,
    binding: &Binding,
    batch: &Batch,
    position: usize,
    write: WriteRequest,
) -> Result<Item, Written> {
    let prepared = prepare(client, binding, &write).await?;
    let json = item_json(binding, batch, &write, &prepared)?;
    let name = item_name(binding, batch, &write, &prepared)?;
    let alone = match &name {
        Some(name) => Json::Object(vec![(name.clone(), Json::Null)]).to_string().len() - "{null}".len(),
        None => 0,
    };
    let bytes = u64::try_from(alone + json.to_string().len()).unwrap_or(u64::MAX);
    Ok(Item { position, write, prepared, json, name, bytes })
}

/// The item as the filter makes it of the single request; without a filter, its body with the id put in.
fn item_json(binding: &Binding, batch: &Batch, write: &WriteRequest, prepared: &Prepared) -> Result<Json, Written> {
    let Some(filter) = &batch.item else {
        let mut body = prepared.built.body.clone().unwrap_or(Json::Object(Vec::new()));
        if let (Some(id), Lens::Path(path)) = (own_id(binding, write), &binding.mapper.probe.id) {
            let id = id_token(path, id, write.expected_raw.as_deref());
            path.put(&mut body, id).map_err(|error| Written::Refused(error.to_string()))?;
        }
        return Ok(body);
    };
    item_part("item", filter, &item_input(binding, write, prepared))
}

fn item_name(
    binding: &Binding,
    batch: &Batch,
    write: &WriteRequest,
    prepared: &Prepared,
) -> Result<Option<String>, Written> {
    let Some(filter) = &batch.item_name else { return Ok(None) };
    match item_part("item_name", filter, &item_input(binding, write, prepared))? {
        Json::String(name) => Ok(Some(name)),
        _ => Err(Written::Refused("`item_name` gives no text".to_owned())),
    }
}

fn item_part(key: &str, filter: &Filter, input: &Json) -> Result<Json, Written> {
    match filter.run(input, &[], 1) {
        Ok(outputs) => outputs.into_iter().next().ok_or_else(|| Written::Refused(format!("`{key}` gives nothing"))),
        Err(error) => Err(Written::Refused(format!("`{key}`: {error}"))),
    }
}

/// The single request, as filters of items see it.
fn item_input(binding: &Binding, write: &WriteRequest, prepared: &Prepared) -> Json {
    let built = &prepared.built;
    let text = |text: Option<&str>| text.map_or(Json::Null, Json::from);
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.to_string(), Json::from(value.to_str().ok().filter(|_| !value.is_sensitive())?)))
    };
    Json::Object(vec![
        ("op".to_owned(), Json::from(write.op.name())),
        ("id".to_owned(), text(own_id(binding, write))),
        ("version".to_owned(), text(prepared.version.as_deref())),
        ("method".to_owned(), Json::from(built.method.as_str())),
        ("path".to_owned(), Json::from(built.url.path())),
        ("headers".to_owned(), Json::Object(built.headers.iter().filter_map(header).collect())),
        ("body".to_owned(), built.body.clone().unwrap_or(Json::Null)),
        ("key".to_owned(), Json::from(write.key.as_str())),
    ])
}

/// The id as the record has it: a number stays one.
fn id_token(path: &Path, id: &str, expected: Option<&[u8]>) -> Json {
    let seen = expected.and_then(|raw| Json::parse(raw).ok()).and_then(|json| path.get(&json).cloned());
    seen.filter(|token| matches!(token, Json::Number(number) if number == id)).unwrap_or_else(|| Json::from(id))
}

/// How many bytes items may have together, with the commas between them: `max_bytes` counts the whole body.
fn room(client: &Client, batch: &Batch) -> Result<u64, Failure> {
    let mut built = client.build(&batch.request, &Holes::default())?;
    built.set_body(&batch.items, Json::Array(Vec::new()))?;
    Ok(batch.bytes_max.saturating_sub(client.body_bytes(&built)?))
}

/// Cuts by count and size, in order.
fn chunk(batch: &Batch, room: u64, items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut chunks: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = item.bytes + 1;
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < batch.items_max.max(1) && bytes + more <= room => {
                bytes += more;
                chunk.push(item);
            }
            _ => {
                bytes = item.bytes;
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}
