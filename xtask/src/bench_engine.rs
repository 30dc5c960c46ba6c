//! Benchmark of the study engine at each level of sharing work, in one run.
//!
//! Every engine answers the same questions under the same cells with the same kernels and threads;
//! their records must be equal byte by byte.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::machine::{children_cpu_seconds, load_average, machine};

/// Engines from the least to the most shared work, with what each one adds.
const ENGINES: [(&str, &str); 4] = [
    ("sequential", "each cell from scratch"),
    ("prefix", "sharing: image and question once"),
    ("distinct", "de-duplication: equal kept sets once"),
    ("shared", "batching"),
];

/// Stages in which time is measured.
const STAGES: [&str; 7] = [
    "preprocess",
    "vision",
    "prefix",
    "scoring",
    "suffix",
    "decode",
    "diversity",
];

/// What is timed, and where the record goes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder that the record is written to, such as benches/record/cpu/2026-11-26.
    #[arg(long)]
    record: PathBuf,
    /// The study's configuration.
    #[arg(long, default_value = "configs/ablation_a_config.json")]
    config: String,
    /// The dataset, all of it [default: the first scenes of embedded:select, each with all
    /// its questions, as what they share is one of the things that are measured].
    #[arg(long)]
    dataset: Option<String>,
    /// Scenes, where no dataset is named.
    #[arg(long, default_value_t = 4, conflicts_with = "dataset")]
    scenes: usize,
    /// Threads of every engine.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Times that every engine is run, one after the other; the fastest of each counts.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

/// The fastest run of one engine.
struct Timed {
    engine: &'static str,
    adds: &'static str,
    /// Seconds from reading the data to the last record.
    seconds: f64,
    all_seconds: Vec<f64>,
    /// CPU time of the same run, which is hardly affected by other load on the machine.
    cpu_seconds: Option<f64>,
    stages: Vec<f64>,
    num_answers: u64,
    num_runs: u64,
    num_suffix_rows: u64,
    num_cells: u64,
    num_questions: u64,
    peak_memory: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0, "--rounds has to be at least 1");
    crate::cargo("build --release --quiet --package fp-cli")?;
    let root = PathBuf::from(crate::root());
    let work = root.join("target/bench-engine");
    let dataset = dataset(args, &work)?;
    let load = load_average();
    let mut timed: Vec<Timed> = Vec::new();
    let mut records: Option<Vec<u8>> = None;
    for round in 1..=args.rounds {
        for (engine, adds) in ENGINES {
            let folder = work.join(engine);
            if folder.exists() {
                std::fs::remove_dir_all(&folder)
                    .with_context(|| format!("can't clear {}", folder.display()))?;
            }
            let one = time(args, &dataset, engine, adds, &folder)?;
            println!("round {round}, {engine}: {:.2} s", one.seconds);
            let path = folder.join("records.blocks");
            let found = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let first = records.get_or_insert_with(|| found.clone());
            ensure!(*first == found, "{engine} recorded different bytes");
            match timed.iter_mut().find(|other| other.engine == engine) {
                None => timed.push(one),
                Some(other) => {
                    let mut all_seconds = other.all_seconds.clone();
                    all_seconds.push(one.seconds);
                    if one.seconds < other.seconds {
                        *other = one;
                    }
                    other.all_seconds = all_seconds;
                }
            }
        }
    }
    let record = root.join(&args.record);
    std::fs::create_dir_all(&record).with_context(|| format!("can't make {}", record.display()))?;
    let text = serde_json::to_string_pretty(&as_json(args, &timed, load))? + "\n";
    std::fs::write(record.join("engine.json"), text).context("can't write the record")?;
    let text = as_markdown(args, &timed, load);
    print!("\n{text}");
    std::fs::write(record.join("engine.md"), text).context("can't write the record")
}

/// The named dataset, or one with the first scenes of the shipped benchmark.
fn dataset(args: &Args, work: &Path) -> Result<String> {
    if let Some(dataset) = &args.dataset {
        return Ok(dataset.clone());
    }
    let source = PathBuf::from(crate::root()).join("assets/benchmark/select");
    let read = |name: &str| {
        let path = source.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
    };
    let mut description: Value = serde_json::from_str(&read("benchmark.json")?)?;
    description["images"] = json!(source);
    // The hash is of the full set of questions.
    description
        .as_object_mut()
        .map(|keys| keys.remove("sha256"));
    let mut images: Vec<Value> = Vec::new();
    let mut questions = String::new();
    for line in read("questions.jsonl")?.lines() {
        let question: Value = serde_json::from_str(line)?;
        if !images.contains(&question["image"]) {
            images.push(question["image"].clone());
        }
        if images.len() > args.scenes {
            break;
        }
        questions += &format!("{line}\n");
    }
    let folder = work.join("scenes");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    write("benchmark.json", &description.to_string())?;
    write("questions.jsonl", &questions)?;
    Ok(folder.display().to_string())
}

fn time(
    args: &Args,
    dataset: &str,
    engine: &'static str,
    adds: &'static str,
    folder: &Path,
) -> Result<Timed> {
    let binary = crate::finepruner()?;
    let cpu_before = children_cpu_seconds();
    let output = Command::new(binary)
        .current_dir(crate::root())
        .args(["study", "--json", "--no-report", "--engine", engine])
        .args(["--config", &args.config, "--dataset", dataset])
        .args(["--threads", &args.threads.to_string()])
        .arg("--output")
        .arg(folder)
        .output()
        .context("can't start finepruner")?;
    let cpu_after = children_cpu_seconds();
    ensure!(
        output.status.success(),
        "{engine} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcome: Value = serde_json::from_slice(&output.stdout)?;
    let summary = &outcome["summary"];
    let seconds = summary["seconds"].as_f64();
    let seconds = seconds.with_context(|| format!("{engine} didn't say how long it took"))?;
    let path = folder.join("timings.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text
        .lines()
        .map(serde_json::from_str::<Value>)
        .collect::<Result<Vec<_>, _>>()?;
    let sum = |key: &str| lines.iter().filter_map(|line| line[key].as_u64()).sum();
    let stage = |name: &&str| -> f64 {
        let seconds = lines
            .iter()
            .filter_map(|line| line["seconds"][name].as_f64());
        seconds.sum()
    };
    Ok(Timed {
        engine,
        adds,
        seconds,
        all_seconds: vec![seconds],
        cpu_seconds: cpu_after
            .zip(cpu_before)
            .map(|(after, before)| after - before),
        stages: STAGES.iter().map(stage).collect(),
        num_answers: sum("num_answers"),
        num_runs: sum("num_runs"),
        num_suffix_rows: sum("num_suffix_rows"),
        num_cells: summary["num_cells"].as_u64().unwrap_or_default(),
        num_questions: summary["num_samples"].as_u64().unwrap_or_default(),
        peak_memory: summary["peak_memory_bytes"].as_u64(),
    })
}

fn as_json(args: &Args, timed: &[Timed], load: Option<f64>) -> Value {
    let engines: Vec<Value> = timed
        .iter()
        .map(|one| {
            let stages = STAGES.iter().zip(&one.stages);
            let stages: serde_json::Map<String, Value> = stages
                .map(|(name, seconds)| ((*name).to_owned(), json!(seconds)))
                .collect();
            json!({
                "engine": one.engine,
                "adds": one.adds,
                "seconds": one.seconds,
                "all_seconds": one.all_seconds,
                "cpu_seconds": one.cpu_seconds,
                "stage_seconds": stages,
                "answers": one.num_answers,
                "model_runs": one.num_runs,
                "suffix_rows": one.num_suffix_rows,
                "peak_memory_bytes": one.peak_memory,
            })
        })
        .collect();
    json!({
        "machine": machine(),
        "load_average_before": load,
        "config": args.config,
        "dataset": what(args),
        "questions": timed.first().map(|one| one.num_questions),
        "cells": timed.first().map(|one| one.num_cells),
        "threads": args.threads,
        "rounds": args.rounds,
        "engines": engines,
    })
}

/// What was answered, in words.
fn what(args: &Args) -> String {
    match &args.dataset {
        Some(dataset) => format!("`{dataset}`"),
        None => format!("the first {} scenes of `embedded:select`", args.scenes),
    }
}

fn as_markdown(args: &Args, timed: &[Timed], load: Option<f64>) -> String {
    let first = timed.first().map_or(f64::NAN, |one| one.seconds);
    let cpu = |one: &Timed| one.cpu_seconds.unwrap_or(f64::NAN);
    let first_cpu = timed.first().map_or(f64::NAN, cpu);
    let (mut before, mut cpu_before) = (first, first_cpu);
    let mut table = String::new();
    let mut stages = String::new();
    for one in timed {
        // Writing to a string can't fail.
        let _ = writeln!(
            table,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
            one.engine,
            one.adds,
            one.seconds,
            first / one.seconds,
            before / one.seconds,
            cpu(one),
            first_cpu / cpu(one),
            cpu_before / cpu(one),
            one.num_runs,
            one.num_suffix_rows,
        );
        (before, cpu_before) = (one.seconds, cpu(one));
        let seconds: Vec<String> = one.stages.iter().map(|s| format!("{s:.2}")).collect();
        let _ = writeln!(stages, "| {} | {} |", one.engine, seconds.join(" | "));
    }
    let threads = match args.threads {
        1 => "1 thread".to_owned(),
        several => format!("{several} threads"),
    };
    let cells = timed.first().map_or(0, |one| one.num_cells);
    let load = load.map_or(String::new(), |load| {
        format!(" Load average before the start: {load:.2}.")
    });
    format!(
        "# The study engine, with increasing sharing of work\n\n\
         {machine}{load}\n\n\
         `{config}`, {questions} questions of {dataset}, {cells} cells each, {threads}. Every\n\
         engine recorded the same bytes. Seconds are whole runs, from reading the data to the last\n\
         record, the fastest of {rounds}; a factor is to the line above. Processor time says the same\n\
         where other work shares the machine.\n\n\
         | engine | adds | seconds | speed-up | factor | CPU seconds | speed-up | factor | runs of the model | rows after K |\n\
         |---|---|---|---|---|---|---|---|---|---|\n\
         {table}\n\
         Seconds by stage:\n\n\
         | engine | {names} |\n\
         |---|{lines}\n\
         {stages}\n\
         `cargo xtask bench-engine --record {folder} --threads {number}` wrote this.\n",
        machine = machine(),
        config = args.config,
        questions = timed.first().map_or(0, |one| one.num_questions),
        dataset = what(args),
        rounds = args.rounds,
        names = STAGES.join(" | "),
        lines = "---|".repeat(STAGES.len()),
        folder = args.record.display(),
        number = args.threads,
    )
}
