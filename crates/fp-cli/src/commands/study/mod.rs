//! `finepruner study`: runs a configuration, records every sample, and reports.

pub(crate) mod background;
mod efficiency;
mod figures;
mod outcome;
pub(crate) mod overrides;
mod phases;
mod progress;
mod run_args;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use fp_eval::format::counted;
use fp_eval::study::{
    MemoryNeeds, RunOptions, RunSpec, RunSummary, StudyConfig, StudyError, model_notes,
};
use fp_report::{Failures, Written};

use super::{Incomplete, say_resident, warn};
use crate::interrupt::Watch;
use overrides::Overrides;
use progress::ProgressLine;
pub(crate) use progress::duration;
pub(crate) use run_args::RunArgs;

/// Run a study: every strategy, budget and head count on every sample, and report.
///
/// Every finished sample is saved to disk. The same command resumes a study that
/// was interrupted (Ctrl-C) or killed; a folder of a run with another
/// configuration, other data or other weights is refused.
///
/// Examples:
///   finepruner study --config configs/ablation_a_config.json
///   finepruner study --config configs/ablation_a_config.json --quick
///   finepruner study --config configs/original_a.json --model llava-1.5-7b-hf \
///     --dataset data/gqa --shard 1/4 --output runs/gqa-1
///   finepruner study --phases --model llava-1.5-7b-hf --dataset data/gqa
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct StudyArgs {
    /// Study configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run the shipped studies one after the other, each using the result of the one
    /// before: A, head selection; B, query selection with A's heads; the full evaluation
    /// of both with baselines, time and memory; errors and cases. Their folders are a, b
    /// and full in --output [default: runs/study].
    #[arg(long, conflicts_with_all = [
        "config", "no_report", "efficiency", "shard", "baseline", "head_selection_strategy",
        "query_selection_strategy", "fixed_head_selection", "fixed_query_selection",
    ])]
    phases: bool,
    /// Run folder [default: runs/NAME, after the configuration's file name].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print JSON: one object with a result per cell, or with --phases one object for all studies.
    #[arg(long)]
    json: bool,
    /// Only record samples; don't write a report.
    #[arg(long)]
    no_report: bool,
    /// Afterwards measure time, throughput and memory of every budget by itself, for the
    /// report, as `finepruner efficiency --run DIR` does.
    #[arg(long)]
    efficiency: bool,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    overrides: Overrides,
}

impl StudyArgs {
    fn finish(&self) -> Finish {
        Finish {
            json: self.json,
            report: !self.no_report,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &StudyArgs) -> Result<()> {
    if args.phases {
        return phases::run(args);
    }
    let path = overrides::config_path(args.config.as_deref())?;
    let mut config = args.overrides.to_run(overrides::read_config(&path)?)?;
    if args.efficiency {
        config.efficiency.get_or_insert_default();
    }
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(&path, &args.overrides, &args.run)?,
    };
    execute(&config, output, &args.run, &args.finish())
}

/// Steps after a finished run.
pub(super) struct Finish {
    pub(super) json: bool,
    pub(super) report: bool,
}

/// A finished run.
struct Done {
    summary: RunSummary,
    /// Questions and answers that failed.
    failures: Failures,
    report: Option<Written>,
    /// Whether time and memory were measured, if requested; the records are complete in any case.
    measured: Result<()>,
}

/// Runs a study and prints the outcome.
pub(super) fn execute(
    config: &StudyConfig,
    output: PathBuf,
    args: &RunArgs,
    finish: &Finish,
) -> Result<()> {
    warn(&model_notes(config));
    let watch = Watch::start().context("cannot watch for signals")?;
    let done = carry_out(config, output, args, finish, &watch)?;
    if finish.json {
        outcome::print_as_json(&done.summary, done.report.as_ref())?;
    } else {
        outcome::print(&done.summary, done.report.as_ref())?;
    }
    done.measured?;
    Incomplete::check(&done.failures, args.allow_failed)
}

/// Warns before the run about settings without any effect, and about datasets with missing images,
/// whose folder may not be filled yet.
fn warn_at_start(spec: &RunSpec) {
    warn(&spec.grid.without_effect(&spec.model.shape));
    let lacking = spec.datasets.iter().filter(|d| d.num_missing_images > 0);
    let notes: Vec<String> = lacking
        .map(|dataset| {
            format!(
                "{} of {} of {} {} have no image file and will fail; `finepruner data check` \
                 names them",
                dataset.num_missing_images,
                counted(dataset.num_samples, "question"),
                dataset.name,
                dataset.split
            )
        })
        .collect();
    warn(&notes);
}

/// Reports the planned use of GPU memory, before weights are read.
fn say_memory(needs: &MemoryNeeds, free: u64) {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    eprintln!(
        "memory: {needs}; {:.1} of {:.1} GiB that are free on the GPU",
        gib(needs.total()),
        gib(free)
    );
}

/// Runs a study, measures it and writes its report.
fn carry_out(
    config: &StudyConfig,
    output: PathBuf,
    args: &RunArgs,
    finish: &Finish,
    watch: &Watch,
) -> Result<Done> {
    watch.begin();
    let options = RunOptions {
        stop: watch.flag(),
        wind_down: watch.wind_down(),
        started: warn_at_start,
        planned: say_memory,
        predicted: say_resident,
        ..args.options(output)
    };
    let mut line = ProgressLine::new(finish.json);
    let outcome = fp_eval::study::run(config, &options, &mut |progress| line.show(progress));
    line.end();
    let folder = &options.output;
    let summary = match outcome {
        Err(StudyError::Stopped { done, total, .. }) => {
            return Err(watch.interrupted(folder, done, total).into());
        }
        outcome => outcome.map_err(|error| of_run(error, folder))?,
    };
    watch.finish(folder, summary.num_samples);
    let failures = Failures::of(&fp_report::Run::read(folder)?);
    // If a shard has no answer, other shards of the study may still have some.
    anyhow::ensure!(
        args.is_shard() || !failures.is_total(),
        "all {} failed, and there is nothing to report: {}; `finepruner records {}` lists every reason",
        counted(failures.num_recorded, "question"),
        failures.first().join("; "),
        folder.display()
    );
    let measured = match config.efficiency {
        Some(settings) => efficiency::measure_run(&summary, settings, &options, args, finish.json),
        None => Ok(()),
    };
    // A shard isn't reported: the report is written when the shards are merged.
    let report = if finish.report && !args.is_shard() {
        Some(report(&summary)?)
    } else {
        None
    };
    Ok(Done {
        summary,
        failures,
        report,
        measured: measured
            .context("the records are complete, but time and memory were not measured"),
    })
}

/// An error of a run, with its folder; settings, datasets and files of selections are refused before
/// there is one, and their errors name their own files.
fn of_run(error: StudyError, folder: &Path) -> anyhow::Error {
    let is_before = matches!(
        error,
        StudyError::Config(_)
            | StudyError::Selections(_)
            | StudyError::Dataset(_)
            | StudyError::Several(_)
    );
    let error = anyhow::Error::new(error);
    if is_before {
        error
    } else {
        error.context(format!("run in {}", folder.display()))
    }
}

/// Writes the report of a finished run.
fn report(summary: &RunSummary) -> Result<Written> {
    let folder = &summary.output;
    fp_report::write(folder).with_context(|| format!("report of {}", folder.display()))
}

/// `runs/` and the name of the configuration; quick runs and shards have their own suffix.
fn default_output(config: &Path, overrides: &Overrides, run: &RunArgs) -> Result<PathBuf> {
    let name = config
        .file_stem()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no name", config.display()))?;
    let quick = if overrides.quick { "-quick" } else { "" };
    let shard = run.shard_name();
    Ok(Path::new("runs").join(format!("{name}{quick}{shard}")))
}
