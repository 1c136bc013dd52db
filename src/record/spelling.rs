//! Owns: whether an upstream writes an id as a string or as a number: `"10"` and `10` are two values in JSON, and one id here.
//!
//! Must not know: links, who is asked to write.

use super::token::Token;
use super::{Json, Lens, Mapper, Path};

/// How an id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdSpelling {
    /// As a string, whatever it looks like.
    Text,
    /// As a number, where it is one.
    Number,
}

impl IdSpelling {
    /// The id in this spelling.
    pub(super) fn write(self, id: &str) -> Json {
        match self {
            Self::Number if id.parse::<i64>().is_ok_and(|number| number.to_string() == id) => {
                Json::Number(id.to_owned())
            }
            Self::Number | Self::Text => Json::String(id.to_owned()),
        }
    }

    fn of(token: &Token<'_>) -> Option<Self> {
        match token {
            Token::String(_) => Some(Self::Text),
            Token::Number(_) => Some(Self::Number),
            Token::Null | Token::Bool(_) | Token::Nested(_) => None,
        }
    }
}

impl Mapper {
    /// How a record writes its own id.
    pub fn spelling_of_id(&self, raw: &[u8]) -> Option<IdSpelling> {
        spelling_at(&self.probe.id, raw)
    }

    /// How a record writes the id in a field; `None` where it has none there.
    pub fn spelling_of(&self, field: usize, raw: &[u8]) -> Option<IdSpelling> {
        spelling_at(&self.field(field)?.lens, raw)
    }
}

fn spelling_at(lens: &Lens, raw: &[u8]) -> Option<IdSpelling> {
    let record = Json::parse(raw).ok()?;
    let found = match lens {
        Lens::Path(path) => Path::get(path, &record)?.clone(),
        Lens::Filter { get, .. } => get.run(&record, &[], 1).ok()?.into_iter().next()?,
    };
    IdSpelling::of(&Token::from(&found))
}
