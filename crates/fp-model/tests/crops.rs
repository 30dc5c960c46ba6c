//! Crops in which every patch is a token: evidence read from the tower for each, and what methods
//! keep and merge.

use crate::common;

use candle_core::{DType, Device, Tensor};
use fp_image::{ImageSize, Tiling};
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ImageFeatures, LlavaModel, LoadOptions, PlannedSample, Preset, Sample, SampleFacts, VisionRead,
    VisionRequest,
};
use fp_scoring::{
    ImageCrops, MethodParams, Normalization, ParamScope, Plan, PlanSetting, QueryStrategy,
    published_method, published_plan,
};

fn model() -> LlavaModel {
    let mut config = Preset::Tiny.config();
    let side = config.vision.image_size;
    config.grid_pinpoints = Some(vec![(2 * side, 2 * side)]);
    LlavaModel::random_of(config, 3, &LoadOptions::default()).unwrap()
}

fn tiles(model: &LlavaModel) -> Tensor {
    let side = model.config().vision.image_size;
    let values: Vec<f32> = (0..5 * 3 * side * side)
        .map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * (1.0 + (i / (3 * side * side)) as f32))
        .collect();
    Tensor::from_vec(values, (5, 3, side, side), &Device::Cpu).unwrap()
}

fn plan(model: &LlavaModel, name: &str, given: &[(&str, &str)], crops: ImageCrops) -> Plan {
    let patches = model.config().vision.num_patches();
    let setting = PlanSetting {
        shape: model.config().text.decoder_shape(),
        num_image_tokens: if crops == ImageCrops::One {
            patches
        } else {
            5 * patches
        },
        grid: None,
        crops,
        num_vision_layers: Some(model.config().vision.num_layers),
        has_class_token: true,
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    };
    let given: Vec<(String, String)> = given
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let method = published_method(name).unwrap();
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
    published_plan(method, &params, None, &setting).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn methods_see_each_crop_as_they_would_alone() {
    let model = model();
    let vision = &model.config().vision;
    let (patches, side) = (vision.num_patches(), vision.image_size);
    let size = ImageSize {
        height: 40,
        width: 90,
    };
    let packing = Tiling::fixed(size, side)
        .unwrap()
        .packing(vision.patches_per_side());
    let tokens = packing.tokens_of_squares().unwrap();
    let pixels = tiles(&model);
    let prompt = EncodedPrompt {
        input_ids: vec![1, 5, 60, 7, 9, 11],
        image_position: 2,
    };
    let answer = |plan: &Plan, features: &ImageFeatures| {
        let request = PlannedSample {
            sample: Sample {
                prompt: &prompt,
                features,
            },
            plan,
            facts: SampleFacts::of("a"),
        };
        let options = common::greedy(3);
        let (mut outputs, _) = model.answer_planned(&[request], &options).unwrap();
        outputs.pop().unwrap()
    };
    let crops = ImageCrops::Whole {
        num_crops: 5,
        tokens_per_crop: patches,
        budget: None,
    };
    for (name, given, each) in [
        ("fastervlm", [("keep", "3")].as_slice(), 3),
        ("visionzip", &[("dominant", "3"), ("contextual", "2")], 5),
    ] {
        let together = plan(&model, name, given, crops);
        let request = model.config().vision_request([&together]).unwrap();
        let features = model.encode_tiles_for(&pixels, &packing, &request).unwrap();
        let found = answer(&together, &features);
        assert_eq!(found.stages[0].places.len(), 5 * each, "{name}");
        assert_eq!(
            found.kv_tokens[0],
            5 * each + prompt.input_ids.len() - 1 + found.generation.token_ids.len() - 1
        );
        let alone = plan(&model, name, given, ImageCrops::One);
        let mut expected: Vec<usize> = Vec::new();
        for (index, tokens) in tokens.iter().enumerate() {
            let tile = pixels.narrow(0, index, 1).unwrap();
            let features = model.encode_image_for(&tile, &request).unwrap();
            let places = answer(&alone, &features).stages[0].places.clone();
            expected.extend(places.iter().map(|&place| tokens[place]));
        }
        if name == "fastervlm" {
            expected.sort_unstable();
        }
        assert_eq!(found.stages[0].places, expected, "{name}");
    }
}

#[test]
fn tokens_lie_where_their_patches_are() {
    let model = model();
    let vision = &model.config().vision;
    let size = ImageSize {
        height: 40,
        width: 90,
    };
    let packing = Tiling::fixed(size, vision.image_size)
        .unwrap()
        .packing(vision.patches_per_side());
    let pixels = tiles(&model);
    let request = VisionRequest::from_iter([VisionRead::Features]);
    let features = model.encode_tiles_for(&pixels, &packing, &request).unwrap();
    let width = model.config().text.hidden_size;
    let embeds = flat(features.embeds());
    for (index, tokens) in packing.tokens_of_squares().unwrap().iter().enumerate() {
        let tile = pixels.narrow(0, index, 1).unwrap();
        let alone = flat(model.encode_image(&tile).unwrap().embeds());
        for (patch, token) in tokens.iter().enumerate() {
            let row = |values: &[f32], at: usize| values[at * width..][..width].to_vec();
            assert_eq!(row(&embeds, *token), row(&alone, patch), "{index} {patch}");
        }
    }
}
