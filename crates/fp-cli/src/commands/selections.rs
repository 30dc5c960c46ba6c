//! `finepruner selections`: what a cell of a run kept, as a file of selections.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use fp_eval::study::{read_records, read_spec, selections_of_run};

use super::output_file::OutputFile;
use super::{print_json, print_text};

/// Write what a cell of a run kept as a file that --selection takes.
///
/// One JSON line per sample: {"id", "site", "kept"}, or {"id", "stages": [...]} for a
/// method of several stages. With `finepruner study --selection FILE` it is compared as a
/// method of its own; selections that were made elsewhere have the same form.
///
/// Examples:
///   finepruner selections runs/a --cell variance+last_token/h4/R42 --output mine.jsonl
///   finepruner study --config configs/ablation_a_config.json --selection mine.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SelectionsArgs {
    /// The run's folder.
    run: PathBuf,
    /// The cell's id, as cells.csv has it.
    #[arg(long, value_name = "ID")]
    cell: String,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &SelectionsArgs) -> Result<()> {
    let output = OutputFile::at("--output", &args.output)?;
    let (spec, records) = (read_spec(&args.run)?, read_records(&args.run)?);
    let text = selections_of_run(&spec, &records, &args.cell)
        .map_err(|reason| anyhow!("{}: {reason}", args.run.display()))?;
    output.write(text.as_bytes())?;
    let count = text.lines().count();
    if args.json {
        return print_json(&serde_json::json!({
            "output": args.output,
            "cell": args.cell,
            "num_samples": count,
        }));
    }
    print_text(&format!(
        "wrote the selections of {count} samples to {}",
        args.output.display()
    ))
}
