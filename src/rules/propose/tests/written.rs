//! Owns: YAML written from JSON for tests, in every spelling that YAML has for it.
//!
//! Must not know: how YAML is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// YAML that says the same, in spellings that the choices choose. What comes twice is an alias the second time, sometimes.
pub fn written(value: &Value, choices: &[u8]) -> String {
    let mut writer = Writer { choices, at: 0, anchors: BTreeMap::new(), anchored: 0 };
    let text = writer.node(value, 0, false);
    format!("{}\n", text.trim_start_matches([' ', '\n']))
}

struct Writer<'a> {
    choices: &'a [u8],
    at: usize,
    /// Names of what was written with an anchor.
    anchors: BTreeMap<String, usize>,
    anchored: usize,
}

impl Writer<'_> {
    fn choose(&mut self, of: u8) -> u8 {
        self.at += 1;
        self.choices[self.at % self.choices.len()].wrapping_add(u8::try_from(self.at % 7).unwrap()) % of
    }

    /// What stands behind `key:` or `-`, with the space or line break before it.
    fn node(&mut self, value: &Value, indent: usize, in_flow: bool) -> String {
        let spelled = value.to_string();
        if let Some(name) = self.anchors.get(&spelled) {
            return format!(" *a{name} ");
        }
        let mut anchor = String::new();
        let mut name = None;
        if indent > 0 && self.choose(5) == 0 {
            self.anchored += 1;
            name = Some(self.anchored);
            anchor = format!(" &a{}", self.anchored);
        }
        let text = match value {
            Value::Object(members) if !members.is_empty() && !in_flow && self.choose(4) > 0 => {
                self.block_members(members.iter(), indent)
            }
            Value::Array(items) if !items.is_empty() && !in_flow && self.choose(4) > 0 => {
                self.block_items(items, indent)
            }
            Value::Object(members) => {
                let parts: Vec<String> = members
                    .iter()
                    .map(|(key, value)| {
                        format!("{}:{}", self.text(key, None, true), self.node(value, indent + 1, true))
                    })
                    .collect();
                format!(" {{{}}}", parts.join(", "))
            }
            Value::Array(items) => {
                let parts: Vec<String> = items.iter().map(|item| self.node(item, indent + 1, true)).collect();
                format!(" [{}]", parts.join(","))
            }
            Value::String(text) => format!(" {}", self.text(text, (!in_flow).then_some(indent), in_flow)),
            Value::Null if !in_flow && anchor.is_empty() && indent > 0 && self.choose(3) == 0 => String::new(),
            Value::Null => [" ~", " null", " NULL"][usize::from(self.choose(3))].to_owned(),
            Value::Bool(true) => [" true", " True"][usize::from(self.choose(2))].to_owned(),
            Value::Bool(false) => [" false", " FALSE"][usize::from(self.choose(2))].to_owned(),
            Value::Number(number) => format!(" {number}"),
        };
        if let Some(name) = name {
            self.anchors.insert(spelled, name);
        }
        format!("{anchor}{text}")
    }

    fn block_members<'v>(&mut self, members: impl Iterator<Item = (&'v String, &'v Value)>, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let mut text = String::new();
        for (key, value) in members {
            let key = self.text(key, None, false);
            let value = self.node(value, indent + 2, false);
            write!(text, "\n{pad}{key}:{value}").unwrap();
            if self.choose(6) == 0 && !value.ends_with('\n') && !value.contains('|') {
                text.push_str(" # told: [\n");
            }
        }
        text
    }

    fn block_items(&mut self, items: &[Value], indent: usize) -> String {
        let pad = " ".repeat(indent);
        items.iter().fold(String::new(), |text, item| {
            let item = self.node(item, indent + 2, false);
            // The first member on the line of the dash.
            let compact = format!("\n{pad}  ");
            let item = match item.strip_prefix(&compact) {
                Some(rest) if self.choose(2) == 0 => format!(" {rest}"),
                _ => item,
            };
            format!("{text}\n{pad}-{item}")
        })
    }

    /// A text; a block of lines only where it stands in one.
    fn text(&mut self, text: &str, block: Option<usize>, in_flow: bool) -> String {
        let is_printed = text.chars().all(|char| matches!(char, ' '..='~' | 'ä'..='ü' | '\n'));
        let is_line = is_printed && !text.contains('\n');
        let choice = self.choose(4);
        if choice == 0 && is_line {
            return format!("'{}'", text.replace('\'', "''"));
        }
        if choice == 1 && is_plain(text) && !(in_flow && text.contains(':')) {
            return text.to_owned();
        }
        let block = block.filter(|_| {
            choice == 2 && is_printed && !text.starts_with('\n') && !text.ends_with("\n\n") && !text.trim().is_empty()
        });
        if let Some(indent) = block {
            // The number says how much deeper than what holds it, which stands two less deep.
            let pad = " ".repeat(indent);
            let chomp = if text.ends_with('\n') { "" } else { "-" };
            let lines: Vec<String> =
                text.trim_end_matches('\n').split('\n').map(|line| format!("{pad}{line}")).collect();
            let number = if indent == 0 { return quoted(text) } else { 2 };
            return format!("|{number}{chomp}\n{}", lines.join("\n"));
        }
        quoted(text)
    }
}

/// Whether YAML 1.2 takes it for a text without quotes.
fn is_plain(text: &str) -> bool {
    let is_word = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '/' | '.' | '@'));
    let is_date =
        text.len() == 10 && text.starts_with("2024-") && text.chars().all(|char| matches!(char, '0'..='9' | '-'));
    (is_word && !matches!(text.to_lowercase().as_str(), "null" | "true" | "false")) || is_date
}

fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' | 'ä'..='ü' => quoted.push(char),
            '\n' => quoted.push_str("\\n"),
            char if u32::from(char) < 0x1_0000 => write!(quoted, "\\u{:04x}", u32::from(char)).unwrap(),
            char => write!(quoted, "\\U{:08x}", u32::from(char)).unwrap(),
        }
    }
    quoted + "\""
}
