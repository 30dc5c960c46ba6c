//! The text side of a CLIP model beside a LLaVA checkpoint: compared with a plain reference, used
//! in whole models, and its errors.

mod errors;
mod naive;
mod tiny;

use std::path::Path;

use candle_core::Tensor;
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ClipError, ImageFeatures, LlavaModel, LoadOptions, ModelError, OpenedClip, PlannedSample,
    Sample, SampleFacts, VisionParts, VisionRead, VisionRequest,
};
use fp_scoring::{
    MethodParams, Normalization, ParamScope, Plan, PlanSetting, QueryStrategy, published_method,
    published_plan,
};
use serde_json::json;
use tempfile::TempDir;

use crate::common::checkpoint::{golden_config, save_shards};
use crate::common::{expected, golden, greedy};
use tiny::TinyClip;

/// The golden model, with its tower's last norm.
fn model(kernels: bool) -> LlavaModel {
    let options = LoadOptions {
        kernels,
        vision: VisionParts {
            num_layers: 0,
            post_norm: true,
        },
        ..LoadOptions::default()
    };
    LlavaModel::load(golden("model"), &options).unwrap()
}

fn clip() -> TinyClip {
    TinyClip::new(&golden_config()["vision_config"])
}

fn with(model: LlavaModel, dir: &Path) -> LlavaModel {
    let clip = OpenedClip::open(dir, model.config()).unwrap();
    model.with_clip(clip).unwrap()
}

/// From a text shorter than the context to one of three segments; `!` has the id of padding.
const TEXTS: [&str; 5] = [
    "",
    "the owl",
    "a! b!",
    "now the 5 owls?",
    "!!! how many of the cats - are?",
];

#[test]
fn text_embeddings_are_those_of_a_plain_reference() {
    for (activation, eos) in [("quick_gelu", 2), ("gelu", 2), ("quick_gelu", 86)] {
        let mut clip = clip();
        clip.config["text_config"]["hidden_act"] = json!(activation);
        clip.config["text_config"]["eos_token_id"] = json!(eos);
        let dir = TempDir::new().unwrap();
        clip.write(dir.path());
        let opened = OpenedClip::open(dir.path(), model(true).config()).unwrap();
        let end = clip.vocab["<|endoftext|>"].as_u64().unwrap();
        assert_eq!(end, 86);
        for kernels in [true, false] {
            let model = with(model(kernels), dir.path());
            for text in TEXTS {
                let ids = opened.token_ids(text).unwrap();
                assert_eq!(u64::from(*ids.last().unwrap()), end);
                let reference = naive::text_embeds(&clip, &ids);
                let found = model.clip_text_embeds(text).unwrap();
                assert_eq!(found.len(), reference.len(), "{text}");
                assert_eq!(found.len(), ids.len().div_ceil(tiny::CONTEXT));
                for (found, reference) in found.iter().zip(&reference) {
                    let scale = reference.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
                    for (found, reference) in found.iter().zip(reference) {
                        let gap = (f64::from(*found) - reference).abs();
                        assert!(gap < 1e-5 * scale, "{activation} {eos} {text}: {gap}");
                    }
                }
            }
        }
    }
}

#[test]
fn tokens_are_those_of_vocabulary_and_merges() {
    let dir = TempDir::new().unwrap();
    let clip = clip();
    clip.write(dir.path());
    let opened = OpenedClip::open(dir.path(), model(true).config()).unwrap();
    let id = |token: &str| clip.vocab[token].as_u64().unwrap() as u32;
    let ids = [
        "<|startoftext|>",
        "the</w>",
        "o",
        "w",
        "l</w>",
        "?</w>",
        "<|endoftext|>",
    ]
    .map(id);
    assert_eq!(opened.token_ids(" The\n owl?").unwrap(), ids);
}

fn pixels() -> Tensor {
    let mut views: Vec<_> = expected().into_iter().collect();
    views.retain(|(name, _)| name.starts_with("pixel_values_"));
    views.sort_by(|a, b| a.0.cmp(&b.0));
    views[0].1.unsqueeze(0).unwrap()
}

fn plan(model: &LlavaModel, keep: usize) -> Plan {
    let method = published_method("cdpruner").unwrap();
    let given = [("keep".to_owned(), keep.to_string())];
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
    let setting = PlanSetting {
        shape: model.config().text.decoder_shape(),
        num_image_tokens: model.config().tokens_per_square(),
        grid: None,
        num_vision_layers: None,
        has_class_token: true,
        crops: fp_scoring::ImageCrops::One,
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    };
    published_plan(method, &params, None, &setting).unwrap()
}

/// The kept tokens, and logits after the prompt.
type Answer = (Vec<usize>, Vec<f32>);

struct Asked {
    model: LlavaModel,
    features: ImageFeatures,
    plan: Plan,
    prompt: EncodedPrompt,
}

impl Asked {
    fn new(dir: Option<&Path>) -> Asked {
        let model = model(true);
        let plan = plan(&model, 6);
        assert!(plan.needs_clip() && !Plan::vanilla().needs_clip());
        let request = model.config().vision_request([&plan]).unwrap();
        assert!(request.parts().post_norm);
        Asked {
            features: model.encode_image_for(&pixels(), &request).unwrap(),
            plan,
            model: match dir {
                Some(dir) => with(model, dir),
                None => model,
            },
            prompt: EncodedPrompt {
                input_ids: (1..7).chain([500]).chain(20..32).collect(),
                image_position: 6,
            },
        }
    }

    fn answer(&self, questions: &[Option<&str>]) -> Result<Vec<Answer>, ModelError> {
        let samples: Vec<PlannedSample<'_>> = questions
            .iter()
            .map(|question| PlannedSample {
                sample: Sample {
                    prompt: &self.prompt,
                    features: &self.features,
                },
                plan: &self.plan,
                facts: SampleFacts {
                    question: *question,
                    ..SampleFacts::of("")
                },
            })
            .collect();
        let (outputs, _) = self.model.answer_planned(&samples, &greedy(2))?;
        let outputs = outputs.into_iter();
        Ok(outputs
            .map(|output| (output.stages[0].places.clone(), output.prompt_logits))
            .collect())
    }
}

#[test]
fn cdpruner_chooses_by_the_question_whatever_the_batch() {
    let dir = TempDir::new().unwrap();
    let clip = clip();
    clip.write(dir.path());
    let asked = Asked::new(Some(dir.path()));
    let questions = ["the owl", "how many cats?", "the owl"].map(Some);
    let together = asked.answer(&questions).unwrap();
    for (question, together) in questions.iter().zip(&together) {
        assert_eq!(together.0.len(), 6);
        assert_eq!(asked.answer(&[*question]).unwrap()[0], *together);
    }
    assert_ne!(together[0].0, together[1].0);
    // The instruction of benchmarks is not embedded.
    let long = "the owl\nAnswer the question using a single word or phrase.";
    assert_eq!(asked.answer(&[Some(long)]).unwrap()[0].0, together[0].0);
    // Weights in shards give the same bits.
    let shards = TempDir::new().unwrap();
    clip.write(shards.path());
    std::fs::remove_file(shards.path().join("model.safetensors")).unwrap();
    save_shards(&clip.tensors, shards.path());
    let sharded = Asked::new(Some(shards.path()));
    assert_eq!(sharded.answer(&questions).unwrap(), together);
}

#[test]
fn image_embeddings_are_the_normed_features_projected() {
    let dir = TempDir::new().unwrap();
    let clip = clip();
    clip.write(dir.path());
    let asked = Asked::new(Some(dir.path()));
    let request = VisionRequest::from_iter([VisionRead::NormedFeatures]);
    let features = asked.model.encode_image_for(&pixels(), &request).unwrap();
    let found = asked.model.clip_image_embeds(&features).unwrap();
    let evidence = asked.model.encode_image_with(&pixels(), &request).unwrap();
    let normed = evidence.1.values(VisionRead::NormedFeatures).unwrap();
    let weight = naive::rows(&clip, "visual_projection.weight");
    let width = weight[0].len();
    // The patches come after the class token's row.
    let patches = normed.chunks(width).skip(1);
    assert_eq!(found.len(), patches.len());
    for (found, patch) in found.iter().zip(patches) {
        let patch: Vec<f64> = patch.iter().map(|v| f64::from(*v)).collect();
        for (found, weight) in found.iter().zip(&weight) {
            let gap = f64::from(*found) - naive::dot(weight, &patch);
            assert!(gap.abs() < 1e-4, "{gap}");
        }
    }
}

#[test]
fn what_is_missing_is_said() {
    let asked = Asked::new(None);
    let error = asked.answer(&[Some("the owl")]).unwrap_err();
    assert!(
        matches!(error, ModelError::Clip(ClipError::NotGiven)),
        "{error}"
    );
    for part in [
        "openai/clip-vit-large-patch14-336",
        "--clip DIR",
        "text tower",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let dir = TempDir::new().unwrap();
    clip().write(dir.path());
    let asked = Asked::new(Some(dir.path()));
    let error = asked.answer(&[None]).unwrap_err();
    assert!(
        matches!(error, ModelError::Clip(ClipError::NoQuestion)),
        "{error}"
    );
}
