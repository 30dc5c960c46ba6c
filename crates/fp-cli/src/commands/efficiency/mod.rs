//! `finepruner efficiency`: measured savings of pruning.

mod memory;
mod record;
mod show;

pub(super) use memory::ChildMeter;
pub(super) use show::say_progress;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::DType;
use clap::Args;
use fp_eval::efficiency::{
    EFFICIENCY_FILE, Efficiency, EfficiencyError, EfficiencySettings, InputSource,
    PUBLISHED_RETENTIONS, Prepared, Request, measure, prepare_run,
};
use fp_model::ModelError;
use fp_scoring::{HeadCount, HeadStrategy, Normalization, QueryStrategy, TokenBudget};

use super::print_json;
use crate::arguments::{
    OneOrAll, name_flag, parse_average, parse_kept, parse_num_heads, parse_share,
};
use record::Record;

/// Measure what pruning saves: time by stage, throughput and memory.
///
/// Measured times are shown beside the prediction from counted operations. The
/// dense model and every budget run alone, from the pixels of one image to a fixed
/// number of new tokens, with nothing shared between them, in turns, so that a
/// machine that slows down affects all of them alike. Budgets that keep the same
/// number of tokens are measured once, because they cost the same; strategies
/// differ in their scoring, which is timed for each. Other methods (--methods;
/// with --run all that the study compares) run as a whole, and the time that they
/// take to select tokens is shown beside what they save in the prefill. Times are
/// medians with the 10th and 90th percentile. Speed-ups are relative to the dense
/// run of the same round, and are shown beside the speed-up predicted from
/// multiply-accumulates (finepruner budget), with the share of it that is reached.
///
/// Other work on the machine widens the percentiles; the load average is recorded.
///
/// Examples:
///   finepruner efficiency
///   finepruner efficiency --model random:bench-1024 --keep 166,98,30 --threads 2
///   finepruner efficiency --head-selection-strategy all \
///     --query-selection-strategy all
///   finepruner efficiency --model llava-1.5-7b-hf --image cat.png \
///     --question "What is this?" --device cuda --dtype f16 --output measured
///   finepruner efficiency --methods pool,downsample
///   finepruner efficiency --run runs/ablation_a_config
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct EfficiencyArgs {
    /// The shipped model (embedded), a checkpoint's folder, or dummy weights of a known
    /// shape, such as random:bench-1024.
    #[arg(long, value_name = "MODEL", default_value = "embedded")]
    model: String,
    /// Folder of the vision tower, for checkpoints of the original layout.
    #[arg(long, value_name = "DIR")]
    vision_tower: Option<PathBuf>,
    /// The image [default: the first one of the embedded benchmark; random pixels for
    /// dummy weights].
    #[arg(long, value_name = "FILE", requires = "question")]
    image: Option<PathBuf>,
    /// The question about it.
    #[arg(long, value_name = "TEXT", requires = "image")]
    question: Option<String>,
    /// Measure the model, the budgets and the strategies of a study's run, and write
    /// efficiency.json into its folder, for its report.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "vision_tower", "image",
        "question", "average_visual_tokens", "keep", "retention", "head_selection_strategy",
        "query_selection_strategy", "methods", "num_selected_heads", "normalize", "prune_layer",
        "device", "dtype", "allow_degenerate", "output"])]
    run: Option<PathBuf>,

    /// Budgets as layer averages of visual tokens, B [default without any budget: the
    /// shares of 166, 98 and 30 of 576].
    #[arg(long, value_name = "B,…", value_delimiter = ',',
        value_parser = parse_average, group = "budget")]
    average_visual_tokens: Vec<f64>,
    /// Budgets as image tokens kept after layer K, R.
    #[arg(long, value_name = "R,…", value_delimiter = ',',
        value_parser = parse_kept, group = "budget")]
    keep: Vec<usize>,
    /// Budgets as shares of image tokens kept, R/N.
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',',
        value_parser = parse_share, group = "budget")]
    retention: Vec<f64>,
    /// Head strategies, separated by commas, or all. The first one selects the tokens;
    /// scoring is timed for all of them [default: sum].
    #[arg(long, value_name = "S,…|all", value_delimiter = ',')]
    head_selection_strategy: Vec<OneOrAll<HeadStrategy>>,
    /// Query strategies, separated by commas, or all [default: last_token].
    #[arg(long, value_name = "Q,…|all", value_delimiter = ',')]
    query_selection_strategy: Vec<OneOrAll<QueryStrategy>>,
    /// Registered methods, separated by commas, each run as a whole at every budget: the
    /// time to select tokens is shown beside the time saved.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    methods: Vec<String>,
    /// h, the number of top-scoring heads to average, or all [default: half of them].
    #[arg(long, value_name = "h|all", value_parser = parse_num_heads)]
    num_selected_heads: Option<OneOrAll<usize>>,
    /// How a head's row becomes a distribution: l1 or softmax [default: l1].
    #[arg(long, value_name = "l1|softmax")]
    normalize: Option<Normalization>,
    /// K, counted from 1: tokens are dropped after this layer.
    #[arg(long, value_name = "K", default_value_t = 2)]
    prune_layer: usize,
    /// Continue even if the query rows have no attention to the image.
    #[arg(long)]
    allow_degenerate: bool,

    /// Tokens that every run decodes, end of sequence or not [default: 32].
    #[arg(long, value_name = "T")]
    new_tokens: Option<usize>,
    /// Measured rounds; everything runs once in each [default: 10].
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// Warm-up rounds, which are not measured [default: 2].
    #[arg(long, value_name = "N")]
    warmup: Option<usize>,
    /// Largest batch size; 1, 2, 4, … are tried as far as memory allows [default: 8].
    #[arg(long, value_name = "N")]
    max_batch: Option<usize>,
    /// Don't measure peak memory. It takes a process of its own for every budget, which
    /// reads the weights again.
    #[arg(long)]
    no_peak_memory: bool,
    /// Compute threads [default: all].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Where to compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Precision: f32, f16 or bf16 [default: cpu f32, else the checkpoint's].
    #[arg(long, value_parser = parse_dtype)]
    dtype: Option<DType>,

    /// Write efficiency.json and efficiency.md into this folder.
    #[arg(long, visible_alias = "record", value_name = "DIR")]
    output: Option<PathBuf>,
    /// Name the files efficiency-NAME.json and efficiency-NAME.md.
    #[arg(long, value_name = "NAME", requires = "output")]
    name: Option<String>,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
    /// Run this schedule of the plan once and print what memory it took: what the command
    /// starts itself with.
    #[arg(long, value_name = "INDEX", hide = true)]
    peak_of: Option<usize>,
}

/// Runs the command.
pub(crate) fn run(args: &EfficiencyArgs) -> Result<()> {
    let record = Record::new(args.output.as_deref(), args.name.as_deref())?;
    let prepared = prepare(args)?;
    if let Some(schedule) = args.peak_of {
        return print_json(&prepared.peak_memory(schedule)?);
    }
    let mut meter = (!args.no_peak_memory).then(ChildMeter::of_this_command);
    let measured = measure_with(prepared, meter.as_mut(), args.json)?;
    let mut written = record.write(&measured)?;
    if let Some(folder) = &args.run {
        let path = folder.join(EFFICIENCY_FILE);
        fp_eval::efficiency::write(&path, &measured)?;
        written.push(path);
    }
    if args.json {
        return print_json(&measured);
    }
    show::print(&measured, &written)
}

/// Measures, and reports progress on standard error.
pub(super) fn measure_with(
    prepared: Prepared,
    meter: Option<&mut ChildMeter>,
    is_quiet: bool,
) -> Result<Efficiency> {
    let mut say = say_progress(is_quiet);
    let mut run = meter.map(|meter| |schedule: usize| meter.measure(schedule));
    let meter = run
        .as_mut()
        .map(|run| run as &mut fp_eval::efficiency::PeakMeter<'_>);
    Ok(measure(prepared, None, meter, &mut say)?)
}

fn prepare(args: &EfficiencyArgs) -> Result<Prepared> {
    let threads = args.threads.map_or_else(all_threads, NonZeroUsize::get);
    if let Some(folder) = &args.run {
        let spec = fp_eval::study::read_spec(folder)?;
        let settings = settings(args, spec.config.efficiency.unwrap_or_default());
        let prepared = prepare_run(folder, settings, threads);
        return prepared.with_context(|| format!("run in {}", folder.display()));
    }
    let input = match (&args.image, &args.question) {
        (Some(image), Some(question)) => InputSource::File {
            image: image.clone(),
            question: question.clone(),
        },
        _ => InputSource::Usual,
    };
    let heads = args.head_selection_strategy.iter();
    let heads: Vec<_> = heads.flat_map(|s| s.list(HeadStrategy::STUDY)).collect();
    let queries = args.query_selection_strategy.iter();
    let queries: Vec<_> = queries.flat_map(|q| q.list(QueryStrategy::ALL)).collect();
    let request = Request {
        model: args.model.clone(),
        vision_tower: args.vision_tower.clone(),
        input,
        budgets: budgets(args),
        head_strategies: or_default(heads, HeadStrategy::Sum),
        query_strategies: or_default(queries, QueryStrategy::LastToken),
        methods: args.methods.clone(),
        num_selected_heads: match args.num_selected_heads {
            None => HeadCount::HALF,
            Some(OneOrAll::All) => HeadCount::All,
            Some(OneOrAll::One(count)) => HeadCount::Count(count),
        },
        normalization: args.normalize.unwrap_or(Normalization::L1),
        prune_layer: args.prune_layer,
        device: args.device.clone(),
        dtype: args.dtype,
        threads,
        settings: settings(args, EfficiencySettings::default()),
        allow_degenerate: args.allow_degenerate,
    };
    Prepared::new(&request).map_err(|error| match error {
        EfficiencyError::Model(ModelError::Budget(error)) => name_flag(&error, &asked(args)),
        other => other.into(),
    })
}

/// The settings, with those of flags replaced.
fn settings(args: &EfficiencyArgs, default: EfficiencySettings) -> EfficiencySettings {
    EfficiencySettings {
        new_tokens: args.new_tokens.unwrap_or(default.new_tokens),
        warmup: args.warmup.unwrap_or(default.warmup),
        repeats: args.repeats.unwrap_or(default.repeats),
        max_batch: args.max_batch.unwrap_or(default.max_batch),
    }
}

/// The budgets of flags.
fn asked(args: &EfficiencyArgs) -> Vec<TokenBudget> {
    let averages = args.average_visual_tokens.iter();
    let averages = averages.map(|&b| TokenBudget::AverageVisualTokens(b));
    let kept = args.keep.iter().map(|&r| TokenBudget::Kept(r));
    let shares = args.retention.iter().map(|&s| TokenBudget::Retention(s));
    averages.chain(kept).chain(shares).collect()
}

fn budgets(args: &EfficiencyArgs) -> Vec<TokenBudget> {
    let asked = asked(args);
    if asked.is_empty() {
        PUBLISHED_RETENTIONS.map(TokenBudget::Retention).to_vec()
    } else {
        asked
    }
}

fn or_default<T>(list: Vec<T>, default: T) -> Vec<T> {
    if list.is_empty() { vec![default] } else { list }
}

fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn parse_dtype(text: &str) -> Result<DType, String> {
    match text {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        "bf16" => Ok(DType::BF16),
        _ => Err("expected one of: f32, f16, bf16".to_owned()),
    }
}
