//! What a run took: the part of a report that differs from run to run.

use fp_eval::study::{LoadingTimes, Stages, TimingRecord};
use serde::Serialize;

use super::run::Run;

/// Times of a whole run, from its timings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredTimes {
    /// Seconds by stage, all threads together.
    pub stages: Stages,
    /// Seconds of all stages but preprocessing, which runs beside them, all threads
    /// together: thread-seconds.
    pub total: f64,
    /// Seconds by the clock, from when the model was ready to the last record, summed
    /// over all starts of the run and over the shards that it was merged from. None in
    /// runs of which not every part was measured.
    pub wall_seconds: Option<f64>,
    /// Whether loading kept pace with the model; none in runs from before that was measured.
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
    /// Samples per second by the clock, whatever the number of threads; each sample is
    /// answered under every cell. None without [`MeasuredTimes::wall_seconds`].
    pub samples_per_second: Option<f64>,
    /// Answers per second by the clock.
    pub answers_per_second: Option<f64>,
    /// Samples per second of stage time of one thread.
    pub samples_per_thread_second: f64,
    /// Answers per second of stage time of one thread.
    pub answers_per_thread_second: f64,
    /// Decoded tokens per second of decoding, of one thread.
    pub decoded_per_second: Option<f64>,
}

/// Sums up a run's timings; none where nothing was measured.
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

/// The sum of all spans; none where one wasn't measured, as then it would be of fewer
/// samples than were counted.
fn wall_seconds(timings: &[TimingRecord]) -> Option<f64> {
    let spans: Option<Vec<f64>> = timings.iter().map(|timing| timing.wall).collect();
    Some(spans?.iter().sum()).filter(|wall: &f64| *wall > 0.0)
}
