//! Quality of the kept tokens: overlap with the evidence, spread and diversity.

use fp_eval::format::fixed;
use maud::{Markup, html};

use super::markup::{Field, Section, Table, chooser, section};
use super::roles::{by_budget, cells_at};
use crate::analysis::{Outcome, TokenQuality};
use crate::render::Source;

pub(super) fn quality(source: &Source<'_>) -> Option<Section> {
    let mut qualities = source.analysis.token_quality.iter();
    if qualities.all(|quality| quality.spread.is_none()) {
        return None;
    }
    let groups = by_budget(source, |budget| {
        html! {
            (quality_table(source, budget))
            (by_area(source, budget))
        }
    });
    let content = html! {
        (chooser("quality", "Budget", &groups))
        p.small {
            "recall: share of the boxes' area that is kept. precision: share of the kept area inside boxes. hit: at least one token on the evidence. half: recall of tokens that boxes cover by half or more. nearest, fill: distances in patches to the next kept token, largest from any patch. blocks: share of 4 × 4 blocks with a kept token. effective number: exp of the entropy of the attention used for selection. box attention: its mass on the boxes relative to uniform attention. cosine distance, redundancy: of the kept tokens' features."
        }
    };
    Some(section(
        "quality",
        "What the kept tokens cover",
        "Against ground-truth boxes, on questions that have some. A lift of 1 is what random tokens are expected to reach; ▲ keeps more of the evidence than random (Holm-corrected), ▼ less.",
        content,
    ))
}

fn quality_table(source: &Source<'_>, budget: usize) -> Table {
    let analysis = source.analysis;
    let find = |cell: usize| -> Option<&TokenQuality> {
        analysis
            .token_quality
            .iter()
            .find(|quality| quality.cell == analysis.cells[cell].id)
    };
    let label = format!(
        "Quality of kept tokens at {}",
        source.cell_index.budgets[budget]
    );
    let mut table = Table::new(
        &label,
        "plain",
        &[
            "cell",
            "recall %",
            "lift",
            "precision %",
            "soft IoU %",
            "hit %",
            "half %",
            "nearest",
            "fill",
            "blocks %",
            "padding %",
            "effective number",
            "box attention",
            "cosine distance",
            "redundancy",
        ],
    );
    let number = |value: Option<f64>, digits: usize| {
        value.map_or(Field::Empty, |value| {
            Field::exact(fixed(value, digits), value)
        })
    };
    let share = |value: Option<f64>| value.map_or(Field::Empty, Field::percent);
    for (name, cell) in cells_at(source, budget) {
        let Some(quality) = find(cell) else { continue };
        let outcome = analysis
            .recall_against_random
            .iter()
            .find(|c| c.a == quality.cell)
            .map(|c| c.outcome);
        let mark = match outcome {
            Some(Outcome::Better) => " ▲",
            Some(Outcome::Worse) => " ▼",
            _ => "",
        };
        let (overlap, spread) = (quality.overlap, quality.spread);
        let recall = overlap.map_or(Field::Empty, |overlap| {
            let recall = overlap.area_recall;
            Field::percent(recall).shaded(recall).marked(mark)
        });
        table.row([
            Field::Head(name),
            recall,
            number(overlap.map(|overlap| overlap.lift), 2),
            share(overlap.map(|overlap| overlap.area_precision)),
            share(overlap.map(|overlap| overlap.soft_iou)),
            share(overlap.map(|overlap| overlap.hit)),
            share(overlap.and_then(|overlap| overlap.half_recall)),
            number(spread.and_then(|spread| spread.mean_nearest), 2),
            number(spread.map(|spread| spread.fill_distance), 1),
            share(spread.map(|spread| spread.block_coverage)),
            share(spread.map(|spread| spread.padding_waste)),
            number(quality.attention.map(|a| a.effective_number), 1),
            number(quality.attention.and_then(|a| a.box_ratio), 2),
            number(quality.diversity.map(|d| d.mean_cosine_distance), 2),
            number(quality.diversity.map(|d| d.redundancy), 2),
        ]);
    }
    table
}

/// Recall by size of the evidence.
fn by_area(source: &Source<'_>, budget: usize) -> Markup {
    let analysis = source.analysis;
    let label = format!(
        "Recall by size of the evidence at {}",
        source.cell_index.budgets[budget]
    );
    let columns = ["cell", "below 0.5 %", "0.5 to 5 %", "5 % and more"];
    let mut table = Table::new(&label, "plain", &columns);
    let mut is_empty = true;
    use fp_data::metric::token_quality::AreaStratum::{Large, Medium, Small};
    for (name, cell) in cells_at(source, budget) {
        let id = &analysis.cells[cell].id;
        let Some(quality) = analysis
            .token_quality
            .iter()
            .find(|quality| quality.cell == *id)
        else {
            continue;
        };
        is_empty &= quality.by_area.is_empty();
        let fields = [Small, Medium, Large].map(|stratum| {
            let overlap = quality.by_area.iter().find(|(other, _)| *other == stratum);
            overlap.map_or(Field::Number("–".to_owned()), |(_, overlap)| {
                let recall = overlap.area_recall;
                let count = format!(" (n {})", overlap.n);
                Field::percent(recall).shaded(recall).marked(&count)
            })
        });
        table.row([Field::Head(name)].into_iter().chain(fields));
    }
    html! {
        @if !is_empty {
            details {
                summary { "Recall in % by size of the evidence, as a share of the image" }
                (table)
            }
        }
    }
}
