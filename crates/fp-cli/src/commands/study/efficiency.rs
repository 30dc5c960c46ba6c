//! The phase of a study that measures time and memory.

use anyhow::Result;
use fp_eval::efficiency::{EFFICIENCY_FILE, EfficiencySettings, prepare_run, stored_for, write};
use fp_eval::study::{RunOptions, RunSummary};

use super::RunArgs;
use crate::commands::efficiency::{ChildMeter, measure_with};

/// Measures a finished run, unless it was measured already, and writes the results into the run's
/// folder.
pub(super) fn measure_run(
    summary: &RunSummary,
    settings: EfficiencySettings,
    options: &RunOptions,
    args: &RunArgs,
    is_quiet: bool,
) -> Result<()> {
    let folder = &summary.output;
    if args.is_shard() {
        eprintln!(
            "efficiency: not measured for a shard of a study; after `finepruner merge`, \
             `finepruner efficiency --run DIR` does it"
        );
        return Ok(());
    }
    let path = folder.join(EFFICIENCY_FILE);
    let prepared = prepare_run(folder, settings, options.threads)?;
    if stored_for(folder, prepared.plan())?.is_some() {
        eprintln!(
            "efficiency: {} is of the same plan and is kept",
            path.display()
        );
        return Ok(());
    }
    let mut meter = ChildMeter::of_run(folder, &settings, options.threads);
    let measured = measure_with(prepared, Some(&mut meter), is_quiet)?;
    Ok(write(&path, &measured)?)
}
