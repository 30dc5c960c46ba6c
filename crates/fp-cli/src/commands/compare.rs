//! `finepruner compare`: two runs, tested against each other.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fp_eval::report::{self, CellDifference, RunComparison};

use super::{print_json, print_text};
use crate::table::wrap;

/// Columns that everything fits.
const WIDTH: usize = 80;

/// Columns of the numbers behind a cell's id.
const NUMBERS: [(&str, usize); 7] = [
    ("first", 5),
    ("second", 6),
    ("diff.", 5),
    ("interval", 13),
    ("Holm p", 6),
    ("texts", 5),
    ("tokens", 6),
];

/// Compare two runs on the samples and cells that both have.
///
/// For example two checkpoints, two precisions, or the same study before and after a
/// change. A difference is the second run's accuracy minus the first's, in percentage
/// points, paired by sample and clustered by image; p is corrected by Holm's method
/// over all cells.
///
/// Examples:
///   finepruner compare runs/f32 runs/f16
///   finepruner compare runs/before runs/after --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompareArgs {
    /// Folder of the first run.
    first: PathBuf,
    /// Folder of the second run.
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
    let mut lines = vec![match comparison.changes.is_empty() {
        true => "same configuration, model, data and version".to_owned(),
        false => format!("what changed: {}", comparison.changes.join(", ")),
    }];
    let mut shared = format!("{} samples in both runs", comparison.num_shared);
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
            let number = cells.len();
            lines.push(format!(
                "{number} cells only in the {which}: {}",
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
            "{} of {} cells could not be tested. {because}",
            untested.len(),
            comparison.cells.len()
        ));
    }
    let mut text: String = lines
        .iter()
        .flat_map(|line| match line.is_empty() {
            true => vec![String::new()],
            false => wrap(line, WIDTH),
        })
        .map(|line| line + "\n")
        .collect();
    text += "\n";
    text + &table(&comparison.cells)
}

/// One line per cell where the longest id leaves room for the numbers, else two.
fn table(cells: &[CellDifference]) -> String {
    let numbers: usize = NUMBERS.iter().map(|(_, width)| width + 2).sum();
    let longest = cells.iter().map(|cell| cell.cell.chars().count()).max();
    let name = longest.unwrap_or(0).max("cell".len());
    let is_narrow = name + numbers > WIDTH;
    let header = NUMBERS.map(|(name, _)| name.to_owned());
    let name = if is_narrow { WIDTH - numbers } else { name };
    let mut text = format!("{:name$}{}\n", "cell", right(&header));
    text += &format!("{}\n", "─".repeat(name + numbers));
    for cell in cells {
        let numbers = right(&row(cell));
        match is_narrow {
            true => text += &format!("{}\n{:name$}{numbers}\n", cell.cell, ""),
            false => text += &format!("{:name$}{numbers}\n", cell.cell),
        }
    }
    text
}

fn right(numbers: &[String; 7]) -> String {
    let columns = numbers.iter().zip(NUMBERS);
    columns
        .map(|(text, (_, width))| format!("  {text:>width$}"))
        .collect()
}

fn row(cell: &CellDifference) -> [String; 7] {
    let counts = [cell.texts_differ, cell.kept_differ].map(|count| count.to_string());
    let [texts, tokens] = counts;
    let Some(test) = &cell.comparison else {
        let [a, b, c, d, e] = std::array::from_fn(|_| "–".to_owned());
        return [a, b, c, d, e, texts, tokens];
    };
    let [low, high] = test.interval.map(|end| format!("{:+.1}", 100.0 * end));
    [
        format!("{:.1}", 100.0 * test.mean_b),
        format!("{:.1}", 100.0 * test.mean_a),
        format!("{:+.1}", 100.0 * test.difference),
        format!("{low} to {high}"),
        match test.is_identical {
            true => "same".to_owned(),
            false => format!("{:.3}", test.p_holm),
        },
        texts,
        tokens,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(id: &str) -> CellDifference {
        CellDifference {
            cell: id.to_owned(),
            num_answers: 12,
            texts_differ: 1234,
            kept_differ: 12345,
            comparison: None,
            untested: None,
        }
    }

    #[test]
    fn the_longest_ids_fit_eighty_columns() {
        for id in [
            "vanilla",
            "variance+last_token/h16/R166",
            "weighted_quality+max_attention_token/h16/R166",
            "gini_coefficient+adaptive_by_length/h16/r0.0525",
        ] {
            let text = table(&[cell("vanilla"), cell(id)]);
            assert!(text.contains(id), "{text}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest.is_some_and(|widest| widest <= WIDTH), "{text}");
        }
    }
}
