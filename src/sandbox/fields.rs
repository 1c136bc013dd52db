//! Owns: what becomes of fields on the way in, what they must be like, which must be unique.
//!
//! Must not know: requests.

use serde_json::Value;

use super::config::{Check, Normalise, ResourceConfig};
use super::json::{self, Object};
use super::reply::Refusal;
use super::shelf::{Shelf, State};

/// What the server makes of a record before it keeps it.
pub fn normalise(config: &ResourceConfig, data: &mut Object) {
    for (field, how) in &config.normalise {
        match (how, json::at(data, field)) {
            (Normalise::Fixed(value), _) => json::put(data, field, value.clone()),
            (how, Some(Value::String(text))) => {
                let text = normalise_text(how, text);
                json::put(data, field, text.into());
            }
            _ => {}
        }
    }
}

/// The first rule that a record breaks.
pub fn check(config: &ResourceConfig, data: &Object) -> Result<(), Refusal> {
    for (field, rule) in &config.checks {
        if let Some(message) = broken(rule, json::at(data, field)) {
            return Err(Refusal::of_field(422, "invalid", field, message));
        }
    }
    Ok(())
}

/// The first unique field whose value another record has.
pub fn check_unique(config: &ResourceConfig, shelf: &Shelf, id: &str, data: &Object) -> Result<(), Refusal> {
    for field in &config.unique {
        let Some(value) = json::at(data, field).filter(|value| !value.is_null()) else { continue };
        let holder = shelf
            .iter()
            .find(|other| other.state == State::Live && other.id != id && json::at(&other.data, field) == Some(value));
        if let Some(holder) = holder {
            return Err(Refusal::of_field(409, "duplicate", field, format!("{} has this value already", holder.id)));
        }
    }
    Ok(())
}

fn normalise_text(how: &Normalise, text: &str) -> String {
    match how {
        Normalise::Trim => text.trim().to_owned(),
        Normalise::Lowercase => text.to_lowercase(),
        Normalise::PhoneGroups => phone_groups(text),
        Normalise::Truncate(chars_max) => text.chars().take(*chars_max).collect(),
        // Replaces values of every kind, so it is done before texts are looked at.
        Normalise::Fixed(_) => text.to_owned(),
    }
}

fn phone_groups(text: &str) -> String {
    let mut grouped = String::from(if text.trim_start().starts_with('+') { "+" } else { "" });
    for (count, digit) in text.chars().filter(char::is_ascii_digit).enumerate() {
        if count >= 3 && (count - 3).is_multiple_of(4) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

fn broken(rule: &Check, value: Option<&Value>) -> Option<String> {
    let present = value.filter(|value| !value.is_null());
    let text = present.and_then(Value::as_str);
    match rule {
        Check::Required => (present.is_none() || text == Some("")).then(|| "is required".to_owned()),
        Check::OneOf(values) => {
            let wrong = present.filter(|value| !values.contains(value))?;
            Some(format!("must be one of {}, not {wrong}", Value::from(values.clone())))
        }
        Check::CharsMax(chars_max) => match (present, text) {
            (None, _) => None,
            (Some(_), Some(text)) if text.chars().count() <= *chars_max => None,
            (Some(_), _) => Some(format!("must be a text of at most {chars_max} characters")),
        },
        Check::Contains(part) => match (present, text) {
            (None, _) => None,
            (Some(_), Some(text)) if text.contains(part) => None,
            (Some(_), _) => Some(format!("must be a text with {part:?} in it")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_normaliser_does_what_its_name_says() {
        let check = |how: Normalise, before: Value, after: Value| {
            let config = ResourceConfig { normalise: vec![("f".into(), how)], ..ResourceConfig::at("/c") };
            let mut data = Object::from_iter([("f".to_owned(), before)]);
            normalise(&config, &mut data);
            assert_eq!(data["f"], after);
        };
        check(Normalise::Trim, json!(" Ann "), json!("Ann"));
        check(Normalise::Lowercase, json!("Ann@X.io"), json!("ann@x.io"));
        check(Normalise::PhoneGroups, json!("02079460001"), json!("020 7946 0001"));
        check(Normalise::PhoneGroups, json!("+44 (20) 7946-0001"), json!("+442 0794 6000 1"));
        check(Normalise::PhoneGroups, json!("020 7946 0001"), json!("020 7946 0001"));
        check(Normalise::Truncate(2), json!("éàü"), json!("éà"));
        check(Normalise::Trim, json!(7), json!(7));
        check(Normalise::Fixed(json!("bot")), json!(7), json!("bot"));
    }

    #[test]
    fn each_check_refuses_what_it_should() {
        let check = |rule: Check, value: Value, ok: bool| {
            let config = ResourceConfig { checks: vec![("f".into(), rule)], ..ResourceConfig::at("/c") };
            let verdict = check(&config, &Object::from_iter([("f".to_owned(), value)]));
            assert_eq!(verdict.is_ok(), ok, "{verdict:?}");
        };
        check(Check::Required, json!("x"), true);
        check(Check::Required, json!(""), false);
        check(Check::Required, json!(null), false);
        check(Check::OneOf(vec![json!("a"), json!(1)]), json!(1), true);
        check(Check::OneOf(vec![json!("a")]), json!("b"), false);
        check(Check::OneOf(vec![json!("a")]), json!(null), true);
        check(Check::CharsMax(2), json!("éà"), true);
        check(Check::CharsMax(2), json!("abc"), false);
        check(Check::Contains("@".into()), json!("a@b"), true);
        check(Check::Contains("@".into()), json!(5), false);
    }
}
