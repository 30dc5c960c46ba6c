//! `finepruner selections`: exports the tokens that a cell of a run kept, as a selection file.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use fp_eval::study::{Records, SampleRecord, read_spec, selections_of_run};

use super::output_file::OutputFile;
use super::{print_json, print_text};

/// Export the tokens that a cell of a run kept, as a file for --selection.
///
/// One JSON line per sample: {"id", "site", "kept"}, or {"id", "stages": [...]}
/// for a method of several stages. With `finepruner study --selection FILE` it is
/// compared as a separate method; selections made by other programs have the same
/// form.
///
/// Examples:
///   finepruner selections runs/a --cell variance+last_token/h4/R42 \
///     --output mine.jsonl
///   finepruner study --config configs/ablation_a_config.json \
///     --selection mine.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SelectionsArgs {
    /// The run's folder.
    run: PathBuf,
    /// The cell's id, as in cells.csv.
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
    let spec = read_spec(&args.run)?;
    let lines = |records: &[SampleRecord]| {
        selections_of_run(&spec, records, &args.cell)
            .map_err(|reason| anyhow!("{}: {reason}", args.run.display()))
    };
    // An unknown cell is an error even if the run has no records.
    lines(&[])?;
    let count = output.write_with(|file| {
        let mut count = 0;
        Records::open(&args.run)?.stream(&spec, |records| {
            let text = lines(&records)?;
            count += text.lines().count();
            anyhow::Ok(file.write_all(text.as_bytes())?)
        })?;
        anyhow::Ok(count)
    })?;
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
