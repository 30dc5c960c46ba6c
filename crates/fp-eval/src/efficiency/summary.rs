//! From samples to figures, each beside the one predicted by counting.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::EfficiencyError;
use super::machine::Machine;
use super::measure::{Outcome, Samples};
use super::memory::{METHOD, PeakMemory};
use super::named::{MeasuredMethod, SkippedMethod, summarise_method};
use super::pass::StageSeconds;
use super::plan::{Plan, Schedule, ScoringMethod};
use super::spread::Spread;
use crate::study::RunSpec;

/// Version of the measurement's format.
const VERSION: u32 = 1;

/// A complete measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Efficiency {
    /// Version of the format.
    pub version: u32,
    /// The plan that was run.
    pub plan: Plan,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// Figures of each of the plan's schedules, in order.
    pub schedules: Vec<MeasuredSchedule>,
    /// Figures of each of the plan's scoring methods, in order.
    pub scoring: Vec<MeasuredScoring>,
    /// Figures of each method that was run whole, except those that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MeasuredMethod>,
    /// Methods that failed on the image and the question, or that can't be run according to the
    /// plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_methods: Vec<SkippedMethod>,
    /// Batches skipped because they would not fit into memory.
    pub skipped_batches: Vec<BatchSkipped>,
    /// How peak memory was measured, or why it wasn't.
    pub memory_method: String,
    /// States that peak memory of a GPU isn't measured.
    pub device_memory: String,
    /// Whether every round kept the same tokens and decoded the same text.
    pub is_repeatable: bool,
    /// Seconds that the whole measurement took.
    pub seconds: f64,
}

/// One schedule's figures. Times are in milliseconds, for one sample alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredSchedule {
    /// The schedule's label.
    pub label: String,
    /// Vision tower and projector.
    pub vision_ms: Spread,
    /// Layers 1..K, and the attention rows that scoring reads.
    pub prefix_ms: Spread,
    /// Scoring and selection by the plan's first method; `None` if nothing is scored.
    pub scoring_ms: Option<Spread>,
    /// Layers K+1..L and the LM head, until the first token is chosen.
    pub suffix_ms: Spread,
    /// The decoder until the first token: the sum of the previous three.
    pub prefill_ms: Spread,
    /// From the preprocessed pixels to the first token: vision and prefill.
    pub first_token_ms: Spread,
    /// From the pixels to the last token.
    pub total_ms: Spread,
    /// Tokens per second after the first one; `None` if only one is decoded.
    pub decode_tokens_per_second: Option<Spread>,
    /// Dense ÷ pruned prefill time of the decoder, round by round.
    pub prefill_speed_up: Spread,
    /// The same for the time to the first token.
    pub first_token_speed_up: Spread,
    /// The same for the time to the last token.
    pub total_speed_up: Spread,
    /// Median speed-up of the prefill, divided by the predicted one.
    pub share_of_predicted: f64,
    /// Samples per second by batch size, starting at one sample.
    pub batches: Vec<BatchRate>,
    /// Bytes of the key and value buffers after the prefill.
    pub kv_bytes: u64,
    /// Memory of a process that runs nothing else.
    pub peak_memory: Option<PeakMemory>,
    /// The kept image tokens; `None` for the dense model.
    pub kept_tokens: Option<Vec<usize>>,
    /// The decoded tokens.
    pub token_ids: Vec<u32>,
}

/// Throughput of batches of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRate {
    /// Number of samples that run together.
    pub batch: usize,
    /// Samples per second, from the pixels to the last token.
    pub samples_per_second: Spread,
}

/// A batch skipped because it would not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSkipped {
    /// Number of samples in the batch.
    pub batch: usize,
    /// Estimated bytes that the dense model would need besides its weights.
    pub needed_bytes: u64,
    /// Bytes that it may use.
    pub limit_bytes: u64,
}

/// Time to select tokens by one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredScoring {
    /// The method.
    pub method: ScoringMethod,
    /// Milliseconds for each of the plan's schedules; `None` if it isn't scored.
    pub ms: Vec<Option<Spread>>,
}

impl MeasuredSchedule {
    /// The batch size with the most samples per second.
    pub fn best_batch(&self) -> Option<&BatchRate> {
        let rate = |rate: &BatchRate| rate.samples_per_second.median;
        self.batches.iter().reduce(|best, other| {
            if rate(other) > rate(best) {
                other
            } else {
                best
            }
        })
    }
}

impl Efficiency {
    /// Whether the measurement is for this run's model and configuration.
    pub fn is_of(&self, spec: &RunSpec) -> bool {
        self.plan.model_sha256.as_deref() == Some(&spec.model.sha256)
            && self.plan.config_sha256.as_deref() == Some(&spec.config_sha256)
    }

    /// Figures of a cell's method, if it was run whole.
    pub fn method(&self, cell: &str) -> Option<&MeasuredMethod> {
        self.methods.iter().find(|method| method.cell == cell)
    }

    /// Each schedule with its figures.
    pub fn schedules(&self) -> impl Iterator<Item = (&Schedule, &MeasuredSchedule)> {
        self.plan.schedules.iter().zip(&self.schedules)
    }
}

pub(super) fn summarise(
    plan: Plan,
    machine: Machine,
    samples: &Samples,
    peaks: &[Result<PeakMemory, String>],
    seconds: f64,
) -> Result<Efficiency, EfficiencyError> {
    let dense = samples.stages.first().map_or(&[][..], Vec::as_slice);
    let mut schedules = Vec::new();
    for (index, schedule) in plan.schedules.iter().enumerate() {
        let rounds = samples.stages.get(index).map_or(&[][..], Vec::as_slice);
        let outcome = samples.outcomes.get(index);
        let (Some(figures), Some(outcome)) = (Figures::of(rounds, dense, &plan), outcome) else {
            continue;
        };
        let mut batches = vec![BatchRate {
            batch: 1,
            samples_per_second: figures.rate,
        }];
        for (batch, seconds) in &samples.batches {
            let rates = seconds[index].iter().map(|seconds| *batch as f64 / seconds);
            batches.extend(Spread::of(rates).map(|samples_per_second| BatchRate {
                batch: *batch,
                samples_per_second,
            }));
        }
        let peak = peaks.get(index).and_then(|peak| peak.as_ref().ok());
        schedules.push(figures.finish(schedule, outcome, batches, peak.copied()));
    }
    let scoring = plan
        .methods
        .iter()
        .zip(&samples.scoring)
        .map(|(method, schedules)| MeasuredScoring {
            method: *method,
            ms: schedules
                .iter()
                .map(|rounds| Spread::of(rounds.iter().map(|seconds| 1e3 * seconds)))
                .collect(),
        })
        .collect();
    let named = || plan.named.iter().zip(&samples.named);
    let methods = named().filter_map(|(method, samples)| summarise_method(method, samples, dense));
    let failed = named().filter_map(|(method, samples)| {
        Some(SkippedMethod {
            cell: method.cell.clone(),
            reason: samples.error.clone()?,
        })
    });
    Ok(Efficiency {
        version: VERSION,
        methods: methods.collect(),
        failed_methods: failed.collect(),
        plan_sha256: plan.sha256()?,
        machine,
        schedules,
        scoring,
        skipped_batches: samples.skipped.clone(),
        memory_method: memory_method(peaks),
        device_memory: match plan.device.as_str() {
            "cpu" => "no device besides the CPU".to_owned(),
            device => format!("the peak memory of {device} is not measured"),
        },
        is_repeatable: samples.is_repeatable,
        seconds,
        plan,
    })
}

fn memory_method(peaks: &[Result<PeakMemory, String>]) -> String {
    match (
        peaks.first(),
        peaks.iter().find_map(|peak| peak.as_ref().err()),
    ) {
        (None, _) => "not measured: not requested".to_owned(),
        (_, Some(reason)) => format!("not measured: {reason}"),
        (Some(_), None) => METHOD.to_owned(),
    }
}

/// Times of a schedule.
struct Figures {
    stages: [Spread; 4],
    prefill: Spread,
    first_token: Spread,
    total: Spread,
    decode: Option<Spread>,
    rate: Spread,
    speed_ups: [Spread; 3],
}

impl Figures {
    /// `None` without rounds.
    fn of(rounds: &[StageSeconds], dense: &[StageSeconds], plan: &Plan) -> Option<Figures> {
        let of = |value: &dyn Fn(&StageSeconds) -> f64| Spread::of(rounds.iter().map(value));
        let ms = |value: &dyn Fn(&StageSeconds) -> f64| of(&|s: &StageSeconds| 1e3 * value(s));
        let against = |value: &dyn Fn(&StageSeconds) -> f64| {
            let pairs = dense.iter().zip(rounds);
            Spread::of(pairs.map(|(dense, this)| value(dense) / value(this)))
        };
        let further = plan.settings.new_tokens.saturating_sub(1) as f64;
        Some(Figures {
            stages: [
                ms(&|s| s.vision)?,
                ms(&|s| s.prefix)?,
                ms(&|s| s.scoring)?,
                ms(&|s| s.suffix)?,
            ],
            prefill: ms(&StageSeconds::prefill)?,
            first_token: ms(&StageSeconds::first_token)?,
            total: ms(&StageSeconds::total)?,
            decode: of(&|s| further / s.decode).filter(|_| further > 0.0),
            rate: of(&|s| 1.0 / s.total())?,
            speed_ups: [
                against(&StageSeconds::prefill)?,
                against(&StageSeconds::first_token)?,
                against(&StageSeconds::total)?,
            ],
        })
    }

    fn finish(
        self,
        schedule: &Schedule,
        outcome: &Outcome,
        batches: Vec<BatchRate>,
        peak_memory: Option<PeakMemory>,
    ) -> MeasuredSchedule {
        let [vision_ms, prefix_ms, scoring_ms, suffix_ms] = self.stages;
        let [prefill_speed_up, first_token_speed_up, total_speed_up] = self.speed_ups;
        let kept = outcome.kept.as_ref();
        MeasuredSchedule {
            label: schedule.label.clone(),
            vision_ms,
            prefix_ms,
            scoring_ms: Some(scoring_ms).filter(|_| schedule.is_scored),
            suffix_ms,
            prefill_ms: self.prefill,
            first_token_ms: self.first_token,
            total_ms: self.total,
            decode_tokens_per_second: self.decode,
            prefill_speed_up,
            first_token_speed_up,
            total_speed_up,
            share_of_predicted: prefill_speed_up.median / schedule.predicted.prefill_speed_up,
            batches,
            kv_bytes: outcome.kv_bytes as u64,
            peak_memory,
            kept_tokens: kept.map(|kept| kept.as_slice().to_vec()),
            token_ids: outcome.tokens.clone(),
        }
    }
}

/// Writes a measurement atomically.
///
/// # Errors
/// A file that can't be written.
pub fn write(path: &Path, efficiency: &Efficiency) -> Result<(), EfficiencyError> {
    let text = serde_json::to_string_pretty(efficiency)? + "\n";
    let part = path.with_extension("json.part");
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // A partly written file is removed.
        let _ = std::fs::remove_file(&part);
        EfficiencyError::Io {
            doing: "write",
            path: path.to_owned(),
            source,
        }
    })
}

/// Reads a measurement; `None` if the file doesn't exist.
///
/// # Errors
/// A file that can't be read or isn't a measurement of this version.
pub fn read(path: &Path) -> Result<Option<Efficiency>, EfficiencyError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fp_scoring::read_text_file(path).map_err(|source| EfficiencyError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })?;
    let read: Efficiency =
        serde_json::from_str(&text).map_err(|source| EfficiencyError::Content {
            path: path.to_owned(),
            source,
        })?;
    Ok(Some(read))
}
