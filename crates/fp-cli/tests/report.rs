//! From a study to its report, studies in sequence, and comparisons of two runs.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{self, fail, succeed};

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
    // Vanilla and two strategies at R = 8; only the first run has R = 4.
    assert_eq!(cells.len(), 3);
    assert_eq!(said["cells_only_first"].as_array().unwrap().len(), 2);
    for cell in cells {
        assert_eq!(cell["num_answers"], 12);
        assert_eq!(cell["texts_differ"], 0);
        assert_eq!(cell["kept_differ"], 0);
        assert_eq!(cell["comparison"]["is_identical"], true);
    }
    let text = succeed(&["compare", shown(&first), shown(&second)]);
    for part in [
        "what changed: configuration",
        "2 cells only in the first: ",
        "Differences are the second run minus the first.",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = shown(dir.path());
    fail(&["report", nothing], &[nothing]);
    fail(&["compare", nothing, nothing], &[nothing]);
}

/// A study uses the strategy that the one before confirmed, or else the baseline, which nothing was
/// shown to beat.
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
fn answers_of_the_shipped_model_are_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut args = vec!["study", "--config", CONFIG, "--keep", "16"];
    args.extend(["--num-selected-heads=4", "--head-selection-strategy=sum"]);
    args.extend([
        "--controls=vanilla",
        "--dataset=embedded:confirm",
        "--limit=60",
    ]);
    args.extend(["--output", shown(&run)]);
    let text = succeed(&args);
    assert!(!text.contains("explains a score"), "{text}");
    let results = std::fs::read_to_string(run.join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let loud = &results["analysis"]["answer_health"];
    assert!(loud.is_null(), "{loud}");
}

/// A dataset with four questions on images, of which those in `bad` are no images, and two
/// text-only ones.
fn dataset(to: &Path, bad: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    let mut lines = String::new();
    for name in ["a.bmp", "b.bmp", "c.bmp", "d.bmp"] {
        let bytes = if bad.contains(&name) {
            b"<html>404</html>".to_vec()
        } else {
            common::bitmap(168, 168)
        };
        if name != "d.bmp" || !bad.contains(&name) {
            std::fs::write(to.join(name), bytes).unwrap();
        }
        lines += &json!({"id": name, "image": name, "question": "What color is it?",
            "answers": ["red"], "family": "color"})
        .to_string();
        lines.push('\n');
    }
    for (id, image) in [("t1", json!("")), ("t2", Value::Null)] {
        lines += &json!({"id": id, "image": image, "question": "What color is the sky?",
            "answers": ["blue"], "family": "color"})
        .to_string();
        lines.push('\n');
    }
    std::fs::write(to.join("questions.jsonl"), lines).unwrap();
    let description = r#"{"name": "mini", "split": "t", "answer_rule": "exact"}"#;
    std::fs::write(to.join("benchmark.json"), description).unwrap();
}

/// Arguments of a small study of a dataset.
fn small<'a>(command: &'a str, data: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        command,
        "--config",
        CONFIG,
        "--dataset",
        data,
        "--output",
        output,
    ];
    args.extend(["--keep", "16", "--num-selected-heads", "4"]);
    args.extend([
        "--head-selection-strategy",
        "sum,variance",
        "--controls",
        "vanilla",
    ]);
    args.extend(["--num-draws", "1000", "--max-new-tokens", "2"]);
    args.extend(more);
    args
}

/// Text joined into one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn failed_samples_are_said_first_and_have_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("data"), dir.path().join("run"));
    dataset(&data, &["b.bmp", "d.bmp"]);
    let said = "2 of 4 questions failed and are excluded from all results: 1 with a missing image \
                and 1 whose image file is damaged or isn't an image. b.bmp (b.bmp): not an image";
    let study =
        |more: &[&str]| common::finepruner(&small("study", shown(&data), shown(&run), more));
    let first = study(&[]);
    assert_eq!(first.code, Some(3), "{}", first.stderr);
    assert!(flat(&first.stdout).starts_with(said), "{}", first.stdout);
    assert!(first.stdout.contains("d.bmp (d.bmp): "), "{}", first.stdout);
    let stderr = flat(&first.stderr);
    assert!(
        stderr.contains("1 of 4 questions of mini t have no image file"),
        "{stderr}"
    );
    assert!(
        stderr.ends_with("--allow-failed accepts the rest, with exit code 0"),
        "{stderr}"
    );
    let summary = std::fs::read_to_string(run.join("summary.md")).unwrap();
    assert!(summary.contains("**2 of 4 questions failed"), "{summary}");
    let results: Value =
        serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["failures"]["samples"].as_array().unwrap().len(), 2);

    // The same for a resumed run, and for every command that reports it.
    let folder = shown(&run);
    for args in [
        small("study", shown(&data), folder, &[]),
        small("eval", shown(&data), folder, &[]),
        vec!["report", folder],
    ] {
        let output = common::finepruner(&args);
        assert_eq!(output.code, Some(3), "{args:?} {}", output.stderr);
        assert!(
            flat(&output.stdout).starts_with(said),
            "{args:?} {}",
            output.stdout
        );
        let json = common::finepruner(&[args.as_slice(), &["--json"]].concat());
        assert_eq!(json.code, Some(3), "{args:?}");
        let value: Value = serde_json::from_str(&json.stdout).unwrap();
        assert!(json.stdout.starts_with("{\"failures\""), "{}", json.stdout);
        assert_eq!(value["failures"]["num_failed"], 2);
        assert_eq!(value["failures"]["by_kind"][0]["kind"], "missing_image");
        succeed(&[args.as_slice(), &["--allow-failed"]].concat());
    }
    let shards: Vec<_> = ["1/2", "2/2"]
        .map(|shard| {
            let folder = dir.path().join(shard.replace('/', "of"));
            let more = ["--shard", shard, "--allow-failed"];
            succeed(&small("study", shown(&data), shown(&folder), &more));
            folder
        })
        .into_iter()
        .collect();
    let merged = dir.path().join("merged");
    let args = [
        "merge",
        shown(&merged),
        shown(&shards[0]),
        shown(&shards[1]),
    ];
    let output = common::finepruner(&args);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    assert!(flat(&output.stdout).starts_with(said), "{}", output.stdout);
    let read = |folder: &Path| std::fs::read(folder.join("records.blocks")).unwrap();
    assert!(read(&merged) == read(&run), "merged otherwise");

    // A run without any answer is an error of its own.
    for name in ["a.bmp", "c.bmp"] {
        std::fs::write(data.join(name), b"").unwrap();
    }
    let other = dir.path().join("other");
    let args = small("study", shown(&data), shown(&other), &["--allow-failed"]);
    // Repeating the command gives the same error.
    for _ in 0..2 {
        let output = common::finepruner(&args);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
        for part in [
            "error: all 4 questions failed",
            "a.bmp (a.bmp): the image is empty",
        ] {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
    }
}

#[test]
fn text_only_questions_are_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("data"), dir.path().join("run"));
    dataset(&data, &[]);
    let without = dir.path().join("without");
    let text = flat(&succeed(&small("eval", shown(&data), shown(&without), &[])));
    assert!(
        text.contains("2 text-only questions are skipped; `--text-only`"),
        "{text}"
    );
    let with = ["--text-only"];
    let text = flat(&succeed(&small("study", shown(&data), shown(&run), &with)));
    let said = "2 text-only questions, answered unpruned, the same in every cell; not part of \
                comparisons; accuracy on them";
    assert!(text.contains(said), "{text}");
    let json = succeed(&small(
        "eval",
        shown(&data),
        shown(&run),
        &["--text-only", "--json"],
    ));
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["text_only"]["num_questions"], 2);
    for cell in value["cells"].as_array().unwrap() {
        assert_eq!(cell["accuracy"]["n"], 4, "{cell}");
    }
    let overall = value["text_only"]["accuracy_of_all_questions"]
        .as_array()
        .unwrap();
    assert!(overall.iter().all(|cell| cell["n"] == 6), "{overall:?}");
    assert_eq!(
        value["image_ranges"][0]["range"][1].as_u64().unwrap()
            - value["image_ranges"][0]["range"][0].as_u64().unwrap(),
        144
    );
    assert!(text.contains("of every sequence in mini t"), "{text}");
    // The comparisons are the same with and without text-only questions.
    let read = |folder: &Path, key: &str| {
        let results = succeed(&["report", "--json", shown(folder)]);
        let results: Value = serde_json::from_str(&results).unwrap();
        results["analysis"][key].clone()
    };
    for key in [
        "cells",
        "references",
        "samples",
        "strata",
        "costs",
        "image_ranges",
    ] {
        assert_eq!(read(&run, key), read(&without, key), "{key}");
    }
    let summary = std::fs::read_to_string(run.join("summary.md")).unwrap();
    assert!(summary.contains("not part of comparisons"), "{summary}");
}

#[test]
fn budgets_that_keep_everything_are_said_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("data"), dir.path().join("run"));
    dataset(&data, &[]);
    let note = "kept = 144 keeps all 144 image tokens: nothing is pruned";
    let mut args = small("study", shown(&data), shown(&run), &[]);
    let keep = args.iter().position(|arg| *arg == "16").unwrap();
    args[keep] = "144,16";
    let output = common::finepruner(&args);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        flat(&output.stderr).starts_with(&format!("warning: {note}")),
        "{}",
        output.stderr
    );
    assert!(flat(&output.stdout).contains(note), "{}", output.stdout);
    let config = dir.path().join("config.json");
    let content =
        json!({"study": "a", "budgets": [{"kept": 144}, {"kept": 9}, {"retention": 1.0}]});
    std::fs::write(&config, content.to_string()).unwrap();
    // Both budgets resolve to R = 144, which is an error of its own.
    fail_with_report(&["config", "check", shown(&config)], "both resolve to R144");
    let content = json!({"study": "a", "budgets": [{"average_visual_tokens": 144}, {"kept": 9}]});
    std::fs::write(&config, content.to_string()).unwrap();
    let note = "average_visual_tokens = 144 keeps all 144 image tokens";
    for args in [
        ["config", "check", shown(&config)],
        ["config", "explain", shown(&config)],
    ] {
        let text = flat(&succeed(&args));
        assert!(text.contains(note), "{args:?} {text}");
        let json = succeed(&[&args[..], &["--json"]].concat());
        assert!(json.contains(note), "{args:?} {json}");
    }
}

/// Expects code 2, with the problem on standard output.
fn fail_with_report(args: &[&str], part: &str) {
    let output = common::finepruner(args);
    assert_eq!(output.code, Some(2), "{}", output.stdout);
    assert!(flat(&output.stdout).contains(part), "{}", output.stdout);
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
    let table = said.split("What pope").nth(1).unwrap();
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

#[test]
fn a_benchmark_that_reports_only_the_accuracy_has_a_note_and_no_heading() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("gqa"), dir.path().join("run"));
    let export = ["data", "export", "embedded:select", "--layout", "gqa"];
    succeed(&[&export[..], &["--output", shown(&data)]].concat());
    let what = ["study", "--config", CONFIG, "--keep", "8", "--limit", "6"];
    let cells = ["--head-selection-strategy", "sum", "--controls", "vanilla"];
    let paths = ["--dataset", shown(&data), "--output", shown(&run)];
    let said = succeed(&[&what[..], &cells[..], &paths[..]].concat());
    let note = "(GQA): accuracy (gqa) is the accuracy of the other tables.";
    assert!(flat(&said).contains(note), "{said}");
    assert!(
        !said.contains("(GQA) reports") && !said.contains("\n\n\n"),
        "{said}"
    );
}
