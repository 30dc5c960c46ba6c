//! Tasks of this workspace: `cargo xtask <task>`.

mod ablate;
mod bench_engine;
mod bench_peers;
mod cuda_report;
mod cuda_setup;
mod gpu_bundle;
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
    Ci {
        /// The CUDA kernels and what calls them too, by the tool kit of cuda-setup.
        #[arg(long)]
        cuda: bool,
    },
    /// Time scoring against PyTorch in one run and write the record.
    BenchPeers(bench_peers::Args),
    /// Time the study engine with and without what it saves, and write the record.
    BenchEngine(bench_engine::Args),
    TrainTiny(train_tiny::Args),
    CudaSetup(cuda_setup::Args),
    CudaReport(cuda_report::Args),
    GpuBundle(gpu_bundle::Args),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::AblateA(args) => ablate::ablate_a(&args),
        Task::AblateB(args) => ablate::ablate_b(&args),
        Task::Study(args) => ablate::four_phases(&args),
        Task::Testbed(args) => testbed::run_task(&args),
        Task::Demo => demo(),
        Task::Test => test(),
        Task::Ci { cuda } => ci(cuda),
        Task::BenchPeers(args) => bench_peers::run(&args),
        Task::BenchEngine(args) => bench_engine::run(&args),
        Task::TrainTiny(args) => train_tiny::run_task(&args),
        Task::CudaSetup(args) => cuda_setup::run_task(&args),
        Task::CudaReport(args) => cuda_report::run_task(&args),
        Task::GpuBundle(args) => gpu_bundle::run_task(&args),
    }
}

fn demo() -> Result<()> {
    cargo(
        "run --release --quiet --package fp-cli -- score examples/attention.safetensors --image-range 5..69 --keep 16",
    )
}

/// Also the CUDA kernels, in their emulation, by the host's C++ compiler.
const EMULATION: &str = "--features fp-kernels/emulation";

fn test() -> Result<()> {
    cargo(&format!("test --workspace --locked {EMULATION}"))
}

fn ci(cuda: bool) -> Result<()> {
    cargo("fmt --all --check")?;
    cargo(&format!(
        "clippy --workspace --all-targets --locked {EMULATION} -- --deny warnings"
    ))?;
    run(Command::new("cargo")
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "--deny warnings"))?;
    test()?;
    if cuda {
        cuda_setup::run_task(&cuda_setup::Args::default())?;
        // Without the tensor library's own kernels, which build for a quarter of an hour.
        let packages = "--package fp-kernels --package fp-scoring --features fp-scoring/cuda";
        cargo(&format!(
            "clippy {packages} --all-targets --locked -- --deny warnings"
        ))?;
        cargo(&format!("test {packages} --locked"))?;
    }
    Ok(())
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
