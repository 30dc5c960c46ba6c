//! The GPU's tests on the host: launchers that run in the emulation, with a driver, cuBLAS and
//! cuRAND whose device is the host.
//!
//! The tensor library is compiled with its feature `cuda` but without nvcc: its own kernels are
//! missing, and calling one gives an error with its name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{crate_names, root, run, target_folder};

/// Features that enable the CUDA code with emulated launchers, without the tensor library's.
pub(crate) const FEATURES: &str = "cuda,fp-kernels/emulated-gpu";
/// The same including the model.
const MODEL_FEATURES: &str =
    "fp-cli/cuda,fp-model/emulated-gpu,fp-scoring/emulated-gpu,fp-benches/cuda,fp-benches/training";
const NVCC: &str = include_str!("emulated_gpu/nvcc.sh");
const RUSTC: &str = include_str!("emulated_gpu/rustc.sh");
/// Libraries that are named for linking and loaded at run time.
const LINKED: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];

/// Each library's name, its sources, and the further arguments that it needs.
const LIBRARIES: [(&str, &[&str], &[&str]); 3] = [
    (
        "cuda",
        &[
            "driver.cc",
            "state.cc",
            "order.cc",
            "streams.cc",
            "modules.cc",
        ],
        &[],
    ),
    ("cublas", &["blas.cc"], &["-l:libcuda.so", BESIDE]),
    ("curand", &["rand.cc"], &[]),
];
/// Lets a library find libcuda.so in its own folder, independent of the program's path.
const BESIDE: &str = "-Wl,-rpath,$ORIGIN";

/// Builds the driver, cuBLAS and cuRAND into `folder`.
pub(crate) fn build_libraries(folder: &Path) -> Result<()> {
    make(folder)?;
    let sources = PathBuf::from(root()).join("kernels/emulation/driver");
    for (name, files, needed) in LIBRARIES {
        run(Command::new("c++")
            .args(["-std=c++17", "-O3", "-ffp-contract=off", "-Wall", "-Wextra"])
            .args(["-shared", "-fPIC", "-o"])
            .arg(folder.join(format!("lib{name}.so")))
            .args(files.iter().map(|file| sources.join(file)))
            .arg("-L")
            .arg(folder)
            .args(needed))?;
    }
    Ok(())
}

/// Lints or documents all CUDA code, including the model's, with cargo and these arguments.
pub(crate) fn with_features(arguments: &str) -> Result<()> {
    let folder = target_folder()?.join("emulated-gpu");
    let toolkit = make_toolkit(&folder)?;
    let (before, after) = arguments.split_once(" -- ").unwrap_or((arguments, ""));
    let mut cargo = Command::new("cargo");
    cargo
        .args(before.split(' '))
        .args(["--features", MODEL_FEATURES]);
    if !after.is_empty() {
        cargo.arg("--").args(after.split(' '));
    }
    cargo.env("RUSTDOCFLAGS", "--deny warnings");
    run(with(&mut cargo, &toolkit))
}

/// Runs the GPU host's tests on this machine.
pub(crate) fn test() -> Result<()> {
    let folder = target_folder()?.join("emulated-gpu");
    let libraries = folder.join("lib");
    build_libraries(&libraries)?;
    let toolkit = make_toolkit(&folder)?;
    let mut tests = Command::new("cargo");
    // The emulation computes in C++ and in crates that are always optimized; the others are built
    // a second time for it, six times as fast when they aren't.
    for name in crate_names()?.iter().filter(|name| *name != "fp-kernels") {
        tests.arg(format!("--config=profile.dev.package.{name}.opt-level=0"));
    }
    tests
        .args(["test", "--workspace", "--locked"])
        .args(["--features", MODEL_FEATURES])
        .args(["--test", "gpu", "--test", "emulated_gpu"])
        .env("LD_LIBRARY_PATH", libraries);
    run(with(&mut tests, &toolkit))
}

/// Sets the toolkit and the wrapper around rustc in the environment.
fn with<'a>(command: &'a mut Command, toolkit: &Path) -> &'a mut Command {
    command
        .env("CUDA_HOME", toolkit)
        .env("CUDA_PATH", toolkit)
        .env("NVCC", toolkit.join("bin/nvcc"))
        .env("CUDA_COMPUTE_CAP", "80")
        .env("RUSTC_WRAPPER", toolkit.join("bin/rustc"))
}

/// Creates a toolkit that compiles nothing, for building the tensor library; returns its folder.
fn make_toolkit(folder: &Path) -> Result<PathBuf> {
    let toolkit = folder.join("toolkit");
    for inner in ["bin", "include", "lib/stubs", "lib64"] {
        make(&toolkit.join(inner))?;
    }
    write_program(&toolkit.join("bin/nvcc"), NVCC)?;
    write_program(&toolkit.join("bin/rustc"), RUSTC)?;
    let stubs = toolkit.join("lib/stubs");
    for name in LINKED {
        let library = stubs.join(format!("lib{name}.so"));
        if !library.exists() {
            run(Command::new("cc")
                .args(["-shared", "-x", "c", "/dev/null", "-o"])
                .arg(library))?;
        }
    }
    let runtime = stubs.join("libcudart.a");
    if !runtime.exists() {
        run(Command::new("ar").arg("rcs").arg(runtime))?;
    }
    Ok(toolkit)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))
}

/// Writes a program unless it exists unchanged, since a newer file would cause a rebuild.
fn write_program(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let wrong = || format!("can't write {}", file.display());
    fs::write(file, text).with_context(wrong)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).with_context(wrong)
}
