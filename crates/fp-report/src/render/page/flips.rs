//! Answers that pruning flips, by group of questions.

use maud::html;

use super::markup::{Field, Group, Section, Table, chooser, section};
use super::roles::{Leader, ascending_budgets, protagonists};
use crate::analysis::Flips;
use crate::render::Source;

pub(super) fn flips(source: &Source<'_>) -> Option<Section> {
    if source.analysis.flips.is_empty() {
        return None;
    }
    let order: Vec<usize> = ascending_budgets(source).into_iter().rev().collect();
    let groups = rows(source, &order).into_iter().map(|row| {
        let content = html! {
            @if !row.note.is_empty() {
                p.small { (row.note) }
            }
            (flips_table(source, &order, &row))
        };
        Group {
            value: row.name.clone(),
            text: row.name,
            content,
        }
    });
    let groups: Vec<Group> = groups.collect();
    Some(section(
        "flips",
        "Answers that pruning flips",
        "Lost: correct without pruning, wrong with it. Won: the reverse. In % of the group's questions.",
        chooser("flips", "Cell", &groups),
    ))
}

fn flips_table(source: &Source<'_>, order: &[usize], row: &Row) -> Table {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let columns: Vec<String> = order
        .iter()
        .flat_map(|&budget| {
            let label = &cell_index.budgets[budget];
            [format!("{label} lost"), format!("{label} won")]
        })
        .collect();
    let mut head = vec!["group", "n"];
    head.extend(columns.iter().map(String::as_str));
    let mut table = Table::new(&format!("Flips of {}", row.name), "plain", &head);
    let of_cells: Vec<_> = row
        .cells
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
    table
}

/// The cells of one table row, at each budget.
struct Row {
    name: String,
    /// Describes the cells, where the name doesn't.
    note: String,
    cells: Vec<Option<usize>>,
}

fn rows(source: &Source<'_>, order: &[usize]) -> Vec<Row> {
    let cell_index = source.cell_index;
    let leaders = |name: String, of: usize| {
        let leaders: Vec<Option<Leader>> = order
            .iter()
            .map(|&budget| {
                let (other, baseline) = protagonists(source, budget);
                [other, baseline][of]
            })
            .collect();
        let names = order.iter().zip(&leaders).filter_map(|(&budget, leader)| {
            let name = leader.as_ref()?.name(source);
            Some(format!("{name} at {}", cell_index.budgets[budget]))
        });
        Row {
            name,
            note: format!("{}.", names.collect::<Vec<_>>().join("; ")),
            cells: leaders
                .iter()
                .map(|leader| leader.map(|leader| leader.cell))
                .collect(),
        }
    };
    let plain = |name: &str, cell: &dyn Fn(usize) -> Option<usize>| Row {
        name: name.to_owned(),
        note: String::new(),
        cells: order.iter().map(|&budget| cell(budget)).collect(),
    };
    let mut rows = vec![
        leaders("best other strategy".to_owned(), 0),
        leaders(format!("{} at its best h", cell_index.baseline_name()), 1),
        plain("all_heads", &|budget| cell_index.all_heads[budget]),
        plain("random", &|budget| {
            cell_index.random[budget].first().copied()
        }),
    ];
    rows.retain(|row| row.cells.iter().any(Option::is_some));
    rows
}

fn flip_row(table: &mut Table, name: String, flips: Vec<Option<Flips>>) {
    let n = flips.iter().flatten().map(Flips::n).max().unwrap_or(0);
    if n == 0 {
        return;
    }
    let mut fields = vec![Field::Head(name), Field::count(n)];
    for flips in flips {
        match flips.filter(|flips| flips.n() > 0) {
            Some(flips) => {
                let share = |count: usize| count as f64 / flips.n() as f64;
                fields.push(Field::percent(share(flips.lost)).shaded(2.0 * share(flips.lost)));
                fields.push(Field::percent(share(flips.won)));
            }
            None => fields.extend([Field::Empty, Field::Empty]),
        }
    }
    table.row(fields);
}
