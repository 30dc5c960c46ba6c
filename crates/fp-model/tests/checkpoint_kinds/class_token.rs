//! A class token among the features is an additional image token, and no cell of the grid.

use candle_core::{DType, Device, Tensor};
use fp_model::prompt::EncodedPrompt;
use fp_model::{LlavaModel, LoadOptions, PrefixOptions, SampleFacts, inspect};
use fp_scoring::{
    MethodRegistry, Normalization, PlanError, PlanSetting, QueryStrategy, Stage, TokenBudget,
    TokenLayout,
};

use crate::common::golden;

/// A tiny checkpoint whose features are the class token and four patches.
fn model() -> LlavaModel {
    LlavaModel::load(golden("variants/biased"), &LoadOptions::default()).unwrap()
}

fn setting(model: &LlavaModel, grid: Option<[usize; 2]>, kept: usize) -> PlanSetting {
    PlanSetting {
        shape: model.config().text.decoder_shape(),
        num_image_tokens: 5,
        grid,
        num_vision_layers: Some(model.config().vision.num_layers),
        has_class_token: true,
        crops: fp_scoring::ImageCrops::One,
        prune_layer: 1,
        budget: Some(TokenBudget::Kept(kept)),
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    }
}

#[test]
fn it_is_counted() {
    let model = model();
    assert_eq!(model.config().tokens_per_square(), 5);
    let inspection = inspect(golden("variants/biased"), None).unwrap();
    assert!(inspection.to_string().contains("5 image tokens"));
}

/// Evenly spaced tokens are patches, unless more tokens are to be kept than there are patches.
#[test]
fn evenly_spaced_tokens_leave_it_out() {
    let model = model();
    let pixels = Tensor::zeros((1, 3, 28, 28), DType::F32, &Device::Cpu).unwrap();
    let features = model.encode_image(&pixels).unwrap();
    let prompt = EncodedPrompt {
        input_ids: vec![1, 5, 60, 7, 9],
        image_position: 2,
    };
    let options = PrefixOptions {
        depth: 1,
        query_rows: Vec::new(),
    };
    let prefix = model.prefill_prefix(&prompt, &features, &options).unwrap();
    let layout: TokenLayout = *prefix.layout();
    assert_eq!(layout.num_image, 5);
    let registry = MethodRegistry::standard();
    for (kept, expected) in [
        (1, vec![3]),
        (3, vec![1, 3, 4]),
        (4, vec![1, 2, 3, 4]),
        (5, vec![0, 1, 2, 3, 4]),
    ] {
        let plan = registry
            .get("uniform_grid")
            .unwrap()
            .plan(&setting(&model, None, kept))
            .unwrap();
        let stage: &Stage = &plan.stages[0];
        let selected = model
            .select_stage(&prefix, stage, &features, &SampleFacts::of("a"))
            .unwrap();
        assert_eq!(selected.selection.places(), expected, "{kept} of 5");
    }
}

/// Methods that need a grid report that there is none.
#[test]
fn methods_of_a_grid_refuse_it() {
    let model = model();
    let registry = MethodRegistry::standard();
    for name in ["pool", "downsample"] {
        let method = registry.get(name).unwrap();
        let error = method.plan(&setting(&model, None, 2)).unwrap_err();
        assert!(matches!(error, PlanError::NoGrid { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("class token"),
            "{text}"
        );
    }
}
