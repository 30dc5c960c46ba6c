//! `finepruner data`: generates, checks and converts datasets.

mod check;
mod convert;
mod init;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use fp_data::dataset::{SheetOptions, contact_sheet, open};
use fp_data::scene::{GenerateOptions, Mixture, Split, write_benchmark, write_training};
use fp_eval::study::dataset_selector;

/// Generate, check and convert datasets.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Generate(GenerateArgs),
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Convert(convert::ConvertArgs),
    Export(convert::ExportArgs),
    Sheet(SheetArgs),
}

/// Generate scenes with questions: more of the embedded benchmark.
///
/// The same seed gives the same bytes on every machine and number of threads. The
/// splits of one seed share no background and no layout.
///
/// Examples:
///   finepruner data generate --split confirm --images 200 --output scenes
///   finepruner data generate --split train --images 1000 \
///     --mixture attribute=1,chain=2 \
///     --form training --output raw
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct GenerateArgs {
    /// The split to generate.
    #[arg(long, value_enum)]
    split: SplitName,
    /// Folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Number of scenes.
    #[arg(long, default_value_t = 200)]
    images: u64,
    /// Questions per scene; a few more where questions come in groups.
    #[arg(long, default_value_t = 6)]
    questions_per_image: usize,
    /// Families of questions and their weights [default: all families, with equal weights].
    #[arg(long, default_value_t = Mixture::default(), hide_default_value = true)]
    mixture: Mixture,
    /// Objects per scene, such as 4..7.
    #[arg(long, default_value = "4..7", value_parser = parse_range)]
    objects: RangeInclusive<usize>,
    /// Seed of the whole benchmark.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Files for evaluation, or raw arrays for training.
    #[arg(long, value_enum, default_value_t = Form::Plain)]
    form: Form,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SplitName {
    Train,
    Validation,
    Select,
    Confirm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Plain,
    Training,
}

/// Draw a contact sheet: images with their questions, answers and boxes, as SVG.
///
/// Images are shown as the model sees them, decoded and stored as PNG: no EXIF
/// orientation is followed, and of an animation the first frame is shown.
///
/// Example:
///   finepruner data sheet assets/benchmark/confirm --output sheet.svg
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct SheetArgs {
    /// A folder, FOLDER:SPLIT if it holds several splits, or embedded:confirm.
    dataset: String,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Number of images, from the first one on.
    #[arg(long, default_value_t = 8)]
    images: usize,
    /// Images per row.
    #[arg(long, default_value_t = 4)]
    columns: usize,
    /// Questions under each image, at most 6.
    #[arg(long, default_value_t = 4)]
    questions: usize,
}

/// Runs the command.
pub(crate) fn run(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Generate(args) => generate(args),
        DataCommand::Init(args) => init::run(args),
        DataCommand::Check(args) => check::run(args),
        DataCommand::Convert(args) => convert::convert(args),
        DataCommand::Export(args) => convert::export_layout(args),
        DataCommand::Sheet(args) => sheet(args),
    }
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let options = GenerateOptions {
        seed: args.seed,
        split: match args.split {
            SplitName::Train => Split::Train,
            SplitName::Validation => Split::Validation,
            SplitName::Select => Split::Select,
            SplitName::Confirm => Split::Confirm,
        },
        num_images: args.images,
        questions_per_image: args.questions_per_image,
        mixture: args.mixture.clone(),
        num_objects: args.objects.clone(),
    };
    let mut progress = |done: u64| {
        if done.is_multiple_of(8192) {
            eprintln!("{done} of {} scenes", args.images);
        }
    };
    let generated = match args.form {
        Form::Plain => write_benchmark(&args.output, &options, &mut progress)?,
        Form::Training => write_training(&args.output, &options, &mut progress)?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&generated)?);
    } else {
        println!(
            "{} scenes with {} questions in {}",
            generated.images,
            generated.questions,
            args.output.display()
        );
    }
    Ok(())
}

fn sheet(args: &SheetArgs) -> Result<()> {
    let dataset = open(&dataset_selector(&args.dataset)?)?;
    let options = SheetOptions {
        images: args.images,
        columns: args.columns,
        questions: args.questions,
    };
    let sheet = contact_sheet(&dataset, &options)?;
    std::fs::write(&args.output, sheet)
        .with_context(|| format!("can't write {}", args.output.display()))
}

fn parse_range(text: &str) -> Result<RangeInclusive<usize>> {
    let (low, high) = text
        .split_once("..")
        .with_context(|| format!("`{text}` is not a range; expected for example 4..7"))?;
    Ok(low.trim().parse()?..=high.trim().parse()?)
}
