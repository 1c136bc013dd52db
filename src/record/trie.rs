//! Owns: many plain paths looked up in one walk over a document.
//!
//! Must not know: what the values are for.

use super::scan::{Fault, Scan, Scanner, Shape};
use super::token::Token;
use super::{Path, Step};

/// Paths with a number each, merged where they share steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    targets: Vec<usize>,
    /// By length, then by text: most keys of a record differ in length from all that are looked for.
    keys: Vec<(String, Trie)>,
    items: Vec<(usize, Trie)>,
    /// Bit `n` is set where a key of length `n` (or of `n` and more, for the last bit) is looked for.
    lengths: u64,
}

impl Trie {
    pub(super) fn insert(&mut self, path: &Path, target: usize) {
        let mut node = self;
        for step in &path.steps {
            node = match step {
                Step::Key(key) => node.key_child(key),
                Step::Index(index) => node.item_child(*index),
            };
        }
        node.targets.push(target);
    }

    fn key_child(&mut self, key: &str) -> &mut Self {
        self.lengths |= length_bit(key);
        let at = match self.position(key) {
            Ok(at) => at,
            Err(at) => {
                self.keys.insert(at, (key.to_owned(), Self::default()));
                at
            }
        };
        &mut self.keys[at].1
    }

    fn item_child(&mut self, index: usize) -> &mut Self {
        let at = self.items.iter().position(|(item, _)| *item == index).unwrap_or_else(|| {
            self.items.push((index, Self::default()));
            self.items.len() - 1
        });
        &mut self.items[at].1
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.keys.binary_search_by(|(name, _)| (name.len(), name.as_str()).cmp(&(key.len(), key)))
    }

    /// Reads one value and calls `found` for every path that exists in it. Whatever is off the paths is checked as
    /// JSON and passed; a key on a path that stands twice is refused.
    pub(super) fn walk<'a>(&self, scanner: &mut Scanner<'a>, found: &mut impl FnMut(usize, Token<'a>)) -> Scan<()> {
        let shape = scanner.shape()?;
        if let Some((last, others)) = self.targets.split_last() {
            let mark = scanner.mark();
            let token = scanner.token()?;
            for target in others {
                found(*target, token.clone());
            }
            found(*last, token);
            if self.keys.is_empty() && self.items.is_empty() {
                return Ok(());
            }
            scanner.rewind(mark);
        }
        match shape {
            Shape::Object if !self.keys.is_empty() => self.walk_object(scanner, found),
            Shape::Array if !self.items.is_empty() => {
                scanner.array(|scanner, index| match self.items.iter().find(|(item, _)| *item == index) {
                    Some((_, child)) => child.walk(scanner, found),
                    None => scanner.skip().map(drop),
                })
            }
            _ => scanner.skip().map(drop),
        }
    }

    fn walk_object<'a>(&self, scanner: &mut Scanner<'a>, found: &mut impl FnMut(usize, Token<'a>)) -> Scan<()> {
        let mut seen = Seen::default();
        scanner.object(|scanner, key| {
            if self.lengths & length_bit(key) == 0 {
                return scanner.skip().map(drop);
            }
            match self.position(key).ok().and_then(|at| Some((at, self.keys.get(at)?))) {
                None => scanner.skip().map(drop),
                Some((at, _)) if !seen.insert(at) => Err(Fault::new("duplicate key")),
                Some((_, (_, child))) => child.walk(scanner, found),
            }
        })
    }
}

fn length_bit(key: &str) -> u64 {
    1 << key.len().min(63)
}

/// A small set of positions; the first 64 cost no memory.
#[derive(Default)]
struct Seen {
    low: u64,
    high: Vec<usize>,
}

impl Seen {
    /// False where it was there already.
    fn insert(&mut self, at: usize) -> bool {
        if at < 64 {
            let bit = 1 << at;
            let fresh = self.low & bit == 0;
            self.low |= bit;
            fresh
        } else {
            let fresh = !self.high.contains(&at);
            self.high.push(at);
            fresh
        }
    }
}
