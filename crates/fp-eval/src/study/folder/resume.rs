//! Checks whether a run can be resumed.

use std::path::Path;

use super::{SPEC_FILE, write_spec};
use crate::study::error::StudyError;
use crate::study::hashes;
use crate::study::spec::{DatasetSpec, RunSpec};
use crate::study::subset::{Subset, SubsetRule};

/// Checks whether a run may be resumed with the current settings.
pub(super) fn go_on(
    path: &Path,
    old: &RunSpec,
    new: &RunSpec,
    accept_changes: bool,
) -> Result<(), StudyError> {
    let changes = changes(old, new).map_err(StudyError::json(path.join(SPEC_FILE)))?;
    if changes.is_empty() {
        return Ok(());
    }
    if !accept_changes {
        return Err(StudyError::Changed {
            path: path.to_owned(),
            changes,
        });
    }
    let reason = if old.grid.cells != new.grid.cells {
        Some("it has different cells")
    } else if old.num_samples != new.num_samples {
        Some("it has a different number of samples")
    } else if old.shard != new.shard {
        Some("it is another shard")
    } else if old.shard_plan != new.shard_plan {
        Some("its images were assigned to shards by another rule")
    } else if !chosen_otherwise(old, new).is_empty() {
        Some("its samples were chosen differently")
    } else {
        None
    };
    if let Some(reason) = reason {
        return Err(StudyError::Incompatible {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
    }
    let mut spec = new.clone();
    spec.accepted_changes = old.accepted_changes.clone();
    spec.accepted_changes.extend(changes);
    write_spec(path, &spec)
}

/// Difference of a shard with the same number that holds other images.
const OTHER_SHARING: &str = "images assigned to shards by another rule";

/// The differences between two runs, in words.
pub(crate) fn changes(old: &RunSpec, new: &RunSpec) -> Result<Vec<String>, serde_json::Error> {
    let mut changes = Vec::new();
    if old.config_sha256 != new.config_sha256 {
        let keys = hashes::changed_keys(&old.config, &new.config)?;
        changes.push(format!("another configuration ({})", keys.join(", ")));
    }
    if old.datasets.len() != new.datasets.len() {
        changes.push("a different number of datasets".to_owned());
    } else {
        changes.extend(chosen_otherwise(old, new));
        // If other samples are run, other images are hashed, even if the data are the same.
        let pairs = old.datasets.iter().zip(&new.datasets);
        changes.extend(
            pairs
                .filter(|(old, new)| old.subset == new.subset && old.sha256 != new.sha256)
                .map(|(old, _)| format!("other data ({} {})", old.name, old.split)),
        );
    }
    if old.selections != new.selections {
        changes.push("other selections in a file".to_owned());
    }
    if old.model.sha256 != new.model.sha256 {
        let changed = old
            .model
            .files
            .iter()
            .filter(|file| !new.model.files.contains(file));
        let names: Vec<&str> = changed.map(|file| file.name.as_str()).collect();
        changes.push(format!("another model ({})", names.join(", ")));
    }
    if let (Some(before), Some(now)) = (&old.model.products, &new.model.products)
        && before.rounding != now.rounding
    {
        changes.push(format!(
            "products that are rounded differently ({} on {}, now {} on {})",
            before.rounding, before.instructions, now.rounding, now.instructions
        ));
    }
    let clip = |spec: &RunSpec| spec.clip.as_ref().map(|clip| clip.sha256.clone());
    if clip(old) != clip(new) {
        changes.push("another CLIP model".to_owned());
    }
    let shard = |spec: &RunSpec| spec.shard.map_or("the whole".to_owned(), |s| s.to_string());
    if old.shard != new.shard {
        changes.push(format!("shard {} instead of {}", shard(old), shard(new)));
    } else if old.shard_plan != new.shard_plan {
        changes.push(OTHER_SHARING.to_owned());
    }
    Ok(changes)
}

/// Datasets of which other samples are run, in words.
fn chosen_otherwise(old: &RunSpec, new: &RunSpec) -> Vec<String> {
    let pairs = old.datasets.iter().zip(&new.datasets);
    pairs
        .filter(|(old, new)| old.subset != new.subset)
        .map(|(old, new)| {
            let (before, now) = (chosen(old), chosen(new));
            let (name, split) = (&old.name, &old.split);
            format!("other samples of {name} {split} ({before}, now {now})")
        })
        .collect()
}

/// Which samples of a dataset are run, in words.
fn chosen(dataset: &DatasetSpec) -> String {
    let count = dataset.num_samples;
    match &dataset.subset {
        None => format!("its first {count}"),
        Some(Subset {
            rule: SubsetRule::SpreadOverImages,
            seed,
            of,
        }) => format!("{count} of {of} spread over its images with seed {seed}"),
    }
}
