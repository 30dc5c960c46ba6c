//! Whole methods: tests against FastV and chance, and the schedule and cost of each.

use fp_eval::format::{fixed, interval_points, p_number, p_value, points, scaled, signed_points};
use maud::{Markup, html};

use super::chart::{self, ForestRow};
use super::markup::{Field, Group, Section, Table, chooser, heading, section};
use super::roles::ascending_budgets;
use crate::analysis::{Comparison, MethodEntry, MethodTests, samples_of_tests};
use crate::render::Source;
use crate::render::methods::{
    COST_LEGEND, CellTimes, CostRow, TESTS_LEGEND, TIMES_LEGEND, cost_rows, method_name, ms_signed,
    own_schedule_note, random_text, tokens,
};

/// Selects the test of an entry that a chart shows.
type Test = fn(&MethodEntry) -> Option<&Comparison>;

pub(super) fn methods(source: &Source<'_>) -> Section {
    let analysis = source.analysis;
    let tests = in_order(source);
    let content = html! {
        @if let Some(first) = tests.first() {
            (against(source, &tests, first))
            p.small { (TESTS_LEGEND) }
        }
        (heading("schedules", "Tokens and cost"))
        p.small { (COST_LEGEND.replace('`', "")) }
        (costs(source))
    };
    let lead = if analysis.methods.is_empty() {
        "What each method does with the visual tokens, and its cost.".to_owned()
    } else {
        format!(
            "Whole methods at the same budget, paired by question. ▲ better, ▼ worse (Holm-corrected, interval beyond 0), ■ equivalent within {} points (the grey band), ● undecided.",
            points(analysis.margin)
        )
    };
    section("methods", "Methods", &lead, content)
}

/// Budgets with the most tokens first.
fn in_order<'a>(source: &Source<'a>) -> Vec<&'a MethodTests> {
    let order = ascending_budgets(source).into_iter().rev();
    let labels = order.map(|budget| &source.cell_index.budgets[budget]);
    let all = &source.analysis.methods;
    let found = labels.filter_map(|label| all.iter().find(|tests| tests.budget == *label));
    found.collect()
}

/// Charts against the reference and against chance, with a choice between them.
fn against(source: &Source<'_>, tests: &[&MethodTests], first: &MethodTests) -> Markup {
    let of_reference: Test = |entry| entry.against_reference.as_ref();
    let of_random: Test = |entry| entry.against_random.as_ref();
    let groups = [
        ("reference", first.reference_name.clone(), of_reference),
        ("random", random_text(first), of_random),
    ];
    let has_tests = |test: Test| {
        let mut entries = tests.iter().flat_map(|tests| &tests.methods);
        entries.any(|entry| test(entry).is_some())
    };
    let groups = groups.into_iter().filter(|(.., test)| has_tests(*test));
    let groups: Vec<Group> = groups
        .map(|(value, name, test)| Group {
            value: value.to_owned(),
            content: panels(source, tests, &name, test),
            text: name,
        })
        .collect();
    chooser("methods", "Difference from", &groups)
}

fn panels(source: &Source<'_>, tests: &[&MethodTests], against: &str, test: Test) -> Markup {
    let all = tests.iter().flat_map(|tests| &tests.methods);
    let bounds = all
        .filter_map(test)
        .fold([-0.01_f64, 0.01_f64], |[low, high], c| {
            [low.min(c.interval[0]), high.max(c.interval[1])]
        });
    html! {
        div.panels {
            @for of_budget in tests {
                @let tested = tested(of_budget, test);
                @if !tested.is_empty() {
                    @let title = format!("Methods minus {against} at {}", of_budget.budget);
                    figure {
                        figcaption.above { (of_budget.budget) ": method minus " (against) }
                        (chart::forest(&title, &rows(&tested), bounds, source.analysis.margin))
                        figcaption { (samples_of_tests(&tested)) }
                    }
                }
            }
        }
        details {
            summary { "Every difference from " (against) ", budget by budget" }
            @for of_budget in tests {
                @if of_budget.methods.iter().any(|entry| test(entry).is_some()) {
                    (of_budget_table(source, of_budget, against, test))
                }
            }
        }
    }
}

fn tested(tests: &MethodTests, test: Test) -> Vec<(&MethodEntry, &Comparison)> {
    let entries = tests.methods.iter();
    entries
        .filter_map(|entry| Some((entry, test(entry)?)))
        .collect()
}

fn rows(tested: &[(&MethodEntry, &Comparison)]) -> Vec<ForestRow> {
    let row = |(entry, c): &(&MethodEntry, &Comparison)| ForestRow {
        name: entry.method.clone(),
        difference: c.difference,
        interval: c.interval,
        outcome: c.outcome.name(),
        tooltip: format!(
            "{}: {} points, {}, {}, {}",
            entry.cell,
            signed_points(c.difference),
            interval_points(c.interval, c.confidence),
            p_value("Holm p", c.p_holm),
            c.outcome.of_method()
        ),
        is_first: false,
    };
    tested.iter().map(row).collect()
}

/// The tests of one budget, as a table.
fn of_budget_table(source: &Source<'_>, tests: &MethodTests, against: &str, test: Test) -> Markup {
    let mut table = Table::new(
        &format!("Methods at {}, against {against}", tests.budget),
        "plain",
        &[
            "method",
            "B",
            "accuracy, %",
            "difference",
            "interval",
            "Holm p",
            "verdict",
            "questions",
            "images",
        ],
    );
    for entry in &tests.methods {
        let accuracy = source.analysis.cell(&entry.cell);
        let accuracy = accuracy.and_then(|cell| cell.accuracy.mean);
        let first = [
            Field::Head(method_name(tests, entry)),
            Field::exact(
                fixed(entry.average_visual_tokens, 1),
                entry.average_visual_tokens,
            ),
            Field::or_dash(accuracy, Field::percent),
        ];
        table.row(first.into_iter().chain(verdict(test(entry))));
    }
    html! {
        p { (tests.budget) ", against " (against) }
        (table)
        @if let Some(note) = own_schedule_note(tests) { p.small { (note) } }
        @for untested in &tests.untested { p.small { "Not tested: " (untested.because) } }
    }
}

fn verdict(test: Option<&Comparison>) -> [Field; 6] {
    match test {
        None => std::array::from_fn(|_| Field::Empty),
        Some(c) => {
            let [low, high] = c.interval.map(|end| fixed(100.0 * end, 1));
            [
                Field::exact(signed_points(c.difference), 100.0 * c.difference),
                Field::Number(format!("{low} to {high}")),
                Field::exact(p_number(c.p_holm), c.p_holm),
                Field::Text(c.outcome.of_method().to_owned()),
                Field::count(c.n),
                Field::count(c.num_images),
            ]
        }
    }
}

fn costs(source: &Source<'_>) -> Markup {
    let rows = cost_rows(source);
    let mut counted = Table::new(
        "Tokens and cost of every method",
        "plain",
        &[
            "cell",
            "schedule",
            "B",
            "B by output",
            "kept",
            "MACs",
            "of vanilla %",
        ],
    );
    let mut measured = Table::new(
        "Time to select tokens and time saved",
        "plain",
        &[
            "cell",
            "first token, ms",
            "choosing, ms",
            "prefill saved, ms",
            "verdict",
        ],
    );
    for of_cell in &rows {
        counted.row(counted_fields(of_cell));
        if let Some(times) = of_cell.times {
            measured.row(measured_fields(&of_cell.name, times));
        }
    }
    let is_timed = rows.iter().any(|row| row.times.is_some());
    html! {
        (counted)
        @if is_timed {
            (heading("choosing", "Time to select tokens and time saved"))
            p.small { (TIMES_LEGEND) }
            (measured)
        }
    }
}

fn counted_fields(of_cell: &CostRow<'_>) -> [Field; 7] {
    let cost = of_cell.cost;
    let one = |value: f64| Field::exact(fixed(value, 1), value);
    [
        Field::Head(of_cell.name.clone()),
        Field::Text(cost.schedule.text.clone()),
        one(cost.average_visual_tokens),
        one(cost.average_by_output),
        Field::exact(tokens(cost.kept), cost.kept),
        Field::exact(scaled(of_cell.macs()), of_cell.macs()),
        Field::percent(of_cell.share()),
    ]
}

fn measured_fields(name: &str, times: CellTimes) -> [Field; 5] {
    let ms = |value: f64| Field::exact(ms_signed(value), value);
    let pays = times
        .pays
        .map_or(Field::Empty, |pays| Field::Text(pays.word().to_owned()));
    [
        Field::Head(name.to_owned()),
        ms(times.first_token_ms),
        Field::or_dash(times.selection_ms, ms),
        Field::or_dash(times.saved_ms, ms),
        pays,
    ]
}
