//! Times prefill, unpruned and pruned, branches on one prefix, and decoding.
//!
//! ```text
//! cargo run --release -p fp-model --example prefill_timings -- [SETTING…] MODEL [ROUNDS]
//! cargo run --release -p fp-model --example prefill_timings -- [SETTING…] MODEL serve INPUTS
//! ```
//!
//! The output also states the machine's limits (the speed of a product whose weights are in the
//! caches, and the memory bandwidth for reading) and, beside the peak of resident memory, its
//! predicted value.
//!
//! MODEL is a checkpoint's folder or `random:NAME`. Vision is timed separately, and each measured
//! ratio is printed beside the one predicted by counting multiply-accumulates. The first form
//! prints one JSON object. The second is for programs that time something else in between,
//! `benches/peers/prefill_transformers.py` and `qwen_transformers.py`: INPUTS is a safetensors file
//! with `pixel_values`, `input_ids` and, if the image isn't after 35 tokens, `image_position`. The
//! stages are printed as one line of JSON; then each line on standard input, the index of a stage,
//! is answered with its time in milliseconds.

use std::error::Error;
use std::io::BufRead;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use fp_kernels::dense::{self, PackedMatrix, Start};
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    Branches, DummyInput, GenerateOptions, ImageFeatures, LlavaModel, LoadOptions, ModelSource,
    PrefixOptions, ResidentMemory, ResidentRun, Sample,
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

/// Number of branches in one call.
const BRANCHES: u64 = 9;

/// Number of tokens decoded at a time; the first one needs no run of the model.
const DECODED: usize = 9;

/// Warm-up rounds, which are not counted.
const WARM_UP: usize = 2;

/// The model and the inputs that are timed.
struct Bench {
    model: LlavaModel,
    pixels: Tensor,
    image: ImageFeatures,
    prompt: EncodedPrompt,
    /// Kept sets of each budget.
    kept: Vec<Vec<KeptTokens>>,
    load_seconds: f64,
    options: LoadOptions,
    predicted: ResidentMemory,
    product_speed: f64,
    read_speed: f64,
}

/// Index of the unpruned prefill among the stages.
const WHOLE: usize = 1;

/// A stage to time.
#[derive(Clone, Copy)]
enum Stage {
    Vision,
    Whole,
    /// One branch of a budget, or all of them.
    Pruned {
        budget: usize,
        branches: usize,
    },
    /// One more token of the whole prompt, or of the branches of the smallest budget.
    Decode {
        branches: usize,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    fp_kernels::retain_freed_memory();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_setting = |arg: &&String| arg.starts_with("--");
    let settings: Vec<&String> = args.iter().filter(is_setting).collect();
    let options = load_options(&settings)?;
    let rest = args.iter().filter(|arg| !is_setting(arg));
    match rest.map(String::as_str).collect::<Vec<_>>()[..] {
        [model] => print_report(&Bench::new(model, None, options)?, 15),
        [model, "serve", inputs] => serve(&Bench::new(model, Some(inputs), options)?),
        [model, rounds] => print_report(&Bench::new(model, None, options)?, rounds.parse()?),
        _ => Err("usage: prefill_timings [SETTING…] MODEL [ROUNDS | serve INPUTS]".into()),
    }
}

fn load_options(settings: &[&String]) -> Result<LoadOptions, Box<dyn Error>> {
    let mut options = LoadOptions::default();
    for setting in settings {
        match setting.split_once('=').unwrap_or((setting, "")) {
            ("--instructions", name) if dense::limit_instructions(name) => {}
            ("--dtype", "f32") => options.dtype = Some(DType::F32),
            ("--dtype", "f16") => options.dtype = Some(DType::F16),
            ("--dtype", "bf16") => options.dtype = Some(DType::BF16),
            ("--activations", format) => options.activations = format.parse()?,
            ("--kv-cache", format) => options.kv_cache = format.parse()?,
            _ => {
                return Err(format!(
                    "setting `{setting}`; expected --dtype=f32|f16|bf16, \
                     --activations=f32|bf16, --kv-cache=f32|bf16 or --instructions=NAME of \
                     this processor's"
                )
                .into());
            }
        }
    }
    Ok(options)
}

/// Giga multiply-accumulates per second of a product whose weights are in the caches, the best of
/// several.
fn product_speed() -> f64 {
    let (rows, num_in, num_out) = (576, 1024, 1024);
    let weights = PackedMatrix::pack(&vec![0.5; num_in * num_out], num_out, num_in);
    let x = vec![0.25; rows * num_in];
    let best = (0..12).map(|_| {
        let start = Instant::now();
        std::hint::black_box(dense::linear(&x, rows, &weights, Start::Zero));
        start.elapsed().as_secs_f64()
    });
    (rows * num_in * num_out) as f64 / best.fold(f64::INFINITY, f64::min) / 1e9
}

/// Gigabytes per second at which all threads together read memory, the best of several.
fn read_speed() -> f64 {
    use rayon::prelude::*;
    let values = vec![1_u64; 64 << 20];
    let best = (0..5).map(|_| {
        let start = Instant::now();
        let pieces = values.par_chunks(1 << 17);
        let sum: u64 = pieces
            .map(|piece| piece.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x)))
            .sum();
        std::hint::black_box(sum);
        start.elapsed().as_secs_f64()
    });
    size_of_val(values.as_slice()) as f64 / best.fold(f64::INFINITY, f64::min) / 1e9
}

/// Peak resident memory of this process in bytes, if the system states it.
fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

impl Bench {
    fn new(
        name: &str,
        inputs: Option<&str>,
        options: LoadOptions,
    ) -> Result<Bench, Box<dyn Error>> {
        // Before the weights are loaded, since their peak is measured.
        let (product_speed, read_speed) = (product_speed(), read_speed());
        let source = ModelSource::open(name, None)?;
        let num_tokens = SYSTEM + source.config().tokens_per_square() + TEXT;
        // Branches of the largest budget need the most memory.
        let run = ResidentRun {
            num_tokens,
            prune_layer: PRUNE_LAYER,
            num_kept: SYSTEM + (RETENTIONS[0] * 576.0) as usize + TEXT,
            num_branches: BRANCHES as usize,
            new_tokens: 0,
        };
        let predicted = ResidentMemory::new(&source, &options, &run);
        let start = Instant::now();
        let model = source.load(SEED, &options)?;
        let load_seconds = start.elapsed().as_secs_f64();
        let (pixels, prompt) = match inputs {
            None => {
                let dummy = DummyInput::new(model.config(), SYSTEM, TEXT, SEED)?;
                (dummy.pixel_values, dummy.prompt)
            }
            Some(path) => {
                let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
                let tensor = |name| tensors.get(name).ok_or(format!("{path}: no `{name}`"));
                let ids = |name| -> Result<Vec<u32>, Box<dyn Error>> {
                    Ok(tensor(name)?.to_dtype(DType::U32)?.to_vec1()?)
                };
                let image_position = match tensors.contains_key("image_position") {
                    true => ids("image_position")?.first().map_or(0, |at| *at as usize),
                    false => SYSTEM,
                };
                let prompt = EncodedPrompt {
                    input_ids: ids("input_ids")?,
                    image_position,
                };
                (tensor("pixel_values")?.clone(), prompt)
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
            prompt,
            kept,
            load_seconds,
            options,
            predicted,
            product_speed,
            read_speed,
        })
    }

    fn stages(&self) -> Vec<Stage> {
        let pruned = (0..self.kept.len()).flat_map(|budget| {
            [1, BRANCHES as usize].map(|branches| Stage::Pruned { budget, branches })
        });
        let decode = [1, BRANCHES as usize].map(|branches| Stage::Decode { branches });
        [Stage::Vision, Stage::Whole]
            .into_iter()
            .chain(pruned)
            .chain(decode)
            .collect()
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            prompt: &self.prompt,
            features: &self.image,
        }
    }

    fn pruned(&self, budget: usize, branches: usize) -> fp_model::Result<Branches> {
        let options = PrefixOptions {
            depth: PRUNE_LAYER,
            query_rows: vec![self.sample().layout().sequence_len() - 1],
        };
        let prefix = self
            .model
            .prefill_prefix(&self.prompt, &self.image, &options)?;
        self.model.branch(&prefix, &self.kept[budget][..branches])
    }

    /// Milliseconds of one run, or of one token for decoding.
    fn time(&self, stage: Stage) -> fp_model::Result<f64> {
        if let Stage::Decode { branches } = stage {
            let mut sequences = match branches {
                1 => self.model.prefill(&[self.sample()])?,
                _ => self.pruned(self.kept.len() - 1, branches)?,
            };
            let options = GenerateOptions::forced(DECODED);
            let start = Instant::now();
            self.model.generate(&mut sequences, &options)?;
            let elapsed = start.elapsed().as_secs_f64();
            return Ok(1e3 * elapsed / (DECODED - 1) as f64);
        }
        let start = Instant::now();
        match stage {
            Stage::Decode { .. } => {}
            Stage::Vision => drop(self.model.encode_image(&self.pixels)?),
            Stage::Whole => drop(self.model.prefill(&[self.sample()])?),
            Stage::Pruned { budget, branches } => drop(self.pruned(budget, branches)?),
        }
        Ok(1e3 * start.elapsed().as_secs_f64())
    }

    /// Multiply-accumulates of a stage's decoder layers; `None` for vision.
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
            Stage::Vision | Stage::Decode { .. } => None,
            Stage::Whole => Some((first + rest) * layer(whole)),
            Stage::Pruned { budget, branches } => {
                let kept = whole - layout.num_image + self.kept[budget][0].len();
                Some(first * layer(whole) + branches as f64 * rest * layer(kept))
            }
        }
    }

    /// Bytes of the matrices that are read for a decoded token.
    fn decoded_bytes(&self) -> usize {
        let text = &self.model.config().text;
        let (d, m) = (text.hidden_size, text.intermediate_size);
        let (q, kv) = (
            text.num_heads * text.head_dim(),
            text.num_kv_heads * text.head_dim(),
        );
        let layer = d * (2 * q + 2 * kv + 3 * m);
        let bytes = match self.options.dtype {
            Some(DType::F16 | DType::BF16) => 2,
            _ => 4,
        };
        (text.num_layers * layer + text.vocab_size * d) * bytes
    }

    fn describe(&self, stage: Stage) -> Value {
        let (name, kept, branches) = match stage {
            Stage::Vision => ("vision", None, 0),
            Stage::Whole => ("whole", None, 1),
            Stage::Pruned { budget, branches } => {
                ("pruned", Some(self.kept[budget][0].len()), branches)
            }
            Stage::Decode { branches } => ("decode", None, branches),
        };
        json!({ "name": name, "kept": kept, "branches": branches, "macs": self.macs(stage) })
    }

    fn header(&self) -> Value {
        let stages: Vec<Value> = self.stages().iter().map(|s| self.describe(*s)).collect();
        json!({
            "dtype": self.options.dtype.unwrap_or(DType::F32).as_str(),
            "activations": self.options.activations.name(),
            "kv_cache": self.options.kv_cache.name(),
            "rounding": fp_model::rounding(self.options.activations == fp_model::CpuFormat::Bf16),
            "instructions":
                fp_model::instructions(self.options.activations == fp_model::CpuFormat::Bf16),
            "product_gmacs_per_second": self.product_speed,
            "read_gb_per_second": self.read_speed,
            "decoded_bytes": self.decoded_bytes(),
            "predicted_resident_bytes": self.predicted.total(),
            "threads": rayon::current_num_threads(),
            "tokens": self.sample().layout().sequence_len(),
            "load_seconds": self.load_seconds,
            "stages": stages,
        })
    }
}

/// Times the requested stages, one line each.
fn serve(bench: &Bench) -> Result<(), Box<dyn Error>> {
    let mut header = bench.header();
    let prefilled = bench.model.prefill(&[bench.sample()])?;
    header["logits"] = json!(prefilled.logits(0).unwrap());
    drop(prefilled);
    println!("{header}");
    let stages = bench.stages();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "peak" {
            println!("{}", peak_resident().unwrap_or(0));
            continue;
        }
        let index: usize = line.trim().parse()?;
        let stage = stages.get(index).ok_or("no stage of this index")?;
        println!("{}", bench.time(*stage)?);
    }
    Ok(())
}

/// Times all stages in turns, so that changes in the machine's speed affect all of them, and prints
/// medians and ratios.
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
            Stage::Vision | Stage::Whole | Stage::Decode { .. } => continue,
            Stage::Pruned { branches: 1, .. } => ("whole_over_pruned", WHOLE, 1.0),
            // A budget's single branch comes right before all of its branches.
            Stage::Pruned { .. } => ("single_runs_over_one_call", index - 1, BRANCHES as f64),
        };
        let macs = |index: usize| bench.macs(stages[index]).unwrap_or(f64::NAN);
        let measured = count * medians[other] / medians[index];
        let predicted = count * macs(other) / macs(index);
        entry[name] =
            json!({ "measured": measured, "predicted": predicted, "share": measured / predicted });
    }
    report["peak_resident_bytes"] = json!(peak_resident());
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
