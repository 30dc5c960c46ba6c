//! `finepruner config`: what a study's configuration asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fp_eval::study::config::schema::schema;
use fp_eval::study::config::{ConfigFile, Diagnostics, Model, StudyKind, surroundings};
use fp_eval::study::{Cell, Grid, Method, ModelShape, StudyConfig, model_dir};
use fp_model::{ModelConfig, Preset};
use serde::Serialize;

use super::study::overrides::Overrides;
use super::{AlreadyReported, print_json, print_text};
use crate::table::{WIDTH, table, wrap};


/// Check and explain the configuration of a study.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(CheckArgs),
    Explain(ExplainArgs),
    /// Print the JSON schema of configurations.
    Schema,
}

/// Check configurations: report every problem of every file.
///
/// Each file is checked by itself: keys and values, then whether its model, its device and
/// its datasets are there and fit: budgets, layers and heads are checked against the model,
/// whose weights are not read. Where the model isn't here, --shape names a shape to check
/// against. The exit code is 2 if any file has a problem.
///
/// Examples:
///   finepruner config check configs/*_config.json
///   finepruner config check my_study.json --shape llava-1.5-7b
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct CheckArgs {
    /// Configurations.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A known shape in place of each configuration's model, which then needn't be there.
    #[arg(long, value_name = "SHAPE")]
    shape: Option<Preset>,
    /// Print JSON: an entry per file with its problems.
    #[arg(long)]
    json: bool,
}

/// Say what a configuration comes to on its model: budgets, cells, controls, tests.
///
/// Examples:
///   finepruner config explain configs/ablation_a_config.json
///   finepruner config explain configs/original_a.json --shape llava-1.5-7b
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct ExplainArgs {
    /// The configuration.
    file: PathBuf,
    /// A known shape in place of the configuration's model, which then needn't be there.
    #[arg(long, value_name = "SHAPE", conflicts_with = "model")]
    shape: Option<Preset>,
    /// Print JSON: the configuration and its grid.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Box<Overrides>,
}

/// Runs the command.
pub(crate) fn run(args: &ConfigArgs) -> Result<()> {
    match &args.command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Explain(args) => explain(args),
        ConfigCommand::Schema => print_text(&serde_json::to_string_pretty(&schema())?),
    }
}

/// What was found in one file.
#[derive(Serialize)]
struct CheckedFile<'a> {
    file: &'a Path,
    /// Whether a study can be run with it here.
    is_ok: bool,
    #[serde(flatten)]
    found: Diagnostics,
}

fn check(args: &CheckArgs) -> Result<()> {
    let checked: Vec<CheckedFile<'_>> = args
        .files
        .iter()
        .map(|file| {
            let found = check_file(file, args.shape);
            CheckedFile {
                file,
                is_ok: found.is_empty(),
                found,
            }
        })
        .collect();
    match args.json {
        true => print_json(&serde_json::json!({ "files": checked }))?,
        false => print_text(&check_text(&checked))?,
    }
    match checked.iter().all(|file| file.is_ok) {
        true => Ok(()),
        false => Err(AlreadyReported.into()),
    }
}

fn check_file(path: &Path, shape: Option<Preset>) -> Diagnostics {
    let mut file = match ConfigFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let mut found = Diagnostics::default();
            found.add("", format!("{:#}", anyhow::Error::from(error)));
            return found;
        }
    };
    if let Some(config) = &file.config {
        let model = match shape {
            Some(shape) => Model::Shape(shape),
            None if file.is_known("model") => Model::Named,
            None => Model::Unknown,
        };
        let mut found = config.problems();
        found.merge(surroundings(config, model, false));
        file.add(found);
    }
    std::mem::take(file.diagnostics())
}

fn check_text(checked: &[CheckedFile<'_>]) -> String {
    let mut out = String::new();
    for CheckedFile { file, is_ok, found } in checked {
        let mut lines = found.lines(Some(file));
        if *is_ok {
            lines.push(format!("{}: OK", file.display()));
        }
        let skipped = found.not_checked.iter();
        lines.extend(skipped.map(|what| format!("{}: not checked: {what}", file.display())));
        for line in lines {
            out += &hanging(&line);
        }
    }
    let num_problems: usize = checked.iter().map(|file| file.found.problems.len()).sum();
    let num_bad = checked.iter().filter(|file| !file.is_ok).count();
    if num_problems > 0 {
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let num_files = checked.len();
        out += &format!(
            "\n{num_problems} problem{} in {num_bad} of {num_files} file{}\n",
            s(num_problems),
            s(num_files)
        );
    }
    out
}

/// A line in the terminal's width, what follows indented.
fn hanging(line: &str) -> String {
    let lines = wrap(line, WIDTH - 4);
    lines.join("\n    ") + "\n"
}

fn explain(args: &ExplainArgs) -> Result<()> {
    let config = args.overrides.read(&args.file)?;
    let model = match args.shape {
        Some(shape) => shape.config(),
        None => model_config(&config)?,
    };
    let shape = ModelShape::new(&model);
    let grid = Grid::new(&config, &shape)?;
    if args.json {
        #[derive(Serialize)]
        struct Explained<'a> {
            config: &'a StudyConfig,
            shape: &'a ModelShape,
            grid: &'a Grid,
        }
        return print_json(&Explained {
            config: &config,
            shape: &shape,
            grid: &grid,
        });
    }
    print_text(&text(&args.file, &config, &shape, &grid))
}

fn model_config(config: &StudyConfig) -> Result<ModelConfig> {
    let folder = model_dir(config)?;
    ModelConfig::from_dir(&folder).with_context(|| {
        format!(
            "model {}; name another with --model DIR, or only its shape with --shape",
            folder.display()
        )
    })
}

fn text(file: &Path, config: &StudyConfig, shape: &ModelShape, grid: &Grid) -> String {
    let decoder = &shape.decoder;
    let count = |is_wanted: fn(&Cell) -> bool| grid.cells.iter().filter(|c| is_wanted(c)).count();
    let studied = count(|cell| cell.method.is_studied());
    let tokens = shape
        .num_image_tokens
        .map_or("any number of".to_owned(), |n| n.to_string());
    let title = format!(
        "{}: study {} ({}) on {} layers with {} heads and {tokens} image tokens, pruned after \
         layer {}",
        file.display(),
        config.study.name(),
        varied(config),
        decoder.num_layers,
        decoder.num_heads,
        config.prune_layer,
    );
    let mut out = wrap(&title, WIDTH).join("\n") + "\n\n";
    out += &budget_table(grid);
    let heads = names(config.head_selection_strategies.iter().map(|s| s.name()));
    let queries = names(config.query_selection_strategies.iter().map(|s| s.name()));
    let counts = names(head_counts(grid).iter().map(ToString::to_string));
    out += "\n\n";
    for (key, value) in [
        ("head strategies", heads),
        ("query strategies", queries),
        (
            "heads selected",
            format!("{counts} of {}", decoder.num_heads),
        ),
        ("normalization", config.normalization.to_string()),
        ("controls", controls(grid)),
        ("datasets", names(config.datasets.iter())),
        (
            "samples",
            config.limit.map_or("all".to_owned(), |limit| {
                format!("at most {limit} of each dataset")
            }),
        ),
        (
            "answers",
            format!("at most {} tokens", config.max_new_tokens),
        ),
        ("tests", tests(config)),
    ] {
        let lines = wrap(&value, WIDTH - 18);
        for (index, line) in lines.iter().enumerate() {
            let key = if index == 0 { key } else { "" };
            out += &format!("{key:<18}{line}\n");
        }
    }
    out += &format!(
        "\n{} cells: {studied} of strategies, {} of controls, such as\n",
        grid.cells.len(),
        grid.cells.len() - studied,
    );
    let examples = names(grid.cells.iter().take(6).map(|cell| cell.id.as_str()));
    for line in wrap(&format!("{examples}, … (--json lists all)"), WIDTH - 2) {
        out += &format!("  {line}\n");
    }
    out
}

/// What a study compares, in words.
fn varied(config: &StudyConfig) -> &'static str {
    match config.study {
        StudyKind::A => "which heads",
        StudyKind::B => "which query tokens",
        StudyKind::Full => "heads by query tokens",
    }
}

fn budget_table(grid: &Grid) -> String {
    let rows: Vec<Vec<String>> = grid
        .budgets
        .iter()
        .map(|budget| {
            let by_image = || "by image".to_owned();
            vec![
                budget.label.clone(),
                budget.setting.to_string(),
                budget.kept.map_or_else(by_image, |kept| kept.to_string()),
                budget
                    .average_visual_tokens
                    .map_or_else(by_image, |average| format!("{average:.2}")),
            ]
        })
        .collect();
    let header = [
        "budget",
        "as configured",
        "R, tokens kept",
        "B, layer average",
    ];
    table(&header, &rows, &[2, 3])
}

fn head_counts(grid: &Grid) -> Vec<usize> {
    let mut counts = Vec::new();
    for cell in &grid.cells {
        if let Method::Strategy {
            num_selected_heads, ..
        } = cell.method
            && !counts.contains(&num_selected_heads)
        {
            counts.push(num_selected_heads);
        }
    }
    counts
}

/// The controls, each once, whatever the budget.
fn controls(grid: &Grid) -> String {
    let mut labels: Vec<String> = Vec::new();
    for cell in grid.cells.iter().filter(|cell| !cell.method.is_studied()) {
        let label = cell.method.label();
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    match labels.is_empty() {
        true => "none".to_owned(),
        false => labels.join(", "),
    }
}

fn tests(config: &StudyConfig) -> String {
    use fp_eval::study::config::HolmFamily;
    let statistics = &config.statistics;
    let family = match statistics.holm_family {
        HolmFamily::Budget => "all tests at one budget",
        HolmFamily::BudgetAndHeads => "all tests at one budget and head count",
        HolmFamily::Study => "all tests of the study",
    };
    format!(
        "each strategy against {}, with Holm's correction over {family}; equivalent within {} \
         points; {} % intervals; {} bootstrap draws, seed {}",
        config.baseline(),
        statistics.equivalence_margin,
        100.0 * statistics.confidence,
        statistics.num_draws,
        config.seed,
    )
}

fn names<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    names.join(", ")
}
