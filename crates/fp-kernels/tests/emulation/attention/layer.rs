//! One layer's sequences and runs in emulated memory, and the expected output by definition.

use std::ffi::c_void;
use std::ops::Range;

use half::{bf16, f16};

use crate::emulation::device::{Attention, Buffer, ErrorWord, launch};
use crate::emulation::ffi::{self, Launcher};
use crate::emulation::ffi_attention::{
    AttentionArgs, AttentionRun, AttentionSequence, fp_emulated_attention_decode,
    fp_emulated_attention_decode_workspace, fp_emulated_attention_prefill,
};

/// Keys and values of consecutive tokens: `[H_kv, capacity, D]`, or columns of wider rows.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) len: usize,
    pub(super) head_stride: usize,
    pub(super) token_stride: usize,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// A sequence: its rows, the number of keys before them, and the indices of its runs.
#[derive(Clone)]
pub(super) struct Sequence {
    pub(super) rows: Range<usize>,
    pub(super) first_key: usize,
    pub(super) runs: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) num_heads: usize,
    pub(super) num_kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) is_causal: bool,
    pub(super) dtype: u32,
    /// Columns of a query row after the queries, such as keys and values.
    pub(super) padding: usize,
}

impl Shape {
    pub(super) fn width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    pub(super) fn query_stride(&self) -> usize {
        self.width() + self.padding
    }
}

#[derive(Clone)]
pub(super) struct Layer {
    pub(super) shape: Shape,
    pub(super) num_rows: usize,
    pub(super) queries: Vec<f32>,
    pub(super) runs: Vec<Run>,
    pub(super) sequences: Vec<Sequence>,
}

/// A layer's arrays on the device.
pub(super) struct Placed {
    pub(super) args: AttentionArgs,
    output: Buffer<u8>,
    pub(super) error: ErrorWord,
    queries: Attention,
    runs: Vec<(Attention, Attention)>,
    _arrays: (Buffer<AttentionSequence>, Buffer<AttentionRun>),
    _workspace: Buffer<u8>,
}

impl Layer {
    pub(super) fn num_keys(&self, sequence: &Sequence) -> usize {
        sequence.runs.iter().map(|&run| self.runs[run].len).sum()
    }

    pub(super) fn place(&self) -> Placed {
        self.place_with(&|_, _| ())
    }

    /// As [`Self::place`], with the descriptor changed before it is uploaded.
    pub(super) fn place_with(
        &self,
        change: &dyn Fn(&mut Vec<AttentionSequence>, &mut Vec<AttentionRun>),
    ) -> Placed {
        let shape = self.shape;
        let place = |values: &[f32]| Attention::new(values, shape.dtype);
        let placed: Vec<_> = self
            .runs
            .iter()
            .map(|run| (place(&run.keys), place(&run.values)))
            .collect();
        let (mut sequences, mut runs) = (Vec::new(), Vec::new());
        for sequence in &self.sequences {
            sequences.push(AttentionSequence {
                first_row: sequence.rows.start as u32,
                num_rows: sequence.rows.len() as u32,
                first_key: sequence.first_key as u32,
                num_keys: self.num_keys(sequence) as u32,
                first_run: runs.len() as u32,
                num_runs: sequence.runs.len() as u32,
            });
            runs.extend(sequence.runs.iter().map(|&run| AttentionRun {
                keys: placed[run].0.ptr(),
                values: placed[run].1.ptr(),
                head_stride: self.runs[run].head_stride as u64,
                token_stride: self.runs[run].token_stride as u32,
                length: self.runs[run].len as u32,
            }));
        }
        let max = |of: &dyn Fn(&AttentionSequence) -> u32| sequences.iter().map(of).max().unwrap();
        let (max_rows, max_keys) = (max(&|s| s.num_rows).max(1), max(&|s| s.num_keys).max(1));
        change(&mut sequences, &mut runs);
        let queries = place(&self.queries);
        let bytes = if shape.dtype == ffi::F32 { 4 } else { 2 };
        let output: Buffer<u8> = Buffer::output(self.num_rows * shape.width() * bytes);
        let arrays = (Buffer::input(&sequences), Buffer::input(&runs));
        let error = ErrorWord::new();
        let mut args = AttentionArgs {
            queries: queries.ptr(),
            output: output.mut_ptr().cast::<c_void>(),
            sequences: arrays.0.ptr(),
            runs: arrays.1.ptr(),
            workspace: std::ptr::null_mut(),
            error: error.mut_ptr(),
            workspace_bytes: 0,
            query_row_stride: shape.query_stride(),
            output_row_stride: shape.width(),
            num_sequences: sequences.len() as u32,
            num_runs: runs.len() as u32,
            num_rows: self.num_rows as u32,
            max_rows,
            max_keys,
            num_heads: shape.num_heads as u32,
            num_kv_heads: shape.num_kv_heads as u32,
            head_dim: shape.head_dim as u32,
            scale: 1.0 / (shape.head_dim as f32).sqrt(),
            dtype: shape.dtype,
            is_causal: shape.is_causal.into(),
        };
        // SAFETY: reads the sizes.
        let bytes = unsafe { fp_emulated_attention_decode_workspace(&args) };
        let workspace: Buffer<u8> = Buffer::output(bytes);
        args.workspace = workspace.mut_ptr().cast();
        args.workspace_bytes = bytes;
        Placed {
            args,
            output,
            error,
            queries,
            runs: placed,
            _arrays: arrays,
            _workspace: workspace,
        }
    }

    /// The output by definition, with the largest of the values that it averages.
    pub(super) fn reference(&self, placed: &Placed) -> Vec<Option<(f64, f64)>> {
        let shape = self.shape;
        let (d, width) = (shape.head_dim, shape.width());
        let queries = placed.queries.wide();
        let runs: Vec<_> = placed
            .runs
            .iter()
            .map(|(keys, values)| (keys.wide(), values.wide()))
            .collect();
        let mut output = vec![None; self.num_rows * width];
        for sequence in &self.sequences {
            let tokens: Vec<(usize, usize)> = sequence
                .runs
                .iter()
                .flat_map(|&run| (0..self.runs[run].len).map(move |token| (run, token)))
                .collect();
            for (index, row) in sequence.rows.clone().enumerate() {
                let visible = if shape.is_causal {
                    sequence.first_key + index + 1
                } else {
                    tokens.len()
                };
                for head in 0..shape.num_heads {
                    let kv_head = head * shape.num_kv_heads / shape.num_heads;
                    let at = |&(run, token): &(usize, usize)| {
                        let run = &self.runs[run];
                        kv_head * run.head_stride + token * run.token_stride
                    };
                    let query = &queries[row * shape.query_stride() + head * d..][..d];
                    let scale = f64::from(placed.args.scale);
                    let logits: Vec<f64> = tokens[..visible]
                        .iter()
                        .map(|token| {
                            let key = &runs[token.0].0[at(token)..][..d];
                            query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() * scale
                        })
                        .collect();
                    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = logits.iter().map(|l| (l - max).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    let mut sums = vec![(0.0, 0.0_f64); d];
                    for (token, weight) in tokens.iter().zip(&weights) {
                        let values = &runs[token.0].1[at(token)..][..d];
                        for (of, value) in sums.iter_mut().zip(values) {
                            of.0 += weight / total * value;
                            of.1 = of.1.max(value.abs());
                        }
                    }
                    let row = &mut output[row * width + head * d..][..d];
                    row.copy_from_slice(&sums.into_iter().map(Some).collect::<Vec<_>>());
                }
            }
        }
        output
    }
}

impl Placed {
    /// The output's values; unwritten ones hold the poison.
    pub(super) fn output(&self) -> Vec<f32> {
        let bytes = self.output.read();
        match self.args.dtype {
            ffi::F32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&bytes| f32::from_ne_bytes(bytes))
                .collect(),
            ffi::F16 => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&bytes| f16::from_ne_bytes(bytes).to_f32())
                .collect(),
            _ => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&bytes| bf16::from_ne_bytes(bytes).to_f32())
                .collect(),
        }
    }

    /// The bytes of these rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> Vec<u8> {
        let bytes = self.output.read();
        let row = bytes.len() / self.args.num_rows as usize;
        bytes[rows.start * row..rows.end * row].to_vec()
    }

    pub(super) fn run(&self, launcher: Launcher<AttentionArgs>) {
        launch(launcher, &self.args);
    }

    pub(super) fn prefill(&self) {
        self.run(fp_emulated_attention_prefill);
    }

    pub(super) fn decode(&self) {
        self.run(fp_emulated_attention_decode);
    }

    /// Compares the output with the definition. Tolerance: f32 sums, exponentials of logits up to
    /// about ten, and the rounding to 16 bits.
    #[track_caller]
    pub(super) fn check(&self, layer: &Layer, case: &str) {
        assert_eq!(self.error.found(), None, "{case}");
        let rounding = match layer.shape.dtype {
            ffi::F32 => 0.0,
            ffi::F16 => 1.0 / 2048.0,
            _ => 1.0 / 256.0,
        };
        let poison = self.output();
        for (at, (got, expected)) in poison.iter().zip(layer.reference(self)).enumerate() {
            let Some((expected, largest)) = expected else {
                continue;
            };
            let bound = rounding * expected.abs() + 2e-5 * largest + 1e-7;
            let error = (f64::from(*got) - expected).abs();
            assert!(
                error <= bound,
                "{case}, value {at}: {got:e}, reference {expected:e}"
            );
        }
    }
}
