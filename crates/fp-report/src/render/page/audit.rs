//! How selections were decided: ties, near-ties, and the rows that query strategies read.

use fp_eval::format::{fixed, points};
use maud::{Markup, html};

use super::markup::{Field, Section, Table, heading, section};
use crate::analysis::{CellAudit, NoiseFloor};
use crate::render::Source;

pub(super) fn audit(source: &Source<'_>) -> Section {
    let content = html! {
        (ties(source))
        (looks(source))
        @if let Some(noise) = &source.analysis.noise_floor {
            (heading("noise", "Noise floor from a repeated run"))
            p { (repeated(noise)) }
        }
    };
    section(
        "audit",
        "Audit: what decided",
        "A tie was decided by index order, a near-tie (below 1e-6 of the scores' range) could be decided by rounding.",
        content,
    )
}

fn ties(source: &Source<'_>) -> Table {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let mut table = Table::new(
        "Ties by strategy over all budgets and h",
        "plain",
        &[
            "strategy",
            "selections",
            "head ties",
            "near-ties",
            "widest",
            "token ties",
            "near-ties",
            "widest",
            "constant",
            "not a number",
            "answer near-ties",
        ],
    );
    let mut add = |name: &str, cells: &[usize]| {
        let ids: Vec<&str> = cells
            .iter()
            .map(|&cell| analysis.cells[cell].id.as_str())
            .collect();
        let of: Vec<_> = analysis
            .audit
            .iter()
            .filter(|audit| ids.contains(&audit.cell.as_str()))
            .collect();
        let sum = |value: &dyn Fn(&CellAudit) -> usize| {
            Field::count(of.iter().map(|audit| value(audit)).sum())
        };
        let most = |value: &dyn Fn(&CellAudit) -> usize| {
            let most = of.iter().map(|audit| value(audit)).max().unwrap_or(0);
            Field::or_dash((most > 0).then_some(most), Field::count)
        };
        table.row([
            Field::Head(name.to_owned()),
            sum(&|audit| audit.n),
            sum(&|audit| audit.head_ties),
            sum(&|audit| audit.head_near_ties),
            most(&|audit| audit.widest_head_tie),
            sum(&|audit| audit.token_ties),
            sum(&|audit| audit.token_near_ties),
            most(&|audit| audit.widest_token_tie),
            sum(&|audit| audit.constant_scores),
            sum(&|audit| audit.nan_scores),
            sum(&|audit| audit.answer_near_ties),
        ]);
    };
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        add(&entry.name, &cell_index.cells_of(strategy));
    }
    let all_heads: Vec<usize> = cell_index.all_heads.iter().flatten().copied().collect();
    if !all_heads.is_empty() {
        add("all_heads", &all_heads);
    }
    table
}

fn repeated(noise: &NoiseFloor) -> String {
    format!(
        "{} answers on {} samples: {} texts, {} scores and {} kept sets differ, {} of them not explained by a near-tie; the largest difference of a cell's mean is {} points.",
        noise.num_answers,
        noise.num_samples,
        noise.texts_differ,
        noise.scores_differ,
        noise.kept_differ,
        noise.unexplained,
        points(noise.largest_cell_difference)
    )
}

fn looks(source: &Source<'_>) -> Markup {
    html! {
        @if !source.analysis.looks.is_empty() {
            (heading("looks", "Rows that query strategies read"))
            p {
                "Mean share of the weight in %. The last rows of a prompt are the template's own (its "
                code { "ASSISTANT:" } "), not the question's."
            }
            (looks_table(source))
        }
    }
}

fn looks_table(source: &Source<'_>) -> Table {
    let mut table = Table::new(
        "Rows read by query strategy",
        "plain",
        &[
            "query strategy",
            "rows",
            "system",
            "image",
            "earlier text",
            "last five but one",
            "last row",
            "heads without mass",
            "rule applied",
        ],
    );
    for look in &source.analysis.looks {
        let branches: Vec<String> = look
            .branches
            .iter()
            .map(|(name, n)| format!("{name} {n}×"))
            .collect();
        table.row([
            Field::Head(look.query_strategy.clone()),
            Field::exact(fixed(look.mean_rows, 1), look.mean_rows),
            Field::percent(look.weight.system),
            Field::percent(look.weight.image),
            Field::percent(look.weight.earlier_text),
            Field::percent(look.weight.last_five),
            Field::percent(look.weight.last),
            Field::Number(format!("{} of {}", look.zero_mass_samples, look.n)),
            Field::Text(branches.join(", ")),
        ]);
    }
    table
}
