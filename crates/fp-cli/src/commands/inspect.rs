//! `finepruner inspect`: describes a checkpoint and what it lacks.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fp_eval::study::model_folder;
use fp_model::{
    CpuFormat, Inspection, LoadOptions, ModelConfig, ModelSource, ResidentMemory, ResidentRun,
    inspect,
};
use serde::Serialize;

use super::generate::parse_dtype;
use super::{print_json, print_text};

/// Describe a checkpoint: what it is, whether it can be run, and what is missing.
///
/// Reads only headers, configuration and tokenizer, so that any size takes a
/// moment. Exits with code 2 if the checkpoint can't be run.
///
/// It also predicts what will be resident on the CPU at the peak of a run, mapped
/// weights included: of one question with nothing pruned, or of what the flags
/// say. Of random:SHAPE, dummy weights, that is all there is to say.
///
/// Examples:
///   finepruner inspect llava-1.5-7b-hf
///   finepruner inspect random:llava-1.5-7b --dtype bf16 --branches 9 --keep 166
///   finepruner inspect embedded
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct InspectArgs {
    /// A checkpoint's folder, Hugging Face's layout or the original one, embedded for the
    /// shipped model, or random:SHAPE.
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// Folder of the vision tower, for the original layout [default: searched for beside the checkpoint].
    #[arg(long, value_name = "DIR")]
    vision_tower: Option<PathBuf>,
    /// Precision that the prediction is for: f32, f16 or bf16 [default: as stored].
    #[arg(long, value_parser = parse_dtype)]
    dtype: Option<candle_core::DType>,
    /// What the KV cache keeps, likewise: f32 or bf16.
    #[arg(long, value_name = "f32|bf16", default_value_t)]
    kv_cache: CpuFormat,
    /// Branches in one call, likewise.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    branches: usize,
    /// Image tokens that each of them keeps after layer K, R [default: all].
    #[arg(long, value_name = "R")]
    keep: Option<usize>,
    /// K, counted from 1: tokens are dropped after this layer.
    #[arg(long, value_name = "K", default_value_t = 2)]
    prune_layer: usize,
    /// Tokens of prompt and question.
    #[arg(long, value_name = "T", default_value_t = 256)]
    text_tokens: usize,
    /// Maximum number of tokens to decode.
    #[arg(long, value_name = "T", default_value_t = 128)]
    max_new_tokens: usize,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// The findings, for JSON.
#[derive(Serialize)]
struct Record<'a> {
    is_complete: bool,
    #[serde(flatten)]
    found: &'a Inspection,
}

/// Runs the command.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let name = args.model.to_string_lossy();
    let tower = args.vision_tower.as_deref();
    if name.starts_with("random:") {
        let source = ModelSource::open(&name, tower)?;
        let resident = resident(args, &source)?;
        return if args.json {
            print_json(&OfDummies { resident })
        } else {
            print_text(&format!("resident   {resident}"))
        };
    }
    let folder = model_folder(&args.model)?;
    let mut found = inspect(&folder, tower)?;
    // For an incomplete checkpoint, predicts from the parts that exist.
    if let Ok(source) = ModelSource::open(&folder.to_string_lossy(), tower) {
        found.resident = resident(args, &source)?;
    }
    if args.json {
        let is_complete = found.is_complete();
        print_json(&Record {
            is_complete,
            found: &found,
        })?;
    } else {
        print_text(&found.to_string())?;
    }
    if found.is_complete() {
        return Ok(());
    }
    let counts = [
        (found.problems.len(), "problem"),
        (found.missing_files.len(), "missing file"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    bail!("{} can't be run: {}", folder.display(), counts.join(", "))
}

/// The findings about dummy weights, for JSON.
#[derive(Serialize)]
struct OfDummies {
    resident: ResidentMemory,
}

/// Memory that the run described by the flags will need.
fn resident(args: &InspectArgs, source: &ModelSource) -> Result<ResidentMemory> {
    let options = LoadOptions {
        dtype: args.dtype,
        kv_cache: args.kv_cache,
        ..LoadOptions::default()
    };
    options.check()?;
    Ok(ResidentMemory::new(
        source,
        &options,
        &run_of(args, source.config())?,
    ))
}

fn run_of(args: &InspectArgs, config: &ModelConfig) -> Result<ResidentRun> {
    let usual = ResidentRun::usual(config, args.text_tokens, args.max_new_tokens);
    let num_layers = config.text.num_layers;
    if args.prune_layer >= num_layers {
        bail!(
            "--prune-layer {}; the model has {num_layers} layers, and at least one must follow",
            args.prune_layer
        );
    }
    let num_image = usual.num_tokens - args.text_tokens;
    if let Some(keep) = args.keep.filter(|keep| *keep > num_image) {
        bail!("--keep {keep}; there are {num_image} image tokens");
    }
    Ok(ResidentRun {
        prune_layer: args.prune_layer,
        num_kept: args.text_tokens + args.keep.unwrap_or(num_image),
        num_branches: args.branches,
        ..usual
    })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".to_owned()),
        Ok(count) => Ok(count),
    }
}
