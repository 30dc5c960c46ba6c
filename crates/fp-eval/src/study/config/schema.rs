//! The JSON schema of study configurations, published as `configs/study.schema.json` and generated
//! from the types that configurations are parsed into.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::StudyConfig;

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    // Inlined, the schema is easier to read, and errors can name the missing value.
    settings.inline_subschemas = true;
    let generator = settings.into_generator();
    let mut schema = generator.into_root_schema_for::<StudyConfig>();
    RecursiveTransform(as_people_write_it).transform(&mut schema);
    schema.to_value()
}

/// Removes details of the types that don't matter in files.
fn as_people_write_it(schema: &mut Schema) {
    // The bit width of a number.
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    without_null(schema);
    // The key's description explains the names of a choice, so the names' own are removed.
    let forms = schema.get("oneOf").and_then(Value::as_array);
    let names = forms.and_then(|forms| {
        let names = forms.iter().map(|form| form.get("const").cloned());
        names.collect::<Option<Vec<Value>>>()
    });
    if let Some(names) = names {
        schema.remove("oneOf");
        schema.insert("enum".to_owned(), names.into());
    }
}

/// Removes `null`: optional values are omitted from files, never written as null.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let is_null = |form: &Value| form.get("type").is_some_and(|name| name == "null");
    let forms = schema.get("anyOf").and_then(Value::as_array);
    let other = match forms.map(Vec::as_slice) {
        Some([form, null] | [null, form]) if is_null(null) => form.as_object().cloned(),
        _ => None,
    };
    if let Some(other) = other {
        schema.remove("anyOf");
        for (key, value) in other {
            // The key's description takes precedence over its type's.
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
}
