//! `finepruner launch task`: the program of a launch's jobs.
//!
//! It starts one study per shard, records their progress, forwards signals, and tells Slurm by its
//! exit code and by requeueing whether the task must be started again.

mod child;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use fp_launch::slurm::{REQUEUE_EXIT, requeue};
use fp_launch::{LaunchFolder, Manifest, Node, Outcome, ShardState};

use child::Child;

use crate::commands::print_json;

/// Environment variable for the studies that a task starts: the first SIGTERM lets them finish the
/// current questions, and they stop when the task is gone.
pub(crate) const TASK_VARIABLE: &str = "FINEPRUNER_TASK";

/// Interval of checks for signals and finished studies.
const TICK: Duration = Duration::from_millis(100);
/// Interval of recording the shards' progress.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Run a task of a launch, as its jobs do: one shard, or several side by side.
///
/// On SIGUSR1, which is sent before the time limit, the current questions are
/// finished and recorded, the job is requeued and the exit code is 75. On SIGTERM
/// (preemption, scontrol requeue, scancel) the same happens without requeuing,
/// which is left to the scheduler.
///
/// Examples:
///   finepruner launch task runs/gqa --task 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TaskArgs {
    /// Folder of the launch.
    folder: PathBuf,
    /// Which task, counted from 1.
    #[arg(long, value_name = "T")]
    task: usize,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Signals received so far.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    /// SIGUSR1: the time limit is near.
    is_warned: bool,
    /// Number of SIGTERMs and SIGINTs.
    num_terminated: usize,
}

/// Runs the command.
pub(super) fn run(args: &TaskArgs) -> Result<()> {
    let folder = LaunchFolder::new(std::path::absolute(&args.folder)?);
    let manifest = Manifest::read(&folder)?;
    let num_tasks = manifest.num_tasks();
    ensure!(
        (1..=num_tasks).contains(&args.task),
        "--task is {}; expected 1 to {num_tasks}",
        args.task
    );
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let node = Node::of(|name| std::env::var(name).ok(), cpus)?;
    let mut signals = Signals::watch()?;
    let mut children = Vec::new();
    for (index, shard) in manifest.shards_of(args.task).enumerate() {
        let part = node.part(index, manifest.procs_per_task);
        let asked = signals.asked();
        if asked.is_warned || asked.num_terminated > 0 {
            break;
        }
        children.extend(Child::start(&folder, &manifest, shard, &part)?);
    }
    let mut asked = signals.asked();
    let mut told = Instant::now();
    while children.iter().any(Child::is_running) {
        std::thread::sleep(TICK);
        let now = signals.asked();
        if now.is_warned && !asked.is_warned {
            eprintln!("the time limit is near: finishing the current questions");
        }
        for child in &mut children {
            if now.is_warned && !asked.is_warned
                || now.num_terminated > 0 && asked.num_terminated == 0
            {
                child.signal("USR1");
            } else if now.num_terminated > asked.num_terminated {
                child.signal("TERM");
            }
            child.look()?;
        }
        asked = now;
        if told.elapsed() >= HEARTBEAT {
            children.iter_mut().for_each(Child::tell);
            told = Instant::now();
        }
    }
    end(args, &manifest, &children, signals.asked())
}

/// Reports the outcome of the shards.
fn end(args: &TaskArgs, manifest: &Manifest, children: &[Child], asked: Asked) -> Result<()> {
    let task = args.task;
    let failed: Vec<String> = children
        .iter()
        .filter(|child| child.outcome() == Some(Outcome::Failed))
        .map(Child::trouble)
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    let num_shards = manifest.shards_of(task).count();
    let is_done = |child: &&Child| child.outcome() == Some(Outcome::Done);
    let num_done = children.iter().filter(is_done).count();
    let is_asked = asked.is_warned || asked.num_terminated > 0;
    let is_over = num_done == children.len() && !(is_asked && num_done < num_shards);
    if args.json {
        let shards: Vec<&ShardState> = children.iter().map(Child::state).collect();
        print_json(&serde_json::json!({
            "task": task,
            "is_done": is_over,
            "shards": shards,
        }))?;
    }
    if is_over {
        return Ok(());
    }
    eprintln!("task {task} stopped before its end; its next start continues it");
    // After a termination from outside, the sender decides about a restart: `scancel` doesn't want
    // one.
    if asked.num_terminated == 0
        && let Ok(job) = std::env::var("SLURM_JOB_ID")
    {
        match requeue(&job) {
            Ok(()) => eprintln!("requeued as job {job}"),
            Err(error) => eprintln!(
                "not requeued: {}; `finepruner launch resume` submits what is missing",
                fp_scoring::error_text(&error)
            ),
        }
    }
    std::process::exit(i32::from(REQUEUE_EXIT))
}

/// Pending signals, polled at intervals.
#[cfg(unix)]
struct Signals {
    signals: signal_hook::iterator::Signals,
    asked: Asked,
}

#[cfg(unix)]
impl Signals {
    fn watch() -> Result<Signals> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

        Ok(Signals {
            signals: signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1])?,
            asked: Asked::default(),
        })
    }

    fn asked(&mut self) -> Asked {
        for signal in self.signals.pending() {
            if signal == signal_hook::consts::SIGUSR1 {
                self.asked.is_warned = true;
            } else {
                self.asked.num_terminated += 1;
            }
        }
        self.asked
    }
}

/// On other systems the program is ended by the system, without loss of records.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn watch() -> Result<Signals> {
        Ok(Signals)
    }

    fn asked(&mut self) -> Asked {
        Asked::default()
    }
}
