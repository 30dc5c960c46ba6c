//! Tiny checkpoints of every family made by transformers, with its results on them: see
//! benches/peers/family_goldens.py.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use fp_image::{ImageAspect, decode_file};
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ImageFeatures, LlavaModel, LoadOptions, OpenedCheckpoint, PrefixOptions, Sample, ToTensor,
    VisionRequest,
};
use fp_scoring::{
    HeadCount, HeadStrategy, KeptTokens, Normalization, PruneConfig, QueryStrategy, TokenBudget,
};
use serde::Deserialize;

use super::{flat, golden, greedy, largest_difference};

/// The checkpoints of each family.
pub(crate) const CHECKPOINTS: [&str; 3] = ["a1", "b2", "b3"];

/// Largest allowed difference of a logit or feature.
const TOLERANCE: f32 = 1e-3;
/// For gaps below this share of the range, rounding alone may swap two tokens.
const DECISIVE_GAP: f64 = 1e-5;
/// For margins below this, the tolerance alone may change the best token.
const DECISIVE_MARGIN: f64 = 1e-3;
/// The layer after which the pruned cases drop tokens.
const PRUNE_LAYER: usize = 2;

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) picture: String,
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
pub(crate) struct Pruned {
    strategy: String,
    kept: Vec<usize>,
    gap: f64,
    tokens: Vec<u32>,
    margin: f64,
}

impl Case {
    pub(crate) fn prompt(&self) -> EncodedPrompt {
        EncodedPrompt {
            input_ids: self.input_ids.clone(),
            image_position: self.image_position,
        }
    }
}

/// A checkpoint with its cases.
pub(crate) struct Checkpoint {
    pub(crate) folder: PathBuf,
    pub(crate) opened: OpenedCheckpoint,
    pub(crate) cases: Vec<Case>,
    expected: HashMap<String, Tensor>,
}

impl Checkpoint {
    pub(crate) fn open(family: &str, name: &str) -> Checkpoint {
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

    pub(crate) fn load(&self, options: &LoadOptions) -> LlavaModel {
        LlavaModel::load(&self.folder, options).unwrap()
    }

    /// Pixel values of an image as in transformers, and its features.
    pub(crate) fn encode(&self, model: &LlavaModel, picture: &str) -> (Tensor, ImageFeatures) {
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

    /// Checks pixel values in this project's form: `[tiles, 3, h, w]`, or patches cell by cell.
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

/// Checks unpruned runs: pixel values, image tokens, features, position ids, logits and greedy
/// tokens.
pub(crate) fn check_whole(checkpoint: &Checkpoint, model: &LlavaModel, is_exact: bool) {
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
    // All images and questions as one batch of mixed sizes.
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
    // Two questions on one shared image, and each sample alone, give the same bits.
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

/// Checks FastV after layer K with every query strategy.
pub(crate) fn check_pruned(checkpoint: &Checkpoint, model: &LlavaModel) {
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
