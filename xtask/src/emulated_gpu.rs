//! The GPU's tests on the host: launchers that run in the emulation, beside a driver,
//! cuBLAS and cuRAND whose device is the host.
//!
//! The tensor library is compiled with its feature `cuda` and without nvcc: its own kernels
//! are not there, and what calls one is told its name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{root, run, target_folder};

/// What turns on the CUDA code with emulated launchers, without the tensor library's.
pub(crate) const FEATURES: &str = "cuda,fp-kernels/emulated-gpu";
/// The same with the model.
const MODEL_FEATURES: &str =
    "fp-cli/cuda,fp-model/emulated-gpu,fp-scoring/emulated-gpu,fp-benches/cuda,fp-benches/training";
const NVCC: &str = include_str!("emulated_gpu/nvcc.sh");
const RUSTC: &str = include_str!("emulated_gpu/rustc.sh");
/// Libraries that are named when linking and loaded when running.
const LINKED: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];

/// Each library's name, sources and what it needs beside.
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
/// Finds libcuda.so beside the library that needs it, whatever the program's own path.
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

/// Lints all CUDA code, the model's too.
pub(crate) fn lint() -> Result<()> {
    let folder = target_folder()?.join("emulated-gpu");
    let toolkit = make_toolkit(&folder)?;
    let mut clippy = Command::new("cargo");
    clippy
        .args(["clippy", "--workspace", "--all-targets", "--locked"])
        .args(["--features", MODEL_FEATURES])
        .args(["--", "--deny", "warnings"]);
    run(with(&mut clippy, &toolkit))
}

/// Runs the tests that a GPU host runs, here.
pub(crate) fn test() -> Result<()> {
    let folder = target_folder()?.join("emulated-gpu");
    let libraries = folder.join("lib");
    build_libraries(&libraries)?;
    let toolkit = make_toolkit(&folder)?;
    let mut tests = Command::new("cargo");
    tests
        .args(["test", "--workspace", "--locked"])
        .args(["--features", MODEL_FEATURES])
        .args(["--test", "gpu", "--test", "emulated_gpu"])
        .env("LD_LIBRARY_PATH", libraries);
    run(with(&mut tests, &toolkit))
}

/// With the toolkit and the wrapper around rustc in the environment.
fn with<'a>(command: &'a mut Command, toolkit: &Path) -> &'a mut Command {
    command
        .env("CUDA_HOME", toolkit)
        .env("CUDA_PATH", toolkit)
        .env("NVCC", toolkit.join("bin/nvcc"))
        .env("CUDA_COMPUTE_CAP", "80")
        .env("RUSTC_WRAPPER", toolkit.join("bin/rustc"))
}

/// A toolkit that compiles nothing, for the tensor library's build; its folder.
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

/// Writes a program unless it is there: a newer file would rebuild what it built.
fn write_program(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let wrong = || format!("can't write {}", file.display());
    fs::write(file, text).with_context(wrong)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).with_context(wrong)
}
