//! `finepruner launch status`: the progress of a launch, determined from its files.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use fp_launch::{LaunchFolder, Manifest, ShardPhase, ShardStatus, Status};

use crate::commands::study::duration;
use crate::commands::{print_json, print_text, print_verbatim};
use crate::table::table;

/// Show the progress of every shard of a launch, from its files alone.
///
/// Per shard: samples recorded out of all, samples per second, time left,
/// and for failures the end of the log. A shard is waiting, running, interrupted
/// (asked to stop or killed by a signal; its next start continues it), lost (its
/// program or its host is gone), failed, or done.
///
/// Examples:
///   finepruner launch status runs/gqa
///   finepruner launch status runs/gqa --watch
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct StatusArgs {
    /// Folder of the launch.
    folder: PathBuf,
    /// Refresh every few seconds until everything is merged.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
    /// Print JSON: one object, or with --watch one a line.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let folder = LaunchFolder::new(&args.folder);
    loop {
        let manifest = Manifest::read(&folder)?;
        let status = Status::read(&folder, &manifest)?;
        if args.json {
            print_json(&status)?;
        } else {
            if args.watch.is_some() && std::io::stdout().is_terminal() {
                // Cursor to the upper left, and clear everything below.
                print!("\x1b[H\x1b[J");
            }
            print_verbatim(&shards(&status))?;
            print_text(&summary(&status, &manifest))?;
        }
        let is_merged = status.finish.as_ref().is_some_and(|finish| finish.is_done);
        match args.watch {
            Some(seconds) if !is_merged => std::thread::sleep(Duration::from_secs(seconds)),
            _ => return Ok(()),
        }
    }
}

fn shards(status: &Status) -> String {
    let rows = status.shards.iter().map(|shard| {
        vec![
            shard.shard.to_string(),
            shard.phase.name().to_owned(),
            format!("{}/{}", shard.done, shard.total),
            shard
                .rate
                .map_or(String::new(), |rate| format!("{rate:.2}/s")),
            shard.seconds_left.map_or(String::new(), duration),
            shard.starts.to_string(),
            shard.host.clone().unwrap_or_default(),
        ]
    });
    let head = [
        "shard", "state", "samples", "rate", "left", "starts", "host",
    ];
    table(&head, &rows.collect::<Vec<_>>(), &[0, 2, 3, 4, 5])
}

fn summary(status: &Status, manifest: &Manifest) -> String {
    let phases = ShardPhase::ALL.iter().filter_map(|&phase| {
        let count = status.count(phase);
        (count > 0).then(|| format!("{count} {}", phase.name()))
    });
    let mut text = format!(
        "\n{} of {} samples in {} shards: {}",
        status.done,
        status.total,
        status.shards.len(),
        phases.collect::<Vec<_>>().join(", ")
    );
    if let (Some(rate), Some(left)) = (status.rate, status.seconds_left) {
        text += &format!("; {rate:.2} samples a second, {} left", duration(left));
    }
    text += "\n";
    status
        .shards
        .iter()
        .for_each(|shard| text += &trouble(shard));
    if let Some(finish) = &status.finish {
        let word = if finish.is_done {
            "merged"
        } else {
            "not merged"
        };
        text += &format!("{word}: {}\n", finish.message);
    }
    if let Some(submission) = manifest.submissions.last() {
        let jobs = submission.array_job.iter().chain(&submission.finish_job);
        let jobs: Vec<&str> = jobs.map(String::as_str).collect();
        text += &format!("Slurm jobs submitted last: {}\n", jobs.join(", "));
    }
    let is_idle = status.count(ShardPhase::Running) == 0;
    let is_stuck = status.count(ShardPhase::Failed) + status.count(ShardPhase::Lost) > 0
        || is_idle && status.count(ShardPhase::Interrupted) > 0;
    if is_stuck {
        text += &format!(
            "`finepruner launch resume {}` submits what is missing and not queued\n",
            status.folder.display()
        );
    }
    text
}

/// Description of a shard with a problem.
fn trouble(shard: &ShardStatus) -> String {
    if !matches!(shard.phase, ShardPhase::Failed | ShardPhase::Lost) {
        return String::new();
    }
    let ended = shard.ended_by.as_deref().unwrap_or("its process is gone");
    let mut text = format!("shard {} {}: {ended}", shard.shard, shard.phase.name());
    if let Some(log) = &shard.log {
        text += &format!("; {} ends with:", log.display());
    }
    text += "\n";
    for line in &shard.last_lines {
        text += &format!("  {line}\n");
    }
    text
}
