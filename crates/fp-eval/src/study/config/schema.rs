//! The JSON schema of study configurations, published as `configs/study.schema.json`: made
//! of the types that a configuration is read into.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::StudyConfig;

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    // Without references it is easier to read, and to say what a value lacks.
    settings.inline_subschemas = true;
    let generator = settings.into_generator();
    let mut schema = generator.into_root_schema_for::<StudyConfig>();
    RecursiveTransform(as_people_write_it).transform(&mut schema);
    schema.to_value()
}

/// Leaves what the types say that no file needs to know.
fn as_people_write_it(schema: &mut Schema) {
    // How many bits a number has.
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    without_null(schema);
    // What the names of a choice mean is for the key to say, which has all of them.
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

/// What isn't given is left out of a file, never written as null.
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
            // What is said of the key goes before what is said of its type.
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
}
