//! `finepruner compare`: two runs, tested against each other.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fp_eval::report::{self, CellDifference, RunComparison};

use super::{print_json, print_text};
use crate::table::table;

/// Test two runs against each other on the samples and cells that both have.
///
/// Say, two checkpoints, two precisions, or the same study before and after a change.
/// Differences are the second run's accuracy less the first's, in points, paired by
/// sample and clustered by image; p is Holm's over all cells.
///
/// Examples:
///   finepruner compare runs/f32 runs/f16
///   finepruner compare runs/before runs/after --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompareArgs {
    /// Folder of the first run.
    first: PathBuf,
    /// Folder of the second.
    second: PathBuf,
    /// Print JSON: one object with every test.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let comparison = report::compare(&args.first, &args.second)?;
    match args.json {
        true => print_json(&comparison),
        false => print_text(&text(&comparison)),
    }
}

fn text(comparison: &RunComparison) -> String {
    let mut text = match comparison.changes.is_empty() {
        true => "the same configuration, model, data and version\n".to_owned(),
        false => format!("what changed: {}\n", comparison.changes.join(", ")),
    };
    text += &format!("{} samples in both", comparison.num_shared);
    for (only, which) in [
        (comparison.only_first, "first"),
        (comparison.only_second, "second"),
    ] {
        if only > 0 {
            text += &format!(", {only} only in the {which}");
        }
    }
    text += "\n";
    for (cells, which) in [
        (&comparison.cells_only_first, "first"),
        (&comparison.cells_only_second, "second"),
    ] {
        if !cells.is_empty() {
            text += &format!("only in the {which}: {}\n", cells.join(", "));
        }
    }
    let header = [
        "cell",
        "first",
        "second",
        "difference",
        "interval",
        "p (Holm)",
        "other text",
        "other tokens",
    ];
    let rows: Vec<Vec<String>> = comparison.cells.iter().map(row).collect();
    text + "\n" + &table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7])
}

fn row(cell: &CellDifference) -> Vec<String> {
    let mut row = vec![cell.cell.clone()];
    match &cell.comparison {
        Some(test) => row.extend([
            format!("{:.1}", 100.0 * test.mean_b),
            format!("{:.1}", 100.0 * test.mean_a),
            format!("{:+.1}", 100.0 * test.difference),
            format!(
                "{:+.1} to {:+.1}",
                100.0 * test.interval[0],
                100.0 * test.interval[1]
            ),
            match test.is_identical {
                true => "same".to_owned(),
                false => format!("{:.3}", test.p_holm),
            },
        ]),
        None => row.extend(std::iter::repeat_n("-".to_owned(), 5)),
    }
    row.extend([cell.texts_differ.to_string(), cell.kept_differ.to_string()]);
    row
}
