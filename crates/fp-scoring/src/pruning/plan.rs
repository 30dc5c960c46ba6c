//! Plan of a method for one model, one image size and one budget.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ImageCrops, PaddingMasked, PlanError, PositionRule, Selector, Site};
use crate::{
    BudgetError, DecoderShape, Normalization, QueryStrategy, ScheduleStages, TokenBudget,
    TokenSchedule,
};

/// Input of the vision tower.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ImageInput {
    /// The whole image, in the model's input size.
    #[default]
    Whole,
    /// A smaller image in the upper left corner of the tower's input; the rest has the colour of
    /// padding.
    Shrunk {
        /// Width in patches.
        columns: usize,
        /// Height in patches.
        rows: usize,
    },
    /// No image: only the question.
    None,
}

/// A point where tokens are dropped.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Where tokens are dropped.
    pub site: Site,
    /// Which rule selects the tokens.
    pub selector: Arc<dyn Selector>,
    /// The most tokens that are kept.
    pub kept: usize,
}

/// A method's stages for one model, image size and budget.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Input of the vision tower.
    pub input: ImageInput,
    /// Stages in the order of their sites; empty for no pruning.
    pub stages: Vec<Stage>,
    /// Positions of the tokens that are kept.
    pub positions: PositionRule,
}

impl Stage {
    /// The selector that runs on an image whose padding tokens are marked in `padding`. Without
    /// padding tokens, a rule that masks them is replaced by the rule itself.
    pub fn selector_for(&self, padding: Option<&[bool]>) -> &dyn Selector {
        let is_padded = padding.is_some_and(|padding| padding.contains(&true));
        match self.selector.without_padding() {
            Some(inner) if !is_padded => inner,
            _ => &*self.selector,
        }
    }
}

impl ImageInput {
    /// Whether the tower gets the whole image.
    pub fn is_whole(&self) -> bool {
        *self == ImageInput::Whole
    }
}

impl Plan {
    /// The plan without pruning.
    pub fn vanilla() -> Plan {
        Plan {
            input: ImageInput::Whole,
            stages: Vec::new(),
            positions: PositionRule::Keep,
        }
    }

    /// One stage with positions kept, the form of FastV.
    pub fn one_stage(site: Site, selector: Arc<dyn Selector>, kept: usize) -> Plan {
        Plan {
            stages: vec![Stage {
                site,
                selector,
                kept,
            }],
            ..Plan::vanilla()
        }
    }

    /// The same plan with padding tokens excluded from the candidates of its first stage; see
    /// [`PaddingMasked`]. A plan that drops nothing has no stage, and keeps them.
    #[must_use]
    pub fn masking_padding(mut self) -> Plan {
        if let Some(first) = self.stages.first_mut() {
            first.selector = Arc::new(PaddingMasked::new(Arc::clone(&first.selector)));
        }
        self
    }

    /// Checks that stages are in order and that none keeps more tokens than enter it; errors name
    /// `method`.
    ///
    /// # Errors
    /// The first stage that violates this, or that comes after the last layer but one.
    pub fn check(
        &self,
        method: &str,
        num_layers: usize,
        num_image_tokens: usize,
    ) -> Result<(), PlanError> {
        let mut before: Option<Site> = None;
        let mut entering = num_image_tokens;
        for (index, stage) in self.stages.iter().enumerate() {
            let site = stage.site;
            if before.is_some_and(|before| site <= before) {
                return Err(PlanError::StageOrder {
                    method: method.to_owned(),
                    index,
                    site,
                });
            }
            if let Site::Layer(prune_layer) = site
                && !(1..num_layers).contains(&prune_layer)
            {
                return Err(PlanError::Budget(BudgetError::PruneLayer {
                    prune_layer,
                    num_layers,
                }));
            }
            if stage.kept > entering {
                return Err(PlanError::StageTokens {
                    method: method.to_owned(),
                    site,
                    kept: stage.kept,
                    entering,
                });
            }
            (before, entering) = (Some(site), stage.kept);
        }
        Ok(())
    }

    /// Whether a stage reads CLIP's embeddings of image and question, which needs a CLIP model in
    /// addition to the LLaVA checkpoint.
    pub fn needs_clip(&self) -> bool {
        self.stages.iter().any(|stage| stage.selector.needs().clip)
    }

    /// The visual tokens that enter each of L layers, if every stage keeps as many as it may.
    ///
    /// # Errors
    /// Stages that don't fit a model of L layers.
    pub fn schedule(
        &self,
        num_layers: usize,
        num_image_tokens: usize,
    ) -> Result<TokenSchedule, BudgetError> {
        if self.input == ImageInput::None {
            return Ok(TokenSchedule::constant(num_layers, 0));
        }
        let sites = self.stages.iter().map(|stage| (stage.site, stage.kept));
        TokenSchedule::from_sites(num_layers, num_image_tokens, sites)
    }
}

/// Inputs of a method's plan.
#[derive(Debug, Clone)]
pub struct PlanSetting {
    /// Sizes of the decoder.
    pub shape: DecoderShape,
    /// N.
    pub num_image_tokens: usize,
    /// Columns and rows of the image tokens; `None` for any-resolution input.
    pub grid: Option<[usize; 2]>,
    /// Layers of the vision tower, if known.
    pub num_vision_layers: Option<usize>,
    /// Whether the vision tower has a class token (CLIP has, SigLIP hasn't).
    pub has_class_token: bool,
    /// How image tokens relate to crops.
    pub crops: ImageCrops,
    /// K, counted from 1.
    pub prune_layer: usize,
    /// How many tokens are kept; `None` for methods without a budget.
    pub budget: Option<TokenBudget>,
    /// Layers and the number of tokens kept after each, instead of one stage after layer K; the
    /// budget then holds the same stages.
    pub schedule: Option<ScheduleStages>,
    /// Which rows attention is read from.
    pub query_strategy: QueryStrategy,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// Continue even if the query rows have no attention to the image.
    pub allow_degenerate: bool,
    /// Seed of methods with random selection.
    pub seed: u64,
}

impl PlanSetting {
    /// `selector` after layer K, or after each layer of the schedule if there is one.
    ///
    /// # Errors
    /// A budget that can't be met.
    pub fn stages(&self, selector: Arc<dyn Selector>) -> Result<Vec<Stage>, BudgetError> {
        let Some(schedule) = &self.schedule else {
            return Ok(vec![Stage {
                site: Site::Layer(self.prune_layer),
                selector,
                kept: self.kept_after_layer()?,
            }]);
        };
        let (layers, n) = (self.shape.num_layers, self.num_image_tokens);
        TokenSchedule::from_stages(layers, n, &schedule.0)?;
        let stages = schedule.0.iter().map(|stage| Stage {
            site: match stage.after_layer {
                0 => Site::Embeddings,
                layer => Site::Layer(layer),
            },
            selector: Arc::clone(&selector),
            kept: stage.tokens,
        });
        Ok(stages.collect())
    }

    /// As [`PlanSetting::stages`], as a plan with positions kept.
    ///
    /// # Errors
    /// As [`PlanSetting::stages`].
    pub fn staged(&self, selector: Arc<dyn Selector>) -> Result<Plan, PlanError> {
        Ok(Plan {
            stages: self.stages(selector)?,
            ..Plan::vanilla()
        })
    }

    /// R, for a method that drops tokens after layer K.
    ///
    /// # Errors
    /// A budget that can't be met.
    pub fn kept_after_layer(&self) -> Result<usize, BudgetError> {
        match &self.budget {
            Some(budget) => budget.kept(
                self.num_image_tokens,
                self.shape.num_layers,
                self.prune_layer,
            ),
            None => Ok(self.num_image_tokens),
        }
    }

    /// R, for a method that drops tokens before layer 1. A budget states what is equal among
    /// methods: a layer average is here the number of tokens itself; a number or fraction of kept
    /// tokens is the same as after layer K.
    ///
    /// # Errors
    /// A budget that can't be met.
    pub fn kept_before_decoder(&self) -> Result<usize, BudgetError> {
        if let Some(schedule) = &self.schedule {
            let (layers, n) = (self.shape.num_layers, self.num_image_tokens);
            let schedule = TokenSchedule::from_stages(layers, n, &schedule.0)?;
            return Ok(schedule.average().round() as usize);
        }
        match self.budget {
            Some(budget @ TokenBudget::AverageVisualTokens(average)) => {
                let kept = average.round();
                if (1.0..=self.num_image_tokens as f64).contains(&kept) {
                    return Ok(kept as usize);
                }
                Err(BudgetError::Kept {
                    budget: budget.to_string(),
                    kept,
                    num_image_tokens: self.num_image_tokens,
                })
            }
            _ => self.kept_after_layer(),
        }
    }

    /// The position rule of a method whose authors use `rule`: theirs, except if image tokens
    /// have row and column positions (M-RoPE, [`ImageCrops::Joined`]). There 0 to n − 1 is
    /// undefined, and tokens keep their positions.
    #[must_use]
    pub fn positions(&self, rule: PositionRule) -> PositionRule {
        match self.crops {
            ImageCrops::Joined => PositionRule::Keep,
            _ => rule,
        }
    }

    /// Columns and rows of the one grid of the image tokens.
    ///
    /// # Errors
    /// Any-resolution input, which has several grids, and features that include the class token.
    pub fn one_grid(&self, method: &str) -> Result<[usize; 2], PlanError> {
        self.grid.ok_or_else(|| PlanError::NoGrid {
            method: method.to_owned(),
        })
    }
}
