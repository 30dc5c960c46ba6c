//! `finepruner budget`: the number of tokens kept, and the cost.

mod schedule;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::builder::RangedU64ValueParser;
use fp_eval::study::model_folder;
use fp_model::{ModelConfig, Preset};
use fp_scoring::{
    DecoderShape, MlpConvention, PrunedCost, ScheduleStages, TokenBudget, TokenLayout,
    TokenSchedule, error_text,
};
use serde::Serialize;

use super::{print_json, print_text};
use crate::arguments::{name_flag, parse_average, parse_kept, parse_share};
use crate::table::table;

/// Larger sizes are typing errors, and their products overflow.
const MAX_SIZE: u64 = 100_000_000;

const GIGA: f64 = 1e9;
const TERA: f64 = 1e12;
const MIB: f64 = (1024 * 1024) as f64;

/// Head dimension where neither it nor the number of heads is given.
const USUAL_HEAD_DIM: usize = 128;

/// N where no model sets it: one square of LLaVA-1.5.
const USUAL_IMAGE_TOKENS: usize = 576;

/// A model named by `--model`.
#[derive(Debug, Clone)]
struct KnownModel {
    shape: DecoderShape,
    /// `None` where it depends on the image.
    num_image_tokens: Option<usize>,
}

impl KnownModel {
    /// Resolves a published shape, dummy weights or a checkpoint's folder.
    fn parse(name: &str) -> Result<KnownModel, String> {
        let published = match DecoderShape::preset(name) {
            Ok(shape) => {
                return Ok(KnownModel {
                    shape,
                    num_image_tokens: Some(USUAL_IMAGE_TOKENS),
                });
            }
            Err(error) => error,
        };
        let config = match name.strip_prefix("random:") {
            Some(preset) => {
                let preset: Preset = preset.parse().map_err(|error| error_text(&error))?;
                preset.config()
            }
            None => {
                let folder = model_folder(Path::new(name)).map_err(|error| error_text(&error))?;
                if !folder.join("config.json").is_file() {
                    return Err(format!(
                        "{published}, random:NAME, embedded, or the folder of a checkpoint with \
                         its config.json"
                    ));
                }
                ModelConfig::from_dir(&folder).map_err(|error| error_text(&error))?
            }
        };
        Ok(KnownModel {
            shape: config.text.decoder_shape(),
            num_image_tokens: config.fixed_num_tokens(),
        })
    }
}

/// Show what a budget means: R, layer average, MACs, FLOPs and KV cache.
///
/// A budget is the layer average of visual tokens (192, 128, 64 in most papers), the
/// number kept after layer K, or the share kept; these are three different numbers.
///
/// Example: finepruner budget --model llava-1.5-13b --prune-layer 3
#[derive(Debug, clap::Args)]
pub(crate) struct BudgetArgs {
    /// A published shape, llava-1.5-7b or llava-1.5-13b, a checkpoint's folder, embedded for the
    /// shipped model, or random:NAME [default: llava-1.5-7b, unless sizes are given].
    #[arg(long, value_parser = KnownModel::parse, conflicts_with_all = ["num_layers",
        "hidden_size", "intermediate_size", "num_heads", "num_kv_heads", "head_dim"])]
    model: Option<KnownModel>,

    /// L, the number of decoder layers, for a custom shape.
    #[arg(long, value_name = "L", value_parser = size(1),
        requires_all = ["hidden_size", "intermediate_size"])]
    num_layers: Option<usize>,

    /// d, the hidden size.
    #[arg(long, value_name = "D", value_parser = size(1), requires = "num_layers")]
    hidden_size: Option<usize>,

    /// m, the intermediate size of the MLP.
    #[arg(long, value_name = "M", value_parser = size(1), requires = "num_layers")]
    intermediate_size: Option<usize>,

    /// Query heads [default: hidden size / head dimension].
    #[arg(long, value_name = "H", value_parser = size(1), requires = "num_layers")]
    num_heads: Option<usize>,

    /// KV heads [default: same as query heads].
    #[arg(long, value_name = "H", value_parser = size(1), requires = "num_layers")]
    num_kv_heads: Option<usize>,

    /// Head dimension [default: hidden size / heads, or 128 without --num-heads].
    #[arg(long, value_name = "D", value_parser = size(1), requires = "num_layers")]
    head_dim: Option<usize>,

    /// N, the number of image tokens [default: what the model makes of an image, 576 of a
    /// published shape and of sizes that are given].
    #[arg(long, value_name = "N", value_parser = size(1))]
    num_image_tokens: Option<usize>,

    /// Tokens before the image.
    #[arg(long, value_name = "T", default_value = "35", value_parser = size(0))]
    num_system_tokens: usize,

    /// Tokens after the image.
    #[arg(long, value_name = "T", default_value = "29", value_parser = size(0))]
    num_text_tokens: usize,

    /// K, counted from 1: tokens are pruned after this layer.
    #[arg(long, value_name = "K", default_value_t = 2)]
    prune_layer: usize,

    /// Budgets as layer averages of visual tokens, B [default: 192, 128 and 64 of 576].
    #[arg(long, value_name = "B,…", value_delimiter = ',',
        value_parser = parse_average, group = "budget")]
    average_visual_tokens: Vec<f64>,

    /// Budgets as tokens kept after layer K, R.
    #[arg(
        long,
        visible_alias = "kept",
        value_name = "R,…",
        value_delimiter = ',',
        value_parser = parse_kept,
        group = "budget"
    )]
    keep: Vec<usize>,

    /// Budgets as the share kept after layer K, R/N.
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',',
        value_parser = parse_share, group = "budget")]
    retention: Vec<f64>,

    /// Visual tokens by layer instead of one budget: LAYER:TOKENS for each stage,
    /// such as 3:309,7:204,16:113 (309 tokens enter the layers after the third, …).
    #[arg(long, value_name = "LAYER:TOKENS,…", group = "budget")]
    schedule: Option<ScheduleStages>,

    /// Number of query rows that scoring reads.
    #[arg(long, value_name = "Q", default_value = "1", value_parser = size(1))]
    num_query_rows: usize,

    /// Data type of the KV cache.
    #[arg(long, default_value = "f16")]
    dtype: CacheType,

    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum CacheType {
    F32,
    F16,
    Bf16,
}

impl CacheType {
    const fn bytes(self) -> usize {
        match self {
            CacheType::F32 => 4,
            CacheType::F16 | CacheType::Bf16 => 2,
        }
    }
}

fn size(least: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    // `MAX_SIZE` fits into `usize` on every platform.
    RangedU64ValueParser::<u64>::new()
        .range(least..=MAX_SIZE)
        .map(|size| size as usize)
}

#[derive(Serialize)]
struct Report {
    shape: DecoderShape,
    layout: TokenLayout,
    prune_layer: usize,
    num_query_rows: usize,
    dtype: CacheType,
    budgets: Vec<BudgetReport>,
}

#[derive(Serialize)]
struct BudgetReport {
    budget: TokenBudget,
    kept: usize,
    average_visual_tokens: f64,
    three_matrices: CostReport,
    two_matrices: CostReport,
}

#[derive(Serialize)]
struct CostReport {
    #[serde(flatten)]
    cost: PrunedCost,
    visual_flops: f64,
    visual_ratio: f64,
    /// FLOPs of the sequence and their ratio, with scoring.
    sequence_flops: f64,
    sequence_ratio: f64,
}

impl CostReport {
    fn new(cost: PrunedCost) -> Self {
        CostReport {
            visual_flops: cost.visual_flops(),
            visual_ratio: cost.visual_ratio(),
            sequence_flops: cost.sequence_flops(),
            sequence_ratio: cost.sequence_ratio(),
            cost,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &BudgetArgs) -> Result<()> {
    if let Some(stages) = &args.schedule {
        return schedule::run(args, stages);
    }
    let report = Report::new(args)?;
    if args.json {
        print_json(&report)
    } else {
        print_text(&report.text())
    }
}

/// The meaning of a budget or a schedule, as JSON.
pub(crate) fn value(args: &BudgetArgs) -> Result<serde_json::Value> {
    Ok(match &args.schedule {
        Some(stages) => serde_json::to_value(schedule::Report::new(args, stages)?)?,
        None => serde_json::to_value(Report::new(args)?)?,
    })
}

/// The published shape, or one with the given sizes.
fn shape(args: &BudgetArgs) -> Result<DecoderShape> {
    let Some(num_layers) = args.num_layers else {
        let known = args.model.as_ref().map(|model| model.shape);
        return Ok(known.unwrap_or(DecoderShape::LLAVA_1_5_7B));
    };
    let hidden_size = args.hidden_size.context("--hidden-size is needed")?;
    let (num_heads, head_dim) = match (args.num_heads, args.head_dim) {
        (Some(num_heads), Some(head_dim)) => (num_heads, head_dim),
        (Some(num_heads), None) => (num_heads, part(hidden_size, num_heads, "--head-dim")?),
        (None, head_dim) => {
            let head_dim = head_dim.unwrap_or(USUAL_HEAD_DIM);
            (part(hidden_size, head_dim, "--num-heads")?, head_dim)
        }
    };
    let num_kv_heads = args.num_kv_heads.unwrap_or(num_heads);
    ensure!(
        num_heads.is_multiple_of(num_kv_heads),
        "--num-kv-heads {num_kv_heads} doesn't divide the {num_heads} query heads"
    );
    Ok(DecoderShape {
        num_layers,
        hidden_size,
        intermediate_size: args
            .intermediate_size
            .context("--intermediate-size is needed")?,
        num_heads,
        num_kv_heads,
        head_dim,
    })
}

/// hidden size / `parts`, an error if it isn't whole.
fn part(hidden_size: usize, parts: usize, flag: &str) -> Result<usize> {
    ensure!(
        hidden_size.is_multiple_of(parts),
        "hidden size {hidden_size} is not a multiple of {parts}; give {flag}"
    );
    Ok(hidden_size / parts)
}

fn layout(args: &BudgetArgs) -> Result<TokenLayout> {
    let known = match &args.model {
        Some(model) => model.num_image_tokens,
        None => Some(USUAL_IMAGE_TOKENS),
    };
    Ok(TokenLayout {
        num_system: args.num_system_tokens,
        num_image: args.num_image_tokens.or(known).context(
            "how many tokens an image becomes depends on its size in this model; say how many \
             with --num-image-tokens N",
        )?,
        num_text: args.num_text_tokens,
    })
}

/// The requested budgets, or the published ones scaled to N.
fn budgets(args: &BudgetArgs, layout: &TokenLayout) -> Vec<TokenBudget> {
    let averages = args
        .average_visual_tokens
        .iter()
        .map(|&b| TokenBudget::AverageVisualTokens(b));
    let kept = args.keep.iter().map(|&r| TokenBudget::Kept(r));
    let shares = args
        .retention
        .iter()
        .map(|&share| TokenBudget::Retention(share));
    let asked: Vec<TokenBudget> = averages.chain(kept).chain(shares).collect();
    if asked.is_empty() {
        let n = layout.num_image as f64;
        return [3.0, 4.5, 9.0]
            .map(|part| TokenBudget::AverageVisualTokens(n / part))
            .to_vec();
    }
    asked
}

impl Report {
    fn new(args: &BudgetArgs) -> Result<Self> {
        let shape = shape(args)?;
        let layout = layout(args)?;
        let (k, rows, bytes) = (args.prune_layer, args.num_query_rows, args.dtype.bytes());
        let mut reports = Vec::new();
        for budget in budgets(args, &layout) {
            let kept = budget
                .kept(layout.num_image, shape.num_layers, k)
                .map_err(|error| name_flag(&error, &[budget]))?;
            let schedule = TokenSchedule::one_stage(shape.num_layers, layout.num_image, k, kept)?;
            let cost = |mlp| PrunedCost::new(&shape, &layout, &schedule, mlp, rows, bytes);
            let three = cost(MlpConvention::ThreeMatrices);
            reports.push(BudgetReport {
                budget,
                kept,
                average_visual_tokens: three.average_visual_tokens,
                three_matrices: CostReport::new(three),
                two_matrices: CostReport::new(cost(MlpConvention::TwoMatrices)),
            });
        }
        Ok(Report {
            shape,
            layout,
            prune_layer: k,
            num_query_rows: rows,
            dtype: args.dtype,
            budgets: reports,
        })
    }

    fn text(&self) -> String {
        let (shape, layout) = (&self.shape, &self.layout);
        format!(
            "{} layers, hidden size {}, MLP size {}, {} heads ({} KV heads); {} image tokens \
             pruned after layer {}, {} other tokens\n\n\
             Image tokens only, in 10¹² (T)\n{}\n\n\
             Whole sequence, scoring of {} query row(s) included, in T; scoring in 10⁹ (G); \
             KV cache in {:?}\n{}\n\n\
             3ndm counts three MLP matrices (as a LLaMA decoder has), 2ndm two (as the first \
             FastV paper counts). FLOPs = 2 MACs. Shares are of the unpruned cost.",
            shape.num_layers,
            shape.hidden_size,
            shape.intermediate_size,
            shape.num_heads,
            shape.num_kv_heads,
            layout.num_image,
            self.prune_layer,
            layout.sequence_len() - layout.num_image,
            self.visual_table(),
            self.num_query_rows,
            self.dtype,
            self.sequence_table(),
        )
    }

    fn visual_table(&self) -> String {
        let header = [
            "budget",
            "R",
            "B",
            "MACs 3ndm",
            "FLOPs",
            "share",
            "MACs 2ndm",
            "FLOPs",
            "share",
        ];
        let mut rows = Vec::new();
        if let Some(first) = self.budgets.first() {
            let n = self.layout.num_image.to_string();
            let mut row = vec!["unpruned".to_owned(), n.clone(), n];
            for report in [&first.three_matrices, &first.two_matrices] {
                let macs = report.cost.unpruned_visual_macs;
                row.extend([tera(macs), tera(2.0 * macs), percent(1.0)]);
            }
            rows.push(row);
        }
        for budget in &self.budgets {
            let average = rounded(budget.average_visual_tokens, 2);
            let mut row = vec![name(&budget.budget), budget.kept.to_string(), average];
            for report in [&budget.three_matrices, &budget.two_matrices] {
                row.extend([
                    tera(report.cost.visual_macs),
                    tera(report.visual_flops),
                    percent(report.visual_ratio),
                ]);
            }
            rows.push(row);
        }
        table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7, 8])
    }

    fn sequence_table(&self) -> String {
        let header = [
            "budget",
            "MACs 3ndm",
            "FLOPs",
            "share",
            "MACs 2ndm",
            "share",
            "scoring",
            "KV MiB",
            "KV bytes",
        ];
        let line = |name: String, macs: [String; 5], scoring: f64, kv: u128| {
            let mut row = vec![name];
            row.extend(macs);
            row.push(format!("{:.3}", scoring / GIGA));
            row.extend([rounded(kv as f64 / MIB, 4), kv.to_string()]);
            row
        };
        let mut rows = Vec::new();
        for (index, budget) in self.budgets.iter().enumerate() {
            let (three, two) = (&budget.three_matrices, &budget.two_matrices);
            if index == 0 {
                let (macs, plain) = (
                    three.cost.unpruned_sequence_macs,
                    two.cost.unpruned_sequence_macs,
                );
                let all = || percent(1.0);
                let cells = [tera(macs), tera(2.0 * macs), all(), tera(plain), all()];
                rows.push(line(
                    "unpruned".to_owned(),
                    cells,
                    0.0,
                    three.cost.unpruned_kv_bytes,
                ));
            }
            let macs =
                |report: &CostReport| tera(report.cost.sequence_macs + report.cost.scoring_macs);
            let cells = [
                macs(three),
                tera(three.sequence_flops),
                percent(three.sequence_ratio),
                macs(two),
                percent(two.sequence_ratio),
            ];
            let (scoring, kv) = (three.cost.scoring_macs, three.cost.kv_bytes);
            rows.push(line(name(&budget.budget), cells, scoring, kv));
        }
        table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7, 8])
    }
}

fn name(budget: &TokenBudget) -> String {
    match budget {
        TokenBudget::AverageVisualTokens(average) => format!("B {}", short(*average)),
        TokenBudget::Kept(kept) => format!("R {kept}"),
        TokenBudget::Retention(share) => format!("R/N {}", short(*share)),
    }
}

/// At most four decimals, without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn tera(count: f64) -> String {
    format!("{:.3}", count / TERA)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// Rounds halves away from zero, as published tables do; these values are often exact halves, which
/// formatting alone rounds to even.
fn rounded(value: f64, decimals: usize) -> String {
    let scale = 10_f64.powi(decimals as i32);
    format!("{:.decimals$}", (value * scale).round() / scale)
}
