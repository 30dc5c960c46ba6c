//! From a study to its report, and two runs beside each other.

mod common;

use std::path::Path;

use common::{fail, succeed};
use serde_json::Value;

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
