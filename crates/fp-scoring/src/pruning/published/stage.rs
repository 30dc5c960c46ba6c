//! Published methods as stages of a plan: provides a method's tensors from a model's values.

use std::sync::Arc;

use super::{
    Dense, MethodChoice, MethodInputs, MethodParams, ParamValue, PublishedError, PublishedMethod,
    PublishedStage, Source,
};
use crate::pruning::crops::{self, Way};
use crate::{
    AttentionNeed, AttentionRows, Candidates, CropBudget, Evidence, ImageCrops, MethodCard, Needs,
    PerCrop, Plan, PlanError, PlanSetting, PositionRule, PruningMethod, ScoringError, SelectError,
    Selected, Selector, SharedError, Stage, TokenLayout, error_text,
};

/// The plan of a published method for a model, an image size and the method's parameters;
/// `positions` replaces the authors' rule ([`PlanSetting::positions`]).
///
/// # Errors
/// Parameters that don't fit the model, or a method that the model can't run.
pub fn published_plan(
    method: &dyn PublishedMethod,
    params: &MethodParams,
    positions: Option<PositionRule>,
    setting: &PlanSetting,
) -> Result<Plan, PublishedError> {
    let card = method.card();
    let plan = Plan {
        stages: stages_of(method, params, setting)?,
        positions: positions.unwrap_or(setting.positions(card.positions)),
        ..Plan::vanilla()
    };
    plan.check(
        card.name,
        setting.shape.num_layers,
        setting.num_image_tokens,
    )?;
    Ok(plan)
}

/// What a method's number of tokens refers to in a setting; `None` for an image that isn't cut
/// into whole crops.
///
/// # Errors
/// As [`published_plan`].
pub fn published_crop_budget(
    method: &dyn PublishedMethod,
    params: &MethodParams,
    setting: &PlanSetting,
) -> Result<Option<CropBudget>, PublishedError> {
    if !matches!(setting.crops, ImageCrops::Whole { .. }) {
        return Ok(None);
    }
    let stages = method.stages(params, setting)?;
    Ok(Some(match way_of(method, &stages, setting)? {
        Way::OneSet => CropBudget::Whole,
        Way::EachCrop { .. } => CropBudget::PerCrop,
    }))
}

/// How a method with these stages treats the crops of an image.
fn way_of(
    method: &dyn PublishedMethod,
    stages: &[PublishedStage],
    setting: &PlanSetting,
) -> Result<Way, PublishedError> {
    let first = stages.first();
    let looks_at_tower = first.is_some_and(|stage| !stage.needs().vision.is_empty());
    let is_before_decoder = first.is_some_and(|stage| stage.site.depth() == 0);
    let name = method.card().name;
    Ok(crops::way(
        name,
        setting,
        looks_at_tower,
        is_before_decoder,
    )?)
}

/// Refuses a method that reads the class token of a tower without one. If several patches form
/// one image token, [`crops::way`] refuses everything that reads the tower.
fn check_class_token(method: &dyn PublishedMethod, setting: &PlanSetting) -> Result<(), PlanError> {
    let is_there = setting.has_class_token || setting.crops == ImageCrops::Joined;
    if is_there || !method.looks_at_class_token() {
        return Ok(());
    }
    Err(PlanError::Tower {
        method: method.card().name.to_owned(),
        reason: "it reads the class token of the vision tower, and this model's tower has none; \
                 its authors define no rule for such a tower. Expected a model with a CLIP \
                 tower, or a method that doesn't need the class token"
            .to_owned(),
    })
}

/// The method's stages, with the first on each crop separately if the method treats crops that
/// way.
fn stages_of(
    method: &dyn PublishedMethod,
    params: &MethodParams,
    setting: &PlanSetting,
) -> Result<Vec<Stage>, PublishedError> {
    check_class_token(method, setting)?;
    let stages = method.stages(params, setting)?;
    let stage = |stage: PublishedStage| Stage {
        site: stage.site,
        kept: stage.kept,
        selector: Arc::new(stage),
    };
    let Way::EachCrop {
        num_crops,
        tokens_per_crop,
    } = way_of(method, &stages, setting)?
    else {
        return Ok(stages.into_iter().map(stage).collect());
    };
    let of_crop = PlanSetting {
        num_image_tokens: tokens_per_crop,
        ..setting.clone()
    };
    let stages = method.stages(params, &of_crop)?.into_iter();
    let mut stages: Vec<Stage> = stages.map(stage).collect();
    if let Some(first) = stages.first_mut() {
        let selector = PerCrop::new(Arc::clone(&first.selector), first.kept);
        first.selector = Arc::new(selector);
        first.kept *= num_crops;
    }
    Ok(stages)
}

/// A published method with its parameters, for registration under a name.
#[derive(Debug, Clone)]
pub struct ConfiguredMethod {
    /// The name.
    pub name: String,
    /// The method.
    pub method: &'static dyn PublishedMethod,
    /// The parameters.
    pub params: MethodParams,
    /// Positions that replace the authors'.
    pub positions: Option<PositionRule>,
}

impl PruningMethod for ConfiguredMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn card(&self) -> MethodCard {
        let card = self.params.card();
        MethodCard {
            summary: card.summary,
            source: card.source,
        }
    }

    fn takes_budget(&self) -> bool {
        false
    }

    fn takes_prune_layer(&self) -> bool {
        false
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        published_plan(self.method, &self.params, self.positions, setting).map_err(|error| {
            match error {
                PublishedError::Plan(error @ PlanError::Tower { .. }) => error,
                other => PlanError::Setting {
                    method: self.name.clone(),
                    reason: error_text(&other),
                },
            }
        })
    }
}

impl Selector for PublishedStage {
    fn needs(&self) -> Needs {
        let mut needs = Needs {
            embeds: self.method.finds_raters(),
            text_embeds: self.method.finds_raters(),
            ..Needs::default()
        };
        for (_, source) in &self.sources {
            match *source {
                Source::Vision(need) | Source::VisionMean(need) => needs.vision.push(need),
                Source::Embeds => needs.embeds = true,
                Source::ClipImage | Source::ClipText => needs.clip = true,
                Source::Hidden => needs.hidden = true,
                Source::PreviousHidden => needs.previous_hidden = true,
                Source::LastRowAhead => needs.attention = Some(AttentionNeed::Next),
                Source::TextRows | Source::LargestOverHeads => {
                    needs.attention = Some(AttentionNeed::Here);
                }
                Source::States | Source::Keys => needs.sequence = true,
            }
        }
        needs
    }

    fn looks_at_image_alone(&self) -> bool {
        let is_of_image = |source: &Source| {
            matches!(
                source,
                Source::Vision(_) | Source::VisionMean(_) | Source::Embeds
            )
        };
        !self.method.finds_raters() && self.sources.iter().all(|(_, source)| is_of_image(source))
    }

    fn query_rows(&self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        let mut rows = Vec::new();
        for (_, source) in &self.sources {
            let text = layout.text_range();
            let needed = match source {
                Source::LastRowAhead => text.end.saturating_sub(1)..text.end,
                Source::TextRows => text,
                Source::LargestOverHeads => layout.num_system..text.end,
                _ => continue,
            };
            if layout.num_text == 0 {
                return Err(ScoringError::NoQueryRows {});
            }
            rows = needed.collect();
        }
        Ok(rows)
    }

    fn candidates(&self) -> Candidates {
        if self.method.takes_whole_grid() {
            Candidates::WholeGrid {
                rule: self.params.card().name,
            }
        } else {
            Candidates::Any
        }
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let name = self.params.card().name;
        if evidence.num_class_tokens() > 0 {
            return Err(SelectError::NotApplicable {
                reason: format!(
                    "{name} is defined only for patches; this model's image tokens include the \
                     class token"
                ),
            });
        }
        let choice = self.choose(evidence, kept).map_err(|error| match error {
            PublishedError::Select(error) => error,
            other => SelectError::Other(SharedError::new(other)),
        })?;
        let selection = choice.selection.clone().ok_or(SelectError::Invalid {
            reason: format!("{name} chooses no image tokens"),
        })?;
        Ok(Selected {
            selection,
            audit: None,
            choice: Some(Arc::new(choice)),
        })
    }
}

impl PublishedStage {
    fn choose(&self, evidence: &Evidence<'_>, kept: usize) -> Result<MethodChoice, PublishedError> {
        let mut inputs = MethodInputs::default();
        for (name, source) in &self.sources {
            let (shape, values) = self.tensor(*source, evidence)?;
            inputs.insert(name, shape, values)?;
        }
        let mut params = self.method.stage_params(&self.params, evidence)?;
        // Masked tokens can't be kept, even if there are too few others.
        if evidence.num_left_out() > 0
            && let Some(ParamValue::Count(keep)) = params.get("keep")
            && *keep > kept
        {
            params = params.with("keep", ParamValue::Count(kept));
        }
        self.method.choose(&inputs, &params)
    }
}

impl PublishedStage {
    /// Shape and values of a source.
    fn tensor(
        &self,
        source: Source,
        evidence: &Evidence<'_>,
    ) -> Result<(Vec<usize>, Vec<f64>), PublishedError> {
        let matrix = match source {
            Source::Vision(need) => evidence.vision(need)?,
            Source::VisionMean(need) => {
                let means = Dense::from(evidence.vision(need)?).column_means();
                return Ok((vec![means.len()], means));
            }
            Source::Embeds => evidence.embeds()?,
            Source::ClipImage => evidence.clip()?.image_embeds,
            Source::ClipText => evidence.clip()?.text_embeds,
            Source::Hidden => evidence.hidden()?,
            Source::PreviousHidden => evidence.previous_hidden()?,
            Source::States => evidence.states()?,
            Source::Keys => evidence.keys()?,
            Source::LastRowAhead | Source::TextRows | Source::LargestOverHeads => {
                let (wanted, heads) = (self.query_rows(evidence.layout()), evidence.attention()?);
                let wanted = wanted.map_err(SelectError::from)?;
                let values = values_of(heads, &wanted)?;
                let (rows, num_tokens) = (wanted.len(), evidence.num_tokens());
                return Ok(match source {
                    Source::LargestOverHeads => largest_over_heads(&values, rows, num_tokens),
                    _ => (vec![heads.num_heads(), rows, num_tokens], values),
                });
            }
        };
        let values = matrix.values().iter().map(|&value| f64::from(value));
        Ok((
            vec![matrix.num_rows(), matrix.num_columns()],
            values.collect(),
        ))
    }
}

/// The requested rows, `[H, rows, n]`: if several rules read one stage, other rows were read too.
fn values_of(
    attention: &AttentionRows<'_, f32>,
    wanted: &[usize],
) -> Result<Vec<f64>, SelectError> {
    let (rows, num_tokens) = (attention.rows(), attention.layout().num_image);
    let missing = SelectError::MissingEvidence {
        what: "attention of the rows that the method reads",
    };
    let at: Vec<usize> = wanted
        .iter()
        .map(|row| rows.binary_search(row).map_err(|_| missing.clone()))
        .collect::<Result<_, _>>()?;
    let mut values = Vec::with_capacity(attention.num_heads() * at.len() * num_tokens);
    for head in attention.values().chunks(rows.len() * num_tokens) {
        for &row in &at {
            let of_row = &head[row * num_tokens..(row + 1) * num_tokens];
            values.extend(of_row.iter().map(|&value| f64::from(value)));
        }
    }
    Ok(values)
}

/// The largest value of `[H, rows, n]` over heads, `[1, rows, rows]`; columns other than the n
/// image tokens stay 0.
fn largest_over_heads(
    values: &[f64],
    num_rows: usize,
    num_tokens: usize,
) -> (Vec<usize>, Vec<f64>) {
    let mut largest = vec![0.0; num_rows * num_rows];
    for head in values.chunks(num_rows * num_tokens) {
        for (row, values) in largest.chunks_mut(num_rows).zip(head.chunks(num_tokens)) {
            for (largest, value) in row.iter_mut().zip(values) {
                *largest = value.max(*largest);
            }
        }
    }
    (vec![1, num_rows, num_rows], largest)
}
