//! The study of one shard, run by a task.

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fp_eval::study::{Counted, LockHolder, count_records, read_lock};
use fp_launch::{
    LaunchFolder, MOST_FRUITLESS, Manifest, Outcome, Part, ShardPhase, ShardState, ShardStatus,
    last_lines, now,
};

use super::TASK_VARIABLE;

/// How long to wait for the study of an earlier start that has lost its task and is about to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// The study of one shard.
#[derive(Debug)]
pub(super) struct Child {
    folder: LaunchFolder,
    total: u64,
    process: std::process::Child,
    state: ShardState,
}

impl Child {
    /// Starts the study of a shard; `None` if all of it is recorded.
    pub(super) fn start(
        folder: &LaunchFolder,
        manifest: &Manifest,
        shard: usize,
        part: &Part,
    ) -> Result<Option<Child>> {
        wait_for_earlier(folder, shard)?;
        if ShardStatus::read(folder, manifest, shard)?.phase == ShardPhase::Done {
            return Ok(None);
        }
        let before = ShardState::read(folder, shard)?;
        let starts = before.as_ref().map_or(0, |state| state.starts) + 1;
        let fruitless = before.map_or(0, |state| state.fruitless);
        let run = folder.shard(shard);
        let counted = count_records(&run, Counted::default())?;
        let path = folder.shard_log(shard, starts);
        let log =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["study", "--no-report"])
            .arg(format!("--config={}", folder.config().display()))
            .arg(format!("--shard={shard}/{}", manifest.shards.len()))
            .arg(format!("--output={}", run.display()))
            .args(&manifest.flags)
            .current_dir(&manifest.working_dir)
            .env(TASK_VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        let is_given = |flag: &str| manifest.flags.iter().any(|given| given.starts_with(flag));
        if !is_given("--threads=") {
            command.arg(format!("--threads={}", part.threads));
        }
        if manifest.procs_per_task > 1 {
            if let Some(gpus) = &part.gpus {
                command.env("CUDA_VISIBLE_DEVICES", gpus);
            }
            if let Some(memory) = part.memory.filter(|_| !is_given("--memory-limit=")) {
                command.arg(format!("--memory-limit={memory}"));
            }
        }
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // A signal to the task's group reaches the study only once, through the task.
            command.process_group(0);
        }
        let process = command.spawn().context("cannot start a study")?;
        let child = Child {
            folder: folder.clone(),
            total: manifest.shards[shard - 1].num_samples as u64,
            process,
            state: ShardState {
                shard,
                starts,
                fruitless,
                holder: LockHolder::current(),
                started: now(),
                heartbeat: now(),
                before: counted.lines,
                first: None,
                counted,
                outcome: None,
                ended_by: None,
            },
        };
        // Written at once, so that the status shows the shard. If writing fails, the study reports
        // it itself.
        child.write();
        Ok(Some(child))
    }

    /// Whether the study is running.
    pub(super) fn is_running(&self) -> bool {
        self.state.outcome.is_none()
    }

    /// The last recorded state of the shard.
    pub(super) fn state(&self) -> &ShardState {
        &self.state
    }

    /// Outcome of the study; `None` while it runs.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.state.outcome
    }

    /// Sends a signal to the study.
    pub(super) fn signal(&self, name: &str) {
        if self.is_running() {
            let pid = self.process.id().to_string();
            let kill = ["-c", "kill -s \"$0\" \"$1\"", name, pid.as_str()];
            let _ = Command::new("sh").args(kill).output();
        }
    }

    /// Checks whether the study has ended.
    pub(super) fn look(&mut self) -> Result<()> {
        if self.is_running()
            && let Some(status) = self.process.try_wait()?
        {
            self.end(status);
        }
        Ok(())
    }

    /// Records the study's progress.
    pub(super) fn tell(&mut self) {
        if self.is_running() {
            self.count();
            self.write();
        }
    }

    fn count(&mut self) {
        let run = self.folder.shard(self.state.shard);
        self.state.heartbeat = now();
        if let Ok(counted) = count_records(&run, self.state.counted) {
            self.state.counted = counted;
        }
        let lines = self.state.counted.lines;
        if self.state.first.is_none() && lines > self.state.before {
            self.state.first = Some((now(), lines));
        }
    }

    fn write(&self) {
        if let Err(error) = self.state.write(&self.folder) {
            eprintln!("warning: {}", fp_scoring::error_text(&error));
        }
    }

    fn end(&mut self, status: ExitStatus) {
        self.count();
        let state = &mut self.state;
        let is_whole = state.counted.lines >= self.total;
        let outcome = match status.code() {
            // 3: some questions failed, and are recorded as failed.
            Some(0 | 3) if is_whole => Outcome::Done,
            // Exit codes after SIGINT, SIGUSR1 and SIGTERM; none after a signal that kills.
            Some(130 | 138 | 143 | 158) | None => Outcome::Interrupted,
            _ => Outcome::Failed,
        };
        state.ended_by = Some(status.to_string());
        if outcome == Outcome::Interrupted {
            let is_fruitless = state.counted.lines == state.before;
            state.fruitless = if is_fruitless { state.fruitless + 1 } else { 0 };
        }
        state.outcome = Some(outcome);
        if outcome == Outcome::Interrupted && state.fruitless >= MOST_FRUITLESS {
            state.outcome = Some(Outcome::Failed);
            state.ended_by = Some(format!(
                "{status}; {} starts in a row recorded nothing: is --time long enough to read \
                 data and weights and answer --batch-size questions?",
                state.fruitless
            ));
        }
        self.write();
    }

    /// Description of a failed shard.
    pub(super) fn trouble(&self) -> String {
        let state = &self.state;
        let log = self.folder.shard_log(state.shard, state.starts);
        format!(
            "shard {} failed with {}: {}",
            state.shard,
            state.ended_by.as_deref().unwrap_or_default(),
            last_lines(&log, 1).concat()
        )
    }
}

/// Waits while the study of an earlier start holds the shard's lock on this host.
fn wait_for_earlier(folder: &LaunchFolder, shard: usize) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE
        && read_lock(&folder.shard(shard))?.is_some_and(|holder| holder.is_running())
    {
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
