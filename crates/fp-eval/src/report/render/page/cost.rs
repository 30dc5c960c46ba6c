//! Where time goes, measured and counted.

use super::chart;
use super::markup::{Field, Table, escape, put, section};
use super::roles::{ascending_budgets, middle_heads, protagonists};
use crate::report::format::{bytes, fixed, percent, scaled};
use crate::report::measured::MeasuredTimes;
use crate::report::render::Source;

pub(super) fn cost(source: &Source<'_>, out: &mut String) {
    section(
        out,
        "cost",
        "Where time goes",
        "Measured over the whole run, all cells together, and counted for each budget.",
    );
    match source.times {
        Some(times) => measured(times, out),
        None => out.push_str("<p>This run holds no timings.</p>\n"),
    }
    counted(source, out);
    out.push_str("</section>\n");
}

fn measured(times: &MeasuredTimes, out: &mut String) {
    let stages = times.stages.named();
    let parts: Vec<(String, f64)> = stages
        .iter()
        .filter(|(name, seconds)| *name != "preprocess" && *seconds > 0.0)
        .map(|(name, seconds)| ((*name).to_owned(), *seconds))
        .collect();
    out.push_str("<div class=\"pair\"><figure>");
    out.push_str(&chart::stacked_bar("Share of the time by stage", &parts));
    out.push_str("<figcaption><ul class=\"parts\">");
    for (index, (name, seconds)) in parts.iter().enumerate() {
        put!(
            out,
            "<li><span class=\"swatch c{index}\" aria-hidden=\"true\"></span>{} {} s ({} %)</li>",
            escape(stage_text(name)),
            fixed(*seconds, 2),
            percent(seconds / times.total)
        );
    }
    out.push_str("</ul></figcaption></figure><div>");
    let mut table = Table::new("Measured", "plain", &["measured", "value"]);
    let mut row = |name: &str, value: String| {
        table.row([Field::Head(name.to_owned()), Field::Number(value)]);
    };
    row("seconds of all stages", fixed(times.total, 1));
    if let (Some(samples), Some(answers)) = (times.samples_per_second, times.answers_per_second) {
        row("samples per second by the clock", fixed(samples, 2));
        row("answers per second by the clock", fixed(answers, 1));
    }
    row(
        "samples per second of one thread",
        fixed(times.samples_per_thread_second, 2),
    );
    row(
        "answers per second of one thread",
        fixed(times.answers_per_thread_second, 1),
    );
    row("answers", times.num_answers.to_string());
    row(
        "runs after equal kept sets were joined",
        times.num_runs.to_string(),
    );
    if let Some(rate) = times.decoded_per_second {
        row("tokens decoded per second", fixed(rate, 1));
    }
    row(
        "most bytes of keys and values",
        bytes(times.peak_kv_bytes as f64),
    );
    row(
        "reading, decoding and preprocessing images, beside",
        format!("{} s", fixed(times.stages.preprocess, 2)),
    );
    if let Some(loading) = &times.loading {
        row(
            "waiting for images",
            format!("{} s", fixed(loading.waiting, 2)),
        );
    }
    out.push_str(&table.finish());
    out.push_str("</div></div>\n");
    if let Some(verdict) = times.loading.and_then(|loading| loading.verdict()) {
        put!(out, "<p>{}</p>\n", escape(&verdict));
    }
}

fn stage_text(name: &str) -> &str {
    match name {
        "vision" => "vision tower and projector",
        "prefix" => "layers 1 to K",
        "scoring" => "scoring and selection",
        "suffix" => "layers after K",
        "decode" => "decoding",
        "diversity" => "measuring diversity",
        other => other,
    }
}

fn counted(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    let mut table = Table::new(
        "Counted cost of a prefill",
        "plain",
        &[
            "cell",
            "mean tokens per layer",
            "MACs, image",
            "FLOPs, image",
            "MACs, prompt",
            "FLOPs, prompt",
            "of unpruned",
            "of it scoring",
            "MACs, two-matrix MLP",
            "keys and values",
        ],
    );
    let mut cells: Vec<(String, Option<usize>)> = vec![("vanilla".to_owned(), roster.vanilla)];
    let (_, baseline) = protagonists(source);
    let count = middle_heads(source);
    for budget in ascending_budgets(source).into_iter().rev() {
        let label = &roster.budgets[budget];
        let strategy = baseline.filter(|_| !roster.head_counts.is_empty());
        let studied = strategy.and_then(|strategy| roster.cell(strategy, count, budget));
        cells.push((format!("any strategy, {label}"), studied));
        cells.push((
            format!("random, {label}"),
            roster.random[budget].first().copied(),
        ));
    }
    for (name, cell) in cells {
        let Some(cell) = cell else { continue };
        let cost = &analysis.costs[cell];
        let [three, two] = cost.macs.as_slice() else {
            continue;
        };
        table.row([
            Field::Head(name),
            Field::Number(fixed(cost.average_visual_tokens, 1)),
            Field::Number(scaled(three.visual)),
            Field::Number(scaled(three.visual_flops())),
            Field::Number(scaled(three.sequence)),
            Field::Number(scaled(three.sequence_flops())),
            Field::Number(format!("{} %", percent(three.sequence_ratio()))),
            Field::Number(scaled(three.scoring)),
            Field::Number(scaled(two.sequence)),
            Field::Number(bytes(cost.kv_bytes)),
        ]);
    }
    out.push_str("<h3>Counted, per prefill</h3>");
    out.push_str(&table.finish());
    out.push_str("<p class=\"small\">Multiply-accumulates per layer on n tokens: 4nd² + 2n²d + 3ndm; one is two FLOPs; the prompt's include scoring. The first FastV paper counts two MLP matrices, 2ndm. Head strategies cost the same, query strategies as many rows as they look from.</p>\n");
}
