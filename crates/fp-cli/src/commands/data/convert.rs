//! `finepruner data convert` and `finepruner data export`: conversion between layouts.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fp_data::dataset::export::{Exported, export};
use fp_data::dataset::{Benchmark, open};
use fp_eval::format::counted;
use fp_eval::study::dataset_selector;

use crate::commands::{print_json, print_text};

/// Convert any dataset to the plain form (benchmark.json, questions.jsonl, images).
///
/// Prompts, answers, choices, categories and boxes are kept as they were read. A
/// dataset with unusable lines is refused; `finepruner data check` lists them.
///
/// Examples:
///   finepruner data convert playground/data/eval/pope --output pope-plain
///   finepruner data convert playground/data/eval/textvqa:noocr \
///     --output textvqa-plain
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConvertArgs {
    /// A folder, FOLDER:SPLIT if it holds several splits, or embedded:confirm.
    dataset: String,
    /// Folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Write a dataset in the layout that LLaVA's evaluation uses for a benchmark.
///
/// Reading the result gives the same prompts, answers, images and boxes, so that a
/// pipeline can be tried on a small dataset with known answers. Samples that a
/// layout can't represent are skipped and counted: POPE and MME take yes or no,
/// ScienceQA, MMBench, AI2D, SEED-Bench and MMStar take choices.
///
/// Examples:
///   finepruner data export embedded:confirm --layout gqa --output gqa
///   finepruner data export embedded:select --layout pope --output pope --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExportArgs {
    /// A folder, FOLDER:SPLIT if it holds several splits, or embedded:confirm.
    dataset: String,
    /// Target layout.
    #[arg(long, value_name = "NAME", value_parser = layouts())]
    layout: Benchmark,
    /// Write Parquet, with the columns that the benchmark has on the Hugging Face Hub.
    #[cfg(feature = "parquet")]
    #[arg(long)]
    parquet: bool,
    /// Folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Names of benchmarks for help, completions and errors.
fn layouts() -> impl TypedValueParser<Value = Benchmark> {
    PossibleValuesParser::new(Benchmark::ALL.map(Benchmark::name))
        .try_map(|name| name.parse::<Benchmark>())
}

/// Runs `convert`.
pub(crate) fn convert(args: &ConvertArgs) -> Result<()> {
    write(&args.dataset, Benchmark::Plain, &args.output, args.json)
}

/// Runs `export`.
pub(crate) fn export_layout(args: &ExportArgs) -> Result<()> {
    #[cfg(feature = "parquet")]
    if args.parquet {
        let dataset = open(&dataset_selector(&args.dataset)?)?;
        let exported = fp_data::dataset::parquet::export(&dataset, args.layout, &args.output)?;
        return print(&exported, args.layout, args.json);
    }
    write(&args.dataset, args.layout, &args.output, args.json)
}

fn write(name: &str, layout: Benchmark, output: &Path, json: bool) -> Result<()> {
    let dataset = open(&dataset_selector(name)?)?;
    let exported = export(&dataset, layout, output)?;
    print(&exported, layout, json)
}

fn print(exported: &Exported, layout: Benchmark, json: bool) -> Result<()> {
    if json {
        print_json(exported)
    } else {
        print_text(&text(exported, layout))
    }
}

fn text(exported: &Exported, layout: Benchmark) -> String {
    let mut text = format!(
        "{} on {} in {}, as {}",
        counted(exported.num_samples, "question"),
        counted(exported.num_images, "image"),
        exported.folder.display(),
        layout.title(),
    );
    if let Some(reason) = exported.reason {
        text += &format!(
            "\n{} {} skipped: the layout requires that {reason}",
            counted(exported.num_left_out, "question"),
            if exported.num_left_out == 1 {
                "is"
            } else {
                "are"
            }
        );
    }
    text
}
