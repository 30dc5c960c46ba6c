//! What a run is of: the part of a run folder that doesn't grow.

use std::path::PathBuf;

use fp_data::metric::AnswerRule;
use fp_image::ImageAspect;
use serde::{Deserialize, Serialize};

use super::config::StudyConfig;
use super::grid::{Grid, ModelShape};
use super::memory::kib_value;
use super::order::Shard;
use super::shards::ShardPlan;
use super::subset::Subset;

/// Version of the form of run folders: records in blocks, see [`super::Records`].
pub const FORMAT: u32 = 2;

/// The oldest version that is read: all records in lines. A run of it is resumed in the form
/// of [`FORMAT`].
pub const OLDEST_FORMAT: u32 = 1;

/// What a run is of, stored as `run.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// [`FORMAT`].
    pub format: u32,
    /// The study's configuration.
    pub config: StudyConfig,
    /// SHA-256 of the configuration without what says only where things lie.
    pub config_sha256: String,
    /// The model.
    pub model: ModelSpec,
    /// The rest of the vision tower's CLIP model, where the configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipSpec>,
    /// The datasets, in the order of the configuration.
    pub datasets: Vec<DatasetSpec>,
    /// Budgets and cells.
    pub grid: Grid,
    /// Files of selections that cells are made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selections: Vec<FileHash>,
    /// Samples of the whole run, all shards together.
    pub num_samples: usize,
    /// Which shard this is; none for a whole run.
    pub shard: Option<Shard>,
    /// What this shard holds and by which rule; none for a whole run. Shards of earlier
    /// versions hold every n-th image and have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_plan: Option<ShardPlan>,
    /// Changes that were accepted when the run was gone on with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_changes: Vec<String>,
    /// Where the run was started.
    pub environment: Environment,
}

/// The model of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its folder.
    pub path: PathBuf,
    /// Sizes of the decoder and number of image tokens.
    pub shape: ModelShape,
    /// Side of the vision tower's input in pixels.
    pub image_side: usize,
    /// Image tokens along one side of a square.
    pub patches_per_side: usize,
    /// What happens to an image that isn't square; none for any-resolution tiles.
    pub image_aspect: Option<ImageAspect>,
    /// Number format that it computes in.
    pub dtype: String,
    /// Bytes of one value of keys and values.
    pub bytes_per_value: usize,
    /// How products are made, on the CPU; runs of earlier versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Products>,
    /// Files that it is defined by.
    pub files: Vec<FileHash>,
    /// SHA-256 over the names and hashes of the files.
    pub sha256: String,
}

/// How a run's products are made. Runs on machines that round them alike are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Products {
    /// How sums of products are rounded, such as `fused multiply-add`.
    pub rounding: String,
    /// The instruction set that they ran on, such as `avx512`; nothing of it is compared.
    pub instructions: String,
    /// What rows are rounded to before they are multiplied.
    pub activations: String,
    /// What the KV cache keeps.
    pub kv_cache: String,
}

/// The CLIP model of a run, beside its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Its folder.
    pub path: PathBuf,
    /// Files that its embeddings depend on.
    pub files: Vec<FileHash>,
    /// SHA-256 over the names and hashes of the files.
    pub sha256: String,
}

/// A file and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// Its name, relative to the folder.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// How a dataset's images went into its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagesHashed {
    /// Every byte.
    Content,
    /// Paths and sizes: there is too much to read it all.
    Sizes,
}

/// One dataset of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// What it is called.
    pub name: String,
    /// Which part of it this is.
    pub split: String,
    /// Its folder; the images of records are relative to it.
    pub path: PathBuf,
    /// How answers are scored.
    pub answer_rule: AnswerRule,
    /// Kinds of question, where it says them.
    pub families: Vec<String>,
    /// Terms of use.
    pub license: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Index of its first sample in the run.
    pub first_index: usize,
    /// Samples that are run.
    pub num_samples: usize,
    /// Those of them that are text-only; they come after the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_text_only: usize,
    /// Text-only questions that the dataset has and that are not run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_text_only_left_out: usize,
    /// Samples that are run, to fail, though their image's file isn't there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_missing_images: usize,
    /// How they were chosen, where a limit left some out. Runs of earlier versions
    /// took the first ones and don't say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// SHA-256 over its questions and images.
    pub sha256: String,
    /// How the images went into that.
    pub images_hashed: ImagesHashed,
}

/// Where and how a run was started. Nothing of it is compared when a run is resumed or
/// shards are merged. What runs from before it was recorded lack is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of this program.
    pub version: String,
    /// Operating system.
    pub os: String,
    /// Processor's architecture.
    pub arch: String,
    /// The processor's name, where the system says it.
    pub cpu: Option<String>,
    /// Threads that the machine runs at once.
    pub num_cpus: usize,
    /// Start, in seconds since 1970.
    pub started: u64,
    /// Name and version of the operating system, where it says them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Bytes of the machine's memory, where the system says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// How the run was started.
    #[serde(default, skip_serializing_if = "Invocation::is_unknown")]
    pub invocation: Invocation,
}

/// The program and the command that started a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Invocation {
    /// The command line, the program first; empty where another program called the
    /// library.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The folder that it was given in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// Git commit that the program was built from, with `+changes` behind it where its
    /// files differed from that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Version of the compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// Whether it was built with optimisation: `release` or `debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Invocation {
    /// Whether nothing is known.
    fn is_unknown(&self) -> bool {
        *self == Invocation::default()
    }
}

impl Environment {
    pub(crate) fn now() -> Environment {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let cpu = read("/proc/cpuinfo");
        let memory = read("/proc/meminfo");
        let release = read("/etc/os-release");
        Environment {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu.as_deref().and_then(cpu_name).map(str::to_owned),
            num_cpus: std::thread::available_parallelism().map_or(1, usize::from),
            started: started.map_or(0, |duration| duration.as_secs()),
            os_version: release.as_deref().and_then(os_name).map(str::to_owned),
            memory_bytes: memory.as_deref().and_then(memory_bytes),
            invocation: Invocation::default(),
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn cpu_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// Bytes of the whole memory, by `/proc/meminfo`.
fn memory_bytes(meminfo: &str) -> Option<u64> {
    kib_value(meminfo, "MemTotal:")
}

/// `PRETTY_NAME` of `/etc/os-release`.
fn os_name(release: &str) -> Option<&str> {
    let mut lines = release.lines();
    let name = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_as_linux_describes_them() {
        let meminfo = "MemTotal:        8039584 kB\nMemFree: 1 kB\n";
        assert_eq!(memory_bytes(meminfo), Some(8_039_584 * 1024));
        assert_eq!(memory_bytes("MemFree: 1 kB"), None);
        let release = "NAME=\"X\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(os_name(release), Some("Debian GNU/Linux 12 (bookworm)"));
    }

    #[test]
    fn environments_from_before_more_was_recorded_are_read() {
        let old = r#"{"version":"0.1.0","os":"linux","arch":"x86_64","cpu":null,"num_cpus":2,
            "started":1700000000}"#;
        let old: Environment = serde_json::from_str(old).unwrap();
        assert_eq!(
            (old.memory_bytes, old.invocation.is_unknown()),
            (None, true)
        );
        // And written as they were.
        let text = serde_json::to_string(&old).unwrap();
        assert!(
            !text.contains("invocation") && !text.contains("memory"),
            "{text}"
        );
    }
}
