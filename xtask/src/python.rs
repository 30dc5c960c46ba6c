//! The Python package: `cargo xtask wheel`, and its tests in `cargo xtask test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};

use crate::{EMULATION, cargo, root, run, target_folder};

/// The package that builds wheels.
const MATURIN: &str = "maturin>=1.9,<2";
/// The library that cargo builds for the package.
const LIBRARY: &str = "libfinepruner_native.so";
/// Packages for running the tests and checking types.
const TESTED_WITH: [&str; 3] = ["numpy", "pytest", "mypy"];
/// Further packages for the tests of `finepruner.hf`.
const HF_TESTED_WITH: [&str; 3] = ["torch", "transformers", "pillow"];
/// Seconds to wait for packages: PyTorch is several gigabytes.
const PATIENCE: &str = "900";
/// Exit code of `timeout` after stopping its command.
const TIMED_OUT: i32 = 124;
/// Largest acceptable size of a wheel in bytes, to keep downloads short.
const MOST_BYTES: u64 = 30_000_000;
/// Shipped files that the package includes: folder and file extensions.
const SHIPPED: [(&str, &[&str]); 3] = [
    ("finepruner-tiny", &["json", "safetensors", "md"]),
    ("benchmark/select", &["json", "jsonl", "png"]),
    ("benchmark/confirm", &["json", "jsonl", "png"]),
];

/// Builds the wheel of the Python package into target/wheels, with the shipped model and
/// benchmark in it. Where there is no maturin it comes from PyPI into a virtual environment
/// under target/.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Then install the wheel into an environment of its own and run the tests on it.
    #[arg(long)]
    check: bool,
    /// Also write a source distribution, from which pip builds the package where Rust is.
    #[arg(long)]
    sdist: bool,
    /// The Python that makes the virtual environments.
    #[arg(long, env = "FINEPRUNER_PYTHON", default_value = "python3")]
    python: PathBuf,
}

pub(crate) fn wheel(args: &Args) -> Result<()> {
    let target = target_folder()?;
    let maturin = maturin(&args.python, &target.join("python/build"))?;
    let assets = Path::new(&root()).join("crates/fp-python/python/finepruner/assets");
    // Files shipped by an earlier version are removed.
    if assets.exists() {
        fs::remove_dir_all(&assets).with_context(|| format!("can't empty {}", assets.display()))?;
    }
    for (folder, endings) in SHIPPED {
        let from = Path::new(&root()).join("assets").join(folder);
        copy(&from, &assets.join(folder), endings)?;
    }
    let wheels = target.join("wheels");
    let mut commands = vec![vec![
        "build",
        "--profile=wheel",
        "--locked",
        "--compression-level=9",
    ]];
    commands.extend(args.sdist.then(|| vec!["sdist"]));
    for command in commands {
        run(Command::new(&maturin)
            .args(command)
            .arg("--out")
            .arg(&wheels))?;
    }
    fs::remove_dir_all(&assets).with_context(|| format!("can't remove {}", assets.display()))?;
    let wheel = newest(&wheels)?;
    let size = fs::metadata(&wheel)?.len();
    println!("{} ({:.1} MB)", wheel.display(), size as f64 / 1e6);
    if size > MOST_BYTES {
        println!("the wheel should have {MOST_BYTES} bytes at most and has {size}");
    }
    if args.check {
        let installed = environment(&args.python, &target.join("python/installed"), &TESTED_WITH)?;
        run(Command::new(installed.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--force-reinstall",
            ])
            .arg(&wheel))?;
        run(Command::new(installed.join("bin/finepruner")).arg("--version"))?;
        run(&mut pytest(&installed.join("bin/python"), None))?;
    }
    Ok(())
}

/// Installation of PyTorch and transformers into a virtual environment under target/.
pub(crate) struct HfEnvironment(JoinHandle<Result<PathBuf>>);

impl HfEnvironment {
    /// Starts the installation in the background.
    pub(crate) fn fetch() -> Result<HfEnvironment> {
        let folder = target_folder()?.join("python/hf");
        let packages = [&TESTED_WITH[..], &HF_TESTED_WITH].concat();
        let fetch = move || environment(&named_python(), &folder, &packages);
        Ok(HfEnvironment(std::thread::spawn(fetch)))
    }

    /// The Python with these packages; `None`, with a line that says why, if there isn't one.
    pub(crate) fn python(self) -> Option<PathBuf> {
        match self.0.join() {
            Ok(Ok(folder)) => Some(folder.join("bin/python")),
            Ok(Err(error)) => {
                println!("the tests of finepruner.hf will skip: {error:#}");
                None
            }
            Err(_) => None,
        }
    }
}

/// The requested Python.
fn named_python() -> PathBuf {
    std::env::var_os("FINEPRUNER_PYTHON").map_or("python3".into(), PathBuf::from)
}

/// The command that runs the package's tests on the library that tests are built with, which this
/// builds; `None`, with a line that says what is skipped, if there is no suitable Python.
pub(crate) fn test(hf: Option<HfEnvironment>) -> Result<Option<Command>> {
    let python = hf
        .and_then(HfEnvironment::python)
        .unwrap_or_else(named_python);
    let skipped = |reason: &str| {
        println!("skipped the tests of the Python package: {reason}");
        Ok(None)
    };
    if let Some(reason) = why_not(&python) {
        return skipped(&reason);
    }
    let target = target_folder()?;
    let python = if has(&python, &TESTED_WITH[..2]) {
        python
    } else {
        match environment(&python, &target.join("python/tests"), &TESTED_WITH) {
            Ok(venv) => venv.join("bin/python"),
            Err(error) => {
                let name = python.display();
                return skipped(&format!("{name} has no numpy and pytest, and {error:#}"));
            }
        }
    };
    // With tests, packages have the same features as in the preceding tests, so that nothing is
    // built twice.
    cargo(&format!(
        "build --workspace --lib --tests --locked {EMULATION}"
    ))?;
    let package = target.join("python/package");
    let sources = Path::new(&root()).join("crates/fp-python/python/finepruner");
    copy(
        &sources,
        &package.join("finepruner"),
        &["py", "pyi", "typed"],
    )?;
    let library = target.join("debug").join(LIBRARY);
    let module = package.join("finepruner/_native.abi3.so");
    fs::copy(&library, &module).with_context(|| format!("can't copy {}", library.display()))?;
    Ok(Some(pytest(&python, Some(&package))))
}

/// Why `python` can't run the tests; `None` if it can.
fn why_not(python: &Path) -> Option<String> {
    let asked = "import sys; sys.exit(sys.version_info < (3, 10))";
    let output = Command::new(python).args(["-c", asked]).output();
    match output {
        Err(_) => Some(format!("there is no {}", python.display())),
        Ok(output) if !output.status.success() => {
            Some(format!("{} is older than 3.10", python.display()))
        }
        Ok(_) if !cfg!(target_os = "linux") => {
            Some("they run on Linux; try `cargo xtask wheel --check`".to_owned())
        }
        Ok(_) => None,
    }
}

/// Whether `python` can import these modules.
fn has(python: &Path, modules: &[&str]) -> bool {
    let asked = format!("import {}", modules.join(", "));
    let output = Command::new(python).args(["-c", &asked]).output();
    output.is_ok_and(|output| output.status.success())
}

/// The installed maturin, or one from PyPI in a virtual environment.
fn maturin(python: &Path, folder: &Path) -> Result<PathBuf> {
    let found = Command::new("maturin").arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok("maturin".into());
    }
    Ok(environment(python, folder, &[MATURIN])?.join("bin/maturin"))
}

/// A virtual environment with these packages.
fn environment(python: &Path, folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let (stamp, mark) = (folder.join("installed.txt"), packages.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == mark) {
        return Ok(folder.to_owned());
    }
    let quietly = |command: &mut Command, what: &str| -> Result<()> {
        let output = command.output().context("can't start it")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let reason = match output.status.code() {
            Some(TIMED_OUT) => format!("it took longer than {PATIENCE} s"),
            _ => last.unwrap_or("it failed without output").trim().to_owned(),
        };
        ensure!(output.status.success(), "can't {what}: {reason}");
        Ok(())
    };
    quietly(
        Command::new(python).args(["-m", "venv"]).arg(folder),
        "make a virtual environment",
    )?;
    let inside = folder.join("bin/python");
    let mut pip = if cfg!(target_os = "linux") {
        let mut limited = Command::new("timeout");
        limited.arg(PATIENCE).arg(inside);
        limited
    } else {
        Command::new(inside)
    };
    pip.args(["-m", "pip", "install", "--quiet"]);
    quietly(
        pip.arg("--disable-pip-version-check").args(packages),
        &format!("install {} from PyPI", packages.join(", ")),
    )?;
    fs::write(&stamp, mark).with_context(|| format!("can't write {}", stamp.display()))?;
    Ok(folder.to_owned())
}

/// Runs tests and examples with the package in `package` or the installed one.
fn pytest(python: &Path, package: Option<&Path>) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    command.arg("crates/fp-python/tests");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(package) = package {
        command.env("PYTHONPATH", package);
        command.env("MYPYPATH", package);
    }
    command
}

/// Copies the files of a folder and its subfolders that have one of these extensions.
fn copy(from: &Path, to: &Path, endings: &[&str]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("can't make {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if path.is_dir() {
            if !name.to_string_lossy().starts_with("__") && name != "assets" {
                copy(&path, &to.join(name), endings)?;
            }
            continue;
        }
        let ending = path.extension().unwrap_or_default();
        if endings.iter().any(|known| ending == *known) {
            fs::copy(&path, to.join(name))
                .with_context(|| format!("can't copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// The most recently written wheel.
fn newest(folder: &Path) -> Result<PathBuf> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "whl") {
            wheels.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    wheels.sort();
    let newest = wheels.pop().map(|(_, path)| path);
    newest.with_context(|| format!("there is no wheel in {}", folder.display()))
}
