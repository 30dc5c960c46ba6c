//! CUDA libraries that are loaded at run time, and where they are searched for.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as Loaded, RTLD_GLOBAL, RTLD_NOW};

/// A library and its possible file names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Library {
    /// Name in messages.
    title: &'static str,
    /// File names, newest version first.
    files: &'static [&'static str],
    /// Libraries that it depends on, which are installed beside it.
    needs: &'static [&'static str],
    /// Python package that contains it.
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

/// Folders of NVIDIA's Python packages in site-packages that hold libraries.
const IN_PACKAGES: [&str; 3] = ["nvidia/cu13/lib", "nvidia/cublas/lib", "nvidia/curand/lib"];
/// Folders of a toolkit that hold libraries.
const IN_TOOLKITS: [&str; 3] = ["lib64", "lib", "targets/x86_64-linux/lib"];

/// A library that was not found.
#[derive(Debug, thiserror::Error)]
#[error(
    "{title} is missing: {} is neither in the loader's path nor in {}; install it with \
     `pip install {package}` in an active virtual environment, or name its folder in \
     LD_LIBRARY_PATH",
    files.join(" or "), places(searched)
)]
pub struct LibraryMissing {
    /// Name of the library.
    pub title: &'static str,
    /// Its possible file names.
    pub files: &'static [&'static str],
    /// Python package that contains it.
    pub package: &'static str,
    /// Folders that were searched, besides the loader's own.
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

/// Loads `library` for the whole process, from the system loader's path, a Python environment or
/// a toolkit. Later requests to the loader then find it.
pub(super) fn find(library: &Library) -> Result<(), LibraryMissing> {
    if library.files.iter().any(|file| load(Path::new(file))) {
        return Ok(());
    }
    let searched = folders();
    for folder in &searched {
        // Its dependencies may not be on the loader's path either.
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

/// Loads a file permanently; false if that fails.
fn load(file: &Path) -> bool {
    // SAFETY: the initialisers of a CUDA library set up only the library itself.
    match unsafe { Loaded::open(Some(file), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            true
        }
        Err(_) => false,
    }
}

/// Existing folders, in search order.
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

/// Folders that Python imports from: those of the active environment, of PYTHONPATH, of the
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

/// Package folders under `prefix`/lib, newest Python version first.
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

/// Entries of a folder whose names begin with `start`, sorted.
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
