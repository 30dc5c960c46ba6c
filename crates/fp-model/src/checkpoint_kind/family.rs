//! The model family of a config.

use serde_json::Value;

use super::error::CheckpointError;
use super::folder::Folder;
use crate::families::Family;

/// Model types of the original project's configs, which have `mm_vision_tower`.
const ORIGINAL: [&str; 5] = ["llava", "llava_llama", "llava_mistral", "llama", "mistral"];

/// Model types of vision towers, and of models that have one as their vision half.
const TOWERS: [&str; 5] = [
    "clip",
    "clip_vision_model",
    "siglip",
    "siglip_vision_model",
    "dinov2",
];

/// Words in the names of vision towers that no CLIP model has: towers of other families.
const OTHER_TOWERS: [&str; 7] = [
    "siglip",
    "dinov",
    "eva02",
    "eva-clip",
    "internvit",
    "convnext",
    "mobileclip",
];

/// Refuses a config that declares a model other than a supported one.
pub(super) fn check(folder: &Folder) -> Result<(), CheckpointError> {
    let is_original = folder.field("mm_vision_tower").is_some();
    let path = || folder.path("config.json");
    let other = |field, found, expected| CheckpointError::OtherFamily {
        path: path(),
        field,
        found,
        expected,
    };
    if let Some(value) = folder.field("model_type") {
        // A value that isn't text is reported when fields are read.
        let Some(found) = value.as_str() else {
            return Ok(());
        };
        let sign = || format!("`model_type` {value}");
        let ours = Family::all_model_types();
        let known: &[&str] = if is_original { &ORIGINAL } else { &ours };
        if TOWERS.contains(&found) {
            return Err(CheckpointError::TowerOnly {
                dir: folder.dir().to_owned(),
                sign: sign(),
            });
        }
        if !known.contains(&found) && ORIGINAL.contains(&found) && is_plain_decoder(folder) {
            return Err(CheckpointError::LanguageModelOnly {
                path: path(),
                sign: sign(),
            });
        }
        if !known.contains(&found) {
            let expected = format!(
                "one of {}, or with `mm_vision_tower` one of {}",
                listed(&ours),
                listed(&ORIGINAL)
            );
            let mut found = value.to_string();
            if let Some(classes) = folder.field("architectures") {
                found += &format!(" (`architectures` {classes})");
            }
            return Err(other("model_type", found, expected));
        }
    }
    check_classes(folder)?;
    check_tower(folder)
}

/// Refuses the classes of other models.
fn check_classes(folder: &Folder) -> Result<(), CheckpointError> {
    let Some(value) = folder.field("architectures") else {
        return Ok(());
    };
    let classes: Vec<&str> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let known: Vec<&str> = Family::ALL
        .iter()
        .flat_map(|family| family.card().classes())
        .copied()
        .collect();
    if classes.is_empty() || classes.iter().any(|class| known.contains(class)) {
        return Ok(());
    }
    Err(CheckpointError::OtherFamily {
        path: folder.path("config.json"),
        field: "architectures",
        found: value.to_string(),
        expected: format!("one of {}", listed(&known)),
    })
}

/// Refuses a vision tower whose name in the original project's config is of another family. A local
/// tower folder is checked by its own config.
fn check_tower(folder: &Folder) -> Result<(), CheckpointError> {
    let Some(name) = folder.field("mm_vision_tower").and_then(Value::as_str) else {
        return Ok(());
    };
    let last = name.trim_end_matches('/').rsplit('/').next();
    let last = last.unwrap_or(name).to_lowercase();
    if OTHER_TOWERS.iter().any(|word| last.contains(word)) {
        return Err(CheckpointError::OtherTower {
            path: folder.path("config.json"),
            found: name.to_owned(),
        });
    }
    Ok(())
}

/// Whether the config describes no second model.
fn is_plain_decoder(folder: &Folder) -> bool {
    ["text_config", "vision_config"]
        .iter()
        .all(|field| folder.field(field).is_none())
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
