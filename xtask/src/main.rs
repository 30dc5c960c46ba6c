//! Tasks of this workspace: `cargo xtask <task>`.

mod ablate;
mod bench_engine;
mod bench_peers;
mod machine;
mod testbed;
mod train_tiny;

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Parser;

/// Tasks of the FinePruner workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Study A, which attention heads tell best: on the embedded model and benchmark by default.
    AblateA(ablate::Args),
    /// Study B, which query tokens tell best: on the embedded model and benchmark by default.
    AblateB(ablate::Args),
    /// All four phases: A, B with A's best heads, both in full, errors and cases.
    Study(ablate::Args),
    Testbed(testbed::Args),
    /// Score the attention in examples/ under every strategy.
    Demo,
    /// Build everything and run every test, documentation examples included.
    Test,
    /// What continuous integration runs: format, lints, documentation, tests.
    Ci,
    /// Time scoring against PyTorch in one run and write the record.
    BenchPeers(bench_peers::Args),
    /// Time the study engine with and without what it saves, and write the record.
    BenchEngine(bench_engine::Args),
    TrainTiny(train_tiny::Args),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::AblateA(args) => ablate::ablate_a(&args),
        Task::AblateB(args) => ablate::ablate_b(&args),
        Task::Study(args) => ablate::four_phases(&args),
        Task::Testbed(args) => testbed::run_task(&args),
        Task::Demo => demo(),
        Task::Test => test(),
        Task::Ci => ci(),
        Task::BenchPeers(args) => bench_peers::run(&args),
        Task::BenchEngine(args) => bench_engine::run(&args),
        Task::TrainTiny(args) => train_tiny::run_task(&args),
    }
}

fn demo() -> Result<()> {
    cargo(
        "run --release --quiet --package fp-cli -- score examples/attention.safetensors --image-range 5..69 --keep 16",
    )
}

fn test() -> Result<()> {
    cargo("test --workspace --locked")
}

fn ci() -> Result<()> {
    cargo("fmt --all --check")?;
    cargo("clippy --workspace --all-targets --locked -- --deny warnings")?;
    run(Command::new("cargo")
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "--deny warnings"))?;
    test()
}

/// Runs cargo with space-separated arguments at the root of the workspace.
fn cargo(arguments: &str) -> Result<()> {
    run(Command::new("cargo").args(arguments.split(' ')))
}

/// The root of the workspace.
fn root() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/..").to_owned()
}

/// Runs a command at the root of the workspace, showing it first.
fn run(command: &mut Command) -> Result<()> {
    let root = root();
    eprintln!("$ {}", shown(command));
    let status = command
        .current_dir(root)
        .status()
        .with_context(|| format!("can't start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
