//! Data sets and answers by the command: check, convert, export, rescore.

mod common;

use common::{fail, finepruner, succeed};
use serde_json::Value;
use std::path::Path;

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&succeed(args)).unwrap()
}

fn export(layout: &str, folder: &Path) -> String {
    let path = folder.join(layout).display().to_string();
    succeed(&[
        "data",
        "export",
        "embedded:select",
        "--layout",
        layout,
        "--output",
        &path,
    ]);
    path
}

#[test]
fn what_is_exported_is_recognised_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let pope = export("pope", folder.path());
    export("textvqa", folder.path());
    let root = folder.path().display().to_string();
    let checked = json(&["data", "check", &root, "--json"]);
    let sets = checked["data_sets"].as_array().unwrap();
    assert_eq!(sets.len(), 3);
    assert!(sets.iter().all(|set| set["is_whole"] == true));
    let text = succeed(&["data", "check", &root]);
    assert!(text.contains("textvqa:noocr") && text.lines().all(|l| l.chars().count() <= 100));
    let plain = folder.path().join("plain").display().to_string();
    let converted = json(&["data", "convert", &pope, "--output", &plain, "--json"]);
    assert_eq!(converted["num_left_out"], 0);
    let number = |selector: &str| {
        json(&["data", "check", selector, "--json"])["data_sets"][0]["num_questions"].clone()
    };
    assert_eq!(number(&plain), number(&pope));
    fail(
        &["data", "convert", &pope, "--output", &plain],
        &["isn't empty"],
    );
    fail(
        &[
            "data",
            "export",
            "embedded:select",
            "--layout",
            "mmbench",
            "--output",
            "x",
        ],
        &["choice of two to four"],
    );
}

#[test]
fn problems_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display().to_string();
    fail(&["data", "check", &empty], &["no data set that is known"]);
    let gqa = export("gqa", folder.path());
    let questions = Path::new(&gqa).join("llava_gqa_testdev_balanced.jsonl");
    let text = std::fs::read_to_string(&questions).unwrap();
    let first = text.lines().next().unwrap();
    std::fs::write(&questions, format!("{text}{first}\n{{\n")).unwrap();
    let checked = json(&["data", "check", &gqa, "--json"]);
    let set = &checked["data_sets"][0];
    assert_eq!(set["is_whole"], false);
    assert_eq!(set["problems"]["counts"]["duplicate_id"], 1);
    assert_eq!(set["problems"]["counts"]["malformed"], 1);
    let text = succeed(&["data", "check", &gqa]);
    assert!(text.contains("2 lines can't be used"), "{text}");
}

/// Answers as LLaVA writes them: right but for every `wrong`-th.
fn answers(dataset: &str, path: &Path, wrong: usize, leave_out: usize) {
    let questions = Path::new(dataset).join("llava_pope_test.jsonl");
    let questions = std::fs::read_to_string(questions).unwrap();
    let mut labels = std::collections::HashMap::new();
    for entry in std::fs::read_dir(Path::new(dataset).join("coco")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let category = name.trim_start_matches("coco_pope_").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let list: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        labels.insert(category, list.into_iter());
    }
    let mut lines = String::new();
    for (number, line) in questions.lines().enumerate() {
        let question: Value = serde_json::from_str(line).unwrap();
        let category = question["category"].as_str().unwrap();
        let label = labels.get_mut(category).unwrap().next().unwrap();
        let is_yes = (label["label"] == "yes") != (number + 1).is_multiple_of(wrong);
        if number >= leave_out {
            let answer = serde_json::json!({
                "question_id": question["question_id"],
                "prompt": question["text"],
                "text": if is_yes { "Yes" } else { "No" },
            });
            lines += &format!("{answer}\n");
        }
    }
    std::fs::write(path, lines).unwrap();
}

#[test]
fn answers_are_scored_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let pope = export("pope", folder.path());
    let file = |name: &str| folder.path().join(name);
    answers(&pope, &file("good.jsonl"), 1_000_000, 0);
    answers(&pope, &file("worse.jsonl"), 4, 0);
    answers(&pope, &file("short.jsonl"), 1_000_000, 10);
    let path = |name: &str| file(name).display().to_string();
    let args = [
        "rescore",
        "--dataset",
        &pope,
        &path("good.jsonl"),
        &path("worse.jsonl"),
        "--json",
    ];
    let result = json(&args);
    let headline = |place: usize| {
        let figure = &result["files"][place]["figures"][0];
        assert_eq!(figure["name"], "mean F1");
        figure["value"].as_f64().unwrap()
    };
    assert_eq!(headline(0), 100.0);
    assert!(headline(1) < 90.0);
    let pair = &result["comparisons"][0];
    assert!(pair["paired"]["p"].as_f64().unwrap() < 0.01, "{pair}");
    assert_eq!(pair["paired"]["discordant"]["c"], 0);
    let f1 = pair["headline"]["difference"].as_f64().unwrap();
    assert!((f1 - (headline(0) - headline(1))).abs() < 1e-9);

    let short = path("short.jsonl");
    let output = finepruner(&["rescore", "--dataset", &pope, &short, "--json"]);
    assert!(output.stderr.contains("10 of"), "{}", output.stderr);
    let result: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        result["files"][0]["joined"]["missing"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    assert!(result["files"][0]["figures"][0]["value"].as_f64().unwrap() < 100.0);
    fail(
        &["rescore", "--dataset", &pope, &short, "--strict"],
        &["have no answer"],
    );
    fail(&["rescore", &short], &["--dataset"]);
    let text = succeed(&args[..5]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn mme_folders_and_mmbench_tables_need_no_data_set() {
    let folder = tempfile::tempdir().unwrap();
    for (name, second) in [("a", "No"), ("b", "Yes")] {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let lines: String = (0..6)
            .map(|image| {
                format!("{image}.jpg\tIs it?\tYes\tYes\n{image}.jpg\tIs it not?\tNo\t{second}\n")
            })
            .collect();
        std::fs::write(path.join("existence.txt"), lines).unwrap();
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let result = json(&["rescore", &path("a"), &path("b"), "--json"]);
    let value = |place: usize| result["files"][place]["figures"][0]["value"].as_f64();
    assert_eq!((value(0), value(1)), (Some(200.0), Some(50.0)));
    assert_eq!(result["comparisons"][0]["headline"]["difference"], 150.0);

    let table = "index\tquestion\tA\tB\tprediction\tanswer\n1\tWhich?\tup\tdown\tA\tA\n1000001\tWhich?\tdown\tup\tA. down\tB\n2\tWhich?\tin\tout\tout\tB\n";
    std::fs::write(folder.path().join("m.tsv"), table).unwrap();
    let result = json(&["rescore", &path("m.tsv"), "--json"]);
    assert_eq!(result["files"][0]["figures"][0]["value"], 50.0);
    assert_eq!(result["files"][0]["figures"][1]["value"], 100.0);
}

/// The same questions and answers in both forms give the same figures.
#[cfg(feature = "parquet")]
#[test]
fn parquet_needs_no_flag() {
    let folder = tempfile::tempdir().unwrap();
    let lines = export("pope", folder.path());
    let parquet = folder.path().join("parquet").display().to_string();
    let args = ["data", "export", "embedded:select", "--layout", "pope"];
    let written = json(&[&args[..], &["--parquet", "--output", &parquet, "--json"]].concat());
    let checked = json(&["data", "check", &parquet, "--json"]);
    let set = &checked["data_sets"][0];
    assert_eq!(
        (&set["form"], &set["is_whole"]),
        (&"parquet".into(), &true.into())
    );
    assert_eq!(set["num_questions"], written["num_samples"]);
    let path = folder.path().join("answers.jsonl");
    answers(&lines, &path, 4, 0);
    let path = path.display().to_string();
    let figures = |dataset: &str| {
        json(&["rescore", "--dataset", dataset, &path, "--strict", "--json"])["files"][0]["figures"]
            .clone()
    };
    assert_eq!(figures(&parquet), figures(&lines));
}

#[test]
fn a_folder_to_fill_in_is_a_dataset() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mine").display().to_string();
    let text = succeed(&["data", "init", &folder]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("README.md explains every field"), "{text}");
    let checked = json(&["data", "check", &folder, "--json"]);
    let set = &checked["data_sets"][0];
    assert_eq!(
        (&set["is_whole"], &set["num_questions"]),
        (&true.into(), &3.into())
    );
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/ablation_a_config.json"
    );
    let run = root.path().join("run").display().to_string();
    let study = [
        "study",
        "--config",
        config,
        "--dataset",
        &folder,
        "--output",
        &run,
    ];
    let flags = [
        "--keep=8",
        "--num-selected-heads=4",
        "--head-selection-strategy=sum,variance",
        "--json",
    ];
    let said = json(&[&study[..], &flags].concat());
    let summary = &said["summary"];
    assert_eq!(
        (&summary["num_samples"], &summary["num_failed"]),
        (&3.into(), &0.into())
    );
    fail(&["data", "init", &folder], &["isn't empty"]);
    let other = root.path().join("other").display().to_string();
    let written = json(&["data", "init", &other, "--json"]);
    assert_eq!(written["files"].as_array().unwrap().len(), 5);
}
