//! Times prefill, unpruned and pruned, and branches on one prefix.
//!
//! ```text
//! cargo run --release -p fp-model --example prefill_timings -- MODEL [REPEATS]
//! ```
//!
//! MODEL is a checkpoint's folder or `random:NAME`. Vision is timed apart. Each
//! measured ratio is printed beside the one that counting multiply-accumulates
//! predicts. Prints one JSON object.

use candle_core::{DType, Device, Tensor};
use fp_model::prompt::EncodedPrompt;
use fp_model::{LlavaModel, LoadOptions, PrefixOptions, Preset, Sample};
use fp_scoring::{DecoderShape, KeptTokens, MlpConvention, random_tokens};
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens before and after the image in a usual prompt.
const SYSTEM: u32 = 35;
const TEXT: u32 = 27;

/// K, and the share of image tokens kept at the published budgets of 7B.
const PRUNE_LAYER: usize = 2;
const RETENTIONS: [f64; 3] = [166.0 / 576.0, 98.0 / 576.0, 30.0 / 576.0];

/// Branches in one call.
const BRANCHES: u64 = 9;

/// Rounds that warm up caches and are not counted.
const WARM_UP: usize = 2;

type Stage<'a> = Box<dyn Fn() -> fp_model::Result<()> + 'a>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args
        .next()
        .ok_or("usage: prefill_timings MODEL [REPEATS]")?;
    let repeats: usize = args.next().map_or(Ok(15), |text| text.parse())?;
    let options = LoadOptions::default();
    let start = Instant::now();
    let model = match name.strip_prefix("random:") {
        Some(preset) => LlavaModel::random(preset.parse::<Preset>()?, 1, &options)?,
        None => LlavaModel::load(&name, &options)?,
    };
    let load_seconds = start.elapsed().as_secs_f64();

    let side = model.config().vision.image_size;
    let pixels = Tensor::randn(0.0_f32, 1.0, (1, 3, side, side), &Device::Cpu)?;
    let image = model.encode_image(&pixels)?;
    let num_image = image.num_tokens();
    let prompt = EncodedPrompt {
        input_ids: (1..=SYSTEM + 1 + TEXT).collect(),
        image_position: SYSTEM as usize,
    };
    let sample = Sample {
        prompt: &prompt,
        features: &image,
    };
    let len = sample.layout().sequence_len();
    let kept = RETENTIONS
        .iter()
        .map(|retention| {
            let count = (retention * num_image as f64).round() as usize;
            (0..BRANCHES)
                .map(|seed| random_tokens(num_image, count, seed))
                .collect()
        })
        .collect::<Result<Vec<Vec<KeptTokens>>, _>>()?;
    let prefix_options = PrefixOptions {
        prune_layer: PRUNE_LAYER,
        query_rows: vec![len - 1],
    };
    let pruned = |kept: &[KeptTokens]| {
        let prefix = model.prefill_prefix(&prompt, &image, &prefix_options)?;
        model.branch(&prefix, kept).map(drop)
    };

    let mut stages: Vec<Stage<'_>> = vec![
        Box::new(|| model.encode_image(&pixels).map(drop)),
        Box::new(|| model.prefill(&[sample]).map(drop)),
    ];
    for kept in &kept {
        stages.push(Box::new(|| pruned(&kept[..1])));
        stages.push(Box::new(|| pruned(kept)));
    }
    // Stages take turns, so that a change of the machine's speed meets all of them.
    let mut times = vec![Vec::new(); stages.len()];
    for round in 0..repeats + WARM_UP {
        for (stage, times) in stages.iter().zip(&mut times) {
            let start = Instant::now();
            stage()?;
            if round >= WARM_UP {
                times.push(1e3 * start.elapsed().as_secs_f64());
            }
        }
    }
    times
        .iter_mut()
        .for_each(|times| times.sort_by(f64::total_cmp));
    let median: Vec<f64> = times.iter().map(|times| times[times.len() / 2]).collect();

    let text = &model.config().text;
    let shape = DecoderShape {
        num_layers: text.num_layers,
        hidden_size: text.hidden_size,
        intermediate_size: text.intermediate_size,
        num_heads: text.num_heads,
        num_kv_heads: text.num_kv_heads,
        head_dim: text.head_dim(),
    };
    let layer = |tokens: usize| shape.layer_macs(tokens as f64, MlpConvention::ThreeMatrices);
    let (first, rest) = (PRUNE_LAYER as f64, (text.num_layers - PRUNE_LAYER) as f64);
    let (full, prefix) = ((first + rest) * layer(len), first * layer(len));
    let count = BRANCHES as f64;
    let ratio = |measured: f64, predicted: f64| json!({ "measured": measured, "predicted": predicted, "share": measured / predicted });
    let pruned: Vec<Value> = kept
        .iter()
        .zip(median[2..].chunks_exact(2))
        .map(|(kept, median)| {
            let branch = rest * layer(len - num_image + kept[0].len());
            let whole = times[1][times[1].len() / 2];
            json!({
                "kept": kept[0].len(),
                "prefill_ms": median[0],
                "speedup": ratio(whole / median[0], full / (prefix + branch)),
                "nine_branches_ms": median[1],
                "nine_runs_over_nine_branches": ratio(
                    count * median[0] / median[1],
                    count * (prefix + branch) / (prefix + count * branch),
                ),
            })
        })
        .collect();
    let report = json!({
        "model": name,
        "dtype": DType::F32.as_str(),
        "threads": rayon::current_num_threads(),
        "tokens": len,
        "load_seconds": load_seconds,
        "vision": { "median_ms": median[0], "min_ms": times[0][0] },
        "prefill": { "median_ms": median[1], "min_ms": times[1][0] },
        "pruned": pruned,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
