//! From a study to its report, one study after another, and two runs beside each other.

mod common;

use std::path::Path;

use serde_json::{Value, json};

use common::{fail, succeed};

const CONFIG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../configs/ablation_a_config.json"
);

fn study(output: &Path, keep: &str) {
    let heads = ["--num-selected-heads", "4", "--head-selection-strategy"];
    let samples = ["--dataset", "embedded:select", "--limit", "12"];
    let mut args = vec!["study", "--config", CONFIG, "--keep", keep];
    args.extend(heads);
    args.extend(["sum,variance", "--controls", "vanilla"]);
    args.extend(samples);
    args.extend(["--output", shown(output)]);
    succeed(&args);
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_report_is_written_again_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    study(&run, "8");
    let names = ["results.json", "cells.csv", "summary.md", "report.html"];
    let read = || names.map(|name| std::fs::read(run.join(name)).unwrap());
    let before = read();
    for name in names {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    let said: Value = serde_json::from_str(&succeed(&["report", "--json", shown(&run)])).unwrap();
    assert!(said["analysis"]["verdict"]["headline"].is_string());
    assert!(before == read(), "a file differs");
}

#[test]
fn two_runs_are_compared_where_they_meet() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    study(&first, "8,4");
    study(&second, "8");
    let said = succeed(&["compare", "--json", shown(&first), shown(&second)]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["num_shared"], 12);
    assert_eq!(said["changes"][0], "configuration");
    let cells = said["cells"].as_array().unwrap();
    // Vanilla and two strategies at R = 8; R = 4 is the first run's alone.
    assert_eq!(cells.len(), 3);
    assert_eq!(said["cells_only_first"].as_array().unwrap().len(), 2);
    for cell in cells {
        assert_eq!(cell["num_answers"], 12);
        assert_eq!(cell["texts_differ"], 0);
        assert_eq!(cell["kept_differ"], 0);
        assert_eq!(cell["comparison"]["is_identical"], true);
    }
    let text = succeed(&["compare", shown(&first), shown(&second)]);
    assert!(text.contains("what changed: configuration"), "{text}");
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = shown(dir.path());
    fail(&["report", nothing], &[nothing]);
    fail(&["compare", nothing, nothing], &[nothing]);
}

/// The study that follows takes the strategy that the one before confirmed, or else the
/// baseline, which nothing was shown to beat.
#[test]
fn phases_go_on_with_what_the_one_before_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["study", "--phases", "--quick", "--limit=6", "--keep=8"];
    args.extend(["--controls=vanilla,all_heads", "--dataset=embedded:select"]);
    args.extend(["--num-draws=1000", "--max-new-tokens=2", "--json"]);
    args.extend(["--output", shown(dir.path())]);
    let said: Value = serde_json::from_str(&succeed(&args)).unwrap();
    let strategy = |choice: &str| {
        let choice = &said[choice];
        let is_confirmed = choice["is_confirmed"].as_bool().unwrap();
        assert_ne!(is_confirmed, choice["strategy"] == choice["baseline"]);
        choice["strategy"].clone()
    };
    let config = |name: &str| {
        assert_eq!(said[name]["summary"]["num_samples"], 6);
        let results = std::fs::read(dir.path().join(name).join("results.json")).unwrap();
        let results: Value = serde_json::from_slice(&results).unwrap();
        results["run"]["config"].clone()
    };
    let heads = &config("a")["head_selection_strategies"];
    assert_eq!(heads.as_array().unwrap().len(), 9);
    let head = strategy("head_selection");
    assert_eq!(config("b")["head_selection_strategies"], json!([head]));
    let query = strategy("query_selection");
    let full = config("full");
    assert_eq!(full["head_selection_strategies"][0], head);
    assert_eq!(full["query_selection_strategies"][0], query);
    assert!(dir.path().join("full/efficiency.json").is_file());
    assert!(Path::new(said["report"].as_str().unwrap()).is_file());

    let again: Value = serde_json::from_str(&succeed(&args)).unwrap();
    for name in ["a", "b", "full"] {
        assert_eq!(again[name]["summary"]["num_resumed"], 6, "{name}");
    }
}

#[test]
fn phases_choose_their_own_studies_and_strategies() {
    for flag in [
        "--config=study.json",
        "--fixed-head-selection=variance",
        "--head-selection-strategy=variance",
        "--baseline=sum",
        "--shard=1/2",
        "--no-report",
        "--efficiency",
    ] {
        let name = flag.split('=').next().unwrap();
        fail(&["study", "--phases", flag], &["'--phases'", name]);
    }
}

#[test]
fn a_study_on_a_benchmark_has_its_own_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("pope"), dir.path().join("run"));
    let export = ["data", "export", "embedded:select", "--layout", "pope"];
    succeed(&[&export[..], &["--output", shown(&data)]].concat());
    let study = |json: &[&str]| {
        let what = ["study", "--config", CONFIG, "--keep", "8", "--limit", "60"];
        let cells = ["--head-selection-strategy", "sum,variance"];
        let rest = ["--num-selected-heads", "4", "--controls", "vanilla"];
        let paths = ["--dataset", shown(&data), "--output", shown(&run)];
        succeed(&[&what[..], &cells[..], &rest[..], &paths[..], json].concat())
    };
    let said = study(&[]);
    let table = said.split("what pope").nth(1).unwrap();
    assert!(table.contains("(POPE) reports") && said.contains("figures.csv"));
    for part in ["mean F1", "accuracy", "vanilla", "Holm p"] {
        assert!(table.contains(part), "{part}: {said}");
    }
    assert!(
        said.lines()
            .all(|line| line.chars().count() <= 80 || line.contains("/"))
    );
    let again: Value = serde_json::from_str(&study(&["--json"])).unwrap();
    let figures = &again["figures"][0];
    assert_eq!(
        (&figures["benchmark"], &figures["headlines"]),
        (&json!("POPE"), &json!(["mean F1"]))
    );
    let results = std::fs::read(run.join("results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(&results["analysis"]["figures"][0], figures);
}
