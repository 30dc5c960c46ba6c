//! `finepruner compare`: two runs, or two files of answers, compared by paired tests.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use fp_eval::format::{counted, p_fixed, signed};
use fp_report::{CellDifference, RunComparison};

use super::rescore::RescoreArgs;
use super::{print_json, print_text, rescore};
use crate::table::{table, wrap_lines};

/// Compare two runs on the samples and cells that both have.
///
/// For example two checkpoints, two precisions, or the same study before and after
/// a change. A difference is the second run's accuracy minus the first's, in
/// percentage points, paired by sample and clustered by image; p is corrected by
/// Holm's method over all cells.
///
/// Two answer files, such as lmms-eval and VLMEvalKit write, are compared as
/// `rescore` does: by the benchmark's rule, on the questions of --dataset.
///
/// Examples:
///   finepruner compare runs/f32 runs/f16
///   finepruner compare runs/before runs/after --json
///   finepruner compare all=a_samples_pope.jsonl 192=b_samples_pope.jsonl \
///     --dataset POPE
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompareArgs {
    /// Folder of the first run, or [NAME=]FILE of answers.
    first: PathBuf,
    /// Folder of the second run, or [NAME=]FILE of answers.
    second: PathBuf,
    /// The dataset that the answer files belong to: a folder, or FOLDER:SPLIT.
    #[arg(long, value_name = "DIR")]
    dataset: Option<String>,
    /// Print JSON: one object with every test.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let both = [args.first.as_path(), args.second.as_path()];
    if both.iter().any(|path| is_answers(path)) || args.dataset.is_some() {
        for path in both {
            ensure!(
                !is_run(path),
                "{} is a run, the other one an answer file; expected two runs, or two answer files",
                path.display()
            );
        }
        return rescore::run(&RescoreArgs::compared(
            both.map(|path| path.display().to_string()),
            args.dataset.clone(),
            args.json,
        ));
    }
    let comparison = fp_report::compare(&args.first, &args.second)?;
    if args.json {
        print_json(&comparison)
    } else {
        print_text(&text(&comparison))
    }
}

fn is_run(path: &Path) -> bool {
    path.join("run.json").is_file()
}

/// Whether an argument is a file of answers, with or without a name before it.
fn is_answers(path: &Path) -> bool {
    let named = path.to_str().and_then(|text| text.split_once('='));
    path.is_file() || named.is_some_and(|(_, path)| Path::new(path).is_file())
}

fn text(comparison: &RunComparison) -> String {
    let mut lines = vec![if comparison.changes.is_empty() {
        "same configuration, model, data and version".to_owned()
    } else {
        format!("what changed: {}", comparison.changes.join(", "))
    }];
    let mut shared = format!("{} in both runs", counted(comparison.num_shared, "sample"));
    for (only, which) in [
        (comparison.only_first, "first"),
        (comparison.only_second, "second"),
    ] {
        if only > 0 {
            shared += &format!(", {only} only in the {which}");
        }
    }
    lines.push(shared);
    for (cells, which) in [
        (&comparison.cells_only_first, "first"),
        (&comparison.cells_only_second, "second"),
    ] {
        if !cells.is_empty() {
            let number = counted(cells.len(), "cell");
            lines.push(format!(
                "{number} only in the {which}: {}",
                cells.join(", ")
            ));
        }
    }
    lines.push(String::new());
    lines.push(
        "Accuracy in %, differences in points; texts and tokens count the answers whose \
         text or kept tokens differ."
            .to_owned(),
    );
    let untested: Vec<&str> = comparison
        .cells
        .iter()
        .filter_map(|cell| Some(cell.untested.as_ref()?.because.as_str()))
        .collect();
    if let Some(because) = untested.first() {
        lines.push(format!(
            "{} of {} could not be tested. {because}",
            untested.len(),
            counted(comparison.cells.len(), "cell")
        ));
    }
    let header = [
        "cell",
        "first",
        "second",
        "difference",
        "interval",
        "Holm p",
        "texts",
        "tokens",
    ];
    let rows: Vec<Vec<String>> = comparison.cells.iter().map(row).collect();
    let table = table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7]);
    let order = "Differences are the second run minus the first.";
    format!("{}\n\n{table}\n\n{order}\n", wrap_lines(&lines.join("\n")))
}

fn row(cell: &CellDifference) -> Vec<String> {
    let mut row = vec![cell.cell.clone()];
    match &cell.comparison {
        Some(test) => {
            let [low, high] = test.interval.map(|end| signed(100.0 * end, 1));
            row.extend([
                format!("{:.1}", 100.0 * test.mean_b),
                format!("{:.1}", 100.0 * test.mean_a),
                signed(100.0 * test.difference, 1),
                format!("{low} to {high}"),
                if test.is_identical {
                    "same".to_owned()
                } else {
                    p_fixed(test.p_holm, 3)
                },
            ]);
        }
        None => row.extend(std::iter::repeat_n("–".to_owned(), 5)),
    }
    row.extend([cell.texts_differ.to_string(), cell.kept_differ.to_string()]);
    row
}
