//! What the stages of a run took.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Seconds by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// Decoding and preprocessing images, beside the other stages.
    pub preprocess: f64,
    /// Vision tower and projector.
    pub vision: f64,
    /// Layers 1..K; all layers where nothing is pruned.
    pub prefix: f64,
    /// Scoring and selection.
    pub scoring: f64,
    /// Layers K+1..L of what was kept.
    pub suffix: f64,
    /// Decoding.
    pub decode: f64,
    /// Measuring how different kept tokens are; no part of answering.
    pub diversity: f64,
}

impl Stages {
    /// The stages by name, in order.
    pub fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("preprocess", self.preprocess),
            ("vision", self.vision),
            ("prefix", self.prefix),
            ("scoring", self.scoring),
            ("suffix", self.suffix),
            ("decode", self.decode),
            ("diversity", self.diversity),
        ]
    }

    /// Adds another's seconds.
    pub fn add(&mut self, other: &Stages) {
        self.preprocess += other.preprocess;
        self.vision += other.vision;
        self.prefix += other.prefix;
        self.scoring += other.scoring;
        self.suffix += other.suffix;
        self.decode += other.decode;
        self.diversity += other.diversity;
    }
}

/// What some samples took that were run together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingRecord {
    /// The samples, by index.
    pub samples: Vec<usize>,
    /// Images that they are on.
    pub num_images: usize,
    /// Answers that were asked for: samples × cells, less those that don't apply.
    pub num_answers: usize,
    /// Runs of the model that these came to.
    pub num_runs: usize,
    /// Rows that went through the layers after K.
    pub num_suffix_rows: usize,
    /// Tokens that were decoded.
    pub num_decoded: usize,
    /// Most bytes of keys and values that were held at once.
    pub kv_bytes: usize,
    /// Seconds by stage.
    pub seconds: Stages,
}

/// Measures one stage after the other.
#[derive(Debug)]
pub(crate) struct StopWatch(Instant);

impl StopWatch {
    pub(crate) fn start() -> StopWatch {
        StopWatch(Instant::now())
    }

    /// Seconds since the start or the last call.
    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        seconds(lap)
    }
}

pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
