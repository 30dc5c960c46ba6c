//! Every family compared with Hugging Face transformers on tiny checkpoints, with and without
//! pruning: see benches/peers/family_goldens.py.

use candle_core::{DType, Device, Tensor};
use fp_image::{ImageAspect, decode_file};
use fp_model::{
    LlavaModel, LoadOptions, OpenedCheckpoint, PlannedSample, Sample, SampleFacts, ToTensor,
    VisionRead, VisionRequest, inspect,
};
use fp_scoring::methods::vispruner_tokens;
use fp_scoring::{
    Dense, ImageCrops, MethodParams, Normalization, ParamScope, PlanSetting, QueryStrategy,
    published_method, published_plan,
};
use serde::Deserialize;

use crate::common::family::{CHECKPOINTS, Checkpoint, check_pruned, check_whole};
use crate::common::{golden, greedy};

/// Checks that memory is predicted for as many weights as the checkpoint stores.
fn check_weights(checkpoint: &Checkpoint) {
    let stored = checkpoint.folder.join("model.safetensors");
    let stored = candle_core::safetensors::load(stored, &Device::Cpu).unwrap();
    let count: usize = stored.values().map(Tensor::elem_count).sum();
    assert_eq!(checkpoint.opened.config().num_weights(), count as u64);
}

fn check_family(family: &str) {
    for name in CHECKPOINTS {
        let checkpoint = Checkpoint::open(family, name);
        check_weights(&checkpoint);
        let inspection = inspect(&checkpoint.folder, None).unwrap();
        assert!(inspection.is_complete(), "{family}/{name}: {inspection}");
        let model = checkpoint.load(&LoadOptions::default());
        check_whole(&checkpoint, &model, true);
        check_pruned(&checkpoint, &model);
    }
    let checkpoint = Checkpoint::open(family, "b2");
    let by_tensors = LoadOptions {
        kernels: false,
        ..LoadOptions::default()
    };
    check_whole(&checkpoint, &checkpoint.load(&by_tensors), false);
}

#[test]
fn llava_onevision() {
    check_family("llava_onevision");
}

#[test]
fn qwen2_vl() {
    check_family("qwen2_vl");
}

#[test]
fn qwen2_5_vl() {
    check_family("qwen2_5_vl");
}

#[test]
fn what_families_refuse() {
    for family in ["qwen2_vl", "qwen2_5_vl"] {
        let checkpoint = Checkpoint::open(family, "b2");
        let model = checkpoint.load(&LoadOptions::default());
        let odd = Tensor::zeros((1, 3, 8, 12), DType::F32, &Device::Cpu).unwrap();
        let refused = model.encode_image(&odd).unwrap_err().to_string();
        assert!(refused.contains("multiples of 8"), "{refused}");
        let width = model.config().text.hidden_size;
        let rows = Tensor::zeros((4, width), DType::F32, &Device::Cpu).unwrap();
        let refused = model.image_features(&rows).unwrap_err().to_string();
        assert!(refused.contains("grid"), "{refused}");
    }
}

/// A prompt as made by Hugging Face's processors: see benches/peers/family_prompts.py.
#[derive(Debug, Deserialize)]
struct PromptCase {
    family: String,
    picture: String,
    question: String,
    text: String,
    /// Ids with their numbers of repetitions.
    ids: Vec<(u32, usize)>,
}

#[test]
fn prompts_are_those_of_the_chat_templates() {
    let cases = std::fs::read(golden("families/prompts.json")).unwrap();
    let cases: Vec<PromptCase> = serde_json::from_slice(&cases).unwrap();
    let mut families = Vec::new();
    for case in &cases {
        let name = format!("{} {} {:?}", case.family, case.picture, case.question);
        let folder = match case.family.as_str() {
            "llava" => golden("model"),
            family => golden("families").join(family).join("b2"),
        };
        let opened = OpenedCheckpoint::open(&folder, None).unwrap();
        let config = opened.config();
        let card = config.family;
        let image_token = match card.name() {
            "qwen2_vl" => "<|image_pad|>",
            _ => "<image>",
        };
        let text = card.template().render(&case.question);
        assert_eq!(text.replace("<image>", image_token), case.text, "{name}");
        let prompt = opened.tokenizer().unwrap().encode(&text).unwrap();
        // The processor repeats the image's token.
        let picture = golden("families").join(format!("{}.png", case.picture));
        let image = decode_file(&picture).unwrap();
        let processor = opened.image_processor().unwrap();
        let count = match config.pinpoints().unwrap() {
            Some(pinpoints) => {
                let tiles = processor.preprocess_anyres(&image, &pinpoints).unwrap();
                let packing = tiles.tiling.packing(config.vision.patches_per_side());
                packing.num_image_tokens()
            }
            None => match processor.size_of(image.size()).unwrap() {
                Some(size) => {
                    let [columns, rows] = config.token_grid([size.height, size.width]).unwrap();
                    columns * rows
                }
                None => config.tokens_per_square(),
            },
        };
        let mut found: Vec<(u32, usize)> = Vec::new();
        for (at, id) in prompt.input_ids.iter().enumerate() {
            let count = if at == prompt.image_position {
                count
            } else {
                1
            };
            match found.last_mut() {
                Some((last, times)) if last == id => *times += count,
                _ => found.push((*id, count)),
            }
        }
        assert_eq!(found, case.ids, "{name}");
        if !families.contains(&case.family) {
            families.push(case.family.clone());
        }
    }
    families.sort_unstable();
    assert_eq!(
        families,
        ["llava", "llava_onevision", "qwen2_5_vl", "qwen2_vl"]
    );
}

/// VisPruner on a tower without a class token, compared with the mean over rows of its whole
/// attention.
#[test]
fn vispruner_by_the_mean_over_rows() {
    let checkpoint = Checkpoint::open("llava_onevision", "b2");
    let options = LoadOptions::default();
    let model = LlavaModel::load(&checkpoint.folder, &options).unwrap();
    let config = model.config();
    let image = decode_file(&golden("families/wide.png")).unwrap();
    let processor = checkpoint.opened.image_processor().unwrap();
    let pixels = processor.preprocess(&image, ImageAspect::Pad).unwrap();
    let pixels = pixels.to_tensor(&Device::Cpu).unwrap();
    let (keep, num_tokens) = (12, config.tokens_per_square());
    let method = published_method("vispruner").unwrap();
    let given = [("keep".to_owned(), keep.to_string())];
    let params = MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap();
    let setting = PlanSetting {
        shape: config.text.decoder_shape(),
        num_image_tokens: num_tokens,
        grid: None,
        num_vision_layers: config.num_readable_layers(),
        has_class_token: config.vision.num_class_tokens() > 0,
        crops: ImageCrops::One,
        prune_layer: 1,
        budget: None,
        schedule: None,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        allow_degenerate: false,
        seed: 0,
    };
    let plan = published_plan(method, &params, None, &setting).unwrap();
    let request = config.vision_request([&plan]).unwrap();
    let features = model.encode_image_for(&pixels, &request).unwrap();
    let prompt = checkpoint.cases[0].prompt();
    let planned = PlannedSample {
        sample: Sample {
            prompt: &prompt,
            features: &features,
        },
        plan: &plan,
        facts: SampleFacts::of(""),
    };
    let (outputs, _) = model.answer_planned(&[planned], &greedy(2)).unwrap();
    let found = &outputs[0].stages[0].places;

    let layer = config.vision.num_layers - 1;
    let reads = [VisionRead::Attention(layer), VisionRead::Features];
    let request = VisionRequest::from_iter(reads);
    let (_, evidence) = model.encode_image_with(&pixels, &request).unwrap();
    let attention = evidence.values(reads[0]).unwrap();
    let mut received = vec![0.0_f64; num_tokens];
    for row in attention.chunks_exact(num_tokens) {
        for (sum, value) in received.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    let rows = evidence.values(VisionRead::Features).unwrap();
    let rows = rows.into_iter().map(f64::from).collect();
    let rows = Dense::new(rows, config.vision.hidden_size).unwrap();
    let chosen = vispruner_tokens(&received, &rows, keep, 0.5);
    let mut expected = [chosen.important, chosen.diverse].concat();
    expected.sort_unstable();
    assert_eq!(found.to_vec(), expected);
}

/// transformers 5 saves whole processors in one file.
#[test]
fn image_processors_inside_a_processor() {
    let from = golden("families/qwen2_5_vl/b2");
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "generation_config.json",
    ] {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    assert_eq!(
        inspect(folder.path(), None).unwrap().missing_files,
        ["preprocessor_config.json"]
    );
    let part = std::fs::read_to_string(from.join("preprocessor_config.json")).unwrap();
    let whole =
        format!(r#"{{"image_processor": {part}, "processor_class": "Qwen2_5_VLProcessor"}}"#);
    std::fs::write(folder.path().join("processor_config.json"), whole).unwrap();
    let inspection = inspect(folder.path(), None).unwrap();
    assert!(inspection.is_complete(), "{inspection}");
    let processor = |folder: &std::path::Path| {
        let opened = OpenedCheckpoint::open(folder, None).unwrap();
        opened.image_processor().unwrap()
    };
    assert_eq!(processor(folder.path()), processor(&from));
}
