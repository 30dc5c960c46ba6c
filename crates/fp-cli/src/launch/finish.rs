//! `finepruner launch finish`: merges a launch's shards and reports.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use fp_eval::format::counted;
use fp_eval::study::{SPEC_FILE, merge};
use fp_launch::{FinishState, LaunchError, LaunchFolder, Manifest, ManifestLock, Status, now};
use fp_report::Failures;

use crate::commands::{Incomplete, print_json, print_text};

/// Merge the shards of a launch and write its report.
///
/// If shards are unfinished, they are listed and nothing is merged.
///
/// Examples:
///   finepruner launch finish runs/gqa
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FinishArgs {
    /// Folder of the launch.
    folder: PathBuf,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &FinishArgs) -> Result<()> {
    let folder = LaunchFolder::new(&args.folder);
    let manifest = Manifest::read(&folder)?;
    let _lock = ManifestLock::take(&folder)?;
    let outcome = finish(&folder, &manifest);
    let message = match &outcome {
        Ok(failures) if failures.is_empty() => format!(
            "{} in {}",
            counted(failures.num_recorded, "sample"),
            folder.run().display()
        ),
        Ok(failures) => format!(
            "{} in {}; {}",
            counted(failures.num_recorded, "sample"),
            folder.run().display(),
            failures.first().join("; ")
        ),
        Err(error) => fp_scoring::error_text(error.as_ref()),
    };
    FinishState {
        time: now(),
        is_done: outcome.is_ok(),
        message: message.clone(),
    }
    .write(&folder)?;
    let failures = outcome?;
    if args.json {
        print_json(&serde_json::json!({
            "run": folder.run(),
            "num_samples": failures.num_recorded,
            "num_shards": manifest.shards.len(),
            "failures": failures,
        }))?;
    } else {
        print_text(&format!("{message}\n"))?;
    }
    Incomplete::check(&failures, manifest.allow_failed)
}

fn finish(folder: &LaunchFolder, manifest: &Manifest) -> Result<Failures> {
    let run = folder.run();
    if !run.join(SPEC_FILE).is_file() {
        let status = Status::read(folder, manifest)?;
        if !status.is_complete() {
            return Err(LaunchError::Unfinished {
                path: folder.path().to_owned(),
                shards: status.unfinished(),
            }
            .into());
        }
        merge_whole(folder, manifest, &run)?;
    }
    fp_report::write(&run).with_context(|| format!("report of {}", run.display()))?;
    Ok(Failures::of(&fp_report::Run::read(&run)?))
}

/// Merges into a temporary folder and moves it to the run's path, so that the run is complete or
/// absent.
fn merge_whole(folder: &LaunchFolder, manifest: &Manifest, run: &Path) -> Result<()> {
    let shards = (1..=manifest.shards.len()).map(|shard| folder.shard(shard));
    let part = run.with_extension("part");
    if part.is_dir() {
        // Left by a merge that was killed; only this program holds the launch's lock.
        std::fs::remove_dir_all(&part)
            .with_context(|| format!("cannot remove {}", part.display()))?;
    }
    merge(&part, &shards.collect::<Vec<_>>())?;
    std::fs::rename(&part, run)
        .with_context(|| format!("cannot move {} to {}", part.display(), run.display()))
}
