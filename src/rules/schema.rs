//! Owns: the JSON Schema (2020-12) of a rules file.
//!
//! Must not know: the keys themselves (that is `grammar`).

use schemars::generate::SchemaSettings;

use super::grammar::Root;

/// The schema that editors use, from the same declarations that the checker reads by.
pub fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Root>();
    schema.insert("title".to_owned(), "Rules of reconciled".into());
    schema.to_value()
}
