//! `finepruner merge`: pieces of a run put together.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use fp_eval::study;

use super::{print_json, print_text};

/// Put the pieces of a study together that were run with --shard.
///
/// The new folder holds what the study run in one piece holds, whatever the order of
/// the pieces. Pieces of different studies, or with samples missing, are refused.
///
/// Examples:
///   finepruner merge runs/gqa runs/gqa-1 runs/gqa-2 runs/gqa-3 runs/gqa-4
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct MergeArgs {
    /// Folder to write, new or empty.
    output: PathBuf,
    /// Folders of the pieces.
    #[arg(required = true)]
    pieces: Vec<PathBuf>,
    /// Merge only, without a report.
    #[arg(long)]
    no_report: bool,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &MergeArgs) -> Result<()> {
    let num_samples = study::merge(&args.output, &args.pieces)?;
    let files = match args.no_report {
        true => Vec::new(),
        false => {
            fp_eval::report::write(&args.output)
                .with_context(|| format!("report of {}", args.output.display()))?
                .files
        }
    };
    if args.json {
        return print_json(&serde_json::json!({
            "output": args.output,
            "num_samples": num_samples,
            "num_pieces": args.pieces.len(),
            "report": files,
        }));
    }
    let mut text = format!(
        "{num_samples} samples of {} pieces in {}\n",
        args.pieces.len(),
        args.output.display()
    );
    for file in &files {
        text += &format!("wrote {}\n", file.display());
    }
    print_text(&text)
}
