//! `finepruner report`: regenerates results and report of a run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use fp_report::{Analysis, Failures};
use serde::Serialize;

use super::{Incomplete, print_json, print_text};
use crate::table::wrap_lines;

/// Analyse a run and write its results and its report.
///
/// Files written into the run's folder: results.json (everything, for programs),
/// cells.csv, summary.md and table.tex (to paste), timings.json, and report.html,
/// a single page that needs no network. For benchmarks, figures.csv has the
/// benchmark's own metrics (F1, perception and cognition, circular accuracy, ...)
/// with tests. The records are only read, and the same records give the same
/// bytes.
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
    /// Exit with code 0, not 3, even if questions or single answers failed.
    #[arg(long)]
    allow_failed: bool,
    /// Print JSON: the whole analysis.
    #[arg(long)]
    json: bool,
}

/// The written results, for JSON.
#[derive(Serialize)]
struct Reported<'a> {
    /// All failures; omitted where everything was answered.
    #[serde(skip_serializing_if = "Failures::is_empty")]
    failures: &'a Failures,
    analysis: &'a Analysis,
    files: &'a [PathBuf],
}

/// Runs the command.
pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let written = fp_report::write_with(&args.run, args.repetition.as_deref())
        .with_context(|| format!("report of {}", args.run.display()))?;
    let failures = &written.analysis.failures;
    if args.json {
        print_json(&Reported {
            failures,
            analysis: &written.analysis,
            files: &written.files,
        })?;
        return Incomplete::check(failures, args.allow_failed);
    }
    let mut text = written.analysis.verdict.brief();
    for file in &written.files {
        text += &format!("wrote {}\n", file.display());
    }
    print_text(&wrap_lines(&text))?;
    Incomplete::check(failures, args.allow_failed)
}
