//! `finepruner report`: results and report of a run, written again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{print_json, print_text};
use crate::table::wrap_lines;

/// Analyse a run and write its results and its report.
///
/// Files written into the run's folder: results.json (everything, for programs),
/// cells.csv, summary.md and table.tex (to paste), timings.json, and report.html, a
/// single page that needs no network. Where a dataset is a benchmark's, figures.csv has
/// what the benchmark reports of its own (F1, perception and cognition, circular
/// accuracy, ...) with tests. The records are only read, and the same records give the
/// same bytes.
///
/// Examples:
///   finepruner report runs/ablation_a_config
///   finepruner report runs/a --repetition runs/a-again
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ReportArgs {
    /// Folder of a run.
    run: PathBuf,
    /// A second run of the same study, for the noise floor.
    #[arg(long, value_name = "DIR")]
    repetition: Option<PathBuf>,
    /// Print JSON: the whole analysis.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let written = fp_report::write_with(&args.run, args.repetition.as_deref())
        .with_context(|| format!("report of {}", args.run.display()))?;
    if args.json {
        return print_json(&serde_json::json!({
            "analysis": written.analysis,
            "files": written.files,
        }));
    }
    let mut text = written.analysis.verdict.brief();
    for file in &written.files {
        text += &format!("wrote {}\n", file.display());
    }
    print_text(&wrap_lines(&text))
}
