//! Running a study: a thread that loads, workers that answer, one that records.

use super::answers::Placed;
use super::choose::Chooser;
use super::config::StudyConfig;
use super::engine::{Done, Engine, ImageJob, Job, Prompts, Question, Worker};
use super::error::StudyError;
use super::folder::RunFolder;
use super::grid::Method;
use super::inputs::Inputs;
use super::memory::{self, MemoryPlan};
use super::order::{Shard, image_groups};
use super::prepare::Prepared;
use crate::sample::Sample;
use fp_model::{GenerateOptions, LlavaModel, ModelConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Models whose weights are smaller than this are run by one worker per thread:
/// their matrices are too small to be shared out.
const SMALL_WEIGHTS: usize = 256 << 20;

/// Records are forced to the disk about this often.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// How a study is run; nothing of it changes what comes out.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder: new, empty, or of a run to go on with.
    pub output: PathBuf,
    /// Threads that compute.
    pub threads: usize,
    /// Questions that a worker answers together at most.
    pub batch_size: usize,
    /// How cells are run.
    pub engine: Engine,
    /// Bytes beside the weights that may be used; half of what is free by default.
    pub memory_limit: Option<u64>,
    /// Only this piece of the run.
    pub shard: Option<Shard>,
    /// Go on though configuration, data or weights differ from those at the start.
    pub accept_changes: bool,
}

impl RunOptions {
    /// All threads of the machine, sixteen questions at a time, the shared engine.
    pub fn new(output: impl Into<PathBuf>) -> RunOptions {
        RunOptions {
            output: output.into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            batch_size: 16,
            engine: Engine::Shared,
            memory_limit: None,
            shard: None,
            accept_changes: false,
        }
    }

    fn check(&self) -> Result<(), StudyError> {
        for (what, value) in [("threads", self.threads), ("batch size", self.batch_size)] {
            if value == 0 {
                return Err(StudyError::Setting {
                    what,
                    found: "0".to_owned(),
                    expected: "at least 1".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Samples of this run or piece.
    pub total: usize,
    /// Samples that are recorded.
    pub done: usize,
    /// Those of them that were recorded before this program started.
    pub resumed: usize,
    /// Samples that failed, since this program started.
    pub failed: usize,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunSummary {
    /// The run's folder.
    pub output: PathBuf,
    /// Samples of this run or piece.
    pub num_samples: usize,
    /// Those that were there already.
    pub num_resumed: usize,
    /// Those that failed just now.
    pub num_failed: usize,
    /// Cells of the grid.
    pub num_cells: usize,
    /// Seconds from reading the data to the last record.
    pub seconds: f64,
    /// The most memory that the program had at any time.
    pub peak_memory_bytes: Option<u64>,
}

/// Runs a study, or goes on with one, and tells `progress` after every job.
///
/// # Errors
/// A configuration, data or model that can't be used; a folder of another run;
/// a file that can't be written. Samples that fail are recorded as such.
pub fn run(
    config: &StudyConfig,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunSummary, StudyError> {
    options.check()?;
    let start = Instant::now();
    let prepared = Prepared::new(config, options.shard)?;
    let samples: Vec<&[Sample]> = prepared
        .datasets
        .iter()
        .map(|dataset| dataset.samples.as_slice())
        .collect();
    let groups = image_groups(&samples, options.shard);
    let order: Vec<usize> = groups.iter().flatten().copied().collect();
    let mut folder = RunFolder::open(
        &options.output,
        &prepared.spec,
        &order,
        options.accept_changes,
    )?;
    let mut state = Progress {
        total: order.len(),
        done: folder.num_done,
        resumed: folder.num_done,
        failed: 0,
    };
    progress(state);
    if state.done < state.total {
        let model = prepared.load_model()?;
        let rest = jobs(groups, folder.num_done, options.batch_size);
        let answering = Answering {
            prepared: &prepared,
            model: &model,
            options,
        };
        let mut synced = Instant::now();
        answering.run(&rest, |done| {
            folder.append(&done.records, &done.timings)?;
            if synced.elapsed() > SYNC_INTERVAL {
                folder.sync()?;
                synced = Instant::now();
            }
            state.done += done.records.len();
            state.failed += done.records.iter().filter(|r| r.error.is_some()).count();
            progress(state);
            Ok(())
        })?;
        folder.sync()?;
    }
    Ok(RunSummary {
        output: options.output.clone(),
        num_samples: state.total,
        num_resumed: state.resumed,
        num_failed: state.failed,
        num_cells: prepared.spec.grid.cells.len(),
        seconds: start.elapsed().as_secs_f64(),
        peak_memory_bytes: memory::peak(),
    })
}

/// Images with questions that are still to be answered, put together until there
/// are enough questions for a batch.
fn jobs(groups: Vec<Vec<usize>>, num_done: usize, batch_size: usize) -> Vec<Vec<Vec<usize>>> {
    let mut skip = num_done;
    let mut jobs: Vec<Vec<Vec<usize>>> = Vec::new();
    let mut open = 0;
    for group in groups {
        let done = skip.min(group.len());
        skip -= done;
        let rest = group[done..].to_vec();
        if rest.is_empty() {
            continue;
        }
        let len = rest.len();
        match jobs
            .last_mut()
            .filter(|_| open > 0 && open + len <= batch_size)
        {
            Some(job) => job.push(rest),
            None => {
                jobs.push(vec![rest]);
                open = 0;
            }
        }
        open += len;
    }
    jobs
}

struct Answering<'a> {
    prepared: &'a Prepared,
    model: &'a LlavaModel,
    options: &'a RunOptions,
}

impl<'a> Answering<'a> {
    /// Answers all jobs and hands what comes of them to `record`, in their order.
    fn run(
        &self,
        jobs: &[Vec<Vec<usize>>],
        mut record: impl FnMut(Done) -> Result<(), StudyError>,
    ) -> Result<(), StudyError> {
        let (num_workers, threads) = workers(self.model, self.options.threads);
        let pools = (0..num_workers)
            .map(|_| pool(threads))
            .collect::<Result<Vec<_>, _>>()?;
        let loading = pool(1)?;
        let worker = self.worker(num_workers);
        let stop = AtomicBool::new(false);
        // One job waits for each worker, and one is being loaded.
        let (loaded, to_answer) = sync_channel::<Job<'a>>(num_workers);
        let to_answer = Mutex::new(to_answer);
        let (answered, to_record) = sync_channel::<Done>(2 * num_workers);
        std::thread::scope(|scope| {
            scope.spawn(|| loading.install(|| self.load(jobs, loaded, &stop)));
            for pool in &pools {
                let answered = answered.clone();
                let (worker, to_answer, stop) = (&worker, &to_answer, &stop);
                scope.spawn(move || pool.install(|| work(worker, to_answer, &answered, stop)));
            }
            drop(answered);
            let outcome = record_in_order(&to_record, &mut record);
            stop.store(true, Ordering::Relaxed);
            // Workers that wait to hand over what nobody takes any more must not wait for ever.
            drop(to_record);
            drop(
                to_answer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .try_recv(),
            );
            outcome
        })
    }

    fn worker(&self, num_workers: usize) -> Worker<'a> {
        let spec = &self.prepared.spec;
        let config = &spec.config;
        let limit = self
            .options
            .memory_limit
            .unwrap_or_else(memory::default_limit);
        Worker {
            model: self.model,
            inputs: &self.prepared.inputs,
            grid: &spec.grid,
            chooser: Chooser {
                grid: &spec.grid,
                num_layers: spec.model.shape.decoder.num_layers,
                prune_layer: config.prune_layer,
                normalization: config.normalization,
                allow_degenerate: config.allow_degenerate,
                aspect: spec.model.image_aspect,
                image_side: spec.model.image_side,
            },
            generate: GenerateOptions::greedy(self.model, config.max_new_tokens),
            engine: self.options.engine,
            plan: MemoryPlan::new(
                limit / num_workers as u64,
                self.model.config(),
                spec.model.bytes_per_value,
                config.prune_layer,
                config.max_new_tokens,
            ),
            batch_size: self.options.batch_size,
            diversity: config.token_diversity,
            system: Mutex::new(None),
        }
    }

    /// Loads jobs one after the other, as far ahead as the queue lets it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the queue ends when its sender is dropped, here"
    )]
    fn load(&self, jobs: &[Vec<Vec<usize>>], loaded: SyncSender<Job<'a>>, stop: &AtomicBool) {
        let cells = &self.prepared.spec.grid.cells;
        let needs_text_alone = cells.iter().any(|cell| cell.method == Method::NoImage);
        for (number, groups) in jobs.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let images = groups
                .iter()
                .filter_map(|group| self.load_image(group, needs_text_alone))
                .collect();
            if loaded.send(Job { number, images }).is_err() {
                return;
            }
        }
    }

    fn load_image(&self, group: &[usize], needs_text_alone: bool) -> Option<ImageJob<'a>> {
        let inputs: &'a Inputs = &self.prepared.inputs;
        let questions: Vec<Question<'a>> = group
            .iter()
            .filter_map(|&index| self.placed(index))
            .map(|placed| Question {
                placed,
                prompts: prompts(inputs, &placed.sample.question, needs_text_alone),
            })
            .collect();
        let source = &questions.first()?.placed.sample.image;
        let image = inputs
            .image(source)
            .map_err(|error| format!("image {source}: {error}"));
        Some(ImageJob { image, questions })
    }

    /// The sample at a position over all data sets.
    fn placed(&self, index: usize) -> Option<Placed<'a>> {
        let prepared: &'a Prepared = self.prepared;
        let specs = prepared.spec.datasets.iter();
        specs
            .zip(&prepared.datasets)
            .enumerate()
            .find_map(|(dataset, (spec, content))| {
                let sample = content.samples.get(index.checked_sub(spec.first_index)?)?;
                Some(Placed {
                    index,
                    dataset,
                    rule: spec.answer_rule,
                    folder: &content.folder,
                    sample,
                })
            })
    }
}

fn prompts(inputs: &Inputs, question: &str, needs_text_alone: bool) -> Result<Prompts, String> {
    let with_image = inputs.prompt(question).map_err(|error| error.to_string())?;
    let without_image = needs_text_alone
        .then(|| inputs.prompt_without_image(question))
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(Prompts {
        with_image,
        without_image,
    })
}

/// Takes jobs until there are none.
fn work<'a>(
    worker: &Worker<'_>,
    to_answer: &Mutex<Receiver<Job<'a>>>,
    answered: &SyncSender<Done>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let job = to_answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        if answered.send(worker.run(job)).is_err() {
            return;
        }
    }
}

/// Hands jobs on in the order of their numbers, in whichever order they come.
fn record_in_order(
    to_record: &Receiver<Done>,
    record: &mut impl FnMut(Done) -> Result<(), StudyError>,
) -> Result<(), StudyError> {
    let mut early: BTreeMap<usize, Done> = BTreeMap::new();
    let mut next = 0;
    for done in to_record {
        early.insert(done.number, done);
        while let Some(done) = early.remove(&next) {
            record(done)?;
            next += 1;
        }
    }
    Ok(())
}

/// How many workers, and how many threads each of them has.
fn workers(model: &LlavaModel, threads: usize) -> (usize, usize) {
    let is_small = model.device().is_cpu() && decoder_bytes(model.config()) < SMALL_WEIGHTS;
    match is_small {
        true => (threads, 1),
        false => (1, threads),
    }
}

/// Bytes of the decoder's matrices on the CPU.
fn decoder_bytes(config: &ModelConfig) -> usize {
    let text = &config.text;
    let width = text.num_heads * text.head_dim();
    let kv_width = text.num_kv_heads * text.head_dim();
    let layer =
        2 * text.hidden_size * (width + kv_width) + 3 * text.hidden_size * text.intermediate_size;
    4 * text.num_layers * layer
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, StudyError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| StudyError::Threads(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fill_batches_and_skip_what_is_done() {
        let groups = vec![vec![0, 2], vec![1], vec![3, 4, 5, 6], vec![7]];
        let all = jobs(groups.clone(), 0, 3);
        assert_eq!(
            all,
            [
                vec![vec![0, 2], vec![1]],
                vec![vec![3, 4, 5, 6]],
                vec![vec![7]]
            ]
        );
        let rest = jobs(groups.clone(), 4, 16);
        assert_eq!(rest, [vec![vec![4, 5, 6], vec![7]]]);
        assert_eq!(jobs(groups.clone(), 8, 16), Vec::<Vec<Vec<usize>>>::new());
        assert_eq!(jobs(groups, 0, 1).len(), 4);
    }
}
