//! Quantised checkpoints, recognised by their config and by what is stored.

use std::path::PathBuf;

use serde_json::Value;

use super::error::CheckpointError;
use super::folder::Folder;
use crate::weights::Checkpoint;

/// Fields of a config that describe quantisation.
const FIELDS: [&str; 2] = ["quantization_config", "compression_config"];

/// Sub-configs that may have such a field of their own.
const PARTS: [&str; 2] = ["text_config", "vision_config"];

/// Last components of tensor names, and the formats that use them. The first match names the
/// format, so names that a single format uses come first.
const SUFFIXES: [(&str, &str); 17] = [
    ("g_idx", "GPTQ"),
    ("SCB", "bitsandbytes, 8 bit"),
    ("weight_format", "bitsandbytes, 8 bit"),
    ("bitsandbytes__nf4", "bitsandbytes, 4 bit (nf4)"),
    ("bitsandbytes__fp4", "bitsandbytes, 4 bit (fp4)"),
    ("nested_quant_map", "bitsandbytes, 4 bit"),
    ("quant_map", "bitsandbytes, 4 bit"),
    ("absmax", "bitsandbytes, 4 bit"),
    ("W_q", "HQQ"),
    ("codebooks", "AQLM"),
    ("qzeros", "AWQ or GPTQ"),
    ("qweight", "AWQ or GPTQ"),
    ("weight_packed", "compressed-tensors"),
    ("weight_zero_point", "compressed-tensors"),
    ("weight_scale_inv", "FP8 with a scale per block"),
    ("weight_scale", "FP8 or INT8 with a scale per row"),
    ("input_scale", "FP8 or INT8 with a scale per row"),
];

/// Quantisation that a config states.
#[derive(Debug)]
pub(super) struct Declared {
    path: PathBuf,
    field: &'static str,
    method: String,
}

impl Declared {
    /// The error for weights that may well be stored as stated.
    pub(super) fn stored(&self) -> CheckpointError {
        CheckpointError::Quantised {
            dir: self.path.parent().unwrap_or(&self.path).to_owned(),
            method: self.method.clone(),
            sign: format!("`{}` in config.json", self.field),
        }
    }
}

/// The quantisation that the folder's config states.
pub(super) fn declared(folder: &Folder) -> Option<Declared> {
    let config = folder.config()?;
    let parts = PARTS.iter().filter_map(|part| config.get(part));
    let places: Vec<&Value> = std::iter::once(config).chain(parts).collect();
    FIELDS.into_iter().find_map(|field| {
        let is_said = |value: &&Value| match value {
            Value::Null => false,
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        let value = places
            .iter()
            .filter_map(|place| place.get(field))
            .find(is_said)?;
        Some(Declared {
            path: folder.path("config.json"),
            field,
            method: method(value),
        })
    })
}

/// Name of a quantisation method, with its bits.
fn method(config: &Value) -> String {
    let flag = |name: &str| config.get(name).and_then(Value::as_bool) == Some(true);
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let bits = match config.get("bits").and_then(Value::as_u64) {
        Some(bits) => format!(", {bits} bit"),
        None if flag("load_in_4bit") => ", 4 bit".to_owned(),
        None if flag("load_in_8bit") => ", 8 bit".to_owned(),
        None => String::new(),
    };
    let is_in_bits = flag("load_in_4bit") || flag("load_in_8bit");
    let name = match text("quant_method") {
        None if is_in_bits => "bitsandbytes",
        None => "by a method that it doesn't name",
        Some("awq") => "AWQ",
        Some("gptq") => "GPTQ",
        Some("fp8") => "FP8",
        Some(name) => name,
    };
    let format = text("bnb_4bit_quant_type").filter(|_| flag("load_in_4bit"));
    let format = format.or_else(|| text("format"));
    let format = format.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{name}{bits}{format}")
}

/// Refuses quantised weights, and a config that states quantisation of unquantised ones: another
/// loader would quantise those and give other answers.
pub(super) fn check(folder: &Folder, weights: &Checkpoint) -> Result<(), CheckpointError> {
    let declared = declared(folder);
    let Some((found, sign)) = stored(weights) else {
        return match declared {
            None => Ok(()),
            Some(Declared {
                path,
                field,
                method,
            }) => Err(CheckpointError::QuantisedByConfig {
                path,
                field,
                method,
            }),
        };
    };
    Err(CheckpointError::Quantised {
        dir: weights.dir().to_owned(),
        method: declared.map_or(found, |declared| declared.method),
        sign: format!("tensors such as `{sign}`"),
    })
}

/// The quantised format of the stored tensors, and the name of a tensor that shows it.
fn stored(weights: &Checkpoint) -> Option<(String, String)> {
    let mut first = weights.names().filter_map(|name| {
        let last = name.rsplit('.').next()?;
        let rank = SUFFIXES.iter().position(|(suffix, _)| *suffix == last)?;
        Some((rank, name))
    });
    if let Some(best) = first.next() {
        let (rank, name) = first.fold(best, std::cmp::min);
        let (_, format) = SUFFIXES.get(rank)?;
        return Some(((*format).to_owned(), name.to_owned()));
    }
    // In some formats, the number format is all that shows it.
    weights.names().find_map(|name| {
        let format = weights.format(name)?;
        let is_quantised = ["F8_", "F6_", "F4", "I8", "U8", "I4", "U4"]
            .iter()
            .any(|start| format.starts_with(start));
        (name.ends_with(".weight") && is_quantised)
            .then(|| (format!("values in {format}"), name.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::method;

    #[test]
    fn methods_by_name() {
        for (config, expected) in [
            (
                json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
                "bitsandbytes, 4 bit (nf4)",
            ),
            (json!({"load_in_8bit": true}), "bitsandbytes, 8 bit"),
            (json!({"quant_method": "awq", "bits": 4}), "AWQ, 4 bit"),
            (json!({"quant_method": "gptq", "bits": 3}), "GPTQ, 3 bit"),
            (
                json!({"quant_method": "compressed-tensors", "format": "float-quantized"}),
                "compressed-tensors (float-quantized)",
            ),
            (json!({"group_size": 1}), "by a method that it doesn't name"),
        ] {
            assert_eq!(method(&config), expected, "{config}");
        }
    }
}
