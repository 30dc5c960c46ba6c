//! `cargo xtask ablate-a`, `ablate-b`, `methods` and `study`: the main studies, built in release
//! mode.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{cargo, finepruner, root, run};

const CONFIG_A: &str = "configs/ablation_a_config.json";
const CONFIG_B: &str = "configs/ablation_b_config.json";
const CONFIG_METHODS: &str = "configs/methods.json";

/// Flags for `finepruner study`, after `--`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Passed on, such as `-- --quick` or `-- --model DIR --dataset DIR --keep 42,25,8`;
    /// `finepruner study --help` lists them.
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<String>,
}

/// Study A: head-selection strategies.
pub(crate) fn ablate_a(args: &Args) -> Result<()> {
    build()?;
    study(CONFIG_A, &args.flags)
}

/// Study B: query-selection strategies.
pub(crate) fn ablate_b(args: &Args) -> Result<()> {
    build()?;
    study(CONFIG_B, &args.flags)
}

/// Published pruning methods at the same budgets.
pub(crate) fn methods(args: &Args) -> Result<()> {
    build()?;
    study(CONFIG_METHODS, &args.flags)
}

pub(crate) fn build() -> Result<()> {
    cargo("build --release --quiet --package fp-cli")
}

pub(crate) fn study(config: &str, flags: &[String]) -> Result<()> {
    run(Command::new(finepruner()?)
        .args(["study", "--config", config])
        .args(flags))
}

/// All four phases: study A; study B with A's best head strategy; both varied together; errors and
/// cases.
pub(crate) fn four_phases(args: &Args) -> Result<()> {
    build()?;
    run(Command::new(finepruner()?)
        .args(["study", "--phases"])
        .args(&args.flags))
}

/// The results of a run.
pub(crate) fn results(folder: &str) -> Result<Value> {
    let path = Path::new(&root()).join(folder).join("results.json");
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown}"))
}
