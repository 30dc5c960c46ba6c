//! What a run took: the part of a report that differs from run to run.

use serde::Serialize;

use super::run::Run;
use crate::study::{LoadingTimes, Stages};

/// Times of a whole run, from its timings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredTimes {
    /// Seconds by stage, all threads together.
    pub stages: Stages,
    /// Seconds of all stages but preprocessing, which runs beside them.
    pub total: f64,
    /// Whether loading kept up with the model; none in runs from before that was measured.
    pub loading: Option<LoadingTimes>,
    /// Samples.
    pub num_samples: usize,
    /// Images, as often as they were encoded.
    pub num_images: usize,
    /// Answers: samples × cells, less those that don't apply.
    pub num_answers: usize,
    /// Runs of the model that these came to, after equal kept sets were run once.
    pub num_runs: usize,
    /// Rows that went through the layers after K.
    pub num_suffix_rows: usize,
    /// Tokens that were decoded.
    pub num_decoded: usize,
    /// Most bytes of keys and values that were held at once.
    pub peak_kv_bytes: usize,
    /// Samples per second of stage time.
    pub samples_per_second: f64,
    /// Answers per second of stage time.
    pub answers_per_second: f64,
    /// Decoded tokens per second of decoding.
    pub decoded_per_second: Option<f64>,
}

/// Sums up a run's timings; none where nothing was measured.
pub fn measured_times(run: &Run) -> Option<MeasuredTimes> {
    let mut times = MeasuredTimes {
        stages: Stages::default(),
        total: 0.0,
        loading: None,
        num_samples: 0,
        num_images: 0,
        num_answers: 0,
        num_runs: 0,
        num_suffix_rows: 0,
        num_decoded: 0,
        peak_kv_bytes: 0,
        samples_per_second: 0.0,
        answers_per_second: 0.0,
        decoded_per_second: None,
    };
    let mut loading = LoadingTimes::default();
    for record in &run.timings {
        loading.add(record);
        times.stages.add(&record.seconds);
        times.num_samples += record.samples.len();
        times.num_images += record.num_images;
        times.num_answers += record.num_answers;
        times.num_runs += record.num_runs;
        times.num_suffix_rows += record.num_suffix_rows;
        times.num_decoded += record.num_decoded;
        times.peak_kv_bytes = times.peak_kv_bytes.max(record.kv_bytes);
    }
    times.total = times.stages.answering();
    times.loading = Some(loading).filter(|loading| loading.waiting_share().is_some());
    if times.total <= 0.0 {
        return None;
    }
    times.samples_per_second = times.num_samples as f64 / times.total;
    times.answers_per_second = times.num_answers as f64 / times.total;
    let decode = times.stages.decode;
    times.decoded_per_second = (decode > 0.0).then(|| times.num_decoded as f64 / decode);
    Some(times)
}
