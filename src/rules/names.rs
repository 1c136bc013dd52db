//! Owns: names as the rules language writes them, made of names as others do.
//!
//! Must not know: what is named, which names are taken.

/// Names of columns that mean something else to SQLite.
pub const COLUMNS_OF_SQLITE: [&str; 3] = ["rowid", "oid", "_rowid_"];

/// `firstName` → `first_name`; what is no letter or digit of ASCII becomes `_`, once for several. It may begin with a digit, and
/// may be empty.
pub fn snake_case(name: &str) -> String {
    let mut text = String::new();
    let mut lower_before = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && lower_before {
            text.push('_');
        }
        lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
        match c {
            c if c.is_ascii_alphanumeric() => text.push(c.to_ascii_lowercase()),
            _ if text.ends_with('_') => {}
            _ => text.push('_'),
        }
    }
    text.trim_matches('_').to_owned()
}
