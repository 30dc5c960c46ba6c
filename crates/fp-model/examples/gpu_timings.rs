//! Times a decoder of 7B shapes on a device: prefill, decoding, branches, and a whole grid.
//!
//! ```text
//! cargo run --release -p fp-model --features cuda --example gpu_timings -- \
//!     random:llava-1.5-7b cuda bf16 RECORD.json [ROUNDS]
//! ```
//!
//! The image's rows are random, so that one model runs sequences of 640 tokens, as for one image,
//! and of 2900, as for an image in five crops. Writes one JSON object of medians in milliseconds,
//! rewritten after each of them; `benches/peers/gpu_model.py` times the same in transformers.
//! Measurements that don't fit the memory are listed under `failed`.

use std::error::Error;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use fp_model::{
    Branches, DummyInput, GenerateOptions, ImageFeatures, LlavaModel, LoadOptions, ModelSource,
    PrefixOptions, Sample, ScoreRequest, device,
};
use fp_scoring::{
    HeadCount, HeadStrategy, KeptTokens, Normalization, QueryStrategy, SelectOptions, error_text,
    random_tokens,
};
use serde_json::{Map, Value, json};

/// Tokens before and after the image.
const SYSTEM: usize = 35;
const TEXT: usize = 27;
/// S, the lengths of the sequences.
const LENGTHS: [usize; 2] = [640, 2900];
const BATCHES: [usize; 2] = [1, 16];
/// Tokens decoded after each prefill, and by the grid.
const NEW_TOKENS: usize = 32;
const GRID_TOKENS: usize = 8;
/// K, and the kept tokens of 576 at the published budgets.
const PRUNE_LAYER: usize = 2;
const KEPT: [usize; 3] = [166, 98, 30];
/// Number of branches of each budget that are decoded together.
const BRANCHES_OF_BUDGET: u64 = 10;
const SEED: u64 = 1;
const WARM_UP: usize = 1;

struct Bench {
    model: LlavaModel,
    input: DummyInput,
    rounds: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, place, dtype, record, rounds) = match &args[..] {
        [name, place, dtype, record] => (name, place, dtype, record, 5),
        [name, place, dtype, record, rounds] => (name, place, dtype, record, rounds.parse()?),
        _ => return Err("usage: gpu_timings MODEL DEVICE f32|f16|bf16 RECORD [ROUNDS]".into()),
    };
    let options = LoadOptions {
        device: device(place)?,
        dtype: Some(dtype.parse::<DType>()?),
        ..LoadOptions::default()
    };
    let start = Instant::now();
    let model = ModelSource::open(name, None)?.load(SEED, &options)?;
    let bench = Bench {
        input: DummyInput::new(model.config(), SYSTEM, TEXT, SEED)?,
        model,
        rounds,
    };
    let mut report = Map::new();
    report.insert("model".to_owned(), json!(name));
    report.insert("device".to_owned(), json!(place));
    report.insert("dtype".to_owned(), json!(dtype));
    report.insert(
        "load_seconds".to_owned(),
        json!(start.elapsed().as_secs_f64()),
    );
    report.insert("failed".to_owned(), json!({}));
    let mut add = |name: &str, outcome: fp_model::Result<Value>| -> Result<(), Box<dyn Error>> {
        match outcome {
            Ok(value) => {
                eprintln!("{name}: {value}");
                report.insert(name.to_owned(), value);
            }
            // For example too little memory on a smaller GPU: the rest is measured anyway.
            Err(error) => {
                eprintln!("{name}: {}", error_text(&error));
                report["failed"][name] = json!(error_text(&error));
            }
        }
        // Written each time, since a time limit may end this program.
        Ok(std::fs::write(
            record,
            serde_json::to_string_pretty(&report)?,
        )?)
    };
    add("vision_ms", bench.vision())?;
    for len in LENGTHS {
        for batch in BATCHES {
            add(&format!("S={len} B={batch}"), bench.sequences(len, batch))?;
        }
    }
    add("branches", bench.branches())?;
    add("grid", bench.grid())
}

impl Bench {
    /// Milliseconds since `start`, after the device has finished everything.
    fn since(&self, start: Instant) -> fp_model::Result<f64> {
        self.model.device().synchronize()?;
        Ok(1e3 * start.elapsed().as_secs_f64())
    }

    /// The median over the rounds of each figure that `run` returns.
    fn medians<const N: usize>(
        &self,
        mut run: impl FnMut() -> fp_model::Result<[f64; N]>,
    ) -> fp_model::Result<[f64; N]> {
        let mut rounds = Vec::new();
        for round in 0..self.rounds + WARM_UP {
            let times = run()?;
            if round >= WARM_UP {
                rounds.push(times);
            }
        }
        Ok(std::array::from_fn(|figure| {
            let mut times: Vec<f64> = rounds.iter().map(|round| round[figure]).collect();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
        }))
    }

    fn vision(&self) -> fp_model::Result<Value> {
        let [ms] = self.medians(|| {
            let start = Instant::now();
            self.model.encode_image(&self.input.pixel_values)?;
            Ok([self.since(start)?])
        })?;
        Ok(json!(ms))
    }

    /// An image of `num_tokens` random rows.
    fn image(&self, num_tokens: usize) -> fp_model::Result<ImageFeatures> {
        let shape = (num_tokens, self.model.config().text.hidden_size);
        let rows =
            Tensor::rand(-0.05_f32, 0.05, shape, &Device::Cpu)?.to_dtype(self.model.dtype())?;
        self.model.image_features(&rows)
    }

    fn sample<'a>(&'a self, features: &'a ImageFeatures) -> Sample<'a> {
        Sample {
            prompt: &self.input.prompt,
            features,
        }
    }

    /// Milliseconds per decoding step of all sequences together, without the first token.
    fn decode(&self, branches: &mut Branches, new_tokens: usize) -> fp_model::Result<f64> {
        let options = GenerateOptions::forced(new_tokens);
        let mut start = Instant::now();
        self.model
            .generate_observed(branches, &options, &mut |count| {
                if count == 1 {
                    self.model.device().synchronize()?;
                    start = Instant::now();
                }
                Ok(())
            })?;
        Ok(self.since(start)? / (new_tokens - 1) as f64)
    }

    /// Prefill and decoding of `batch` sequences of `len` tokens without sharing.
    fn sequences(&self, len: usize, batch: usize) -> fp_model::Result<Value> {
        let image = self.image(len - SYSTEM - TEXT)?;
        let samples = vec![self.sample(&image); batch];
        let [prefill, decode] = self.medians(|| {
            let start = Instant::now();
            let mut branches = self.model.prefill(&samples)?;
            let prefill = self.since(start)?;
            Ok([prefill, self.decode(&mut branches, NEW_TOKENS)?])
        })?;
        Ok(json!({ "prefill_ms": prefill, "decode_ms_per_token": decode }))
    }

    /// Thirty branches of one prefix, ten of each budget.
    fn branches(&self) -> fp_model::Result<Value> {
        let image = self.image(576)?;
        let sample = self.sample(&image);
        let mut kept: Vec<KeptTokens> = Vec::new();
        for count in KEPT {
            for seed in 0..BRANCHES_OF_BUDGET {
                kept.push(random_tokens(576, count, seed)?);
            }
        }
        let options = PrefixOptions {
            depth: PRUNE_LAYER,
            query_rows: vec![sample.layout().sequence_len() - 1],
        };
        let [prefill, decode] = self.medians(|| {
            let start = Instant::now();
            let prefix = self
                .model
                .prefill_prefix(sample.prompt, sample.features, &options)?;
            let mut branches = self.model.branch(&prefix, &kept)?;
            let prefill = self.since(start)?;
            Ok([prefill, self.decode(&mut branches, NEW_TOKENS)?])
        })?;
        Ok(json!({
            "count": kept.len(),
            "prefill_ms": prefill,
            "decode_ms_per_token": decode,
        }))
    }

    /// Study A on one image: every strategy at three budgets and three head counts, from the
    /// pixels to the answers.
    fn grid(&self) -> fp_model::Result<Value> {
        let num_heads = self.model.config().text.num_heads;
        let mut requests = Vec::new();
        for kept in KEPT {
            for heads in [3 * num_heads / 4, num_heads / 2, num_heads / 4] {
                requests.push(ScoreRequest {
                    head_strategies: HeadStrategy::STUDY.to_vec(),
                    options: SelectOptions {
                        normalization: Normalization::L1,
                        num_selected_heads: HeadCount::Count(heads.max(1)),
                        kept,
                        allow_degenerate: false,
                    },
                });
            }
        }
        let mut distinct = 0;
        let [ms] = self.medians(|| {
            let start = Instant::now();
            let image = self.model.encode_image(&self.input.pixel_values)?;
            let sample = self.sample(&image);
            let options = PrefixOptions {
                depth: PRUNE_LAYER,
                query_rows: vec![sample.layout().sequence_len() - 1],
            };
            let prefix = self
                .model
                .prefill_prefix(sample.prompt, sample.features, &options)?;
            let combined = prefix.combine(QueryStrategy::LastToken)?;
            let mut kept = Vec::new();
            for chosen in combined.score(&requests) {
                kept.extend(chosen?.into_iter().map(|selection| selection.kept_tokens));
            }
            let mut branches = self.model.branch(&prefix, &kept)?;
            distinct = branches.num_distinct();
            self.model
                .generate(&mut branches, &GenerateOptions::forced(GRID_TOKENS))?;
            Ok([self.since(start)?])
        })?;
        Ok(json!({
            "cells": requests.len() * HeadStrategy::STUDY.len(),
            "distinct": distinct,
            "new_tokens": GRID_TOKENS,
            "ms": ms,
        }))
    }
}
