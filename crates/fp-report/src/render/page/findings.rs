//! The verdict, the best of many, and the hypotheses.

use super::markup::{Field, Table, escape, put, section};
use crate::analysis::{Answer, Comparison};
use crate::render::Source;
use fp_eval::format::{counted, interval_points, p_number, p_value, percent, signed_points};

pub(super) fn header(source: &Source<'_>, out: &mut String) {
    let (analysis, spec) = (source.analysis, &source.run.spec);
    let what = match spec.config.study {
        fp_eval::study::config::StudyKind::A => {
            "Study A: which attention heads best identify the visual tokens to keep"
        }
        fp_eval::study::config::StudyKind::B => {
            "Study B: which query tokens best identify the visual tokens to keep"
        }
        fp_eval::study::config::StudyKind::Full => {
            "Full evaluation: head and query strategies together"
        }
    };
    put!(
        out,
        "<header id=\"verdict\"><p class=\"kind\">{}</p>\n",
        escape(what)
    );
    put!(
        out,
        "<h1>{}</h1>\n<ul class=\"findings\">",
        escape(&analysis.verdict.headline)
    );
    for sentence in analysis.verdict.details() {
        put!(out, "<li>{}</li>", escape(sentence));
    }
    out.push_str("</ul>\n");
    if !analysis.verdict.cautions.is_empty() {
        out.push_str("<aside><h2>To be kept in mind</h2><ul>");
        for caution in &analysis.verdict.cautions {
            put!(out, "<li>{}</li>", escape(caution));
        }
        out.push_str("</ul></aside>\n");
    }
    out.push_str("<dl class=\"facts\">");
    let mut fact = |name: &str, value: String| {
        put!(
            out,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            escape(name),
            escape(&value)
        );
    };
    let samples = &analysis.samples;
    let of_all = |answered: usize, all: usize| match answered == all {
        true => all.to_string(),
        false => format!("{answered} of {all}"),
    };
    fact(
        "questions answered",
        of_all(samples.answered, samples.recorded),
    );
    fact("images", of_all(samples.answered_images, samples.images));
    if !samples.failed.is_empty() {
        fact("failed", samples.failed.len().to_string());
    }
    let accuracy = |cell: Option<usize>| cell.and_then(|cell| analysis.cells[cell].accuracy.mean);
    for (name, cell) in [
        ("no pruning", source.roster.vanilla),
        ("all dropped after K", source.roster.drop_all),
        ("text alone", source.roster.no_image),
    ] {
        if let Some(mean) = accuracy(cell) {
            fact(name, format!("{} %", percent(mean)));
        }
    }
    fact("cells", analysis.cells.len().to_string());
    out.push_str("</dl></header>\n");
}

pub(super) fn best(source: &Source<'_>, out: &mut String) {
    let Some(best) = &source.analysis.best else {
        return;
    };
    section(
        out,
        "best",
        "The best of many, tested on the other half",
        &format!(
            "The largest of many means is too large by chance. So each strategy's h, the baseline's too, and the best strategy are chosen on {} and tested on {} about other images.",
            counted(best.num_select, "question"),
            counted(best.num_confirm, "other")
        ),
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
    out.push_str(&table.finish());
    out.push_str("<details><summary>Ranking on the questions to choose by</summary>");
    let mut ranking = Table::new("Ranking", "plain", &["strategy", "mean %"]);
    for (name, mean) in &best.ranking {
        ranking.row([Field::Head(name.clone()), Field::percent(*mean)]);
    }
    out.push_str(&ranking.finish());
    out.push_str("</details></section>\n");
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

pub(super) fn hypotheses(source: &Source<'_>, out: &mut String) {
    if source.analysis.hypotheses.is_empty() {
        return;
    }
    section(
        out,
        "hypotheses",
        "The registered hypotheses",
        "Written down before any run; each answered by its test.",
    );
    out.push_str("<div class=\"cards\">\n");
    for hypothesis in &source.analysis.hypotheses {
        let sign = match hypothesis.answer {
            Answer::Supported => "✓",
            Answer::Refuted => "✗",
            Answer::Undecided => "?",
            Answer::NotTested => "–",
        };
        let class = hypothesis.answer.name().replace(' ', "-");
        let about = hypothesis
            .strategy
            .as_deref()
            .unwrap_or("several strategies");
        put!(
            out,
            "<article class=\"card {class}\"><p class=\"badge\"><span aria-hidden=\"true\">{sign}</span> {}</p><h3>{}</h3><p>{}</p><p class=\"because\">{}</p><details><summary>Test</summary><p>{}</p>",
            hypothesis.answer.name(),
            escape(about),
            escape(&hypothesis.hypothesis),
            escape(&hypothesis.because),
            escape(&hypothesis.test)
        );
        if !hypothesis.comparisons.is_empty() {
            out.push_str("<ul>");
            for c in &hypothesis.comparisons {
                put!(
                    out,
                    "<li>{} against {}: {} points, {}, {} of {}</li>",
                    escape(&c.a),
                    escape(&c.b),
                    signed_points(c.difference),
                    interval_points(c.interval, c.confidence),
                    p_value("Holm p", c.p_holm),
                    counted(c.family_size, "test")
                );
            }
            out.push_str("</ul>");
        }
        out.push_str("</details></article>\n");
    }
    out.push_str("</div></section>\n");
}
