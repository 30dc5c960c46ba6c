//! Hidden states of the tokens that go on.

use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Storage, Tensor};
use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use fp_kernels::cuda::{ErrorWord, GatherTokens, Sequence, gather_tokens};
use fp_scoring::TokenLayout;
use half::{bf16, f16};

use super::{cuda_device, driver, gpu, number_format, view};
use crate::error::Result;

/// The rows `rows` of `hidden [S, D]` by the kernel, `[rows, D]`: the last of the system's,
/// some of the image's and all of the text's, ascending, as `layout` has them. None where
/// it can't: hidden states elsewhere than on a GPU or in rows of other than whole 16-byte
/// words, or no image token.
///
/// # Errors
/// A GPU that fails.
pub(crate) fn gather(
    hidden: &Tensor,
    layout: &TokenLayout,
    rows: &[usize],
) -> Result<Option<Tensor>> {
    let row_bytes = hidden.dim(1)? * hidden.dtype().size_in_bytes();
    let image = layout.image_range();
    let num_system = rows.partition_point(|&row| row < image.start);
    let kept = &rows[num_system..rows.partition_point(|&row| row < image.end)];
    if !hidden.device().is_cuda() || !row_bytes.is_multiple_of(16) || kept.is_empty() {
        return Ok(None);
    }
    let sequence = Sequence {
        num_system,
        num_image_tokens: image.len(),
        num_text: layout.num_text,
        num_kept_tokens: kept.len(),
    };
    let hidden = hidden.narrow(0, image.start - num_system, sequence.len())?;
    let kept: Vec<u32> = kept.iter().map(|row| (row - image.start) as u32).collect();
    match hidden.dtype() {
        DType::F32 => gather_of::<f32>(&hidden, sequence, &kept),
        DType::F16 => gather_of::<f16>(&hidden, sequence, &kept),
        DType::BF16 => gather_of::<bf16>(&hidden, sequence, &kept),
        other => Err(number_format("hidden states", other)),
    }
    .map(Some)
}

fn gather_of<T: CudaDType + DeviceRepr + ValidAsZeroBits>(
    hidden: &Tensor,
    sequence: Sequence,
    kept: &[u32],
) -> Result<Tensor> {
    let device = cuda_device(hidden)?;
    let stream = device.cuda_stream();
    let width = hidden.dim(1)?;
    let indices = driver("kept tokens", stream.clone_htod(kept))?;
    let len = sequence.num_rows() * width;
    let mut gathered = driver("gathered rows", stream.alloc_zeros::<T>(len))?;
    let mut error = gpu(ErrorWord::new(&stream))?;
    let (storage, _) = hidden.storage_and_layout();
    let stride = sequence.len() * width;
    gpu(gather_tokens(
        &stream,
        GatherTokens {
            batch_size: 1,
            outer: 1,
            width,
            sequence,
            source: view::<T>(&storage, hidden)?,
            batch_stride: stride,
            outer_stride: stride,
            kept_tokens: indices.as_view(),
            target: gathered.as_view_mut(),
            error: &mut error,
        },
    ))?;
    // Kept tokens were checked on the host: nothing is waited for here.
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(gathered, device.clone()));
    let dims = (sequence.num_rows(), width);
    Ok(Tensor::from_storage(
        storage,
        dims,
        BackpropOp::none(),
        false,
    ))
}
