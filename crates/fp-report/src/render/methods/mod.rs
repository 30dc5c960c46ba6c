//! Methods in `summary.md`: the schedule and cost of each, and tests of whole methods against FastV
//! and chance.

mod rows;
mod times;

use std::fmt::Write;

use fp_eval::efficiency::ms;
use fp_eval::format::{counted, fixed, interval_points, p_number, percent, scaled, signed_points};

use super::Source;
use super::markdown::row;
use crate::analysis::{Comparison, MethodEntry, MethodTests, samples_of_tests};

pub(super) use rows::{CostRow, cost_rows};
pub(super) use times::{CellTimes, cell_times};

/// Explanation of the cost table's columns.
pub(super) const COST_LEGEND: &str = "Schedule: image tokens, then those kept after each stage, such as `576→300@2→200@6` after layers 2 and 6; `@vision` and `@embeddings` are before layer 1. B is the mean over layers of the visual tokens that enter a layer; by output, as SparseVLM counts, of those that leave it. MACs are of the whole prompt's prefill in the decoder, the scoring of query strategies included; the cost of other methods' selection is measured, not counted.";

/// Explanation of the measured columns.
pub(super) const TIMES_LEGEND: &str = "Measured, medians on one sample: the time to select tokens (with the reads of the vision tower where they can be separated) and the time that it saves in the decoder's prefill.";

/// Explanation of the tests of methods.
pub(super) const TESTS_LEGEND: &str = "Paired by question, in points of accuracy, with p by Holm's correction over the methods of a budget; undecided: neither shown to differ nor shown to be within the margin. The number of tokens kept doesn't account for the layers before they are dropped; B, the mean over layers of the visual tokens that enter a layer, does.";

/// The sections of `summary.md`.
pub(super) fn section(source: &Source<'_>, text: &mut String) {
    for tests in &source.analysis.methods {
        tests_table(source, tests, text);
    }
    costs_table(source, text);
}

/// The note on methods with a schedule of their own.
pub(super) fn own_schedule_note(tests: &MethodTests) -> Option<String> {
    let own = tests.methods.iter().filter(|entry| entry.has_own_schedule);
    let names: Vec<String> = own
        .map(|entry| {
            format!(
                "{} (B = {})",
                entry.method,
                fixed(entry.average_visual_tokens, 1)
            )
        })
        .collect();
    let beside = tests.reference_entry().map_or(String::new(), |reference| {
        format!(" (B = {})", fixed(reference.average_visual_tokens, 1))
    });
    (!names.is_empty()).then(|| {
        format!(
            "With their own schedule instead of the budget, compared where the reference's layer average{beside} is nearest: {}.",
            names.join(", ")
        )
    })
}

/// The number of seeds of chance, in words.
pub(super) fn random_text(tests: &MethodTests) -> String {
    match tests.num_random_seeds {
        0 => "random".to_owned(),
        seeds => format!("random (mean of {})", counted(seeds, "seed")),
    }
}

fn tests_table(source: &Source<'_>, tests: &MethodTests, text: &mut String) {
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "\n## Methods at {}, against {} and chance\n",
        tests.budget, tests.reference_name
    );
    let on = [tests.against_reference(), tests.against_random()];
    let on: Vec<String> = on
        .iter()
        .zip([tests.reference_name.clone(), random_text(tests)])
        .filter(|(tests, _)| !tests.is_empty())
        .map(|(tests, name)| format!("against {name} on {}", samples_of_tests(tests)))
        .collect();
    let _ = writeln!(text, "{TESTS_LEGEND} Tests {}.\n", on.join("; "));
    if let Some(note) = own_schedule_note(tests) {
        let _ = writeln!(text, "{note}\n");
    }
    let against = |name: &str| format!("against {name}");
    let random = random_text(tests);
    row(
        text,
        [
            "method".to_owned(),
            "B".to_owned(),
            "accuracy, %".to_owned(),
            against(&tests.reference_name),
            "Holm p".to_owned(),
            "verdict".to_owned(),
            against(&random),
            "Holm p".to_owned(),
            "verdict".to_owned(),
        ],
    );
    row(
        text,
        [
            "---", "---:", "---:", "---:", "---:", "---", "---:", "---:", "---",
        ]
        .map(str::to_owned),
    );
    for entry in &tests.methods {
        let cells = [
            method_name(tests, entry),
            fixed(entry.average_visual_tokens, 1),
            accuracy(source, entry),
        ]
        .into_iter();
        let [reference, random] = [&entry.against_reference, &entry.against_random];
        row(
            text,
            cells
                .chain(fields(reference.as_ref()))
                .chain(fields(random.as_ref())),
        );
    }
    for untested in &tests.untested {
        let _ = writeln!(text, "\nNot tested: {}", untested.because);
    }
}

/// The method's name, the reference marked as such.
pub(super) fn method_name(tests: &MethodTests, entry: &MethodEntry) -> String {
    if Some(&entry.cell) == tests.reference.as_ref() {
        format!("{} (the reference)", entry.method)
    } else {
        entry.method.clone()
    }
}

fn accuracy(source: &Source<'_>, entry: &MethodEntry) -> String {
    let cell = source.analysis.cell(&entry.cell);
    cell.map_or("–".to_owned(), |cell| {
        super::markdown::estimate(&cell.accuracy)
    })
}

fn fields(test: Option<&Comparison>) -> [String; 3] {
    match test {
        None => ["–", "–", "–"].map(str::to_owned),
        Some(test) => [
            format!(
                "{}, {}",
                signed_points(test.difference),
                interval_points(test.interval, test.confidence)
            ),
            p_number(test.p_holm),
            test.outcome.of_method().to_owned(),
        ],
    }
}

fn costs_table(source: &Source<'_>, text: &mut String) {
    let rows = cost_rows(source);
    let is_timed = rows.iter().any(|row| row.times.is_some());
    let _ = writeln!(
        text,
        "\n## Tokens and cost of every method\n\n{COST_LEGEND}\n"
    );
    if is_timed {
        let _ = writeln!(text, "{TIMES_LEGEND}\n");
    }
    let mut header = vec![
        "cell",
        "schedule",
        "B",
        "B by output",
        "kept",
        "MACs",
        "of vanilla, %",
    ];
    if is_timed {
        header.extend([
            "first token, ms",
            "choosing, ms",
            "prefill saved, ms",
            "verdict",
        ]);
    }
    row(text, header.iter().map(|&name| name.to_owned()));
    let is_text = |at: usize| at < 2 || at == 10;
    row(
        text,
        (0..header.len()).map(|at| if is_text(at) { "---" } else { "---:" }.to_owned()),
    );
    for of_cell in rows {
        let cost = of_cell.cost;
        let counted = [
            of_cell.name.clone(),
            cost.schedule.text.clone(),
            fixed(cost.average_visual_tokens, 1),
            fixed(cost.average_by_output, 1),
            tokens(cost.kept),
            scaled(of_cell.macs()),
            percent(of_cell.share()),
        ];
        let times = of_cell.times.filter(|_| is_timed);
        let value = |value: Option<f64>| value.map_or("–".to_owned(), ms_signed);
        let measured = is_timed.then(|| {
            [
                value(times.map(|times| times.first_token_ms)),
                value(times.and_then(|times| times.selection_ms)),
                value(times.and_then(|times| times.saved_ms)),
                times
                    .and_then(|times| times.pays)
                    .map_or("–".to_owned(), |pays| pays.word().to_owned()),
            ]
        });
        row(
            text,
            counted.into_iter().chain(measured.into_iter().flatten()),
        );
    }
}

/// A mean number of tokens, without decimals if it is whole.
pub(super) fn tokens(mean: f64) -> String {
    fixed(mean, if mean.fract() == 0.0 { 0 } else { 1 })
}

/// Milliseconds with a sign.
pub(super) fn ms_signed(value: f64) -> String {
    if value < 0.0 {
        format!("−{}", ms(-value))
    } else {
        ms(value)
    }
}
