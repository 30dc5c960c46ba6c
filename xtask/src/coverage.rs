//! `cargo xtask coverage`: coverage of intervals and error rates of tests, by simulation.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args as ClapArgs;

/// Simulate what the intervals and verdicts of studies hold, and print the table.
///
/// Datasets of known truth, 12 to 400 images, from 0.1 to 20 % disagreement: how often
/// 95 % intervals cover the truth beside those used before, how often a difference at
/// the margin passes for equivalent, how often a family without any difference holds a
/// "better". Seeded; exits with an error where a demand is missed.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// A few points with few datasets each.
    #[arg(long)]
    quick: bool,
    /// Write coverage.md and coverage.json into this folder.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args("run --release --package fp-stats --example interval_coverage --".split(' '));
    if args.quick {
        command.arg("--quick");
    }
    if let Some(folder) = &args.record {
        command.arg("--record").arg(folder);
    }
    crate::run(&mut command)
}
