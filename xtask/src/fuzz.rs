//! `cargo xtask fuzz`: damaged files for every parser of foreign files.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args as ClapArgs;

/// Hand damaged files to every parser of foreign files: images, checkpoints, datasets,
/// answers, runs, configurations.
///
/// Files are sound ones, damaged at random; an input follows from the seed, its parser and
/// its number. An input fails that panics, ends the process, takes more than five seconds
/// of processor time or more than 1 GiB of memory; it is kept in target/fuzz/failures with
/// the command that repeats it, and the exit code is 1. Checks of overflow and debug
/// assertions are on.
///
/// Examples:
///   cargo xtask fuzz --minutes 60
///   cargo xtask fuzz --inputs 100000 --seed 7 --only png
///   cargo xtask fuzz --repeat target/fuzz/failures/png-0123abcd
#[derive(ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Minutes to run; 1 where neither this nor --inputs is given.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Inputs to make, over all parsers; the same ones for the same seed.
    #[arg(long, value_name = "N")]
    inputs: Option<u64>,
    /// Seed of the inputs [default: 1].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only this parser; may be given more than once.
    #[arg(long, value_name = "PARSER")]
    only: Vec<String>,
    /// Processes that run parsers [default: 2].
    #[arg(long, value_name = "N")]
    processes: Option<u64>,
    /// Repeat an input that failed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "inputs", "seed", "only", "json", "record"])]
    repeat: Option<PathBuf>,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
    /// Write fuzz.md into this folder.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // With the same settings as for tests, so that nothing is built twice.
    crate::cargo(&format!(
        "build --workspace --locked {} --bin fp-fuzz",
        crate::EMULATION
    ))?;
    let target = crate::target_folder()?;
    let mut command = Command::new(target.join("debug/fp-fuzz"));
    command.arg("--failures").arg(target.join("fuzz/failures"));
    let numbers = [
        ("--minutes", args.minutes.map(|minutes| minutes.to_string())),
        ("--inputs", args.inputs.map(|inputs| inputs.to_string())),
        ("--seed", args.seed.map(|seed| seed.to_string())),
        ("--processes", args.processes.map(|count| count.to_string())),
    ];
    for (flag, value) in numbers {
        command.args(value.iter().flat_map(|value| [flag, value]));
    }
    for name in &args.only {
        command.args(["--only", name]);
    }
    for (flag, path) in [("--repeat", &args.repeat), ("--record", &args.record)] {
        if let Some(path) = path {
            command.arg(flag).arg(std::path::absolute(path)?);
        }
    }
    if args.json {
        command.arg("--json");
    }
    crate::run(&mut command)
}
