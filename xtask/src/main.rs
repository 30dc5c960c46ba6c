//! Tasks of this workspace: `cargo xtask <task>`.

mod ablate;
mod bench_engine;
mod bench_peers;
mod bench_report;
mod coverage;
mod cuda_report;
mod cuda_setup;
mod emulated_gpu;
mod fuzz;
mod gpu_bundle;
#[cfg(test)]
mod layout;
mod machine;
mod python;
mod release;
mod testbed;
mod train_tiny;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;

use python::HfEnvironment;

/// Tasks of the FinePruner workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Study A, head-selection strategies: on the embedded model and benchmark by default.
    AblateA(ablate::Args),
    /// Study B, query-selection strategies: on the embedded model and benchmark by default.
    AblateB(ablate::Args),
    /// All four phases: A, B with A's best heads, both in full, errors and cases.
    Study(ablate::Args),
    /// The field's pruning methods at three budgets: on the embedded model and benchmark by
    /// default.
    Methods(ablate::Args),
    Testbed(testbed::Args),
    /// Score the attention in examples/ under every strategy.
    Demo,
    /// Build everything and run every test, documentation examples and the Python package
    /// included.
    Test,
    /// What continuous integration runs: format, lints, documentation, tests.
    Ci {
        /// The CUDA code too: what calls the kernels is linted, and the GPU's tests run in
        /// the emulation; the kernels are compiled by the toolkit of cuda-setup, and must
        /// not spill.
        #[arg(long)]
        cuda: bool,
        /// The tests of `finepruner.hf` too: PyTorch and transformers are fetched from PyPI
        /// meanwhile, into target/.
        #[arg(long)]
        hf: bool,
    },
    /// Time scoring against PyTorch in one run and write the record.
    BenchPeers(bench_peers::Args),
    /// Time the study engine at each level of sharing work, and write the record.
    BenchEngine(bench_engine::Args),
    /// Measure reports of large runs: time, memory, bytes on the disk.
    BenchReport(bench_report::Args),
    Coverage(coverage::Args),
    Fuzz(fuzz::Args),
    TrainTiny(train_tiny::Args),
    CudaSetup(cuda_setup::Args),
    CudaReport(cuda_report::Args),
    GpuBundle(gpu_bundle::Args),
    Wheel(python::Args),
    Release(release::Args),
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::AblateA(args) => ablate::ablate_a(&args),
        Task::AblateB(args) => ablate::ablate_b(&args),
        Task::Study(args) => ablate::four_phases(&args),
        Task::Methods(args) => ablate::methods(&args),
        Task::Testbed(args) => testbed::run_task(&args),
        Task::Demo => demo(),
        Task::Test => test(None),
        Task::Ci { cuda, hf } => ci(cuda, hf),
        Task::BenchPeers(args) => bench_peers::run(&args),
        Task::BenchEngine(args) => bench_engine::run(&args),
        Task::BenchReport(args) => bench_report::run(&args),
        Task::Coverage(args) => coverage::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::TrainTiny(args) => train_tiny::run_task(&args),
        Task::CudaSetup(args) => cuda_setup::run_task(&args),
        Task::CudaReport(args) => cuda_report::run_task(&args),
        Task::GpuBundle(args) => gpu_bundle::run_task(&args),
        Task::Wheel(args) => python::wheel(&args),
        Task::Release(args) => release::run_task(&args),
    }
}

fn demo() -> Result<()> {
    cargo(
        "run --release --quiet --package fp-cli -- score examples/attention.safetensors --image-range 5..69 --keep 16",
    )
}

/// Includes the CUDA kernels in their emulation, compiled by the host's C++ compiler.
const EMULATION: &str = "--features fp-kernels/emulation";
/// Lints also cover the training benchmark, which tests don't run.
const LINTED: &str = "--features fp-kernels/emulation,fp-benches/training";

/// A test that mostly waits for a cluster that it starts; it runs in parallel with the others.
const CLUSTER_TEST: &str = "slurm::whatever_happens_to_tasks_the_bytes_are_the_same";

fn test(hf: Option<HfEnvironment>) -> Result<()> {
    // With the targets named, examples are not linked; lints have compiled them.
    let test = format!("test --workspace --locked {EMULATION}");
    let all = format!("{test} --lib --bins --tests");
    // Built first, so that parallel commands don't wait for builds.
    cargo(&format!("{all} --no-run"))?;
    let of_cluster = format!("{test} --test integration -- {CLUSTER_TEST} --nocapture");
    let cluster = Beside::start(Command::new("cargo").args(of_cluster.split(' ')))?;
    let others = cargo(&format!("{all} -- --skip {CLUSTER_TEST}")).and_then(|()| {
        // Documentation tests mostly compile, while those in Python run.
        let mut python = python::test(hf)?;
        let python = python.as_mut().map(Beside::start).transpose()?;
        let documented = cargo(&format!("{test} --doc"));
        documented.and(python.map_or(Ok(()), Beside::join))
    });
    // Also after a failure, since it stops the cluster that it started.
    let ended = cluster.join();
    others.and(ended)
}

fn ci(cuda: bool, hf: bool) -> Result<()> {
    let hf = hf.then(HfEnvironment::fetch).transpose()?;
    cargo("fmt --all --check")?;
    let lint = format!("clippy --workspace --all-targets --locked {LINTED}");
    let doc = format!("doc --workspace --no-deps --locked {LINTED}");
    if cuda {
        if !cuda_setup::is_done() {
            cuda_setup::run_task(&cuda_setup::Args::default())?;
        }
        // The CUDA code is checked once, together with everything else; the tests below build
        // without it.
        emulated_gpu::with_features(&format!("{lint} -- --deny warnings"))?;
        emulated_gpu::with_features(&doc)?;
    } else {
        cargo(&format!("{lint} -- --deny warnings"))?;
        run(Command::new("cargo")
            .args(doc.split(' '))
            .env("RUSTDOCFLAGS", "--deny warnings"))?;
    }
    test(hf)?;
    if cuda {
        emulated_gpu::test()?;
        cuda_report::check()?;
    }
    Ok(())
}

/// Runs cargo with space-separated arguments at the root of the workspace.
fn cargo(arguments: &str) -> Result<()> {
    run(Command::new("cargo").args(arguments.split(' ')))
}

/// A command running in parallel with later ones; its output is shown when it ends.
struct Beside {
    shown: String,
    /// Its output, and how long it ran.
    output: JoinHandle<(std::io::Result<Output>, Duration)>,
}

impl Beside {
    fn start(command: &mut Command) -> Result<Beside> {
        let shown = shown(command);
        eprintln!("$ {shown} (in parallel with later commands)");
        command
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn();
        let child = child.with_context(|| format!("can't start {shown}"))?;
        Ok(Beside {
            shown,
            output: std::thread::spawn(move || {
                let start = Instant::now();
                (child.wait_with_output(), start.elapsed())
            }),
        })
    }

    /// Waits for the command to end.
    fn join(self) -> Result<()> {
        let Beside { shown, output } = self;
        let output = output.join();
        let (output, time) =
            output.map_err(|_| anyhow!("a thread that waits for {shown} panicked"))?;
        let output = output?;
        eprintln!("$ {shown}");
        print!("{}", String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            bail!("{shown} ended with {}", output.status);
        }
        say_time(time, &shown);
        Ok(())
    }
}

/// The root of the workspace in which cargo started this program; checkouts may share a target
/// folder, and so this program.
fn root() -> String {
    let package = std::env::var("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let root = Path::new(&package).parent();
    root.map_or_else(|| package.clone(), |root| root.display().to_string())
}

/// What cargo says of the workspace.
fn metadata() -> Result<serde_json::Value> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .context("can't start cargo")?;
    serde_json::from_slice(&output.stdout).context("can't read what `cargo metadata` says")
}

/// The folder that cargo builds into.
fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    folder
        .map(PathBuf::from)
        .context("`cargo metadata` names no target folder")
}

/// The names of the workspace's crates.
fn crate_names() -> Result<Vec<String>> {
    let metadata = metadata()?;
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let names = packages
        .iter()
        .filter_map(|package| package["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// The release build of the command-line program.
fn finepruner() -> Result<PathBuf> {
    Ok(target_folder()?.join("release/finepruner"))
}

/// Prints a command, runs it at the root of the workspace and says how long a long one took.
fn run(command: &mut Command) -> Result<()> {
    let root = root();
    let start = Instant::now();
    eprintln!("$ {}", shown(command));
    let status = command
        .current_dir(root)
        .status()
        .with_context(|| format!("can't start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    say_time(start.elapsed(), &shown(command));
    Ok(())
}

/// Says how long a command took, so that a slow one is seen where many run in a row.
fn say_time(time: Duration, shown: &str) {
    let seconds = time.as_secs();
    if seconds >= 10 {
        eprintln!("$ {shown}: {seconds} s");
    }
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
