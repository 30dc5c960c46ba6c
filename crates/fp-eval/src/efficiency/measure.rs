//! Running all measurements in turns.

use std::time::Instant;

use fp_model::{LlavaModel, Prefix, PrefixOptions, Sample};
use fp_scoring::KeptTokens;

use super::error::EfficiencyError;
use super::input::Input;
use super::machine::Machine;
use super::memory::PeakMeter;
use super::named::{NamedSamples, RunnableMethod, pass_method};
use super::pass::{Passed, StageSeconds, Watch, pass, select};
use super::plan::Plan;
use super::prepared::{Loaded, Prepared};
use super::summary::{BatchSkipped, Efficiency, summarise};
use crate::study::memory::{MemoryPlan, default_limit};

/// The current step of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The weights are being read.
    Loading,
    /// Number of rounds done, and of all rounds.
    Rounds(usize, usize),
    /// Batches of this size are running.
    Batch(usize),
    /// Number of schedules that have run in a process of their own, and of all schedules.
    Memory(usize, usize),
}

/// Results of a schedule, the same in every round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) kv_bytes: usize,
    pub(super) kept: Option<KeptTokens>,
    pub(super) tokens: Vec<u32>,
}

/// All measured values before they are summarised.
#[derive(Debug)]
pub(super) struct Samples {
    /// Seconds by stage, `[schedules][rounds]`.
    pub(super) stages: Vec<Vec<StageSeconds>>,
    /// Results of each schedule.
    pub(super) outcomes: Vec<Outcome>,
    /// Whether every round gave the same outcomes.
    pub(super) is_repeatable: bool,
    /// `[methods][schedules][rounds]` in seconds; empty if nothing is scored.
    pub(super) scoring: Vec<Vec<Vec<f64>>>,
    /// Values of each method that is run whole.
    pub(super) named: Vec<NamedSamples>,
    /// `(batch, [schedules][rounds])` in seconds for the whole batch.
    pub(super) batches: Vec<(usize, Vec<Vec<f64>>)>,
    /// Batches skipped because they would not fit into memory.
    pub(super) skipped: Vec<BatchSkipped>,
}

/// Index among `count` of what runs at `turn` of `round`: each round begins one further, so that no
/// item always follows the same one.
fn turn(round: usize, turn: usize, count: usize) -> usize {
    (round + turn) % count
}

/// Measures everything in the plan. `meter` runs a schedule in a process of its own; `memory_limit`
/// is the most bytes that a batch may take, half the free memory by default.
///
/// # Errors
/// A model that can't be read or run.
pub fn measure(
    prepared: Prepared,
    memory_limit: Option<u64>,
    meter: Option<&mut PeakMeter<'_>>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Efficiency, EfficiencyError> {
    let start = Instant::now();
    let machine = Machine::now();
    progress(Progress::Loading);
    let pool = prepared.pool()?;
    let bytes = |plan: &Plan, config: &fp_model::ModelConfig| {
        let memory = MemoryPlan::new(
            u64::MAX,
            config,
            plan.bytes_per_value,
            plan.prune_layer,
            plan.settings.new_tokens,
        );
        memory.sequence_bytes(plan.layout.sequence_len())
    };
    let sample_bytes = bytes(&prepared.plan, prepared.source.config());
    let Loaded {
        plan,
        input,
        model,
        named,
    } = prepared.load()?;
    let bench = Bench {
        plan: &plan,
        input: &input,
        model: &model,
        named: &named,
    };
    let limit = match memory_limit {
        Some(limit) => limit,
        None => default_limit(&model)?,
    };
    let mut samples = pool.install(|| bench.rounds(progress))?;
    for batch in plan.settings.batches() {
        let needed = sample_bytes.saturating_mul(batch as u64);
        if needed > limit {
            samples.skipped.push(BatchSkipped {
                batch,
                needed_bytes: needed,
                limit_bytes: limit,
            });
            continue;
        }
        progress(Progress::Batch(batch));
        let seconds = pool.install(|| bench.batch(batch))?;
        samples.batches.push((batch, seconds));
    }
    // The processes that measure memory load weights of their own.
    drop(model);
    let mut peaks = Vec::new();
    if let Some(meter) = meter {
        for schedule in 0..plan.schedules.len() {
            progress(Progress::Memory(schedule, plan.schedules.len()));
            peaks.push(meter(schedule));
        }
    }
    let machine = machine.finish();
    summarise(
        plan,
        machine,
        &samples,
        &peaks,
        start.elapsed().as_secs_f64(),
    )
}

struct Bench<'a> {
    plan: &'a Plan,
    input: &'a Input,
    model: &'a LlavaModel,
    named: &'a [RunnableMethod],
}

impl Bench<'_> {
    /// All rounds of a single sample: in each, every schedule and every method once.
    fn rounds(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Samples, EfficiencyError> {
        let plan = self.plan;
        let (warmup, repeats) = (plan.settings.warmup, plan.settings.repeats);
        let count = plan.schedules.len();
        let mut stages = vec![Vec::with_capacity(repeats); count];
        let mut outcomes: Vec<Option<Outcome>> = vec![None; count];
        let mut is_repeatable = true;
        let scored = self.scored_prefix()?;
        let mut named: Vec<NamedSamples> = Vec::new();
        named.resize_with(self.named.len(), NamedSamples::default);
        let mut scoring = vec![vec![Vec::with_capacity(repeats); count]; plan.methods.len()];
        for round in 0..warmup + repeats {
            progress(Progress::Rounds(round, warmup + repeats));
            for position in 0..count {
                let index = turn(round, position, count);
                let passed = pass(self.model, self.input, plan, &plan.schedules[index], 1)?;
                if round >= warmup {
                    stages[index].push(passed.seconds);
                }
                let outcome = Outcome::of(passed);
                match &outcomes[index] {
                    Some(first) => is_repeatable &= *first == outcome,
                    None => outcomes[index] = Some(outcome),
                }
            }
            for position in 0..named.len() {
                let index = turn(round, position, named.len());
                is_repeatable &= self.round_of(index, &mut named[index], round >= warmup);
            }
            if let Some(prefix) = &scored {
                self.score(prefix, round, |method, schedule, seconds| {
                    if round >= warmup {
                        scoring[method][schedule].push(seconds);
                    }
                })?;
            }
        }
        Ok(Samples {
            stages,
            outcomes: outcomes.into_iter().flatten().collect(),
            is_repeatable,
            scoring,
            named,
            batches: Vec::new(),
            skipped: Vec::new(),
        })
    }

    /// Runs a whole method once, and returns whether its results equal those of its first run. A
    /// method that fails is not run again: it may not apply to this image or question.
    fn round_of(&self, index: usize, samples: &mut NamedSamples, is_counted: bool) -> bool {
        if samples.error.is_some() {
            return true;
        }
        let (plan, new_tokens) = (&self.named[index].plan, self.plan.settings.new_tokens);
        match pass_method(self.model, self.input, new_tokens, plan) {
            Err(error) => {
                samples.error = Some(fp_scoring::error_text(&error));
                true
            }
            Ok((seconds, outcome)) => {
                if is_counted {
                    samples.rounds.push(seconds);
                }
                *samples.outcome.get_or_insert_with(|| outcome.clone()) == outcome
            }
        }
    }

    /// A prefix with the query rows of every method; `None` if no schedule is scored.
    fn scored_prefix(&self) -> Result<Option<Prefix>, EfficiencyError> {
        let plan = self.plan;
        if !plan.schedules.iter().any(|schedule| schedule.is_scored) {
            return Ok(None);
        }
        let mut query_rows = Vec::new();
        for method in &plan.methods {
            query_rows.extend(method.query_strategy.rows_needed(&plan.layout)?);
        }
        query_rows.sort_unstable();
        query_rows.dedup();
        let features = self.input.features(self.model)?;
        let sample = Sample {
            prompt: self.input.prompt(),
            features: &features,
        };
        let options = PrefixOptions {
            depth: plan.prune_layer,
            query_rows,
        };
        let prefix = self
            .model
            .prefill_prefix(sample.prompt, sample.features, &options)?;
        Ok(Some(prefix))
    }

    /// Scores with every method for every schedule once, in turns.
    fn score(
        &self,
        prefix: &Prefix,
        round: usize,
        mut record: impl FnMut(usize, usize, f64),
    ) -> Result<(), EfficiencyError> {
        let plan = self.plan;
        for position in 0..plan.methods.len() {
            let index = turn(round, position, plan.methods.len());
            for (schedule, found) in plan.schedules.iter().enumerate() {
                if !found.is_scored {
                    continue;
                }
                let mut watch = Watch::start(self.model)?;
                select(prefix, plan, &plan.methods[index], found.kept)?;
                record(index, schedule, watch.lap()?);
            }
        }
        Ok(())
    }

    /// `[schedules][rounds]` in seconds for whole batches.
    fn batch(&self, batch: usize) -> Result<Vec<Vec<f64>>, EfficiencyError> {
        let plan = self.plan;
        let count = plan.schedules.len();
        let mut seconds = vec![Vec::new(); count];
        for round in 0..plan.settings.batch_repeats() {
            for position in 0..count {
                let index = turn(round, position, count);
                let schedule = &plan.schedules[index];
                let passed = pass(self.model, self.input, plan, schedule, batch)?;
                seconds[index].push(passed.seconds.total());
            }
        }
        Ok(seconds)
    }
}

impl Outcome {
    fn of(passed: Passed) -> Outcome {
        Outcome {
            kv_bytes: passed.kv_bytes,
            kept: passed.kept,
            tokens: passed.tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_begins_one_further_and_has_each_once() {
        for round in 0..7 {
            let order: Vec<usize> = (0..4).map(|position| turn(round, position, 4)).collect();
            assert_eq!(order[0], round % 4);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
        }
    }
}
