//! Output of `generate`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fp_model::{SampleOutput, StageTimings};
use fp_scoring::{
    CropBudget, MethodParams, PositionRule, PruneConfig, TokenLayout, published_method,
};
use serde_json::json;

use super::inputs::Source;
use super::sequence::Sequence;
use super::{crops, published};
use crate::commands::{print_json, print_text};
use crate::table::{WIDTH, ranges, wrap};

/// One answer and how it was made.
pub(super) struct Report<'a> {
    pub(super) text: Option<String>,
    pub(super) output: &'a SampleOutput,
    pub(super) prune: Option<&'a PruneConfig>,
    /// The published method, with its parameters.
    pub(super) method: Option<&'a MethodParams>,
    /// Number of image tokens that were excluded from the candidates because they show only
    /// padding; `None` without that option.
    pub(super) num_left_out: Option<usize>,
    /// What the method's numbers apply to, on several crops.
    pub(super) crop_budget: Option<CropBudget>,
    pub(super) positions: PositionRule,
    /// Columns and rows of image positions, for models with grid positions.
    pub(super) grid: Option<[usize; 2]>,
    pub(super) source: &'a Source,
    pub(super) layout: Option<TokenLayout>,
    /// Position of the image in the sequence, or the length of a text-only prompt.
    pub(super) sequence: Result<Sequence, usize>,
    pub(super) preprocess: Duration,
    pub(super) load: Duration,
    pub(super) vision: Duration,
    pub(super) stages: StageTimings,
    /// Remarks on the checkpoint, and settings without any effect.
    pub(super) notes: &'a [String],
}

impl Report<'_> {
    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            print_json(&self.json())
        } else {
            print_text(&self.text())
        }
    }

    /// Stages with their time in milliseconds, in the order of running.
    fn timings(&self) -> [(&'static str, f64); 7] {
        let ms = |time: Duration| 1e3 * time.as_secs_f64();
        [
            ("load_ms", ms(self.load)),
            ("preprocess_ms", ms(self.preprocess)),
            ("vision_ms", ms(self.vision)),
            ("prefix_ms", ms(self.stages.prefix)),
            ("scoring_ms", ms(self.stages.scoring)),
            ("branch_ms", ms(self.stages.branch)),
            ("decode_ms", ms(self.stages.decode)),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let selection = self.output.attention_audit();
        let mut json = json!({
            "image": self.source.image,
            "question": self.source.question,
            "right_answer": self.source.right_answer,
            "text": self.text,
            "token_ids": self.output.generation.token_ids,
            "finish_reason": self.output.generation.finish_reason,
            "layout": self.layout,
            "sequence": self.sequence.as_ref().ok(),
            "text_only": self.sequence.is_err(),
            "prune": self.prune,
            "crop_budget": self.crop_budget,
            "mask_padding": self.num_left_out.is_some(),
            "num_tokens_left_out": self.num_left_out.unwrap_or(0),
            "kept_tokens": self.output.stages.last().map(|stage| &stage.places),
            "stages": published::stages_json(
                self.output, self.layout.as_ref(), self.positions, self.grid,
            ),
            "selected_heads": selection.map(|selection| &selection.selected_heads),
            "audit": selection.map(|selection| &selection.audit),
            "timings": self.timings().into_iter().collect::<BTreeMap<_, _>>(),
            "kv_bytes": self.output.kv_bytes,
            "kv_tokens_per_layer": self.output.kv_tokens,
            "notes": self.notes,
        });
        if let Some(grid) = self.grid {
            json["grid"] = json!(grid);
        }
        if let Some(params) = self.method {
            json["method"] = published::method_json(params, self.positions);
        }
        json
    }

    fn text(&self) -> String {
        let mut text = self.shipped();
        text += &match &self.text {
            Some(text) => format!("{text}\n\n"),
            None => format!("tokens {:?}\n\n", self.output.generation.token_ids),
        };
        let mut entering = self.layout.map_or(0, |layout| layout.num_image);
        for stage in &self.output.stages {
            if let Some(params) = self.method {
                let name = params.card().name;
                let at = match stage.site.depth() {
                    0 => format!("before layer 1 at {}", stage.site),
                    _ => format!("after {}", stage.site),
                };
                text += &lines(&format!(
                    "kept {} of {entering} image tokens {at} ({name})",
                    stage.places.len(),
                ));
                entering = stage.places.len();
                continue;
            }
            let (Some(selection), Some(prune)) = (&stage.selected.audit, self.prune) else {
                continue;
            };
            let kept = format!(
                "kept {} of {entering} image tokens after {} ({} + {}, heads {}): {}",
                stage.places.len(),
                stage.site,
                prune.head_strategy,
                prune.query_strategy,
                ranges(&selection.selected_heads, 24),
                ranges(&stage.places, 60),
            );
            entering = stage.places.len();
            text += &lines(&kept);
        }
        if let (Some(count), Some(layout)) = (self.num_left_out, self.layout) {
            text += &lines(&format!(
                "{count} of {} image tokens show only padding and were not candidates",
                layout.num_image
            ));
        }
        if let Some(sentence) = self.crop_sentence() {
            text += &lines(&sentence);
        }
        text += &lines(&match &self.sequence {
            Ok(sequence) => sequence.sentence(self.crop_budget),
            Err(num_tokens) => {
                format!("no image: a text-only prompt of {num_tokens} tokens, answered unpruned")
            }
        });
        let timings: Vec<String> = self
            .timings()
            .iter()
            .map(|(stage, ms)| format!("{} {ms:.1}", stage.trim_end_matches("_ms")))
            .collect();
        text += &lines(&format!("ms: {}", timings.join(", ")));
        text += &format!(
            "KV cache {:.2} MiB",
            self.output.kv_bytes as f64 / f64::from(1 << 20)
        );
        text
    }

    /// What the method's numbers apply to, if there are several crops.
    fn crop_sentence(&self) -> Option<String> {
        let method = published_method(self.method?.card().name).ok()?;
        let num_crops = self.sequence.as_ref().ok()?.num_crops();
        Some(crops::sentence(self.crop_budget?, method, num_crops))
    }

    /// Image and question if they are shipped ones; empty if the user named them.
    fn shipped(&self) -> String {
        let (Some(image), Some(question), Some(answer)) = (
            &self.source.image,
            &self.source.question,
            &self.source.right_answer,
        ) else {
            return String::new();
        };
        format!(
            "image     {}\n{}{}answer    ",
            image.display(),
            labelled("question", question),
            labelled("right", answer),
        )
    }
}

/// Text wrapped to the terminal's width.
fn lines(text: &str) -> String {
    wrap(text, WIDTH).join("\n") + "\n"
}

/// A name, and beside it text wrapped to the terminal's width.
fn labelled(name: &str, text: &str) -> String {
    let mut out = String::new();
    for (number, line) in wrap(text, WIDTH - 10).iter().enumerate() {
        let name = if number == 0 { name } else { "" };
        out += &format!("{name:<10}{line}\n");
    }
    out
}
