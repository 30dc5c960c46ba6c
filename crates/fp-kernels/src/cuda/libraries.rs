//! Libraries of CUDA that are loaded when the program runs, and where they may be.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as Loaded, RTLD_GLOBAL, RTLD_NOW};

/// A library and the names that it comes under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Library {
    /// What it is called in messages.
    title: &'static str,
    /// Names of its file, the newest first.
    files: &'static [&'static str],
    /// What it needs and what lies beside it.
    needs: &'static [&'static str],
    /// Its Python package.
    package: &'static str,
}

pub(super) const CUBLAS: Library = Library {
    title: "cuBLAS",
    files: &["libcublas.so", "libcublas.so.13", "libcublas.so.12"],
    needs: &["libcublasLt.so.13", "libcublasLt.so.12"],
    package: "nvidia-cublas",
};
pub(super) const CURAND: Library = Library {
    title: "cuRAND",
    files: &["libcurand.so", "libcurand.so.10"],
    needs: &[],
    package: "nvidia-curand",
};

/// Where Python packages of NVIDIA's keep libraries, in site-packages.
const IN_PACKAGES: [&str; 3] = ["nvidia/cu13/lib", "nvidia/cublas/lib", "nvidia/curand/lib"];
/// Where a toolkit keeps them.
const IN_TOOLKITS: [&str; 3] = ["lib64", "lib", "targets/x86_64-linux/lib"];

/// A library that is nowhere.
#[derive(Debug, thiserror::Error)]
#[error(
    "{title} is missing: {} is neither in the loader's path nor in {}; install it with \
     `pip install {package}` in an active virtual environment, or name its folder in \
     LD_LIBRARY_PATH",
    files.join(" or "), places(searched)
)]
pub struct LibraryMissing {
    /// What it is called.
    pub title: &'static str,
    /// Names of its file.
    pub files: &'static [&'static str],
    /// The Python package that brings it.
    pub package: &'static str,
    /// Folders that were looked in, beside the loader's own.
    pub searched: Vec<PathBuf>,
}

fn places(searched: &[PathBuf]) -> String {
    if searched.is_empty() {
        return "any Python environment or CUDA toolkit".to_owned();
    }
    let shown: Vec<String> = searched
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    shown.join(", ")
}

/// Loads `library` for the whole process: from where the system's loader finds it, or from
/// a Python environment or a toolkit. Who asks the loader for it later gets it.
pub(super) fn find(library: &Library) -> Result<(), LibraryMissing> {
    if library.files.iter().any(|file| load(Path::new(file))) {
        return Ok(());
    }
    let searched = folders();
    for folder in &searched {
        // What it needs may not be on its own path either.
        for needed in library.needs {
            load(&folder.join(needed));
        }
        if library.files.iter().any(|file| load(&folder.join(file))) {
            return Ok(());
        }
    }
    Err(LibraryMissing {
        title: library.title,
        files: library.files,
        package: library.package,
        searched,
    })
}

/// Loads a file for good; false if that fails.
fn load(file: &Path) -> bool {
    // SAFETY: a library of CUDA, whose initialisers set up nothing but itself.
    match unsafe { Loaded::open(Some(file), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// Folders that exist, in the order they are looked in.
fn folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for packages in site_packages() {
        found.extend(IN_PACKAGES.iter().map(|inner| packages.join(inner)));
    }
    for toolkit in toolkits() {
        found.extend(IN_TOOLKITS.iter().map(|inner| toolkit.join(inner)));
    }
    let mut seen = BTreeSet::new();
    found.retain(|folder| folder.is_dir() && seen.insert(folder.clone()));
    found
}

/// Folders that Python imports from: of the active environment, of PYTHONPATH, of the
/// Python on PATH, and of the user.
fn site_packages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .filter_map(env::var_os)
        .flat_map(|prefix| of_prefix(Path::new(&prefix)))
        .collect();
    found.extend(env::split_paths(&variable("PYTHONPATH")));
    for folder in env::split_paths(&variable("PATH")) {
        if folder.join("python3").is_file()
            && let Some(prefix) = folder.parent()
        {
            found.extend(of_prefix(prefix));
            found.extend(of_prefix(&prefix.join("local")));
        }
    }
    if let Some(home) = env::var_os("HOME") {
        found.extend(of_prefix(&PathBuf::from(home).join(".local")));
    }
    found
}

/// Package folders under `prefix`/lib, the newest Python first.
fn of_prefix(prefix: &Path) -> Vec<PathBuf> {
    let mut pythons = entries(&prefix.join("lib"), "python3");
    pythons.reverse();
    let inner = ["site-packages", "dist-packages"];
    pythons
        .iter()
        .flat_map(|python| inner.map(|name| python.join(name)))
        .collect()
}

fn toolkits() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os)
        .map(PathBuf::from)
        .collect();
    found.extend(entries(Path::new("/usr/local"), "cuda"));
    found
}

/// What begins with `start` in a folder, sorted.
fn entries(folder: &Path, start: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_default()
}
