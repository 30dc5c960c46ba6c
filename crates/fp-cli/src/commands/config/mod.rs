//! `finepruner config`: checks and explains a study's configuration.

mod check;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use fp_eval::study::config::schema::schema;
use fp_eval::study::config::{ConfigError, Diagnostics, StudyKind};
use fp_eval::study::{Cell, Grid, ModelShape, StudyConfig, methods_of, model_dir};
use fp_model::{ModelConfig, Preset};
use fp_scoring::{MethodRegistry, MethodRole, error_text};
use serde::Serialize;

use super::study::overrides::Overrides;
use super::{print_json, print_text};
use crate::table::{WIDTH, table, wrap};

/// Check and explain the configuration of a study.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(check::CheckArgs),
    Explain(ExplainArgs),
    /// Print the JSON schema of configurations.
    Schema,
}

/// Show what a configuration resolves to: budgets, cells, controls, tests.
///
/// Examples:
///   finepruner config explain configs/ablation_a_config.json
///   finepruner config explain configs/original_a.json --shape llava-1.5-7b
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct ExplainArgs {
    /// The configuration.
    file: PathBuf,
    /// A known shape to use instead of the configuration's model, which then needn't exist.
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
        ConfigCommand::Check(args) => check::run(args),
        ConfigCommand::Explain(args) => explain(args),
        ConfigCommand::Schema => super::print_verbatim(&serde_json::to_string_pretty(&schema())?),
    }
}

fn explain(args: &ExplainArgs) -> Result<()> {
    let config = args.overrides.read(&args.file)?;
    let model = match args.shape {
        Some(shape) => shape.config(),
        None => model_config(&config)?,
    };
    let shape = ModelShape::cut(&model, config.anyres, config.image_aspect);
    let (registry, problems) = methods_of(&config, &MethodRegistry::standard());
    let mut diagnostics = Diagnostics::default();
    for (place, message) in problems {
        diagnostics.add(place, message);
    }
    for (place, error) in Grid::problems(&config, &shape, &registry) {
        diagnostics.add(place, error_text(&error));
    }
    if !diagnostics.is_empty() {
        let path = Some(args.file.clone());
        return Err(ConfigError::Invalid { path, diagnostics }.into());
    }
    let grid = Grid::new(&config, &shape, &registry)?;
    if args.json {
        #[derive(Serialize)]
        struct Explained<'a> {
            config: &'a StudyConfig,
            shape: &'a ModelShape,
            grid: &'a Grid,
            /// Settings without any effect.
            notes: Vec<String>,
        }
        return print_json(&Explained {
            config: &config,
            shape: &shape,
            grid: &grid,
            notes: grid.without_effect(&shape),
        });
    }
    print_text(&text(&args.file, &config, &shape, &grid, &registry))
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

fn text(
    file: &Path,
    config: &StudyConfig,
    shape: &ModelShape,
    grid: &Grid,
    registry: &MethodRegistry,
) -> String {
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
        ("controls", methods(registry, grid, true)),
        ("methods", methods(registry, grid, false)),
        ("datasets", names(config.datasets.iter())),
        (
            "samples",
            config.limit.map_or("all".to_owned(), |limit| {
                format!("{limit} of each dataset, spread over its images")
            }) + if config.text_only {
                ", text-only ones too, reported separately"
            } else {
                ""
            },
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
    for note in grid.without_effect(shape) {
        let note = wrap(&format!("note: {note}"), WIDTH);
        out += &format!("\n{}\n", note.join("\n"));
    }
    let controls = grid.cells.iter();
    let controls = controls.filter(|cell| is_control(registry, cell) == Some(true));
    let controls = controls.count();
    let others = match grid.cells.len() - studied - controls {
        0 => String::new(),
        others => format!(", {others} of other methods"),
    };
    out += &format!(
        "\n{} cells: {studied} of strategies, {controls} of controls{others}, such as\n",
        grid.cells.len(),
    );
    let examples = names(grid.cells.iter().take(6).map(|cell| cell.id.as_str()));
    for line in wrap(&format!("{examples}, … (--json lists all)"), WIDTH - 2) {
        out += &format!("  {line}\n");
    }
    out
}

/// The kind of object that a study compares, in words.
fn varied(config: &StudyConfig) -> &'static str {
    match config.study {
        StudyKind::A => "which heads",
        StudyKind::B => "which query tokens",
        StudyKind::Full => "heads by query tokens",
        StudyKind::Methods => "pruning methods",
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
        if let Some(num_selected_heads) = cell.method.num_selected_heads()
            && !counts.contains(&num_selected_heads)
        {
            counts.push(num_selected_heads);
        }
    }
    counts
}

/// The controls, or the other methods of the registry; each is listed once for all budgets.
fn methods(registry: &MethodRegistry, grid: &Grid, are_controls: bool) -> String {
    let mut labels: Vec<String> = Vec::new();
    for cell in &grid.cells {
        let label = cell.method.label();
        if is_control(registry, cell) == Some(are_controls) && !labels.contains(&label) {
            labels.push(label);
        }
    }
    if labels.is_empty() {
        "none".to_owned()
    } else {
        labels.join(", ")
    }
}

/// Whether a cell's method is a control; `None` for strategies and their static variants.
fn is_control(registry: &MethodRegistry, cell: &Cell) -> Option<bool> {
    let method = registry.get(cell.method.name()?).ok()?;
    Some(method.role() != MethodRole::Studied)
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
