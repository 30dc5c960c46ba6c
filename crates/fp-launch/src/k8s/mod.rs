//! Kubernetes: a study as an Indexed Job, whose pods get their shard from `JOB_COMPLETION_INDEX`.

mod yaml;

pub use yaml::to_yaml;

use serde_json::{Value, json};

use crate::error::LaunchError;

/// Exit codes of a study that stopped on a signal: SIGINT, SIGUSR1, SIGTERM.
const INTERRUPTED: [u8; 3] = [130, 138, 143];
/// Exit code for errors that another start doesn't fix.
const REFUSED: u8 = 2;

/// Settings of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSettings {
    /// Name of the job and of the configuration beside it.
    pub name: String,
    /// Namespace; `None` for the current one.
    pub namespace: Option<String>,
    /// Container image with the program in its path.
    pub image: String,
    /// Number of shards.
    pub shards: usize,
    /// Largest number of pods that run at the same time.
    pub max_parallel: usize,
    /// Number of starts of a shard that may fail before the shard counts as failed.
    pub retries: usize,
    /// Claim of the volume with data, checkpoint and output.
    pub claim: String,
    /// Path at which the volume is mounted.
    pub mount: String,
    /// Folder of the launch inside the container.
    pub output: String,
    /// Number of GPUs per pod, as `nvidia.com/gpu`.
    pub gpus: usize,
    /// CPUs per pod, such as `8` or `500m`.
    pub cpu: Option<String>,
    /// Memory per pod, such as `64Gi`.
    pub memory: Option<String>,
    /// Flags of `finepruner study` besides configuration, shard and output.
    pub flags: Vec<String>,
}

impl JobSettings {
    /// Refuses settings that Kubernetes would refuse.
    ///
    /// # Errors
    /// The first invalid flag.
    pub fn check(&self) -> Result<(), LaunchError> {
        // Pods are named after the job, followed by their index.
        let names = [
            ("--job-name", Some(&self.name)),
            ("--claim", Some(&self.claim)),
        ];
        for (flag, name) in names
            .into_iter()
            .chain([("--namespace", self.namespace.as_ref())])
        {
            if let Some(name) = name.filter(|name| !is_label(name)) {
                let expected = "lower-case letters, digits and -, at most 52, beginning and \
                                ending with a letter or digit";
                return Err(LaunchError::setting(flag, name, expected));
            }
        }
        for (flag, path) in [("--mount", &self.mount), ("--output", &self.output)] {
            if !path.starts_with('/') || path.contains(['\n', ':']) {
                let expected = "an absolute path inside the container";
                return Err(LaunchError::setting(flag, path, expected));
            }
        }
        for (flag, amount) in [("--cpu", &self.cpu), ("--memory", &self.memory)] {
            if let Some(amount) = amount.as_ref().filter(|amount| !is_quantity(amount)) {
                let expected = "a quantity in Kubernetes notation, such as 8, 500m or 64Gi";
                return Err(LaunchError::setting(flag, amount, expected));
            }
        }
        if self.image.trim().is_empty() || self.image.contains(char::is_whitespace) {
            let expected = "the name of a container image, such as registry/finepruner:0.1";
            return Err(LaunchError::setting("--image", &self.image, expected));
        }
        Ok(())
    }

    /// The objects to apply: the configuration, then the job.
    pub fn manifests(&self, config: &str) -> [Value; 2] {
        let mut metadata = json!({
            "name": self.name,
            "labels": {"app.kubernetes.io/name": "finepruner"},
        });
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.as_str().into();
        }
        let config_map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"config.json": config},
        });
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "completionMode": "Indexed",
                "completions": self.shards,
                "parallelism": self.max_parallel.min(self.shards),
                "backoffLimitPerIndex": self.retries,
                "maxFailedIndexes": self.shards,
                // A shard's next pod starts only when the previous one has certainly ended.
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": {"rules": [
                    {
                        "action": "Ignore",
                        "onExitCodes": {
                            "containerName": "study", "operator": "In", "values": INTERRUPTED,
                        },
                    },
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailIndex",
                        "onExitCodes": {
                            "containerName": "study", "operator": "In", "values": [REFUSED],
                        },
                    },
                ]},
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/name": "finepruner"}},
                    "spec": self.pod(),
                },
            },
        });
        [config_map, job]
    }

    fn pod(&self) -> Value {
        let mut limits = serde_json::Map::new();
        if self.gpus > 0 {
            limits.insert("nvidia.com/gpu".to_owned(), self.gpus.to_string().into());
        }
        for (name, amount) in [("cpu", &self.cpu), ("memory", &self.memory)] {
            if let Some(amount) = amount {
                limits.insert(name.to_owned(), amount.as_str().into());
            }
        }
        let mut container = json!({
            "name": "study",
            "image": self.image,
            "command": ["/bin/sh", "-c", self.command()],
            "workingDir": self.mount,
            "volumeMounts": [
                {"name": "data", "mountPath": self.mount},
                {"name": "config", "mountPath": "/etc/finepruner", "readOnly": true},
            ],
        });
        if !limits.is_empty() {
            container["resources"] = json!({"limits": limits});
        }
        json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 120,
            "containers": [container],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": self.claim}},
                {"name": "config", "configMap": {"name": self.name}},
            ],
        })
    }

    /// The command of a pod: indices begin at 0, shards at 1. Exit code 3, for failed questions
    /// that are recorded as such, also counts as completion.
    fn command(&self) -> String {
        let flags: String = self
            .flags
            .iter()
            .map(|flag| format!(" {}", quoted(flag)))
            .collect();
        let output = quoted(&self.output);
        format!(
            "set -u; shard=$((JOB_COMPLETION_INDEX + 1)); \
             exec finepruner study --config /etc/finepruner/config.json --no-report \
             --allow-failed --shard \"$shard/{}\" \
             --output {output}/shards/\"$(printf %04d \"$shard\")\"{flags}",
            self.shards
        )
    }

    /// The command that merges the shards when the job is complete.
    pub fn merge_command(&self) -> String {
        let output = quoted(&self.output);
        format!("finepruner merge {output}/run {output}/shards/*")
    }
}

/// Whether a name is a valid label, short enough to append an index.
fn is_label(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_plain = name.bytes().all(|byte| is_inner(byte) || byte == b'-');
    let ends = [name.bytes().next(), name.bytes().last()];
    (1..=52).contains(&name.len()) && is_plain && ends.into_iter().flatten().all(is_inner)
}

/// Whether a text is a quantity such as `8`, `0.5`, `500m` or `64Gi`.
fn is_quantity(text: &str) -> bool {
    const UNITS: [&str; 14] = [
        "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "",
    ];
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let is_number = number.parse::<f64>().is_ok_and(|number| number > 0.0);
    is_number && UNITS.contains(&unit)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
