//! The GPU's tests on the host: launchers that run in the emulation, beside a driver
//! whose device is the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{root, run, target_folder};

/// What turns on the CUDA code with emulated launchers.
pub(crate) const FEATURES: &str = "cuda,fp-kernels/emulated-gpu";

/// Builds the driver into `folder`.
pub(crate) fn build_driver(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let source = PathBuf::from(root()).join("kernels/emulation/driver/driver.cc");
    run(Command::new("c++")
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-o"])
        .arg(folder.join("libcuda.so"))
        .arg(source))
}

/// Runs the tests that a GPU host runs, here.
pub(crate) fn test() -> Result<()> {
    let folder = target_folder()?.join("emulated-gpu");
    build_driver(&folder)?;
    run(Command::new("cargo")
        .args([
            "test",
            "--locked",
            "--package",
            "fp-scoring",
            "--test",
            "gpu",
        ])
        .args(["--features", FEATURES])
        .env("LD_LIBRARY_PATH", folder))
}
