//! What every command prints fits a terminal of 80 columns, help included, and outputs are
//! kept in `tests/terminal/`, so that a change of one is seen. Run with
//! `FINEPRUNER_UPDATE_SNAPSHOTS=1`, the test writes these files anew.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

const WIDTH: usize = 80;

/// Where the examples, the configurations and the shipped files are.
fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// What the command prints in `folder`, on standard output and after it on standard error.
#[track_caller]
fn run(folder: &Path, args: &[&str]) -> [String; 2] {
    let output = Command::new(env!("CARGO_BIN_EXE_finepruner"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.code() <= Some(2), "{args:?}: {output:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

#[track_caller]
fn check_width(args: &[&str], text: &str) {
    for line in text.lines() {
        let width = line.chars().count();
        assert!(width <= WIDTH, "{args:?}: {width} columns: {line}");
    }
}

/// What is measured differs from run to run.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (start, end) in [("samples in ", [';', ',']), ("Workers waited", ['.', '.'])] {
        // Decimal points end no sentence.
        let is_end = |rest: &str, at: usize| {
            rest[at + 1..]
                .chars()
                .next()
                .is_none_or(char::is_whitespace)
        };
        if let Some(at) = text.find(start) {
            let from = at + start.len();
            let rest = &text[from..];
            let found = rest
                .match_indices(end)
                .find(|(at, _)| is_end(rest, *at))
                .map_or(rest.len(), |(at, _)| at);
            text.replace_range(from..from + found, "…");
        }
    }
    let is_measured = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).any(|pair| {
            pair[0].parse::<f64>().is_ok()
                && matches!(pair[1].trim_end_matches([',', ';']), "ms" | "s")
        })
    };
    let lines = text.lines().map(|line| match is_measured(&line) {
        true => "[measured]",
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Runs a command and compares what it prints with the file of that name.
#[track_caller]
fn check(name: &str, folder: &Path, args: &[&str]) {
    let [stdout, stderr] = run(folder, args);
    for text in [&stdout, &stderr] {
        check_width(args, text);
    }
    let mut text = format!("$ finepruner {}\n{}", args.join(" "), steady(&stdout));
    let workspace = workspace().display().to_string();
    text = text.replace(&workspace, ".");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/terminal")
        .join(format!("{name}.txt"));
    if std::env::var_os("FINEPRUNER_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == kept,
        "{} differs; if that is meant, run with FINEPRUNER_UPDATE_SNAPSHOTS=1\n{text}\n{stderr}",
        path.display()
    );
}

/// Commands below `args`, by the help of those above.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        // What goes on from the line before is indented further.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

#[test]
fn help_fits() {
    let folder = workspace();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut num_commands = 0;
    while let Some(command) = waiting.pop() {
        num_commands += 1;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for flag in ["--help", "-h"] {
            let args = [&words[..], &[flag]].concat();
            let [help, _] = run(&folder, &args);
            assert!(help.contains("Usage:"), "{args:?}: {help}");
            check_width(&args, &help);
            if flag == "--help" {
                let below = subcommands(&help).into_iter();
                waiting.extend(below.map(|name| [&command[..], &[name.to_owned()]].concat()));
            }
        }
    }
    assert!(num_commands > 15, "{num_commands}");
}

#[test]
fn what_is_said_without_a_run() {
    let root = workspace();
    let dir = tempfile::tempdir().unwrap();
    let score = [
        "score",
        "examples/attention.safetensors",
        "--image-range=5..69",
        "--keep=16",
    ];
    check("score", &root, &score);
    check("strategies", &root, &["strategies"]);
    check("budget", &root, &["budget"]);
    check("inspect", &root, &["inspect", "assets/finepruner-tiny"]);
    let config = "configs/ablation_a_config.json";
    check("config-check", &root, &["config", "check", config]);
    check("config-explain", &root, &["config", "explain", config]);
    check("data-check", &root, &["data", "check", "assets/benchmark"]);
    let generate = [
        "generate",
        "--model=assets/finepruner-tiny",
        "--image=assets/benchmark/select/images/select-00000.png",
        "--prompt=What color is the circle?",
        "--keep=18",
    ];
    check("generate", &root, &generate);
    let scenes = [
        "data", "generate", "--split", "train", "--images", "2", "--output", "scenes",
    ];
    check("data-generate", dir.path(), &scenes);
    let export = [
        "data",
        "export",
        "embedded:select",
        "--layout",
        "pope",
        "--output",
        "pope",
    ];
    check("data-export", dir.path(), &export);
    let convert = ["data", "convert", "pope", "--output", "plain"];
    check("data-convert", dir.path(), &convert);
}

#[test]
fn what_is_said_of_answers() {
    let dir = tempfile::tempdir().unwrap();
    for (name, wrong) in [
        ("dense_llava-1.5-7b-hf", 3),
        ("pruned_llava-1.5-7b-hf_192", 4),
    ] {
        let path = workspace().join("assets/benchmark/select/questions.jsonl");
        let questions = std::fs::read_to_string(path).unwrap();
        let lines = questions.lines().take(60).enumerate().map(|(at, line)| {
            let question: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = match at % wrong {
                0 => json!("no idea"),
                _ => question["answers"][0].clone(),
            };
            json!({ "question_id": question["id"], "text": text }).to_string()
        });
        let lines: Vec<String> = lines.collect();
        let file = dir.path().join(format!("{name}.jsonl"));
        std::fs::write(file, lines.join("\n")).unwrap();
    }
    let args = [
        "rescore",
        "--dataset=embedded:select",
        "--num-draws=1000",
        "dense_llava-1.5-7b-hf.jsonl",
        "pruned_llava-1.5-7b-hf_192.jsonl",
    ];
    check("rescore", dir.path(), &args);
}

#[test]
fn what_is_said_of_runs() {
    let dir = tempfile::tempdir().unwrap();
    let config = workspace().join("configs/ablation_a_config.json");
    std::fs::copy(config, dir.path().join("study.json")).unwrap();
    let study = |output: &'static str, more: &[&'static str]| {
        let fixed = [
            "study",
            "--config=study.json",
            "--head-selection-strategy=sum,weighted_quality",
            "--num-selected-heads=1/2",
            "--keep=25",
            "--dataset=embedded:select",
            "--limit=24",
            "--num-draws=1000",
            "--threads=1",
        ];
        [&fixed[..], more, &["--output", output]].concat()
    };
    check("study", dir.path(), &study("run", &[]));
    // Of study B the names of query strategies are what rows differ in.
    let queries = [
        "eval",
        "--config=study.json",
        "--head-selection-strategy=weighted_quality",
        "--query-selection-strategy=last_token,adaptive_by_length",
        "--num-selected-heads=1/2",
        "--keep=25",
        "--controls=vanilla,all_heads",
        "--dataset=embedded:select",
        "--limit=6",
        "--output=eval",
    ];
    check("eval", dir.path(), &queries);
    check("report", dir.path(), &["report", "run"]);
    run(
        dir.path(),
        &study("again", &["--dtype=bf16", "--no-report"]),
    );
    check("compare", dir.path(), &["compare", "run", "again"]);
    run(dir.path(), &study("shard-1", &["--shard=1/2"]));
    run(dir.path(), &study("shard-2", &["--shard=2/2"]));
    check(
        "merge",
        dir.path(),
        &["merge", "merged", "shard-1", "shard-2"],
    );
}
