//! Weights of two bytes, rows in bf16 and a KV cache in bf16: compared with the same numbers in
//! f32, and with PyTorch in bf16 and in f64.

use std::collections::HashMap;
use std::fs;

use candle_core::{DType, Device, Tensor};
use fp_model::{
    CpuFormat, ImageFeatures, LlavaModel, LoadOptions, ModelError, ModelSource, ResidentMemory,
    ResidentRun, Sample,
};
use fp_scoring::{
    HeadCount, HeadStrategy, KeptTokens, Normalization, PruneConfig, QueryStrategy, TokenBudget,
};
use tempfile::TempDir;

use crate::common::checkpoint::{
    Tensors, golden_config, golden_tensors, save, save_shards, write_config,
};
use crate::common::{Case, cases, expected, features, golden, greedy};

/// Tokens whose importance in f32 differs from that of the last kept one by more than this share of
/// the whole range are kept or dropped equally in every format. Rounding a row to the 8 bits of
/// bf16 changes a score by up to 2⁻⁹ of itself, and a layer sums many.
const DECISIVE_GAP: f64 = 0.02;

fn options(dtype: Option<DType>) -> LoadOptions {
    LoadOptions {
        dtype,
        ..LoadOptions::default()
    }
}

/// The golden checkpoint stored in `dtype`, in shards or in one file whose values start at
/// an odd byte.
fn stored(dtype: DType, in_shards: bool) -> TempDir {
    let tensors: Tensors = golden_tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()))
        .collect();
    let root = TempDir::new().unwrap();
    write_config(root.path(), &golden_config());
    if in_shards {
        save_shards(&tensors, root.path());
        return root;
    }
    let path = root.path().join("model.safetensors");
    save(&tensors, &path);
    let bytes = fs::read(&path).unwrap();
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap());
    // A space after the header moves all values by one byte.
    let (header, values) = rest.split_at(length as usize);
    let odd = [&(length + 1).to_le_bytes()[..], header, b" ", values].concat();
    fs::write(&path, odd).unwrap();
    root
}

fn pruned() -> PruneConfig {
    PruneConfig {
        head_strategy: HeadStrategy::Variance,
        query_strategy: QueryStrategy::LastToken,
        normalization: Normalization::L1,
        num_selected_heads: HeadCount::Count(4),
        budget: TokenBudget::Kept(64),
        prune_layer: 2,
        allow_degenerate: false,
    }
}

/// Kept tokens, logits and answers of some golden cases, with and without pruning.
fn answers(model: &LlavaModel) -> Vec<(Option<KeptTokens>, Vec<f32>, Vec<u32>)> {
    let features = features(model, &expected());
    let unpruned: Vec<Case> = cases().into_iter().filter(|c| c.study.is_none()).collect();
    let mut found = Vec::new();
    for case in unpruned.iter().step_by(2) {
        for config in [None, Some(pruned())] {
            let prompt = case.encoded();
            let sample = Sample {
                prompt: &prompt,
                features: &features[&case.view()],
            };
            let answered = model.answer(&[sample], config.as_ref(), &greedy(6));
            let output = answered.unwrap().0.remove(0);
            let kept = output
                .attention_audit()
                .map(|audit| audit.kept_tokens.clone());
            found.push((kept, output.prompt_logits, output.generation.token_ids));
        }
    }
    found
}

#[test]
fn stored_halves_give_the_bits_of_the_same_numbers_in_f32() {
    for dtype in [DType::F16, DType::BF16] {
        for in_shards in [false, true] {
            let root = stored(dtype, in_shards);
            let load = |options| LlavaModel::load(root.path(), &options).unwrap();
            let mapped = answers(&load(options(None)));
            let wide = answers(&load(options(Some(DType::F32))));
            assert!(mapped == wide, "{dtype:?} {in_shards}");
        }
    }
}

#[test]
fn rounded_values_are_those_that_a_stored_checkpoint_has() {
    for dtype in [DType::F16, DType::BF16] {
        let root = stored(dtype, true);
        let rounded = LlavaModel::load(golden("model"), &options(Some(dtype))).unwrap();
        let mapped = LlavaModel::load(root.path(), &options(Some(dtype))).unwrap();
        assert!(answers(&rounded) == answers(&mapped), "{dtype:?}");
    }
}

fn loaded(activations: CpuFormat, kv_cache: CpuFormat) -> LlavaModel {
    let options = LoadOptions {
        activations,
        kv_cache,
        ..options(Some(DType::BF16))
    };
    LlavaModel::load(golden("model"), &options).unwrap()
}

/// Logits of every golden view's unpruned prompt.
fn logits(model: &LlavaModel) -> HashMap<String, Vec<f32>> {
    let features: HashMap<String, ImageFeatures> = features(model, &expected());
    let unpruned = cases().into_iter().filter(|case| case.study.is_none());
    unpruned
        .map(|case| {
            let prompt = case.encoded();
            let sample = Sample {
                prompt: &prompt,
                features: &features[&case.view()],
            };
            let branches = model.prefill(&[sample]).unwrap();
            (case.view(), branches.logits(0).unwrap().unwrap().to_vec())
        })
        .collect()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.to_vec1().unwrap()
}

#[test]
fn logits_are_nearer_to_f64_than_those_of_pytorch_in_bf16() {
    let reference = candle_core::safetensors::load(golden("half.safetensors"), &Device::Cpu);
    let reference = reference.unwrap();
    for (activations, kv_cache) in [
        (CpuFormat::F32, CpuFormat::F32),
        (CpuFormat::F32, CpuFormat::Bf16),
        (CpuFormat::Bf16, CpuFormat::F32),
        (CpuFormat::Bf16, CpuFormat::Bf16),
    ] {
        let (mut worst, mut worst_of_torch) = (0.0_f64, 0.0_f64);
        for (view, logits) in logits(&loaded(activations, kv_cache)) {
            let exact = wide(&reference[&format!("reference_{view}")]);
            let torch = wide(&reference[&format!("torch_bf16_{view}")]);
            let largest = |values: &mut dyn Iterator<Item = f64>| {
                let differences = values.zip(&exact).map(|(got, exact)| (got - exact).abs());
                differences.fold(0.0, f64::max)
            };
            worst = worst.max(largest(&mut logits.into_iter().map(f64::from)));
            worst_of_torch = worst_of_torch.max(largest(&mut torch.into_iter()));
        }
        println!("rows {activations}, cache {kv_cache}: {worst:.2e}; PyTorch {worst_of_torch:.2e}");
        assert!(worst <= worst_of_torch, "{activations} {kv_cache}: {worst}");
        if (activations, kv_cache) == (CpuFormat::F32, CpuFormat::F32) {
            assert!(worst < 1e-4, "{worst}");
        }
    }
}

#[test]
fn kept_sets_are_those_of_f32_where_the_gap_decides() {
    let exact = loaded(CpuFormat::F32, CpuFormat::F32);
    let features = features(&exact, &expected());
    let run = |model: &LlavaModel, case: &Case| {
        let prompt = case.encoded();
        let sample = Sample {
            prompt: &prompt,
            features: &features[&case.view()],
        };
        let answered = model.answer(&[sample], Some(&pruned()), &greedy(1));
        let output = answered.unwrap().0.remove(0);
        output.attention_audit().unwrap().clone()
    };
    let unpruned: Vec<Case> = cases().into_iter().filter(|c| c.study.is_none()).collect();
    for (activations, kv_cache) in [
        (CpuFormat::F32, CpuFormat::Bf16),
        (CpuFormat::Bf16, CpuFormat::F32),
        (CpuFormat::Bf16, CpuFormat::Bf16),
    ] {
        let rounded = loaded(activations, kv_cache);
        for case in &unpruned {
            let (selection, other) = (run(&exact, case), run(&rounded, case));
            let (kept, other) = (
                selection.kept_tokens.as_slice(),
                other.kept_tokens.as_slice(),
            );
            let scores = &selection.token_importance;
            let (least, most) = scores
                .iter()
                .fold((f64::INFINITY, 0.0_f64), |(least, most), &x| {
                    (least.min(x), most.max(x))
                });
            let cut = selection.audit.token_cut.unwrap().last_kept;
            let changed = (0..scores.len())
                .filter(|token| kept.contains(token) != other.contains(token))
                .map(|token| (scores[token] - cut).abs() / (most - least));
            let (count, furthest) = changed.fold((0, 0.0_f64), |(count, furthest), gap| {
                (count + 1, furthest.max(gap))
            });
            let view = case.view();
            println!("{activations} {kv_cache} {view}: {count} changed, at most {furthest:.1e}");
            assert!(furthest <= DECISIVE_GAP, "{view}: {furthest}");
        }
    }
}

#[test]
fn a_rounded_cache_takes_half_and_changes_nothing_between_prefill_and_decoding() {
    let model = loaded(CpuFormat::F32, CpuFormat::Bf16);
    let wide = loaded(CpuFormat::F32, CpuFormat::F32);
    let features = features(&model, &expected());
    let case = &cases()[0];
    let prompt = case.encoded();
    let sample = Sample {
        prompt: &prompt,
        features: &features[&case.view()],
    };
    let mut branches = model.prefill(&[sample]).unwrap();
    let full = wide.prefill(&[sample]).unwrap();
    assert_eq!(2 * branches.kv_bytes(), full.kv_bytes());
    // The tokens decoded one by one, now in one prefill.
    let decoded = model.generate(&mut branches, &greedy(5)).unwrap().remove(0);
    let mut longer = prompt.clone();
    longer.input_ids.extend(&decoded.token_ids[..4]);
    let sample = Sample {
        prompt: &longer,
        ..sample
    };
    let prefilled = model.prefill(&[sample]).unwrap();
    assert!(branches.logits(0).unwrap().unwrap() == prefilled.logits(0).unwrap().unwrap());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |options: LoadOptions, expected: &str| {
        let error = LlavaModel::load(golden("model"), &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let bf16_rows = LoadOptions {
        activations: CpuFormat::Bf16,
        ..options(None)
    };
    refused(bf16_rows.clone(), "weights in bf16 too");
    let by_library = LoadOptions {
        kernels: false,
        ..options(Some(DType::BF16))
    };
    refused(
        LoadOptions {
            activations: CpuFormat::Bf16,
            ..by_library.clone()
        },
        "activations",
    );
    refused(
        LoadOptions {
            kv_cache: CpuFormat::Bf16,
            ..by_library
        },
        "KV cache",
    );
}

#[test]
fn a_mapped_weight_that_is_no_number_is_named() {
    for dtype in [DType::F16, DType::BF16] {
        let root = stored(dtype, false);
        let path = root.path().join("model.safetensors");
        let mut tensors: Tensors = candle_core::safetensors::load(&path, &Device::Cpu)
            .unwrap()
            .into_iter()
            .collect();
        let name = "language_model.model.layers.1.mlp.down_proj.weight";
        let tensor = &tensors[name];
        let dims = tensor.dims().to_vec();
        let mut values = tensor
            .to_dtype(DType::F32)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        values[77] = f32::INFINITY;
        let damaged = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), damaged.to_dtype(dtype).unwrap());
        save(&tensors, &path);
        let error = LlavaModel::load(root.path(), &options(None)).unwrap_err();
        assert!(
            matches!(&error, ModelError::TensorValue { name: found, index: 77, .. } if found == name),
            "{error}"
        );
    }
}

#[test]
fn seven_billion_weights_in_bf16_fit_17_gb_with_nine_branches() {
    let source = ModelSource::open("random:llava-1.5-7b", None).unwrap();
    let run = ResidentRun {
        num_tokens: 35 + 576 + 27,
        prune_layer: 2,
        num_kept: 35 + 30 + 27,
        num_branches: 9,
        new_tokens: 16,
    };
    let predict = |dtype, kv_cache| {
        let options = LoadOptions {
            kv_cache,
            ..options(dtype)
        };
        ResidentMemory::new(&source, &options, &run)
    };
    let half = predict(Some(DType::BF16), CpuFormat::F32);
    // 7,063,427,072 weights in all; the tower's last layer isn't loaded.
    assert!(
        (14_050_000_000..14_130_000_000).contains(&half.owned),
        "{half}"
    );
    assert!(half.total() < 17_000_000_000, "{half}");
    let rounded = predict(Some(DType::BF16), CpuFormat::Bf16);
    assert_eq!(2 * rounded.kv_cache, half.kv_cache);
    let wide = predict(None, CpuFormat::F32);
    assert!(wide.owned > 28_000_000_000, "{wide}");
    assert!(half.to_string().contains("weights 13.1"), "{half}");
}
