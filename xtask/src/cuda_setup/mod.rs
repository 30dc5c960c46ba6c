//! `cargo xtask cuda-setup`: a CUDA toolkit for builds with the feature `cuda`.
//!
//! For any toolkit, `.cuda/toolkit` links to it and `.cuda/libclang` to the library with which
//! bindgen reads headers, so that build scripts and `.cargo/cuda.toml` need no environment
//! variables.

mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{root, run};

/// Pinned packages of the toolkit.
const PINS: &str = include_str!("../../cuda-toolkit.txt");
/// Libraries that are linked against stubs, and loaded at run time from the driver's or the
/// toolkit's folders, if at all.
const STUBS: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];

/// Finds a CUDA toolkit (CUDA_HOME, CUDA_PATH, nvcc on PATH) or installs a pinned one
/// from PyPI into .cuda, and compiles, links and starts a trial program with it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install the pinned toolkit even where another one is found.
    #[arg(long)]
    pinned: bool,
    /// The Python that makes the folder the packages go into.
    #[arg(long, env = "FINEPRUNER_PYTHON", default_value = "python3")]
    python: PathBuf,
}

impl Default for Args {
    fn default() -> Args {
        Args {
            pinned: false,
            python: PathBuf::from("python3"),
        }
    }
}

/// Whether .cuda links to a toolkit.
pub(crate) fn is_done() -> bool {
    Path::new(&root()).join(".cuda/toolkit/bin/nvcc").is_file()
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let folder = Path::new(&root()).join(".cuda");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let found = if args.pinned { None } else { find_toolkit() };
    let needs_libclang = std::env::var_os("LIBCLANG_PATH").is_none();
    if found.is_none() {
        install(&folder, &args.python, |_| true)?;
    } else if needs_libclang {
        install(&folder, &args.python, |package| package == "libclang")?;
    }
    let toolkit = match found {
        Some(toolkit) => toolkit,
        None => {
            let toolkit = site_packages(&folder)?.join("nvidia/cu13");
            complete(&toolkit)?;
            toolkit
        }
    };
    link(&folder.join("toolkit"), &toolkit)?;
    let libclang = match std::env::var_os("LIBCLANG_PATH") {
        Some(path) => PathBuf::from(path),
        None => site_packages(&folder)?.join("clang/native"),
    };
    link(&folder.join("libclang"), &libclang)?;

    println!("toolkit   {}", toolkit.display());
    println!("libclang   {}", libclang.display());
    trial::run_trial(&toolkit)?;
    println!(
        "\nKernels alone:  cargo build --package fp-kernels --features cuda\n\
         Everything:     cargo --config .cargo/cuda.toml build --release --features cuda"
    );
    Ok(())
}

/// The toolkit named in the environment, or the one whose nvcc is on PATH.
fn find_toolkit() -> Option<PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from);
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|paths| {
        std::env::split_paths(&paths)
            .filter_map(|folder| folder.join("nvcc").canonicalize().ok())
            .filter_map(|nvcc| Some(nvcc.parent()?.parent()?.to_owned()))
            .collect::<Vec<_>>()
    });
    named
        .chain(on_path)
        .filter_map(|folder| folder.canonicalize().ok())
        .find(|folder| folder.join("bin/nvcc").is_file())
}

/// Installs those pinned packages for which `is_wanted` holds, unless that was done before.
fn install(folder: &Path, python: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    let wanted: Vec<&str> = PINS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(|line| line.split("==").next().is_some_and(&is_wanted))
        .collect();
    let (stamp, mark) = (folder.join("installed.txt"), wanted.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == mark) {
        return Ok(());
    }
    run(Command::new(python).args(["-m", "venv"]).arg(folder))
        .context("can't make a virtual environment; give another Python with --python")?;
    run(Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(&wanted))
    .context("can't install the toolkit from PyPI; or set CUDA_HOME to one that is there")?;
    fs::write(&stamp, mark).with_context(|| format!("can't write {}", stamp.display()))
}

fn site_packages(folder: &Path) -> Result<PathBuf> {
    let output = Command::new(folder.join("bin/python"))
        .args([
            "-c",
            "import sysconfig; print(sysconfig.get_path('purelib'))",
        ])
        .output()
        .with_context(|| format!("can't start the Python of {}", folder.display()))?;
    ensure!(
        output.status.success(),
        "the Python of {} doesn't run: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

/// Adds what the packages lack: stubs to link against, which every full toolkit has, and the static
/// runtime under the name with which dependencies link.
fn complete(toolkit: &Path) -> Result<()> {
    let stubs = toolkit.join("lib/stubs");
    fs::create_dir_all(&stubs).with_context(|| format!("can't make {}", stubs.display()))?;
    for name in STUBS {
        let library = stubs.join(format!("lib{name}.so"));
        if !library.exists() {
            let soname = format!("-Wl,-soname,lib{name}.so.1");
            run(Command::new("cc")
                .args(["-shared", "-x", "c", "/dev/null", &soname, "-o"])
                .arg(&library))?;
        }
    }
    link(
        &stubs.join("libcudart.a"),
        Path::new("../libcudart_static.a"),
    )
}

/// Makes the symbolic link `link` point to `target`, replacing an earlier link.
fn link(link: &Path, target: &Path) -> Result<()> {
    if link.is_symlink() {
        fs::remove_file(link).with_context(|| format!("can't replace {}", link.display()))?;
    } else if link.exists() {
        bail!(
            "{} exists but isn't a symbolic link; remove it",
            link.display()
        );
    }
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, link);
    #[cfg(not(unix))]
    let made: std::io::Result<()> = Err(std::io::ErrorKind::Unsupported.into());
    made.with_context(|| format!("can't link {} to {}", link.display(), target.display()))
}
