//! Numbers of visual tokens through the stages of a cell, over the samples that it answered.

use std::collections::BTreeSet;
use std::fmt::Write;

use fp_scoring::{ImageInput, Site};
use serde::Serialize;

use super::record::{RunRecord, VisualInputRecord};

/// Largest number of stages that are listed one by one.
const MOST_STAGES: usize = 5;

/// The visual tokens of a cell from stage to stage; the minimum and maximum if samples differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TokenFlow {
    /// In one line, such as `576→300@2→200@6`: 300 tokens are kept after layer 2 and 200 after
    /// layer 6. `@vision` and `@embeddings` are stages before layer 1; `28–41` is a range over
    /// samples.
    pub text: String,
    /// N, the minimum and maximum number of image tokens.
    pub image_tokens: [usize; 2],
    /// The stages in the order of a forward pass; empty without pruning.
    pub stages: Vec<StageFlow>,
    /// Whether the vision tower was given a downsampled image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_shrunk: bool,
    /// Whether no image was used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_without_image: bool,
}

/// Tokens kept at one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StageFlow {
    /// The stage's site.
    pub site: Site,
    /// Minimum and maximum number of kept tokens.
    pub tokens: [usize; 2],
}

/// Collects [`TokenFlow`]s over samples.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Distinct combinations of N and the stages with their numbers of tokens.
    ways: BTreeSet<(usize, Vec<(Site, usize)>)>,
    is_shrunk: bool,
    is_without_image: bool,
}

impl Flows {
    /// Adds a run on an image of `num_image_tokens` tokens; `prune_layer` is used for runs that
    /// record no layer.
    pub(super) fn add(&mut self, run: &RunRecord, num_image_tokens: usize, prune_layer: usize) {
        let stages = match &run.seen {
            VisualInputRecord::All => Vec::new(),
            VisualInputRecord::NoImage => {
                self.is_without_image = true;
                Vec::new()
            }
            VisualInputRecord::Kept(kept) => {
                let layer = run.after_layer.unwrap_or(prune_layer);
                vec![(Site::Layer(layer), kept.len())]
            }
            VisualInputRecord::Stages(seen) => {
                self.is_shrunk |= matches!(seen.input, ImageInput::Shrunk { .. });
                let stages = seen.stages.iter();
                stages.map(|stage| (stage.site, stage.kept.len())).collect()
            }
        };
        self.ways.insert((num_image_tokens, stages));
    }

    pub(super) fn finish(&self) -> TokenFlow {
        let sites: BTreeSet<Site> = self
            .ways
            .iter()
            .flat_map(|(_, stages)| stages.iter().map(|(site, _)| *site))
            .collect();
        let range = |values: Vec<usize>| {
            let fewest = values.iter().copied().min().unwrap_or(0);
            [fewest, values.into_iter().max().unwrap_or(0)]
        };
        // A stage that kept everything on a sample isn't recorded for it.
        let behind = |(n, stages): &(usize, Vec<(Site, usize)>), site: Site| {
            let done = stages.iter().rev().find(|(other, _)| *other <= site);
            done.map_or(*n, |(_, tokens)| *tokens)
        };
        let mut flow = TokenFlow {
            text: String::new(),
            image_tokens: range(self.ways.iter().map(|(n, _)| *n).collect()),
            stages: sites
                .into_iter()
                .map(|site| StageFlow {
                    site,
                    tokens: range(self.ways.iter().map(|way| behind(way, site)).collect()),
                })
                .collect(),
            is_shrunk: self.is_shrunk,
            is_without_image: self.is_without_image,
        };
        if !self.ways.is_empty() {
            flow.text = flow.line();
        }
        flow
    }
}

impl TokenFlow {
    fn line(&self) -> String {
        if self.is_without_image {
            return "no image".to_owned();
        }
        let mut text = number(self.image_tokens);
        let left_out = match self.stages.len() {
            count if count > MOST_STAGES => 2..count - 1,
            _ => 0..0,
        };
        for (index, stage) in self.stages.iter().enumerate() {
            if index == left_out.start && !left_out.is_empty() {
                text.push_str("→…");
            }
            if left_out.contains(&index) {
                continue;
            }
            let site = match stage.site {
                Site::Vision => "vision".to_owned(),
                Site::Embeddings => "embeddings".to_owned(),
                Site::Layer(layer) => layer.to_string(),
            };
            // Writing to a string can't fail.
            let _ = write!(text, "→{}@{site}", number(stage.tokens));
        }
        if !left_out.is_empty() {
            let _ = write!(text, " ({} stages)", self.stages.len());
        }
        if self.is_shrunk {
            text.push_str(" (smaller image)");
        }
        text
    }
}

fn number([fewest, most]: [usize; 2]) -> String {
    if fewest == most {
        most.to_string()
    } else {
        format!("{fewest}–{most}")
    }
}

#[cfg(test)]
mod tests {
    use fp_model::FinishReason;
    use fp_scoring::PositionRule;

    use super::*;
    use crate::study::record::{VisualStageRecord, VisualStagesRecord};

    fn run(seen: VisualInputRecord) -> RunRecord {
        RunRecord {
            seen,
            after_layer: None,
            kept_hash: None,
            text: String::new(),
            token_ids: Vec::new(),
            finish_reason: FinishReason::Stop,
            min_margin: None,
            score: 0.0,
            diversity: None,
        }
    }

    fn stages(input: ImageInput, stages: &[(Site, usize)]) -> RunRecord {
        run(VisualInputRecord::Stages(VisualStagesRecord {
            input,
            positions: PositionRule::Renumber,
            stages: stages
                .iter()
                .map(|&(site, kept)| VisualStageRecord {
                    site,
                    kept: (0..kept).collect(),
                    merge: None,
                })
                .collect(),
        }))
    }

    fn flow(runs: &[(RunRecord, usize)]) -> TokenFlow {
        let mut flows = Flows::default();
        for (run, n) in runs {
            flows.add(run, *n, 2);
        }
        flows.finish()
    }

    #[test]
    fn stages_as_a_line() {
        let whole = ImageInput::Whole;
        let text = |run: RunRecord| flow(&[(run, 576)]).text;
        assert_eq!(text(run(VisualInputRecord::All)), "576");
        assert_eq!(text(run(VisualInputRecord::NoImage)), "no image");
        assert_eq!(
            text(run(VisualInputRecord::Kept((0..30).collect()))),
            "576→30@2"
        );
        assert_eq!(
            text(stages(
                whole,
                &[(Site::Layer(2), 300), (Site::Layer(6), 200)]
            )),
            "576→300@2→200@6"
        );
        assert_eq!(
            text(stages(whole, &[(Site::Vision, 96), (Site::Layer(16), 32)])),
            "576→96@vision→32@16"
        );
        let smaller = ImageInput::Shrunk {
            columns: 8,
            rows: 8,
        };
        assert_eq!(
            text(stages(smaller, &[(Site::Embeddings, 64)])),
            "576→64@embeddings (smaller image)"
        );
        let many: Vec<_> = (1..32).map(|k| (Site::Layer(k), 576 - 10 * k)).collect();
        assert_eq!(
            text(stages(whole, &many)),
            "576→566@1→556@2→…→266@31 (31 stages)"
        );
        assert_eq!(flow(&[]), TokenFlow::default());
    }

    #[test]
    fn samples_that_differ_are_a_range() {
        let whole = ImageInput::Whole;
        let layer = |k: usize, kept: usize| (Site::Layer(k), kept);
        // The second sample's first stage kept everything and isn't recorded.
        let found = flow(&[
            (stages(whole, &[layer(2, 30), layer(6, 20)]), 40),
            (stages(whole, &[layer(6, 25)]), 50),
        ]);
        assert_eq!(found.text, "40–50→30–50@2→20–25@6");
        assert_eq!(found.stages[0].tokens, [30, 50]);
    }
}
