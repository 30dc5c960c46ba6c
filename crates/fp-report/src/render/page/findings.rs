//! The verdict, the best of many, and the hypotheses.

use fp_eval::format::{counted, interval_points, p_number, p_value, percent, signed_points};
use maud::{Markup, html};

use super::markup::{Field, Section, Table, section};
use crate::analysis::{Answer, Comparison, Hypothesis};
use crate::render::Source;

pub(super) fn header(source: &Source<'_>) -> Section {
    let verdict = &source.analysis.verdict;
    let what = match source.run.spec.config.study {
        fp_eval::study::config::StudyKind::A => {
            "Study A: which attention heads best identify the visual tokens to keep"
        }
        fp_eval::study::config::StudyKind::B => {
            "Study B: which query tokens best identify the visual tokens to keep"
        }
        fp_eval::study::config::StudyKind::Full => {
            "Full evaluation: head and query strategies together"
        }
        fp_eval::study::config::StudyKind::Methods => {
            "Pruning methods: which of them keep the visual tokens that answers need"
        }
    };
    let id = "verdict";
    let markup = html! {
        header id=(id) {
            p.kind { (what) }
            @if let Some((sentence, named)) = verdict.failed.split_first() {
                aside.failed {
                    h2 { (sentence) }
                    ul {
                        @for line in named { li { (line) } }
                    }
                }
            }
            h1 { (verdict.headline) }
            ul.findings {
                @for sentence in verdict.details() {
                    li { (sentence) }
                }
            }
            @if !verdict.cautions.is_empty() {
                aside {
                    h2 { "To be kept in mind" }
                    ul {
                        @for caution in &verdict.cautions {
                            li { (caution) }
                        }
                    }
                }
            }
            dl.facts {
                @for (name, value) in facts(source) {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
        "\n"
    };
    Section { id, markup }
}

fn facts(source: &Source<'_>) -> Vec<(&'static str, String)> {
    let analysis = source.analysis;
    let samples = &analysis.samples;
    let of_all = |answered: usize, all: usize| {
        if answered == all {
            all.to_string()
        } else {
            format!("{answered} of {all}")
        }
    };
    let mut facts = vec![
        (
            "questions answered",
            of_all(samples.answered, samples.recorded),
        ),
        ("images", of_all(samples.answered_images, samples.images)),
    ];
    if !samples.failed.is_empty() {
        facts.push(("failed", samples.failed.len().to_string()));
    }
    let accuracy = |cell: Option<usize>| cell.and_then(|cell| analysis.cells[cell].accuracy.mean);
    for (name, cell) in [
        ("no pruning", source.cell_index.vanilla),
        ("all dropped after K", source.cell_index.drop_all),
        ("text alone", source.cell_index.no_image),
    ] {
        if let Some(mean) = accuracy(cell) {
            facts.push((name, format!("{} %", percent(mean))));
        }
    }
    if let Some(text_only) = analysis.text_only.as_ref().filter(|t| t.num_questions > 0) {
        facts.push(("text-only, apart", text_only.num_questions.to_string()));
    }
    facts.push(("cells", analysis.cells.len().to_string()));
    facts
}

pub(super) fn best(source: &Source<'_>) -> Option<Section> {
    let best = source.analysis.best.as_ref()?;
    let lead = format!(
        "The largest of many means is too large by chance. So each strategy's h, the baseline's too, and the best strategy are chosen on {} and tested on {} about other images.",
        counted(best.num_select, "question"),
        counted(best.num_confirm, "other")
    );
    let mut table = comparison_table("Tests on the other half");
    for comparison in &best.confirmation {
        table.row(comparison_fields("all budgets, best h", comparison));
    }
    for cell in &best.per_budget {
        let tests = [&cell.against_all_heads, &cell.confirmation];
        for comparison in tests.into_iter().flatten() {
            table.row(comparison_fields(&cell.budget, comparison));
        }
        if cell.is_baseline {
            table.row([
                Field::Head(cell.budget.clone()),
                Field::Text(cell.cell.clone()),
                Field::Text("the baseline itself".to_owned()),
            ]);
        }
    }
    let mut ranking = Table::new("Ranking", "plain", &["strategy", "mean %"]);
    for (name, mean) in &best.ranking {
        ranking.row([Field::Head(name.clone()), Field::percent(*mean)]);
    }
    let title = "The best of many, tested on the other half";
    let content = html! {
        (table)
        details {
            summary { "Ranking on the questions to choose by" }
            (ranking)
        }
    };
    Some(section("best", title, &lead, content))
}

pub(super) fn comparison_table(label: &str) -> Table {
    Table::new(
        label,
        "plain words",
        &[
            "at", "tested", "against", "points", "interval", "Holm p", "outcome",
        ],
    )
}

pub(super) fn comparison_fields(at: &str, c: &Comparison) -> Vec<Field> {
    vec![
        Field::Head(at.to_owned()),
        Field::Text(c.a.clone()),
        Field::Text(c.b.clone()),
        Field::exact(signed_points(c.difference), 100.0 * c.difference),
        Field::Number(format!(
            "{} to {}",
            signed_points(c.interval[0]),
            signed_points(c.interval[1])
        )),
        Field::exact(p_number(c.p_holm), c.p_holm),
        Field::Text(c.outcome.name().to_owned()),
    ]
}

pub(super) fn hypotheses(source: &Source<'_>) -> Option<Section> {
    let hypotheses = &source.analysis.hypotheses;
    if hypotheses.is_empty() {
        return None;
    }
    let content = html! {
        div.cards {
            @for hypothesis in hypotheses { (card(hypothesis)) }
        }
    };
    Some(section(
        "hypotheses",
        "The registered hypotheses",
        "Written down before any run; each answered by its test.",
        content,
    ))
}

fn card(hypothesis: &Hypothesis) -> Markup {
    let sign = match hypothesis.answer {
        Answer::Supported => "✓",
        Answer::Refuted => "✗",
        Answer::Undecided => "?",
        Answer::NotTested => "–",
    };
    let answer = hypothesis.answer.name();
    let about = hypothesis
        .strategy
        .as_deref()
        .unwrap_or("several strategies");
    html! {
        article class={ "card " (answer.replace(' ', "-")) } {
            p.badge { span aria-hidden="true" { (sign) } " " (answer) }
            h3 { (about) }
            p { (hypothesis.hypothesis) }
            p.because { (hypothesis.because) }
            details {
                summary { "Test" }
                p { (hypothesis.test) }
                @if !hypothesis.comparisons.is_empty() {
                    ul {
                        @for c in &hypothesis.comparisons {
                            li { (tested(c)) }
                        }
                    }
                }
            }
        }
    }
}

fn tested(c: &Comparison) -> String {
    format!(
        "{} against {}: {} points, {}, {} of {}",
        c.a,
        c.b,
        signed_points(c.difference),
        interval_points(c.interval, c.confidence),
        p_value("Holm p", c.p_holm),
        counted(c.family_size, "test")
    )
}
