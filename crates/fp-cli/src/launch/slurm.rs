//! `finepruner launch slurm`: checks a study, writes its jobs and submits them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use fp_eval::format::counted;
use fp_eval::study::{ShardTable, StudyConfig, plan_shards, write_whole};
use fp_launch::slurm::{
    Commands, Resources, WARN_SECONDS, finish_script, submit, task_script, test_only,
};
use fp_launch::{LaunchFolder, Manifest, ManifestLock, ShardEntry, Submission, now};
use fp_scoring::MethodRegistry;
use serde::Serialize;

use super::adapt_to_cluster;
use crate::arguments::command_line;
use crate::commands::study::RunArgs;
use crate::commands::study::overrides::{Overrides, read_config};
use crate::commands::{print_json, print_text, print_verbatim, warn};

/// Run a study as an array of Slurm jobs, then merge and report.
///
/// Configuration, data and model are checked first, and nothing is queued if
/// anything is wrong. Each task runs `finepruner study --shard i/N`; one image's
/// questions stay together, and shards are balanced by what their images and
/// questions cost. Before its time is up a task finishes the questions at hand and
/// requeues itself.
///
/// Examples:
///   finepruner launch slurm --config configs/full_config.json \
///     --model llava-1.5-7b-hf --dataset data/gqa --device cuda --shards 64 \
///     --partition gpu --gpus-per-task 1 --cpus-per-task 8 --time 12:00:00 \
///     --output runs/gqa
///   finepruner launch slurm --config configs/full_config.json --shards 8 \
///     --output runs/full --dry-run
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    override_usage = "finepruner launch slurm --config <FILE> --output <DIR> --shards <N> \
        \n                    [OPTIONS]"
)]
pub(super) struct SlurmArgs {
    /// Study configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of the launch: new or empty, and visible to every node.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Number of shards to split the study into.
    #[arg(long, value_name = "N")]
    shards: usize,
    /// Print scripts and commands; write and queue nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    slurm: SlurmFlags,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// What Slurm is asked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Slurm resources (everything else is left to the cluster)")]
struct SlurmFlags {
    /// Processes in a task, each with a shard of its own; they share the task's processors,
    /// memory and GPUs, and the system's copy of the checkpoint.
    #[arg(long, value_name = "P", default_value_t = 1)]
    procs_per_task: usize,
    /// Name of the jobs [default: the output folder's].
    #[arg(long, value_name = "NAME")]
    job_name: Option<String>,
    /// Partition.
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Features that nodes must have.
    #[arg(long, value_name = "LIST")]
    constraint: Option<String>,
    /// GPUs of a task.
    #[arg(long, value_name = "G")]
    gpus_per_task: Option<usize>,
    /// Processors of a task.
    #[arg(long, value_name = "C")]
    cpus_per_task: Option<usize>,
    /// Time limit, such as 12:00:00.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Memory, such as 64G.
    #[arg(long, value_name = "MEM")]
    mem: Option<String>,
    /// Maximum number of tasks that run at the same time.
    #[arg(long, value_name = "N")]
    max_parallel: Option<usize>,
    /// How long before its time limit a task is signalled to finish.
    #[arg(long, value_name = "SECONDS", default_value_t = WARN_SECONDS)]
    warn_seconds: u64,
    /// An additional sbatch argument for the array, such as --qos=long; may be repeated.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    sbatch_arg: Vec<String>,
    /// The same for the job that merges.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    finish_sbatch_arg: Vec<String>,
}

impl SlurmFlags {
    fn resources(&self, output: &Path) -> Resources {
        let of_folder = || {
            let name = output.file_name().unwrap_or_default().to_string_lossy();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            name.chars()
                .map(|c| if is_plain(c) { c } else { '-' })
                .collect()
        };
        Resources {
            name: self.job_name.clone().unwrap_or_else(of_folder),
            partition: self.partition.clone(),
            account: self.account.clone(),
            constraint: self.constraint.clone(),
            gpus_per_task: self.gpus_per_task,
            cpus_per_task: self.cpus_per_task,
            time: self.time.clone(),
            mem: self.mem.clone(),
            max_parallel: self.max_parallel,
            warn_seconds: self.warn_seconds,
            sbatch_args: self.sbatch_arg.clone(),
            finish_args: self.finish_sbatch_arg.clone(),
        }
    }
}

/// The submission, actual or planned.
#[derive(Serialize)]
struct Launched<'a> {
    folder: &'a Path,
    is_submitted: bool,
    num_samples: usize,
    num_cells: usize,
    num_tasks: usize,
    shards: &'a [ShardEntry],
    /// Cost of the most expensive shard relative to the mean.
    imbalance: f64,
    task_script: &'a str,
    finish_script: &'a str,
    commands: &'a [String],
    submission: Option<&'a Submission>,
}

/// Runs the command.
pub(super) fn run(args: &SlurmArgs) -> Result<()> {
    let at_least_one = [
        ("--shards", Some(args.shards)),
        ("--procs-per-task", Some(args.slurm.procs_per_task)),
        ("--gpus-per-task", args.slurm.gpus_per_task),
        ("--cpus-per-task", args.slurm.cpus_per_task),
        ("--max-parallel", args.slurm.max_parallel),
    ];
    for (flag, number) in at_least_one {
        ensure!(number != Some(0), "{flag} is 0; expected at least 1");
    }
    ensure!(
        !args.run.is_shard(),
        "--shard is set by the launcher for each task; give their number with --shards"
    );
    let output = std::path::absolute(&args.output)?;
    let resources = args.slurm.resources(&output);
    resources.check()?;
    let mut config = args.overrides.to_run(read_config(&args.config)?)?;
    warn(&adapt_to_cluster(
        &mut config,
        args.slurm.gpus_per_task.unwrap_or(0),
    ));
    let table = plan_shards(&config, &MethodRegistry::standard(), args.shards)?;
    warn(&table.spec.grid.without_effect(&table.spec.model.shape));
    let folder = LaunchFolder::new(output);
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let working_dir = std::env::current_dir().context("cannot find the current folder")?;
    let manifest = Manifest {
        flags: args.run.flags(),
        allow_failed: args.run.allow_failed,
        procs_per_task: args.slurm.procs_per_task,
        shards: table.shards.iter().map(ShardEntry::from).collect(),
        ..Manifest::new(program, working_dir, resources)
    };
    if args.dry_run {
        folder.check_unused()?;
        return tell(args, &folder, &manifest, &table);
    }
    let manifest = launch(&folder, manifest, &config)?;
    tell(args, &folder, &manifest, &table)
}

/// Writes the launch's folder and submits it.
fn launch(folder: &LaunchFolder, mut manifest: Manifest, config: &StudyConfig) -> Result<Manifest> {
    folder.create()?;
    let _lock = ManifestLock::take(folder)?;
    let mut text = serde_json::to_string_pretty(config)?;
    text.push('\n');
    write_whole(&folder.config(), text.as_bytes())?;
    write_whole(
        &folder.task_script(),
        task_script(folder, &manifest).as_bytes(),
    )?;
    write_whole(
        &folder.finish_script(),
        finish_script(folder, &manifest).as_bytes(),
    )?;
    let tasks: Vec<usize> = (1..=manifest.num_tasks()).collect();
    let commands = Commands::new(folder, &manifest, &tasks);
    let checked = commands.array.iter().chain([&commands.finish]);
    for command in checked {
        if let Err(error) = test_only(command) {
            // Nothing was queued, so the folder is removed for another attempt.
            let _ = std::fs::remove_dir_all(folder.path());
            return Err(error.into());
        }
    }
    manifest.write(folder)?;
    submit_tasks(folder, &mut manifest, tasks, &[])?;
    Ok(manifest)
}

/// Submits tasks and, after them and `others`, the merge; records both.
pub(super) fn submit_tasks(
    folder: &LaunchFolder,
    manifest: &mut Manifest,
    tasks: Vec<usize>,
    others: &[String],
) -> Result<()> {
    let commands = Commands::new(folder, manifest, &tasks);
    let array_job = match &commands.array {
        Some(command) => Some(submit(command, &[])?),
        None => None,
    };
    manifest.submissions.push(Submission {
        time: now(),
        tasks,
        array_job: array_job.clone(),
        finish_job: None,
    });
    // Recorded before anything else can fail, so that queued jobs are known.
    manifest.write(folder)?;
    let after: Vec<String> = array_job
        .into_iter()
        .chain(others.iter().cloned())
        .collect();
    let finish = submit(&commands.finish, &after).context(
        "the tasks are queued, but not the job that merges; `finepruner launch finish` merges \
         when they are done",
    )?;
    if let Some(submission) = manifest.submissions.last_mut() {
        submission.finish_job = Some(finish);
    }
    manifest.write(folder)?;
    Ok(())
}

fn tell(
    args: &SlurmArgs,
    folder: &LaunchFolder,
    manifest: &Manifest,
    table: &ShardTable,
) -> Result<()> {
    let (task, finish) = (
        task_script(folder, manifest),
        finish_script(folder, manifest),
    );
    let tasks: Vec<usize> = (1..=manifest.num_tasks()).collect();
    let commands = Commands::new(folder, manifest, &tasks);
    let commands: Vec<String> = commands
        .array
        .iter()
        .chain([&commands.finish])
        .map(|command| command_line(command.iter().map(Into::into)))
        .collect();
    let submission = manifest.submissions.last();
    if args.json {
        return print_json(&Launched {
            folder: folder.path(),
            is_submitted: submission.is_some(),
            num_samples: table.spec.num_samples,
            num_cells: table.spec.grid.cells.len(),
            num_tasks: manifest.num_tasks(),
            shards: &manifest.shards,
            imbalance: table.imbalance(),
            task_script: &task,
            finish_script: &finish,
            commands: &commands,
            submission,
        });
    }
    let num_images: usize = manifest.shards.iter().map(|shard| shard.num_images).sum();
    let summary = format!(
        "{} on {} under {}, in {}; the longest costs {:.2} times the mean\n",
        counted(table.spec.num_samples, "question"),
        counted(num_images, "image"),
        counted(table.spec.grid.cells.len(), "cell"),
        counted(manifest.shards.len(), "shard"),
        table.imbalance(),
    );
    let Some(submission) = submission else {
        let mut text = format!("{task}\n{finish}\n");
        for command in &commands {
            text += &format!("{command}\n");
        }
        text += "(the second one with --dependency=afterany: and the number of the first)\n";
        print_verbatim(&text)?;
        return print_text(&format!("\n{summary}nothing was written or queued\n"));
    };
    let job = |job: &Option<String>| job.clone().unwrap_or_default();
    let shown = folder.path().display();
    print_text(&format!(
        "{summary}Slurm job {}: {}\nSlurm job {}: merges and reports into {shown}/run, after \
         these\n`finepruner launch status {shown}` shows their progress\n",
        job(&submission.array_job),
        counted(manifest.num_tasks(), "task"),
        job(&submission.finish_job),
    ))
}
