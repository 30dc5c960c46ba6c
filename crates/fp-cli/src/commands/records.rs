//! `finepruner records`: prints the records of a run as JSON lines.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fp_eval::study::{Records, read_spec};

use super::output_file::OutputFile;
use super::{print_json, print_text};
use crate::failure::note_output;

/// Print what a run recorded: a line of JSON per sample.
///
/// Runs keep their records in compressed blocks (records.blocks; the last samples
/// of a run that isn't finished in records.jsonl). This prints all of them as the
/// lines that they stand for, in the order of running: {"crc32": "...", "sample":
/// {...}}, the checksum being that of the sample's JSON. "sample" holds the
/// question, the distinct runs of the model ("runs": kept tokens, answer, score,
/// margin) and per cell of the grid which of them answers it ("cells", in the
/// order of run.json's grid.cells). Shards and merged runs are read alike, and so
/// are folders of versions that kept lines alone. A run may be read while it is in
/// progress.
///
/// Examples:
///   finepruner records runs/a | head -n 1
///   finepruner records runs/a \
///     | jq -r '.sample | [.id, .runs[.cells[0].run].text] | @tsv'
///   finepruner records runs/a --output a.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RecordsArgs {
    /// The run's folder.
    run: PathBuf,
    /// Write the lines to a file in place of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON. Without --output the lines are JSON already; with it: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &RecordsArgs) -> Result<()> {
    // Refuses folders that aren't runs, and unknown format versions.
    read_spec(&args.run)?;
    let Some(path) = &args.output else {
        let mut out = std::io::stdout().lock();
        note_output();
        write_lines(&args.run, &mut out)?;
        return Ok(out.flush()?);
    };
    let output = OutputFile::at("--output", path)?;
    let num_samples = output.write_with(|file| write_lines(&args.run, file))?;
    if args.json {
        return print_json(&serde_json::json!({
            "output": path,
            "num_samples": num_samples,
        }));
    }
    print_text(&format!(
        "wrote the records of {num_samples} samples to {}",
        path.display()
    ))
}

/// Writes the lines; returns their number.
fn write_lines(run: &Path, out: &mut dyn Write) -> Result<usize> {
    let records = Records::open(run)?;
    records.lines(|lines| Ok::<_, anyhow::Error>(out.write_all(lines)?))?;
    Ok(records.num_samples())
}
