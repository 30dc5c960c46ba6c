//! Timings of a run's stages.

use std::time::{Duration, Instant};

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Seconds by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// Reading, decoding and preprocessing images, in parallel with the other stages.
    pub preprocess: f64,
    /// Vision tower and projector.
    pub vision: f64,
    /// Layers 1..K; all layers if nothing is pruned.
    pub prefix: f64,
    /// Scoring and selection.
    pub scoring: f64,
    /// Layers K+1..L, on the kept tokens.
    pub suffix: f64,
    /// Decoding.
    pub decode: f64,
    /// Measuring the diversity of kept tokens, which answers don't depend on.
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

    /// Seconds of all stages except preprocessing, which runs in parallel. Measuring diversity
    /// counts, since it takes the same threads' time.
    pub fn answering(&self) -> f64 {
        let named = self.named();
        let answering = named.iter().filter(|(name, _)| *name != "preprocess");
        answering.map(|(_, seconds)| seconds).sum()
    }

    /// Adds the seconds of `other`.
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

/// Timings of samples that were run together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingRecord {
    /// The samples, by index.
    pub samples: Vec<usize>,
    /// Number of images of the samples.
    pub num_images: usize,
    /// Number of requested answers: samples × cells, minus those that don't apply.
    pub num_answers: usize,
    /// Number of runs of the model for these answers.
    pub num_runs: usize,
    /// Number of rows that went through the layers after K.
    pub num_suffix_rows: usize,
    /// Number of decoded tokens.
    pub num_decoded: usize,
    /// Largest number of bytes of keys and values held at one time.
    pub kv_bytes: usize,
    /// Seconds by stage.
    pub seconds: Stages,
    /// Seconds that a worker, done with other samples, waited for these to be loaded; `None` in
    /// older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<f64>,
    /// Seconds that a worker waited for its first samples, which are not loaded ahead.
    #[serde(default)]
    pub starting: f64,
    /// Wall-clock seconds from the previous record, or from when the model was ready, until these
    /// samples were recorded. Spans of one program don't overlap, so their sum is the total time of
    /// recording over all starts of a run; `None` in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<f64>,
}

/// Share of its time above which a waiting worker counts as held up.
const HELD_UP: f64 = 0.05;

/// Whether images were loaded as fast as the model processed them, over all jobs with measured
/// waiting times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadingTimes {
    /// Seconds of reading, decoding and preprocessing images, summed over threads.
    pub loading: f64,
    /// Seconds that workers waited for loading, except for their first jobs.
    pub waiting: f64,
    /// Seconds that workers waited for their first jobs.
    pub starting: f64,
    /// Seconds of all stages except preprocessing.
    pub answering: f64,
}

impl LoadingTimes {
    /// Adds a job, if its waiting time was measured.
    pub fn add(&mut self, timing: &TimingRecord) {
        if let Some(waiting) = timing.waiting {
            self.loading += timing.seconds.preprocess;
            self.waiting += waiting;
            self.starting += timing.starting;
            self.answering += timing.seconds.answering();
        }
    }

    /// Share of the workers' time spent waiting, 0 to 1, after their first jobs; `None` if nothing
    /// was measured.
    pub fn waiting_share(&self) -> Option<f64> {
        let total = self.waiting + self.answering;
        (total > 0.0).then(|| self.waiting / total)
    }

    /// Whether loading held up the model, as a sentence; `None` if nothing was measured.
    pub fn verdict(&self) -> Option<String> {
        let share = self.waiting_share()?;
        let kept_up = if share <= HELD_UP {
            "loading kept pace with the model"
        } else {
            "loading slowed the model down"
        };
        Some(format!(
            "Workers waited for images for {:.1} % of their time ({:.2} s, compared with {:.2} s of answering, after {:.2} s for their first ones; loading took {:.2} s): {kept_up}.",
            100.0 * share,
            self.waiting,
            self.answering,
            self.starting,
            self.loading,
        ))
    }
}

impl Serialize for LoadingTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("LoadingTimes", 5)?;
        fields.serialize_field("loading_seconds", &self.loading)?;
        fields.serialize_field("waiting_seconds", &self.waiting)?;
        fields.serialize_field("starting_seconds", &self.starting)?;
        fields.serialize_field("answering_seconds", &self.answering)?;
        fields.serialize_field("waiting_share", &self.waiting_share())?;
        fields.end()
    }
}

/// Measures consecutive stages.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(preprocess: f64, decode: f64, waiting: Option<f64>) -> TimingRecord {
        TimingRecord {
            seconds: Stages {
                preprocess,
                decode,
                ..Stages::default()
            },
            waiting,
            ..TimingRecord::default()
        }
    }

    #[test]
    fn waiting_is_told_beside_the_workers_time() {
        let mut times = LoadingTimes::default();
        assert_eq!((times.waiting_share(), times.verdict()), (None, None));
        times.add(&timing(3.0, 2.0, Some(0.0)));
        times.add(&timing(1.0, 5.0, None));
        times.add(&timing(1.0, 7.0, Some(1.0)));
        times.add(&TimingRecord {
            starting: 50.0,
            ..timing(0.0, 0.0, Some(0.0))
        });
        assert_eq!(
            (times.loading, times.answering, times.starting),
            (4.0, 9.0, 50.0)
        );
        assert_eq!(times.waiting_share(), Some(0.1));
        let verdict = times.verdict().unwrap();
        assert!(verdict.contains("10.0 %") && verdict.ends_with("slowed the model down."));
        times.add(&timing(1.0, 91.0, Some(0.0)));
        assert!(
            times
                .verdict()
                .unwrap()
                .ends_with("kept pace with the model.")
        );
        let json = serde_json::to_value(times).unwrap();
        assert_eq!(json["waiting_share"], 1.0 / 101.0);
    }

    #[test]
    fn records_from_before_waiting_was_measured_are_read() {
        let old = r#"{"samples":[0],"num_images":1,"num_answers":4,"num_runs":3,"num_suffix_rows":9,
            "num_decoded":5,"kv_bytes":64,"seconds":{"preprocess":0.5,"vision":0.1,"prefix":0.1,
            "scoring":0.1,"suffix":0.1,"decode":0.1,"diversity":0.0}}"#;
        let old: TimingRecord = serde_json::from_str(old).unwrap();
        assert_eq!((old.waiting, old.seconds.preprocess), (None, 0.5));
    }
}
