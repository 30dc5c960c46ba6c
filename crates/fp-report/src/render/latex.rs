//! `table.tex`: accuracy by strategy, h and budget, as a `booktabs` table.

use std::fmt::Write;

use fp_eval::format::{fixed, level, percent};

use super::Source;
use crate::analysis::{Outcome, Reference};

/// Accuracies in percent; a dagger where a cell beats the baseline, bold for the largest studied
/// one at a budget.
pub(crate) fn table_tex(source: &Source<'_>) -> String {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let budgets = &cell_index.budgets;
    let mut text = String::new();
    let confidence = source.run.spec.config.statistics.confidence;
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    add("% needs \\usepackage{booktabs}");
    add("\\begin{table}");
    add("\\centering");
    add(&format!(
        "\\begin{{tabular}}{{ll{}}}",
        "r".repeat(budgets.len())
    ));
    add("\\toprule");
    let header: Vec<String> = budgets.iter().map(|budget| escape(budget)).collect();
    add(&format!("strategy & $h$ & {} \\\\", header.join(" & ")));
    add("\\midrule");
    let best: Vec<Option<f64>> = (0..budgets.len())
        .map(|budget| {
            cell_index
                .studied()
                .filter(|(_, _, at, _)| *at == budget)
                .filter_map(|(.., cell)| analysis.cells[cell].accuracy.mean)
                .max_by(f64::total_cmp)
        })
        .collect();
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        for (count, heads) in cell_index.head_counts.iter().enumerate() {
            let mut row = format!("{} & {heads}", escape(&entry.name));
            for (budget, best) in best.iter().enumerate() {
                let cell = cell_index
                    .cell(strategy, count, budget)
                    .map(|cell| &analysis.cells[cell]);
                let mean = cell.and_then(|cell| cell.accuracy.mean);
                let value = mean.map_or("--".to_owned(), percent);
                let value = if mean.is_some() && mean == *best {
                    format!("\\textbf{{{value}}}")
                } else {
                    value
                };
                let is_better = cell
                    .and_then(|cell| analysis.comparison(Reference::Baseline, &cell.id))
                    .is_some_and(|comparison| comparison.outcome == Outcome::Better);
                let mark = if is_better { "$^\\dagger$" } else { "" };
                // Writing to a string can't fail.
                let _ = write!(row, " & {value}{mark}");
            }
            add(&format!("{row} \\\\"));
        }
    }
    add("\\midrule");
    for (name, cells) in [
        ("all\\_heads", &cell_index.all_heads),
        ("uniform\\_grid", &cell_index.uniform_grid),
        ("oracle", &cell_index.oracle),
    ] {
        if cells.iter().any(Option::is_some) {
            let values: Vec<String> = cells
                .iter()
                .map(|cell| cell.and_then(|cell| analysis.cells[cell].accuracy.mean))
                .map(|mean| mean.map_or("--".to_owned(), percent))
                .collect();
            add(&format!("{name} & & {} \\\\", values.join(" & ")));
        }
    }
    if let Some(beside) = super::beside::oracle(source) {
        let values = beside
            .iter()
            .map(|same| same.map_or("--".to_owned(), |s| percent(s.vanilla)));
        add(&format!(
            "unpruned, oracle's questions & & {} \\\\",
            values.collect::<Vec<_>>().join(" & ")
        ));
    }
    if !analysis.random.is_empty() {
        let values: Vec<String> = budgets
            .iter()
            .map(|budget| {
                analysis
                    .random
                    .iter()
                    .find(|random| random.budget == *budget)
            })
            .map(|random| random.and_then(|random| random.accuracy.mean))
            .map(|mean| mean.map_or("--".to_owned(), percent))
            .collect();
        add(&format!("random & & {} \\\\", values.join(" & ")));
    }
    let others = other_rows(source);
    if !others.is_empty() {
        add("\\midrule");
        for row in &others {
            add(row);
        }
    }
    add("\\bottomrule");
    add("\\end{tabular}");
    let vanilla = cell_index
        .vanilla
        .and_then(|cell| analysis.cells[cell].accuracy.mean);
    let unpruned = vanilla.map_or(String::new(), |mean| {
        format!(" Unpruned: {}\\,\\%.", percent(mean))
    });
    let of_b = if others.is_empty() {
        ""
    } else {
        " $B$: mean number of visual tokens that enter a layer."
    };
    add(&format!(
        "\\caption{{Accuracy in \\% on {}.{unpruned}{of_b} $\\dagger$: better than {} at the same $h$ and budget ({}\\,\\% level, sign-flip test over images, Holm-corrected).}}",
        escape(&analysis.samples.text()),
        escape(cell_index.baseline_name()),
        level(1.0 - confidence),
    ));
    add("\\end{table}");
    super::figures::tables_tex(source, &mut text);
    text
}

/// The rows of all other methods, files of selections among them, with B beside each accuracy; one
/// with a schedule of its own has one value for all budgets.
fn other_rows(source: &Source<'_>) -> Vec<String> {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let value = |cell: usize| {
        let mean = analysis.cells[cell].accuracy.mean;
        mean.map_or("--".to_owned(), |mean| {
            let b = fixed(analysis.costs[cell].average_visual_tokens, 1);
            format!("{} ($B = {b}$)", percent(mean))
        })
    };
    let rows = cell_index.others.iter().map(|other| {
        let values = match other.without_budget {
            Some(cell) => {
                let columns = cell_index.budgets.len().max(1);
                format!("\\multicolumn{{{columns}}}{{r}}{{{}}}", value(cell))
            }
            None => {
                let cells = other.cells.iter();
                let values = cells.map(|cell| cell.map_or("--".to_owned(), value));
                values.collect::<Vec<_>>().join(" & ")
            }
        };
        format!("{} & & {values} \\\\", escape(&other.label))
    });
    rows.collect()
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_are_no_commands() {
        for (text, expected) in [
            ("top_k_sum", "top\\_k\\_sum"),
            (
                "\\input{/etc/passwd}",
                "\\textbackslash{}input\\{/etc/passwd\\}",
            ),
            ("$x^2$ & 50 %", "\\$x\\textasciicircum{}2\\$ \\& 50 \\%"),
            (
                "a\n\\end{table}#~",
                "a \\textbackslash{}end\\{table\\}\\#\\textasciitilde{}",
            ),
        ] {
            assert_eq!(escape(text), expected);
        }
    }
}
