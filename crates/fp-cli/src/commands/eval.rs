//! `finepruner eval`: one or a few strategies under a study's configuration.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fp_eval::study::StudyConfig;

use super::study::overrides::{Overrides, config_path, read_config};
use super::study::{Finish, RunArgs, execute};

/// Evaluate one or a few strategies of a study's configuration, with its controls.
///
/// Examples:
///   finepruner eval --head_selection_strategy variance \
///     --config configs/ablation_a_config.json
///   finepruner eval --query_selection_strategy text_tokens_only \
///     --fixed_head_selection variance --config configs/ablation_b_config.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct EvalArgs {
    /// Study configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run folder [default: runs/eval-…, named after what is evaluated].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print JSON: one object with a result per cell.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// Runs the command.
pub(crate) fn run(args: &EvalArgs) -> Result<()> {
    let file = read_config(&config_path(args.config.as_deref())?)?;
    let config = args.overrides.to_run(file)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(&config, &args.run)?,
    };
    let finish = Finish {
        json: args.json,
        report: false,
    };
    execute(&config, output, &args.run, &finish)
}

/// A folder for each setting, so that evaluations don't share one.
fn default_output(config: &StudyConfig, run: &RunArgs) -> Result<PathBuf> {
    let some = |names: Vec<&str>| match names.as_slice() {
        [only] => (*only).to_owned(),
        several => format!("{}-strategies", several.len()),
    };
    let heads = config.head_selection_strategies.iter();
    let queries = config.query_selection_strategies.iter();
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(config)?.hash(&mut hasher);
    Ok(Path::new("runs").join(format!(
        "eval-{}-{}-{:08x}{}",
        some(heads.map(|strategy| strategy.name()).collect()),
        some(queries.map(|strategy| strategy.name()).collect()),
        hasher.finish() as u32,
        run.shard_name(),
    )))
}
