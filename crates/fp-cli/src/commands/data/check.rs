//! `finepruner data check`: what a folder holds, and what is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use fp_eval::dataset::{Form, Part, Problems, Reading, find};
use serde::Serialize;

use crate::commands::{print_json, print_text};
use crate::table::{WIDTH, table, wrap};

/// Say what data sets a folder holds, how large they are, and what is missing.
///
/// A folder is recognised by its files: those of LLaVA's evaluation (VQAv2, GQA, TextVQA,
/// POPE, MME, ScienceQA, MMBench, VizWiz, MM-Vet), RefCOCO's lines of expressions, the
/// plain form (benchmark.json and questions.jsonl), or Parquet files by the columns that
/// these benchmarks have on the Hugging Face Hub. Where the folder itself
/// holds none, the folders in it are looked at. Every line that can't be used is counted by
/// kind; the first ones are named.
///
/// Examples:
///   finepruner data check playground/data/eval
///   finepruner data check playground/data/eval/gqa --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CheckArgs {
    /// A data set's folder, or a folder of such folders.
    folder: PathBuf,
    /// Print JSON: one object with an entry per data set.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Checked {
    /// What `--dataset` takes.
    selector: String,
    benchmark: &'static str,
    form: Option<Form>,
    /// Whether it can be used as it is.
    is_whole: bool,
    /// What is missing or wrong as a whole.
    error: Option<String>,
    #[serde(flatten)]
    found: Option<Found>,
}

#[derive(Serialize)]
struct Found {
    name: String,
    split: String,
    num_questions: usize,
    num_images: usize,
    num_with_boxes: usize,
    families: BTreeMap<String, usize>,
    answer_rule: Option<&'static str>,
    judge: Option<String>,
    files: Vec<PathBuf>,
    notes: Vec<String>,
    problems: Problems,
}

/// Runs the command.
pub(crate) fn run(args: &CheckArgs) -> Result<()> {
    let parts = parts(&args.folder)?;
    ensure!(
        !parts.is_empty(),
        "{} holds no data set that is known, nor do the folders in it; `finepruner data check --help` says what is known",
        args.folder.display()
    );
    let checked: Vec<Checked> = parts.iter().map(Place::check).collect();
    match args.json {
        true => print_json(&serde_json::json!({
            "folder": args.folder,
            "data_sets": checked,
        })),
        false => print_text(&text(&checked)),
    }
}

/// A data set, or a folder that would be one if nothing were wrong with it.
enum Place {
    Part(Part),
    Damaged(PathBuf, String),
}

/// Data sets of the folder, or else of the folders in it.
fn parts(folder: &Path) -> Result<Vec<Place>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    let found = find(folder);
    if let Ok(found) = &found
        && !found.is_empty()
    {
        return Ok(found.iter().cloned().map(Place::Part).collect());
    }
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let mut places = Vec::new();
    for folder in folders {
        match find(&folder) {
            Ok(found) => places.extend(found.into_iter().map(Place::Part)),
            Err(error) => places.push(Place::Damaged(folder, error.to_string())),
        }
    }
    // What is wrong with the folder itself matters where the folders in it hold nothing.
    match found {
        Err(error) if !places.iter().any(|place| matches!(place, Place::Part(_))) => {
            Err(error.into())
        }
        _ => Ok(places),
    }
}

impl Place {
    fn check(&self) -> Checked {
        match self {
            Place::Part(part) => check(part),
            Place::Damaged(folder, error) => Checked {
                selector: folder.display().to_string(),
                benchmark: "–",
                form: None,
                is_whole: false,
                error: Some(error.clone()),
                found: None,
            },
        }
    }
}

fn check(part: &Part) -> Checked {
    let (found, error) = match part.read() {
        Ok(reading) => (Some(describe(reading)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let is_whole = found
        .as_ref()
        .is_some_and(|found| found.problems.is_empty() && found.num_questions > 0);
    Checked {
        selector: part.selector(),
        benchmark: part.benchmark.title(),
        form: Some(part.form),
        is_whole,
        error,
        found,
    }
}

fn describe(reading: Reading) -> Found {
    let Reading { dataset, problems } = reading;
    let images: HashSet<_> = dataset.samples.iter().map(|sample| &sample.image).collect();
    let mut families = BTreeMap::new();
    for sample in &dataset.samples {
        *families.entry(sample.family.clone()).or_default() += 1;
    }
    let with_boxes = dataset.samples.iter().filter(|s| !s.boxes.is_empty());
    Found {
        num_questions: dataset.samples.len(),
        num_images: images.len(),
        num_with_boxes: with_boxes.count(),
        families,
        answer_rule: dataset.judge.is_none().then(|| dataset.answer_rule.name()),
        judge: dataset.judge,
        name: dataset.name,
        split: dataset.split,
        files: dataset.files,
        notes: dataset.notes,
        problems,
    }
}

fn text(checked: &[Checked]) -> String {
    let rows: Vec<Vec<String>> = checked
        .iter()
        .map(|entry| {
            let number = |of: fn(&Found) -> usize| {
                let found = entry.found.as_ref();
                found.map_or_else(|| "–".to_owned(), |found| of(found).to_string())
            };
            let scored = match &entry.found {
                Some(Found { judge: Some(_), .. }) => "elsewhere",
                Some(found) => found.answer_rule.unwrap_or("–"),
                None => "–",
            };
            vec![
                entry.selector.clone(),
                entry.benchmark.to_owned(),
                number(|found| found.num_questions),
                number(|found| found.num_images),
                number(|found| found.num_with_boxes),
                scored.to_owned(),
                if entry.is_whole { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let header = [
        "--dataset",
        "benchmark",
        "questions",
        "images",
        "with boxes",
        "scored by",
        "whole",
    ];
    let mut text = table(&header, &rows, &[2, 3, 4]);
    for entry in checked {
        let mut remarks: Vec<String> = entry.error.iter().cloned().collect();
        if let Some(found) = &entry.found {
            remarks.extend(found.notes.iter().cloned());
            let judge = found.judge.iter();
            remarks
                .extend(judge.map(|judge| format!("no answers to score by: they go to {judge}")));
            if !found.problems.is_empty() {
                remarks.push(found.problems.to_string());
            }
        }
        if !remarks.is_empty() {
            text += &format!("\n\n{}", entry.selector);
        }
        for remark in remarks.iter().flat_map(|remark| remark.lines()) {
            for line in wrap(remark, WIDTH - 2) {
                text += &format!("\n  {line}");
            }
        }
    }
    text
}
