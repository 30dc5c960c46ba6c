//! Tests of `benches/gpu/run.sh` on a simulated host: its programs only print their names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/gpu/run.sh")
}

fn dry(arguments: &[&str]) -> Output {
    Command::new("sh")
        .arg(script())
        .arg("--dry-run")
        .args(arguments)
        .output()
        .unwrap()
}

/// The first word of each line.
fn names(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_dry_run_shows_the_steps_in_their_order_and_runs_none() {
    let output = dry(&["/nowhere/results"]);
    assert!(output.status.success());
    let names = names(&output);
    let expected = [
        "logits-cpu",
        "study-cpu",
        "logits-cuda",
        "study-cuda",
        "alike",
        "tests",
        "bench-floor",
        "bench-one",
        "model",
        "model-peers",
        "benchmarks",
        "peers",
        "memcheck",
        "racecheck",
    ];
    assert_eq!(names, expected);
}

#[test]
fn steps_and_limits_are_chosen() {
    let output = dry(&["--steps", "peers,tests", "--limit", "60", "--total", "100"]);
    assert_eq!(names(&output), ["tests", "peers"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("limit 60 s").count(), 2, "{text}");
    // A step's limit is reduced to the remaining time; with less than ten seconds it is skipped.
    let text = String::from_utf8(dry(&["--steps", "tests", "--total", "50"]).stdout).unwrap();
    assert!(
        text.contains("limit 50 s") || text.contains("limit 49 s"),
        "{text}"
    );
    let text = String::from_utf8(dry(&["--steps", "tests", "--total", "9"]).stdout).unwrap();
    assert!(text.contains("no time left of 9 s"), "{text}");
}

#[test]
fn what_is_not_understood_is_refused() {
    for (arguments, says) in [
        (&["--steps", "test"][..], "unknown step 'test'"),
        (&["--limit", "soon"], "--limit is 'soon'"),
        (&["--total"], "--total takes a value"),
        (&["--fast"], "unknown option --fast"),
        (&["a", "b"], "one folder at most"),
    ] {
        let output = dry(arguments);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(says), "{text}");
    }
}

/// A bundle and a host made of shell scripts, in a folder of its own.
struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    fn new(tests: &str, bench: &str) -> Host {
        let host = Host {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(host.path("peers")).unwrap();
        fs::copy(script(), host.path("run.sh")).unwrap();
        let peers = script().with_file_name("../peers/gpu_summary.py");
        fs::copy(peers, host.path("peers/gpu_summary.py")).unwrap();
        host.program("bin/kernel-tests", tests);
        host.program("bin/kernel-bench", bench);
        host.program("tools/nvidia-smi", "echo 'GPU 0: made up'");
        host
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    fn program(&self, inner: &str, body: &str) {
        let path = self.path(inner);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The recorded steps, as (name, status, note).
    fn run(&self, arguments: &[&str]) -> Vec<[String; 3]> {
        let tools = std::env::join_paths(
            [self.path("tools")]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        Command::new("sh")
            .arg(self.path("run.sh"))
            .args(arguments)
            .env("PATH", tools.unwrap())
            .output()
            .unwrap();
        let steps = fs::read_to_string(self.path("results/steps.jsonl")).unwrap();
        steps
            .lines()
            .map(|line| {
                let step: serde_json::Value = serde_json::from_str(line).unwrap();
                ["step", "status", "note"].map(|key| step[key].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

const USABLE: &str = "case \"$*\" in *preflight*) echo 'preflight: usable: made up'; exit ;; esac";

#[test]
fn a_step_out_of_time_is_ended_and_the_next_one_runs() {
    let host = Host::new(&format!("{USABLE}\nsleep 60"), "echo timed");
    let steps = host.run(&["--steps", "tests,benches", "--limit", "2"]);
    let of = |name: &str| steps.iter().find(|step| step[0] == name).unwrap();
    assert_eq!(of("preflight")[1], "passed");
    assert_eq!(of("tests")[1], "timeout");
    assert_eq!(of("benchmarks")[1], "passed");
    if Command::new("python3").arg("--version").output().is_ok() {
        assert!(host.path("results/record.json").is_file());
    }
}

#[test]
fn a_host_whose_gpu_lacks_something_is_told_once_and_nothing_fails() {
    let lacking = "echo 'preflight: the NVIDIA driver is for CUDA 12.4 and this build needs more'";
    let host = Host::new(lacking, "exit 1");
    let steps = host.run(&["--steps", "alike,tests,one,model,benches,memcheck"]);
    assert!(steps.iter().all(|step| step[1] != "failed"), "{steps:?}");
    let skipped = steps.iter().find(|step| step[0] == "tests").unwrap();
    assert!(skipped[2].contains("CUDA 12.4"), "{skipped:?}");
    let model = steps.iter().find(|step| step[0] == "model").unwrap();
    assert!(model[2].contains("made without finepruner"), "{model:?}");
}
