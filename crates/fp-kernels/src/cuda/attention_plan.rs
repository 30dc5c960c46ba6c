//! Location of the sequences' keys and values in every layer, for attention over them.
//!
//! A step collects every layer's sequences and runs on the host, uploads them in one copy, and
//! then runs the layers: nothing is copied to the device within a layer.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::{CudaStream, CudaView, DevicePtr, DeviceSlice};

use super::attention_table::{AttentionTable, LayerPart};
use super::check::{Region, check_device, check_max, check_multiple, dim, reach};
use super::element::DeviceElement;
use super::error::CudaError;
use super::sequences::{KeyValueRun, SequenceKeys, check_rows};
use super::sys;
use crate::KernelError;
use crate::dense::AttentionShape;

pub(super) const OP: &str = "attention table";

/// Sequences and runs of every layer of a step, on the host.
#[derive(Debug)]
pub struct AttentionPlan<T> {
    shape: AttentionShape,
    words: Vec<u64>,
    layers: Vec<LayerPart>,
    owners: Vec<Arc<dyn Any + Send + Sync>>,
    ordinal: usize,
    element: PhantomData<T>,
}

/// Two 32-bit fields of the C structures in their memory layout.
fn pair(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    let (low, high) = bytes.split_at_mut(4);
    low.copy_from_slice(&first.to_ne_bytes());
    high.copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

pub(super) fn contradiction(index: usize, reason: String) -> CudaError {
    CudaError::Sequence {
        op: OP,
        index,
        reason,
    }
}

impl<T: DeviceElement> AttentionPlan<T> {
    /// An empty plan for GPU work on `stream`, which all views must belong to.
    ///
    /// # Errors
    /// Sizes that the kernels do not support.
    pub fn new(stream: &CudaStream, shape: AttentionShape) -> Result<AttentionPlan<T>, CudaError> {
        let dims = [shape.num_heads, shape.num_kv_heads, shape.head_dim];
        if dims.contains(&0) {
            return Err(KernelError::EmptyShape {
                op: OP,
                tensor: "[heads, key heads, head size]",
                shape: dims.to_vec(),
            }
            .into());
        }
        check_multiple(OP, "H", shape.num_heads, shape.num_kv_heads)?;
        check_max(OP, "H", shape.num_heads, sys::FP_MAX_HEADS as usize)?;
        check_max(OP, "D", shape.head_dim, sys::FP_MAX_HEAD_DIM as usize)?;
        if shape.head_dim > MAX_NARROW_DIM {
            check_multiple(
                OP,
                "D",
                shape.head_dim,
                sys::FP_ALIGNMENT as usize / size_of::<T>(),
            )?;
        }
        if !shape.scale.is_finite() || shape.scale <= 0.0 {
            return Err(CudaError::Scale {
                op: OP,
                scale: shape.scale,
            });
        }
        Ok(AttentionPlan {
            shape,
            words: Vec::new(),
            layers: Vec::new(),
            owners: Vec::new(),
            ordinal: stream.context().ordinal(),
            element: PhantomData,
        })
    }

    /// Adds the next layer: `num_rows` packed query rows, each of which belongs to at most one
    /// sequence.
    ///
    /// # Errors
    /// Runs that exceed their views, are misaligned or on another device; sequences whose rows,
    /// keys and runs contradict each other.
    pub fn add_layer(
        &mut self,
        stream: &CudaStream,
        num_rows: usize,
        is_causal: bool,
        sequences: &[SequenceKeys<'_, T>],
    ) -> Result<(), CudaError> {
        check_rows(num_rows, self.shape.num_heads, sequences)?;
        check_max(
            OP,
            "the number of sequences",
            sequences.len(),
            MAX_SEQUENCES,
        )?;
        let mut part = LayerPart {
            sequences: self.words.len(),
            runs: self.words.len() + sequences.len() * SEQUENCE_WORDS,
            num_sequences: sequences.len(),
            num_runs: 0,
            num_rows,
            max_rows: 0,
            max_keys: 0,
            min_keys: usize::MAX,
            is_causal,
            regions: Vec::new(),
        };
        let (mut head, mut tail, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for (index, sequence) in sequences.iter().enumerate() {
            let first_run = part.num_runs;
            let mut num_keys = 0_usize;
            for run in sequence.runs.iter().filter(|run| run.len > 0) {
                tail.extend(self.run_words(stream, run, &mut part.regions)?);
                owners.push(Arc::clone(&run.owner));
                num_keys = num_keys.saturating_add(run.len);
                part.num_runs += 1;
            }
            check_max(OP, "the number of keys", num_keys, MAX_KEYS)?;
            let seen = sequence.first_key.saturating_add(sequence.rows.len());
            let is_short = num_keys == 0 || (is_causal && seen > num_keys);
            if is_short && !sequence.rows.is_empty() {
                return Err(contradiction(
                    index,
                    format!(
                        "{} rows from key {} on see {seen} keys, and its runs hold {num_keys}",
                        sequence.rows.len(),
                        sequence.first_key
                    ),
                ));
            }
            part.max_rows = part.max_rows.max(sequence.rows.len());
            part.max_keys = part.max_keys.max(num_keys);
            part.min_keys = part.min_keys.min(num_keys);
            head.extend([
                pair(
                    dim(OP, "a row", sequence.rows.start)?,
                    dim(OP, "the number of rows", sequence.rows.len())?,
                ),
                pair(
                    dim(OP, "a key", sequence.first_key)?,
                    dim(OP, "the number of keys", num_keys)?,
                ),
                pair(
                    dim(OP, "a run", first_run)?,
                    dim(OP, "the number of runs", part.num_runs - first_run)?,
                ),
            ]);
        }
        self.words.extend(head);
        self.words.extend(tail);
        self.owners.extend(owners);
        self.layers.push(part);
        Ok(())
    }

    /// The words of one `fp_attention_run`, checked.
    fn run_words(
        &self,
        stream: &CudaStream,
        run: &KeyValueRun<'_, T>,
        regions: &mut Vec<Region>,
    ) -> Result<[u64; RUN_WORDS], CudaError> {
        let dims = [self.shape.num_kv_heads, run.len, self.shape.head_dim];
        let expected = reach(&dims, &[run.head_stride, run.token_stride, 1]);
        let per_word = sys::FP_ALIGNMENT as usize / size_of::<T>();
        let is_wide = self.shape.head_dim.is_multiple_of(per_word);
        let mut place = |tensor: &'static str, view: &CudaView<'_, T>| {
            if view.len() < expected {
                return Err(CudaError::Argument(KernelError::ShapeMismatch {
                    op: OP,
                    tensor,
                    shape: dims.to_vec(),
                    expected,
                    got: view.len(),
                }));
            }
            check_device(OP, tensor, view.stream().context().ordinal(), self.ordinal)?;
            let (address, _guard) = view.device_ptr(stream);
            let region = Region {
                tensor,
                address,
                bytes: expected.saturating_mul(size_of::<T>()),
            };
            if is_wide {
                region.check_alignment(OP, sys::FP_ALIGNMENT as usize)?;
            }
            regions.push(region);
            Ok(address)
        };
        let addresses = [place("keys", &run.keys)?, place("values", &run.values)?];
        if is_wide {
            check_multiple(OP, "the stride between heads", run.head_stride, per_word)?;
            check_multiple(OP, "the stride between tokens", run.token_stride, per_word)?;
        }
        Ok([
            addresses[0],
            addresses[1],
            run.head_stride as u64,
            pair(
                dim(OP, "the stride between tokens", run.token_stride)?,
                dim(OP, "the number of tokens", run.len)?,
            ),
        ])
    }

    /// Uploads all layers in one copy.
    ///
    /// # Errors
    /// A plan without layers, or a driver error.
    pub fn upload(self, stream: &Arc<CudaStream>) -> Result<AttentionTable<T>, CudaError> {
        if self.words.is_empty() {
            return Err(KernelError::EmptyShape {
                op: OP,
                tensor: "the sequences of all layers",
                shape: vec![self.layers.len(), 0],
            }
            .into());
        }
        let words = stream
            .clone_htod(&self.words)
            .map_err(|source| CudaError::Driver { op: OP, source })?;
        Ok(AttentionTable {
            words,
            shape: self.shape,
            layers: self.layers,
            owners: self.owners,
            element: PhantomData,
        })
    }
}

const SEQUENCE_WORDS: usize = size_of::<sys::fp_attention_sequence>() / size_of::<u64>();
const RUN_WORDS: usize = size_of::<sys::fp_attention_run>() / size_of::<u64>();
/// Rows longer than this many values must be whole 16-byte words.
pub(super) const MAX_NARROW_DIM: usize = 64;
/// Sequences are indexed by a grid dimension with this limit.
const MAX_SEQUENCES: usize = 65_535;
/// Most keys of a sequence that the kernels support.
const MAX_KEYS: usize = 1 << 24;
