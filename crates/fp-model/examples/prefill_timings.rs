//! Times prefill, unpruned and pruned, and branches on one prefix.
//!
//! ```text
//! cargo run --release -p fp-model --example prefill_timings -- MODEL [ROUNDS]
//! cargo run --release -p fp-model --example prefill_timings -- MODEL serve INPUTS
//! ```
//!
//! MODEL is a checkpoint's folder or `random:NAME`. Vision is timed apart, and each
//! measured ratio stands beside the one that counting multiply-accumulates
//! predicts. The first form prints one JSON object. The second is for a program
//! that times something else in between, `benches/peers/prefill_transformers.py`:
//! INPUTS is a safetensors file with `pixel_values` and `input_ids`; what there is
//! to time comes as one line of JSON, and then each line on standard input, the
//! index of a stage, is answered with the milliseconds that it took.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    DummyInput, ImageFeatures, LlavaModel, LoadOptions, ModelSource, PrefixOptions, Sample,
};
use fp_scoring::{DecoderShape, KeptTokens, MlpConvention, random_tokens};
use serde_json::{Value, json};

/// Tokens before and after the image in a usual prompt.
const SYSTEM: usize = 35;
const TEXT: usize = 27;

/// Seed of dummy weights and pixels.
const SEED: u64 = 1;

/// K, and the share of image tokens kept at the published budgets of 7B.
const PRUNE_LAYER: usize = 2;
const RETENTIONS: [f64; 3] = [166.0 / 576.0, 98.0 / 576.0, 30.0 / 576.0];

/// Branches in one call.
const BRANCHES: u64 = 9;

/// Rounds that warm up caches and are not counted.
const WARM_UP: usize = 2;

/// The model and what it is timed on.
struct Bench {
    model: LlavaModel,
    pixels: Tensor,
    image: ImageFeatures,
    prompt: EncodedPrompt,
    /// Kept sets of each budget.
    kept: Vec<Vec<KeptTokens>>,
    load_seconds: f64,
}

/// Place of the unpruned prefill among the stages.
const WHOLE: usize = 1;

/// Something to time.
#[derive(Clone, Copy)]
enum Stage {
    Vision,
    Whole,
    /// One branch, or all, of a budget.
    Pruned {
        budget: usize,
        branches: usize,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [model] => print_report(&Bench::new(model, None)?, 15),
        [model, "serve", inputs] => serve(&Bench::new(model, Some(inputs))?),
        [model, rounds] => print_report(&Bench::new(model, None)?, rounds.parse()?),
        _ => Err("usage: prefill_timings MODEL [ROUNDS | serve INPUTS]".into()),
    }
}

impl Bench {
    fn new(name: &str, inputs: Option<&str>) -> Result<Bench, Box<dyn Error>> {
        let options = LoadOptions::default();
        let start = Instant::now();
        let model = ModelSource::open(name, None)?.load(SEED, &options)?;
        let load_seconds = start.elapsed().as_secs_f64();
        let (pixels, input_ids) = match inputs {
            None => {
                let dummy = DummyInput::new(model.config(), SYSTEM, TEXT, SEED)?;
                (dummy.pixel_values, dummy.prompt.input_ids)
            }
            Some(path) => {
                let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
                let tensor = |name| tensors.get(name).ok_or(format!("{path}: no `{name}`"));
                let ids = tensor("input_ids")?.to_dtype(DType::U32)?.to_vec1()?;
                (tensor("pixel_values")?.clone(), ids)
            }
        };
        let image = model.encode_image(&pixels)?;
        let num_image = image.num_tokens();
        let kept = RETENTIONS
            .iter()
            .map(|retention| {
                let count = (retention * num_image as f64).round() as usize;
                (0..BRANCHES)
                    .map(|seed| random_tokens(num_image, count, seed))
                    .collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(Bench {
            model,
            pixels,
            image,
            prompt: EncodedPrompt {
                input_ids,
                image_position: SYSTEM,
            },
            kept,
            load_seconds,
        })
    }

    fn stages(&self) -> Vec<Stage> {
        let pruned = (0..self.kept.len()).flat_map(|budget| {
            [1, BRANCHES as usize].map(|branches| Stage::Pruned { budget, branches })
        });
        [Stage::Vision, Stage::Whole]
            .into_iter()
            .chain(pruned)
            .collect()
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            prompt: &self.prompt,
            features: &self.image,
        }
    }

    /// Milliseconds of one run.
    fn time(&self, stage: Stage) -> fp_model::Result<f64> {
        let start = Instant::now();
        match stage {
            Stage::Vision => drop(self.model.encode_image(&self.pixels)?),
            Stage::Whole => drop(self.model.prefill(&[self.sample()])?),
            Stage::Pruned { budget, branches } => {
                let options = PrefixOptions {
                    depth: PRUNE_LAYER,
                    query_rows: vec![self.sample().layout().sequence_len() - 1],
                };
                let prefix = self
                    .model
                    .prefill_prefix(&self.prompt, &self.image, &options)?;
                drop(self.model.branch(&prefix, &self.kept[budget][..branches])?);
            }
        }
        Ok(1e3 * start.elapsed().as_secs_f64())
    }

    /// Multiply-accumulates of a stage's decoder layers; none are counted for vision.
    fn macs(&self, stage: Stage) -> Option<f64> {
        let text = &self.model.config().text;
        let shape = DecoderShape {
            num_layers: text.num_layers,
            hidden_size: text.hidden_size,
            intermediate_size: text.intermediate_size,
            num_heads: text.num_heads,
            num_kv_heads: text.num_kv_heads,
            head_dim: text.head_dim(),
        };
        let layer = |tokens: usize| shape.layer_macs(tokens as f64, MlpConvention::ThreeMatrices);
        let layout = self.sample().layout();
        let whole = layout.sequence_len();
        let (first, rest) = (PRUNE_LAYER as f64, (text.num_layers - PRUNE_LAYER) as f64);
        match stage {
            Stage::Vision => None,
            Stage::Whole => Some((first + rest) * layer(whole)),
            Stage::Pruned { budget, branches } => {
                let kept = whole - layout.num_image + self.kept[budget][0].len();
                Some(first * layer(whole) + branches as f64 * rest * layer(kept))
            }
        }
    }

    fn describe(&self, stage: Stage) -> Value {
        let (name, kept, branches) = match stage {
            Stage::Vision => ("vision", None, 0),
            Stage::Whole => ("whole", None, 1),
            Stage::Pruned { budget, branches } => {
                ("pruned", Some(self.kept[budget][0].len()), branches)
            }
        };
        json!({ "name": name, "kept": kept, "branches": branches, "macs": self.macs(stage) })
    }

    fn header(&self) -> Value {
        let stages: Vec<Value> = self.stages().iter().map(|s| self.describe(*s)).collect();
        json!({
            "dtype": DType::F32.as_str(),
            "threads": rayon::current_num_threads(),
            "tokens": self.sample().layout().sequence_len(),
            "load_seconds": self.load_seconds,
            "stages": stages,
        })
    }
}

/// Times the stages that are asked for, one line each.
fn serve(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let mut header = bench.header();
    let prefilled = bench.model.prefill(&[bench.sample()])?;
    header["logits"] = json!(prefilled.logits(0).unwrap());
    drop(prefilled);
    println!("{header}");
    let stages = bench.stages();
    for line in std::io::stdin().lock().lines() {
        let index: usize = line?.trim().parse()?;
        let stage = stages.get(index).ok_or("no stage of this index")?;
        println!("{}", bench.time(*stage)?);
    }
    Ok(())
}

/// Times all stages in turns, so that a change of the machine's speed meets each of
/// them, and prints medians and ratios.
fn print_report(bench: &Bench, rounds: usize) -> Result<(), Box<dyn Error>> {
    let stages = bench.stages();
    let mut times = vec![Vec::new(); stages.len()];
    for round in 0..rounds + WARM_UP {
        for (stage, times) in stages.iter().zip(&mut times) {
            let time = bench.time(*stage)?;
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
        })
        .collect();
    let mut report = bench.header();
    for (index, stage) in stages.iter().enumerate() {
        let entry = &mut report["stages"][index];
        entry["median_ms"] = json!(medians[index]);
        let (name, other, count) = match stage {
            Stage::Vision | Stage::Whole => continue,
            Stage::Pruned { branches: 1, .. } => ("whole_over_pruned", WHOLE, 1.0),
            // A budget's single branch comes right before its many.
            Stage::Pruned { .. } => ("single_runs_over_one_call", index - 1, BRANCHES as f64),
        };
        let macs = |index: usize| bench.macs(stages[index]).unwrap_or(f64::NAN);
        let measured = count * medians[other] / medians[index];
        let predicted = count * macs(other) / macs(index);
        entry[name] =
            json!({ "measured": measured, "predicted": predicted, "share": measured / predicted });
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
