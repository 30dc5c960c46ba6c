//! Every method of the registry, on the CPU and on the emulated GPU.

use candle_core::{DType, Device};
use fp_model::{
    LlavaModel, LoadOptions, PlannedSample, Preset, Result, Sample, SampleFacts, SampleOutput,
    VisionParts,
};
use fp_scoring::{
    ImageCrops, MethodRegistry, Normalization, Plan, PlanSetting, QueryStrategy, TokenBudget,
};

use crate::common::{greedy, largest_difference};
use crate::support::{gpu, pixels, prompt};

/// A method that needs the rest of a CLIP model, which dummy weights lack.
const LEFT_OUT: &str = "cdpruner";

fn model(device: &Device) -> LlavaModel {
    let config = Preset::Tiny.config();
    let options = LoadOptions {
        device: device.clone(),
        dtype: Some(DType::F32),
        vision: VisionParts {
            num_layers: config.vision.num_layers,
            post_norm: true,
        },
        ..LoadOptions::default()
    };
    LlavaModel::random(Preset::Tiny, 17, &options).unwrap()
}

fn answer(model: &LlavaModel, plan: &Plan) -> Result<SampleOutput> {
    let request = model.config().vision_request([plan]).unwrap();
    let pixels = pixels(model, 23);
    let features = model.encode_image_for(&pixels, &request).unwrap();
    let prompt = prompt(model, 4, 9);
    let planned = PlannedSample {
        sample: Sample {
            prompt: &prompt,
            features: &features,
        },
        plan,
        facts: SampleFacts::of(""),
    };
    let answered = model.answer_planned(&[planned], &greedy(3));
    answered.map(|(mut outputs, _)| outputs.remove(0))
}

#[test]
fn every_method_keeps_and_answers_the_same() {
    let Some(device) = gpu("every_method_keeps_and_answers_the_same") else {
        return;
    };
    let [cpu, gpu] = [&Device::Cpu, &device].map(model);
    let config = cpu.config();
    let n = config.vision.num_patches();
    let setting = PlanSetting {
        shape: config.text.decoder_shape(),
        num_image_tokens: n,
        grid: Some([n.isqrt(), n.isqrt()]),
        num_vision_layers: Some(config.vision.num_layers),
        has_class_token: true,
        crops: ImageCrops::One,
        prune_layer: 1,
        budget: Some(TokenBudget::AverageVisualTokens(0.4 * n as f64)),
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    };
    let registry = MethodRegistry::standard();
    let methods = registry.iter().filter(|method| method.name() != LEFT_OUT);
    let mut count = 0;
    for method in methods {
        let name = method.name();
        let Ok(plan) = method.plan(&setting) else {
            eprintln!("{name} has no plan at this budget");
            continue;
        };
        let (a, b) = match [&cpu, &gpu].map(|model| answer(model, &plan)) {
            [Ok(a), Ok(b)] => (a, b),
            // Methods that read boxes find none here.
            [Err(a), Err(b)] => {
                assert_eq!(
                    fp_scoring::error_text(&a),
                    fp_scoring::error_text(&b),
                    "{name}"
                );
                continue;
            }
            [a, b] => panic!("{name}: {a:?}, {b:?}"),
        };
        let places = |output: &SampleOutput| -> Vec<Vec<usize>> {
            output.stages.iter().map(|s| s.places.clone()).collect()
        };
        assert_eq!(places(&a), places(&b), "{name}");
        assert_eq!(a.kv_tokens, b.kv_tokens, "{name}");
        let difference = largest_difference(&a.prompt_logits, &b.prompt_logits);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
        assert_eq!(a.generation, b.generation, "{name}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}
