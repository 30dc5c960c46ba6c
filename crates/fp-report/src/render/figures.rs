//! Each benchmark's own figures as `figures.csv`, and as sections of `summary.md` and
//! `table.tex`.

use std::fmt::Write;

use fp_eval::format::{fixed, level, p_number, signed};

use super::Source;
use super::csv::{line, number};
use super::latex::escape;
use super::markdown::row;
use crate::analysis::{CellFigures, DatasetFigures, FigureComparison, Outcome, Reference};

/// References of the tests, with their names in columns.
const REFERENCES: [(Reference, &str); 2] = [
    (Reference::Baseline, "baseline"),
    (Reference::Vanilla, "vanilla"),
];

/// One line per dataset, cell and figure. Figures are in the benchmark's own unit; an undefined one
/// is empty, with the reason in `undefined`.
pub(crate) fn figures_csv(source: &Source<'_>) -> String {
    let mut header: Vec<String> = [
        "dataset",
        "benchmark",
        "cell",
        "figure",
        "is_headline",
        "value",
        "undefined",
        "n",
        "whole_units",
        "incomplete_units",
        "answers_left_out",
    ]
    .map(str::to_owned)
    .to_vec();
    for (_, name) in REFERENCES {
        for figure in [
            "difference",
            "low",
            "high",
            "p",
            "p_holm",
            "outcome",
            "untested",
        ] {
            header.push(format!("vs_{name}_{figure}"));
        }
    }
    let mut text = String::new();
    line(&mut text, &header);
    for dataset in &source.analysis.figures {
        for cell in &dataset.cells {
            for name in &dataset.names {
                line(&mut text, &fields(dataset, cell, name));
            }
        }
    }
    text
}

fn fields(dataset: &DatasetFigures, cell: &CellFigures, name: &String) -> Vec<String> {
    let figure = cell.figure(name);
    let mut fields = vec![
        dataset.dataset.clone(),
        dataset.benchmark.to_owned(),
        cell.cell.clone(),
        name.clone(),
        dataset.headlines.contains(name).to_string(),
        number(figure.and_then(|figure| figure.value)),
        figure
            .and_then(|figure| figure.undefined.clone())
            .unwrap_or_default(),
        cell.n.to_string(),
        cell.units.num_whole.to_string(),
        cell.units.num_incomplete.to_string(),
        cell.units.num_left_out.to_string(),
    ];
    for (reference, _) in REFERENCES {
        let untested = dataset.untested.iter().find(|untested| {
            (
                untested.reference,
                untested.figure.as_str(),
                untested.a.as_str(),
            ) == (reference, name, &cell.cell)
        });
        let because = untested.map_or(String::new(), |untested| untested.because.clone());
        match dataset.comparison(name, reference, &cell.cell) {
            None => {
                fields.extend(vec![String::new(); 6]);
                fields.push(because);
            }
            Some(c) => fields.extend([
                number(Some(c.difference)),
                number(c.interval.map(|ends| ends[0])),
                number(c.interval.map(|ends| ends[1])),
                number(Some(c.p)),
                number(Some(c.p_holm)),
                c.outcome.name().to_owned(),
                because,
            ]),
        }
    }
    fields
}

/// The section of `summary.md`; empty where every dataset's figure is the accuracy.
pub(super) fn section(source: &Source<'_>, text: &mut String) {
    if source.analysis.figures.is_empty() {
        return;
    }
    text.push_str("\n## What each benchmark reports\n");
    let baseline = source.cell_index.baseline_name();
    for dataset in &source.analysis.figures {
        let _ = writeln!(text, "\n### {}\n", dataset.title());
        for note in dataset.notes() {
            let _ = writeln!(text, "* {note}");
        }
        for line in dataset.undefined(&dataset.headlines) {
            let _ = writeln!(text, "* {line}");
        }
        let shown = shown(dataset);
        let Some(first) = shown.first() else { continue };
        let _ = writeln!(
            text,
            "\n▲ better, ▼ worse, ≈ equivalent to {baseline} at the same h and budget (Holm-corrected). The last columns: {first} against vanilla. figures.csv has every figure and test.\n",
        );
        let mut header = vec!["cell".to_owned(), "n".to_owned()];
        header.extend(shown.iter().map(|name| (*name).clone()));
        header.extend(["difference", "interval", "Holm p"].map(str::to_owned));
        row(text, header.iter().cloned());
        row(
            text,
            (0..header.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()),
        );
        for cell in &dataset.cells {
            let mut fields = vec![cell.cell.clone(), cell.n.to_string()];
            fields.extend(shown.iter().map(|name| with_mark(dataset, cell, name)));
            let against = dataset.comparison(first, Reference::Vanilla, &cell.cell);
            fields.extend(difference(against));
            row(text, fields);
        }
    }
}

/// Headline figures that some cell has.
pub(super) fn shown(dataset: &DatasetFigures) -> Vec<&String> {
    let has_value = |name: &&String| {
        let mut cells = dataset.cells.iter();
        cells.any(|cell| {
            cell.figure(name)
                .is_some_and(|figure| figure.value.is_some())
        })
    };
    dataset.headlines.iter().filter(has_value).collect()
}

fn with_mark(dataset: &DatasetFigures, cell: &CellFigures, name: &str) -> String {
    let value = cell.figure(name).and_then(|figure| figure.value);
    let comparison = dataset.comparison(name, Reference::Baseline, &cell.cell);
    let mark = comparison.map_or("", |comparison| comparison.outcome.mark());
    match value {
        Some(value) => format!("{}{mark}", fixed(value, 1)),
        None => "undefined".to_owned(),
    }
}

/// Difference, interval and p; the reason if there is no interval.
fn difference(comparison: Option<&FigureComparison>) -> [String; 3] {
    let Some(c) = comparison else {
        return Default::default();
    };
    let interval = match (c.interval, &c.no_interval) {
        (Some([low, high]), _) => format!("{} to {}", signed(low, 1), signed(high, 1)),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    };
    [signed(c.difference, 1), interval, p_number(c.p_holm)]
}

/// One table per benchmark that reports more than the accuracy.
pub(super) fn tables_tex(source: &Source<'_>, text: &mut String) {
    let confidence = source.run.spec.config.statistics.confidence;
    for dataset in &source.analysis.figures {
        let shown = shown(dataset);
        if shown.is_empty() {
            continue;
        }
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        add("\n\\begin{table}");
        add("\\centering");
        add(&format!(
            "\\begin{{tabular}}{{lr{}}}",
            "r".repeat(shown.len())
        ));
        add("\\toprule");
        let header: Vec<String> = shown.iter().map(|name| escape(name)).collect();
        add(&format!("cell & $n$ & {} \\\\", header.join(" & ")));
        add("\\midrule");
        for cell in &dataset.cells {
            let values = shown.iter().map(|name| {
                let value = cell.figure(name).and_then(|figure| figure.value);
                let against = dataset.comparison(name, Reference::Baseline, &cell.cell);
                let is_better = against.is_some_and(|c| c.outcome == Outcome::Better);
                let mark = if is_better { "$^\\dagger$" } else { "" };
                value.map_or("undefined".to_owned(), |value| {
                    format!("{}{mark}", fixed(value, 1))
                })
            });
            let values: Vec<String> = values.collect();
            add(&format!(
                "{} & {} & {} \\\\",
                escape(&cell.cell),
                cell.n,
                values.join(" & ")
            ));
        }
        add("\\bottomrule");
        add("\\end{tabular}");
        let mut said = dataset.notes();
        said.extend(dataset.undefined(&dataset.headlines));
        let said: String = said
            .iter()
            .map(|line| format!(" {}", escape(line)))
            .collect();
        add(&format!(
            "\\caption{{What {} reports on {}. $\\dagger$: better than {} at the same $h$ and budget ({}\\,\\% level, tests over images, Holm-corrected).{said}}}",
            escape(dataset.benchmark),
            escape(&dataset.dataset),
            escape(source.cell_index.baseline_name()),
            level(1.0 - confidence),
        ));
        add("\\end{table}");
    }
}
