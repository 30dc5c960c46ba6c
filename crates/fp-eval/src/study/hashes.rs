//! Hashes of everything that a run depends on.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use fp_data::dataset::Dataset;
use fp_data::hash::{sha256_file, sha256_hex};

use super::config::StudyConfig;
use super::error::StudyError;
use super::spec::{FileHash, ImagesHashed};

/// Largest total size up to which images are hashed byte by byte.
const MOST_IMAGE_BYTES: u64 = 2 << 30;

/// Keys for locations, timing and expectations, which don't affect the answers.
const APART: [&str; 8] = [
    "$schema",
    "model",
    "vision_tower",
    "clip",
    "datasets",
    "selections",
    "efficiency",
    "expectations",
];

/// SHA-256 of a configuration without the keys of [`APART`].
pub(crate) fn config(config: &StudyConfig) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(config)?;
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| !APART.contains(&key.as_str()));
    }
    Ok(sha256_hex(value.to_string().as_bytes()))
}

/// Keys in which two configurations differ, except those of [`APART`].
pub(crate) fn changed_keys(
    old: &StudyConfig,
    new: &StudyConfig,
) -> Result<Vec<String>, serde_json::Error> {
    let (old, new) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    let keys: BTreeSet<&String> = [&old, &new]
        .into_iter()
        .filter_map(|value| value.as_object())
        .flat_map(|keys| keys.keys())
        .collect();
    Ok(keys
        .into_iter()
        .filter(|key| !APART.contains(&key.as_str()) && old.get(key) != new.get(key))
        .cloned()
        .collect())
}

/// Hash over all files that define a model, and the files.
pub(crate) fn model(
    folder: &Path,
    weights: &[PathBuf],
) -> Result<(String, Vec<FileHash>), StudyError> {
    const BESIDE: [&str; 6] = [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "added_tokens.json",
    ];
    let beside = BESIDE.iter().map(|name| folder.join(name));
    let paths: BTreeSet<PathBuf> = beside
        .filter(|path| path.is_file())
        .chain(weights.iter().cloned())
        .collect();
    files_of(folder, paths)
}

/// Hash over files of a folder, and the files.
pub(crate) fn files_of(
    folder: &Path,
    paths: BTreeSet<PathBuf>,
) -> Result<(String, Vec<FileHash>), StudyError> {
    let mut files = Vec::new();
    for path in paths {
        let sha256 = sha256_file(&path).map_err(StudyError::io("read", &path))?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        files.push(FileHash {
            name: name.display().to_string(),
            sha256,
        });
    }
    let mut list = String::new();
    for file in &files {
        // Writing to a string can't fail.
        let _ = writeln!(list, "{} {}", file.sha256, file.name);
    }
    Ok((sha256_hex(list.as_bytes()), files))
}

/// Hash over a dataset's files and the images of its samples.
pub(crate) fn dataset(dataset: &Dataset) -> Result<(String, ImagesHashed), StudyError> {
    let mut list = String::new();
    // A file that contains images, such as a Parquet file, counts as one image file.
    let images: BTreeSet<&Path> = dataset
        .samples
        .iter()
        .map(|sample| sample.image.container())
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    for path in &dataset.files {
        if images.contains(path.as_path()) {
            continue;
        }
        let sha256 = sha256_file(path).map_err(StudyError::io("read", path))?;
        let _ = writeln!(list, "{sha256}");
    }
    let name = |path: &Path| {
        let name = path.strip_prefix(&dataset.folder).unwrap_or(path);
        name.display().to_string()
    };
    let mut sizes = Vec::with_capacity(images.len());
    for path in images {
        match std::fs::metadata(path) {
            Ok(metadata) => sizes.push((path, metadata.len())),
            // Its questions fail; if the file appears later, the data have changed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = writeln!(list, "missing {}", name(path));
            }
            Err(error) => return Err(StudyError::io("read", path)(error)),
        }
    }
    let total: u64 = sizes.iter().map(|(_, size)| size).sum();
    let how = if total <= MOST_IMAGE_BYTES {
        ImagesHashed::Content
    } else {
        ImagesHashed::Sizes
    };
    for (path, size) in sizes {
        let content = match how {
            ImagesHashed::Content => sha256_file(path).map_err(StudyError::io("read", path))?,
            ImagesHashed::Sizes => size.to_string(),
        };
        let _ = writeln!(list, "{content} {}", name(path));
    }
    Ok((sha256_hex(list.as_bytes()), how))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_expected_asks_nothing_else() {
        let parsed = |value| serde_json::from_value::<StudyConfig>(value).unwrap();
        let least = parsed(json!({"study": "a"}));
        let expecting = parsed(json!({"study": "a", "expectations": [{"leaders": ["variance"]}]}));
        assert_eq!(config(&least).unwrap(), config(&expecting).unwrap());
        assert!(changed_keys(&least, &expecting).unwrap().is_empty());
        let seeded = parsed(json!({"study": "a", "seed": 1}));
        assert_ne!(config(&least).unwrap(), config(&seeded).unwrap());
        assert_eq!(changed_keys(&least, &seeded).unwrap(), ["seed"]);
    }
}
