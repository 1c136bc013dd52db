//! Owns: records laid flat: each place where values stand, with all that were seen there.
//!
//! Must not know: what the places are called here, or of which type they are.

use super::names::is_data;
use crate::record::{Json, Path, Step};

/// Objects in objects are laid flat down to here.
const DEPTH_MAX: usize = 4;
/// An object with more members is kept whole below the top.
const MEMBERS_MAX: usize = 40;

/// A place in records.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where.
    pub path: Path,
    /// What was seen there that is not null, a record at a time.
    pub values: Vec<&'a Json>,
}

/// Every place of these records, in the order in which they are first seen.
pub fn lay_flat<'a>(records: &[&'a Json]) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    walk(Path { steps: Vec::new() }, records.to_vec(), &mut places);
    places
}

fn walk<'a>(path: Path, values: Vec<&'a Json>, places: &mut Vec<Place<'a>>) {
    let values: Vec<&Json> = values.into_iter().filter(|value| !matches!(value, Json::Null)).collect();
    let Some(keys) = members(&values, path.steps.len()) else {
        places.push(Place { path, values });
        return;
    };
    for key in keys {
        let mut steps = path.steps.clone();
        steps.push(Step::Key(key.to_owned()));
        let inner = values.iter().filter_map(|value| value.get(key)).collect();
        walk(Path { steps }, inner, places);
    }
}

/// The names of the members, where what stands here are objects whose members have names.
fn members<'a>(values: &[&'a Json], depth: usize) -> Option<Vec<&'a str>> {
    let mut keys: Vec<&str> = Vec::new();
    for value in values {
        let Json::Object(members) = value else { return None };
        for (key, _) in members {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    if depth == 0 {
        // Under a key that is data, a token perhaps, nothing is proposed.
        keys.retain(|key| !is_data(key));
        return Some(keys);
    }
    let named = !keys.iter().any(|key| is_data(key));
    // Keys that hardly two objects share are data as well.
    let shared = |key: &&str| values.iter().filter(|value| value.get(key).is_some()).count() * 4 >= values.len();
    let alike = keys.len() <= 3 || keys.iter().filter(|key| shared(key)).count() * 2 >= keys.len();
    (depth < DEPTH_MAX && !keys.is_empty() && keys.len() <= MEMBERS_MAX && named && alike).then_some(keys)
}
