//! `finepruner rescore`: metrics of answers that other programs produced.

mod health;
mod report;
mod reported;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use fp_data::dataset::{Dataset, Reading};
use fp_data::rescore::{AnswerFile, Comparison, Scored, compare_all, open_questions, upload};
use fp_eval::study::dataset_selector;
use fp_stats::CompareOptions;

use super::{print_json, print_text};
use crate::plain::plain;
use crate::table::wrap_lines;

/// Score answer files of other evaluations, and test them against each other.
///
/// Answers are LLaVA's JSON lines (question_id, text), lists for evaluation
/// servers (.json), what lmms-eval logs with --log_samples (…_samples_TASK.jsonl),
/// VLMEvalKit's predictions (MODEL_DATASET.xlsx, .tsv or .json), a folder of MME's
/// official tool (a .txt per task), or a table of MMBench with a column
/// `prediction` (.tsv or .xlsx). The last two contain their questions and need no
/// --dataset. All metrics of the benchmark are computed; files are compared
/// pairwise on the same questions, clustered by image, with Holm's correction over
/// the pairs.
///
/// Answers are joined with questions by question_id, or by the row that lmms-eval
/// logs. Where the prompts in a file contradict that, they are joined by image and
/// question, or refused; a note says how. No image is needed. Questions without an
/// answer count as wrong; warnings count them, and name what else doesn't
/// match. --strict turns warnings into errors.
///
/// Scores that lmms-eval (…_results.json) or VLMEvalKit (…_acc.csv, …_score.csv)
/// wrote beside the answers are shown beside ours by the same rule, with the reason
/// where they differ.
///
/// Below a file's metrics its answers are checked: one answer to everything,
/// answers that no rule can read, sentences where single words are expected. Lines
/// marked ! explain the score.
///
/// Examples:
///   finepruner rescore --dataset eval/gqa vanilla=7b.jsonl pruned=7b-192.jsonl
///   finepruner rescore answers/llava-7b answers/llava-7b-192
///   finepruner rescore --dataset eval/mm-vet mm-vet/7b.jsonl --upload to-judge
///   finepruner rescore --dataset POPE out/20260101_000000_samples_pope.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RescoreArgs {
    /// Answer files; NAME=FILE gives a file a name.
    #[arg(required = true, value_name = "[NAME=]FILE")]
    answers: Vec<String>,
    /// The dataset: a folder, FOLDER:SPLIT, or embedded:confirm.
    #[arg(long, value_name = "DIR")]
    dataset: Option<String>,
    /// Compare the others with this file only, not every pair.
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Write files for evaluation servers and judges into this folder instead of scoring.
    #[arg(long, value_name = "DIR")]
    upload: Option<PathBuf>,
    /// Treat missing answers, unknown ids and unreadable lines as errors.
    #[arg(long)]
    strict: bool,
    /// Number of bootstrap draws and of permutations.
    #[arg(long, value_name = "N", default_value_t = NUM_DRAWS)]
    num_draws: usize,
    /// Seed of the draws and permutations.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
    /// Whether the answers are those of `compare`, the second file before the first.
    #[arg(skip)]
    is_second_first: bool,
}

/// Default number of draws and permutations.
const NUM_DRAWS: usize = 10_000;

impl RescoreArgs {
    /// Arguments that compare the second of two files with the first, with defaults otherwise.
    pub(super) fn compared(
        [first, second]: [String; 2],
        dataset: Option<String>,
        json: bool,
    ) -> Self {
        RescoreArgs {
            answers: vec![second, first],
            dataset,
            baseline: None,
            upload: None,
            strict: false,
            num_draws: NUM_DRAWS,
            seed: 0,
            json,
            is_second_first: true,
        }
    }

    /// What a and b of a difference a − b are.
    const fn order(&self) -> &'static str {
        match (&self.baseline, self.is_second_first) {
            (Some(_), _) => "each file minus the baseline",
            (None, true) => "the second file minus the first",
            (None, false) => "the file named earlier minus the one named later",
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &RescoreArgs) -> Result<()> {
    let files = files(&args.answers)?;
    let dataset = dataset(args, &files)?;
    if let Some(folder) = &args.upload {
        return write_uploads(folder, &files, &dataset, args);
    }
    let mut scored = Vec::new();
    for (name, file) in &files {
        scored.push(Scored::new(name, file, &dataset)?);
    }
    for scored in &scored {
        warn(&scored.name, &scored.joined.warnings, args.strict)?;
    }
    if let Some(baseline) = &args.baseline {
        let names: Vec<&str> = scored.iter().map(|scored| scored.name.as_str()).collect();
        ensure!(
            names.contains(&baseline.as_str()),
            "no file is called `{baseline}`; they are called {}",
            names.join(", ")
        );
    }
    let options = CompareOptions {
        num_draws: args.num_draws,
        num_permutations: args.num_draws,
        seed: args.seed,
        ..CompareOptions::default()
    };
    let comparisons: Vec<Comparison> =
        compare_all(&dataset, &scored, args.baseline.as_deref(), &options)?;
    if args.json {
        print_json(&serde_json::json!({
            "dataset": dataset.name,
            "split": dataset.split,
            "benchmark": dataset.benchmark,
            "notes": dataset.notes,
            "files": scored,
            "comparisons": comparisons,
        }))
    } else {
        print_text(&report::text(&dataset, &scored, &comparisons, args.order()))
    }
}

/// Reads the files; each gets a unique name.
fn files(arguments: &[String]) -> Result<Vec<(String, AnswerFile)>> {
    let mut names = HashSet::new();
    let mut files = Vec::new();
    for argument in arguments {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) if !Path::new(argument).exists() => (name.to_owned(), path),
            _ => (name_of(argument), argument.as_str()),
        };
        if !names.insert(name.clone()) {
            bail!("two files are called `{name}`; give one another name: NAME={path}");
        }
        files.push((name, AnswerFile::read(Path::new(path))?));
    }
    Ok(files)
}

fn name_of(path: &str) -> String {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or(path).to_owned()
}

/// The named dataset, or else the one in the file with the most questions.
fn dataset(args: &RescoreArgs, files: &[(String, AnswerFile)]) -> Result<Dataset> {
    if let Some(name) = &args.dataset {
        return Ok(open_questions(&dataset_selector(name)?)?);
    }
    let ids = |questions: &Reading| -> HashSet<String> {
        let samples = questions.dataset.samples.iter();
        samples.map(|sample| sample.id.clone()).collect()
    };
    // A file may have fewer questions than another, since bad lines are dropped, but none that the
    // file with the most questions lacks.
    let with_questions = files
        .iter()
        .filter_map(|(name, file)| Some((name, file, file.questions.as_ref()?)));
    let most = |a: usize, b: usize| b.cmp(&a);
    let first = with_questions
        .clone()
        .min_by(|a, b| most(a.2.dataset.samples.len(), b.2.dataset.samples.len()));
    let Some((first, file, questions)) = first else {
        let Some((_, file)) = files.first() else {
            bail!("no answer file");
        };
        bail!(
            "{} holds only answers; name their questions with --dataset",
            file.path.display()
        );
    };
    let path = file.path.display();
    let all = ids(questions);
    let dataset = questions.clone().whole().with_context(|| {
        format!("questions can't be taken from {path}; name their dataset with --dataset")
    })?;
    for (name, _, questions) in with_questions {
        if !ids(questions).is_subset(&all) {
            bail!(
                "{name} answers questions that {first} doesn't; name the dataset of both with --dataset"
            );
        }
    }
    Ok(dataset)
}

fn warn(name: &str, warnings: &[String], strict: bool) -> Result<()> {
    for warning in warnings {
        ensure!(!strict, "{name}: {warning}");
        let line = format!("warning: {name}: {warning}");
        eprintln!("{}", wrap_lines(&plain(&line)));
    }
    Ok(())
}

fn write_uploads(
    folder: &Path,
    files: &[(String, AnswerFile)],
    dataset: &Dataset,
    args: &RescoreArgs,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let (mut written, mut notes) = (Vec::new(), Vec::new());
    for (name, file) in files {
        let upload = upload(file, dataset)?;
        warn(name, &upload.warnings, args.strict)?;
        notes.extend(
            upload
                .notes
                .iter()
                .map(|note| format!("note: {name}: {note}")),
        );
        let path = folder.join(format!("{name}.{}", upload.ending));
        ensure!(
            !path.exists(),
            "{} already exists and is not overwritten",
            path.display()
        );
        std::fs::write(&path, upload.content)
            .with_context(|| format!("can't write {}", path.display()))?;
        written.push(path);
    }
    if args.json {
        print_json(&serde_json::json!({
            "dataset": dataset.name, "files": written, "notes": notes,
        }))
    } else {
        let written = written.iter().map(|p| format!("wrote {}", p.display()));
        let lines: Vec<String> = notes.into_iter().chain(written).collect();
        print_text(&lines.join("\n"))
    }
}
