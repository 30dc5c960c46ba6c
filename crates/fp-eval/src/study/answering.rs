//! The threads of a run: some load samples ahead, some answer, one records.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use fp_model::{GenerateOptions, LlavaModel, ModelConfig};

use super::choose::Chooser;
use super::engine::{Done, Job, Loaded, Worker};
use super::error::StudyError;
use super::loading::Loader;
use super::memory::{self, MemoryPlan};
use super::options::RunOptions;
use super::prefetch_queue::{Limit, PrefetchQueue};
use super::prepare::Prepared;
use super::static_heads::StaticHeads;
use super::timings::StopWatch;

/// Models with smaller weights (in bytes) are run by one worker per thread: their matrices are too
/// small to be divided among threads.
const SMALL_WEIGHTS: usize = 256 << 20;

/// A loaded image or text-only question; `None` if there was no sample for it.
type Part<'a> = Option<Loaded<'a>>;

/// Answers jobs.
pub(super) struct Answering<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) model: &'a LlavaModel,
    pub(super) options: &'a RunOptions,
    /// Heads of static variants, if they have been ranked.
    pub(super) static_heads: Option<&'a StaticHeads>,
}

/// How long a worker waited for a job to be loaded.
pub(super) struct Waited {
    seconds: f64,
    is_first: bool,
}

impl<'a> Answering<'a> {
    /// Answers all jobs and passes the results to `record`, in the jobs' order.
    pub(super) fn run(
        &self,
        jobs: &[Vec<Vec<usize>>],
        record: impl FnMut(Done) -> Result<(), StudyError>,
    ) -> Result<(), StudyError> {
        let work = |worker: &Worker<'_>, job: Job<'_>, waited: Waited| {
            let mut done = worker.run(job)?;
            if let Some(timing) = done.timings.first_mut() {
                (timing.starting, timing.waiting) = if waited.is_first {
                    (waited.seconds, Some(0.0))
                } else {
                    (0.0, Some(waited.seconds))
                };
            }
            Some(done)
        };
        self.each_job(jobs, work, record)
    }

    /// Runs `work` on every job and passes the results to `record`, in the jobs' order. Stops as
    /// soon as a worker returns `None`.
    pub(super) fn each_job<T: Send>(
        &self,
        jobs: &[Vec<Vec<usize>>],
        work: impl Fn(&Worker<'_>, Job<'_>, Waited) -> Option<T> + Sync,
        mut record: impl FnMut(T) -> Result<(), StudyError>,
    ) -> Result<(), StudyError> {
        let sizes: Vec<usize> = jobs.iter().map(Vec::len).collect();
        let (num_workers, threads) = workers(self.model, self.options.threads);
        let num_loaders = self
            .options
            .num_loaders()
            .min(sizes.iter().sum::<usize>().max(1));
        let answering = pools(num_workers, threads)?;
        // Decoding one image can use several threads, but decoding several images is more
        // efficient.
        let loading = pools(num_loaders, 1)?;
        let queue: PrefetchQueue<Part<'_>> = PrefetchQueue::new(
            sizes,
            Limit {
                // One job waits for each worker, and one is being loaded.
                jobs: num_workers + 1,
                // Small jobs must not leave loaders idle.
                parts: 2 * num_loaders,
            },
        );
        let (worker, loader) = (self.worker(num_workers)?, Loader::new(self.prepared, jobs));
        let (answered, to_record) = sync_channel::<(usize, T)>(2 * num_workers);
        std::thread::scope(|scope| {
            for pool in &loading {
                let (loader, queue) = (&loader, &queue);
                scope.spawn(move || pool.install(|| loader.run(queue)));
            }
            for pool in &answering {
                let answered = answered.clone();
                let (worker, queue, work) = (&worker, &queue, &work);
                let is_ending = || self.options.is_ending();
                scope.spawn(move || {
                    pool.install(|| take_jobs(worker, queue, (work, &is_ending), &answered));
                });
            }
            drop(answered);
            let outcome = record_in_order(&to_record, &mut record);
            queue.stop();
            // Workers must not wait forever to send results that nobody receives any more.
            drop(to_record);
            outcome
        })
    }

    fn worker(&self, num_workers: usize) -> Result<Worker<'a>, StudyError> {
        let spec = &self.prepared.spec;
        let config = &spec.config;
        let limit = match self.options.memory_limit {
            Some(limit) => limit,
            None => memory::default_limit(self.model)?,
        };
        let plan = MemoryPlan::new(
            limit / num_workers as u64,
            self.model.config(),
            spec.model.bytes_per_value,
            config.prune_layer.deepest(),
            config.max_new_tokens,
        );
        let plan = match self.model.device().is_cpu() {
            // Rows are 32-bit on the CPU, whatever the format of the cache.
            true => plan.with_activation_bytes(self.model.config(), 4),
            false => plan,
        };
        Ok(Worker {
            model: self.model,
            inputs: &self.prepared.inputs,
            vision: &self.prepared.vision,
            grid: &spec.grid,
            chooser: Chooser::new(spec, &self.prepared.registry, self.static_heads),
            generate: GenerateOptions::greedy(self.model, config.max_new_tokens),
            engine: self.options.engine,
            plan,
            batch_size: self.options.batch_size,
            diversity: config.token_diversity,
            names_layers: config.prune_layer.are_several(),
            system: Mutex::new(None),
            stop: &self.options.stop,
        })
    }
}

/// Works on jobs until there are none left, the run is ending, or results are no longer recorded.
fn take_jobs<'a, T>(
    worker: &Worker<'_>,
    queue: &PrefetchQueue<Part<'a>>,
    (work, is_ending): (
        &impl Fn(&Worker<'_>, Job<'_>, Waited) -> Option<T>,
        &impl Fn() -> bool,
    ),
    answered: &SyncSender<(usize, T)>,
) {
    let _guard = queue.stop_on_panic();
    let mut watch = StopWatch::start();
    let mut is_first = true;
    while let Some((number, parts)) = queue.take() {
        if is_ending() {
            queue.stop();
            return;
        }
        let waited = Waited {
            seconds: watch.lap(),
            is_first: std::mem::take(&mut is_first),
        };
        let parts = parts.into_iter().flatten().collect();
        let Some(done) = work(worker, Job { parts }, waited) else {
            queue.stop();
            return;
        };
        if answered.send((number, done)).is_err() {
            return;
        }
        watch.lap();
    }
}

/// Records jobs in the order of their numbers, in whatever order they finish.
fn record_in_order<T>(
    to_record: &Receiver<(usize, T)>,
    record: &mut impl FnMut(T) -> Result<(), StudyError>,
) -> Result<(), StudyError> {
    let mut early: BTreeMap<usize, T> = BTreeMap::new();
    let mut next = 0;
    for (number, done) in to_record {
        early.insert(number, done);
        while let Some(done) = early.remove(&next) {
            record(done)?;
            next += 1;
        }
    }
    Ok(())
}

/// The number of workers, and the number of threads of each.
fn workers(model: &LlavaModel, threads: usize) -> (usize, usize) {
    let is_small = model.device().is_cpu() && decoder_bytes(model.config()) < SMALL_WEIGHTS;
    if is_small { (threads, 1) } else { (1, threads) }
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

/// `count` pools of `threads` threads each.
fn pools(count: usize, threads: usize) -> Result<Vec<rayon::ThreadPool>, StudyError> {
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    (0..count).map(|_| Ok(pool()?)).collect()
}
