//! Tells the program which commit and compiler it is built with, so that a run can be
//! repeated: by Git in a checkout, by what cargo noted in a published package. Without either
//! the commit stays unknown.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where cargo notes the commit of a package.
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

/// The value of `sha1` in cargo's note.
fn noted_commit() -> Option<String> {
    let note = fs::read_to_string(NOTE).ok()?;
    let (_, rest) = note.split_once("\"sha1\"")?;
    Some(rest.split('"').nth(1)?.to_owned())
}

/// The commit, with `+changes` behind it where sources differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| output("git".as_ref(), arguments);
    let head = git(&["rev-parse", "HEAD"])?;
    // What a commit or a switch to another branch changes, and all sources.
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
    // Without locks, since writing the index would have this run again.
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
