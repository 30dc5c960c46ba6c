//! Launches without a cluster: checks, files and messages, with stand-ins for Slurm's programs that
//! only record their arguments. Tests on a real Slurm are in `slurm.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{fail, finepruner, succeed};
use crate::launched::{Launch, Whole, study_flags, text};

/// Programs that record their arguments: `sbatch` numbers the jobs, `squeue` lists the file
/// `queue`.
fn cluster(folder: &Path) -> Vec<(String, String)> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let note = format!("echo \"$0 $*\" >> {}/called", folder.display());
    let number = format!(
        "echo $(($(grep -c parsable {}/called) + 40))",
        folder.display()
    );
    let queue = format!("cat {}/queue 2>/dev/null || true", folder.display());
    for (name, rest) in [
        ("sbatch", &number),
        ("squeue", &queue),
        ("scontrol", &queue),
    ] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{note}\n{rest}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    vec![("PATH".to_owned(), format!("{}:{path}", bin.display()))]
}

fn launch(folder: &Path) -> Launch {
    Launch {
        folder: folder.join("launch"),
        variables: cluster(folder),
    }
}

/// Starts task 1 and leaves it running once it has a record.
fn recording_task(launch: &Launch) -> Child {
    let task = launch
        .command("task", &["--task=1"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while launch.lines(1).is_empty() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    task
}

fn called(folder: &Path) -> String {
    fs::read_to_string(folder.join("called")).unwrap_or_default()
}

#[test]
fn a_dry_run_says_everything_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let launch = launch(dir.path());
    let more = [
        "--dry-run",
        "--partition=gpu",
        "--time=12:00:00",
        "--max-parallel=2",
        "--procs-per-task=2",
    ];
    let said = text(&launch.start(24, 4, &more));
    for part in [
        "#SBATCH --partition=gpu",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@120",
        "--array=1-2%2",
        "launch finish",
        "24 questions on 24 images",
        "nothing was written or queued",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!launch.folder.exists());
    assert_eq!(called(dir.path()), "");
    let json: Value =
        serde_json::from_str(&text(&launch.start(24, 4, &["--dry-run", "--json"]))).unwrap();
    assert_eq!(json["is_submitted"], false);
    assert_eq!(json["shards"].as_array().unwrap().len(), 4);
    // A folder that the real launch would refuse.
    fs::create_dir(&launch.folder).unwrap();
    fs::write(launch.folder.join("notes"), "").unwrap();
    let refused = launch.start(24, 4, &["--dry-run"]);
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("isn't empty"), "{message}");
}

/// Whole images, balanced by cost, on all shipped data.
#[test]
fn shards_of_the_shipped_benchmark_are_balanced() {
    let dir = tempfile::tempdir().unwrap();
    let launch = launch(dir.path());
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/ablation_a_config.json");
    for shards in ["2", "8", "64"] {
        let said = succeed(&[
            "launch",
            "slurm",
            "--dry-run",
            "--json",
            &format!("--config={}", config.display()),
            &format!("--output={}", launch.folder.display()),
            &format!("--shards={shards}"),
        ]);
        let json: Value = serde_json::from_str(&said).unwrap();
        let imbalance = json["imbalance"].as_f64().unwrap();
        assert!((1.0..=1.1).contains(&imbalance), "{shards}: {imbalance}");
        let shards = json["shards"].as_array().unwrap().iter();
        let samples: u64 = shards.map(|s| s["num_samples"].as_u64().unwrap()).sum();
        assert_eq!(samples, json["num_samples"].as_u64().unwrap());
        println!(
            "longest shard over the mean of {}: {imbalance}",
            json["num_tasks"]
        );
    }
}

#[test]
fn what_is_wrong_is_said_before_anything_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let output = format!("--output={}", dir.path().join("launch").display());
    let study = study_flags(24);
    let study: Vec<&str> = study.iter().map(String::as_str).collect();
    let refused = |more: &[&str], parts: &[&str]| {
        let fixed = ["launch", "slurm", output.as_str()];
        fail(&[&fixed[..], &study, more].concat(), parts);
        assert!(!dir.path().join("launch").exists());
    };
    refused(
        &["--shards=25", "--dry-run"],
        &["shards: 25", "must be 1 to 24, the number of images"],
    );
    refused(&["--shards=0"], &["--shards is 0; expected at least 1"]);
    refused(
        &["--shards=2", "--time=1:30"],
        &["--time: `1:30`", "more than the 120 s of --warn-seconds"],
    );
    refused(
        &["--shards=2", "--sbatch-arg=--array=1"],
        &["set by the launcher"],
    );
    refused(&["--shards=2", "--shard=1/2"], &["--shards"]);
    refused(&["--shards=2", "--model=/nowhere"], &["/nowhere"]);
    // Without Slurm: the message says so, and what to do.
    let launch = Launch {
        folder: dir.path().join("launch"),
        variables: vec![("PATH".to_owned(), String::new())],
    };
    let output = launch.start(24, 2, &[]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("`sbatch` can't be started"), "{message}");
    assert!(message.contains("--dry-run"), "{message}");
    assert!(!launch.folder.exists());
    let folder = dir.path().display().to_string();
    for word in ["status", "resume", "finish"] {
        fail(
            &["launch", word, &folder],
            &["isn't the folder of a launch"],
        );
    }
}

/// Runs a task to its end, as its job would.
fn task(launch: &Launch, task: usize) -> Option<i32> {
    let number = format!("--task={task}");
    let status = launch
        .command("task", &[&number])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.code()
}

#[test]
fn tasks_are_followed_continued_and_merged_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let whole = Whole::run(dir.path().join("whole"), 40);
    let launch = launch(dir.path());
    text(&launch.start(40, 4, &["--procs-per-task=2", "--threads=1"]));
    assert!(called(dir.path()).contains("--dependency=afterany:"));
    assert_eq!(launch.phases(), ["waiting"; 4]);
    // Another launch doesn't replace it.
    let second = launch.start(40, 4, &[]);
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("launch resume"), "{message}");

    // Task 1, with shards 1 and 2, is terminated after at least one record.
    let mut first = recording_task(&launch);
    assert_eq!(launch.phases()[0], "running");
    let pid = first.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(75));
    let phases = launch.phases();
    assert_eq!(phases[2..], ["waiting"; 2]);
    let is_stopped = |phase: &String| ["interrupted", "done"].contains(&phase.as_str());
    assert!(phases[..2].iter().all(is_stopped), "{phases:?}");
    whole.check_part(&launch, 4);

    let finish = launch.command("finish", &[]).output().unwrap();
    let message = String::from_utf8(finish.stderr).unwrap();
    assert!(message.contains("shard 3 has 0 of 10 samples"), "{message}");
    assert!(message.contains("launch resume"), "{message}");

    // According to Slurm task 2 is still queued, so only task 1 is submitted again.
    let manifest: Value =
        serde_json::from_slice(&fs::read(launch.folder.join("launch.json")).unwrap()).unwrap();
    let array = manifest["submissions"][0]["array_job"].as_str().unwrap();
    fs::write(dir.path().join("queue"), format!("99 {array} 2\n")).unwrap();
    let resumed = launch.resume();
    assert_eq!(resumed["submitted_tasks"], serde_json::json!([1]));
    assert_eq!(resumed["active_tasks"], serde_json::json!([2]));
    fs::remove_file(dir.path().join("queue")).unwrap();

    assert_eq!([1, 2].map(|number| task(&launch, number)), [Some(0); 2]);
    assert_eq!(launch.phases(), ["done"; 4]);
    let finish = launch.command("finish", &["--json"]).output().unwrap();
    let merged: Value = serde_json::from_str(&text(&finish)).unwrap();
    assert_eq!(merged["num_samples"], 40);
    whole.check(&launch);
    assert_eq!(launch.status()["finish"]["is_done"], true);
    // Repeating it changes nothing, and there is nothing to submit.
    text(&launch.command("finish", &[]).output().unwrap());
    whole.check(&launch);
    assert_eq!(launch.resume()["submitted_tasks"], serde_json::json!([]));
}

/// A killed task takes its studies with it, and its next start continues them.
#[test]
fn a_killed_task_leaves_no_study_behind() {
    let dir = tempfile::tempdir().unwrap();
    let launch = launch(dir.path());
    text(&launch.start(40, 2, &["--threads=1"]));
    let mut first = recording_task(&launch);
    first.kill().unwrap();
    first.wait().unwrap();
    let phase = launch.phases()[0].clone();
    assert!(["lost", "done"].contains(&phase.as_str()), "{phase}");
    // It waits for the study that has lost its task, and continues.
    assert_eq!(task(&launch, 1), Some(0));
    assert_eq!(launch.phases()[0], "done");
    assert_eq!(launch.lines(1).len(), 20);
}

#[test]
fn kubernetes_gets_a_configuration_and_an_indexed_job() {
    let config = study_flags(24)[0].clone();
    let args = [
        "launch",
        "k8s",
        "--print",
        config.as_str(),
        "--shards=8",
        "--image=registry/finepruner:0.1",
        "--claim=data",
        "--output=/data/runs/a",
        "--model=/data/llava",
    ];
    let yaml = succeed(&args);
    for part in [
        "kind: \"ConfigMap\"",
        "completionMode: \"Indexed\"",
        "completions: 8",
        "JOB_COMPLETION_INDEX + 1",
        "finepruner merge '/data/runs/a'/run",
    ] {
        assert!(yaml.contains(part), "{part} is not in {yaml}");
    }
    let json = succeed(&[&args[..], &["--json"]].concat());
    let list: Value = serde_json::from_str(&json).unwrap();
    let inner: Value =
        serde_json::from_str(list["items"][0]["data"]["config.json"].as_str().unwrap()).unwrap();
    assert_eq!(inner["model"], "/data/llava");
    for (flags, is_warned) in [
        (&["--gpus=1"][..], true),
        (&["--gpus=1", "--device=cuda"], false),
        (&["--device=cpu"], false),
    ] {
        let output = finepruner(&[&args[..], flags].concat());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let warning = "GPUs are requested, but the study runs on the CPU";
        assert_eq!(output.stderr.contains(warning), is_warned, "{flags:?}");
    }
    fail(
        &[&args[..], &["--mount=data"]].concat(),
        &["--mount: `data`; expected an absolute path"],
    );
}

#[test]
fn hours_fall_with_gpus() {
    let config = study_flags(24)[0].clone();
    let args = ["launch", "hours", config.as_str()];
    let json: Value = serde_json::from_str(&succeed(&[&args[..], &["--json"]].concat())).unwrap();
    let rows = json["expected"].as_array().unwrap();
    assert_eq!(rows.len(), 11);
    let all = rows[10]["hours"].as_array().unwrap();
    let hours: Vec<f64> = all.iter().map(|hours| hours.as_f64().unwrap()).collect();
    assert!(
        hours[0] > 6.0 * hours[1] && hours[1] > 3.0 * hours[2],
        "{hours:?}"
    );
    assert!(succeed(&args).contains("estimated, not measured"));
    fail(
        &[&args[..], &["--gpus=0"]].concat(),
        &["--gpus is 0; expected at least 1"],
    );
}
