//! `finepruner launch`: studies on clusters.

mod finish;
mod hours;
mod k8s;
mod resume;
mod slurm;
mod status;
mod task;

use anyhow::Result;
use clap::{Args, Subcommand};
use fp_eval::study::StudyConfig;

pub(crate) use task::TASK_VARIABLE;

/// Run a study on a cluster: submit its shards, monitor, resume and merge them.
///
/// Each shard holds whole images and is resumed where it stopped if its job is killed,
/// preempted or out of time. Everything about a launch is in its folder: launch.json,
/// config.json (the configuration with every flag applied), the scripts, shards/, logs/
/// and, once merged, run/.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    #[command(subcommand)]
    command: LaunchCommand,
}

#[derive(Debug, Subcommand)]
enum LaunchCommand {
    Slurm(Box<slurm::SlurmArgs>),
    Status(status::StatusArgs),
    Resume(resume::ResumeArgs),
    K8s(Box<k8s::K8sArgs>),
    Hours(hours::HoursArgs),
    Task(task::TaskArgs),
    Finish(finish::FinishArgs),
}

/// Removes what isn't measured on every shard from the configuration; notes about that, and about
/// GPUs that are requested and would stay idle.
fn adapt_to_cluster(config: &mut StudyConfig, num_gpus: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if config.efficiency.take().is_some() {
        notes.push(
            "time and memory are not measured in a launch; `finepruner efficiency --run` \
             measures them of the merged run"
                .to_owned(),
        );
    }
    if num_gpus > 0 && config.device == "cpu" {
        notes.push(
            "GPUs are requested, but the study runs on the CPU; expected --device cuda, or no \
             GPUs"
                .to_owned(),
        );
    }
    notes
}

/// Runs the command.
pub(crate) fn run(args: &LaunchArgs) -> Result<()> {
    match &args.command {
        LaunchCommand::Slurm(args) => slurm::run(args),
        LaunchCommand::Status(args) => status::run(args),
        LaunchCommand::Resume(args) => resume::run(args),
        LaunchCommand::K8s(args) => k8s::run(args),
        LaunchCommand::Hours(args) => hours::run(args),
        LaunchCommand::Task(args) => task::run(args),
        LaunchCommand::Finish(args) => finish::run(args),
    }
}
