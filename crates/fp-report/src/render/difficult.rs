//! The sections of `summary.md` on difficult samples and on frequent answers.

use std::fmt::Write;

use fp_eval::format::{counted, interval_points, p_value, percent, signed_points};

use super::Source;
use super::markdown::{estimate, row};
use crate::analysis::{AtBestHeads, Comparison, DifficultBudget, DifficultSamples};

/// Every strategy at its best h and the controls, on difficult samples.
pub(super) fn difficult(source: &Source<'_>, text: &mut String) {
    let Some(difficult) = &source.analysis.difficult else {
        return;
    };
    // Writing to a string can't fail.
    let _ = writeln!(text, "\n## Difficult samples only, accuracy in %\n");
    let _ = writeln!(
        text,
        "{} Each strategy is shown at its best h, chosen on all questions of the selection half; accuracies are over the difficult samples of both halves.\n",
        difficult.rule
    );
    let budgets = &difficult.budgets;
    let name = |budget: &DifficultBudget| {
        let images = counted(budget.num_images, "image");
        format!(
            "{} ({} of {}, {images})",
            budget.budget, budget.n, budget.of
        )
    };
    let head = ["cell".to_owned()].into_iter();
    row(text, head.chain(budgets.iter().map(name)));
    row(
        text,
        (0..=budgets.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()),
    );
    let accuracy = |budget: &str, id: &str| {
        let accuracy = difficult.accuracy(budget, id);
        accuracy.map_or("–".to_owned(), estimate)
    };
    for strategy in &source.cell_index.strategies {
        let values = budgets.iter().map(|budget| {
            let best = source.analysis.best.as_ref();
            let entry = best.and_then(|best| best.strategy(&strategy.name, &budget.budget));
            let value = |entry: &AtBestHeads| {
                let h = entry.num_selected_heads;
                format!("{}, h = {h}", accuracy(&budget.budget, &entry.cell))
            };
            entry.map_or("–".to_owned(), value)
        });
        row(text, [strategy.name.clone()].into_iter().chain(values));
    }
    controls(source, difficult, text);
    tests(difficult, text);
}

fn controls(source: &Source<'_>, difficult: &DifficultSamples, text: &mut String) {
    let (cell_index, cells) = (source.cell_index, &source.analysis.cells);
    let position = |label: &str| cell_index.budgets.iter().position(|budget| budget == label);
    let everywhere = |cell: Option<usize>| vec![cell; cell_index.budgets.len()];
    for (name, of) in [
        ("all_heads (FastV)", cell_index.all_heads.clone()),
        ("uniform_grid", cell_index.uniform_grid.clone()),
        ("oracle (questions with boxes)", cell_index.oracle.clone()),
        ("vanilla", everywhere(cell_index.vanilla)),
    ] {
        if of.iter().all(Option::is_none) {
            continue;
        }
        let values = difficult.budgets.iter().map(|budget| {
            let cell = position(&budget.budget).and_then(|at| of[at]);
            let accuracy =
                cell.and_then(|cell| difficult.accuracy(&budget.budget, &cells[cell].id));
            accuracy.map_or("–".to_owned(), estimate)
        });
        row(text, [name.to_owned()].into_iter().chain(values));
    }
    if difficult
        .budgets
        .iter()
        .any(|budget| budget.random.is_some())
    {
        let values = difficult.budgets.iter().map(|budget| {
            let random = budget.random.as_ref();
            random.map_or("–".to_owned(), estimate)
        });
        row(
            text,
            ["random (other seeds)".to_owned()]
                .into_iter()
                .chain(values),
        );
    }
}

/// Results of the tests on difficult samples.
fn tests(difficult: &DifficultSamples, text: &mut String) {
    for (name, tests) in [
        ("FastV", &difficult.against_all_heads),
        ("the baseline at its best h", &difficult.against_baseline),
    ] {
        let mut shown: Vec<&Comparison> = tests.iter().collect();
        shown.sort_by(|a, b| b.difference.total_cmp(&a.difference));
        let Some(largest) = shown.first() else {
            continue;
        };
        let better = shown
            .iter()
            .filter(|test| test.outcome.name() == "better")
            .count();
        let _ = writeln!(
            text,
            "\nAgainst {name}, on the difficult samples of the confirmation half: {better} of {} better; the largest difference is {}: {} points on {} ({}, {}): {}.",
            counted(shown.len(), "test"),
            largest.a,
            signed_points(largest.difference),
            counted(largest.n, "question"),
            interval_points(largest.interval, largest.confidence),
            p_value("Holm p", largest.p_holm),
            largest.outcome.name()
        );
    }
}

/// Remarkably frequent answers of cells.
pub(super) fn frequent_answers(source: &Source<'_>, text: &mut String) {
    let found = &source.analysis.frequent_answers;
    if found.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Frequent answers\n");
    let _ = writeln!(
        text,
        "Cells that give one answer to {} % of a group of questions or more, {} points above its share of the ground truth; and cells that say one answer {} points more often than vanilla does and are above vanilla only on the questions of which it is the ground truth.\n",
        percent(crate::analysis::ONE_ANSWER_SHARE),
        percent(crate::analysis::EXCESS_SHARE),
        percent(crate::analysis::EXCESS_SHARE)
    );
    let columns = [
        "cell",
        "questions",
        "n",
        "answer",
        "share %",
        "ground truth %",
        "vanilla %",
        "points from vanilla",
        "elsewhere",
    ];
    row(text, columns.map(str::to_owned));
    row(text, columns.map(|_| "---".to_owned()));
    for answer in found {
        let points = |value: Option<f64>| value.map_or("–".to_owned(), signed_points);
        row(
            text,
            [
                answer.cell.clone(),
                if answer.by == answer.group {
                    answer.group.clone()
                } else {
                    format!("{}: {}", answer.by, answer.group)
                },
                answer.n.to_string(),
                answer.answer.clone(),
                percent(answer.share),
                percent(answer.truth_share),
                answer.vanilla_share.map_or("–".to_owned(), percent),
                points(answer.gain.map(|gain| gain.difference)),
                points(answer.gain.map(|gain| gain.elsewhere)),
            ],
        );
    }
}
