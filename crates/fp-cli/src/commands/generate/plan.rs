//! The pruning that the flags ask for.

use std::sync::Arc;

use anyhow::{Result, ensure};
use fp_model::ModelConfig;
use fp_scoring::{
    HeadCount, HeadStrategy, Normalization, Plan, PlanSetting, PositionRule, PruneConfig,
    QueryStrategy, TokenBudget,
};

use super::GenerateArgs;
use super::inputs::Inputs;
use crate::arguments::{OneOrAll, name_flag};

/// The pruning plan for the given image.
pub(super) fn plan(
    args: &GenerateArgs,
    prune: Option<&PruneConfig>,
    config: &ModelConfig,
    inputs: &Inputs,
) -> Result<Plan> {
    let Some(prune) = prune else {
        return Ok(Plan::vanilla());
    };
    let num_image_tokens = inputs.num_image_tokens(config);
    let named = |error| name_flag(&error, &[prune.budget]);
    let heads = prune.num_selected_heads;
    heads.resolve(config.text.num_heads).map_err(named)?;
    if args.schedule.is_none() {
        let (num_layers, layer) = (config.text.num_layers, prune.prune_layer);
        let kept = prune.budget.kept(num_image_tokens, num_layers, layer);
        kept.map_err(named)?;
    }
    let setting = PlanSetting {
        shape: config.text.decoder_shape(),
        num_image_tokens,
        grid: None,
        num_vision_layers: config.num_readable_layers(),
        has_class_token: config.vision.num_class_tokens() > 0,
        crops: fp_scoring::ImageCrops::One,
        prune_layer: prune.prune_layer,
        budget: Some(prune.budget),
        schedule: args.schedule.clone(),
        query_strategy: prune.query_strategy,
        normalization: prune.normalization,
        allow_degenerate: prune.allow_degenerate,
        seed: args.seed.unwrap_or(0),
    };
    let plan = Plan {
        positions: args.positions.unwrap_or(PositionRule::Keep),
        ..setting.staged(Arc::new(prune.selector()))?
    };
    ensure!(
        plan.stages.iter().all(|stage| stage.site.depth() > 0),
        "--schedule: before layer 1 there is no attention to select by; layers are counted from 1"
    );
    plan.check("--schedule", config.text.num_layers, num_image_tokens)?;
    Ok(plan)
}

/// The pruning configuration; `None` without a budget, and with a published method, which has its
/// own.
pub(super) fn prune_config(args: &GenerateArgs) -> Result<Option<PruneConfig>> {
    if args.method.is_some() {
        return Ok(None);
    }
    let budget = args
        .keep
        .map(TokenBudget::Kept)
        .or(args
            .average_visual_tokens
            .map(TokenBudget::AverageVisualTokens))
        .or(args.retention.map(TokenBudget::Retention))
        .or(args
            .schedule
            .as_ref()
            .and_then(|schedule| Some(TokenBudget::Kept(schedule.0.last()?.tokens))));
    let Some(budget) = budget else {
        let is_pruning_meant = args.head_selection_strategy.is_some()
            || args.query_selection_strategy.is_some()
            || args.num_selected_heads.is_some()
            || args.prune_layer.is_some()
            || args.positions.is_some()
            || args.normalize.is_some()
            || args.allow_degenerate;
        ensure!(
            !is_pruning_meant,
            "pruning flags without a budget; give one with --keep R, --average-visual-tokens B, --retention SHARE or --schedule K:N,…"
        );
        return Ok(None);
    };
    Ok(Some(PruneConfig {
        head_strategy: args.head_selection_strategy.unwrap_or(HeadStrategy::Sum),
        query_strategy: args
            .query_selection_strategy
            .unwrap_or(QueryStrategy::LastToken),
        normalization: args.normalize.unwrap_or(Normalization::L1),
        num_selected_heads: match args.num_selected_heads {
            None => HeadCount::HALF,
            Some(OneOrAll::All) => HeadCount::All,
            Some(OneOrAll::One(count)) => HeadCount::Count(count),
        },
        budget,
        prune_layer: match &args.schedule {
            Some(schedule) => schedule.0.first().map_or(2, |stage| stage.after_layer),
            None => args.prune_layer.unwrap_or(2),
        },
        allow_degenerate: args.allow_degenerate,
    }))
}
