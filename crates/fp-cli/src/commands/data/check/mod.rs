//! `finepruner data check`: the datasets in a folder, and their problems.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use fp_data::dataset::check::{CheckDepth, Location, check, places};
use fp_data::dataset::locate;
use fp_eval::study::dataset_selector;

use crate::commands::{AlreadyReported, print_json, print_text};
use report::{Entry, text};

/// Check datasets: what they hold, their size, and everything that is wrong.
///
/// A folder is recognised by its files: those of LLaVA's evaluation (VQAv2, GQA,
/// TextVQA, POPE, MME, ScienceQA, MMBench, VizWiz, MM-Vet, SEED-Bench), in the
/// same form DocVQA, InfographicVQA, ChartQA, OCRBench, AI2D, MMStar and MMMU with
/// their authors' files of answers, RefCOCO's lines of expressions, the plain form
/// (benchmark.json and questions.jsonl), or Parquet files by the columns that
/// these benchmarks have on the Hugging Face Hub. If the folder itself holds no
/// dataset, its subfolders are searched.
///
/// Every line, every image and every box is checked; problems are counted by kind
/// and listed with file and line. The header of every image is read and its file
/// is scanned to the end, so that truncated files are found; --decode also finds
/// damage within compressed pixels. Images that a model sees differently from how
/// other programs show them (EXIF orientation, 16-bit grey, animations,
/// transparent palettes), and files with equal bytes, are noted and are not
/// errors.
///
/// A dataset is complete, and a study on it runs, if nothing is wrong and its
/// answers can be scored. The exit code is 2 if anything is wrong.
///
/// Examples:
///   finepruner data check playground/data/eval
///   finepruner data check playground/data/eval/gqa my_data --decode --all
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CheckArgs {
    /// Folders of datasets, or of such folders; FOLDER:SPLIT or embedded:select for one.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<String>,
    /// Also decode every image in full.
    #[arg(long)]
    decode: bool,
    /// List every problem and every image with a note, not only the first few.
    #[arg(long)]
    all: bool,
    /// Print JSON: one object with an entry per dataset and all of its problems.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CheckArgs) -> Result<()> {
    let depth = if args.decode {
        CheckDepth::Decode
    } else {
        CheckDepth::Header
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut not_recognised: Vec<PathBuf> = Vec::new();
    let mut nothing = Vec::new();
    for folder in &args.folders {
        let (found, unknown) = find(folder);
        if found.is_empty() {
            nothing.push(folder.as_str());
        }
        for place in found {
            entries.push(match place {
                Location::Split(split) => Entry::of(&split, check(&split, depth)),
                Location::Damaged(place, error) => Entry::damaged(&place, error),
            });
        }
        not_recognised.extend(unknown);
    }
    if entries.is_empty() {
        bail!(
            "no dataset in {} or its subfolders; `finepruner data check --help` lists what is recognised",
            nothing.join(", ")
        );
    }
    for folder in nothing {
        let error = "no dataset in it or its subfolders".to_owned();
        entries.push(Entry::damaged(Path::new(folder), error));
    }
    if args.json {
        print_json(&serde_json::json!({
            "folders": args.folders,
            "datasets": entries,
            "not_recognised": not_recognised,
        }))?;
    } else {
        print_text(&text(&entries, &not_recognised, args.all))?;
    }
    if entries.iter().all(Entry::is_right) {
        Ok(())
    } else {
        Err(AlreadyReported.into())
    }
}

/// The datasets that a name of a folder or of a dataset stands for, and folders in which nothing is
/// recognised.
fn find(name: &str) -> (Vec<Location>, Vec<PathBuf>) {
    let damaged = |error: anyhow::Error| {
        let place = Location::Damaged(PathBuf::from(name), format!("{error:#}"));
        (vec![place], Vec::new())
    };
    let selector = match dataset_selector(name) {
        Ok(selector) => selector,
        Err(error) => return damaged(error.into()),
    };
    let folder = Path::new(&selector);
    let is_split = !folder.is_dir() && selector.contains(':');
    if is_split || !folder.exists() {
        return match locate(&selector) {
            Ok(split) => (vec![Location::Split(split)], Vec::new()),
            Err(error) => damaged(error.into()),
        };
    }
    match places(folder) {
        Ok(places) => (places.found, places.unknown),
        Err(error) => damaged(error.into()),
    }
}
