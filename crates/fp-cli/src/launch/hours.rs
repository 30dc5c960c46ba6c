//! `finepruner launch hours`: estimated hours of a study by number of GPUs.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use fp_eval::study::{CostModel, Grid, ModelShape};
use fp_launch::hours::{Benchmark, Expected, Gpu, Plan, Rates, expected};
use fp_model::Preset;
use fp_scoring::MethodRegistry;

use crate::commands::study::overrides::Overrides;
use crate::commands::{print_json, print_text, print_verbatim};
use crate::table::table;

/// Estimate how many hours a grid of cells takes on a number of GPUs.
///
/// Seconds per image and question are estimated from the model's shape and a GPU's
/// data sheet, or taken with --measured from the stages of a run on the GPU in
/// question. The shards are then simulated as a launch assigns them, with start-up
/// and report. No two cells are assumed to keep the same tokens, which is the
/// most expensive case.
///
/// Examples:
///   finepruner launch hours --config configs/full_config.json
///   finepruner launch hours --config configs/full_config.json --gpus 1,4,16 \
///     --measured runs/pope-100 --size mine=5000/1200
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct HoursArgs {
    /// Study configuration, for its cells.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Shape of the model.
    #[arg(long, value_name = "SHAPE", default_value = "llava-1.5-7b")]
    shape: Preset,
    /// Numbers of GPUs, separated by commas.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,8,64"
    )]
    gpus: Vec<usize>,
    /// A benchmark's size in place of the ten known ones; may be repeated.
    #[arg(long, value_name = "NAME=QUESTIONS/IMAGES")]
    size: Vec<String>,
    /// Take seconds from this run instead of estimating them.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["tflops", "efficiency", "bandwidth", "rows", "answer_tokens"])]
    measured: Option<PathBuf>,
    /// TFLOPS of a GPU at 16 bits, by its data sheet.
    #[arg(long, value_name = "T", default_value_t = Gpu::A100.tflops)]
    tflops: f64,
    /// Share of those TFLOPS that a prefill reaches.
    #[arg(long, value_name = "SHARE", default_value_t = Gpu::A100.efficiency)]
    efficiency: f64,
    /// Memory bandwidth in GB/s, by its data sheet.
    #[arg(long, value_name = "GB/S", default_value_t = Gpu::A100.gigabytes_per_second)]
    bandwidth: f64,
    /// Rows that are decoded together.
    #[arg(long, value_name = "N", default_value_t = Gpu::A100.rows)]
    rows: f64,
    /// Mean number of tokens per answer.
    #[arg(long, value_name = "T", default_value_t = Gpu::A100.answer_tokens)]
    answer_tokens: f64,
    /// Shards that a GPU runs, one after the other.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards_per_gpu: usize,
    /// Seconds from a shard's start to its first answer.
    #[arg(long, value_name = "S", default_value_t = 180.0)]
    start_seconds: f64,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Box<Overrides>,
}

/// Seconds of merging and reporting per question and cell: 34 s for 18 900 questions in 102 cells,
/// measured on two cores.
const REPORT_SECONDS: f64 = 34.0 / (18_900.0 * 102.0);

impl HoursArgs {
    fn gpu(&self) -> Gpu {
        Gpu {
            tflops: self.tflops,
            efficiency: self.efficiency,
            gigabytes_per_second: self.bandwidth,
            rows: self.rows,
            answer_tokens: self.answer_tokens,
            ..Gpu::A100
        }
    }

    fn check(&self) -> Result<()> {
        for (flag, value) in [
            ("--tflops", self.tflops),
            ("--efficiency", self.efficiency),
            ("--bandwidth", self.bandwidth),
            ("--rows", self.rows),
            ("--answer-tokens", self.answer_tokens),
        ] {
            ensure!(
                value.is_finite() && value > 0.0,
                "{flag} is {value}; expected more than 0"
            );
        }
        let start = self.start_seconds;
        ensure!(
            start.is_finite() && start >= 0.0,
            "--start-seconds is {start}; expected 0 or more"
        );
        ensure!(
            self.efficiency <= 1.0,
            "--efficiency is {}; expected a share up to 1",
            self.efficiency
        );
        for (flag, value) in [
            ("--gpus", self.gpus.iter().min()),
            ("--shards-per-gpu", Some(&self.shards_per_gpu)),
        ] {
            ensure!(value != Some(&0), "{flag} is 0; expected at least 1");
        }
        let most = self.gpus.iter().max().copied().unwrap_or(1);
        ensure!(
            most.saturating_mul(self.shards_per_gpu) <= 1_000_000,
            "--gpus is {most}; expected at most a million shards"
        );
        Ok(())
    }
}

/// Runs the command.
pub(super) fn run(args: &HoursArgs) -> Result<()> {
    args.check()?;
    let config = args.overrides.read(&args.config)?;
    let model = args.shape.config();
    let shape = ModelShape::cut(&model, config.anyres, config.image_aspect);
    let grid = Grid::new(&config, &shape, &MethodRegistry::standard())?;
    let costs = CostModel::new(&config, &grid, &model);
    let tokens = shape.num_image_tokens.unwrap_or(model.tokens_per_square()) as f64;
    // One MAC per weight for a layer on one token; its attention to itself is negligible.
    let weights = 2.0 * costs.question_macs(tokens).decoded_token / costs.num_cells().max(1) as f64;
    let gpu = args.gpu();
    let rates = match &args.measured {
        Some(run) => Rates::measured(run, costs.num_cells())?,
        None => Rates::estimated(&costs, weights, tokens, &gpu),
    };
    let benchmarks = if args.size.is_empty() {
        Benchmark::ten()
    } else {
        args.size
            .iter()
            .map(|size| Benchmark::parse(size))
            .collect::<Result<Vec<_>, _>>()?
    };
    let plan = Plan {
        shards_per_gpu: args.shards_per_gpu,
        start: args.start_seconds,
        report_per_question: REPORT_SECONDS * costs.num_cells() as f64,
    };
    let rows = expected(&benchmarks, &rates, &plan, &args.gpus);
    if args.json {
        return print_json(&serde_json::json!({
            "shape": args.shape.to_string(),
            "num_cells": costs.num_cells(),
            "gpus": args.gpus,
            "gpu": args.measured.is_none().then_some(gpu),
            "measured": args.measured,
            "plan": plan,
            "seconds": rates,
            "expected": rows,
        }));
    }
    print_verbatim(&hours_table(&rows, &args.gpus))?;
    print_text(&basis(args, &rates, costs.num_cells()))
}

fn hours_table(rows: &[Expected], gpus: &[usize]) -> String {
    let mut head = vec![
        "benchmark".to_owned(),
        "images".to_owned(),
        "questions".to_owned(),
    ];
    head.push("GPU hours".to_owned());
    head.extend(gpus.iter().map(|count| match count {
        1 => "on 1".to_owned(),
        count => format!("on {count}"),
    }));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let counts = [row.num_images.to_string(), row.num_questions.to_string()];
            let hours = std::iter::once(row.gpu_hours).chain(row.hours.iter().copied());
            let hours = hours.map(|hours| format!("{hours:.2}"));
            std::iter::once(row.name.clone())
                .chain(counts)
                .chain(hours)
                .collect()
        })
        .collect();
    let right: Vec<usize> = (1..head.len()).collect();
    table(&head, &lines, &right)
}

/// The basis of the estimate.
fn basis(args: &HoursArgs, rates: &Rates, num_cells: usize) -> String {
    let seconds = format!(
        "{:.4} s per image and {:.4} s per question in {num_cells} cells",
        rates.per_image, rates.per_question
    );
    let from = match &args.measured {
        Some(run) => format!("measured in {}", run.display()),
        None => format!(
            "estimated, not measured: {} at {:.0} % of {} TFLOPS, decoding {} tokens per answer, \
             {} rows together, at {:.0} % of {} GB/s",
            args.shape,
            100.0 * args.efficiency,
            args.tflops,
            args.answer_tokens,
            args.rows,
            100.0 * Gpu::A100.bandwidth_efficiency,
            args.bandwidth,
        ),
    };
    format!(
        "\nHours from the first start to the report, by simulation of {} per GPU with {} s to start. \
         {seconds}, {from}.\n",
        match args.shards_per_gpu {
            1 => "one shard".to_owned(),
            several => format!("{several} shards"),
        },
        args.start_seconds,
    )
}
