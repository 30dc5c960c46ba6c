//! Sound files to damage, the same on every machine: generated here, or taken from the shipped
//! files and from tests.
//!
//! A set is a folder of folders. A parser is given one of these, with one of its files damaged.

mod answers;
mod checkpoints;
mod datasets;
mod dumps;
mod lists;
mod runs;
mod selections;

pub(crate) use answers::set as answers;
pub(crate) use datasets::{columns, layout};

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The crates' folder, from which seeds are taken.
pub(crate) fn crates() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn workspace() -> PathBuf {
    let crates = crates();
    crates.parent().unwrap_or(&crates).to_owned()
}

/// Writes every set into `root`, a new or empty folder.
pub(crate) fn write(root: &Path) -> Result<()> {
    images(&root.join("images"))?;
    configs(&root.join("configs"))?;
    checkpoints::write(&root.join("checkpoints"))?;
    dumps::write(&root.join("dumps"))?;
    lists::write(&root.join("lists"))?;
    datasets::write(root)?;
    answers::write(root)?;
    runs::write(root)
}

/// Copies the small pictures of the decoder's tests.
fn images(to: &Path) -> Result<()> {
    copy_files(
        &crates().join("fp-image/tests/golden_images"),
        &to.join("all"),
    )
}

/// Copies the shipped studies.
fn configs(to: &Path) -> Result<()> {
    copy_files(&workspace().join("configs"), &to.join("all"))?;
    let further = serde_json::json!({
        "study": "b",
        "head_selection_strategies": ["gini_coefficient"],
        "query_selection_strategies": ["last_token", "weighted_recent"],
        "normalization": "none",
        "prune_layer": [2, 4],
        "budgets": [{"kept": 6}, {"average_visual_tokens": 64}],
        "schedules": ["3:309,7:204,16:113"],
        "num_selected_heads": [2, "1/3"],
        "static_heads": true,
        "fixed_heads": [
            {"name": "hawk", "heads": [1, 3]}, {"name": "each", "weights": [0.5, 0.0, 1.0]},
        ],
        "methods": ["pool"],
        "selections": ["selection.jsonl"],
        "prompt_template": "vicuna_v1",
        "image_aspect": "pad",
        "device": "cpu",
        "dtype": "f32",
        "limit": 10,
        "seed": 3,
        "efficiency": {"new_tokens": 4, "warmup": 1, "repeats": 2, "max_batch": 2},
    });
    write_file(&to.join("all/further.json"), further.to_string().as_bytes())?;
    write_file(&to.join("heads/heads.json"), br#"{"heads": [1, 3, 30]}"#)?;
    write_file(
        &to.join("heads/weights.json"),
        br#"{"weights": [0.5, 0, 1, 1e-3]}"#,
    )
}

/// Writes a file and creates its folder.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("can't write {}", path.display()))
}

/// Copies the files of a folder and of its subfolders.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for path in files(from)? {
        let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        write_file(&to.join(path.strip_prefix(from)?), &bytes)?;
    }
    Ok(())
}

/// All files of a folder and its subfolders, sorted.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// The entries of a folder, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = read().with_context(|| format!("can't list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}
