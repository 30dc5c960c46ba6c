//! Every studied cell: as a heat map, and as a table with all of its figures.

use fp_eval::format::{fixed, p_number, signed_points};
use fp_eval::study::Method;
use maud::html;

use super::markup::{Field, Section, Table, heading, section};
use super::roles::{ascending_budgets, cells_at};
use crate::analysis::{CellSummary, Comparison, Reference};
use crate::render::Source;

pub(super) fn grid(source: &Source<'_>) -> Section {
    let baseline = source.cell_index.baseline_name();
    let lead = format!(
        "Accuracy in %; a stronger colour is higher. Against {baseline} at the same h and budget: ▲ better, ▼ worse, ≈ equivalent, no mark: undecided."
    );
    let content = html! {
        @if !source.cell_index.strategies.is_empty() {
            (heat_map(source))
        }
        (heading("cells", "All cells"))
        p.small {
            "Means and intervals in %, differences in points. Differences from " (baseline)
            " are paired, at the same h and budget; those from no pruning are paired with it on the questions that the cell answered; its mean on them is shown beside cells that answered only some."
        }
        (all_cells(source))
    };
    section("heat", "Every cell", &lead, content)
}

fn heat_map(source: &Source<'_>) -> Table {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let means: Vec<f64> = cell_index
        .studied()
        .filter_map(|(.., cell)| analysis.cells[cell].accuracy.mean)
        .collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let columns: Vec<String> = cell_index
        .budgets
        .iter()
        .flat_map(|budget| {
            let heads = cell_index.head_counts.iter();
            heads.map(move |h| format!("{budget} h {h}"))
        })
        .collect();
    let mut head = vec!["strategy"];
    head.extend(columns.iter().map(String::as_str));
    let mut table = Table::new("Accuracy by strategy, budget and h", "heat", &head);
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        let mut fields = vec![Field::Head(entry.name.clone())];
        for budget in 0..cell_index.budgets.len() {
            for count in 0..cell_index.head_counts.len() {
                let cell = cell_index.cell(strategy, count, budget);
                fields.push(heat_field(source, cell, low, high));
            }
        }
        table.row(fields);
    }
    table
}

fn heat_field(source: &Source<'_>, cell: Option<usize>, low: f64, high: f64) -> Field {
    let Some(cell) = cell.map(|cell| &source.analysis.cells[cell]) else {
        return Field::Empty;
    };
    let Some(mean) = cell.accuracy.mean else {
        return Field::Empty;
    };
    let comparison = source.analysis.comparison(Reference::Baseline, &cell.id);
    let mark = comparison.map_or("", |comparison| comparison.outcome.mark());
    let shade = (mean - low) / (high - low).max(1e-9);
    Field::percent(mean).shaded(shade).marked(mark)
}

fn all_cells(source: &Source<'_>) -> Table {
    let cell_index = source.cell_index;
    let baseline = cell_index.baseline_name();
    let difference = format!("minus {baseline}");
    let mut table = Table::new(
        "All cells",
        "plain words",
        &[
            "cell",
            "budget",
            "kept",
            "n",
            "mean",
            "mean low",
            "mean high",
            &difference,
            "difference low",
            "difference high",
            "Holm p",
            "outcome",
            "minus vanilla",
            "vanilla on the same",
            "near-ties",
            "failed",
        ],
    );
    let whole = [
        ("vanilla", cell_index.vanilla),
        ("drop_all", cell_index.drop_all),
        ("no_image", cell_index.no_image),
    ];
    for (name, cell) in whole {
        if let Some(cell) = cell {
            table.row(fields(source, name, cell));
        }
    }
    for budget in ascending_budgets(source).into_iter().rev() {
        let seeds = &cell_index.random[budget];
        for (name, cell) in cells_at(source, budget) {
            if seeds.contains(&cell) {
                for &seed in seeds {
                    table.row(fields(source, &random_name(source, seed), seed));
                }
            } else {
                table.row(fields(source, &name, cell));
            }
        }
    }
    table
}

fn random_name(source: &Source<'_>, cell: usize) -> String {
    match &source.run.spec.grid.cells[cell].method {
        Method::Named {
            seed: Some(seed), ..
        } => format!("random, seed {seed}"),
        _ => "random".to_owned(),
    }
}

fn fields(source: &Source<'_>, name: &str, index: usize) -> Vec<Field> {
    let analysis = source.analysis;
    let cell: &CellSummary = &analysis.cells[index];
    let accuracy = &cell.accuracy;
    let end = |at: usize| Field::or_dash(accuracy.interval.map(|ends| ends[at]), Field::percent);
    let mut fields = vec![
        Field::Head(name.to_owned()),
        cell.budget.clone().map_or(Field::Empty, Field::Text),
        Field::or_dash(cell.mean_kept, |kept| Field::exact(fixed(kept, 1), kept)),
        Field::count(accuracy.n),
        Field::or_dash(accuracy.mean, Field::percent),
        end(0),
        end(1),
    ];
    let against = |reference| analysis.comparison(reference, &cell.id);
    match against(Reference::Baseline) {
        Some(c) => fields.extend([
            difference(c),
            signed(c.interval[0]),
            signed(c.interval[1]),
            Field::exact(p_number(c.p_holm), c.p_holm),
            Field::Text(c.outcome.name().to_owned()),
        ]),
        None => fields.extend(std::iter::repeat_n(Field::Empty, 5)),
    }
    fields.push(match (against(Reference::Vanilla), cell.vanilla_on_same) {
        (Some(c), _) => difference(c),
        (None, Some(same)) => signed(same.difference),
        (None, None) => Field::Empty,
    });
    let same = cell.vanilla_on_same.filter(|same| !same.is_all);
    fields.push(same.map_or(Field::Empty, |same| Field::percent(same.vanilla)));
    fields.push(Field::count(cell.num_near_ties));
    fields.push(match cell.num_failed {
        0 => Field::Empty,
        failed => Field::count(failed),
    });
    fields
}

fn difference(c: &Comparison) -> Field {
    signed(c.difference)
}

fn signed(difference: f64) -> Field {
    Field::exact(signed_points(difference), 100.0 * difference)
}
