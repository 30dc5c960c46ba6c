//! `cargo xtask gpu-bundle`: everything that a GPU host without Rust needs, in one archive.

#[cfg(all(test, unix))]
mod runner;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{cuda_setup, emulated_gpu, root, run};

/// Largest acceptable size of the archive in bytes.
const MAX_BYTES: u64 = 50_000_000;
const CONFIG: [&str; 2] = ["--config", ".cargo/cuda.toml"];
/// Libraries that are loaded at their first call, if at all.
const CUDA: [&str; 5] = [
    "libcuda.",
    "libcudart",
    "libcublas",
    "libcurand",
    "libnvrtc",
];
const PEERS: [&str; 5] = [
    "score_strategies.py",
    "gpu_model.py",
    "gpu_select.py",
    "gpu_study.py",
    "gpu_summary.py",
];
/// Files that finepruner's study on a GPU host needs.
const STUDY: [&str; 8] = [
    "configs/ablation_a_config.json",
    "assets/finepruner-tiny/config.json",
    "assets/finepruner-tiny/generation_config.json",
    "assets/finepruner-tiny/preprocessor_config.json",
    "assets/finepruner-tiny/tokenizer.json",
    "assets/finepruner-tiny/tokenizer_config.json",
    "assets/finepruner-tiny/model.safetensors",
    "assets/benchmark/select",
];

/// Builds the GPU's tests and benchmarks and finepruner, strips them and packs them with
/// peers, the shipped model and questions, and a runner. There, unpack and start run.sh.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the archive goes.
    #[arg(long, default_value = "target/gpu-bundle/finepruner-gpu.tar.xz")]
    output: PathBuf,
    /// Leave finepruner out: it takes the tensor library's own kernels, which build for long.
    #[arg(long)]
    kernels_only: bool,
    /// With launchers that run in the emulation and a driver whose device is the host: the
    /// same bundle and runner, for a machine without a GPU. Takes no toolkit, but libclang.
    #[arg(long, conflicts_with = "output")]
    emulated: bool,
    /// The profile to build in.
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let root = PathBuf::from(root());
    ensure!(
        args.emulated || cuda_setup::is_done(),
        "no toolkit in .cuda; run `cargo xtask cuda-setup`"
    );
    let work = root.join("target/gpu-bundle");
    let name = if args.emulated {
        "finepruner-emulated-gpu"
    } else {
        "finepruner-gpu"
    };
    let bundle = work.join(name);
    if bundle.exists() {
        fs::remove_dir_all(&bundle).with_context(|| format!("can't clear {}", bundle.display()))?;
    }
    for folder in ["bin", "peers"] {
        let folder = bundle.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    let tests = [
        "test",
        "--no-run",
        "--package",
        "fp-scoring",
        "--test",
        "gpu",
    ];
    let benches = [
        "test",
        "--no-run",
        "--package",
        "fp-benches",
        "--bench",
        "gpu",
    ];
    let binary = ["build", "--package", "fp-cli", "--bin", "finepruner"];
    let timings = ["build", "--package", "fp-model", "--example", "gpu_timings"];
    let mut wanted = vec![("kernel-tests", &tests[..]), ("kernel-bench", &benches[..])];
    if !args.kernels_only && !args.emulated {
        wanted.push(("finepruner", &binary[..]));
        wanted.push(("model-timings", &timings[..]));
        for path in STUDY {
            copy_all(&root.join(path), &bundle.join(path))?;
        }
    }
    for (name, command) in wanted {
        let built = build(&root, command, args)?;
        let packed = bundle.join("bin").join(name);
        fs::copy(&built, &packed).with_context(|| format!("can't copy {}", built.display()))?;
        run(Command::new("strip").arg(&packed))?;
        check_needed(&packed)?;
    }
    for peer in PEERS {
        copy(
            &root.join("benches/peers").join(peer),
            &bundle.join("peers").join(peer),
        )?;
    }
    copy(&root.join("benches/gpu/run.sh"), &bundle.join("run.sh"))?;
    if args.emulated {
        emulated_gpu::build_libraries(&bundle.join("lib"))?;
        println!("start {}", bundle.join("run.sh").display());
        return Ok(());
    }
    pack(&work, name, &root.join(&args.output))
}

/// Runs cargo with the feature `cuda` and returns the executable that it built.
fn build(root: &Path, command: &[&str], args: &Args) -> Result<PathBuf> {
    let features = match (args.emulated, command.contains(&"--bench")) {
        (true, _) => emulated_gpu::FEATURES,
        (false, true) => "cuda,peers",
        (false, false) => "cuda",
    };
    let mut cargo = Command::new("cargo");
    cargo
        .args(CONFIG)
        .args(command)
        .args([
            "--locked",
            "--features",
            features,
            "--profile",
            &args.profile,
        ])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .stderr(Stdio::inherit());
    eprintln!("$ {}", crate::shown(&cargo));
    let output = cargo.output().context("can't start cargo")?;
    ensure!(
        output.status.success(),
        "cargo {} ended with {}",
        command.join(" "),
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables
        .next_back()
        .with_context(|| format!("cargo {} built no executable", command.join(" ")))
}

/// Refuses an executable that needs a CUDA library to start: it must start without one and report
/// what is missing.
fn check_needed(executable: &Path) -> Result<()> {
    let output = Command::new("readelf")
        .args(["--dynamic", "--wide"])
        .arg(executable)
        .output()
        .context("can't start readelf")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let cuda = needed(&text).find(|library| CUDA.iter().any(|name| library.starts_with(name)));
    match cuda {
        _ if !output.status.success() => bail!("readelf can't read {}", executable.display()),
        Some(library) => bail!(
            "{} needs {library} to start; build it through .cargo/cuda.toml",
            executable.display()
        ),
        None => Ok(()),
    }
}

/// The needed libraries listed in readelf's output.
fn needed(dynamic: &str) -> impl Iterator<Item = &str> {
    dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(library, _)| library)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("can't copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies a file, or a folder with its content.
fn copy_all(from: &Path, to: &Path) -> Result<()> {
    let folder = if from.is_dir() { Some(to) } else { to.parent() };
    if let Some(folder) = folder {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    if !from.is_dir() {
        return copy(from, to);
    }
    let wrong = || format!("can't read {}", from.display());
    for entry in fs::read_dir(from).with_context(wrong)? {
        let entry = entry.with_context(wrong)?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Packs everything into one archive; the compression dictionary is large enough to find
/// repetitions between binaries.
fn pack(work: &Path, bundle: &str, archive: &Path) -> Result<()> {
    if let Some(folder) = archive.parent() {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    run(Command::new("tar")
        .arg("-C")
        .arg(work)
        .args(["--owner=0", "--group=0", "--sort=name", "-cJf"])
        .arg(archive)
        .arg(bundle)
        .env("XZ_OPT", "--lzma2=preset=6,dict=128MiB"))?;
    let bytes = fs::metadata(archive)
        .with_context(|| format!("can't read {}", archive.display()))?
        .len();
    println!("{} has {:.1} MB", archive.display(), bytes as f64 / 1e6);
    ensure!(
        bytes < MAX_BYTES,
        "the archive has {bytes} bytes, more than the limit of {MAX_BYTES}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_an_executable_needs() {
        let text = " 0x0000000000000001 (NEEDED)             Shared library: [libcuda.so.1]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n \
                    0x000000000000000c (INIT)               0x1000\n";
        assert_eq!(
            needed(text).collect::<Vec<_>>(),
            ["libcuda.so.1", "libc.so.6"]
        );
    }
}
