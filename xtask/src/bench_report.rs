//! Time and memory of reports, and the size of records on disk, for runs of any size.
//!
//! The runs are generated, with records like those of the embedded benchmark; see
//! `crates/fp-report/examples/made_up_run.rs`. A report runs in a program of its own, which prints
//! its figures.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::machine::{load_average, machine};

/// What is measured, and where the record goes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Samples of a run, each under 102 cells; more than once for several runs.
    #[arg(long, required = true)]
    samples: Vec<usize>,
    /// Put the questions on one image far apart in the data, as some benchmarks do.
    #[arg(long)]
    apart: bool,
    /// Threads of the report.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Folder that report.md is written to [default: print it].
    #[arg(long)]
    record: Option<PathBuf>,
    /// Keep the runs, in target/bench-report.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    crate::cargo("build --release --quiet --package fp-report --example made_up_run")?;
    let root = PathBuf::from(crate::root());
    let program = root.join("target/release/examples/made_up_run");
    let mut table = String::from(
        "| samples | cells | records | bytes a sample | report | peak memory | results.json | near-ties |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for &samples in &args.samples {
        let folder = root.join(format!("target/bench-report/{samples}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let count = samples.to_string();
        let mut make = vec!["make", path(&folder)?, &count];
        make.extend(args.apart.then_some("apart"));
        start(args, &program, &make)?;
        let records = std::fs::metadata(folder.join("records.blocks"))?.len();
        let said = start(args, &program, &["report", path(&folder)?])?;
        let said: Value = serde_json::from_str(&said).context("what the report says")?;
        let number = |key: &str| said[key].as_f64().unwrap_or(f64::NAN);
        let results = std::fs::metadata(folder.join("results.json"))?.len();
        let mb = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
        writeln!(
            table,
            "| {samples} | {} | {} | {:.0} | {:.1} s | {} | {:.1} MB | {} |",
            said["cells"],
            mb(records as f64),
            records as f64 / samples as f64,
            number("seconds"),
            mb(number("peak_bytes")),
            results as f64 / 1e6,
            said["near_ties"],
        )?;
        if !args.keep {
            std::fs::remove_dir_all(&folder)?;
        }
    }
    let load = load_average().map_or(String::new(), |load| {
        format!(" Load average at the end: {load}.")
    });
    let apart = if args.apart { " --apart" } else { "" };
    let samples = args.samples.iter().map(|n| format!(" --samples {n}"));
    let text = format!(
        "# Reports of large runs\n\n{} {} threads.{load}\n\n\
         `cargo xtask bench-report{}{apart}`\n\n{table}",
        machine(),
        args.threads,
        samples.collect::<String>(),
    );
    match &args.record {
        None => print!("{text}"),
        Some(record) => {
            std::fs::create_dir_all(record)?;
            std::fs::write(record.join("report.md"), text)?;
        }
    }
    Ok(())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Runs the program and returns its output.
fn start(args: &Args, program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("RAYON_NUM_THREADS", args.threads.to_string())
        .output()
        .with_context(|| program.display().to_string())?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {message}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
