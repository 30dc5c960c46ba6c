//! `--clip`: the CLIP model of methods that compare image and question.

use anyhow::{Context, Result};
use fp_model::{ClipError, ModelConfig, OpenedClip};
use fp_scoring::Plan;

use super::GenerateArgs;
use super::inputs::Source;

/// The folder that `--clip` names, opened, where `plan` looks at CLIP's embeddings.
///
/// # Errors
/// The plan needs one and there is none, or no question to compare the image with; a folder
/// that can't be used beside the model of `config`.
pub(super) fn opened(
    args: &GenerateArgs,
    plan: &Plan,
    config: &ModelConfig,
) -> Result<Option<OpenedClip>> {
    if !plan.needs_clip() {
        return Ok(None);
    }
    let method = || format!("--method {}", args.method.as_deref().unwrap_or_default());
    let dir = args.clip.as_ref().ok_or(ClipError::NotGiven);
    let dir = dir.with_context(method)?;
    if args.raw_prompt.is_some() {
        return Err(ClipError::NoQuestion).with_context(method);
    }
    let opened = OpenedClip::open(dir, config);
    let opened = opened.with_context(|| format!("--clip {}", dir.display()))?;
    Ok(Some(opened))
}

/// The question, where it is known apart from the prompt.
pub(super) fn question<'a>(args: &GenerateArgs, source: &'a Source) -> Option<&'a str> {
    let text = source.question.as_deref();
    text.filter(|_| args.raw_prompt.is_none())
}
