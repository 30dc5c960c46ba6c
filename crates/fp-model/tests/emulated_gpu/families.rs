//! Every family on the CPU and on the emulated GPU: the tiny checkpoints compared with
//! transformers, and the head shapes of published models.

use candle_core::{DType, Device, Tensor};
use fp_kernels::cuda::FP_MAX_IMAGE_TOKENS;
use fp_model::config::Activation;
use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ImageFeatures, LlavaModel, LoadOptions, ModelConfig, PrefixOptions, Preset, VisionRead,
    VisionRequest,
};
use fp_scoring::{HeadCount, HeadStrategy, Normalization, QueryStrategy, SelectOptions};

use crate::common::family::{CHECKPOINTS, Checkpoint, check_pruned, check_whole};
use crate::common::largest_difference;
use crate::model::{check, prefix_of, same_tokens};
use crate::support::{gpu, host, numbers, prompt};

fn options(device: &Device, dtype: DType) -> LoadOptions {
    LoadOptions {
        device: device.clone(),
        dtype: Some(dtype),
        ..LoadOptions::default()
    }
}

fn check_family(test: &str, family: &str) {
    let Some(device) = gpu(test) else {
        return;
    };
    for name in CHECKPOINTS {
        let checkpoint = Checkpoint::open(family, name);
        let [cpu, gpu] =
            [&Device::Cpu, &device].map(|device| checkpoint.load(&options(device, DType::F32)));
        check_whole(&checkpoint, &gpu, false);
        check_pruned(&checkpoint, &gpu);
        for case in &checkpoint.cases {
            let which = format!("{family}/{name}, {}", case.picture);
            let [(_, a), (_, b)] =
                [&cpu, &gpu].map(|model| checkpoint.encode(model, &case.picture));
            compare(&which, [(&cpu, &a), (&gpu, &b)], &case.prompt());
        }
    }
}

#[test]
fn llava_onevision() {
    check_family("llava_onevision", "llava_onevision");
}

#[test]
fn qwen2_vl() {
    check_family("qwen2_vl", "qwen2_vl");
}

#[test]
fn qwen2_5_vl() {
    check_family("qwen2_5_vl", "qwen2_5_vl");
}

/// Compares features, hidden states after the second layer, and attention there.
#[track_caller]
fn compare(
    which: &str,
    [(cpu, a), (gpu, b)]: [(&LlavaModel, &ImageFeatures); 2],
    prompt: &EncodedPrompt,
) {
    check("features", which, &host(a.embeds()), &host(b.embeds()));
    let num_tokens = prompt.input_ids.len() - 1 + a.num_tokens();
    let options = PrefixOptions {
        depth: 2,
        query_rows: vec![num_tokens - 3, num_tokens - 1],
    };
    let [a, b] = [(cpu, a), (gpu, b)]
        .map(|(model, image)| model.prefill_prefix(prompt, image, &options).unwrap());
    assert_eq!(a.positions_on_axes(), b.positions_on_axes(), "{which}");
    let (hidden, other) = (host(a.hidden_states()), host(b.hidden_states()));
    check("hidden states", which, &hidden, &other);
    let (rows, other) = (a.image_attention_rows(), b.image_attention_rows());
    check("attention", which, rows.unwrap(), other.unwrap());
}

/// A small model of a family, with the head shapes of its published models.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Small {
    Onevision,
    Qwen2,
    Qwen25,
}

impl Small {
    /// `heads` query and key heads of width 128; vision heads of width 72 or 80.
    pub(crate) fn config(self, [num_heads, num_kv_heads]: [usize; 2]) -> ModelConfig {
        let mut config = match self {
            Small::Onevision => Preset::LlavaOnevisionWith05b.config(),
            Small::Qwen2 | Small::Qwen25 => Preset::Qwen25VlWith3b.config(),
        };
        let (text, vision) = (&mut config.text, &mut config.vision);
        text.vocab_size = 300;
        text.hidden_size = 48;
        text.intermediate_size = 56;
        text.num_layers = 3;
        (text.num_heads, text.num_kv_heads) = (num_heads, num_kv_heads);
        text.explicit_head_dim = Some(128);
        vision.hidden_size = 2 * vision.hidden_size / vision.num_heads;
        vision.num_heads = 2;
        vision.intermediate_size = 52;
        vision.num_layers = 3;
        vision.patch_size = 4;
        vision.image_size = 22;
        config.image_token = Some(299);
        if let Some(dynamic) = &mut config.dynamic {
            (dynamic.window_size, dynamic.full_layers) = (Some(16), vec![1]);
            if matches!(self, Small::Qwen2) {
                vision.activation = Activation::QuickGelu;
                (dynamic.window_size, dynamic.full_layers) = (None, Vec::new());
                dynamic.is_gated = false;
            }
        }
        config
    }

    /// Three by five cells, so that windows at two edges are smaller, or a square.
    pub(crate) fn pixels(self, seed: u64) -> Tensor {
        let [height, width] = match self {
            Small::Onevision => [22, 22],
            Small::Qwen2 | Small::Qwen25 => [24, 40],
        };
        let values = numbers(3 * height * width, seed);
        Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu).unwrap()
    }

    fn pair(self, heads: [usize; 2], device: &Device, dtype: DType) -> [LlavaModel; 2] {
        [&Device::Cpu, device].map(|device| {
            LlavaModel::random_of(self.config(heads), 7, &options(device, dtype)).unwrap()
        })
    }
}

const ALL: [Small; 3] = [Small::Onevision, Small::Qwen2, Small::Qwen25];
/// Query and key heads: four and seven query heads for each key head.
const HEADS: [[usize; 2]; 2] = [[8, 2], [7, 1]];

/// From pixels to tokens, with and without pruning after a layer.
#[test]
fn heads_of_published_models() {
    let Some(device) = gpu("heads_of_published_models") else {
        return;
    };
    for (small, heads) in ALL
        .iter()
        .flat_map(|small| HEADS.map(|heads| (*small, heads)))
    {
        let which = format!("{small:?} {heads:?}");
        let [cpu, gpu] = small.pair(heads, &device, DType::F32);
        let [image, other] =
            [&cpu, &gpu].map(|model| model.encode_image(&small.pixels(3)).unwrap());
        compare(
            &which,
            [(&cpu, &image), (&gpu, &other)],
            &prompt(&cpu, 3, 6),
        );
        let [a, b] =
            [(&cpu, &image), (&gpu, &other)].map(|(model, image)| prefix_of(model, image, 1));
        let ahead = vec![a.layout().num_system, a.layout().sequence_len() - 1];
        let [x, y] = [(&cpu, &a), (&gpu, &b)]
            .map(|(model, prefix)| model.attention_ahead(prefix, &ahead).unwrap());
        check("attention ahead", &which, &x, &y);
        let options = SelectOptions {
            kept: image.num_tokens() / 3,
            num_selected_heads: HeadCount::All,
            normalization: Normalization::L1,
            allow_degenerate: false,
        };
        let kept: Vec<_> = [QueryStrategy::LastToken, QueryStrategy::TextTokensOnly]
            .into_iter()
            .map(|query| {
                let [x, y] = [&a, &b]
                    .map(|prefix| prefix.select(HeadStrategy::Sum, query, &options).unwrap());
                assert_eq!(x.kept_tokens, y.kept_tokens, "{which}, {query:?}");
                x.kept_tokens
            })
            .collect();
        let [mut a, mut b] =
            [(&cpu, &a), (&gpu, &b)].map(|(model, prefix)| model.branch(prefix, &kept).unwrap());
        for request in 0..kept.len() {
            let [x, y] = [&a, &b].map(|branches| branches.logits(request).unwrap().unwrap());
            check("logits of a branch", &which, x, y);
        }
        same_tokens(&which, &cpu, &gpu, [&mut a, &mut b]);
        // Text without an image has positions on a line.
        let texts: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let [a, b] = [&cpu, &gpu].map(|model| model.prefill_texts(&texts).unwrap());
        for request in 0..2 {
            let [x, y] = [&a, &b].map(|branches| branches.logits(request).unwrap().unwrap());
            check("logits of a text", &which, x, y);
        }
    }
}

/// Half precision compared with the same rounded weights in `f32` on the CPU.
#[test]
fn families_in_half_precision_are_near() {
    let Some(device) = gpu("families_in_half_precision_are_near") else {
        return;
    };
    for (dtype, tolerance) in [(DType::F16, 3e-3), (DType::BF16, 2e-2)] {
        for (small, heads) in ALL.into_iter().zip([HEADS[0], HEADS[1], HEADS[0]]) {
            let [cpu, gpu] = small.pair(heads, &device, dtype);
            let [image, other] =
                [&cpu, &gpu].map(|model| model.encode_image(&small.pixels(5)).unwrap());
            let near = |what: &str, a: &[f32], b: &[f32]| {
                let largest = a
                    .iter()
                    .fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
                let difference = largest_difference(a, b) / largest;
                println!("{dtype:?} {small:?}, {what}: {difference:e} of the largest");
                assert!(
                    difference <= tolerance,
                    "{dtype:?} {small:?}, {what}: {difference:e}"
                );
            };
            near("features", &host(image.embeds()), &host(other.embeds()));
            let [a, b] =
                [(&cpu, &image), (&gpu, &other)].map(|(model, image)| prefix_of(model, image, 2));
            near(
                "hidden states",
                &host(a.hidden_states()),
                &host(b.hidden_states()),
            );
            let (x, y) = (a.image_attention_rows(), b.image_attention_rows());
            near("attention", x.unwrap(), y.unwrap());
        }
    }
}

/// SigLIP has no class token; all other evidence can be read.
#[test]
fn evidence_of_a_tower_without_a_class_token() {
    let Some(device) = gpu("evidence_of_a_tower_without_a_class_token") else {
        return;
    };
    let [cpu, gpu] = Small::Onevision.pair(HEADS[0], &device, DType::F32);
    let last = cpu.config().num_vision_layers_used() - 1;
    let request: VisionRequest = [
        VisionRead::Attention(0),
        VisionRead::ReceivedAttention(last),
        VisionRead::Queries(0),
        VisionRead::Keys(last),
        VisionRead::MeanKeys(last),
        VisionRead::Features,
        VisionRead::HiddenState(last),
    ]
    .into_iter()
    .collect();
    let pixels = Small::Onevision.pixels(9);
    let [(_, a), (_, b)] =
        [&cpu, &gpu].map(|model| model.encode_image_with(&pixels, &request).unwrap());
    for read in request.iter() {
        let [a, b] = [&a, &b].map(|evidence| evidence.values(read).unwrap());
        check(&format!("{read:?}"), Small::Onevision, &a, &b);
    }
}

/// Images cut into many crops have more tokens than the scoring kernels take.
#[test]
fn attention_to_more_tokens_than_the_kernels_score() {
    let Some(device) = gpu("attention_to_more_tokens_than_the_kernels_score") else {
        return;
    };
    let count = FP_MAX_IMAGE_TOKENS as usize + 5;
    let mut config = Preset::Tiny.config();
    (config.text.num_heads, config.text.num_kv_heads) = (2, 1);
    config.text.explicit_head_dim = Some(4);
    let [cpu, gpu] = [&Device::Cpu, &device].map(|device| {
        LlavaModel::random_of(config.clone(), 7, &options(device, DType::F32)).unwrap()
    });
    let width = config.text.hidden_size;
    let rows = numbers(count * width, 3);
    let rows = Tensor::from_vec(rows, (count, width), &Device::Cpu).unwrap();
    let [a, b] = [&cpu, &gpu].map(|model| {
        let image = model.image_features(&rows).unwrap();
        let options = PrefixOptions {
            depth: 1,
            query_rows: vec![count + 5, count + 6],
        };
        let prompt = prompt(model, 2, 5);
        model.prefill_prefix(&prompt, &image, &options).unwrap()
    });
    let (x, y) = (a.image_attention_rows(), b.image_attention_rows());
    check("attention", "many tokens", x.unwrap(), y.unwrap());
    let options = SelectOptions {
        kept: 64,
        num_selected_heads: HeadCount::All,
        normalization: Normalization::L1,
        allow_degenerate: false,
    };
    let [a, b] = [&a, &b].map(|prefix| {
        let chosen = prefix.select(HeadStrategy::Variance, QueryStrategy::LastToken, &options);
        chosen.unwrap().kept_tokens
    });
    assert_eq!(a, b);
}
