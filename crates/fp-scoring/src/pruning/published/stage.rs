//! Published methods as stages of a plan: from what a model knows to the tensors that a
//! method looks at.

use std::sync::Arc;

use super::{
    Dense, MethodChoice, MethodInputs, MethodParams, PublishedError, PublishedMethod,
    PublishedStage, Source,
};
use crate::{
    AttentionNeed, AttentionRows, Evidence, MethodCard, Needs, Plan, PlanError, PlanSetting,
    PositionRule, PruningMethod, ScoringError, SelectError, Selected, Selector, SharedError, Stage,
    TokenLayout, error_text,
};

/// What a published method does with a model, an image size and parameters of its own;
/// `positions` instead of the authors' rule.
///
/// # Errors
/// Parameters that don't fit the model, or a method that a model can't run.
pub fn published_plan(
    method: &dyn PublishedMethod,
    params: &MethodParams,
    positions: Option<PositionRule>,
    setting: &PlanSetting,
) -> Result<Plan, PublishedError> {
    let card = method.card();
    let stages = method.stages(params, setting)?;
    let plan = Plan {
        stages: stages
            .into_iter()
            .map(|stage| Stage {
                site: stage.site,
                kept: stage.kept,
                selector: Arc::new(stage),
            })
            .collect(),
        positions: positions.unwrap_or(card.positions),
        ..Plan::vanilla()
    };
    plan.check(
        card.name,
        setting.shape.num_layers,
        setting.num_image_tokens,
    )?;
    Ok(plan)
}

/// A published method with its parameters, to be registered under a name.
#[derive(Debug, Clone)]
pub struct ConfiguredMethod {
    /// The name.
    pub name: String,
    /// The method.
    pub method: &'static dyn PublishedMethod,
    /// The parameters.
    pub params: MethodParams,
    /// Positions instead of the authors'.
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
            PlanError::Setting {
                method: self.name.clone(),
                reason: error_text(&error),
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

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        let name = self.params.card().name;
        if evidence.num_class_tokens() > 0 {
            return Err(SelectError::NotApplicable {
                reason: format!(
                    "{name} is defined for patches alone; this model's image tokens have the \
                     class token among them"
                ),
            });
        }
        let choice = self.choose(evidence).map_err(|error| match error {
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
    fn choose(&self, evidence: &Evidence<'_>) -> Result<MethodChoice, PublishedError> {
        let mut inputs = MethodInputs::default();
        for (name, source) in &self.sources {
            let (shape, values) = tensor(*source, evidence)?;
            inputs.insert(name, shape, values)?;
        }
        let params = self.method.stage_params(&self.params, evidence)?;
        self.method.choose(&inputs, &params)
    }
}

/// Shape and values of what a source gives.
fn tensor(
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
        Source::LastRowAhead | Source::TextRows => {
            let rows = evidence.attention()?;
            let shape = vec![rows.num_heads(), rows.rows().len(), evidence.num_tokens()];
            return Ok((
                shape,
                rows.values()
                    .iter()
                    .map(|&value| f64::from(value))
                    .collect(),
            ));
        }
        Source::LargestOverHeads => return Ok(largest_over_heads(evidence.attention()?)),
    };
    let values = matrix.values().iter().map(|&value| f64::from(value));
    Ok((
        vec![matrix.num_rows(), matrix.num_columns()],
        values.collect(),
    ))
}

fn largest_over_heads(rows: &AttentionRows<'_, f32>) -> (Vec<usize>, Vec<f64>) {
    let (num_rows, num_tokens) = (rows.rows().len(), rows.layout().num_image);
    let mut largest = vec![0.0; num_rows * num_rows];
    for head in rows.values().chunks(num_rows * num_tokens) {
        for (row, values) in largest.chunks_mut(num_rows).zip(head.chunks(num_tokens)) {
            for (largest, value) in row.iter_mut().zip(values) {
                *largest = f64::from(*value).max(*largest);
            }
        }
    }
    (vec![1, num_rows, num_rows], largest)
}
