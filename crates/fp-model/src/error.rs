//! Errors of checkpoints and of requests to a model.

use std::path::PathBuf;

use fp_scoring::{Cause, SharedError};

/// Result of this crate's functions.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

/// The folder that a model is expected in, as errors name it.
pub const EXPECTED_MODEL_FOLDER: &str = "the folder of a checkpoint (download it first, for \
    example with `hf download llava-hf/llava-1.5-7b-hf --local-dir llava-1.5-7b-hf`), or embedded";

/// What went wrong, where, and what is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A folder that isn't a runnable checkpoint, or whose files contradict each other.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint_kind::CheckpointError),
    /// A CLIP model that is needed beside the checkpoint and is missing or doesn't fit.
    #[error(transparent)]
    Clip(#[from] crate::clip::ClipError),
    /// The folder of a checkpoint doesn't exist.
    #[error(
        "no folder `{}`; expected {EXPECTED_MODEL_FOLDER}{}",
        dir.display(), shape.map_or(String::new(), |name| format!("; for dummy weights of that shape: random:{name}"))
    )]
    NoFolder {
        /// The folder.
        dir: PathBuf,
        /// The shape of dummy weights with the folder's name, if there is one.
        shape: Option<&'static str>,
    },
    /// A file or folder can't be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A JSON file doesn't parse.
    #[error("{} is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why it doesn't parse.
        source: serde_json::Error,
    },
    /// A field of a config has a value that can't be used.
    #[error("{}: field `{field}` is {found}; expected {expected}", path.display())]
    ConfigField {
        /// The config file.
        path: PathBuf,
        /// Dotted name of the field.
        field: String,
        /// The value found.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// The folder holds no weights in a known form.
    #[error("no weights in {}; expected one of: {}", dir.display(), looked_for.join(", "))]
    NoWeights {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// File names that are looked for.
        looked_for: Vec<String>,
    },
    /// A weight file is cut short, damaged, or contradicts its index.
    #[error("weight file {} is unusable: {reason}", path.display())]
    Shard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Its reader's error, if that found it.
        source: Option<Cause>,
    },
    /// The tensors' names match no known layout.
    #[error(
        "the tensors of {} fit no known layout; expected one of {}", dir.display(), expected.join(", ")
    )]
    UnknownNames {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// One tensor name of each known layout.
        expected: Vec<String>,
    },
    /// A tensor that the config requires is missing.
    #[error(
        "tensor `{name}` of shape {expected:?} is missing from {}; {} requires it",
        location.display(), config.display()
    )]
    TensorMissing {
        /// Name of the tensor.
        name: String,
        /// Shape that it should have.
        expected: Vec<usize>,
        /// The shard that the index names, or the folder searched.
        location: PathBuf,
        /// The config that requires it.
        config: PathBuf,
    },
    /// A tensor's shape contradicts the config.
    #[error(
        "tensor `{name}` in {} has shape {got:?}, but {} requires {expected:?}",
        shard.display(), config.display()
    )]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// The file that holds it.
        shard: PathBuf,
        /// Shape by the config.
        expected: Vec<usize>,
        /// Shape found.
        got: Vec<usize>,
        /// The config that requires it.
        config: PathBuf,
    },
    /// A tensor's number format isn't supported for weights.
    #[error("tensor `{name}` in {} is {found}; expected F32, F16 or BF16", shard.display())]
    TensorDtype {
        /// Name of the tensor.
        name: String,
        /// The file that holds it.
        shard: PathBuf,
        /// Format found.
        found: String,
    },
    /// A weight that isn't a number.
    #[error("tensor `{name}` in {} holds {value} at index {index}; weights must be finite", shard.display())]
    TensorValue {
        /// Name of the tensor.
        name: String,
        /// The file that holds it.
        shard: PathBuf,
        /// Index in the flattened tensor.
        index: usize,
        /// The value found.
        value: f32,
    },
    /// The vision tower of an original-layout checkpoint isn't where it should be.
    #[error(
        "the vision tower `{name}` was not found; give its folder, or put it at one of {}",
        searched.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    VisionTowerMissing {
        /// Its name in the config.
        name: String,
        /// Paths that were searched.
        searched: Vec<PathBuf>,
    },
    /// A selector that failed.
    #[error(transparent)]
    Select(#[from] fp_scoring::SelectError),
    /// A plan that this model can't follow.
    #[error(transparent)]
    Plan(#[from] fp_scoring::PlanError),
    /// A token id outside the vocabulary.
    #[error("token id {id} at position {position} is outside the vocabulary of {vocab_size}")]
    TokenId {
        /// The id.
        id: u32,
        /// Where in the prompt.
        position: usize,
        /// Ids below this exist.
        vocab_size: usize,
    },
    /// CUDA was requested in a build without it.
    #[error(
        "this build computes on the CPU alone; build with `--features cuda`, which needs NVIDIA's \
         CUDA toolkit, to compute on a GPU"
    )]
    NoCuda,
    /// A GPU that can't be used: what is missing, and what to do.
    #[error(transparent)]
    Gpu(SharedError),
    /// An argument has the wrong shape.
    #[error("{what} has shape {got:?}; expected {expected}")]
    InputShape {
        /// Which argument.
        what: &'static str,
        /// Shape found.
        got: Vec<usize>,
        /// What is expected.
        expected: String,
    },
    /// An argument has a value that can't be used.
    #[error("{what} is {found}; expected {expected}")]
    InputValue {
        /// Which argument.
        what: &'static str,
        /// Value found.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// The model produced something that isn't a number.
    #[error("{what} holds NaN or infinity at index {index}; weights or inputs are damaged")]
    NotFinite {
        /// Which result.
        what: &'static str,
        /// First index at fault.
        index: usize,
    },
    /// A budget or number of heads that is impossible.
    #[error(transparent)]
    Budget(#[from] fp_scoring::BudgetError),
    /// An image can't be read or prepared.
    #[error(transparent)]
    Image(#[from] fp_image::ImageError),
    /// A prompt can't be tokenised.
    #[error(transparent)]
    Prompt(#[from] crate::prompt::PromptError),
    /// Scoring or selection failed.
    #[error(transparent)]
    Scoring(#[from] fp_scoring::ScoringError),
    /// The tensor library failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
