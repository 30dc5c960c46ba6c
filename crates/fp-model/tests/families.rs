//! Every family against what Hugging Face transformers gives on tiny checkpoints, pruned and not:
//! see benches/peers/family_goldens.py.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use fp_image::{ImageAspect, decode_file};
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ImageFeatures, LlavaModel, LoadOptions, OpenedCheckpoint, PlannedSample, PrefixOptions, Sample,
    SampleFacts, ToTensor, VisionRead, VisionRequest, inspect,
};
use fp_scoring::methods::vispruner_tokens;
use fp_scoring::{
    Dense, HeadCount, HeadStrategy, ImageCrops, KeptTokens, MethodParams, Normalization,
    ParamScope, PlanSetting, PruneConfig, QueryStrategy, TokenBudget, published_method,
    published_plan,
};
use serde::Deserialize;

use crate::common::{flat, golden, greedy, largest_difference};

/// How far a logit or feature may be off.
const TOLERANCE: f32 = 1e-3;
/// Below this share of the range, rounding alone may swap two tokens.
const DECISIVE_GAP: f64 = 1e-5;
/// Below this margin, the tolerance alone may change the best token.
const DECISIVE_MARGIN: f64 = 1e-3;
/// The layer behind which the pruned cases drop tokens.
const PRUNE_LAYER: usize = 2;

const CHECKPOINTS: [&str; 3] = ["a1", "b2", "b3"];

#[derive(Debug, Deserialize)]
struct Case {
    picture: String,
    question: String,
    input_ids: Vec<u32>,
    image_position: usize,
    num_image_tokens: usize,
    grid: Option<[usize; 2]>,
    tokens: Vec<u32>,
    margin: f64,
    pruned: Vec<Pruned>,
}

#[derive(Debug, Deserialize)]
struct Pruned {
    strategy: String,
    kept: Vec<usize>,
    gap: f64,
    tokens: Vec<u32>,
    margin: f64,
}

impl Case {
    fn prompt(&self) -> EncodedPrompt {
        EncodedPrompt {
            input_ids: self.input_ids.clone(),
            image_position: self.image_position,
        }
    }
}

/// A checkpoint with its cases.
struct Checkpoint {
    folder: PathBuf,
    opened: OpenedCheckpoint,
    cases: Vec<Case>,
    expected: HashMap<String, Tensor>,
}

impl Checkpoint {
    fn open(family: &str, name: &str) -> Checkpoint {
        let folder = golden("families").join(family).join(name);
        let cases = std::fs::read(folder.join("cases.json")).unwrap();
        Checkpoint {
            opened: OpenedCheckpoint::open(&folder, None).unwrap(),
            cases: serde_json::from_slice(&cases).unwrap(),
            expected: candle_core::safetensors::load(
                folder.join("expected.safetensors"),
                &Device::Cpu,
            )
            .unwrap(),
            folder,
        }
    }

    fn load(&self, kernels: bool) -> LlavaModel {
        let options = LoadOptions {
            kernels,
            ..LoadOptions::default()
        };
        LlavaModel::load(&self.folder, &options).unwrap()
    }

    /// Pixel values of a picture as transformers has them, and its features.
    fn encode(&self, model: &LlavaModel, picture: &str) -> (Tensor, ImageFeatures) {
        let config = model.config();
        let image = decode_file(&golden("families").join(format!("{picture}.png"))).unwrap();
        let processor = self.opened.image_processor().unwrap();
        let request = VisionRequest::new();
        match config.pinpoints().unwrap() {
            Some(pinpoints) => {
                let tiles = processor.preprocess_anyres(&image, &pinpoints).unwrap();
                let packing = tiles.tiling.packing(config.vision.patches_per_side());
                let pixels = tiles.to_tensor(&Device::Cpu).unwrap();
                let features = model.encode_tiles_for(&pixels, &packing, &request).unwrap();
                assert_eq!(packing.num_image_tokens(), features.num_tokens());
                (pixels, features)
            }
            None => {
                let pixels = processor.preprocess(&image, ImageAspect::Pad).unwrap();
                let grid = config.token_grid([pixels.height, pixels.width]).unwrap();
                let pixels = pixels.to_tensor(&Device::Cpu).unwrap();
                let features = model.encode_image(&pixels).unwrap();
                assert_eq!(grid[0] * grid[1], features.num_tokens());
                (pixels, features)
            }
        }
    }

    /// Expected pixel values in the form of ours: `[tiles, 3, h, w]`, or patches cell by cell.
    fn check_pixels(&self, picture: &str, pixels: &Tensor) {
        let Some(expected) = self.expected.get(&format!("{picture}.pixel_values")) else {
            return;
        };
        let config = self.opened.config();
        let found = match &config.dynamic {
            None => flat(pixels),
            Some(dynamic) => {
                let (patch, merge) = (config.vision.patch_size, dynamic.merge_size);
                let (_, channels, height, width) = pixels.dims4().unwrap();
                let (rows, columns) = (height / patch / merge, width / patch / merge);
                let patches = pixels
                    .reshape(vec![channels, rows, merge, patch, columns, merge, patch])
                    .unwrap()
                    .permute(vec![1, 4, 2, 5, 0, 3, 6])
                    .unwrap()
                    .contiguous()
                    .unwrap();
                flat(&patches)
            }
        };
        let difference = largest_difference(&found, &flat(expected));
        assert!(difference < 1e-5, "{picture}: {difference}");
    }
}

fn features_of(checkpoint: &Checkpoint, model: &LlavaModel) -> HashMap<String, ImageFeatures> {
    let mut all = HashMap::new();
    for case in &checkpoint.cases {
        if all.contains_key(&case.picture) {
            continue;
        }
        let (pixels, features) = checkpoint.encode(model, &case.picture);
        checkpoint.check_pixels(&case.picture, &pixels);
        assert_eq!(
            features.num_tokens(),
            case.num_image_tokens,
            "{}",
            case.picture
        );
        let expected = &checkpoint.expected[&format!("{}.features", case.picture)];
        let difference = largest_difference(&flat(features.embeds()), &flat(expected));
        assert!(difference < TOLERANCE, "{}: {difference}", case.picture);
        all.insert(case.picture.clone(), features);
    }
    all
}

#[track_caller]
fn check_logits(name: &str, found: &[f32], expected: &Tensor) {
    let difference = largest_difference(found, &flat(expected));
    assert!(difference < TOLERANCE, "{name}: {difference}");
}

/// Unpruned: pixel values, image tokens, features, position ids, logits and greedy tokens.
fn check_whole(checkpoint: &Checkpoint, model: &LlavaModel, is_exact: bool) {
    let features = features_of(checkpoint, model);
    let mut decisive = 0;
    let tokenizer = checkpoint.opened.tokenizer().unwrap();
    let template = model.config().family.template();
    let mut prompts = Vec::new();
    for (index, case) in checkpoint.cases.iter().enumerate() {
        let name = format!("{}.{}", case.picture, index % 2);
        let features = &features[&case.picture];
        let prompt = tokenizer.encode(&template.render(&case.question)).unwrap();
        assert_eq!(prompt, case.prompt(), "{name}");
        let options = PrefixOptions {
            depth: 1,
            query_rows: Vec::new(),
        };
        let prefix = model.prefill_prefix(&prompt, features, &options).unwrap();
        let expected = &checkpoint.expected[&format!("{name}.positions")];
        let axes: Vec<i64> = expected.flatten_all().unwrap().to_vec1().unwrap();
        let found = prefix.positions_on_axes();
        let of = |axis: usize| &axes[axis * found.len()..][..found.len()];
        let positions: Vec<i64> = found.iter().map(|at| at.time as i64).collect();
        assert_eq!(positions, of(0), "{name}");
        if case.grid.is_some() {
            let rows: Vec<i64> = found.iter().map(|at| at.row as i64).collect();
            let columns: Vec<i64> = found.iter().map(|at| at.column as i64).collect();
            assert_eq!((&rows[..], &columns[..]), (of(1), of(2)), "{name}");
        }
        prompts.push(prompt);
    }
    // All pictures and questions as one batch of mixed sizes.
    let samples: Vec<Sample<'_>> = checkpoint
        .cases
        .iter()
        .zip(&prompts)
        .map(|(case, prompt)| Sample {
            prompt,
            features: &features[&case.picture],
        })
        .collect();
    let (outputs, _) = model.answer(&samples, None, &greedy(5)).unwrap();
    for (index, (case, output)) in checkpoint.cases.iter().zip(&outputs).enumerate() {
        let name = format!("{}.{}", case.picture, index % 2);
        let expected = &checkpoint.expected[&format!("{name}.logits")];
        check_logits(&name, &output.prompt_logits, expected);
        if case.margin > DECISIVE_MARGIN {
            decisive += 1;
            assert_eq!(output.generation.token_ids, case.tokens, "{name}");
        }
    }
    assert!(decisive + 2 >= checkpoint.cases.len(), "{decisive}");
    // Two questions on one image that is run once, and each sample alone: the same bits.
    for pair in 0..checkpoint.cases.len() / 2 {
        let (first, second) = (2 * pair, 2 * pair + 1);
        let system = model.prefill_system(prompts[first].system_ids()).unwrap();
        let features = &features[&checkpoint.cases[first].picture];
        let image = model.prefill_image(&system, features, &[1]).unwrap();
        for index in [first, second] {
            let prefixes = model
                .prefill_question(&image, &prompts[index], &[Vec::new()])
                .unwrap();
            let all = KeptTokens::new((0..features.num_tokens()).collect(), features.num_tokens());
            let branches = model.branch(&prefixes[0], &[all.unwrap()]).unwrap();
            let logits = branches.logits(0).unwrap().unwrap();
            let alone = &outputs[index].prompt_logits;
            assert!(largest_difference(logits, alone) < TOLERANCE);
            assert!(!is_exact || logits == alone.as_slice());
        }
    }
}

/// FastV behind layer K with every query strategy.
fn check_pruned(checkpoint: &Checkpoint, model: &LlavaModel) {
    let features = features_of(checkpoint, model);
    let (mut sets, mut tokens, mut all) = (0, 0, 0);
    for (index, case) in checkpoint.cases.iter().enumerate() {
        let prompt = case.prompt();
        let sample = Sample {
            prompt: &prompt,
            features: &features[&case.picture],
        };
        for pruned in &case.pruned {
            let name = format!("{}.{}.pruned_{}", case.picture, index % 2, pruned.strategy);
            let config = PruneConfig {
                head_strategy: HeadStrategy::Sum,
                query_strategy: pruned.strategy.parse::<QueryStrategy>().unwrap(),
                normalization: Normalization::L1,
                num_selected_heads: HeadCount::All,
                budget: TokenBudget::Kept(pruned.kept.len()),
                prune_layer: PRUNE_LAYER,
                allow_degenerate: false,
            };
            let (outputs, _) = model.answer(&[sample], Some(&config), &greedy(5)).unwrap();
            let output = &outputs[0];
            let kept = &output.attention_audit().unwrap().kept_tokens;
            all += 1;
            if kept.as_slice() != pruned.kept {
                assert!(
                    pruned.gap <= DECISIVE_GAP,
                    "{name}: {kept:?} {:?}",
                    pruned.kept
                );
                continue;
            }
            sets += 1;
            check_logits(&name, &output.prompt_logits, &checkpoint.expected[&name]);
            if pruned.margin > DECISIVE_MARGIN {
                tokens += 1;
                assert_eq!(output.generation.token_ids, pruned.tokens, "{name}");
            }
        }
    }
    assert!(
        all > 0 && sets * 10 > all * 9 && tokens * 10 > all * 9,
        "{sets} {tokens} {all}"
    );
}

/// As many weights as the checkpoint stores, of which memory is predicted.
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
        let model = checkpoint.load(true);
        check_whole(&checkpoint, &model, true);
        check_pruned(&checkpoint, &model);
    }
    let checkpoint = Checkpoint::open(family, "b2");
    check_whole(&checkpoint, &checkpoint.load(false), false);
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
        let model = checkpoint.load(true);
        let odd = Tensor::zeros((1, 3, 8, 12), DType::F32, &Device::Cpu).unwrap();
        let refused = model.encode_image(&odd).unwrap_err().to_string();
        assert!(refused.contains("multiples of 8"), "{refused}");
        let width = model.config().text.hidden_size;
        let rows = Tensor::zeros((4, width), DType::F32, &Device::Cpu).unwrap();
        let refused = model.image_features(&rows).unwrap_err().to_string();
        assert!(refused.contains("grid"), "{refused}");
    }
}

/// What Hugging Face's processors make of a question: see benches/peers/family_prompts.py.
#[derive(Debug, Deserialize)]
struct PromptCase {
    family: String,
    picture: String,
    question: String,
    text: String,
    /// Ids with repetitions counted.
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

/// VisPruner on a tower without a class token, against the mean over rows of its whole attention.
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

/// transformers 5 saves processors whole, in one file.
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
