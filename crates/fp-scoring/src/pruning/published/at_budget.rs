//! Published methods at a study's budget.
//!
//! Authors state budgets in three ways, and their settings are for a decoder of 32 layers and 576
//! image tokens. A study compares methods at one budget on any model. Each method therefore
//! defines, with [`PublishedMethod::settings_at`], its settings for a fraction of the image
//! tokens, and this module searches the fraction whose plan is nearest to the budget:
//!
//! * one stage: the number of tokens that the budget keeps at its site, which before layer 1 is
//!   the layer average itself;
//! * several stages: the layer average by the tokens that enter each layer; for a budget in kept
//!   tokens, the average of one stage after layer K, so that both cost the same.
//!
//! Authors' layers are scaled to the decoder's number of layers. A method that can't meet a
//! budget exactly meets it as closely as whole tokens allow; costs are those of its actual plan.

use super::{MethodParams, ParamScope, PublishedError, PublishedMethod, published_plan};
use crate::{
    MethodCard, Plan, PlanError, PlanSetting, PruningMethod, TokenBudget, TokenSchedule,
    average_visual_tokens, error_text,
};

/// Decoder layers of the models that the authors' settings are for.
const AUTHORS_LAYERS: usize = 32;
/// Layers of their vision towers.
const AUTHORS_VISION_LAYERS: usize = 24;
/// Largest factor on a method's settings that is tried: counts are clamped to the image tokens.
const MOST: f64 = 4.0;
/// Number of bisections of the fraction; the steps of a plan are far apart compared with the
/// last.
const HALVINGS: usize = 40;

/// A published method whose settings follow from a study's budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtBudget {
    method: &'static dyn PublishedMethod,
}

impl AtBudget {
    /// Every published method that a budget sets, and those without required settings.
    pub(crate) fn all() -> impl Iterator<Item = AtBudget> {
        let methods = super::published_methods().iter();
        methods
            .map(|&method| AtBudget { method })
            .filter(|at| at.method.runs_in_models())
    }

    /// Its plan for a fraction of the image tokens.
    fn at(self, share: f64, setting: &PlanSetting) -> Result<Plan, PublishedError> {
        let card = self.method.card();
        let settings = self
            .method
            .settings_at(share, setting)
            .ok_or(PublishedError::NoBudget { method: card.name })?;
        let given: Vec<(String, String)> = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let params = MethodParams::parse(card, ParamScope::Model, &given)?;
        published_plan(self.method, &params, None, setting)
    }

    /// The plan nearest to the budget.
    fn nearest(self, setting: &PlanSetting) -> Result<Plan, PublishedError> {
        let name = self.method.card().name;
        // Excess of tokens over the budget; negative if there are too few.
        let at = |share: f64| -> Result<(Plan, f64), PublishedError> {
            let plan = self.at(share, setting)?;
            let (found, wanted) = figures(&plan, setting)?;
            Ok((plan, found - wanted))
        };
        let mut below = at(0.0)?;
        if below.1 > 0.0 {
            let (least, wanted) = figures(&below.0, setting)?;
            return Err(PublishedError::BudgetOutOfReach {
                method: name,
                wanted,
                least,
            });
        }
        // Settings for too large a fraction may be invalid for the method.
        let mut above = at(MOST).ok();
        if let Some((plan, _)) = above.take_if(|above| above.1 <= 0.0) {
            return Ok(plan);
        }
        let (mut low, mut high) = (0.0, MOST);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            match at(middle) {
                Ok(found) if found.1 <= 0.0 => (low, below) = (middle, found),
                found => (high, above) = (middle, found.ok().or(above)),
            }
        }
        Ok(match above {
            Some(above) if above.1 < -below.1 => above.0,
            _ => below.0,
        })
    }
}

/// The plan's value of the quantity that the budget fixes, and the budget's value.
fn figures(plan: &Plan, setting: &PlanSetting) -> Result<(f64, f64), PlanError> {
    if let [stage] = plan.stages.as_slice() {
        let wanted = match stage.site.depth() {
            0 => setting.kept_before_decoder()?,
            depth => PlanSetting {
                prune_layer: depth,
                ..setting.clone()
            }
            .kept_after_layer()?,
        };
        return Ok((stage.kept as f64, wanted as f64));
    }
    let (n, layers) = (setting.num_image_tokens, setting.shape.num_layers);
    let wanted = match (&setting.schedule, &setting.budget) {
        (Some(schedule), _) => TokenSchedule::from_stages(layers, n, &schedule.0)?.average(),
        (None, Some(TokenBudget::AverageVisualTokens(average))) => *average,
        (None, _) => {
            let kept = setting.kept_after_layer()?;
            average_visual_tokens(kept as f64, n, layers, setting.prune_layer)
        }
    };
    Ok((plan.schedule(layers, n)?.average(), wanted))
}

impl PruningMethod for AtBudget {
    fn name(&self) -> &str {
        self.method.card().name
    }

    fn card(&self) -> MethodCard {
        let card = self.method.card();
        MethodCard {
            summary: card.summary,
            source: card.source,
        }
    }

    fn takes_budget(&self) -> bool {
        self.method.takes_budget()
    }

    fn takes_prune_layer(&self) -> bool {
        false
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let plan = if self.takes_budget() {
            self.nearest(setting)
        } else {
            let params = MethodParams::parse(self.method.card(), ParamScope::Model, &[]);
            params.and_then(|params| published_plan(self.method, &params, None, setting))
        };
        plan.map_err(|error| match error {
            PublishedError::Plan(error @ PlanError::Tower { .. }) => error,
            other => PlanError::Setting {
                method: self.name().to_owned(),
                reason: error_text(&other),
            },
        })
    }
}

/// `share` of N as a number of tokens, at least one.
pub(crate) fn tokens(share: f64, setting: &PlanSetting) -> usize {
    let most = setting.num_image_tokens;
    ((share * most as f64).round() as usize).clamp(1, most.max(1))
}

/// Settings of methods whose `keep` is the number of tokens.
pub(crate) fn keep(share: f64, setting: &PlanSetting) -> Vec<(&'static str, String)> {
    vec![("keep", tokens(share, setting).to_string())]
}

/// The authors' layers of 32 in a decoder of L, and the number of tokens kept after each, where
/// the authors keep `kept` of 576 at `share` = 1. Layers that coincide become one, with the
/// smaller number of tokens.
pub(crate) fn staged(
    share: f64,
    layers: &[usize],
    kept: &[usize],
    setting: &PlanSetting,
) -> (Vec<usize>, Vec<usize>) {
    /// N of the authors' models.
    const AUTHORS_TOKENS: f64 = 576.0;
    let (mut at, mut going_on): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (&layer, &kept) in layers.iter().zip(kept) {
        let layer = decoder_layer(layer, setting);
        let kept = tokens(share * kept as f64 / AUTHORS_TOKENS, setting);
        if at.last() == Some(&layer) {
            going_on.pop();
            at.pop();
        }
        at.push(layer);
        going_on.push(kept);
    }
    (at, going_on)
}

/// A number of finished decoder layers, of 32, in a decoder of L: 1 to L − 1.
pub(crate) fn decoder_layer(layer: usize, setting: &PlanSetting) -> usize {
    let most = setting.shape.num_layers.saturating_sub(1).max(1);
    scaled(layer, setting.shape.num_layers, AUTHORS_LAYERS).clamp(1, most)
}

/// A vision layer of 24, in a tower of another depth; unchanged if the depth is unknown.
pub(crate) fn vision_layer(layer: usize, setting: &PlanSetting) -> usize {
    match setting.num_vision_layers {
        Some(layers) => scaled(layer, layers, AUTHORS_VISION_LAYERS),
        None => layer,
    }
}

/// A number of heads that authors state for 32, in a decoder of H heads.
pub(crate) fn heads(count: usize, setting: &PlanSetting) -> usize {
    let most = setting.shape.num_heads;
    scaled(count, most, AUTHORS_LAYERS).clamp(1, most.max(1))
}

fn scaled(count: usize, of: usize, instead_of: usize) -> usize {
    (count as f64 * of as f64 / instead_of as f64).round() as usize
}

/// Formats a list of numbers as a parameter.
pub(crate) fn list<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}
