//! `--clip`: the CLIP model for methods that compare image and question.

use anyhow::{Context, Result};
use fp_model::{ClipError, ModelConfig, OpenedClip};
use fp_scoring::Plan;

use super::GenerateArgs;
use super::inputs::Source;

/// Opens the folder that `--clip` names, if `plan` needs CLIP's embeddings.
///
/// # Errors
/// The plan needs CLIP and no folder is given, or there is no question to compare the image with; a
/// folder that doesn't fit the model of `config`.
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

/// The question, if it is known separately from the prompt.
pub(super) fn question<'a>(args: &GenerateArgs, source: &'a Source) -> Option<&'a str> {
    let text = source.question.as_deref();
    text.filter(|_| args.raw_prompt.is_none())
}
