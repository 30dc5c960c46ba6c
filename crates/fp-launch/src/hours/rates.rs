//! Seconds per image and per question, estimated or measured.

use std::path::Path;

use fp_eval::study::{CostModel, Stages, read_spec, read_timings};
use serde::Serialize;

use crate::error::LaunchError;

/// A GPU's speed, as far as the estimate needs it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gpu {
    /// Peak rate of 16-bit arithmetic in 10¹² operations per second, a multiply-add counting as
    /// two, from the data sheet.
    pub tflops: f64,
    /// Share of that rate that a prefill reaches.
    pub efficiency: f64,
    /// Memory bandwidth in 10⁹ bytes per second, from the data sheet.
    pub gigabytes_per_second: f64,
    /// Share of that bandwidth that decoding reaches.
    pub bandwidth_efficiency: f64,
    /// Number of rows that are decoded together.
    pub rows: f64,
    /// Mean number of tokens per answer, including the end token.
    pub answer_tokens: f64,
}

impl Gpu {
    /// An A100 of 80 GB by NVIDIA's data sheet (312 TFLOPS at bf16 without sparsity, 2039 GB/s);
    /// the other figures are assumptions and are printed as such.
    pub const A100: Gpu = Gpu {
        tflops: 312.0,
        efficiency: 0.4,
        gigabytes_per_second: 2039.0,
        bandwidth_efficiency: 0.6,
        rows: 64.0,
        answer_tokens: 4.0,
    };
}

/// Seconds of one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds per image, shared by all of its questions.
    pub per_image: f64,
    /// Seconds per question, over all cells.
    pub per_question: f64,
}

impl Rates {
    /// Estimates the rates from shapes: multiplications at a share of the GPU's peak rate, and
    /// weights read once for every decoding step of `rows` rows.
    ///
    /// `weights` is the number of bytes of the decoder's weights, `tokens` the number of tokens of
    /// an image.
    pub fn estimated(costs: &CostModel, weights: f64, tokens: f64, gpu: &Gpu) -> Rates {
        let macs_per_second = gpu.tflops * 1e12 * gpu.efficiency / 2.0;
        let bytes_per_second = gpu.gigabytes_per_second * 1e9 * gpu.bandwidth_efficiency;
        let image = costs.image_macs(tokens);
        let question = costs.question_macs(tokens);
        let cells = costs.num_cells() as f64;
        let steps = cells * gpu.answer_tokens / gpu.rows;
        let read = steps * weights / bytes_per_second;
        let multiplied = gpu.answer_tokens * question.decoded_token / macs_per_second;
        Rates {
            per_image: (image.vision + image.prefix) / macs_per_second,
            per_question: (question.prefix + question.suffix) / macs_per_second
                + read.max(multiplied),
        }
    }

    /// Computes the rates from the stage timings of a run, for a grid of `num_cells` cells.
    ///
    /// # Errors
    /// The folder isn't a run's, or the run has no timings.
    pub fn measured(run: &Path, num_cells: usize) -> Result<Rates, LaunchError> {
        let spec = read_spec(run)?;
        let timings = read_timings(run)?;
        let mut stages = Stages::default();
        let (mut images, mut answers, mut samples) = (0, 0, 0);
        for timing in &timings {
            stages.add(&timing.seconds);
            images += timing.num_images;
            answers += timing.num_answers;
            samples += timing.samples.len();
        }
        if images == 0 || answers == 0 {
            let found = format!("{}: {samples} timed samples", spec.config.model);
            let expected = "a run with timings of answers";
            return Err(LaunchError::setting("--measured", found, expected));
        }
        let per_answer = (stages.scoring + stages.suffix + stages.decode) / answers as f64;
        Ok(Rates {
            per_image: (stages.vision + stages.prefix) / images as f64,
            per_question: per_answer * num_cells as f64,
        })
    }
}
