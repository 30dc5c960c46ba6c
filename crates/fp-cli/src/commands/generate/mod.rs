//! `finepruner generate`: answers a question about an image.

mod clip;
mod crops;
mod inputs;
mod logits;
mod masking;
mod overlay;
mod plan;
mod published;
mod report;
mod sequence;
mod shipped;
mod text_only;
mod without_effect;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::DType;
use clap::Args;
use fp_eval::study::model_folder;
use fp_image::{AnyRes, ImageAspect};
use fp_model::{
    CpuFormat, GenerateOptions, LlavaModel, LoadOptions, ModelConfig, OpenedCheckpoint,
    PlannedSample, Preset, ResidentMemory, ResidentRun, Sample, SampleFacts, Sampling,
};
use fp_scoring::{
    CropBudget, HeadStrategy, Normalization, PositionRule, QueryStrategy, ScheduleStages,
};

use super::output_file::OutputFile;
use super::select::parse_setting;
use super::{say_resident, warn};
use crate::arguments::{OneOrAll, parse_average, parse_kept, parse_num_heads, parse_share};
use inputs::Inputs;
use overlay::OverlayFile;
use plan::{plan, prune_config};
use report::Report;
use sequence::Sequence;

/// Answer a question about an image, with or without pruning visual tokens.
///
/// A budget (--keep, --average-visual-tokens, --retention or --schedule) turns
/// pruning on; without one nothing is pruned, and the other pruning flags are
/// refused. --method prunes with a published method instead, whose parameters set
/// the number of tokens kept.
///
/// Examples:
///   finepruner generate --model llava-1.5-7b-hf --image cat.png \
///     --prompt "What is this?"
///   finepruner generate --model llava-1.5-7b-hf --image cat.png \
///     --prompt "What is this?" --average-visual-tokens 64 \
///     --head-selection-strategy variance --json
///   finepruner generate --model llava-1.5-7b-hf --image cat.png \
///     --prompt "What is this?" --method vispruner --method-param keep=64
///   finepruner generate --model llava-1.5-7b-hf --image cat.png \
///     --prompt "What is this?" --method cdpruner --method-param keep=64 \
///     --clip clip-vit-large-patch14-336
///   finepruner generate --weights random:llava-1.5-7b --keep 166 \
///     --max-new-tokens 8
///   finepruner generate --model embedded --keep 16 --overlay kept.svg
///
/// With `--model embedded` and no image, the first question of the shipped
/// benchmark is asked, and a note says so.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct GenerateArgs {
    /// Folder of a checkpoint, in Hugging Face's layout or the original one, embedded for the
    /// shipped model, or random:SHAPE for dummy weights, as --weights.
    #[arg(long, value_name = "DIR", required_unless_present = "weights")]
    model: Option<PathBuf>,
    /// Dummy weights of a known shape instead of a checkpoint, for timing, such as
    /// random:llava-1.5-7b. Image and prompt are then dummies too.
    #[arg(long, value_name = "random:SHAPE", conflicts_with = "model", value_parser = parse_dummy)]
    weights: Option<Preset>,
    /// Seed of dummy weights and of sampling [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of the vision tower, for the original layout [default: searched for beside the checkpoint].
    #[arg(long, value_name = "DIR", requires = "model")]
    vision_tower: Option<PathBuf>,
    /// The image [default with --model embedded: one of the shipped benchmark]. Without an
    /// image the prompt is text-only and is answered unpruned, whatever the budget.
    #[arg(long, value_name = "FILE", requires = "model")]
    image: Option<PathBuf>,
    /// The user's text; the model's own template, such as vicuna_v1, is put around it [default
    /// with --model embedded and no image: that image's question].
    #[arg(
        long,
        value_name = "TEXT",
        requires = "model",
        conflicts_with = "raw_prompt"
    )]
    prompt: Option<String>,
    /// The whole prompt, with `<image>` at the image's position; without that and without
    /// --image it is text-only.
    #[arg(long, value_name = "TEXT", requires = "model")]
    raw_prompt: Option<String>,
    /// What to do with an image that isn't square [default: the checkpoint's setting, else pad].
    #[arg(long, value_name = "pad|crop")]
    aspect: Option<ImageAspect>,
    /// How an any-resolution checkpoint cuts images: unpad, the checkpoint's own form, or
    /// fixed-2880, the 2 x 2 tiles and the whole image that papers report, with every patch a token and no newlines
    /// [default: unpad].
    #[arg(
        long,
        value_name = "unpad|fixed-2880",
        requires = "model",
        conflicts_with = "aspect"
    )]
    anyres: Option<AnyRes>,

    /// Prune with a published method, one of `finepruner methods`, as its authors do.
    #[arg(
        long,
        value_name = "METHOD",
        conflicts_with_all = [
            "average_visual_tokens", "keep", "retention", "head_selection_strategy",
            "query_selection_strategy", "num_selected_heads", "prune_layer", "normalize",
            "allow_degenerate",
        ]
    )]
    method: Option<String>,
    /// A parameter of that method; repeat the flag for each parameter. Lists are written layers=2,6,16. With --schedule
    /// K:N,… its layers and keep need not be given.
    #[arg(
        long = "method-param",
        value_name = "NAME=VALUE",
        requires = "method",
        value_parser = parse_setting
    )]
    settings: Vec<(String, String)>,
    /// What the method's numbers apply to with --anyres fixed-2880: per-crop, each of the 5 crops
    /// separately (as FasterVLM, VisPruner, VisionZip, HiPrune and SCOPE do, and required for
    /// methods that read the vision tower), or whole, all crops as one set (DivPrune)
    /// [default: as its authors do].
    #[arg(long, value_name = "per-crop|whole", requires = "model")]
    crop_budget: Option<CropBudget>,
    /// Folder of the CLIP model that the vision tower was taken from, such as
    /// openai/clip-vit-large-patch14-336, for methods that compare image and question by its
    /// embeddings: cdpruner.
    #[arg(long, value_name = "DIR", requires = "model")]
    clip: Option<PathBuf>,
    /// Budget as the layer average of visual tokens, B.
    #[arg(long, value_name = "B", allow_negative_numbers = true, value_parser = parse_average,
        conflicts_with_all = ["keep", "retention"])]
    average_visual_tokens: Option<f64>,
    /// Keep this many image tokens after layer K, R.
    #[arg(
        long,
        value_name = "R",
        value_parser = parse_kept,
        allow_negative_numbers = true,
        conflicts_with = "retention"
    )]
    keep: Option<usize>,
    /// Keep this share of the image tokens after layer K, R/N.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = parse_share)]
    retention: Option<f64>,
    /// How heads are scored: a strategy of `finepruner strategies` [default: sum].
    #[arg(long, alias = "fixed-head-selection", value_name = "S")]
    head_selection_strategy: Option<HeadStrategy>,
    /// Which rows to read the attention from [default: last_token].
    #[arg(long, value_name = "Q")]
    query_selection_strategy: Option<QueryStrategy>,
    /// h, the number of top-scoring heads to average, or all [default: half of them].
    #[arg(long, value_name = "h|all", value_parser = parse_num_heads)]
    num_selected_heads: Option<OneOrAll<usize>>,
    /// K, counted from 1: tokens are dropped after this layer [default: 2].
    #[arg(long, value_name = "K")]
    prune_layer: Option<usize>,
    /// Drop tokens in stages: 3:309,7:204,16:113 keeps 309 after layer 3, 204 after
    /// layer 7 and 113 after layer 16, each time selected by the attention at that layer.
    #[arg(
        long,
        value_name = "K:N,…",
        conflicts_with_all = ["average_visual_tokens", "keep", "retention", "prune_layer"]
    )]
    schedule: Option<ScheduleStages>,
    /// Position ids of the kept tokens: keep the original ones, or renumber
    /// [default: keep; with --method, as its authors do].
    #[arg(long, value_name = "keep|renumber")]
    positions: Option<PositionRule>,
    /// Exclude image tokens whose patch shows only padding from the candidates of the first
    /// stage. Off by default, as in the authors' code of every method here.
    #[arg(long, requires = "model")]
    mask_padding: bool,
    /// How a row becomes a distribution: l1 or softmax [default: l1].
    #[arg(long, value_name = "l1|softmax")]
    normalize: Option<Normalization>,
    /// Continue even if the query rows have no attention to the image.
    #[arg(long)]
    allow_degenerate: bool,

    /// Maximum number of tokens to decode.
    #[arg(long, value_name = "T", default_value_t = 128)]
    max_new_tokens: usize,
    /// Sample at this temperature instead of decoding greedily.
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Nucleus sampling: sample from the most likely tokens whose probabilities together reach this.
    #[arg(
        long,
        value_name = "P",
        requires = "temperature",
        default_value_t = 1.0
    )]
    top_p: f64,

    /// Where to compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Precision of the weights: f32, f16 or bf16; on the CPU sums are in f32 with any
    /// [default: the checkpoint's].
    #[arg(long, value_parser = parse_dtype)]
    dtype: Option<DType>,
    /// On the CPU, what rows are rounded to before they are multiplied: f32, or bf16 with
    /// --dtype bf16, faster where the processor has AVX512_BF16.
    #[arg(long, value_name = "f32|bf16", default_value_t)]
    activations: CpuFormat,
    /// On the CPU, what the KV cache keeps: f32, or bf16 in half of the memory.
    #[arg(long, value_name = "f32|bf16", default_value_t)]
    kv_cache: CpuFormat,
    /// Write the logits at the prompt's last position to this safetensors file.
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Draw the kept tokens on the image that the model saw; needs a budget or a method.
    #[arg(long, value_name = "FILE.svg|png")]
    overlay: Option<PathBuf>,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// The source of the weights, before they are read.
enum Weights {
    Checkpoint(Box<OpenedCheckpoint>),
    /// Dummy weights of a shape.
    Dummy(Preset, Box<ModelConfig>),
}

impl Weights {
    fn open(args: &GenerateArgs) -> Result<Weights> {
        match (&args.model, args.weights) {
            (Some(name), _) if is_dummy(name) => {
                let preset = parse_dummy(&name.to_string_lossy()).context("--model")?;
                Ok(Weights::Dummy(preset, Box::new(preset.config())))
            }
            (Some(name), _) => {
                let dir = model_folder(name)?;
                let opened = OpenedCheckpoint::open(dir, args.vision_tower.as_deref())?;
                Ok(Weights::Checkpoint(Box::new(opened)))
            }
            (None, Some(preset)) => Ok(Weights::Dummy(preset, Box::new(preset.config()))),
            (None, None) => bail!("a model is needed: --model DIR or --weights random:SHAPE"),
        }
    }

    fn config(&self) -> &ModelConfig {
        match self {
            Weights::Checkpoint(opened) => opened.config(),
            Weights::Dummy(_, config) => config,
        }
    }

    fn resident(&self, options: &LoadOptions, run: &ResidentRun) -> ResidentMemory {
        match self {
            Weights::Checkpoint(opened) => ResidentMemory::of_checkpoint(opened, options, run),
            Weights::Dummy(_, config) => ResidentMemory::of_dummies(config, options, run),
        }
    }

    fn load(self, seed: u64, options: &LoadOptions) -> fp_model::Result<LlavaModel> {
        match self {
            Weights::Checkpoint(opened) => opened.load(options),
            Weights::Dummy(preset, _) => LlavaModel::random(preset, seed, options),
        }
    }
}

/// Runs the command. Problems of flags, prompt, image or files are reported before weights are
/// read; files are written last.
pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    let text_only = text_only::prompt(args)?;
    let method = published::method(args)?;
    let prune = prune_config(args)?;
    let options = LoadOptions {
        device: fp_model::device(&args.device)
            .with_context(|| format!("--device {}", args.device))?,
        dtype: args.dtype,
        activations: args.activations,
        kv_cache: args.kv_cache,
        vision_tower: args.vision_tower.clone(),
        ..LoadOptions::default()
    };
    options.check()?;
    let logits = args
        .logits
        .as_deref()
        .map(|path| OutputFile::at("--logits", path))
        .transpose()?;
    let is_pruned = prune.is_some() || method.is_some();
    let overlay = OverlayFile::new(args.overlay.as_deref(), is_pruned)?;
    let weights = Weights::open(args)?;
    let generate = generate_options(args, weights.config());
    generate.check()?;
    let weights = match (weights, text_only) {
        (Weights::Checkpoint(opened), Some(prompt)) => {
            let mut notes = without_effect::notes_of_text(args, prune.as_ref());
            notes.extend(opened.notes());
            warn(&notes);
            let prompt = text_only::Prompt {
                text: prompt.render(opened.config().family.template()),
                notes,
            };
            return text_only::run(args, *opened, &prompt, &options, &generate, logits);
        }
        (weights, _) => weights,
    };
    let inputs = match &weights {
        Weights::Checkpoint(opened) => Inputs::read(args, opened)?,
        Weights::Dummy(_, config) => Inputs::dummy(config),
    };
    crops::check(args, weights.config(), &inputs)?;
    let (plan, crop_budget) = match &method {
        Some(params) => published::plan(args, params, weights.config(), &inputs)?,
        None => (plan(args, prune.as_ref(), weights.config(), &inputs)?, None),
    };
    let (plan, num_left_out) = masking::masked(args, &inputs, plan)?;
    let clip = clip::opened(args, &plan, weights.config())?;
    let num_image_tokens = inputs.num_image_tokens(weights.config());
    let mut no_effect = without_effect::notes(
        args,
        prune.as_ref(),
        &plan,
        weights.config(),
        num_image_tokens,
    );
    no_effect.extend(masking::note(num_left_out));
    warn(&no_effect);
    let mut notes = match &weights {
        Weights::Checkpoint(opened) => opened.notes(),
        Weights::Dummy(..) => Vec::new(),
    };
    notes.extend(inputs.warnings());
    let needed = weights.config().vision_request([&plan])?;
    let options = LoadOptions {
        vision: needed.parts(),
        ..options
    };

    if options.device.is_cpu() {
        let num_text = inputs.prompt.input_ids.len() - 1;
        let num_tokens = num_image_tokens + num_text;
        let run = ResidentRun::whole(num_tokens, args.max_new_tokens);
        say_resident(&weights.resident(&options, &run));
    }
    let start = Instant::now();
    let mut model = weights.load(args.seed.unwrap_or(0), &options)?;
    if let Some(clip) = clip {
        model = model.with_clip(clip)?;
    }
    let load = start.elapsed();
    let start = Instant::now();
    let features = inputs.features(&model, &needed)?;
    let vision = start.elapsed();
    let sample = Sample {
        prompt: &inputs.prompt,
        features: &features,
    };
    let request = PlannedSample {
        sample,
        plan: &plan,
        facts: SampleFacts {
            padding: inputs.padding.as_deref(),
            question: clip::question(args, &inputs.source),
            ..SampleFacts::of("")
        },
    };
    let (mut outputs, stages) = model.answer_planned(&[request], &generate)?;
    let output = outputs.pop().context("one sample has one answer")?;
    let all_notes = [no_effect, notes.clone()].concat();
    let report = Report {
        notes: &all_notes,
        text: inputs.decode(&output.generation.token_ids)?,
        output: &output,
        prune: prune.as_ref(),
        method: method.as_ref(),
        num_left_out,
        crop_budget,
        positions: plan.positions,
        grid: model
            .config()
            .dynamic
            .as_ref()
            .map(|_| inputs.drawn_grid(model.config())),
        source: &inputs.source,
        layout: Some(sample.layout()),
        sequence: Ok(Sequence::new(sample.layout(), inputs.tiles(model.config()))),
        preprocess: inputs.preprocess,
        load,
        vision,
        stages,
    };
    let draw =
        |overlay: &OverlayFile| overlay.draw(&inputs, model.config(), &output, method.as_ref());
    let drawn = overlay.as_ref().map(draw).transpose()?;
    if let Some(file) = logits {
        file.write(&logits::content(&output.prompt_logits)?)?;
    }
    if let (Some(overlay), Some(drawn)) = (overlay, drawn) {
        overlay.write(&drawn)?;
    }
    warn(&notes);
    report.print(args.json)
}

fn generate_options(args: &GenerateArgs, config: &ModelConfig) -> GenerateOptions {
    GenerateOptions {
        max_new_tokens: args.max_new_tokens,
        stop_tokens: config.eos_tokens.clone(),
        sampling: match args.temperature {
            None => Sampling::Greedy,
            Some(temperature) => Sampling::Random {
                temperature,
                top_p: args.top_p,
                seed: args.seed.unwrap_or(0),
            },
        },
    }
}

pub(super) fn parse_dtype(text: &str) -> Result<DType, String> {
    match text {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        "bf16" => Ok(DType::BF16),
        _ => Err("expected one of: f32, f16, bf16".to_owned()),
    }
}

const DUMMY: &str = "random:";

/// Whether a model's name asks for dummy weights.
fn is_dummy(name: &Path) -> bool {
    name.to_string_lossy().starts_with(DUMMY)
}

fn parse_dummy(text: &str) -> Result<Preset> {
    let name = text
        .strip_prefix(DUMMY)
        .context("dummy weights are written random:SHAPE")?;
    Ok(name.parse::<Preset>()?)
}
