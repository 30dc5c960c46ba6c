//! `cargo xtask cuda-report`: what each kernel takes of a GPU, and how it reads memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::root;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

/// Compiles every kernel for each architecture and writes registers, shared memory,
/// stack and spills, and the 16-byte accesses of the gather's machine code.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder that resources.md is written to.
    #[arg(long, default_value = "benches/record/gpu")]
    record: PathBuf,
}

/// One kernel on one architecture.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Resources {
    registers: u32,
    barriers: u32,
    shared: u32,
    stack: u32,
    spill_stores: u32,
    spill_loads: u32,
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let root = PathBuf::from(root());
    let toolkit = root.join(".cuda/toolkit");
    ensure!(
        toolkit.join("bin/nvcc").is_file(),
        "no tool kit at {}; run `cargo xtask cuda-setup`",
        toolkit.display()
    );
    let work = root.join("target/cuda-report");
    fs::create_dir_all(&work).with_context(|| format!("can't make {}", work.display()))?;
    let mut table = String::from(
        "| kernel | architecture | registers | static shared memory | stack | spills |\n|---|---|---|---|---|---|\n",
    );
    let mut offenders = Vec::new();
    let mut accesses = String::new();
    for source in sources(&root.join("kernels"))? {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        for architecture in ARCHITECTURES {
            let cubin = work.join(format!("{stem}.{architecture}.cubin"));
            let log = compile(&toolkit, &source, architecture, &cubin)?;
            for (kernel, used) in parse(&log)? {
                let kernel = readable(&kernel);
                let spills = used.spill_stores + used.spill_loads;
                writeln!(
                    table,
                    "| `{kernel}` | {architecture} | {} | {} | {} | {spills} |",
                    used.registers, used.shared, used.stack
                )?;
                if used.stack + spills > 0 {
                    offenders.push(format!("{kernel} on {architecture}"));
                }
            }
            if stem == "gather" {
                writeln!(
                    accesses,
                    "{}",
                    count_accesses(&toolkit, &cubin, architecture)?
                )?;
            }
        }
    }
    let record = root.join(&args.record);
    fs::create_dir_all(&record).with_context(|| format!("can't make {}", record.display()))?;
    let text = format!(
        "# What the kernels take\n\n`cargo xtask cuda-report` wrote this, by {}. Bytes are per thread for stack and\n\
         spills (loads and stores together), per block for static shared memory; what a launch\n\
         adds in dynamic shared memory depends on its sizes.\n\n{table}\n\
         ## The gather's accesses\n\nCounted in the machine code of `gather_tokens`: rows move by 16 bytes, only the indices\n\
         of kept tokens are read by 4.\n\n{accesses}",
        version(&toolkit)?
    );
    let file = record.join("resources.md");
    fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))?;
    println!("{table}\n{accesses}");
    match offenders.is_empty() {
        true => Ok(()),
        false => bail!("local memory or spills in {}", offenders.join(", ")),
    }
}

fn sources(kernels: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(kernels).with_context(|| format!("can't read {}", kernels.display()))?;
    let mut sources = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

/// Machine code for one architecture; returns what ptxas says of it.
fn compile(toolkit: &Path, source: &Path, architecture: &str, cubin: &Path) -> Result<String> {
    let output = Command::new(toolkit.join("bin/nvcc"))
        .args(["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-lineinfo"])
        .args(["-Xptxas=-v", "-cubin", "-arch", architecture, "-o"])
        .arg(cubin)
        .arg(source)
        .output()
        .context("can't start nvcc")?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "nvcc failed on {}:\n{log}",
        source.display()
    );
    Ok(log)
}

/// The resources of each entry function, by its mangled name.
fn parse(log: &str) -> Result<BTreeMap<String, Resources>> {
    let mut kernels = BTreeMap::new();
    let mut current: Option<(String, Resources)> = None;
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let name = rest.split('\'').next().unwrap_or_default();
            current = Some((name.to_owned(), Resources::default()));
        }
        let Some((name, used)) = &mut current else {
            continue;
        };
        if line.contains("bytes stack frame") {
            used.stack = before(line, "bytes stack frame").unwrap_or(0);
            used.spill_stores = before(line, "bytes spill stores").unwrap_or(0);
            used.spill_loads = before(line, "bytes spill loads").unwrap_or(0);
        }
        if line.contains("Used ") {
            used.registers = before(line, "registers")
                .with_context(|| format!("no number of registers in `{line}`"))?;
            used.barriers = before(line, "barriers").unwrap_or(0);
            used.shared = before(line, "bytes smem").unwrap_or(0);
            kernels.insert(name.clone(), used.clone());
        }
    }
    Ok(kernels)
}

/// The number that stands before `unit`.
fn before(line: &str, unit: &str) -> Option<u32> {
    let head = line.split(unit).next().filter(|head| *head != line)?;
    head.split_whitespace().next_back()?.parse().ok()
}

/// A kernel's name without what is the same in all of them.
fn readable(mangled: &str) -> String {
    let demangled = Command::new("c++filt").arg("-p").arg(mangled).output();
    let name = match demangled {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => mangled.to_owned(),
    };
    let name = name
        .replace("(anonymous namespace)::", "")
        .replace("fp::", "");
    name.strip_prefix("void ").unwrap_or(&name).to_owned()
}

/// Global loads and stores of `gather_tokens` by their width.
fn count_accesses(toolkit: &Path, cubin: &Path, architecture: &str) -> Result<String> {
    let output = Command::new(toolkit.join("bin/cuobjdump"))
        .arg("-sass")
        .arg(cubin)
        .output()
        .context("can't start cuobjdump")?;
    ensure!(
        output.status.success(),
        "cuobjdump failed on {}",
        cubin.display()
    );
    let code = String::from_utf8_lossy(&output.stdout);
    let function = code
        .split("Function : ")
        .find(|function| {
            function
                .lines()
                .next()
                .is_some_and(|name| name.contains("gather_tokens"))
        })
        .context("no gather_tokens in its machine code")?;
    let count = |what: &str| function.lines().filter(|line| line.contains(what)).count();
    let (loads, wide_loads) = (count("LDG."), count("LDG.E.128"));
    let (stores, wide_stores) = (count("STG."), count("STG.E.128"));
    ensure!(
        wide_loads > 0 && wide_stores > 0 && wide_stores == stores,
        "gather_tokens on {architecture} has {wide_loads} of {loads} loads and {wide_stores} of \
         {stores} stores of 16 bytes; every store and the loads of rows should be"
    );
    Ok(format!(
        "* {architecture}: {wide_loads} loads and {wide_stores} stores of 16 bytes, {} loads of indices",
        loads - wide_loads
    ))
}

fn version(toolkit: &Path) -> Result<String> {
    let output = Command::new(toolkit.join("bin/nvcc"))
        .arg("--version")
        .output()
        .context("can't start nvcc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("release"));
    let release = line.and_then(|line| line.split(", V").nth(1));
    Ok(format!("nvcc {}", release.unwrap_or("of unknown version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let log = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function '_Zfoo' for 'sm_90'\n\
            ptxas info    : Function properties for _Zfoo\n\
            \x20   16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n\
            ptxas info    : Used 36 registers, used 1 barriers, 16 bytes cumulative stack size, 1024 bytes smem\n";
        let kernels = parse(log).unwrap();
        let expected = Resources {
            registers: 36,
            barriers: 1,
            shared: 1024,
            stack: 16,
            spill_stores: 4,
            spill_loads: 8,
        };
        assert_eq!(kernels.get("_Zfoo"), Some(&expected));
        assert_eq!(kernels.len(), 1);
    }
}
