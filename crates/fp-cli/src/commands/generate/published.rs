//! `--method`: answers under a published pruning method.

use anyhow::{Context, Result};
use fp_model::{ModelConfig, SampleOutput};
use fp_scoring::{
    CropBudget, MethodParams, Normalization, ParamScope, Plan, PlanSetting, PositionRule,
    QueryStrategy, RunCodes, TokenLayout, published_crop_budget, published_method, published_plan,
};
use serde_json::{Map, Value, json};

use super::GenerateArgs;
use super::inputs::Inputs;
use crate::commands::select::params_json;

/// The method that the flags name, with its parameters.
pub(super) fn method(args: &GenerateArgs) -> Result<Option<MethodParams>> {
    let Some(name) = &args.method else {
        return Ok(None);
    };
    let card = published_method(name)
        .with_context(|| format!("--method {name}"))?
        .card();
    let mut settings = args.settings.clone();
    if let Some(schedule) = &args.schedule {
        let list = |of: fn(&fp_scoring::ScheduleStage) -> usize| -> String {
            let numbers = schedule.0.iter().map(|stage| of(stage).to_string());
            numbers.collect::<Vec<_>>().join(",")
        };
        settings.push(("layers".to_owned(), list(|stage| stage.after_layer)));
        settings.push(("keep".to_owned(), list(|stage| stage.tokens)));
    }
    let params = MethodParams::parse(card, ParamScope::Model, &settings)?;
    Ok(Some(params))
}

/// The method's plan for the given image, and what its number of tokens applies to on several
/// crops.
pub(super) fn plan(
    args: &GenerateArgs,
    params: &MethodParams,
    config: &ModelConfig,
    inputs: &Inputs,
) -> Result<(Plan, Option<CropBudget>)> {
    let setting = PlanSetting {
        shape: config.text.decoder_shape(),
        num_image_tokens: inputs.num_image_tokens(config),
        grid: None,
        num_vision_layers: config.num_readable_layers(),
        has_class_token: config.vision.num_class_tokens() > 0,
        crops: inputs.crops(config, args.crop_budget),
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: args.seed.unwrap_or(0),
    };
    let method = published_method(params.card().name)?;
    let plan = published_plan(method, params, args.positions, &setting)?;
    Ok((plan, published_crop_budget(method, params, &setting)?))
}

/// The method's name, parameters and positions.
pub(super) fn method_json(params: &MethodParams, positions: PositionRule) -> Value {
    json!({
        "name": params.card().name,
        "params": params_json(params),
        "positions": positions,
    })
}

/// The stages and the tokens they kept; empty for a prompt without an image. Positions are numbers,
/// or time, row and column where the model's positions are on a `grid` of columns and rows.
pub(super) fn stages_json(
    output: &SampleOutput,
    layout: Option<&TokenLayout>,
    positions: PositionRule,
    grid: Option<[usize; 2]>,
) -> Vec<Value> {
    let Some(layout) = layout else {
        return Vec::new();
    };
    let mut codes = RunCodes::new(layout.num_image);
    let stages = output.stages.iter().map(|stage| {
        let mut json = Map::new();
        json.insert("site".to_owned(), json!(stage.site));
        json.insert("kept".to_owned(), json!(stage.places));
        let Some(choice) = &stage.selected.choice else {
            return Value::Object(json);
        };
        let num_kept = stage.places.len();
        let named = codes.after(choice, num_kept);
        let length = layout.num_system + num_kept + layout.num_text;
        json.insert("layers_done".to_owned(), json!(stage.site.depth()));
        json.insert("kept_tokens".to_owned(), json!(named.kept));
        json.insert("sequence_length".to_owned(), json!(length));
        if let Some(merged) = named.merged_from {
            json.insert("merged_from".to_owned(), json!(merged));
        }
        if let Some(targets) = named.merged_targets {
            json.insert("merged_targets".to_owned(), json!(targets));
        }
        if positions == PositionRule::Keep {
            let places = stage.places.iter();
            let at: Vec<Value> = match grid {
                None => places.map(|p| json!(layout.num_system + p)).collect(),
                Some([columns, _]) => places
                    .map(|p| [0, p / columns.max(1), p % columns.max(1)])
                    .map(|at| json!(at.map(|at| layout.num_system + at)))
                    .collect(),
            };
            json.insert("visual_positions".to_owned(), json!(at));
        }
        Value::Object(json)
    });
    stages.collect()
}
