//! Tells the program which commit and compiler it is built with, so that a run can be
//! repeated. Outside a Git checkout, or without Git, the commit stays unknown.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(version) =
        std::env::var_os("RUSTC").and_then(|rustc| output(&rustc, &["--version"]))
    {
        println!("cargo:rustc-env=FINEPRUNER_COMPILER={version}");
    }
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=FINEPRUNER_COMMIT={commit}");
    }
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
    let mut arguments = vec!["status", "--porcelain", "--untracked-files=all", "--"];
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
