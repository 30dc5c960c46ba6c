//! The same model on the CPU and on the emulated GPU.

use std::fmt::Debug;

use candle_core::{DType, Device};
use fp_model::{
    GenerateOptions, ImageFeatures, LlavaModel, PrefixOptions, Sample, VisionRead, VisionRequest,
};
use fp_scoring::{HeadStrategy, QueryStrategy, SelectOptions, TokenLayout};

use crate::common::{greedy, largest_difference};
use crate::support::{Which, gpu, host, pixels, prompt, same_image};

/// Largest allowed difference of `f32` values, as a share of the largest of them, or of 1 if that
/// is larger: the shipped model's hidden states reach a hundred.
const TOLERANCE: f32 = 1e-4;
/// For margins of two logits below this, the tolerance alone may change the token.
const DECISIVE_MARGIN: f32 = 1e-3;
/// For gaps below this share of the range, rounding alone may swap two tokens.
const DECISIVE_GAP: f64 = 1e-4;

fn pair(which: Which, device: &Device) -> [LlavaModel; 2] {
    [&Device::Cpu, device].map(|device| which.load(device, DType::F32))
}

#[track_caller]
pub(crate) fn check(what: &str, which: impl Debug, a: &[f32], b: &[f32]) {
    let largest = a.iter().fold(1.0, |most: f32, x| most.max(x.abs()));
    let difference = largest_difference(a, b) / largest;
    assert!(difference <= TOLERANCE, "{which:?}, {what}: {difference:e}");
}

#[test]
fn vision_tower_projector_and_evidence() {
    let Some(device) = gpu("vision_tower_projector_and_evidence") else {
        return;
    };
    for which in Which::ALL {
        let [cpu, gpu] = pair(which, &device);
        let last = cpu.config().num_vision_layers_used() - 1;
        let request: VisionRequest = [
            VisionRead::ClassAttention(last),
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
        let pixels = pixels(&cpu, 3);
        let [a, b] = [&cpu, &gpu].map(|model| model.encode_image_with(&pixels, &request).unwrap());
        check("features", which, &host(a.0.embeds()), &host(b.0.embeds()));
        for read in request.iter() {
            let [a, b] = [&a.1, &b.1].map(|evidence| evidence.values(read).unwrap());
            check(&format!("{read:?}"), which, &a, &b);
        }
    }
}

pub(crate) fn prefix_of(
    model: &LlavaModel,
    features: &ImageFeatures,
    depth: usize,
) -> fp_model::Prefix {
    let prompt = prompt(model, 4, 7);
    let layout = TokenLayout {
        num_system: 4,
        num_image: features.num_tokens(),
        num_text: 7,
    };
    let options = PrefixOptions {
        depth,
        query_rows: (layout.num_system..layout.sequence_len()).collect(),
    };
    model.prefill_prefix(&prompt, features, &options).unwrap()
}

#[test]
fn prefixes_attention_selections_and_branches() {
    let Some(device) = gpu("prefixes_attention_selections_and_branches") else {
        return;
    };
    for which in Which::ALL {
        let [cpu, gpu] = pair(which, &device);
        let images = same_image(&cpu, &gpu, 11);
        let depth = 2.min(cpu.config().text.num_layers - 1);
        let [a, b] = [(&cpu, &images[0]), (&gpu, &images[1])]
            .map(|(model, image)| prefix_of(model, image, depth));
        let (hidden, other) = (host(a.hidden_states()), host(b.hidden_states()));
        check("hidden states", which, &hidden, &other);
        let (rows, other) = (a.image_attention_rows(), b.image_attention_rows());
        check("attention", which, rows.unwrap(), other.unwrap());

        let ahead: Vec<usize> = vec![a.layout().num_system, a.layout().sequence_len() - 1];
        let [x, y] = [(&cpu, &a), (&gpu, &b)]
            .map(|(model, prefix)| model.attention_ahead(prefix, &ahead).unwrap());
        check("attention ahead", which, &x, &y);

        let num_image = images[0].num_tokens();
        let options = SelectOptions {
            kept: (num_image / 9).max(1),
            num_selected_heads: fp_scoring::HeadCount::Count(2),
            normalization: fp_scoring::Normalization::L1,
            allow_degenerate: false,
        };
        let mut kept = Vec::new();
        // The emulation is slow: with many tokens, fewer strategies are tested.
        let step = if num_image > 100 { 4 } else { 1 };
        for query in QueryStrategy::ALL.iter().step_by(step) {
            for head in [HeadStrategy::Variance, HeadStrategy::GraphBased] {
                let [x, y] = [&a, &b].map(|prefix| prefix.select(head, *query, &options).unwrap());
                let decisive = |selection: &fp_scoring::Selection| {
                    let gap = |cut: Option<&fp_scoring::CutAudit>| {
                        cut.is_none_or(|cut| cut.gap > DECISIVE_GAP)
                    };
                    let audit = &selection.audit;
                    gap(audit.head_cut.as_ref()) && gap(audit.token_cut.as_ref())
                };
                if decisive(&x) {
                    assert_eq!(x.kept_tokens, y.kept_tokens, "{which:?} {head:?} {query:?}");
                }
                kept.push(x.kept_tokens);
                kept.truncate(5);
            }
        }
        let [mut a, mut b] =
            [(&cpu, &a), (&gpu, &b)].map(|(model, prefix)| model.branch(prefix, &kept).unwrap());
        for request in 0..kept.len() {
            let [x, y] = [&a, &b].map(|branches| branches.logits(request).unwrap().unwrap());
            check("logits of a branch", which, x, y);
        }
        same_tokens(which, &cpu, &gpu, [&mut a, &mut b]);
    }
}

#[track_caller]
pub(crate) fn same_tokens(
    which: impl Debug,
    cpu: &LlavaModel,
    gpu: &LlavaModel,
    [a, b]: [&mut fp_model::Branches; 2],
) {
    let options = greedy(6);
    let x = cpu.generate(a, &options).unwrap();
    let y = gpu.generate(b, &options).unwrap();
    for (request, (x, y)) in x.iter().zip(&y).enumerate() {
        if a.min_margin(request).is_some_and(|m| m > DECISIVE_MARGIN) {
            assert_eq!(x, y, "{which:?}, request {request}");
            let [m, n] = [&a, &b].map(|branches| branches.min_margin(request).unwrap());
            assert!((m - n).abs() <= DECISIVE_MARGIN, "{which:?}: {m} {n}");
        }
    }
}

#[test]
fn batches_of_mixed_lengths() {
    let Some(device) = gpu("batches_of_mixed_lengths") else {
        return;
    };
    for which in Which::ALL {
        let [cpu, gpu] = pair(which, &device);
        let images = same_image(&cpu, &gpu, 5);
        let prompts: Vec<_> = [(0, 3), (5, 1), (2, 9)]
            .iter()
            .map(|&(system, text)| prompt(&cpu, system, text))
            .collect();
        let prefill = |model: &LlavaModel, features| {
            let samples: Vec<Sample<'_>> = prompts
                .iter()
                .map(|prompt| Sample { prompt, features })
                .collect();
            model.prefill(&samples).unwrap()
        };
        let (mut a, mut b) = (prefill(&cpu, &images[0]), prefill(&gpu, &images[1]));
        for request in 0..prompts.len() {
            let [x, y] = [&a, &b].map(|branches| branches.logits(request).unwrap().unwrap());
            check("logits of a batch", which, x, y);
        }
        same_tokens(which, &cpu, &gpu, [&mut a, &mut b]);
        let texts: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let (a, b) = (cpu.prefill_texts(&texts), gpu.prefill_texts(&texts));
        let (a, b) = (a.unwrap(), b.unwrap());
        for request in 0..2 {
            let [x, y] = [&a, &b].map(|branches| branches.logits(request).unwrap().unwrap());
            check("logits of a text", which, x, y);
        }
    }
}

#[test]
fn shared_prefixes_of_questions_on_one_image() {
    let Some(device) = gpu("shared_prefixes_of_questions_on_one_image") else {
        return;
    };
    for which in Which::ALL {
        let [cpu, gpu] = pair(which, &device);
        let images = same_image(&cpu, &gpu, 7);
        let last = cpu.config().text.num_layers - 1;
        let depths: Vec<usize> = [0, 1, last].into_iter().filter(|&d| d <= last).collect();
        let mut depths = depths;
        depths.dedup();
        let questions = [prompt(&cpu, 3, 5), prompt(&cpu, 3, 2)];
        let run = |model: &LlavaModel, features: &ImageFeatures| {
            let system = model.prefill_system(questions[0].system_ids()).unwrap();
            let image = model.prefill_image(&system, features, &depths).unwrap();
            let mut all = Vec::new();
            for question in &questions {
                let layout = TokenLayout {
                    num_system: 3,
                    num_image: features.num_tokens(),
                    num_text: question.num_text(),
                };
                let rows: Vec<Vec<usize>> = depths
                    .iter()
                    .map(|&depth| match depth {
                        0 => Vec::new(),
                        _ => (layout.num_system + 1..layout.sequence_len()).collect(),
                    })
                    .collect();
                all.push(model.prefill_question(&image, question, &rows).unwrap());
            }
            all
        };
        let (a, b) = (run(&cpu, &images[0]), run(&gpu, &images[1]));
        for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
            let (hidden, other) = (host(x.hidden_states()), host(y.hidden_states()));
            check("shared hidden states", which, &hidden, &other);
            let (rows, other) = (x.image_attention_rows(), y.image_attention_rows());
            check("shared attention", which, rows.unwrap(), other.unwrap());
        }
    }
}

#[test]
fn sampling_reads_whole_logits() {
    let Some(device) = gpu("sampling_reads_whole_logits") else {
        return;
    };
    let [cpu, gpu] = pair(Which::Random, &device);
    let options = GenerateOptions {
        sampling: fp_model::Sampling::Random {
            temperature: 0.7,
            top_p: 0.9,
            seed: 3,
        },
        ..greedy(5)
    };
    let tokens = |model: &LlavaModel| {
        let mut branches = model.prefill_text(&[5, 9, 20, 31]).unwrap();
        model.generate(&mut branches, &options).unwrap()
    };
    assert_eq!(tokens(&cpu), tokens(&gpu));
}

/// Half precision compared with the same rounded weights in `f32` on the CPU, whose own error is a
/// thousandth of this.
#[test]
fn half_precision_is_near() {
    let Some(device) = gpu("half_precision_is_near") else {
        return;
    };
    for (dtype, tolerance) in [(DType::F16, 3e-3), (DType::BF16, 2e-2)] {
        for which in [Which::Grouped, Which::Biased, Which::Next, Which::Random] {
            let cpu = which.load(&Device::Cpu, dtype);
            let gpu = which.load(&device, dtype);
            let images = same_image(&cpu, &gpu, 13);
            let [a, b] = [(&cpu, &images[0]), (&gpu, &images[1])]
                .map(|(model, image)| prefix_of(model, image, 1));
            let (x, y) = (host(a.hidden_states()), host(b.hidden_states()));
            let largest = x.iter().fold(1.0, |most: f32, x| most.max(x.abs()));
            let difference = largest_difference(&x, &y) / largest;
            println!("{dtype:?} {which:?}: {difference:e} of the largest hidden state");
            assert!(
                difference <= tolerance,
                "{dtype:?} {which:?}: {difference:e}"
            );
            let (x, y) = (a.image_attention_rows(), b.image_attention_rows());
            let difference = largest_difference(x.unwrap(), y.unwrap());
            println!("{dtype:?} {which:?}: {difference:e} of attention");
            assert!(
                difference <= tolerance,
                "{dtype:?} {which:?}: {difference:e}"
            );
        }
    }
}
