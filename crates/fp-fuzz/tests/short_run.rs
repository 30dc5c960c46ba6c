//! A short run with a fixed seed: no input fails, and the same seed gives the same inputs.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn fuzz(arguments: &[&str], failures: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fp-fuzz"));
    command.args(arguments).arg("--failures").arg(failures);
    command.output().unwrap()
}

/// Several hundred inputs per parser. A failure is printed with the command that repeats it.
#[test]
fn no_parser_fails() {
    let failures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-failures");
    let output = fuzz(&["--inputs", "20000", "--json"], &failures);
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{told}");
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["inputs"], 20_000);
    for parser in summary["parsers"].as_array().unwrap() {
        // Some inputs are undamaged: they show that the sound files are accepted.
        let count = |key: &str| parser[key].as_u64().unwrap();
        assert!(count("inputs") > 0, "{parser}");
        // A folder with only an adapter is never a whole checkpoint.
        if parser["parser"] != "adapter-config" {
            assert!(count("taken") > 0, "{parser}");
        }
    }
}

/// Two runs have the same counts, whichever processes made the inputs.
#[test]
fn the_same_seed_makes_the_same_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let parsers = |processes: &str| -> Value {
        let arguments = [
            "--inputs",
            "600",
            "--seed",
            "5",
            "--only",
            "png",
            "--only",
            "study-config",
            "--only",
            "tokenizer",
            "--json",
            "--processes",
            processes,
        ];
        let output = fuzz(&arguments, folder.path());
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        summary["parsers"].clone()
    };
    assert_eq!(parsers("1"), parsers("3"));
}

/// A parser that fails in every way: each failure is noticed, reported and saved, and the saved
/// input fails again.
#[test]
fn every_way_to_fail_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--only", "faulty", "--inputs", "7", "--json"];
    let output = fuzz(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["failed"], 5, "{summary}");
    let causes = summary["causes"].as_array().unwrap();
    let told = |kind: &str, part: &str| {
        let cause = causes.iter().find(|cause| {
            cause["kind"] == kind && cause["message"].as_str().unwrap().contains(part)
        });
        let cause = cause.unwrap_or_else(|| panic!("{kind} {part}: {summary}"));
        assert!(Path::new(cause["files"][0].as_str().unwrap()).is_file());
        cause["files"][0].as_str().unwrap()
    };
    let panic = told("panic", "a panic that nothing catches");
    told("crash", "overflowed its stack");
    // Not counting the input's own bytes.
    told("memory", "1535 MiB of memory");
    told("crash", "memory allocation of 8589934592 bytes failed");
    told("time", "of processor time");
    let output = fuzz(&["--repeat", panic], folder.path());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn unknown_parsers_are_named_with_those_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let output = fuzz(&["--only", "pgn"], folder.path());
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("no parser is called `pgn`") && told.contains("png"),
        "{told}"
    );
}
