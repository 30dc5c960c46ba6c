//! `finepruner budget --schedule`: the cost of dropping tokens at several layers.

use anyhow::Result;
use fp_scoring::{
    DecoderShape, MlpConvention, PrunedCost, ScheduleStages, TokenLayout, TokenSchedule,
};
use serde::Serialize;

use super::{BudgetArgs, CacheType, CostReport, MIB, layout, percent, rounded, shape, tera};
use crate::commands::{print_json, print_text};
use crate::table::table;

/// Meaning and cost of a schedule.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    shape: DecoderShape,
    layout: TokenLayout,
    schedule: &'a ScheduleStages,
    /// `[L]`.
    tokens_entering_each_layer: TokenSchedule,
    average_visual_tokens: Averages,
    num_query_rows: usize,
    dtype: CacheType,
    three_matrices: CostReport,
    two_matrices: CostReport,
}

/// The three ways in which the literature states a single number for a schedule.
#[derive(Serialize)]
struct Averages {
    /// Mean over layers of the tokens that enter: B.
    by_input: f64,
    /// Mean over layers of the tokens that leave.
    by_output: f64,
    /// Tokens after the last stage.
    after_last_stage: usize,
}

pub(super) fn run(args: &BudgetArgs, stages: &ScheduleStages) -> Result<()> {
    let report = Report::new(args, stages)?;
    if args.json {
        print_json(&report)
    } else {
        print_text(&text(&report))
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(args: &BudgetArgs, stages: &'a ScheduleStages) -> Result<Report<'a>> {
        let (shape, layout) = (shape(args)?, layout(args)?);
        let schedule = TokenSchedule::from_stages(shape.num_layers, layout.num_image, &stages.0)?;
        let (rows, bytes) = (args.num_query_rows, args.dtype.bytes());
        let cost = |mlp| {
            let cost = PrunedCost::new(&shape, &layout, &schedule, mlp, rows, bytes);
            CostReport::new(cost)
        };
        Ok(Report {
            shape,
            layout,
            schedule: stages,
            average_visual_tokens: Averages {
                by_input: schedule.average(),
                by_output: schedule.average_by_output(),
                after_last_stage: schedule.last(),
            },
            num_query_rows: rows,
            dtype: args.dtype,
            three_matrices: cost(MlpConvention::ThreeMatrices),
            two_matrices: cost(MlpConvention::TwoMatrices),
            tokens_entering_each_layer: schedule,
        })
    }
}

fn text(report: &Report<'_>) -> String {
    let averages = &report.average_visual_tokens;
    format!(
        "Schedule {} of {} image tokens over {} layers\n\n{}\n\n\
         Visual tokens, averaged over layers\n\
         {:>10}  entering a layer (B)\n\
         {:>10}  leaving a layer\n\
         {:>10}  after the last stage\n\n{}\n\n\
         MACs in 10¹² (T); the whole sequence includes scoring. 3ndm counts three MLP\n\
         matrices (what a LLaMA decoder has), 2ndm two (the first FastV paper).\n\
         FLOPs = 2 MACs. Shares are of the unpruned cost.",
        report.schedule,
        report.layout.num_image,
        report.shape.num_layers,
        layers(&report.tokens_entering_each_layer),
        rounded(averages.by_input, 2),
        rounded(averages.by_output, 2),
        averages.after_last_stage,
        costs(report),
    )
}

/// Ranges of layers that the same number of tokens enters.
fn layers(schedule: &TokenSchedule) -> String {
    let mut first = 1;
    let runs = schedule.entering().chunk_by(|a, b| a == b);
    let rows: Vec<Vec<String>> = runs
        .map(|run| {
            let last = first + run.len() - 1;
            let layers = match run.len() {
                1 => first.to_string(),
                _ => format!("{first}-{last}"),
            };
            first = last + 1;
            vec![layers, run[0].to_string()]
        })
        .collect();
    table(&["layers", "visual tokens entering"], &rows, &[1])
}

fn costs(report: &Report<'_>) -> String {
    let (three, two) = (report.three_matrices.cost, report.two_matrices.cost);
    let row = |name: &str, [three, two]: [f64; 2], [all_three, all_two]: [f64; 2]| {
        vec![
            name.to_owned(),
            tera(three),
            percent(three / all_three),
            tera(two),
            percent(two / all_two),
        ]
    };
    let rows = [
        row(
            "image tokens alone",
            [three.visual_macs, two.visual_macs],
            [three.unpruned_visual_macs, two.unpruned_visual_macs],
        ),
        row(
            "whole sequence",
            [three, two].map(|cost| cost.sequence_macs + cost.scoring_macs),
            [three, two].map(|cost| cost.unpruned_sequence_macs),
        ),
    ];
    let header = ["MACs of", "3ndm", "share", "2ndm", "share"];
    format!(
        "{}\n\nKV cache ({:?}): {} MiB, {} bytes; unpruned {} MiB",
        table(&header, &rows, &[1, 2, 3, 4]),
        report.dtype,
        rounded(three.kv_bytes as f64 / MIB, 4),
        three.kv_bytes,
        rounded(three.unpruned_kv_bytes as f64 / MIB, 4),
    )
}
