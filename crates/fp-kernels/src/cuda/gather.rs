//! Gathers the kept part of a sequence.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut, DeviceRepr};

use super::check::{check_count, check_max, check_multiple, dim, reach};
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::sys;
use crate::KernelError;
use crate::error::check_shape;

/// Longest sequence that can be gathered from.
const MAX_SEQUENCE: usize = 1 << 24;

/// Position of the image in a sequence, and how many of its tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Tokens before the image.
    pub num_system: usize,
    /// N.
    pub num_image_tokens: usize,
    /// Tokens after the image.
    pub num_text: usize,
    /// R.
    pub num_kept_tokens: usize,
}

impl Sequence {
    /// S, the length of the whole sequence.
    pub fn len(&self) -> usize {
        self.num_system + self.num_image_tokens + self.num_text
    }

    /// Whether the sequence is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of system, kept image and text tokens together.
    pub fn num_rows(&self) -> usize {
        self.num_system + self.num_kept_tokens + self.num_text
    }

    fn check(&self, op: &'static str) -> Result<(), CudaError> {
        check_count(op, self.num_kept_tokens, self.num_image_tokens)?;
        check_max(op, "the sequence", self.len(), MAX_SEQUENCE)
    }
}

/// Stride between samples in the kept tokens: R for `[B, R]`, 0 for one `[R]` for all.
fn kept_stride(
    op: &'static str,
    kept: &CudaView<'_, u32>,
    batch_size: usize,
    num_kept: usize,
) -> Result<usize, CudaError> {
    if kept.len() == num_kept && batch_size > 1 {
        return Ok(0);
    }
    check_shape(op, "kept tokens", &[batch_size, num_kept], kept.len())?;
    Ok(num_kept)
}

/// Arguments of [`gather_tokens`].
#[derive(Debug)]
pub struct GatherTokens<'a, T> {
    /// B.
    pub batch_size: usize,
    /// 1 for hidden states; the number of key heads for keys and values.
    pub outer: usize,
    /// Values in a row: the hidden size, or the size of a head.
    pub width: usize,
    /// The sequence and how many image tokens are kept.
    pub sequence: Sequence,
    /// `[B, outer, S, width]` with contiguous rows, at these strides, counted in values.
    pub source: CudaView<'a, T>,
    /// From sample to sample.
    pub batch_stride: usize,
    /// From one index of `outer` to the next.
    pub outer_stride: usize,
    /// `[B, R]`, ascending, relative to the image; or `[R]` for all samples.
    pub kept_tokens: CudaView<'a, u32>,
    /// Out, `[B, outer, system + R + text, width]`.
    pub target: CudaViewMut<'a, T>,
    /// Reports bad indices.
    pub error: &'a mut ErrorWord,
}

/// Copies the rows of system, kept and text tokens, by 16-byte accesses.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap, are on another device or don't start at a
/// multiple of 16 bytes; rows or strides that aren't such multiples. Kept tokens outside the
/// image or out of order are reported by the error word.
pub fn gather_tokens<T: DeviceRepr>(
    stream: &CudaStream,
    mut call: GatherTokens<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "gather_tokens";
    call.sequence.check(OP)?;
    let (b, outer, width) = (call.batch_size, call.outer, call.width);
    let sequence = call.sequence;
    let dims = [b, outer, sequence.len(), width];
    if dims.contains(&0) {
        return Err(KernelError::EmptyShape {
            op: OP,
            tensor: "source",
            shape: dims.to_vec(),
        }
        .into());
    }
    let bytes = |values: usize| values.saturating_mul(size_of::<T>());
    let alignment = sys::FP_ALIGNMENT as usize;
    check_multiple(OP, "bytes of a row", bytes(width), alignment)?;
    check_multiple(
        OP,
        "bytes between samples",
        bytes(call.batch_stride),
        alignment,
    )?;
    check_multiple(
        OP,
        "bytes between heads",
        bytes(call.outer_stride),
        alignment,
    )?;
    let expected = reach(&dims, &[call.batch_stride, call.outer_stride, width, 1]);
    if call.source.len() < expected {
        return Err(KernelError::ShapeMismatch {
            op: OP,
            tensor: "source",
            shape: dims.to_vec(),
            expected,
            got: call.source.len(),
        }
        .into());
    }
    let kept_batch_stride = kept_stride(OP, &call.kept_tokens, b, sequence.num_kept_tokens)?;
    let mut launch = Launch::new(OP, stream);
    let source = launch.read("source", &call.source)?.cast();
    let shape = [b, outer, sequence.num_rows(), width];
    let target = launch.output("target", &mut call.target, &shape)?.cast();
    launch.check_aligned()?;
    let args = sys::fp_gather_tokens_args {
        source,
        target,
        kept_tokens: launch.read("kept tokens", &call.kept_tokens)?,
        error: launch.error(call.error)?,
        kept_batch_stride,
        source_batch_stride: bytes(call.batch_stride),
        source_outer_stride: bytes(call.outer_stride),
        batch_size: dim(OP, "the batch", b)?,
        outer: dim(OP, "heads", outer)?,
        row_bytes: dim(OP, "bytes of a row", bytes(width))?,
        num_system: dim(OP, "system tokens", sequence.num_system)?,
        num_image_tokens: dim(OP, "N", sequence.num_image_tokens)?,
        num_text: dim(OP, "text tokens", sequence.num_text)?,
        num_kept_tokens: dim(OP, "R", sequence.num_kept_tokens)?,
    };
    // SAFETY: every pointer is valid for as many values as sizes and strides reach, on the
    // stream's device, held until the launch is enqueued and freed in stream order. The kernel
    // checks each kept token before it reads at it.
    launch.run(|stream| unsafe { sys::fp_gather_tokens(&args, stream) })
}

/// Arguments of [`gather_positions`].
#[derive(Debug)]
pub struct GatherPositions<'a> {
    /// B.
    pub batch_size: usize,
    /// The sequence and how many image tokens are kept.
    pub sequence: Sequence,
    /// As in [`GatherTokens`].
    pub kept_tokens: CudaView<'a, u32>,
    /// Out, `[B, system + R + text]`: positions in the original sequence.
    pub positions: CudaViewMut<'a, u32>,
    /// Reports bad indices.
    pub error: &'a mut ErrorWord,
}

/// Writes the original positions of the system, kept and text tokens.
///
/// # Errors
/// As [`gather_tokens`].
pub fn gather_positions(
    stream: &CudaStream,
    mut call: GatherPositions<'_>,
) -> Result<(), CudaError> {
    const OP: &str = "gather_positions";
    call.sequence.check(OP)?;
    let (b, sequence) = (call.batch_size, call.sequence);
    let kept_batch_stride = kept_stride(OP, &call.kept_tokens, b, sequence.num_kept_tokens)?;
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_gather_positions_args {
        kept_tokens: launch.read("kept tokens", &call.kept_tokens)?,
        positions: launch.output("positions", &mut call.positions, &[b, sequence.num_rows()])?,
        error: launch.error(call.error)?,
        kept_batch_stride,
        batch_size: dim(OP, "the batch", b)?,
        num_system: dim(OP, "system tokens", sequence.num_system)?,
        num_image_tokens: dim(OP, "N", sequence.num_image_tokens)?,
        num_text: dim(OP, "text tokens", sequence.num_text)?,
        num_kept_tokens: dim(OP, "R", sequence.num_kept_tokens)?,
    };
    // SAFETY: as in `gather_tokens`.
    launch.run(|stream| unsafe { sys::fp_gather_positions(&args, stream) })
}
