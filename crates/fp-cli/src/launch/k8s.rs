//! `finepruner launch k8s`: prints a study as an Indexed Job of Kubernetes.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use fp_launch::k8s::{JobSettings, to_yaml};

use super::adapt_to_cluster;
use crate::commands::study::RunArgs;
use crate::commands::study::overrides::Overrides;
use crate::commands::{print_json, print_verbatim, warn};

/// Print a study as an Indexed Job of Kubernetes, to apply with kubectl.
///
/// Each pod runs the shard that its JOB_COMPLETION_INDEX says; a pod that is
/// evicted or killed is replaced, and its shard resumed. Paths in the
/// configuration are paths inside the container, so that only the configuration's
/// values are checked here. Kubernetes 1.33 or newer; when the job is complete,
/// `finepruner merge` merges the shards.
///
/// Examples:
///   finepruner launch k8s --print --config configs/full_config.json --shards 8 \
///     --image registry/finepruner:0.1 --claim data --gpus 1 --device cuda \
///     --model /data/llava-1.5-7b-hf --dataset /data/gqa --output /data/runs/gqa \
///     | kubectl apply -f -
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    override_usage = "finepruner launch k8s --print --config <FILE> --output <DIR> \
        \n                    --shards <N> --image <IMAGE> --claim <NAME> [OPTIONS]"
)]
pub(super) struct K8sArgs {
    /// Print the manifest; nothing is applied.
    #[arg(long, required = true)]
    print: bool,
    /// Study configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of the run inside the container.
    #[arg(long, value_name = "DIR")]
    output: String,
    /// Number of shards to split the study into.
    #[arg(long, value_name = "N")]
    shards: usize,
    /// Print JSON: a List object, which kubectl takes too.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    job: JobFlags,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// Kubernetes resources.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes resources")]
struct JobFlags {
    /// Container image that has `finepruner` on its path.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Persistent volume claim with data, checkpoint and output.
    #[arg(long, value_name = "NAME")]
    claim: String,
    /// Where it is mounted.
    #[arg(long, value_name = "DIR", default_value = "/data")]
    mount: String,
    /// Name of the job.
    #[arg(long, value_name = "NAME", default_value = "finepruner")]
    job_name: String,
    /// Namespace.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// GPUs of a pod.
    #[arg(long, value_name = "G", default_value_t = 0)]
    gpus: usize,
    /// Processors of a pod, such as 8 or 500m.
    #[arg(long, value_name = "CPU")]
    cpu: Option<String>,
    /// Memory of a pod, such as 64Gi.
    #[arg(long, value_name = "MEM")]
    memory: Option<String>,
    /// Maximum number of pods that run at the same time [default: all].
    #[arg(long, value_name = "N")]
    max_parallel: Option<usize>,
    /// Failures of a shard before it counts as failed; interruptions don't count.
    #[arg(long, value_name = "N", default_value_t = 6)]
    retries: usize,
}

/// Runs the command.
pub(super) fn run(args: &K8sArgs) -> Result<()> {
    for (flag, number) in [
        ("--shards", Some(args.shards)),
        ("--max-parallel", args.job.max_parallel),
    ] {
        ensure!(number != Some(0), "{flag} is 0; expected at least 1");
    }
    ensure!(
        !args.run.is_shard(),
        "--shard is set by each pod; give their number with --shards"
    );
    let mut config = args.overrides.read(&args.config)?;
    let job = &args.job;
    warn(&adapt_to_cluster(&mut config, job.gpus));
    let settings = JobSettings {
        name: job.job_name.clone(),
        namespace: job.namespace.clone(),
        image: job.image.clone(),
        shards: args.shards,
        max_parallel: job.max_parallel.unwrap_or(args.shards),
        retries: job.retries,
        claim: job.claim.clone(),
        mount: job.mount.clone(),
        output: args.output.trim_end_matches('/').to_owned(),
        gpus: job.gpus,
        cpu: job.cpu.clone(),
        memory: job.memory.clone(),
        flags: args.run.flags(),
    };
    settings.check()?;
    let objects = settings.manifests(&serde_json::to_string_pretty(&config)?);
    if args.json {
        return print_json(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": objects,
        }));
    }
    let documents: Vec<String> = objects.iter().map(to_yaml).collect();
    let merge = settings.merge_command();
    print_verbatim(&format!(
        "# When the job is complete, where the volume is mounted:\n#   {merge}\n{}",
        documents.join("---\n")
    ))
}
