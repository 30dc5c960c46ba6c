//! `finepruner merge`: the shards of a run merged into one.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use fp_eval::format::counted;
use fp_eval::study;
use fp_report::Failures;

use super::{Incomplete, print_json, print_text};

/// Merge the shards of a study that was run with --shard.
///
/// The new folder holds what the study would hold if run in one go, whatever the order
/// of the shards. Shards of different studies and missing samples are errors.
///
/// Examples:
///   finepruner merge runs/gqa runs/gqa-1 runs/gqa-2 runs/gqa-3 runs/gqa-4
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct MergeArgs {
    /// Folder to write: new or empty.
    output: PathBuf,
    /// Folders of the shards.
    #[arg(required = true)]
    shards: Vec<PathBuf>,
    /// Merge only, write no report.
    #[arg(long)]
    no_report: bool,
    /// Exit with code 0, not 3, though questions or single answers failed.
    #[arg(long)]
    allow_failed: bool,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &MergeArgs) -> Result<()> {
    let num_samples = study::merge(&args.output, &args.shards)?;
    let files = if args.no_report {
        Vec::new()
    } else {
        fp_report::write(&args.output)
            .with_context(|| format!("report of {}", args.output.display()))?
            .files
    };
    let failures = Failures::of(&fp_report::Run::read(&args.output)?);
    if args.json {
        let mut object = serde_json::json!({
            "output": args.output,
            "num_samples": num_samples,
            "num_pieces": args.shards.len(),
            "report": files,
        });
        if !failures.is_empty() {
            object["failures"] = serde_json::to_value(&failures)?;
        }
        print_json(&object)?;
        return Incomplete::check(&failures, args.allow_failed);
    }
    let mut text = failures.text();
    text += &format!(
        "{num_samples} samples from {} in {}\n",
        counted(args.shards.len(), "shard"),
        args.output.display()
    );
    for file in &files {
        text += &format!("wrote {}\n", file.display());
    }
    print_text(&text)?;
    Incomplete::check(&failures, args.allow_failed)
}
