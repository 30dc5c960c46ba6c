//! Number of visual tokens that enter each decoder layer, which determines all costs.
//!
//! A method drops tokens at one or several layers. Whatever it reads to select them, its
//! multiply-accumulates, its KV cache and its average number of tokens depend only on the number
//! of tokens that enter each layer.

use std::fmt;
use std::str::FromStr;

use crate::{BudgetError, Site};

/// A change of the number of visual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleStage {
    /// Tokens are dropped after this layer, counted from 1; 0 means before layer 1.
    pub after_layer: usize,
    /// Visual tokens that enter the following layers.
    pub tokens: usize,
}

/// Stages in their text form `3:309,7:204,16:113`: each is a layer and the number of visual
/// tokens that enter the layers after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ScheduleStages(pub Vec<ScheduleStage>);

/// A text that isn't a list of stages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a schedule: expected LAYER:TOKENS pairs such as 3:309,7:204,16:113")]
pub struct ScheduleSyntax {
    /// The given text.
    pub text: String,
}

impl FromStr for ScheduleStages {
    type Err = ScheduleSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ScheduleSyntax {
            text: text.to_owned(),
        };
        let number = |part: &str| part.trim().parse::<usize>().map_err(|_| wrong());
        let stages = text.split(',').map(|stage| {
            let (layer, tokens) = stage.split_once(':').ok_or_else(wrong)?;
            Ok(ScheduleStage {
                after_layer: number(layer)?,
                tokens: number(tokens)?,
            })
        });
        stages.collect::<Result<_, _>>().map(ScheduleStages)
    }
}

impl fmt::Display for ScheduleStages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stage) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", stage.after_layer, stage.tokens)?;
        }
        Ok(())
    }
}

/// The number of visual tokens that enter each of L decoder layers, `[L]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct TokenSchedule(Vec<usize>);

impl TokenSchedule {
    /// `tokens` in every one of `num_layers` layers: no pruning, or pruning before the
    /// first layer.
    pub fn constant(num_layers: usize, tokens: usize) -> Self {
        TokenSchedule(vec![tokens; num_layers])
    }

    /// N = `num_image_tokens` through layer K = `prune_layer`, `kept` after it.
    ///
    /// # Errors
    /// K outside 1..L, or more tokens kept than there are. Keeping none is allowed.
    pub fn one_stage(
        num_layers: usize,
        num_image_tokens: usize,
        prune_layer: usize,
        kept: usize,
    ) -> Result<Self, BudgetError> {
        if prune_layer == 0 {
            return Err(BudgetError::PruneLayer {
                prune_layer,
                num_layers,
            });
        }
        let stage = ScheduleStage {
            after_layer: prune_layer,
            tokens: kept,
        };
        Self::from_stages(num_layers, num_image_tokens, &[stage])
    }

    /// N = `num_image_tokens` until the first stage, then the number that each stage keeps.
    ///
    /// # Errors
    /// A stage at or after the last layer, stages whose layers don't ascend, or a stage that
    /// keeps more tokens than enter it.
    pub fn from_stages(
        num_layers: usize,
        num_image_tokens: usize,
        stages: &[ScheduleStage],
    ) -> Result<Self, BudgetError> {
        let mut entering = vec![num_image_tokens; num_layers];
        let mut before = (None, num_image_tokens);
        for stage in stages {
            let &ScheduleStage {
                after_layer,
                tokens,
            } = stage;
            if after_layer >= num_layers {
                return Err(BudgetError::PruneLayer {
                    prune_layer: after_layer,
                    num_layers,
                });
            }
            if before.0.is_some_and(|layer| after_layer <= layer) {
                return Err(BudgetError::StageOrder { after_layer });
            }
            if tokens > before.1 {
                return Err(BudgetError::StageTokens {
                    after_layer,
                    tokens,
                    entering: before.1,
                });
            }
            entering[after_layer..].fill(tokens);
            before = (Some(after_layer), tokens);
        }
        Ok(TokenSchedule(entering))
    }

    /// As [`TokenSchedule::from_stages`], from sites and the number of tokens kept at each. Of
    /// several stages before layer 1 the last one counts.
    ///
    /// # Errors
    /// As [`TokenSchedule::from_stages`].
    pub fn from_sites(
        num_layers: usize,
        num_image_tokens: usize,
        sites: impl IntoIterator<Item = (Site, usize)>,
    ) -> Result<Self, BudgetError> {
        let mut entering = num_image_tokens;
        let mut stages = Vec::new();
        for (site, tokens) in sites {
            match site.depth() {
                0 => entering = tokens,
                after_layer => stages.push(ScheduleStage {
                    after_layer,
                    tokens,
                }),
            }
        }
        Self::from_stages(num_layers, entering, &stages)
    }

    /// `[L]`: visual tokens that enter each layer.
    pub fn entering(&self) -> &[usize] {
        &self.0
    }

    /// L.
    pub fn num_layers(&self) -> usize {
        self.0.len()
    }

    /// Visual tokens that enter the last layer.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(0)
    }

    /// B: the mean over layers of the tokens that *enter* a layer.
    pub fn average(&self) -> f64 {
        self.mean(self.0.iter().sum())
    }

    /// The mean over layers of the tokens that *leave* a layer, as SparseVLM counts (its 192, 128
    /// and 64 are 206.5, 145.4 and 82.3 by tokens that enter).
    pub fn average_by_output(&self) -> f64 {
        // A layer outputs what enters the next one; the last layer outputs all that enters it.
        let leaving = self.0.iter().skip(1).sum::<usize>() + self.last();
        self.mean(leaving)
    }

    fn mean(&self, sum: usize) -> f64 {
        match self.0.len() {
            0 => 0.0,
            layers => sum as f64 / layers as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn llava_7b(text: &str) -> TokenSchedule {
        let stages: ScheduleStages = text.parse().unwrap();
        TokenSchedule::from_stages(32, 576, &stages.0).unwrap()
    }

    #[test]
    fn published_schedules() {
        // SparseVLM's budgets by tokens that enter a layer and by tokens that leave it.
        for (text, by_input, by_output, last) in [
            ("3:309,7:204,16:113", 206.5, 192.03125, 113),
            ("3:312,7:117,16:39", 145.40625, 128.625, 39),
            ("3:82,7:32,16:18", 82.25, 64.8125, 18),
            ("2:300,6:200,16:110", 191.0, 176.4375, 110),
        ] {
            let schedule = llava_7b(text);
            assert_eq!(schedule.average(), by_input, "{text}");
            assert_eq!(schedule.average_by_output(), by_output, "{text}");
            assert_eq!(schedule.last(), last);
        }
        let tokens = llava_7b("3:309,7:204,16:113");
        let runs: Vec<(usize, usize)> = tokens
            .entering()
            .chunk_by(|a, b| a == b)
            .map(|run| (run.len(), run[0]))
            .collect();
        assert_eq!(runs, [(3, 576), (4, 309), (9, 204), (16, 113)]);
    }

    #[test]
    fn stages_read_as_they_are_written() {
        let stages: ScheduleStages = "3:309, 7:204,16:113".parse().unwrap();
        assert_eq!(stages.to_string(), "3:309,7:204,16:113");
        assert_eq!(stages.0[1].after_layer, 7);
        for wrong in [
            "", "3", "3:", ":5", "3:4,", "a:5", "3:-1", "3:1.5", "3:4;5:6",
        ] {
            let error = wrong.parse::<ScheduleStages>().unwrap_err();
            assert!(
                error.to_string().contains("expected LAYER:TOKENS"),
                "{error}"
            );
        }
    }

    #[test]
    fn impossible_schedules_are_errors() {
        let of = |text: &str| {
            let stages: ScheduleStages = text.parse().unwrap();
            TokenSchedule::from_stages(8, 16, &stages.0)
        };
        assert!(matches!(of("8:4"), Err(BudgetError::PruneLayer { .. })));
        assert!(matches!(
            of("3:8,3:4"),
            Err(BudgetError::StageOrder { after_layer: 3 })
        ));
        assert!(matches!(of("3:8,2:4"), Err(BudgetError::StageOrder { .. })));
        assert!(matches!(
            of("2:8,4:9"),
            Err(BudgetError::StageTokens {
                after_layer: 4,
                tokens: 9,
                entering: 8
            })
        ));
        assert!(of("1:17").is_err());
        assert!(TokenSchedule::one_stage(8, 16, 0, 4).is_err());
        // Before the first layer, and down to zero.
        assert_eq!(of("0:4,7:0").unwrap().entering(), [4, 4, 4, 4, 4, 4, 4, 0]);
    }

    proptest! {
        #[test]
        fn a_stage_that_keeps_everything_changes_nothing(
            kept in 0_usize..=20, k in 1_usize..8, extra in 1_usize..8,
        ) {
            let one = TokenSchedule::one_stage(9, 20, k, kept).unwrap();
            let stage = |after_layer, tokens| ScheduleStage { after_layer, tokens };
            prop_assume!(extra != k);
            let mut stages = vec![stage(k, kept)];
            if extra < k {
                stages.insert(0, stage(extra, 20));
            } else {
                stages.push(stage(extra, kept));
            }
            prop_assert_eq!(&TokenSchedule::from_stages(9, 20, &stages).unwrap(), &one);
            let expected = crate::average_visual_tokens(kept as f64, 20, 9, k);
            prop_assert!((one.average() - expected).abs() < 1e-12);
            prop_assert!(one.average_by_output() <= one.average());
        }
    }
}
