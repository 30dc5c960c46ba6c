//! Everything that a folder can be instead of a checkpoint that runs.

use std::path::PathBuf;

/// How an adapter becomes a part of its base model.
const MERGING: &str = "load the base with transformers, put the adapter on it with peft's \
                       `PeftModel.from_pretrained`, call `merge_and_unload` and save what that \
                       gives with `save_pretrained`";

/// What a folder is, or what in it contradicts itself, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// An adapter without its base model.
    #[error(
        "{} is {kind} adapter for {}, not a full model; merge it into its base first ({MERGING}) \
         and give the merged model's folder",
        file.display(), base_name(base)
    )]
    Adapter {
        /// The file that tells.
        file: PathBuf,
        /// Such as `a LoRA`.
        kind: String,
        /// The model that it was trained on, where it says so.
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
        /// Such as `a LoRA`.
        kind: String,
        /// The model that it was trained on, where it says so.
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
        /// How many there are.
        count: usize,
    },
    /// A checkpoint whose weights are stored as a quantised format has them.
    #[error(
        "{} is quantised ({method}, by {sign}); expected the unquantised checkpoint that it was \
         made from, with weights in F32, F16 or BF16",
        dir.display()
    )]
    Quantised {
        /// The checkpoint's folder.
        dir: PathBuf,
        /// Such as `bitsandbytes, 4 bit`.
        method: String,
        /// What tells.
        sign: String,
    },
    /// A config that speaks of quantisation, beside weights that aren't quantised.
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
        /// Such as `bitsandbytes, 4 bit`.
        method: String,
    },
    /// The projector of a model and nothing else of it.
    #[error(
        "{} holds only a projector ({sign}), and the language model isn't there; expected a full \
         model: one that was saved in full after the projector was trained",
        dir.display()
    )]
    ProjectorOnly {
        /// The folder.
        dir: PathBuf,
        /// The file or tensor that tells.
        sign: String,
    },
    /// A vision tower and nothing else of a model.
    #[error(
        "{} holds only a vision tower ({sign}), without language model and projector; expected a \
         full model, which finds a tower of its own by `mm_vision_tower` or `--vision-tower`",
        dir.display()
    )]
    TowerOnly {
        /// The folder.
        dir: PathBuf,
        /// The field or tensor that tells.
        sign: String,
    },
    /// A language model that no vision tower and projector belong to.
    #[error(
        "{} describes a language model alone ({sign}), without vision tower and projector; \
         expected a LLaVA that was made of it",
        path.display()
    )]
    LanguageModelOnly {
        /// The config file.
        path: PathBuf,
        /// The field or tensor that tells.
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
        /// Name of one tensor of it.
        expected: String,
        /// Where they may be.
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
        /// Name of one tensor of it.
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
        /// The field that tells.
        field: &'static str,
        /// Its value.
        found: String,
        /// Values that would be right.
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
    /// Weights in a format of another program.
    #[error(
        "{} is in the format {format}; expected safetensors or PyTorch's `.bin`, unquantised, in \
         the layout of Hugging Face or of the original LLaVA",
        file.display()
    )]
    ForeignFormat {
        /// A file of it.
        file: PathBuf,
        /// What the format is called.
        format: &'static str,
    },
    /// Tensors that would change the answers and that nothing takes.
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
        /// How many there are.
        count: usize,
        /// Why they aren't used, and what would be right.
        reason: String,
    },
    /// Images come out in another size than the vision tower takes.
    #[error(
        "{} (class defaults for what it lacks) makes images of {width}x{height} pixels; the \
         vision tower takes {side}x{side}",
        path.display()
    )]
    ImageSize {
        /// The file that says how images are prepared.
        path: PathBuf,
        /// Width that it gives.
        width: usize,
        /// Height that it gives.
        height: usize,
        /// Side of the square that the tower takes.
        side: usize,
    },
    /// Images come out in another form than the vision part takes.
    #[error("{} makes {found}; the vision part takes {expected}", path.display())]
    Cells {
        /// The file that says how images are prepared.
        path: PathBuf,
        /// What it makes.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Tiles are cut by one file's grid and put together by the other's.
    #[error(
        "`image_grid_pinpoints` is {found:?} in {}, but {expected:?} in {}",
        path.display(), config.display()
    )]
    Pinpoints {
        /// The file that says how images are prepared.
        path: PathBuf,
        /// Its pinpoints.
        found: Vec<(usize, usize)>,
        /// The config file.
        config: PathBuf,
        /// Its pinpoints.
        expected: Vec<(usize, usize)>,
    },
    /// A token whose embedding isn't there.
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
        /// Rows of the embedding table.
        vocab_size: usize,
        /// The config file.
        config: PathBuf,
    },
}

fn base_name(base: &Option<String>) -> &str {
    base.as_deref()
        .unwrap_or("a base model that it doesn't name")
}
