//! `cargo xtask ablate-a`, `ablate-b` and `study`: the main job, in release.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{cargo, finepruner, root, run};

const CONFIG_A: &str = "configs/ablation_a_config.json";
const CONFIG_B: &str = "configs/ablation_b_config.json";

/// Flags for `finepruner study`, after `--`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Passed on, such as `-- --quick` or `-- --model DIR --dataset DIR --keep 42,25,8`;
    /// `finepruner study --help` lists them.
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<String>,
}

/// Study A: which heads.
pub(crate) fn ablate_a(args: &Args) -> Result<()> {
    build()?;
    study(CONFIG_A, &args.flags)
}

/// Study B: which query tokens.
pub(crate) fn ablate_b(args: &Args) -> Result<()> {
    build()?;
    study(CONFIG_B, &args.flags)
}

pub(crate) fn build() -> Result<()> {
    cargo("build --release --quiet --package fp-cli")
}

pub(crate) fn study(config: &str, flags: &[String]) -> Result<()> {
    run(Command::new(finepruner()?)
        .args(["study", "--config", config])
        .args(flags))
}

/// All four phases: A; B with A's best head strategy; both with their baselines in full,
/// with time and memory measured; errors and cases, which are in the last report.
pub(crate) fn four_phases(args: &Args) -> Result<()> {
    build()?;
    let quick = args.flags.iter().any(|flag| flag == "--quick");
    let folder = if quick {
        "runs/study-quick"
    } else {
        "runs/study"
    };
    let phase = |number: u8, what: &str| eprintln!("\nPhase {number} of 4: {what}");

    phase(1, "study A, which heads");
    let a = format!("{folder}/a");
    study(CONFIG_A, &with(&args.flags, &["--output", &a]))?;
    let head = chosen(&a)?;

    phase(2, &format!("study B, which query tokens, heads by {head}"));
    let b = format!("{folder}/b");
    let flags = ["--output", &b, "--fixed-head-selection", &head];
    study(CONFIG_B, &with(&args.flags, &flags))?;
    let query = chosen(&b)?;

    phase(
        3,
        &format!("{head} and {query} in full, beside sum and last_token"),
    );
    let full = format!("{folder}/full");
    let heads = both(&head, "sum");
    let queries = both(&query, "last_token");
    let flags = ["--output", &full, "--head-selection-strategy", &heads];
    let rest = ["--query-selection-strategy", &queries, "--efficiency"];
    study(
        "configs/full_config.json",
        &with(&args.flags, &[&flags[..], &rest].concat()),
    )?;

    phase(4, "errors and cases");
    eprintln!("What flips, by family, text length and evidence, and the cases with their");
    eprintln!("pictures stand in {full}/report.html.");
    Ok(())
}

fn with(flags: &[String], more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|flag| (*flag).to_owned());
    flags.iter().cloned().chain(more).collect()
}

fn both(best: &str, baseline: &str) -> String {
    match best == baseline {
        true => best.to_owned(),
        false => format!("{best},{baseline}"),
    }
}

/// The strategy that a study goes on with: the one that a test on the other half of
/// the images confirms, or else the baseline, which nothing was shown to beat.
fn chosen(folder: &str) -> Result<String> {
    let results = results(folder)?;
    let confirmed = &results["analysis"]["best"]["recommended"];
    let baseline = &results["run"]["config"]["statistics"]["baseline"];
    let name = confirmed.as_str().or(baseline.as_str());
    let name = name.with_context(|| format!("{folder} names no strategy to go on with"))?;
    let why = match confirmed.is_string() {
        true => "confirmed on the other half",
        false => "nothing was shown to beat it",
    };
    eprintln!("going on with {name}: {why}");
    Ok(name.to_owned())
}

/// What a run found.
pub(crate) fn results(folder: &str) -> Result<Value> {
    let path = Path::new(&root()).join(folder).join("results.json");
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown}"))
}
