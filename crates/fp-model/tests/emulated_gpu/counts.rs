//! Counts of the device's operations. The emulated driver counts for the whole process, so each
//! count runs in a process of its own.

use std::process::Command;

use candle_core::{DType, Device};
use fp_kernels::cuda::emulated::{Counters, take_counters};
use fp_model::{
    ImageFeatures, LlavaModel, LoadOptions, PrefixOptions, Preset, Sample, ScoreRequest,
};
use fp_scoring::{
    HeadCount, HeadStrategy, Normalization, QueryStrategy, SelectOptions, TokenLayout,
};

use crate::common::greedy;
use crate::families::Small;
use crate::support::{gpu, numbers, prompt};

fn model(num_layers: usize, device: &Device) -> LlavaModel {
    let mut config = Preset::Tiny.config();
    config.text.num_layers = num_layers;
    let options = LoadOptions {
        device: device.clone(),
        dtype: Some(DType::F32),
        ..LoadOptions::default()
    };
    LlavaModel::random_of(config, 3, &options).unwrap()
}

fn features(model: &LlavaModel, count: usize) -> ImageFeatures {
    let width = model.config().text.hidden_size;
    let values = numbers(count * width, count as u64);
    let embeds = candle_core::Tensor::from_vec(values, (count, width), &Device::Cpu).unwrap();
    model.image_features(&embeds).unwrap()
}

/// The operations that `run` requests of the device.
fn counted(run: impl FnOnce()) -> Counters {
    take_counters();
    run();
    take_counters().unwrap()
}

/// Runs the test `name` of this program in a process of its own.
fn alone(name: &str) {
    if gpu(name).is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
}

#[test]
fn a_step_of_decoding() {
    alone("counts::decoding");
}

#[test]
fn a_prefill() {
    alone("counts::prefill");
}

#[test]
fn a_grid_before_decoding() {
    alone("counts::grid");
}

#[test]
fn an_image_of_any_size() {
    alone("counts::any_size");
}

/// Nothing is transferred inside a layer of a tower with windows, or of a decoder with three rotary
/// axes, whose biases take a launch each.
#[test]
#[ignore = "started by another test, in a process of its own"]
fn any_size() {
    let device = gpu("any_size").unwrap();
    let (mut towers, mut prefills) = (Vec::new(), Vec::new());
    for num_layers in [2_usize, 5] {
        let small = Small::Qwen25;
        let mut config = small.config([8, 2]);
        (config.vision.num_layers, config.text.num_layers) = (num_layers, num_layers);
        let options = LoadOptions {
            device: device.clone(),
            dtype: Some(DType::F32),
            ..LoadOptions::default()
        };
        let model = LlavaModel::random_of(config, 3, &options).unwrap();
        let pixels = small.pixels(3);
        let features = model.encode_image(&pixels).unwrap();
        let tower = counted(|| {
            model.encode_image(&pixels).unwrap();
        });
        let prompt = prompt(&model, 3, 6);
        let sample = Sample {
            prompt: &prompt,
            features: &features,
        };
        let prefill = counted(|| {
            model.prefill(&[sample]).unwrap();
        });
        for (what, counts) in [("a tower", &tower), ("a prefill", &prefill)] {
            let launches = counts.all_launches();
            println!(
                "{num_layers} layers, {what}: {launches} launches, {} uploads",
                counts.host_to_device_copies
            );
            assert!(
                launches <= 14 * num_layers as u64 + 20,
                "{what}: {launches}"
            );
            assert_eq!(
                (counts.device_to_host_copies, counts.synchronisations),
                (1, 0),
                "{what}"
            );
        }
        towers.push(tower.host_to_device_copies);
        prefills.push(prefill.host_to_device_copies);
    }
    assert_eq!(towers[0], towers[1]);
    assert_eq!(prefills[0], prefills[1]);
}

#[test]
#[ignore = "started by another test, in a process of its own"]
fn decoding() {
    let device = gpu("decoding").unwrap();
    let mut uploads = Vec::new();
    for num_layers in [2, 5] {
        let model = model(num_layers, &device);
        for num_sequences in [1, 7, 64] {
            let prompts: Vec<Vec<u32>> = (0..num_sequences)
                .map(|index| (5..7 + index as u32 % 11).collect())
                .collect();
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            let mut branches = model.prefill_texts(&prompts).unwrap();
            // The work at the beginning of decoding isn't part of a step.
            model.generate(&mut branches, &greedy(2)).unwrap();
            let mut steps = |count: usize| {
                counted(|| {
                    model.generate(&mut branches, &greedy(count)).unwrap();
                })
            };
            let (short, long) = (steps(1), steps(2));
            let launches = long.all_launches() - short.all_launches();
            assert!(
                launches <= 10 * num_layers as u64 + 12,
                "{num_layers} layers, {num_sequences} sequences: {launches} launches"
            );
            let copies = long.device_to_host_copies - short.device_to_host_copies;
            let waits = long.synchronisations - short.synchronisations;
            assert_eq!((copies, waits), (1, 0), "copies and further waits");
            let bytes = long.device_to_host_bytes - short.device_to_host_bytes;
            assert_eq!(bytes, 12 * (num_sequences as u64 + 1));
            uploads.push(long.host_to_device_copies - short.host_to_device_copies);
            println!(
                "{num_layers} layers, {num_sequences} sequences, a step: {launches} launches, \
                 {} uploads",
                uploads.last().unwrap()
            );
        }
    }
    // No upload is per layer or per sequence.
    assert!(
        uploads.iter().all(|&count| count == uploads[0]),
        "{uploads:?}"
    );
}

#[test]
#[ignore = "started by another test, in a process of its own"]
fn prefill() {
    let device = gpu("prefill").unwrap();
    let mut uploads = Vec::new();
    for num_layers in [2, 5] {
        let model = model(num_layers, &device);
        for num_sequences in [1, 9, 64] {
            let features = features(&model, 12);
            let prompts: Vec<_> = (0..num_sequences)
                .map(|index| prompt(&model, index % 3, 1 + index % 7))
                .collect();
            let samples: Vec<Sample<'_>> = prompts
                .iter()
                .map(|prompt| Sample {
                    prompt,
                    features: &features,
                })
                .collect();
            // The table of angles is made only once.
            model.prefill(&samples[..1]).unwrap();
            let counts = counted(|| {
                model.prefill(&samples).unwrap();
            });
            let launches = counts.all_launches();
            assert!(
                launches <= 14 * num_layers as u64 + 20,
                "{num_layers} layers, {num_sequences} sequences: {launches} launches"
            );
            assert_eq!(
                (counts.device_to_host_copies, counts.synchronisations),
                (1, 0)
            );
            uploads.push(counts.host_to_device_copies);
            println!(
                "{num_layers} layers, {num_sequences} sequences, a prefill: {launches} launches, \
                 {} uploads",
                counts.host_to_device_copies
            );
            branches(&model, &features, num_sequences, num_layers);
        }
    }
    assert!(
        uploads.iter().all(|&count| count == uploads[0]),
        "{uploads:?}"
    );
}

/// Branches of one prefix are a prefill, too.
fn branches(model: &LlavaModel, features: &ImageFeatures, count: usize, num_layers: usize) {
    let options = PrefixOptions {
        depth: 1,
        query_rows: Vec::new(),
    };
    let prefix = model
        .prefill_prefix(&prompt(model, 2, 3), features, &options)
        .unwrap();
    let kept: Vec<_> = (0..count)
        .map(|seed| fp_scoring::random_tokens(12, 5, seed as u64).unwrap())
        .collect();
    let counts = counted(|| {
        model.branch(&prefix, &kept).unwrap();
    });
    let launches = counts.all_launches();
    assert!(
        launches <= 14 * (num_layers as u64 - 1) + 20,
        "{count} branches: {launches} launches"
    );
    assert_eq!(
        (counts.device_to_host_copies, counts.synchronisations),
        (1, 0)
    );
}

/// Nine head strategies at four budgets, from the prompt to the first token of every branch.
#[test]
#[ignore = "started by another test, in a process of its own"]
fn grid() {
    let device = gpu("grid").unwrap();
    let model = model(3, &device);
    let features = features(&model, 24);
    let prompt = prompt(&model, 3, 6);
    let layout = TokenLayout {
        num_system: 3,
        num_image: 24,
        num_text: 6,
    };
    let options = PrefixOptions {
        depth: 2,
        query_rows: QueryStrategy::LastToken.rows_needed(&layout).unwrap(),
    };
    let requests: Vec<ScoreRequest> = [3, 6, 9, 12]
        .into_iter()
        .map(|kept| ScoreRequest {
            head_strategies: HeadStrategy::STUDY.to_vec(),
            options: SelectOptions {
                normalization: Normalization::L1,
                num_selected_heads: HeadCount::Count(2),
                kept,
                allow_degenerate: false,
            },
        })
        .collect();
    let run = || {
        let prefix = model.prefill_prefix(&prompt, &features, &options).unwrap();
        let combined = prefix.combine(QueryStrategy::LastToken).unwrap();
        let chosen = combined.score(&requests);
        combined.audit().unwrap();
        let kept: Vec<_> = chosen
            .into_iter()
            .flat_map(Result::unwrap)
            .map(|selection| selection.kept_tokens)
            .collect();
        model.branch(&prefix, &kept).unwrap();
    };
    run();
    let counts = counted(run);
    let waits = counts.device_to_host_copies + counts.synchronisations;
    println!("a grid of 36 cells before decoding: {waits} waits, {counts:?}");
    assert!(waits <= 3, "{counts:?}");
}
