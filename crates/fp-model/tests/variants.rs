//! Tiny checkpoints of other shapes and formats compared with transformers.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use fp_image::{GridPinpoints, ImageSize, Tiling};
use fp_model::prompt::EncodedPrompt;
use fp_model::{ImageFeatures, LlavaModel, LoadOptions, Sample};

use crate::common::{flat, golden, largest_difference};

const TOLERANCE: f32 = 1e-4;

fn load(name: &str) -> (Vec<LlavaModel>, HashMap<String, Tensor>) {
    let folder = golden("variants").join(name);
    let models = [true, false].map(|kernels| {
        LlavaModel::load(
            &folder,
            &LoadOptions {
                kernels,
                ..LoadOptions::default()
            },
        )
        .unwrap()
    });
    let expected =
        candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
    (models.into(), expected)
}

#[track_caller]
fn check_logits(
    model: &LlavaModel,
    features: &ImageFeatures,
    ids: &[u32],
    position: usize,
    expected: &Tensor,
) {
    let prompt = EncodedPrompt {
        input_ids: ids.to_vec(),
        image_position: position,
    };
    let branches = model
        .prefill(&[Sample {
            prompt: &prompt,
            features,
        }])
        .unwrap();
    let difference = largest_difference(branches.logits(0).unwrap().unwrap(), &flat(expected));
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn grouped_heads_tied_embeddings_and_pickled_f16_shards() {
    let (models, expected) = load("grouped");
    for model in models {
        let features = model.encode_image(&expected["pixel_values"]).unwrap();
        assert_eq!(features.num_tokens(), 4);
        check_logits(
            &model,
            &features,
            &[1, 5, 60, 7, 9, 11],
            2,
            &expected["logits"],
        );
    }
}

#[test]
fn biases_stretched_positions_head_width_and_class_token() {
    let (models, expected) = load("biased");
    for model in models {
        let features = model.encode_image(&expected["pixel_values"]).unwrap();
        assert_eq!(features.num_tokens(), 5);
        check_logits(
            &model,
            &features,
            &[1, 5, 60, 7, 9, 11],
            2,
            &expected["logits"],
        );
    }
}

#[test]
fn any_resolution_on_a_mistral_decoder_in_bf16() {
    let (models, expected) = load("next");
    for model in models {
        let pinpoints =
            GridPinpoints::new(model.config().grid_pinpoints.as_deref().unwrap()).unwrap();
        for (height, width) in [(20, 60), (70, 50)] {
            let key = format!("{height}x{width}");
            let side = model.config().vision.image_size;
            let tiling = Tiling::new(ImageSize { width, height }, &pinpoints, side).unwrap();
            let packing = tiling.packing(model.config().vision.patches_per_side());
            let pixels = &expected[&format!("pixel_values_{key}")];
            let features = model.encode_tiles(pixels, &packing).unwrap();
            let difference = largest_difference(
                &flat(features.embeds()),
                &flat(&expected[&format!("features_{key}")]),
            );
            assert!(difference < TOLERANCE, "{key}: {difference}");
            check_logits(
                &model,
                &features,
                &[1, 5, 60, 7, 9, 11],
                2,
                &expected[&format!("logits_{key}")],
            );
        }
    }
}

#[test]
fn rounding_to_half_precision_is_what_a_half_precision_checkpoint_gives() {
    let folder = golden("variants/grouped"); // already stored in f16
    let logits = |dtype| {
        let model = LlavaModel::load(
            &folder,
            &LoadOptions {
                dtype,
                ..LoadOptions::default()
            },
        )
        .unwrap();
        model
            .prefill_text(&[1, 2, 3])
            .unwrap()
            .logits(0)
            .unwrap()
            .unwrap()
            .to_vec()
    };
    assert_eq!(logits(None), logits(Some(DType::F16)));
    assert_ne!(logits(None), logits(Some(DType::BF16)));
    let refused = LlavaModel::load(
        &folder,
        &LoadOptions {
            dtype: Some(DType::U8),
            ..LoadOptions::default()
        },
    );
    assert!(refused.is_err());
}
