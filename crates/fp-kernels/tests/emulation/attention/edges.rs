//! Arguments that attention refuses, and errors that it finds in its data.

use super::cases::layer_of;
use super::causal;
use super::layer::Layer;
use crate::emulation::cases::Random;
use crate::emulation::device::{Device, try_launch};
use crate::emulation::ffi::{BAD_SEQUENCE, BF16, F16, F32, INVALID_LOGITS};
use crate::emulation::ffi_attention::{
    AttentionArgs, AttentionRun, AttentionSequence, fp_emulated_attention_decode,
    fp_emulated_attention_decode_workspace, fp_emulated_attention_prefill,
};

/// Two sequences of one row, with 9 and 12 keys.
fn small(dtype: u32) -> Layer {
    layer_of(
        &mut Random::new(80),
        causal(2, 1, 8, dtype),
        &[(9, 1), (12, 1)],
    )
}

#[test]
fn what_has_no_softmax_is_named() {
    for dtype in [F32, F16, BF16] {
        for bad in [f32::NAN, f32::INFINITY] {
            let _device = Device::new();
            let mut layer = small(dtype);
            // First token of the last sequence; the infinite product can have either sign.
            let run = layer.sequences[1].runs[0];
            layer.runs[run].keys[3] = bad;
            layer
                .queries
                .iter_mut()
                .for_each(|value| *value = value.abs() + 0.1);
            let placed = layer.place();
            placed.prefill();
            assert_eq!(placed.error.found(), Some((INVALID_LOGITS, 2, 0)));
            let placed = layer.place();
            placed.decode();
            assert_eq!(placed.error.found(), Some((INVALID_LOGITS, 2, 0)));
        }
    }
}

#[test]
fn descriptors_that_contradict_themselves_are_named() {
    type Change = fn(&mut Vec<AttentionSequence>, &mut Vec<AttentionRun>);
    let changes: [Change; 8] = [
        |sequences, _| sequences[1].first_row = 2,
        |sequences, _| sequences[1].num_rows = 2,
        |sequences, _| sequences[1].first_row = u32::MAX,
        |sequences, _| sequences[1].first_key += 1,
        |sequences, _| sequences[1].num_keys = u32::MAX,
        |sequences, _| sequences[1].first_run += 1,
        |sequences, _| sequences[1].num_runs = 0,
        |sequences, runs| runs[sequences[1].first_run as usize].length -= 1,
    ];
    for dtype in [F32, F16] {
        for change in changes {
            let _device = Device::new();
            for is_decode in [false, true] {
                let placed = small(dtype).place_with(&change);
                if is_decode {
                    placed.decode();
                } else {
                    placed.prefill();
                }
                assert_eq!(placed.error.found(), Some((BAD_SEQUENCE, 1, 0)));
            }
        }
    }
}

#[test]
fn impossible_arguments_are_refused() {
    let _device = Device::new();
    let mut layer = small(F32);
    layer.sequences[0].rows = 0..1;
    let placed = layer.place();
    let status = |change: &dyn Fn(&mut AttentionArgs)| {
        let mut args = placed.args;
        change(&mut args);
        let prefill = try_launch(fp_emulated_attention_prefill, &args);
        let decode = try_launch(fp_emulated_attention_decode, &args);
        let status = prefill.unwrap_err().0;
        assert_eq!(decode.unwrap_err().0, status);
        status
    };
    assert_eq!(status(&|args| args.queries = std::ptr::null()), -1);
    assert_eq!(status(&|args| args.runs = std::ptr::null()), -1);
    assert_eq!(status(&|args| args.num_sequences = 0), -2);
    assert_eq!(status(&|args| args.num_kv_heads = 3), -2);
    assert_eq!(status(&|args| args.max_rows = 0), -2);
    assert_eq!(status(&|args| args.max_rows = args.num_rows + 1), -2);
    assert_eq!(status(&|args| args.query_row_stride = 12), -2);
    assert_eq!(status(&|args| args.head_dim = 66), -2);
    assert_eq!(status(&|args| args.head_dim = 260), -3);
    assert_eq!(status(&|args| args.max_keys = (1 << 24) + 1), -3);
    assert_eq!(status(&|args| args.dtype = 3), -4);
    assert_eq!(status(&|args| args.scale = f32::NAN), -5);
    assert_eq!(status(&|args| args.is_causal = 2), -5);
    assert_eq!(status(&|args| args.query_row_stride = 18), -8);
    assert_eq!(
        status(&|args| args.queries = args.queries.wrapping_byte_add(4)),
        -8
    );
}

#[test]
fn decoding_takes_one_row_per_sequence_and_its_workspace() {
    let _device = Device::new();
    let layer = layer_of(
        &mut Random::new(81),
        causal(2, 1, 8, F32),
        &[(300, 1), (12, 1)],
    );
    let placed = layer.place();
    let status = |change: &dyn Fn(&mut AttentionArgs)| {
        let mut args = placed.args;
        change(&mut args);
        let outcome = try_launch(fp_emulated_attention_decode, &args);
        outcome.unwrap_err().0
    };
    assert_eq!(status(&|args| args.max_rows = 2), -2);
    assert_eq!(status(&|args| args.workspace = std::ptr::null_mut()), -1);
    assert_eq!(status(&|args| args.workspace_bytes -= 1), -9);
}

#[test]
fn the_workspace_is_bounded_whatever_the_sizes() {
    let _device = Device::new();
    let placed = small(F16).place();
    let bytes = |num_sequences: u32, max_keys: u32, num_heads: u32, head_dim: u32| {
        let args = AttentionArgs {
            num_sequences,
            max_keys,
            num_heads,
            head_dim,
            ..placed.args
        };
        // SAFETY: reads the sizes.
        unsafe { fp_emulated_attention_decode_workspace(&args) }
    };
    assert_eq!(bytes(64, 100, 32, 128), 0);
    assert_eq!(bytes(1, 640, 32, 128), 5 * 32 * 130 * 4);
    for keys in [129, 640, 3000, 1 << 24] {
        for (heads, head_dim) in [(32, 128), (40, 128), (128, 256)] {
            for sequences in [1, 64, 65_535] {
                let bytes = bytes(sequences, keys, heads, head_dim);
                assert!(bytes > 0 && bytes <= 64 << 20, "{bytes}");
            }
        }
    }
}
