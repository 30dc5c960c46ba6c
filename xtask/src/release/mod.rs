//! `cargo xtask release`: checks whether a version can be released, and makes the changes.

mod manifests;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{root, run, target_folder};
use manifests::Package;

/// Largest package that crates.io accepts, in bytes.
const MAX_BYTES: u64 = 10 << 20;
/// Files that every package must have.
const REQUIRED: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs"];
/// Further files that some packages must have.
const REQUIRED_OF: [(&str, &[&str]); 3] = [
    (
        "fp-kernels",
        &[
            "build/cuda.rs",
            "kernels/fp_kernels.h",
            "kernels/head_score.cu",
        ],
    ),
    ("fp-cli", &["README.md", "configs/full_config.json"]),
    ("fp-report", &["data/published/llava-1.5.json"]),
];
/// Folders that no package may have: tests need files of other crates, and golden data is large.
const UNWANTED: [&str; 2] = ["tests/", "target/"];

/// Checks that a version can be released, packages every crate in dependency order, and
/// writes the version into the manifests and the date into the changelog. Publishes nothing:
/// the commands that do are printed at the end.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The version to release, such as 0.2.0.
    version: String,
    /// Check and package only; change no file.
    #[arg(long)]
    dry_run: bool,
    /// Do not build the packages from their archives, which takes as long as a clean build.
    #[arg(long)]
    no_verify: bool,
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let packages = manifests::read(&metadata()?)?;
    let published = manifests::in_order(&packages)?;
    let current = workspace_version(&published)?;
    let mut problems = manifests::problems(&packages, &current);
    if text::number(&args.version) < text::number(&current) || text::number(&args.version).is_none()
    {
        problems.push(format!(
            "the version {} must have the form 1.2.3 and not be below the current {current}",
            args.version
        ));
    }
    let changelog = Path::new(&root()).join("CHANGELOG.md");
    let entries = fs::read_to_string(&changelog).context("can't read CHANGELOG.md")?;
    if text::section(&entries, &args.version).is_none() {
        problems.push(format!(
            "CHANGELOG.md has no entry \"## {}\" with text below it",
            args.version
        ));
    }
    for package in &published {
        problems.extend(files_of(package)?);
    }
    if !args.dry_run && !is_clean()? {
        problems.push("the working tree has changes; commit them first".to_owned());
    }
    if !problems.is_empty() {
        for problem in &problems {
            println!("problem: {problem}");
        }
        bail!("{} problems prevent a release", problems.len());
    }

    if !args.dry_run {
        write_version(&current, &args.version)?;
        let dated = text::dated(&entries, &args.version, &today()?);
        fs::write(&changelog, dated).context("can't write CHANGELOG.md")?;
    }
    package(&packages, args)?;
    println!();
    if args.dry_run {
        println!(
            "{} can be released; nothing was changed (the current version is {current}). \
             A release would:",
            args.version
        );
        println!(
            "  set the version in Cargo.toml and Cargo.lock and the date in CHANGELOG.md\n  \
             and leave these steps to be done by hand:"
        );
    } else {
        println!("{} is prepared. To be done by hand:", args.version);
    }
    println!("  git commit --all --message \"Release {}\"", args.version);
    println!("  git tag v{}", args.version);
    for package in &published {
        println!("  cargo publish --package {}", package.name);
    }
    println!("  cargo xtask wheel --sdist --check");
    Ok(())
}

/// The common version of all published packages.
fn workspace_version(published: &[&Package]) -> Result<String> {
    let first = published.first().context("no package is published")?;
    Ok(first.version.clone())
}

fn metadata() -> Result<Value> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--locked", "--format-version=1"])
        .current_dir(root())
        .output()
        .context("can't start cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("can't read what `cargo metadata` says")
}

/// Prints the number of files in a package and returns problems with them.
fn files_of(package: &Package) -> Result<Vec<String>> {
    let name = &package.name;
    let output = Command::new("cargo")
        .args(["package", "--list", "--allow-dirty", "--locked"])
        .args(["--package", name])
        .current_dir(root())
        .output()
        .context("can't start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Ok(vec![format!("{name}: {}", said.trim())]);
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    let files: Vec<&str> = listed.lines().collect();
    println!("{name:12} {} files", files.len());
    let of_it = REQUIRED_OF.iter().filter(|(owner, _)| owner == name);
    let required = REQUIRED
        .iter()
        .chain(of_it.flat_map(|(_, files)| files.iter()));
    let mut problems: Vec<String> = required
        .filter(|file| !files.contains(*file))
        .map(|file| format!("{name} is packaged without {file}"))
        .collect();
    let unwanted = files
        .iter()
        .find(|file| UNWANTED.iter().any(|folder| file.starts_with(folder)));
    problems.extend(unwanted.map(|file| format!("{name} is packaged with {file}")));
    Ok(problems)
}

/// Packages all crates, each with the packages of the previous ones.
fn package(packages: &[Package], args: &Args) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["package", "--workspace", "--locked"]);
    for package in packages.iter().filter(|package| !package.is_published) {
        command.args(["--exclude", &package.name]);
    }
    // Otherwise the version that was just written would have to be committed first.
    command.arg("--allow-dirty");
    if args.no_verify {
        command.arg("--no-verify");
    }
    run(&mut command)?;
    let folder = target_folder()?.join("package");
    let version = if args.dry_run {
        &packages
            .iter()
            .find(|package| package.is_published)
            .context("no package is published")?
            .version
    } else {
        &args.version
    };
    for package in packages.iter().filter(|package| package.is_published) {
        let archive = folder.join(format!("{}-{version}.crate", package.name));
        let bytes = fs::metadata(&archive)
            .with_context(|| format!("can't read {}", archive.display()))?
            .len();
        println!("{} ({:.1} kB)", archive.display(), bytes as f64 / 1e3);
        ensure!(
            bytes < MAX_BYTES,
            "{} has {bytes} bytes; crates.io takes {MAX_BYTES}",
            archive.display()
        );
    }
    Ok(())
}

fn write_version(current: &str, version: &str) -> Result<()> {
    let manifest: PathBuf = Path::new(&root()).join("Cargo.toml");
    let before = fs::read_to_string(&manifest).context("can't read Cargo.toml")?;
    let after = text::with_version(&before, current, version);
    fs::write(&manifest, after).context("can't write Cargo.toml")?;
    run(Command::new("cargo").args(["update", "--workspace", "--offline"]))
}

fn is_clean() -> Result<bool> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "status", "--porcelain"])
        .current_dir(root())
        .output()
        .context("can't start git")?;
    ensure!(output.status.success(), "git status failed");
    Ok(output.stdout.is_empty())
}

/// Today's date, from the system.
fn today() -> Result<String> {
    let output = Command::new("date").arg("+%Y-%m-%d").output();
    let output = output.context("can't start date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
