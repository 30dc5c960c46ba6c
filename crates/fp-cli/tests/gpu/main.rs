//! `--device cuda` with the emulated CUDA libraries of `kernels/emulation/driver`: whole commands,
//! and machines whose GPU can't be used. If those libraries are not in LD_LIBRARY_PATH, every test
//! prints that it checked nothing, and passes: `cargo xtask ci --cuda` sets the path.
#![cfg(unix)]

mod refused;
mod whole;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fp-model/tests/golden");
const ALL: [&str; 3] = ["libcuda.so", "libcublas.so", "libcurand.so"];

/// A machine: the libraries that its loader finds, and the reports of the emulated driver.
struct Machine {
    missing: &'static str,
    variables: &'static [(&'static str, &'static str)],
    device: &'static str,
    /// Parts of the expected sentence.
    says: &'static [&'static str],
}

/// Folder of the emulated libraries.
fn libraries() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("LD_LIBRARY_PATH")?)
        .find(|folder| ALL.iter().all(|library| folder.join(library).is_file()))
}

/// A machine with a GPU, or only its CPU.
fn sound(device: &'static str) -> Machine {
    Machine {
        missing: "",
        variables: &[],
        device,
        says: &[],
    }
}

fn started(from: &Path, machine: &Machine, arguments: &[&str]) -> Output {
    let found = tempfile::tempdir().unwrap();
    for library in ALL.iter().filter(|library| **library != machine.missing) {
        symlink(from.join(library), found.path().join(library)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_finepruner"));
    command
        .args(arguments)
        .args(["--device", machine.device])
        .env_clear()
        .env("LD_LIBRARY_PATH", found.path());
    for (name, value) in machine.variables {
        command.env(format!("FINEPRUNER_EMULATED_{name}"), value);
    }
    command.output().unwrap()
}
