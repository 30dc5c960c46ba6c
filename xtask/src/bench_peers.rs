//! Benchmark of scoring against PyTorch, in one run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::machine::machine;

/// Where the record goes and which Python computes the peer's side.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A Python that has torch and safetensors.
    #[arg(long, env = "FINEPRUNER_PYTHON", default_value = "python3")]
    python: PathBuf,

    /// Folder that the record is written to, such as benches/record/cpu/2026-11-23.
    #[arg(long)]
    record: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let record = root.join(&args.record);
    let work = root.join("target/bench-peers");
    let probe = Command::new(&args.python)
        .args(["-c", "import torch, safetensors"])
        .output();
    let probe = probe.with_context(|| format!("can't start {}", args.python.display()))?;
    ensure!(
        probe.status.success(),
        "{} has no torch or no safetensors; give one that has with --python or FINEPRUNER_PYTHON",
        args.python.display()
    );
    super::run(Command::new("cargo").args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "fp-benches",
        "--bin",
        "score-timings",
        "--",
        "target/bench-peers",
    ]))?;
    let table = Command::new(&args.python)
        .arg(root.join("benches/peers/score_strategies.py"))
        .arg(&work)
        .output()
        .context("can't run the peer")?;
    ensure!(
        table.status.success(),
        "the peer failed: {}",
        String::from_utf8_lossy(&table.stderr)
    );
    let table = String::from_utf8_lossy(&table.stdout);
    print!("{table}");
    std::fs::create_dir_all(&record).with_context(|| format!("can't make {}", record.display()))?;
    std::fs::copy(
        work.join("record.json"),
        record.join("score_strategies.json"),
    )
    .context("can't write the record")?;
    let text = format!(
        "# The nine head strategies, l1, h = 16 of 32, kept tokens included\n\n{machine}\n\n{table}\n\
         `cargo xtask bench-peers --record {folder}` wrote this: both sides in one run, on the same\n\
         attention and number of threads; median of each side's runs. Kept sets are compared where\n\
         no cut is within 1e-5 of the range of its scores.\n",
        machine = machine(),
        folder = args.record.display(),
    );
    std::fs::write(record.join("score_strategies.md"), text).context("can't write the record")
}
