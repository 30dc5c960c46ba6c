//! Answers a prompt without an image, unpruned, since there are no image tokens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fp_eval::study::is_embedded;
use fp_image::IMAGE_PLACEHOLDER;
use fp_model::prompt::PromptTemplate;
use fp_model::{GenerateOptions, LoadOptions, OpenedCheckpoint, SampleOutput, StageTimings};
use fp_scoring::PositionRule;

use super::inputs::Source;
use super::report::Report;
use super::{GenerateArgs, logits};
use crate::commands::output_file::OutputFile;

/// A text-only prompt, ready to be answered.
pub(super) struct Prompt {
    pub(super) text: String,
    /// Remarks on the checkpoint, and settings without any effect.
    pub(super) notes: Vec<String>,
}

/// The text-only prompt, if the flags name no image; `None` where an image is named or shipped.
///
/// # Errors
/// A whole prompt with an image placeholder but no image, or the other way round; an overlay
/// without an image.
pub(super) fn prompt(args: &GenerateArgs) -> Result<Option<Asked>> {
    let prompt = whole_prompt(args)?;
    ensure!(
        prompt.is_none() || args.overlay.is_none(),
        "--overlay draws kept tokens on the image, and there is none; give one with --image FILE"
    );
    Ok(prompt)
}

/// A text-only input.
pub(super) enum Asked {
    /// The whole prompt.
    Raw(String),
    /// The user's message, which goes into the model's own template.
    Message(String),
}

impl Asked {
    /// The whole prompt.
    pub(super) fn render(self, template: PromptTemplate) -> String {
        match self {
            Asked::Raw(text) => text,
            Asked::Message(text) => template.render_text_only(&text),
        }
    }
}

fn whole_prompt(args: &GenerateArgs) -> Result<Option<Asked>> {
    let has_place = |text: &String| text.contains(IMAGE_PLACEHOLDER);
    match (&args.image, &args.prompt, &args.raw_prompt) {
        (Some(image), _, Some(raw)) => {
            ensure!(
                has_place(raw),
                "--raw-prompt has no {IMAGE_PLACEHOLDER}, and --image names {}; expected \
                 {IMAGE_PLACEHOLDER} at the image's position, or no --image for a text-only prompt",
                image.display()
            );
            Ok(None)
        }
        (None, _, Some(raw)) if !has_place(raw) => Ok(Some(Asked::Raw(raw.clone()))),
        // The shipped model comes with an image of the shipped benchmark.
        _ if args.model.as_deref().is_some_and(is_embedded) => Ok(None),
        (None, _, Some(_)) => anyhow::bail!(
            "--raw-prompt has {IMAGE_PLACEHOLDER}, and there is no --image; give one, or omit \
             {IMAGE_PLACEHOLDER} for a text-only prompt"
        ),
        (None, Some(text), None) => Ok(Some(Asked::Message(text.clone()))),
        _ => Ok(None),
    }
}

/// Answers the prompt and prints the result.
pub(super) fn run(
    args: &GenerateArgs,
    opened: OpenedCheckpoint,
    prompt: &Prompt,
    options: &LoadOptions,
    generate: &GenerateOptions,
    logits_file: Option<OutputFile>,
) -> Result<()> {
    let tokenizer = opened.tokenizer()?;
    let ids = tokenizer.encode_text_only(&prompt.text)?;
    let start = Instant::now();
    let model = opened.load(options)?;
    let load = start.elapsed();
    let start = Instant::now();
    let mut branches = model.prefill_text(&ids)?;
    let prefix = start.elapsed();
    let prompt_logits = branches.logits(0)?.unwrap_or_default().to_vec();
    let start = Instant::now();
    let generations = model.generate(&mut branches, generate)?;
    let decode = start.elapsed();
    let generation = generations.into_iter().next();
    let output = SampleOutput {
        generation: generation.context("one prompt has one answer")?,
        stages: Vec::new(),
        prompt_logits,
        min_margin: branches.min_margin(0),
        kv_tokens: branches.kv_tokens_of(0).unwrap_or_default(),
        kv_bytes: branches.kv_bytes_of(0).unwrap_or_default(),
    };
    if let Some(file) = logits_file {
        file.write(&logits::content(&output.prompt_logits)?)?;
    }
    let text = args.prompt.as_ref().or(args.raw_prompt.as_ref());
    Report {
        text: Some(tokenizer.decode(&output.generation.token_ids)?),
        output: &output,
        prune: None,
        method: None,
        num_left_out: None,
        crop_budget: None,
        positions: PositionRule::Keep,
        grid: None,
        source: &Source {
            question: text.cloned(),
            ..Source::default()
        },
        notes: &prompt.notes,
        layout: None,
        sequence: Err(ids.len()),
        preprocess: Duration::ZERO,
        load,
        vision: Duration::ZERO,
        stages: StageTimings {
            prefix,
            decode,
            ..StageTimings::default()
        },
    }
    .print(args.json)
}
