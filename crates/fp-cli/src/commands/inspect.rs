//! `finepruner inspect`: what a checkpoint is, and what it lacks.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fp_eval::study::model_folder;
use fp_model::{Inspection, inspect};
use serde::Serialize;

use super::{print_json, print_text};

/// Say what a checkpoint is, whether it will run, and what is missing.
///
/// Reads headers, configuration and tokenizer alone, so a folder of any size takes a
/// moment. Ends with code 2 where something stands against running it.
///
/// Examples:
///   finepruner inspect llava-1.5-7b-hf
///   finepruner inspect embedded
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct InspectArgs {
    /// A checkpoint's folder, Hugging Face's layout or the original one, or embedded for the
    /// shipped model.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Folder of the vision tower, for the original layout; looked for beside the checkpoint.
    #[arg(long, value_name = "DIR")]
    vision_tower: Option<PathBuf>,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// What was found, for programs.
#[derive(Serialize)]
struct Record<'a> {
    is_complete: bool,
    #[serde(flatten)]
    found: &'a Inspection,
}

/// Runs the command.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let folder = model_folder(&args.model)?;
    let found = inspect(&folder, args.vision_tower.as_deref())?;
    if args.json {
        let is_complete = found.is_complete();
        print_json(&Record {
            is_complete,
            found: &found,
        })?;
    } else {
        print_text(&found.to_string())?;
    }
    if found.is_complete() {
        return Ok(());
    }
    let counts = [
        (found.problems.len(), "problem"),
        (found.missing_files.len(), "missing file"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    bail!("{} can't be run: {}", folder.display(), counts.join(", "))
}
