//! The last token's attention, computed from a layer's queries and keys.

use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    self, AttentionRows, ErrorWord, Heads, KeyStrides, QueryStrides, ScoreShape,
};
use half::bf16;

use super::{Gpu, HEAD_DIM, Outcome, SYSTEM, TEXT};

/// Queries, keys and the resulting attention.
pub(crate) struct Attended {
    heads: Heads,
    queries: CudaSlice<bf16>,
    /// Enough copies to exceed the level-2 cache.
    keys: CudaSlice<bf16>,
    num_rounds: usize,
    row_positions: CudaSlice<u32>,
    attention: CudaSlice<f32>,
    workspace: CudaSlice<u8>,
}

impl Attended {
    /// Buffers for as many samples as the memory limit allows.
    pub(crate) fn new(gpu: &Gpu, shape: &ScoreShape) -> Outcome<Attended> {
        let stream = &gpu.stream;
        let sequence_len = SYSTEM + shape.num_image_tokens + TEXT;
        let keys_of_sample = shape.num_heads * sequence_len * HEAD_DIM;
        let bytes_of_sample = keys_of_sample * size_of::<bf16>();
        let batch_size = shape
            .batch_size
            .min(gpu.most_bytes / bytes_of_sample)
            .max(1);
        let num_rounds = gpu.copies(batch_size * bytes_of_sample)?;
        let heads = Heads {
            shape: ScoreShape {
                batch_size,
                ..*shape
            },
            num_kv_heads: shape.num_heads,
            num_rows: 1,
            sequence_len,
            head_dim: HEAD_DIM,
            image_start: SYSTEM,
            scale: 1.0 / (HEAD_DIM as f32).sqrt(),
        };
        let last = sequence_len as u32 - 1;
        Ok(Attended {
            queries: stream.alloc_zeros(batch_size * shape.num_heads * HEAD_DIM)?,
            keys: stream.alloc_zeros(num_rounds * batch_size * keys_of_sample)?,
            num_rounds,
            row_positions: stream.clone_htod(&[last])?,
            attention: stream.alloc_zeros(batch_size * shape.num_heads * shape.num_image_tokens)?,
            workspace: stream.alloc_zeros(cuda::attention_rows_workspace(&heads)?)?,
            heads,
        })
    }

    pub(crate) fn launch(
        &mut self,
        stream: &CudaStream,
        index: u64,
        error: &mut ErrorWord,
    ) -> Outcome {
        let Heads {
            shape,
            sequence_len,
            ..
        } = self.heads;
        let len = shape.batch_size * shape.num_heads * sequence_len * HEAD_DIM;
        let round = index as usize % self.num_rounds;
        let call = AttentionRows {
            heads: self.heads,
            queries: self.queries.as_view(),
            query_strides: QueryStrides {
                batch: shape.num_heads * HEAD_DIM,
                head: HEAD_DIM,
                row: HEAD_DIM,
            },
            keys: self.keys.slice(round * len..(round + 1) * len),
            key_strides: KeyStrides {
                batch: shape.num_heads * sequence_len * HEAD_DIM,
                head: sequence_len * HEAD_DIM,
                token: HEAD_DIM,
            },
            row_positions: self.row_positions.as_view(),
            weights: None,
            attention: self.attention.as_view_mut(),
            workspace: self.workspace.as_view_mut(),
            error,
        };
        Ok(cuda::attention_rows(stream, call)?)
    }
}
