//! `summary.md`: the verdict and the main tables, ready to paste.

use std::fmt::Write;

use fp_eval::format::{interval_points, level, p_number, p_value, percent, signed_points};

use super::Source;
use super::beside::note;
use crate::analysis::{Comparison, Reference};

/// A summary to paste into an issue or a paper's notes.
pub(crate) fn summary_md(source: &Source<'_>) -> String {
    let (analysis, run) = (source.analysis, source.run);
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "# Study {}: verdict\n",
        run.spec.config.study.name().to_uppercase()
    );
    if let Some((sentence, named)) = analysis.verdict.failed.split_first() {
        let _ = writeln!(text, "**{sentence}**\n");
        for line in named {
            let _ = writeln!(text, "* {line}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "**{}**\n", analysis.verdict.headline);
    for sentence in analysis.verdict.details() {
        let _ = writeln!(text, "* {sentence}");
    }
    if !analysis.verdict.cautions.is_empty() {
        text.push_str("\nCaveats:\n\n");
        for caution in &analysis.verdict.cautions {
            let _ = writeln!(text, "* {caution}");
        }
    }
    accuracy(source, &mut text);
    super::datasets::section(source, &mut text);
    super::figures::section(source, &mut text);
    super::published::section(source, &mut text);
    controls(source, &mut text);
    static_heads(source, &mut text);
    super::methods::section(source, &mut text);
    super::efficiency::section(source, &mut text);
    super::difficult::difficult(source, &mut text);
    super::difficult::frequent_answers(source, &mut text);
    hypotheses(source, &mut text);
    provenance(source, &mut text);
    harmless(&text)
}

/// Escapes text that foreign names and answers could inject: HTML tags, links, remote pictures, and
/// control characters for terminals.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        match letter {
            // Before any other character it is "less than".
            '<' if next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?') => {
                shown.push_str("&lt;");
            }
            ']' if next == '(' => shown.push_str("]\\"),
            letter if letter.is_control() && letter != '\n' => shown.push('\u{fffd}'),
            letter => shown.push(letter),
        }
    }
    shown
}

/// A name as inline code; nothing in it can end the code or its line.
fn code(name: &str) -> String {
    format!("`{}`", name.replace('`', "'").replace('\n', " "))
}

fn accuracy(source: &Source<'_>, text: &mut String) {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let baseline = cell_index.baseline_name();
    let confidence = level(source.run.spec.config.statistics.confidence);
    let _ = writeln!(text, "\n## Accuracy in %\n");
    let _ = writeln!(
        text,
        "{}; ± is half of the clustered {confidence} % interval; ▲ better, ▼ worse, ≈ equivalent to {baseline} at the same h and budget.\n",
        analysis.samples.text(),
    );
    row(
        text,
        ["strategy", "h"]
            .into_iter()
            .map(str::to_owned)
            .chain(cell_index.budgets.iter().cloned()),
    );
    row(
        text,
        (0..2 + cell_index.budgets.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()),
    );
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        for (count, heads) in cell_index.head_counts.iter().enumerate() {
            let cells = (0..cell_index.budgets.len()).map(|budget| {
                let cell = cell_index.cell(strategy, count, budget);
                cell.map_or("–".to_owned(), |cell| with_mark(source, cell))
            });
            row(
                text,
                [entry.name.clone(), heads.to_string()]
                    .into_iter()
                    .chain(cells),
            );
        }
    }
}

fn with_mark(source: &Source<'_>, cell: usize) -> String {
    let cell = &source.analysis.cells[cell];
    let comparison = source.analysis.comparison(Reference::Baseline, &cell.id);
    let mark = comparison.map_or("", |comparison| comparison.outcome.mark());
    format!(
        "{}{mark}{}",
        estimate(&cell.accuracy),
        note(cell.vanilla_on_same)
    )
}

pub(super) fn estimate(estimate: &crate::analysis::Estimate) -> String {
    match (estimate.mean, estimate.interval) {
        (Some(mean), Some([low, high])) => {
            format!("{} ± {}", percent(mean), percent(0.5 * (high - low)))
        }
        (Some(mean), None) => percent(mean),
        (None, _) => "–".to_owned(),
    }
}

fn static_heads(source: &Source<'_>, text: &mut String) {
    let Some(tests) = &source.analysis.static_heads else {
        return;
    };
    let _ = writeln!(text, "\n## Heads chosen per sample against static heads\n");
    let _ = writeln!(text, "{}\n", tests.sentence());
    row(
        text,
        [
            "strategy",
            "difference in points",
            "interval",
            "Holm p",
            "outcome",
        ]
        .map(str::to_owned),
    );
    row(
        text,
        ["---", "---:", "---:", "---:", "---"].map(str::to_owned),
    );
    for c in &tests.comparisons {
        row(
            text,
            [
                c.a.clone(),
                signed_points(c.difference),
                interval_points(c.interval, c.confidence),
                p_number(c.p_holm),
                c.outcome.name().to_owned(),
            ],
        );
    }
}

fn controls(source: &Source<'_>, text: &mut String) {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    text.push_str("\n## Controls, accuracy in %\n\n");
    row(
        text,
        ["control".to_owned()]
            .into_iter()
            .chain(cell_index.budgets.iter().cloned()),
    );
    row(
        text,
        (0..1 + cell_index.budgets.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned()),
    );
    for (name, cell) in [
        ("vanilla (no pruning)", cell_index.vanilla),
        (
            "drop_all (no image token after layer K)",
            cell_index.drop_all,
        ),
        ("no_image (text alone)", cell_index.no_image),
    ] {
        if let Some(cell) = cell {
            let value = estimate(&analysis.cells[cell].accuracy);
            row(
                text,
                [name.to_owned()]
                    .into_iter()
                    .chain(cell_index.budgets.iter().map(|_| value.clone())),
            );
        }
    }
    for (name, cells) in [
        ("all_heads (FastV)", &cell_index.all_heads),
        ("uniform_grid", &cell_index.uniform_grid),
        ("oracle (ground-truth boxes)", &cell_index.oracle),
    ] {
        if cells.iter().any(Option::is_some) {
            let values = cells.iter().map(|cell| {
                cell.map_or("–".to_owned(), |cell| {
                    let cell = &analysis.cells[cell];
                    estimate(&cell.accuracy) + &note(cell.vanilla_on_same)
                })
            });
            row(text, [name.to_owned()].into_iter().chain(values));
        }
    }
    for other in &cell_index.others {
        let values = (0..cell_index.budgets.len()).map(|budget| match other.at(budget) {
            Some(cell) => {
                let cell = &analysis.cells[cell];
                estimate(&cell.accuracy) + &note(cell.vanilla_on_same)
            }
            None => "–".to_owned(),
        });
        row(text, [other.label.clone()].into_iter().chain(values));
    }
    if !analysis.random.is_empty() {
        let values = cell_index.budgets.iter().map(|budget| {
            let random = analysis
                .random
                .iter()
                .find(|random| random.budget == *budget);
            random.map_or("–".to_owned(), |random| {
                let spread = random.seed_deviation.map_or(String::new(), |deviation| {
                    format!(" (seeds ± {})", percent(deviation))
                });
                let beside = note(random.vanilla_on_same);
                format!("{}{spread}{beside}", estimate(&random.accuracy))
            })
        });
        row(text, ["random".to_owned()].into_iter().chain(values));
    }
}

fn hypotheses(source: &Source<'_>, text: &mut String) {
    if source.analysis.hypotheses.is_empty() {
        return;
    }
    text.push_str("\n## Registered hypotheses\n\n");
    for column in [["about", "hypothesis", "answer", "because"], ["---"; 4]] {
        row(text, column.into_iter().map(str::to_owned));
    }
    for hypothesis in &source.analysis.hypotheses {
        let about = hypothesis
            .strategy
            .clone()
            .unwrap_or_else(|| "several".to_owned());
        row(
            text,
            [
                about,
                hypothesis.hypothesis.clone(),
                format!("**{}**", hypothesis.answer.name()),
                hypothesis.because.clone(),
            ],
        );
    }
    if let Some(best) = &source.analysis.best {
        text.push_str("\n## Best of many, on the other half of the images\n\n");
        for c in &best.confirmation {
            let _ = writeln!(text, "* {} {}", c.a, against(c));
        }
        for untested in &best.untested {
            let _ = writeln!(text, "* no test: {}", untested.because);
        }
        for cell in &best.per_budget {
            for c in [&cell.against_all_heads, &cell.confirmation]
                .into_iter()
                .flatten()
            {
                let _ = writeln!(text, "* at {}: {} {}", cell.budget, cell.cell, against(c));
            }
            if cell.is_baseline {
                let _ = writeln!(
                    text,
                    "* at {}: {} is the baseline itself",
                    cell.budget, cell.cell
                );
            }
        }
    }
}

/// The reference of a test and the result.
fn against(c: &Comparison) -> String {
    format!(
        "against {}: {} points, {}, {}: {}",
        c.b,
        signed_points(c.difference),
        interval_points(c.interval, c.confidence),
        p_value("Holm p", c.p_holm),
        outcome(c)
    )
}

/// An outcome's name, with the reason if it is undecided.
fn outcome(comparison: &Comparison) -> String {
    let name = comparison.outcome.name();
    match &comparison.undecided {
        Some(undecided) => format!("{name}. {}", undecided.because),
        None => name.to_owned(),
    }
}

fn provenance(source: &Source<'_>, text: &mut String) {
    let spec = &source.run.spec;
    text.push_str("\n## What was run\n\n");
    let _ = writeln!(
        text,
        "* model {}, SHA-256 {}, {}",
        code(&spec.config.model),
        code(&spec.model.sha256),
        spec.model.dtype
    );
    if let Some(clip) = &spec.clip {
        let path = clip.path.display().to_string();
        let _ = writeln!(
            text,
            "* CLIP model {}, SHA-256 {}",
            code(&path),
            code(&clip.sha256)
        );
    }
    for dataset in &spec.datasets {
        let _ = writeln!(
            text,
            "* data {}, {} samples, SHA-256 {}",
            code(&format!("{} {}", dataset.name, dataset.split)),
            dataset.num_samples,
            code(&dataset.sha256)
        );
    }
    for range in &source.analysis.image_ranges {
        let _ = writeln!(text, "* {}", range.sentence());
    }
    for sentence in [super::crops(spec), super::masked_padding(spec)]
        .into_iter()
        .flatten()
    {
        let _ = writeln!(text, "* {sentence}");
    }
    let _ = writeln!(
        text,
        "* K = {}, {} normalisation, configuration SHA-256 `{}`, finepruner {}",
        spec.config.prune_layer,
        spec.config.normalization,
        spec.config_sha256,
        spec.environment.version
    );
}

/// Writes a row of a table; bars inside cells are escaped, since they would end the cell.
pub(super) fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    text.push('|');
    for cell in cells {
        let _ = write!(text, " {} |", cell.replace('|', "\\|").replace('\n', " "));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{code, harmless};

    #[test]
    fn names_are_no_markup() {
        for (text, expected) in [
            ("<img src=x onerror=y>", "&lt;img src=x onerror=y>"),
            ("[a](javascript:b)", "[a]\\(javascript:b)"),
            (
                "![](https://x.example/p.png)",
                "![]\\(https://x.example/p.png)",
            ),
            ("\u{1b}[31mred", "\u{fffd}[31mred"),
            (
                "p < 0.001, </b><!-- <?a",
                "p < 0.001, &lt;/b>&lt;!-- &lt;?a",
            ),
            ("[0.1, 0.2] **bold**\n| a |", "[0.1, 0.2] **bold**\n| a |"),
        ] {
            assert_eq!(harmless(text), expected);
        }
        assert_eq!(code("a` <b>\n# c"), "`a' <b> # c`");
    }
}
