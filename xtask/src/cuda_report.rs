//! `cargo xtask cuda-report`: resources that each kernel uses on a GPU, and its memory accesses.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::root;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];
const ARCHIVE: &str = "libfp_kernels_cuda.a";

/// Builds the kernels and writes what each one takes by its machine code: registers,
/// shared memory, stack and local memory, and the 16-byte accesses of the gather.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder that resources.md is written to.
    #[arg(long, default_value = "benches/record/gpu")]
    record: PathBuf,
    /// An archive of kernels that was built before, instead of building it.
    #[arg(long)]
    archive: Option<PathBuf>,
}

/// Resources of one kernel on one architecture. Spilled registers are in local memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Resources {
    kernel: String,
    architecture: String,
    registers: u32,
    shared: u32,
    stack: u32,
    local: u32,
}

/// Builds the kernels and fails if one of them spills; the record is not changed.
pub(crate) fn check() -> Result<()> {
    run_task(&Args {
        record: crate::target_folder()?.join("cuda-report"),
        archive: None,
    })
}

pub(crate) fn run_task(args: &Args) -> Result<()> {
    let root = PathBuf::from(root());
    let toolkit = root.join(".cuda/toolkit");
    ensure!(
        toolkit.join("bin/cuobjdump").is_file(),
        "no cuobjdump in {}; run `cargo xtask cuda-setup`",
        toolkit.display()
    );
    let archive = match &args.archive {
        Some(archive) => archive.clone(),
        None => build(&root)?,
    };
    let mut kernels = parse(&dump(&toolkit, &archive, &["--dump-resource-usage"])?)?;
    ensure!(!kernels.is_empty(), "no kernels in {}", archive.display());
    for kernel in &mut kernels {
        kernel.kernel = readable(&kernel.kernel);
    }
    kernels.sort();
    let mut table = String::from(
        "| kernel | architecture | registers | static shared memory | stack | local memory |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut offenders = Vec::new();
    for used in &kernels {
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {} | {} |",
            used.kernel, used.architecture, used.registers, used.shared, used.stack, used.local
        )?;
        if used.stack + used.local > 0 {
            offenders.push(format!("{} on {}", used.kernel, used.architecture));
        }
    }
    let mut accesses = String::new();
    for architecture in ARCHITECTURES {
        let code = dump(&toolkit, &archive, &["-sass", "-arch", architecture])?;
        writeln!(accesses, "{}", count_accesses(&code, architecture)?)?;
    }
    let record = root.join(&args.record);
    fs::create_dir_all(&record).with_context(|| format!("can't make {}", record.display()))?;
    let text = format!(
        "# Resources of the kernels\n\n`cargo xtask cuda-report` wrote this, of the machine code that {} made. Bytes are\n\
         per thread for stack and local memory, per block for static shared memory; what a launch\n\
         adds in dynamic shared memory depends on its sizes. The 1024 bytes that kernels with\n\
         dynamic shared memory show on sm_90 are set aside by the system.\n\n{table}\n\
         ## The gather's accesses\n\nCounted in the machine code of `gather_tokens`: rows move by 16 bytes, only the indices\n\
         of kept tokens are read by 4.\n\n{accesses}",
        version(&toolkit)?
    );
    let file = record.join("resources.md");
    fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))?;
    println!("{table}\n{accesses}");
    if offenders.is_empty() {
        Ok(())
    } else {
        bail!("stack or local memory in {}", offenders.join(", "))
    }
}

/// Builds the kernels as fp-kernels links them.
fn build(root: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--package", "fp-kernels", "--features", "cuda"])
        .args(["--locked", "--message-format=json-render-diagnostics"])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("can't start cargo")?;
    ensure!(output.status.success(), "the kernels don't build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["out_dir"].as_str().map(PathBuf::from))
        .map(|folder| folder.join(ARCHIVE))
        .find(|archive| archive.is_file())
        .with_context(|| format!("the build made no {ARCHIVE}"))
}

fn dump(toolkit: &Path, archive: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(toolkit.join("bin/cuobjdump"))
        .args(arguments)
        .arg(archive)
        .output()
        .context("can't start cuobjdump")?;
    ensure!(
        output.status.success(),
        "cuobjdump failed on {}: {}",
        archive.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Parses the resources of each kernel, by its mangled name.
fn parse(dump: &str) -> Result<Vec<Resources>> {
    let (mut architecture, mut function) = ("", "");
    let mut kernels = Vec::new();
    for line in dump.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("arch = ") {
            architecture = rest;
        } else if let Some(rest) = line.strip_prefix("Function ") {
            function = rest.trim_end_matches(':');
        } else if line.starts_with("REG:") {
            let field = |name: &str| -> Result<u32> {
                line.split_whitespace()
                    .find_map(|word| word.strip_prefix(name)?.parse().ok())
                    .with_context(|| format!("no {name} in `{line}`"))
            };
            kernels.push(Resources {
                kernel: function.to_owned(),
                architecture: architecture.to_owned(),
                registers: field("REG:")?,
                shared: field("SHARED:")?,
                stack: field("STACK:")?,
                local: field("LOCAL:")?,
            });
        }
    }
    Ok(kernels)
}

/// A kernel's demangled name, without what all names have in common.
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

/// Numbers of global loads and stores in `gather_tokens`, by width.
fn count_accesses(code: &str, architecture: &str) -> Result<String> {
    let is_gather = |function: &&str| {
        let name = function.lines().next();
        name.is_some_and(|name| name.contains("gather_tokens"))
    };
    let function = code
        .split("Function : ")
        .find(is_gather)
        .with_context(|| format!("no machine code of gather_tokens for {architecture}"))?;
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
    fn a_dump_is_read() {
        let dump = "Fatbin elf code:\n================\narch = sm_80\n\nResource usage:\n Common:\n  GLOBAL:0\n \
            Function _Zfoo:\n  REG:37 STACK:8 SHARED:16 LOCAL:4 CONSTANT[0]:552 TEXTURE:0\n\
            Fatbin ptx code:\narch = sm_90\nFatbin elf code:\narch = sm_90\n Function _Zbar:\n  \
            REG:56 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:552\n";
        let of = |kernel: &str, architecture: &str, numbers: [u32; 4]| Resources {
            kernel: kernel.to_owned(),
            architecture: architecture.to_owned(),
            registers: numbers[0],
            shared: numbers[1],
            stack: numbers[2],
            local: numbers[3],
        };
        let expected = [
            of("_Zfoo", "sm_80", [37, 16, 8, 4]),
            of("_Zbar", "sm_90", [56, 0, 0, 0]),
        ];
        assert_eq!(parse(dump).unwrap(), expected);
    }

    #[test]
    fn narrow_stores_are_refused() {
        let code = "Function : _Z13gather_tokens\n LDG.E R1\n LDG.E.128 R4\n STG.E.128 [R2]\n";
        let counted = count_accesses(code, "sm_90").unwrap();
        assert!(counted.contains("1 loads and 1 stores of 16 bytes, 1 loads"));
        let code = code.replace("STG.E.128", "STG.E.64");
        assert!(count_accesses(&code, "sm_90").is_err());
    }
}
