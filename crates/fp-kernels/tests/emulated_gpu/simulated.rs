//! Machines whose GPU can't be used, each simulated in its own process.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use fp_kernels::cuda::preflight;

use super::libraries;

const CUDA: &str = "libcuda.so";
const BLAS: &str = "libcublas.so";
const RAND: &str = "libcurand.so";
const INDEX: &str = "FINEPRUNER_TEST_GPU";

/// Prints the preflight's result in this process.
#[test]
#[ignore = "started by the other tests of this file"]
fn report() {
    let index = std::env::var(INDEX).map_or(0, |index| index.parse().unwrap());
    match preflight(index) {
        Ok(gpu) => println!("usable: {gpu:?}"),
        Err(error) => println!("refused: {error}"),
    }
}

/// The preflight's output in a process with these libraries and variables.
fn said(found: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    for library in found {
        symlink(libraries()?.join(library), dir.path().join(library)).unwrap();
    }
    Some(said_in(dir.path(), variables))
}

fn said_in(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["simulated::report", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env("LD_LIBRARY_PATH", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.contains("usable: ") || line.contains("refused: "));
    line.unwrap_or_else(|| panic!("{output:?}")).to_owned()
}

fn check(found: &[&str], variables: &[(&str, &str)], expected: &[&str]) {
    let Some(text) = said(found, variables) else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    for part in expected {
        assert!(text.contains(part), "`{part}` in {text}");
    }
}

const ALL: [&str; 3] = [CUDA, BLAS, RAND];

#[test]
fn a_gpu_that_can_be_used() {
    check(
        &ALL,
        &[],
        &["usable: ", "emulated on the host", "(9, 0)", "13000"],
    );
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_CAPABILITY", "80")],
        &["usable: "],
    );
}

#[test]
fn no_driver() {
    check(
        &[],
        &[],
        &[
            "refused: this machine has no CUDA driver",
            "install",
            "--device cpu",
        ],
    );
}

#[test]
fn an_old_driver() {
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_DRIVER_VERSION", "12080")],
        &["is for CUDA 12.8", "needs CUDA 13.0", "install driver 580"],
    );
}

#[test]
fn no_gpu_and_another_gpu() {
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_DEVICES", "0")],
        &["finds no GPU", "nvidia-smi -L"],
    );
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_DEVICES", "2"), (INDEX, "3")],
        &["no GPU 3", "below 2"],
    );
}

#[test]
fn an_old_gpu() {
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_CAPABILITY", "75")],
        &["compute capability 7.5", "8.0", "Ampere"],
    );
}

#[test]
fn no_cublas_and_no_curand() {
    check(
        &[CUDA, RAND],
        &[],
        &[
            "cuBLAS is missing",
            "libcublas.so.13",
            "pip install nvidia-cublas",
            "LD_LIBRARY_PATH",
        ],
    );
    check(
        &[CUDA, BLAS],
        &[],
        &["cuRAND is missing", "pip install nvidia-curand"],
    );
}

#[test]
fn too_little_memory() {
    check(
        &ALL,
        &[("FINEPRUNER_EMULATED_MEMORY", "104857600")],
        &["100 MiB of 100 MiB free", "512 MiB", "nvidia-smi"],
    );
}

#[test]
fn libraries_of_a_virtual_environment() {
    let Some(from) = libraries() else { return };
    for (blas, rand) in [
        ("nvidia/cu13/lib", "nvidia/cu13/lib"),
        ("nvidia/cublas/lib", "nvidia/curand/lib"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let packages = dir.path().join("lib/python3.12/site-packages");
        let driver = dir.path().join("driver");
        std::fs::create_dir_all(&driver).unwrap();
        symlink(from.join(CUDA), driver.join(CUDA)).unwrap();
        for (folder, library, file) in [
            (blas, BLAS, "libcublas.so.13"),
            (rand, RAND, "libcurand.so.10"),
        ] {
            let folder = packages.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            symlink(from.join(library), folder.join(file)).unwrap();
        }
        let prefix = dir.path().to_str().unwrap();
        let text = said_in(&driver, &[("VIRTUAL_ENV", prefix)]);
        assert!(text.contains("usable: "), "{text}");
        let packages = packages.to_str().unwrap();
        let text = said_in(&driver, &[("PYTHONPATH", packages)]);
        assert!(text.contains("usable: "), "{text}");
        // Without them the error lists the searched folders.
        std::fs::remove_file(Path::new(packages).join(blas).join("libcublas.so.13")).unwrap();
        let text = said_in(&driver, &[("VIRTUAL_ENV", prefix)]);
        assert!(
            text.contains("cuBLAS is missing") && text.contains(blas),
            "{text}"
        );
    }
}
