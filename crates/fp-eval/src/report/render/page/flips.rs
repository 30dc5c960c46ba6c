//! What flips through pruning, by group of questions.

use super::markup::{Field, Table, chooser, group, section};
use super::roles::{ascending_budgets, middle_heads, protagonists};
use crate::report::analysis::Flips;
use crate::report::format::percent;
use crate::report::render::Source;

pub(super) fn flips(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    if analysis.flips.is_empty() {
        return;
    }
    section(
        out,
        "flips",
        "What flips through pruning",
        "Lost: right without pruning, wrong with it. Won: the other way. In % of the group's questions.",
    );
    let (candidate, baseline) = protagonists(source);
    let count = middle_heads(source);
    let mut shown: Vec<(String, Vec<Option<usize>>)> = Vec::new();
    let order: Vec<usize> = ascending_budgets(source).into_iter().rev().collect();
    for strategy in [candidate, baseline].into_iter().flatten() {
        let cells = order
            .iter()
            .map(|&budget| roster.cell(strategy, count, budget))
            .collect();
        let h = roster.head_counts.get(count).copied().unwrap_or_default();
        shown.push((
            format!("{}, h = {h}", roster.strategies[strategy].name),
            cells,
        ));
    }
    let by_budget = |cells: &[Option<usize>]| order.iter().map(|&budget| cells[budget]).collect();
    shown.push(("all_heads".to_owned(), by_budget(&roster.all_heads)));
    let first_random: Vec<Option<usize>> = roster
        .random
        .iter()
        .map(|seeds| seeds.first().copied())
        .collect();
    shown.push(("random".to_owned(), by_budget(&first_random)));
    shown.retain(|(_, cells)| cells.iter().any(Option::is_some));
    let groups: Vec<(String, String)> = shown
        .iter()
        .map(|(name, _)| (name.clone(), name.clone()))
        .collect();
    chooser(out, "flips", "Cell", &groups);
    for (index, (name, cells)) in shown.iter().enumerate() {
        group(out, "flips", name, index == 0);
        let columns: Vec<String> = order
            .iter()
            .flat_map(|&budget| {
                let label = &roster.budgets[budget];
                [format!("{label} lost"), format!("{label} won")]
            })
            .collect();
        let mut head = vec!["group", "n"];
        head.extend(columns.iter().map(String::as_str));
        let mut table = Table::new(&format!("Flips of {name}"), "plain", &head);
        let of_cells: Vec<_> = cells
            .iter()
            .map(|cell| {
                let id = &analysis.cells[(*cell)?].id;
                analysis.flips.iter().find(|flips| flips.cell == *id)
            })
            .collect();
        let all = of_cells.iter().map(|flips| flips.map(|flips| flips.all));
        flip_row(&mut table, "all questions".to_owned(), all.collect());
        for strata in &analysis.strata {
            for stratum in &strata.groups {
                let of = of_cells.iter().map(|flips| {
                    let found = flips.as_ref()?.strata.iter();
                    found
                        .filter(|f| f.by == strata.by && f.group == stratum.name)
                        .map(|f| f.flips)
                        .next()
                });
                flip_row(
                    &mut table,
                    format!("{}: {}", strata.by, stratum.name),
                    of.collect(),
                );
            }
        }
        out.push_str(&table.finish());
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

fn flip_row(table: &mut Table, name: String, flips: Vec<Option<Flips>>) {
    let n = flips.iter().flatten().map(Flips::n).max().unwrap_or(0);
    if n == 0 {
        return;
    }
    let mut fields = vec![Field::Head(name), Field::Number(n.to_string())];
    for flips in flips {
        match flips.filter(|flips| flips.n() > 0) {
            Some(flips) => {
                let share = |count: usize| count as f64 / flips.n() as f64;
                fields.push(Field::Shaded(
                    percent(share(flips.lost)),
                    2.0 * share(flips.lost),
                ));
                fields.push(Field::Number(percent(share(flips.won))));
            }
            None => fields.extend([Field::Empty, Field::Empty]),
        }
    }
    table.row(fields);
}
