//! `finepruner launch resume`: submits only the missing tasks.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use fp_eval::format::counted;
use fp_eval::study::{LOCK_FILE, read_lock};
use fp_launch::slurm::{ActiveTask, Commands, active};
use fp_launch::{LaunchFolder, Manifest, ManifestLock, ShardPhase, ShardState, Status};

use super::slurm::submit_tasks;
use crate::arguments::command_line;
use crate::commands::{print_json, print_text};

/// Submit the shards of a launch that are not finished, queued or running.
///
/// Finished shards are not run again, and samples that are recorded stay. A job
/// that merges and reports runs after the submitted and the running tasks.
///
/// Examples:
///   finepruner launch resume runs/gqa
///   finepruner launch resume runs/gqa --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ResumeArgs {
    /// Folder of the launch.
    folder: PathBuf,
    /// Show what would be submitted; queue nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &ResumeArgs) -> Result<()> {
    let folder = LaunchFolder::new(std::path::absolute(&args.folder)?);
    let mut manifest = Manifest::read(&folder)?;
    let _lock = ManifestLock::take(&folder)?;
    let status = Status::read(&folder, &manifest)?;
    let submissions = manifest.submissions.iter();
    let arrays: Vec<String> = submissions.filter_map(|s| s.array_job.clone()).collect();
    let queued = active(&arrays)?;
    let is_queued = |task: &usize| queued.iter().any(|other| other.task == *task);
    let unfinished = status
        .shards
        .iter()
        .filter(|shard| shard.phase != ShardPhase::Done)
        .map(|shard| manifest.task_of(shard.shard));
    let mut missing: Vec<usize> = unfinished.collect();
    missing.dedup();
    let still: Vec<usize> = missing.iter().copied().filter(is_queued).collect();
    missing.retain(|task| !is_queued(task));
    let is_merged = status.finish.as_ref().is_some_and(|finish| finish.is_done);
    let has_work = !missing.is_empty() || (status.is_complete() && !is_merged);
    let mut freed = Vec::new();
    let mut commands = Commands::new(&folder, &manifest, &missing);
    if has_work && !args.dry_run {
        freed = free(&folder, &manifest, &missing, &queued)?;
        let mut others: Vec<String> = queued.iter().map(|task| task.array.clone()).collect();
        others.sort_unstable();
        others.dedup();
        submit_tasks(&folder, &mut manifest, missing.clone(), &others)?;
    }
    let submission = (has_work && !args.dry_run)
        .then(|| manifest.submissions.last())
        .flatten();
    if args.json {
        return print_json(&serde_json::json!({
            "folder": folder.path(),
            "is_complete": status.is_complete(),
            "submitted_tasks": if has_work { missing.as_slice() } else { &[] },
            "active_tasks": still,
            "freed_locks": freed,
            "submission": submission,
        }));
    }
    let mut text = String::new();
    if !still.is_empty() {
        text += &format!(
            "{} queued or running\n",
            counted(still.len(), "unfinished task")
        );
    }
    text += &match (has_work, submission) {
        (false, _) if is_merged => format!("finished: {}/run\n", folder.path().display()),
        (false, _) => "everything that is missing is queued\n".to_owned(),
        (true, None) => {
            let commands = commands.array.take().into_iter().chain([commands.finish]);
            let lines = commands.map(|c| command_line(c.iter().map(Into::into)) + "\n");
            lines.collect::<String>() + "nothing was queued\n"
        }
        (true, Some(submission)) => format!(
            "{} submitted as Slurm job {}; job {} merges\n",
            counted(missing.len(), "task"),
            submission.array_job.as_deref().unwrap_or("none"),
            submission.finish_job.as_deref().unwrap_or("none"),
        ),
    };
    print_text(&text)
}

/// Prepares shards for their next start: removes a lock that a Slurm job left on another host once
/// Slurm no longer has that job, and resets the count of starts that recorded nothing. Returns the
/// removed locks.
fn free(
    folder: &LaunchFolder,
    manifest: &Manifest,
    tasks: &[usize],
    queued: &[ActiveTask],
) -> Result<Vec<PathBuf>> {
    let mut freed = Vec::new();
    for shard in tasks.iter().flat_map(|&task| manifest.shards_of(task)) {
        if let Some(mut state) = ShardState::read(folder, shard)?
            && state.fruitless > 0
        {
            state.fruitless = 0;
            state.write(folder)?;
        }
        let path = folder.shard(shard);
        let holder = read_lock(&path)?.filter(|holder| !holder.is_running());
        let Some(task) = holder.and_then(|holder| holder.task) else {
            continue;
        };
        let is_gone = queued.iter().all(|other| other.job != task.id);
        if task.scheduler == "slurm" && is_gone {
            let lock = path.join(LOCK_FILE);
            std::fs::remove_file(&lock)?;
            freed.push(lock);
        }
    }
    Ok(freed)
}
