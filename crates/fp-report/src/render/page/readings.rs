//! Other analyses of the same answers: difficult samples only, and by type of answer, with
//! suspiciously frequent answers.

use fp_eval::format::{counted, percent, signed_points};
use maud::{Markup, Render, html};

use super::findings::{comparison_fields, comparison_table};
use super::markup::{Field, Section, Table, chooser, heading, section};
use super::roles::{by_budget, cells_at};
use crate::analysis::{
    BY_ANSWER_TYPE, DifficultBudget, DifficultSamples, Estimate, FrequentAnswer,
};
use crate::render::Source;

pub(super) fn difficult(source: &Source<'_>) -> Option<Section> {
    let difficult = source.analysis.difficult.as_ref()?;
    let lead = format!(
        "{} Accuracy in %, over the difficult samples of both halves.",
        difficult.rule
    );
    let groups = by_budget(source, |budget| at_budget(source, difficult, budget));
    let content = html! {
        (chooser("difficult", "Budget", &groups))
        (difficult_tests(difficult))
    };
    Some(section(
        "difficult",
        "Difficult samples only",
        &lead,
        content,
    ))
}

fn at_budget(source: &Source<'_>, difficult: &DifficultSamples, budget: usize) -> Markup {
    let label = &source.cell_index.budgets[budget];
    let of = difficult.budgets.iter().find(|of| of.budget == *label);
    html! {
        @if let Some(of) = of {
            p.small {
                (of.n) " of " (of.of) " questions, on " (counted(of.num_images, "image"))
                "; each is answered wrong under " (of.chosen_by.join(", ")) "."
            }
            (difficult_table(source, difficult, of, budget))
        } @else {
            p { "At " (label) " no control defines difficult samples." }
        }
    }
}

fn difficult_table(
    source: &Source<'_>,
    difficult: &DifficultSamples,
    of: &DifficultBudget,
    budget: usize,
) -> Table {
    let label = &source.cell_index.budgets[budget];
    let caption = format!("Accuracy on difficult samples at {label}");
    let columns = [
        "cell",
        "n",
        "mean",
        "mean low",
        "mean high",
        "on all questions",
    ];
    let mut table = Table::new(&caption, "plain", &columns);
    let mut cells = cells_at(source, budget);
    cells.extend(
        source
            .cell_index
            .vanilla
            .map(|cell| ("vanilla".to_owned(), cell)),
    );
    for (name, cell) in cells {
        let summary = &source.analysis.cells[cell];
        if let Some(accuracy) = difficult.accuracy(label, &summary.id) {
            table.row(estimate(&name, accuracy, summary.accuracy.mean));
        }
    }
    if let Some(random) = &of.random {
        let all = source
            .analysis
            .random
            .iter()
            .find(|all| all.budget == *label);
        let all = all.and_then(|all| all.accuracy.mean);
        table.row(estimate("random, other seeds", random, all));
    }
    table
}

fn estimate(name: &str, accuracy: &Estimate, all: Option<f64>) -> Vec<Field> {
    let end = |at: usize| Field::or_dash(accuracy.interval.map(|ends| ends[at]), Field::percent);
    vec![
        Field::Head(name.to_owned()),
        Field::count(accuracy.n),
        Field::or_dash(accuracy.mean, |mean| Field::percent(mean).shaded(mean)),
        end(0),
        end(1),
        Field::or_dash(all, Field::percent),
    ]
}

fn difficult_tests(difficult: &DifficultSamples) -> Markup {
    let tests = [&difficult.against_all_heads, &difficult.against_baseline];
    let mut table = comparison_table("Tests on difficult samples of the other half");
    for comparison in tests.into_iter().flatten() {
        table.row(comparison_fields("difficult", comparison));
    }
    html! {
        @if tests.iter().any(|tests| !tests.is_empty()) {
            (heading("difficult-tests", "Tested on the other half"))
            (table)
        }
        @if !difficult.untested.is_empty() {
            details {
                summary { "What could not be tested" }
                ul {
                    @for untested in &difficult.untested {
                        li { (untested.because) }
                    }
                }
            }
        }
    }
}

pub(super) fn answer_types(source: &Source<'_>) -> Option<Section> {
    let analysis = source.analysis;
    let types: Vec<&str> = analysis
        .strata
        .iter()
        .filter(|strata| strata.by == BY_ANSWER_TYPE)
        .flat_map(|strata| strata.groups.iter().map(|group| group.name.as_str()))
        .collect();
    if types.len() < 2 && analysis.frequent_answers.is_empty() {
        return None;
    }
    let content = html! {
        @if types.len() > 1 {
            @let groups = by_budget(source, |budget| types_table(source, &types, budget).render());
            (chooser("answers", "Budget", &groups))
        }
        (frequent(source))
    };
    Some(section(
        "answers",
        "By type of answer",
        "Accuracy in % on the questions of each type. ⚠ marks cells that give nearly only one answer there, far more often than it is correct, or gain by one answer alone.",
        content,
    ))
}

fn types_table(source: &Source<'_>, types: &[&str], budget: usize) -> Table {
    let analysis = source.analysis;
    let caption = format!(
        "Accuracy by type of answer at {}",
        source.cell_index.budgets[budget]
    );
    let mut columns = vec!["cell"];
    columns.extend(types);
    let mut table = Table::new(&caption, "plain", &columns);
    let whole = [
        ("vanilla", source.cell_index.vanilla),
        ("no_image", source.cell_index.no_image),
    ];
    let mut cells: Vec<(String, usize)> = whole
        .into_iter()
        .filter_map(|(name, cell)| Some((name.to_owned(), cell?)))
        .collect();
    cells.extend(cells_at(source, budget));
    for (name, cell) in cells {
        let summary = &analysis.cells[cell];
        let fields = types.iter().map(|kind| {
            let mut strata = summary.strata.iter();
            let of = strata.find(|of| of.by == BY_ANSWER_TYPE && of.group == *kind);
            let is_flagged = analysis.frequent_answers.iter().any(|answer| {
                answer.cell == summary.id && answer.by == BY_ANSWER_TYPE && answer.group == *kind
            });
            let mark = if is_flagged { " ⚠" } else { "" };
            Field::or_dash(of.and_then(|of| of.accuracy.mean), |mean| {
                Field::percent(mean).shaded(mean).marked(mark)
            })
        });
        let head = Field::Head(name);
        table.row([head].into_iter().chain(fields));
    }
    table
}

fn frequent(source: &Source<'_>) -> Markup {
    let answers = &source.analysis.frequent_answers;
    html! {
        @if answers.is_empty() {
            p { "No cell gives one answer too often." }
        } @else {
            (heading("frequent", "Answers that are given too often"))
            (frequent_table(answers))
        }
    }
}

fn frequent_table(answers: &[FrequentAnswer]) -> Table {
    let mut table = Table::new(
        "Answers that are given too often",
        "plain words",
        &[
            "cell",
            "by",
            "group",
            "n",
            "answer",
            "given %",
            "true %",
            "no pruning %",
            "what is wrong",
        ],
    );
    for answer in answers {
        table.row([
            Field::Head(answer.cell.clone()),
            Field::Text(answer.by.clone()),
            Field::Text(answer.group.clone()),
            Field::count(answer.n),
            Field::Text(answer.answer.clone()),
            Field::percent(answer.share),
            Field::percent(answer.truth_share),
            Field::or_dash(answer.vanilla_share, Field::percent),
            Field::Text(wrong(answer)),
        ]);
    }
    table
}

fn wrong(answer: &FrequentAnswer) -> String {
    let mut parts = Vec::new();
    if answer.is_degenerate {
        parts.push(format!(
            "nearly its only answer ({} %)",
            percent(answer.share)
        ));
    }
    if let Some(gain) = answer.gain {
        parts.push(format!(
            "above no pruning ({}) by this answer alone ({} elsewhere)",
            signed_points(gain.difference),
            signed_points(gain.elsewhere)
        ));
    }
    parts.join("; ")
}
