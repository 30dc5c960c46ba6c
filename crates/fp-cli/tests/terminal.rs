//! The output of every command fits a terminal of 80 columns, help included. Outputs are kept in
//! `tests/terminal/` (help in `help/`), so that changes are noticed. With
//! `FINEPRUNER_UPDATE_SNAPSHOTS=1` the test rewrites these files.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::workspace;

const WIDTH: usize = 80;

/// Output of the command in `folder`: standard output and standard error.
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

/// All problems, reported together at the end.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn check_width(&mut self, args: &[&str], text: &str) {
        for line in text.lines() {
            let width = line.chars().count();
            if width > WIDTH {
                let command = args.join(" ");
                self.0.push(format!("{command}: {width} columns: {line}"));
            }
        }
    }

    /// Runs a command and compares its output with the file of that name.
    fn check(&mut self, name: &str, folder: &Path, args: &[&str]) {
        let [stdout, stderr] = run(folder, args);
        for text in [&stdout, &stderr] {
            self.check_width(args, text);
        }
        let mut text = format!("$ finepruner {}\n{}", args.join(" "), steady(&stdout));
        text = text.replace(&workspace().display().to_string(), ".");
        if stdout.is_empty() {
            self.0.push(format!("{name} printed nothing: {stderr}"));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/terminal")
            .join(format!("{name}.txt"));
        if std::env::var_os("FINEPRUNER_UPDATE_SNAPSHOTS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            let path = path.display();
            self.0.push(format!("{path} differs from this:\n{text}"));
        }
    }

    #[track_caller]
    fn finish(self) {
        assert!(
            self.0.is_empty(),
            "if what differs is meant, run with FINEPRUNER_UPDATE_SNAPSHOTS=1\n{}",
            self.0.join("\n")
        );
    }
}

/// The text without measured values, which differ from run to run.
fn steady(text: &str) -> String {
    let mut kept = String::new();
    let mut is_measured = false;
    for line in text.lines() {
        // Lines about time extend to the end of their sentence or list.
        let starts = ["Workers waited", "ms: "];
        let is_start = starts.iter().any(|start| line.starts_with(start));
        if is_start {
            kept += "[times]\n";
        }
        let goes_on = is_measured && !line.starts_with("wrote ") && !line.starts_with("KV ");
        is_measured = (is_start || goes_on) && !line.ends_with('.');
        if is_start || goes_on {
            continue;
        }
        // "12 samples in 3 s, 4 of them …"
        match line.split_once(" samples in ") {
            Some((count, rest)) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                let rest = rest.find([',', ';']).map_or("", |at| &rest[at..]);
                kept += &format!("{count} samples in [time]{rest}\n");
            }
            _ => kept += &format!("{line}\n"),
        }
    }
    kept
}

/// Subcommands in a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        // Continuation lines are indented further.
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
    let mut problems = Problems::default();
    while let Some(command) = waiting.pop() {
        num_commands += 1;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for flag in ["--help", "-h"] {
            let args = [&words[..], &[flag]].concat();
            let [help, _] = run(&folder, &args);
            assert!(help.contains("Usage:"), "{args:?}: {help}");
            problems.check_width(&args, &help);
            if flag == "--help" {
                let name = match words.as_slice() {
                    [] => "finepruner".to_owned(),
                    words => words.join("-"),
                };
                problems.check(&format!("help/{name}"), &folder, &args);
                let below = subcommands(&help).into_iter();
                waiting.extend(below.map(|name| [&command[..], &[name.to_owned()]].concat()));
            }
        }
    }
    assert!(num_commands > 15, "{num_commands}");
    problems.finish();
}

#[test]
fn what_is_said_without_a_run() {
    let mut problems = Problems::default();
    let root = workspace();
    let dir = tempfile::tempdir().unwrap();
    let score = [
        "score",
        "examples/attention.safetensors",
        "--image-range=5..69",
        "--keep=16",
    ];
    problems.check("score", &root, &score);
    problems.check("strategies", &root, &["strategies"]);
    problems.check("methods", &root, &["methods"]);
    problems.check("budget", &root, &["budget"]);
    problems.check("inspect", &root, &["inspect", "assets/finepruner-tiny"]);
    let config = "configs/ablation_a_config.json";
    problems.check("config-check", &root, &["config", "check", config]);
    problems.check("config-explain", &root, &["config", "explain", config]);
    problems.check("data-check", &root, &["data", "check", "assets/benchmark"]);
    let generate = [
        "generate",
        "--model=assets/finepruner-tiny",
        "--image=assets/benchmark/select/images/select-00000.png",
        "--prompt=What color is the circle?",
        "--keep=18",
    ];
    problems.check("generate", &root, &generate);
    let scenes = [
        "data", "generate", "--split", "train", "--images", "2", "--output", "scenes",
    ];
    problems.check("data-generate", dir.path(), &scenes);
    let export = [
        "data",
        "export",
        "embedded:select",
        "--layout",
        "pope",
        "--output",
        "pope",
    ];
    problems.check("data-export", dir.path(), &export);
    let convert = ["data", "convert", "pope", "--output", "plain"];
    problems.check("data-convert", dir.path(), &convert);
    problems.finish();
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
    let mut problems = Problems::default();
    problems.check("rescore", dir.path(), &args);
    problems.finish();
}

#[test]
fn what_is_said_of_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut problems = Problems::default();
    for (from, to) in [("ablation_a_config", "a"), ("ablation_b_config", "b")] {
        let config = workspace().join(format!("configs/{from}.json"));
        std::fs::copy(config, dir.path().join(format!("{to}.json"))).unwrap();
    }
    let study = |output: &'static str, more: &[&'static str]| {
        let fixed = [
            "study",
            "--config=a.json",
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
    problems.check("study", dir.path(), &study("run", &[]));
    // In study B the rows differ in the names of query strategies.
    let queries = [
        "eval",
        "--config=b.json",
        "--fixed-head-selection=weighted_quality",
        "--query-selection-strategy=last_token,adaptive_by_length",
        "--num-selected-heads=1/2",
        "--keep=25",
        "--controls=vanilla,all_heads",
        "--dataset=embedded:select",
        "--limit=6",
        "--output=eval",
    ];
    problems.check("eval", dir.path(), &queries);
    problems.check("report", dir.path(), &["report", "run"]);
    run(
        dir.path(),
        &study("again", &["--dtype=bf16", "--no-report"]),
    );
    problems.check("compare", dir.path(), &["compare", "run", "again"]);
    run(dir.path(), &study("shard-1", &["--shard=1/2"]));
    run(dir.path(), &study("shard-2", &["--shard=2/2"]));
    problems.check(
        "merge",
        dir.path(),
        &["merge", "merged", "shard-1", "shard-2"],
    );
}
