//! attention_rows: attention to the image from queries and keys.

use crate::emulation::cases::{DTYPES, Random};
use crate::emulation::device::{
    Attention, Buffer, Device, ErrorWord, launch, set_order, try_launch,
};
use crate::emulation::ffi::{self, AttentionRowsArgs, F32};
use crate::emulation::ffi_attention::{AttentionRun, AttentionSequence};

/// Sizes of one case, with padding that makes strides differ from sizes.
struct Sizes {
    batch_size: usize,
    num_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
    sequence_len: usize,
    image_start: usize,
    n: usize,
    positions: Vec<u32>,
    /// Tokens of padding between the keys of two heads.
    key_padding: usize,
}

impl Sizes {
    fn random(random: &mut Random) -> Sizes {
        let num_kv_heads = random.between(1, 4);
        let n = random.between(1, 90);
        let (before, after) = (random.below(40), random.below(40));
        let sequence_len = before + n + after;
        let mut positions: Vec<u32> = (0..random.between(1, 5))
            .map(|_| random.below(sequence_len) as u32)
            .chain([sequence_len as u32 - 1])
            .collect();
        positions.sort_unstable();
        positions.dedup();
        Sizes {
            batch_size: random.between(1, 2),
            num_heads: num_kv_heads * random.between(1, 3),
            num_kv_heads,
            // Includes rows that aren't whole words.
            head_dim: match random.below(3) {
                0 => random.between(1, 64),
                _ => 8 * random.between(1, 9),
            },
            sequence_len,
            image_start: before,
            n,
            positions,
            key_padding: random.below(3),
        }
    }

    fn num_queries(&self) -> usize {
        self.batch_size * self.num_heads * self.positions.len() * self.head_dim
    }

    fn num_keys(&self) -> usize {
        let tokens = self.sequence_len + self.key_padding;
        self.batch_size * self.num_kv_heads * tokens * self.head_dim
    }

    fn num_rows(&self) -> usize {
        self.batch_size * self.num_heads * self.positions.len()
    }

    /// Attention `[B, H, Q, N]` by definition.
    fn reference(&self, queries: &[f64], keys: &[f64], scale: f32) -> Vec<f64> {
        let (d, q) = (self.head_dim, self.positions.len());
        let tokens = self.sequence_len + self.key_padding;
        let mut attention = Vec::new();
        for row in 0..self.num_rows() {
            let (head, position) = (row / q % self.num_heads, self.positions[row % q] as usize);
            let sample = row / q / self.num_heads;
            let kv_head = head * self.num_kv_heads / self.num_heads;
            let query = &queries[row * d..][..d];
            let logits: Vec<f64> = (0..=position)
                .map(|token| {
                    let at = ((sample * self.num_kv_heads + kv_head) * tokens + token) * d;
                    let dot: f64 = query.iter().zip(&keys[at..]).map(|(q, k)| q * k).sum();
                    dot * f64::from(scale)
                })
                .collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let z: f64 = logits.iter().map(|l| (l - max).exp()).sum();
            attention.extend((0..self.n).map(|column| {
                let seen = logits.get(self.image_start + column);
                seen.map_or(0.0, |l| (l - max).exp() / z)
            }));
        }
        attention
    }
}

struct Case {
    queries: Attention,
    keys: Attention,
    positions: Buffer<u32>,
    attention: Buffer<f32>,
    weights: Option<Buffer<f64>>,
    workspace: Buffer<u8>,
    error: ErrorWord,
    args: AttentionRowsArgs,
}

impl Case {
    fn new(
        sizes: &Sizes,
        queries: &[f32],
        keys: &[f32],
        weights: Option<&[f64]>,
        dtype: u32,
    ) -> Case {
        let (d, q) = (sizes.head_dim, sizes.positions.len());
        let key_head = (sizes.sequence_len + sizes.key_padding) * d;
        let out = match weights {
            Some(_) => sizes.num_rows() / q * sizes.n,
            None => sizes.num_rows() * sizes.n,
        };
        let mut case = Case {
            queries: Attention::new(queries, dtype),
            keys: Attention::new(keys, dtype),
            positions: Buffer::input(&sizes.positions),
            attention: Buffer::output(out),
            weights: weights.map(Buffer::input),
            workspace: Buffer::output(0),
            error: ErrorWord::new(),
            // SAFETY: numbers and pointers, all of which may be zero.
            args: unsafe { std::mem::zeroed() },
        };
        case.args = AttentionRowsArgs {
            queries: case.queries.ptr(),
            keys: case.keys.ptr(),
            row_positions: case.positions.ptr(),
            weights: case.weights.as_ref().map_or(std::ptr::null(), Buffer::ptr),
            attention: case.attention.mut_ptr(),
            workspace: std::ptr::null_mut(),
            error: case.error.mut_ptr(),
            workspace_bytes: 0,
            query_batch_stride: sizes.num_heads * q * d,
            query_head_stride: q * d,
            query_row_stride: d,
            key_batch_stride: sizes.num_kv_heads * key_head,
            key_head_stride: key_head,
            key_token_stride: d,
            weights_batch_stride: if weights.is_some_and(|weights| weights.len() > q) {
                q
            } else {
                0
            },
            batch_size: sizes.batch_size as u32,
            num_heads: sizes.num_heads as u32,
            num_kv_heads: sizes.num_kv_heads as u32,
            num_rows: q as u32,
            sequence_len: sizes.sequence_len as u32,
            head_dim: d as u32,
            image_start: sizes.image_start as u32,
            num_image_tokens: sizes.n as u32,
            scale: 1.0 / (d as f32).sqrt(),
            dtype,
            sequences: std::ptr::null(),
            runs: std::ptr::null(),
            num_runs: 0,
        };
        // SAFETY: reads the sizes.
        let bytes = unsafe { ffi::fp_emulated_attention_rows_workspace(&case.args) };
        case.workspace = Buffer::output(bytes);
        case.args.workspace = case.workspace.mut_ptr().cast();
        case.args.workspace_bytes = bytes;
        case
    }
}

fn normal_like(random: &mut Random, count: usize, width: f32) -> Vec<f32> {
    (0..count)
        .map(|_| (random.unit() + random.unit() + random.unit() - 1.5) * width)
        .collect()
}

/// f32 sums of up to 72 products and f32 exponentials of logits up to about ten.
const TOLERANCE: f64 = 1e-5;

#[test]
fn attention_rows_equal_reference() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 300);
        for index in 0..200 {
            let _device = Device::new();
            let sizes = Sizes::random(&mut random);
            let queries = normal_like(&mut random, sizes.num_queries(), 3.0);
            let keys = normal_like(&mut random, sizes.num_keys(), 2.0);
            let q = sizes.positions.len();
            let weights: Option<Vec<f64>> = match index % 3 {
                0 => None,
                1 => Some(
                    (0..q)
                        .map(|i| (i + 1) as f64 / (q * (q + 1) / 2) as f64)
                        .collect(),
                ),
                _ => Some(
                    (0..q * sizes.batch_size)
                        .map(|_| f64::from(random.unit()))
                        .collect(),
                ),
            };
            let case = Case::new(&sizes, &queries, &keys, weights.as_deref(), dtype);
            launch(ffi::fp_emulated_attention_rows, &case.args);
            assert_eq!(case.error.found(), None);
            let got = case.attention.read();
            let rows = sizes.reference(&case.queries.wide(), &case.keys.wide(), case.args.scale);
            let expected: Vec<f64> = match &weights {
                None => rows,
                Some(weights) => (0..got.len())
                    .map(|at| {
                        let (head, column) = (at / sizes.n, at % sizes.n);
                        let weights = if weights.len() == q {
                            &weights[..]
                        } else {
                            &weights[head / sizes.num_heads * q..][..q]
                        };
                        let terms = weights.iter().enumerate();
                        terms
                            .map(|(row, w)| w * rows[(head * q + row) * sizes.n + column])
                            .sum()
                    })
                    .collect(),
            };
            for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let error = (f64::from(*got) - expected).abs();
                assert!(
                    error <= TOLERANCE * expected + 1e-37,
                    "case {index}, value {at}: {got:e}, reference {expected:e}"
                );
            }
            set_order(7);
            launch(ffi::fp_emulated_attention_rows, &case.args);
            set_order(0);
            assert_eq!(case.attention.read(), got);
        }
    }
}

/// A sample's keys as runs of these lengths, in the memory of the tensor.
fn runs_of(case: &Case, sample: usize, lengths: &[usize]) -> Vec<AttentionRun> {
    let args = &case.args;
    let bytes = if args.dtype == F32 { 4 } else { 2 };
    let mut begin = 0;
    lengths
        .iter()
        .map(|&length| {
            let at = sample * args.key_batch_stride + begin * args.key_token_stride;
            begin += length;
            AttentionRun {
                keys: args.keys.wrapping_byte_add(at * bytes),
                values: std::ptr::null(),
                head_stride: args.key_head_stride as u64,
                token_stride: args.key_token_stride as u32,
                length: length as u32,
            }
        })
        .collect()
}

/// Keys in runs give the same bits as keys in one tensor.
#[test]
fn keys_in_runs_are_those_of_one_tensor() {
    for (seed, dtype) in DTYPES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64 + 320);
        for index in 0..70 {
            let _device = Device::new();
            let sizes = Sizes::random(&mut random);
            let queries = normal_like(&mut random, sizes.num_queries(), 3.0);
            let keys = normal_like(&mut random, sizes.num_keys(), 2.0);
            let mut case = Case::new(&sizes, &queries, &keys, None, dtype);
            launch(ffi::fp_emulated_attention_rows, &case.args);
            let expected = case.attention.read();
            let (mut runs, mut sequences) = (Vec::new(), Vec::new());
            for sample in 0..sizes.batch_size {
                let mut lengths = Vec::new();
                let mut left = sizes.sequence_len;
                while left > 0 {
                    let length = match index % 3 {
                        0 => 1,
                        _ => random.between(0, left),
                    };
                    lengths.push(length);
                    left -= length;
                }
                sequences.push(AttentionSequence {
                    first_row: 0,
                    num_rows: 0,
                    first_key: 0,
                    num_keys: sizes.sequence_len as u32,
                    first_run: runs.len() as u32,
                    num_runs: lengths.len() as u32,
                });
                runs.extend(runs_of(&case, sample, &lengths));
            }
            let placed = (Buffer::input(&sequences), Buffer::input(&runs));
            case.attention = Buffer::output(expected.len());
            case.args.attention = case.attention.mut_ptr();
            case.args.keys = std::ptr::null();
            case.args.sequences = placed.0.ptr();
            case.args.runs = placed.1.ptr();
            case.args.num_runs = runs.len() as u32;
            launch(ffi::fp_emulated_attention_rows, &case.args);
            assert_eq!(case.error.found(), None);
            assert_eq!(case.attention.read(), expected);
            // A sequence whose length differs from the call's, and one whose runs do not exist.
            for change in [0, 1] {
                let mut wrong = sequences.clone();
                let last = wrong.len() - 1;
                wrong[last].num_keys += 1 - change;
                wrong[last].num_runs += change;
                let wrong = Buffer::input(&wrong);
                case.args.sequences = wrong.ptr();
                let error = ErrorWord::new();
                case.args.error = error.mut_ptr();
                launch(ffi::fp_emulated_attention_rows, &case.args);
                assert_eq!(error.found(), Some((ffi::BAD_SEQUENCE, last, 0)));
            }
        }
    }
}

#[test]
fn a_common_shape() {
    let mut random = Random::new(17);
    let _device = Device::new();
    let sizes = Sizes {
        batch_size: 1,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 128,
        sequence_len: 638,
        image_start: 35,
        n: 576,
        positions: (20..40).chain(600..638).collect(),
        key_padding: 0,
    };
    let queries = normal_like(&mut random, sizes.num_queries(), 3.0);
    let keys = normal_like(&mut random, sizes.num_keys(), 2.0);
    let case = Case::new(&sizes, &queries, &keys, None, ffi::F16);
    launch(ffi::fp_emulated_attention_rows, &case.args);
    assert_eq!(case.error.found(), None);
    let expected = sizes.reference(&case.queries.wide(), &case.keys.wide(), case.args.scale);
    for (got, expected) in case.attention.read().iter().zip(&expected) {
        assert!((f64::from(*got) - expected).abs() <= TOLERANCE * expected);
    }
}

#[test]
fn what_has_no_softmax_is_named() {
    let mut random = Random::new(18);
    for bad in [f32::NAN, f32::INFINITY] {
        let _device = Device::new();
        let sizes = Sizes {
            batch_size: 1,
            num_heads: 2,
            num_kv_heads: 1,
            head_dim: 8,
            sequence_len: 50,
            image_start: 5,
            n: 40,
            positions: vec![10, 49],
            key_padding: 0,
        };
        let queries = normal_like(&mut random, sizes.num_queries(), 3.0);
        let mut keys = normal_like(&mut random, sizes.num_keys(), 2.0);
        // Row 0 attends to 11 keys without this one; row 1 of either head attends to it.
        keys[44 * 8 + 3] = bad;
        let case = Case::new(&sizes, &queries, &keys, None, F32);
        launch(ffi::fp_emulated_attention_rows, &case.args);
        assert_eq!(case.error.found(), Some((ffi::INVALID_LOGITS, 1, 44)));

        let mut case = Case::new(&sizes, &queries, &keys[..44 * 8].repeat(2), None, F32);
        let positions = Buffer::input(&[3, 50]);
        case.args.row_positions = positions.ptr();
        launch(ffi::fp_emulated_attention_rows, &case.args);
        assert_eq!(case.error.found(), Some((ffi::BAD_POSITION, 1, 0)));
    }
}

#[test]
fn impossible_arguments_are_refused() {
    let _device = Device::new();
    let sizes = Sizes {
        head_dim: 16,
        ..Sizes::random(&mut Random::new(19))
    };
    let queries = vec![0.5; sizes.num_queries()];
    let case = Case::new(&sizes, &queries, &vec![0.5; sizes.num_keys()], None, F32);
    let status = |change: &dyn Fn(&mut AttentionRowsArgs)| {
        let mut args = case.args;
        change(&mut args);
        try_launch(ffi::fp_emulated_attention_rows, &args)
            .unwrap_err()
            .0
    };
    assert_eq!(status(&|args| args.keys = std::ptr::null()), -1);
    assert_eq!(status(&|args| args.head_dim = 70), -2);
    assert_eq!(status(&|args| args.num_kv_heads = args.num_heads + 1), -2);
    assert_eq!(status(&|args| args.image_start = args.sequence_len), -2);
    assert_eq!(
        status(&|args| args.num_image_tokens = args.sequence_len + 1),
        -2
    );
    assert_eq!(status(&|args| args.head_dim = 264), -3);
    assert_eq!(status(&|args| args.dtype = 7), -4);
    assert_eq!(status(&|args| args.scale = f32::NAN), -5);
    assert_eq!(status(&|args| args.query_row_stride = 9), -8);
    assert_eq!(
        status(&|args| args.keys = args.keys.wrapping_byte_add(4)),
        -8
    );
    assert_eq!(status(&|args| args.workspace_bytes -= 1), -9);
}
