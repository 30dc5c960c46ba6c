//! A measurement as tables, for terminals and for Markdown.

use std::fmt::Write;

use super::named::Pays;
use super::plan::Plan;
use super::spread::Spread;
use super::summary::{Efficiency, MeasuredSchedule};
use crate::format::{bytes, counted, fixed};

/// A table with title, columns and rows. The first column names the row, the others are figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTable {
    /// The title.
    pub title: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, each with as many cells as the header.
    pub rows: Vec<Vec<String>>,
}

/// Which spreads are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// p10–p90 of totals only, to fit 80 columns.
    Terminal,
    /// p10–p90 of all figures.
    Page,
}

/// All tables, each at most 80 columns wide.
pub fn tables(efficiency: &Efficiency) -> Vec<TextTable> {
    all(efficiency, Width::Terminal)
}

fn all(efficiency: &Efficiency, width: Width) -> Vec<TextTable> {
    let mut tables = vec![
        first_token(efficiency, width),
        speed_up(efficiency),
        throughput(efficiency, width),
        memory(efficiency),
    ];
    tables.extend(scoring(efficiency, width));
    tables.extend(selection_table(efficiency, width));
    tables
}

/// The measurement as a Markdown page, with what is needed to repeat it.
pub fn markdown(efficiency: &Efficiency) -> String {
    let plan = &efficiency.plan;
    let mut text = format!("# Efficiency of {}\n\n", plan.model);
    for line in describe(efficiency) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "* {line}");
    }
    for table in all(efficiency, Width::Page) {
        let _ = write!(text, "\n{}\n\n{}", table.title, table.markdown());
    }
    text
}

/// What was measured and how, one line each.
pub fn describe(efficiency: &Efficiency) -> Vec<String> {
    let plan = &efficiency.plan;
    let (settings, layout) = (&plan.settings, &plan.layout);
    let mut lines = vec![
        format!(
            "{} layers of width {}, K = {}; prompt of {} + {} + {} tokens (system, image, text); {}",
            plan.shape.num_layers,
            plan.shape.hidden_size,
            plan.prune_layer,
            layout.num_system,
            layout.num_image,
            layout.num_text,
            plan.input,
        ),
        format!(
            "{} in {} with {}; {}, end of sequence or not; {} after {} to warm up, in which all schedules took turns in rotating order",
            plan.device,
            plan.dtype,
            counted(plan.threads, "thread"),
            counted(settings.new_tokens, "new token"),
            counted(settings.repeats, "round"),
            settings.warmup,
        ),
        format!("{}; took {:.0} s", efficiency.machine.describe(), efficiency.seconds),
        "predicted: multiply-accumulates of the decoder with scoring, as `finepruner budget` counts them, without the vision tower".to_owned(),
        format!("peak memory: {}; {}", efficiency.memory_method, efficiency.device_memory),
    ];
    let widths = efficiency.schedules.iter();
    let widest = widths.map(|measured| measured.first_token_ms.relative_width());
    if let Some(widest) = widest.max_by(f64::total_cmp) {
        lines.push(format!(
            "p10 to p90 of a time to the first token: at most {} % of its median",
            fixed(100.0 * widest, 0)
        ));
    }
    for skipped in &efficiency.skipped_batches {
        lines.push(format!(
            "batches of {} were skipped: they need about {}, excluding weights; the memory limit is {}",
            skipped.batch,
            bytes(skipped.needed_bytes as f64),
            bytes(skipped.limit_bytes as f64),
        ));
    }
    let left_out = plan.skipped.iter().chain(&efficiency.failed_methods);
    for skipped in left_out {
        lines.push(format!(
            "{} was not measured: {}",
            skipped.cell, skipped.reason
        ));
    }
    if !efficiency.is_repeatable {
        lines.push(
            "rounds differed in the tokens that they kept or decoded: the device is not deterministic"
                .to_owned(),
        );
    }
    lines
}

fn first_token(efficiency: &Efficiency, width: Width) -> TextTable {
    let plan = &efficiency.plan;
    let (k, last) = (plan.prune_layer, plan.shape.num_layers);
    let rows = efficiency.schedules.iter().map(|measured| {
        let stage = |spread: &Spread| match width {
            Width::Terminal => ms(spread.median),
            Width::Page => with_spread(spread, ms),
        };
        vec![
            measured.label.clone(),
            stage(&measured.vision_ms),
            stage(&measured.prefix_ms),
            measured.scoring_ms.as_ref().map_or(dash(), stage),
            stage(&measured.suffix_ms),
            with_spread(&measured.first_token_ms, ms),
        ]
    });
    table(
        "Time to the first token in ms, median (p10–p90)",
        &[
            "tokens",
            "vision",
            &layers(1, k),
            "scoring",
            &layers(k + 1, last),
            "first token",
        ],
        rows.collect(),
    )
}

/// For example `layers 3–8`, or `layer 8` for a single one.
fn layers(first: usize, last: usize) -> String {
    if first == last {
        format!("layer {first}")
    } else {
        format!("layers {first}–{last}")
    }
}

fn speed_up(efficiency: &Efficiency) -> TextTable {
    let rows = efficiency.schedules().skip(1).map(|(schedule, measured)| {
        vec![
            measured.label.clone(),
            with_spread(&measured.prefill_speed_up, two),
            two(schedule.predicted.prefill_speed_up),
            format!("{} %", fixed(100.0 * measured.share_of_predicted, 0)),
            two(measured.first_token_speed_up.median),
            two(measured.total_speed_up.median),
        ]
    });
    table(
        "Times as fast as dense, round by round: the decoder's prefill beside the\nprediction from counted operations, the time to the first and to the last token",
        &[
            "tokens",
            "prefill",
            "predicted",
            "share",
            "first token",
            "last token",
        ],
        rows.collect(),
    )
}

fn throughput(efficiency: &Efficiency, width: Width) -> TextTable {
    let rows = efficiency.schedules.iter().map(|measured| {
        let rate = |spread: &Spread| match width {
            Width::Terminal => rate(spread.median),
            Width::Page => with_spread(spread, rate),
        };
        let single = measured.batches.first();
        let best = measured.best_batch();
        vec![
            measured.label.clone(),
            measured
                .decode_tokens_per_second
                .as_ref()
                .map_or(dash(), |s| with_spread(s, self::rate)),
            single.map_or(dash(), |single| rate(&single.samples_per_second)),
            best.map_or(dash(), |best| rate(&best.samples_per_second)),
            best.map_or(dash(), |best| best.batch.to_string()),
        ]
    });
    let tried = efficiency.schedules.first().map_or(Vec::new(), |dense| {
        dense.batches.iter().map(|b| b.batch.to_string()).collect()
    });
    table(
        &format!(
            "Throughput: decoded tokens/s after the first one, whole samples/s alone and in\nthe best batch of {}",
            tried.join(", ")
        ),
        &["tokens", "decode", "batch 1", "best", "its batch"],
        rows.collect(),
    )
}

fn memory(efficiency: &Efficiency) -> TextTable {
    let rows = efficiency.schedules().map(|(schedule, measured)| {
        let peak = measured.peak_memory;
        let in_use = peak.map(|peak| peak.peak_bytes.saturating_sub(peak.before_bytes));
        let shown = |value: Option<u64>| value.map_or(dash(), |value| bytes(value as f64));
        vec![
            measured.label.clone(),
            bytes(measured.kv_bytes as f64),
            bytes(schedule.predicted.kv_bytes as f64),
            format!(
                "{} %",
                fixed(100.0 * kv_share(schedule.predicted.kv_bytes, efficiency), 1)
            ),
            shown(peak.map(|peak| peak.peak_bytes)),
            shown(in_use),
        ]
    });
    table(
        "Memory: KV cache after the prefill, held and counted; the process at its\npeak, and the share of that from the run",
        &[
            "tokens",
            "KV held",
            "counted",
            "of dense",
            "process",
            "run alone",
        ],
        rows.collect(),
    )
}

fn kv_share(kv: u64, efficiency: &Efficiency) -> f64 {
    let dense = efficiency.plan.schedules.first();
    dense.map_or(f64::NAN, |dense| {
        kv as f64 / dense.predicted.kv_bytes as f64
    })
}

fn scoring(efficiency: &Efficiency, width: Width) -> Option<TextTable> {
    let plan = &efficiency.plan;
    let scored: Vec<usize> = (0..plan.schedules.len())
        .filter(|&index| plan.schedules[index].is_scored)
        .collect();
    let columns = scored
        .iter()
        .map(|&index| plan.schedules[index].label.clone());
    let mut header = vec!["strategy".to_owned(), "h".to_owned(), "rows".to_owned()];
    header.extend(columns.take(most_columns(width)));
    let rows = efficiency.scoring.iter().map(|scoring| {
        let spreads = scored
            .iter()
            .map(|&index| scoring.ms.get(index).copied().flatten());
        let figures = spreads.map(|spread| {
            spread.map_or(dash(), |spread| match width {
                Width::Terminal => ms(spread.median),
                Width::Page => with_spread(&spread, ms),
            })
        });
        [
            scoring.method.label(plan.shape.num_heads),
            scoring.method.num_selected_heads.to_string(),
            scoring.method.query_rows.to_string(),
        ]
        .into_iter()
        .chain(figures.take(most_columns(width)))
        .collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    (!scored.is_empty()).then(|| {
        let by = plan.methods.first();
        let by = by.map_or(String::new(), |by| by.label(plan.shape.num_heads));
        table(
            &format!("Scoring alone in ms; the runs above are scored by {by}"),
            &names,
            rows,
        )
    })
}

/// Time that selecting tokens takes and saves, for every method that was run whole and for every
/// strategy at every budget; `None` if nothing selects tokens.
pub fn selection(efficiency: &Efficiency) -> Option<TextTable> {
    selection_table(efficiency, Width::Page)
}

fn selection_table(efficiency: &Efficiency, width: Width) -> Option<TextTable> {
    let plan = &efficiency.plan;
    let shown = |spread: &Spread| match width {
        Width::Terminal => signed_ms(spread.median),
        Width::Page => with_spread(spread, signed_ms),
    };
    let mut rows = Vec::new();
    for (schedule, measured) in efficiency.schedules() {
        let position = plan
            .schedules
            .iter()
            .position(|s| s.label == schedule.label);
        let own = measured.scoring_ms.map_or(0.0, |scoring| scoring.median);
        let dense = efficiency.schedules.first();
        let saved = dense.map(|dense| dense.prefill_ms.median - measured.prefill_ms.median + own);
        let strategies = efficiency.scoring.iter().filter_map(|scoring| {
            let ms = scoring.ms.get(position?).copied().flatten()?;
            Some((scoring.method.label(plan.shape.num_heads), ms))
        });
        let most = match width {
            Width::Terminal => 1,
            Width::Page => usize::MAX,
        };
        for (name, ms) in strategies.take(most) {
            let Some(saved) = saved else { continue };
            rows.push(vec![
                format!("{name}/{}", measured.label),
                dash(),
                shown(&ms),
                signed_ms(saved),
                signed_ms(saved - ms.median),
                Pays::of(ms.median, saved).word().to_owned(),
            ]);
        }
    }
    for method in &efficiency.methods {
        rows.push(vec![
            method.cell.clone(),
            method.evidence_ms.as_ref().map_or(dash(), shown),
            shown(&method.selection_ms),
            shown(&method.saved_ms),
            shown(&method.net_ms),
            method.pays().word().to_owned(),
        ]);
    }
    let mut header = vec![
        "method",
        "tower read",
        "choosing",
        "saved",
        "net",
        "choosing tokens",
    ];
    if width == Width::Terminal {
        // The rest of the 80 columns is for names.
        header.remove(4);
        header.remove(1);
        for row in &mut rows {
            row.remove(4);
            row.remove(1);
        }
    }
    (!rows.is_empty()).then(|| {
        table(
            "Time to select tokens, with reads of the vision tower, beside the time saved in\nthe decoder's prefill, in ms",
            &header,
            rows,
        )
    })
}

/// Formats milliseconds that may be negative.
fn signed_ms(value: f64) -> String {
    if value < 0.0 {
        format!("−{}", ms(-value))
    } else {
        ms(value)
    }
}

/// Number of schedules that fit beside the longest name of a method; the rest are in the JSON.
const fn most_columns(width: Width) -> usize {
    match width {
        Width::Terminal => 3,
        Width::Page => usize::MAX,
    }
}

/// The summary table: one row per schedule, with the most important figures.
pub fn overview(efficiency: &Efficiency) -> TextTable {
    let rows = efficiency.schedules().map(|(schedule, measured)| {
        overview_row(
            schedule.predicted.prefill_speed_up,
            measured,
            &efficiency.plan,
        )
    });
    table(
        "",
        &[
            "image tokens",
            "first token, ms",
            "prefill, times as fast",
            "predicted",
            "share",
            "decoded tokens/s",
            "samples/s, best batch",
            "KV",
            "process at its peak",
        ],
        rows.collect(),
    )
}

fn overview_row(predicted: f64, measured: &MeasuredSchedule, plan: &Plan) -> Vec<String> {
    let is_dense = plan
        .schedules
        .first()
        .is_some_and(|dense| dense.label == measured.label);
    let pruned = |text: String| if is_dense { dash() } else { text };
    let best = measured.best_batch();
    vec![
        measured.label.clone(),
        with_spread(&measured.first_token_ms, ms),
        pruned(with_spread(&measured.prefill_speed_up, two)),
        pruned(two(predicted)),
        pruned(format!(
            "{} %",
            fixed(100.0 * measured.share_of_predicted, 0)
        )),
        measured
            .decode_tokens_per_second
            .as_ref()
            .map_or(dash(), |s| with_spread(s, rate)),
        best.map_or(dash(), |best| {
            format!("{} ({})", rate(best.samples_per_second.median), best.batch)
        }),
        bytes(measured.kv_bytes as f64),
        measured
            .peak_memory
            .map_or(dash(), |peak| bytes(peak.peak_bytes as f64)),
    ]
}

impl TextTable {
    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut row = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        row(&mut self.header.iter().cloned());
        let rule = |at: usize| if at == 0 { "---" } else { "---:" }.to_owned();
        row(&mut (0..self.header.len()).map(rule));
        for cells in &self.rows {
            row(&mut cells.iter().cloned());
        }
        text
    }
}

fn table(title: &str, header: &[&str], rows: Vec<Vec<String>>) -> TextTable {
    TextTable {
        title: title.to_owned(),
        header: header.iter().map(|name| (*name).to_owned()).collect(),
        rows,
    }
}

fn dash() -> String {
    "–".to_owned()
}

/// Milliseconds with three significant digits.
pub fn ms(value: f64) -> String {
    match value {
        v if v >= 100.0 => fixed(v, 0),
        v if v >= 10.0 => fixed(v, 1),
        v if v >= 1.0 => fixed(v, 2),
        v => fixed(v, 3),
    }
}

fn rate(value: f64) -> String {
    match value {
        v if v >= 100.0 => fixed(v, 0),
        v if v >= 10.0 => fixed(v, 1),
        v => fixed(v, 2),
    }
}

fn two(value: f64) -> String {
    fixed(value, 2)
}

/// For example `12.5 (12.1–13.0)`.
pub fn with_spread(spread: &Spread, format: fn(f64) -> String) -> String {
    format!(
        "{} ({}–{})",
        format(spread.median),
        format(spread.p10),
        format(spread.p90)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [1234.4, 123.4, 12.34, 1.234, 0.1234].map(ms),
            ["1234", "123", "12.3", "1.23", "0.123"]
        );
        let spread = Spread::of([1.0, 2.0, 3.0]).unwrap();
        assert_eq!(with_spread(&spread, two), "2.00 (1.20–2.80)");
    }

    #[test]
    fn a_bar_does_not_end_a_cell() {
        let table = table(
            "",
            &["a", "b"],
            vec![vec!["x|y".to_owned(), "1".to_owned()]],
        );
        assert_eq!(
            table.markdown(),
            "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"
        );
    }

    #[test]
    fn layers_by_their_numbers() {
        assert_eq!(layers(1, 2), "layers 1–2");
        assert_eq!(layers(8, 8), "layer 8");
    }
}
