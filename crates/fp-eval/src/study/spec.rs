//! The specification of a run: the fixed part of a run folder.

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

/// Version of the format of run folders: records in blocks, see [`super::Records`].
pub const FORMAT: u32 = 2;

/// The oldest supported version: all records in lines. Resuming such a run converts it to
/// [`FORMAT`].
pub const OLDEST_FORMAT: u32 = 1;

/// The specification of a run, stored as `run.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Version of the format; see [`FORMAT`].
    pub format: u32,
    /// The study's configuration.
    pub config: StudyConfig,
    /// SHA-256 of the configuration without keys that only state locations.
    pub config_sha256: String,
    /// The model.
    pub model: ModelSpec,
    /// The rest of the vision tower's CLIP model, if the configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipSpec>,
    /// The datasets, in the order of the configuration.
    pub datasets: Vec<DatasetSpec>,
    /// Budgets and cells.
    pub grid: Grid,
    /// Files of selections used by cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selections: Vec<FileHash>,
    /// Number of samples of the whole run, over all shards.
    pub num_samples: usize,
    /// The shard; `None` for a whole run.
    pub shard: Option<Shard>,
    /// Content and rule of this shard; `None` for a whole run, and for shards of earlier versions,
    /// which hold every n-th image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_plan: Option<ShardPlan>,
    /// Changes that were accepted when the run was resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_changes: Vec<String>,
    /// The environment in which the run was started.
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
    /// Treatment of images that aren't square; `None` for any-resolution tiles.
    pub image_aspect: Option<ImageAspect>,
    /// Number format of the computation.
    pub dtype: String,
    /// Bytes of one value of keys and values.
    pub bytes_per_value: usize,
    /// How products are computed on the CPU; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Products>,
    /// Files that define the model.
    pub files: Vec<FileHash>,
    /// SHA-256 over the names and hashes of the files.
    pub sha256: String,
}

/// How a run's products are computed. Machines with the same rounding give the same results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Products {
    /// How sums of products are rounded, such as `fused multiply-add`.
    pub rounding: String,
    /// The instruction set that was used, such as `avx512`; not compared.
    pub instructions: String,
    /// Format to which rows are rounded before they are multiplied.
    pub activations: String,
    /// Format of the KV cache.
    pub kv_cache: String,
}

/// The CLIP model of a run, beside its main model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Its folder.
    pub path: PathBuf,
    /// Files on which the embeddings depend.
    pub files: Vec<FileHash>,
    /// SHA-256 over the names and hashes of the files.
    pub sha256: String,
}

/// A file and the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// File name, relative to the folder.
    pub name: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// How a dataset's images enter its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagesHashed {
    /// By every byte.
    Content,
    /// By paths and sizes, since their total size is too large to read.
    Sizes,
}

/// One dataset of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSpec {
    /// Name of the dataset.
    pub name: String,
    /// Name of the split.
    pub split: String,
    /// Its folder; the images of records are relative to it.
    pub path: PathBuf,
    /// How answers are scored.
    pub answer_rule: AnswerRule,
    /// Families of questions, if the dataset states them.
    pub families: Vec<String>,
    /// Terms of use, if stated.
    pub license: Option<String>,
    /// Where the dataset comes from, if stated.
    pub source: Option<String>,
    /// Index of its first sample in the run.
    pub first_index: usize,
    /// Number of samples that are run.
    pub num_samples: usize,
    /// How many of those are text-only; they come after the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_text_only: usize,
    /// Number of the dataset's text-only questions that are not run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_text_only_left_out: usize,
    /// Number of samples that are run and will fail because their image file is missing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_missing_images: usize,
    /// How samples were chosen, if a limit excluded some. `None` in runs of earlier versions, which
    /// took the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// SHA-256 over its questions and images.
    pub sha256: String,
    /// How the images entered that hash.
    pub images_hashed: ImagesHashed,
}

/// Where and how a run was started. None of it is compared when a run is resumed or shards are
/// merged. In older runs, values that weren't recorded yet are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of this program.
    pub version: String,
    /// Operating system.
    pub os: String,
    /// Processor's architecture.
    pub arch: String,
    /// The processor's name, if the system states it.
    pub cpu: Option<String>,
    /// Number of threads that the machine runs at one time.
    pub num_cpus: usize,
    /// Start, in seconds since 1970.
    pub started: u64,
    /// Name and version of the operating system, if it states them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Bytes of the machine's memory, if the system states it.
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
    /// The command line, with the program first; empty if another program called the library.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// Git commit from which the program was built, followed by `+changes` if its files differed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Version of the compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// Build profile: `release` or `debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Invocation {
    /// Whether nothing was recorded.
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

/// Bytes of the machine's memory, from `/proc/meminfo`.
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
        // They are also written back unchanged.
        let text = serde_json::to_string(&old).unwrap();
        assert!(
            !text.contains("invocation") && !text.contains("memory"),
            "{text}"
        );
    }
}
