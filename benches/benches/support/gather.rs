//! The hidden states of kept tokens.

use cudarc::driver::{CudaSlice, CudaStream, CudaView};
use fp_kernels::cuda::{self, ErrorWord, GatherTokens, ScoreShape, Sequence};
use half::bf16;

use super::{Gpu, HIDDEN, Outcome, SYSTEM, TEXT};

/// Hidden states of whole sequences, and of their kept tokens.
pub(crate) struct Gathered {
    sequence: Sequence,
    batch_size: usize,
    /// Enough copies to exceed the level-2 cache.
    hidden: CudaSlice<bf16>,
    num_rounds: usize,
    gathered: CudaSlice<bf16>,
}

impl Gathered {
    /// Buffers for as many samples as the memory limit allows.
    pub(crate) fn new(gpu: &Gpu, shape: &ScoreShape, num_kept_tokens: usize) -> Outcome<Gathered> {
        let sequence = Sequence {
            num_system: SYSTEM,
            num_image_tokens: shape.num_image_tokens,
            num_text: TEXT,
            num_kept_tokens,
        };
        let values_of_sample = sequence.len() * HIDDEN;
        let bytes_of_sample = values_of_sample * size_of::<bf16>();
        let batch_size = shape
            .batch_size
            .min(gpu.most_bytes / bytes_of_sample)
            .max(1);
        let num_rounds = gpu.copies(batch_size * bytes_of_sample)?;
        let stream = &gpu.stream;
        Ok(Gathered {
            hidden: stream.alloc_zeros(num_rounds * batch_size * values_of_sample)?,
            gathered: stream.alloc_zeros(batch_size * sequence.num_rows() * HIDDEN)?,
            sequence,
            batch_size,
            num_rounds,
        })
    }

    /// Gathers by the first kept tokens, which are ascending: one run per sample.
    pub(crate) fn launch(
        &mut self,
        stream: &CudaStream,
        index: u64,
        kept_tokens: &CudaView<'_, u32>,
        error: &mut ErrorWord,
    ) -> Outcome {
        let stride = self.sequence.len() * HIDDEN;
        let round = index as usize % self.num_rounds;
        let len = self.batch_size * stride;
        let call = GatherTokens {
            batch_size: self.batch_size,
            outer: 1,
            width: HIDDEN,
            sequence: self.sequence,
            source: self.hidden.slice(round * len..(round + 1) * len),
            batch_stride: stride,
            outer_stride: stride,
            kept_tokens: kept_tokens.slice(..self.batch_size * self.sequence.num_kept_tokens),
            target: self.gathered.as_view_mut(),
            error,
        };
        Ok(cuda::gather_tokens(stream, call)?)
    }
}
