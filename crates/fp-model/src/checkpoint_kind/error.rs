//! Everything that a folder can be instead of a checkpoint that runs.

use std::path::PathBuf;

/// How to merge an adapter into its base model.
const MERGING: &str = "load the base with transformers, put the adapter on it with peft's \
                       `PeftModel.from_pretrained`, call `merge_and_unload` and save what that \
                       gives with `save_pretrained`";

/// What a folder holds instead of a runnable checkpoint, or what in it is contradictory, and what
/// is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A folder of something else.
    #[error(
        "{} is not the folder of a checkpoint: it has neither config.json nor weights",
        dir.display()
    )]
    NotACheckpoint {
        /// The folder.
        dir: PathBuf,
    },
    /// An adapter without its base model.
    #[error(
        "{} is {kind} adapter for {}, not a full model; merge it into its base first ({MERGING}) \
         and give the merged model's folder",
        file.display(), base_name(base)
    )]
    Adapter {
        /// The file that shows it.
        file: PathBuf,
        /// Kind of adapter, such as `a LoRA`.
        kind: String,
        /// The base model that it was trained on, if stated.
        base: Option<String>,
    },
    /// An adapter beside weights that it isn't merged into.
    #[error(
        "{} is {kind} adapter for {} beside a model's weights, which would run without it; merge \
         it into them ({MERGING}), or move it out of the folder to run the weights as they are",
        file.display(), base_name(base)
    )]
    AdapterBeside {
        /// The adapter's file.
        file: PathBuf,
        /// Kind of adapter, such as `a LoRA`.
        kind: String,
        /// The base model that it was trained on, if stated.
        base: Option<String>,
    },
    /// Weights with an adapter's tensors among them.
    #[error(
        "the weights in {} are not merged: {count} of their tensors are those of a PEFT model, \
         such as `{example}`; expected plain weights: call peft's `merge_and_unload` on the model \
         and save it again",
        dir.display()
    )]
    Unmerged {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// Name of one such tensor.
        example: String,
        /// Number of such tensors.
        count: usize,
    },
    /// A checkpoint whose weights are stored in a quantised format.
    #[error(
        "{} is quantised ({method}, as shown by {sign}); expected the unquantised \
         checkpoint that it was made from, with weights in F32, F16 or BF16",
        dir.display()
    )]
    Quantised {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// Method and bits, such as `bitsandbytes, 4 bit`.
        method: String,
        /// The field or tensors that show it.
        sign: String,
    },
    /// A config that states quantisation, beside weights that aren't quantised.
    #[error(
        "{} says in `{field}` that the weights are quantised ({method}), and they are stored \
         unquantised; expected no such field: take it out to run the weights as they are",
        path.display()
    )]
    QuantisedByConfig {
        /// The config file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// Method and bits, such as `bitsandbytes, 4 bit`.
        method: String,
    },
    /// The projector of a model and nothing else.
    #[error(
        "{} holds only a projector ({sign}), and the language model isn't there; expected a full \
         model: one that was saved in full after the projector was trained",
        dir.display()
    )]
    ProjectorOnly {
        /// The folder.
        dir: PathBuf,
        /// The file or tensor that shows it.
        sign: String,
    },
    /// A vision tower and nothing else.
    #[error(
        "{} holds only a vision tower ({sign}), without language model and projector; expected a \
         full model, which finds a tower of its own by `mm_vision_tower` or `--vision-tower`",
        dir.display()
    )]
    TowerOnly {
        /// The folder.
        dir: PathBuf,
        /// The field or tensor that shows it.
        sign: String,
    },
    /// A language model without a vision tower and a projector.
    #[error(
        "{} describes a language model alone ({sign}), without vision tower and projector; \
         expected a LLaVA model built on it",
        path.display()
    )]
    LanguageModelOnly {
        /// The config file.
        path: PathBuf,
        /// The field or tensor that shows it.
        sign: String,
    },
    /// No tensor of the projector among the weights.
    #[error(
        "the projector is missing from the weights in {}, which have no tensor such as \
         `{expected}`; expected its tensors among them: {hint}",
        dir.display()
    )]
    NoProjector {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// Name of one tensor of the projector.
        expected: String,
        /// Where its tensors may be.
        hint: String,
    },
    /// No tensor of the vision tower among the weights.
    #[error(
        "the vision tower is missing from the weights in {}, which have no tensor such as \
         `{expected}`; expected a model that was saved in full",
        dir.display()
    )]
    NoTower {
        /// The checkpoint's folder, or the tower's.
        dir: PathBuf,
        /// Name of one tensor of the tower.
        expected: String,
    },
    /// A model that isn't LLaVA.
    #[error(
        "{}: field `{field}` is {found}, another family of models; expected {expected}",
        path.display()
    )]
    OtherFamily {
        /// The config file.
        path: PathBuf,
        /// The field that shows it.
        field: &'static str,
        /// Its value.
        found: String,
        /// Values that are supported.
        expected: String,
    },
    /// A vision tower that isn't CLIP's.
    #[error(
        "{}: field `mm_vision_tower` is {found:?}, a vision tower of another family; expected a \
         CLIP vision transformer, such as \"openai/clip-vit-large-patch14-336\"",
        path.display()
    )]
    OtherTower {
        /// The config file.
        path: PathBuf,
        /// The tower's name.
        found: String,
    },
    /// Weights in another program's format.
    #[error(
        "{} is in the format {format}; expected safetensors or PyTorch's `.bin`, unquantised, in \
         the layout of Hugging Face or of the original LLaVA",
        file.display()
    )]
    ForeignFormat {
        /// One file in that format.
        file: PathBuf,
        /// Name of the format.
        format: &'static str,
    },
    /// Tensors that would change the answers but are not used.
    #[error(
        "{count} stored tensors would change the answers and are not used, such as `{example}` in \
         {}; {reason}",
        dir.display()
    )]
    Unused {
        /// The folder.
        dir: PathBuf,
        /// Name of one of them.
        example: String,
        /// Number of such tensors.
        count: usize,
        /// Why they aren't used, and what is expected.
        reason: String,
    },
    /// Images are prepared in another size than the vision tower takes.
    #[error(
        "{} (with class defaults for missing values) resizes images to {width}x{height} \
         pixels; the vision tower takes {side}x{side}",
        path.display()
    )]
    ImageSize {
        /// The file that states how images are prepared.
        path: PathBuf,
        /// Width that it states.
        width: usize,
        /// Height that it states.
        height: usize,
        /// Side of the square that the tower takes.
        side: usize,
    },
    /// Images are prepared in another form than the vision part takes.
    #[error("{} makes {found}; the vision part takes {expected}", path.display())]
    Cells {
        /// The file that states how images are prepared.
        path: PathBuf,
        /// The form that it states.
        found: String,
        /// The form that is expected.
        expected: String,
    },
    /// Tiles would be cut by one file's grid and assembled by another's.
    #[error(
        "`image_grid_pinpoints` is {found:?} in {}, but {expected:?} in {}",
        path.display(), config.display()
    )]
    Pinpoints {
        /// The file that states how images are prepared.
        path: PathBuf,
        /// Its pinpoints.
        found: Vec<(usize, usize)>,
        /// The config file.
        config: PathBuf,
        /// Its pinpoints.
        expected: Vec<(usize, usize)>,
    },
    /// A token without an embedding.
    #[error(
        "the tokenizer's `{token}` has id {id}, and {} states a vocabulary of {vocab_size}; \
         expected ids below that",
        config.display()
    )]
    Vocabulary {
        /// Text of the token with the largest id.
        token: String,
        /// Its id.
        id: u32,
        /// Number of rows of the embedding table.
        vocab_size: usize,
        /// The config file.
        config: PathBuf,
    },
}

fn base_name(base: &Option<String>) -> &str {
    base.as_deref()
        .unwrap_or("a base model that it doesn't name")
}
