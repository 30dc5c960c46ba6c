//! Passes the commit and compiler to the build, so that a run can be repeated: the commit comes
//! from Git in a checkout and from cargo's note in a published package. Otherwise it is unknown.

use std::fs;
use std::path::Path;
use std::process::Command;

/// File in which cargo records the commit of a package.
const NOTE: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(version) =
        std::env::var_os("RUSTC").and_then(|rustc| output(&rustc, &["--version"]))
    {
        println!("cargo:rustc-env=FINEPRUNER_COMPILER={version}");
    }
    let noted = Path::new(NOTE).exists();
    if let Some(commit) = if noted { noted_commit() } else { commit() } {
        println!("cargo:rustc-env=FINEPRUNER_COMMIT={commit}");
    }
}

/// The value of `sha1` in cargo's file.
fn noted_commit() -> Option<String> {
    let note = fs::read_to_string(NOTE).ok()?;
    let (_, rest) = note.split_once("\"sha1\"")?;
    Some(rest.split('"').nth(1)?.to_owned())
}

/// The commit, followed by `+changes` where the sources differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| output("git".as_ref(), arguments);
    let head = git(&["rev-parse", "HEAD"])?;
    // Files that a commit or a switch of branches changes, and all sources.
    for name in ["HEAD", "index", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let sources = ["../../crates", "../../kernels", "../../Cargo.lock"];
    for path in sources {
        println!("cargo:rerun-if-changed={path}");
    }
    // Without locks, since writing the index would trigger another build.
    let mut arguments = vec!["--no-optional-locks", "status", "--porcelain"];
    arguments.extend(["--untracked-files=all", "--"]);
    arguments.extend(sources);
    let changes = git(&arguments)?;
    Some(if changes.is_empty() {
        head
    } else {
        format!("{head}+changes")
    })
}

fn output(program: &std::ffi::OsStr, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}
