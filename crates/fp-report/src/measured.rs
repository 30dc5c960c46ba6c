//! Measured times of a run: the part of a report that differs from run to run.

use fp_eval::study::{LoadingTimes, Stages, TimingRecord};
use serde::Serialize;

use super::run::Run;

/// Times of a whole run, from its timings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredTimes {
    /// Seconds by stage, all threads together.
    pub stages: Stages,
    /// Seconds of all stages except preprocessing, which runs in parallel, summed over threads:
    /// thread-seconds.
    pub total: f64,
    /// Wall-clock seconds from the moment the model was ready to the last record, summed over all
    /// starts of the run and over its shards. `None` where some part was not measured.
    pub wall_seconds: Option<f64>,
    /// Whether loading kept pace with the model; `None` in older runs, which didn't measure it.
    pub loading: Option<LoadingTimes>,
    /// Number of samples.
    pub num_samples: usize,
    /// Number of images, each counted as often as it was encoded.
    pub num_images: usize,
    /// Number of answers: samples × cells, without cells that don't apply.
    pub num_answers: usize,
    /// Number of runs of the model for these answers; equal kept sets are run once.
    pub num_runs: usize,
    /// Number of rows that went through the layers after K.
    pub num_suffix_rows: usize,
    /// Number of decoded tokens.
    pub num_decoded: usize,
    /// Peak size of the KV cache, in bytes.
    pub peak_kv_bytes: usize,
    /// Samples per wall-clock second, for the number of threads used; each sample is answered under
    /// every cell. `None` without [`MeasuredTimes::wall_seconds`].
    pub samples_per_second: Option<f64>,
    /// Answers per wall-clock second.
    pub answers_per_second: Option<f64>,
    /// Samples per thread-second.
    pub samples_per_thread_second: f64,
    /// Answers per thread-second.
    pub answers_per_thread_second: f64,
    /// Decoded tokens per thread-second of decoding.
    pub decoded_per_second: Option<f64>,
}

/// Sums up a run's timings; `None` where nothing was measured.
pub(crate) fn measured_times(run: &Run) -> Option<MeasuredTimes> {
    let mut stages = Stages::default();
    let mut loading = LoadingTimes::default();
    for record in &run.timings {
        loading.add(record);
        stages.add(&record.seconds);
    }
    let total = stages.answering();
    if total <= 0.0 {
        return None;
    }
    let count = |of: fn(&TimingRecord) -> usize| run.timings.iter().map(of).sum::<usize>();
    let num_samples = count(|timing| timing.samples.len());
    let num_answers = count(|timing| timing.num_answers);
    let num_decoded = count(|timing| timing.num_decoded);
    let wall_seconds = wall_seconds(&run.timings);
    let by_clock = |number: usize| wall_seconds.map(|wall| number as f64 / wall);
    let rate = |number: usize, seconds: f64| number as f64 / seconds;
    Some(MeasuredTimes {
        total,
        wall_seconds,
        loading: Some(loading).filter(|loading| loading.waiting_share().is_some()),
        num_samples,
        num_images: count(|timing| timing.num_images),
        num_answers,
        num_runs: count(|timing| timing.num_runs),
        num_suffix_rows: count(|timing| timing.num_suffix_rows),
        num_decoded,
        peak_kv_bytes: run.timings.iter().map(|t| t.kv_bytes).max().unwrap_or(0),
        samples_per_second: by_clock(num_samples),
        answers_per_second: by_clock(num_answers),
        samples_per_thread_second: rate(num_samples, total),
        answers_per_thread_second: rate(num_answers, total),
        decoded_per_second: (stages.decode > 0.0).then(|| rate(num_decoded, stages.decode)),
        stages,
    })
}

/// The sum of all spans; `None` if one wasn't measured, since the sum would cover fewer samples
/// than were counted.
fn wall_seconds(timings: &[TimingRecord]) -> Option<f64> {
    let spans: Option<Vec<f64>> = timings.iter().map(|timing| timing.wall).collect();
    Some(spans?.iter().sum()).filter(|wall: &f64| *wall > 0.0)
}
