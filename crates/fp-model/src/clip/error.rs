//! Errors of a CLIP model that is used beside a LLaVA checkpoint.

use std::path::PathBuf;

use fp_scoring::Cause;

/// A CLIP model that can't be used, or that is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// A method needs a CLIP model and there is none.
    #[error(
        "the method compares image and question by CLIP's embeddings, and no LLaVA checkpoint \
         has CLIP's text tower and projections; name the folder of the CLIP model that the \
         vision tower was taken from, such as openai/clip-vit-large-patch14-336, with --clip \
         DIR, or `clip` in a study's configuration"
    )]
    NotGiven,
    /// A method needs the question by itself, and the caller gave only the prompt.
    #[error(
        "the method embeds the question with CLIP, but only the whole prompt is known; give the \
         question by itself (--prompt TEXT)"
    )]
    NoQuestion,
    /// The CLIP model has another vision tower than the LLaVA checkpoint.
    #[error(
        "{}: `vision_config.{field}` is {found}, and the vision tower of {} has {expected}; \
         expected the CLIP model that this tower was taken from",
        config.display(), model.display()
    )]
    OtherTower {
        /// CLIP's config.
        config: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: usize,
        /// The value of the LLaVA checkpoint's tower.
        expected: usize,
        /// The LLaVA checkpoint's config.
        model: PathBuf,
    },
    /// A folder without a tokenizer.
    #[error(
        "no tokenizer in {}; expected tokenizer.json, or vocab.json and merges.txt",
        dir.display()
    )]
    NoTokenizer {
        /// The folder.
        dir: PathBuf,
    },
    /// vocab.json and merges.txt can't be made into a tokenizer.
    #[error(
        "{} and merges.txt beside it can't be made into a CLIP tokenizer", vocab.display()
    )]
    Vocabulary {
        /// vocab.json.
        vocab: PathBuf,
        /// What is wrong with them.
        source: Cause,
    },
    /// A tokenizer without the token that begins or ends every text.
    #[error("{} has no token `{token}`; expected a CLIP tokenizer", path.display())]
    MissingToken {
        /// The tokenizer's file.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
}
