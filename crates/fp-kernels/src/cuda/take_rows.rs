//! Copies some query rows of attention to a dense buffer.

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUmemorytype, cuMemcpy2DAsync_v2};
use cudarc::driver::{CudaStream, CudaView, CudaViewMut, DevicePtr, DevicePtrMut};

use super::error::CudaError;
use crate::KernelError;
use crate::error::check_shape;

const OP: &str = "take_rows";

/// Copies rows `chosen` (indices below Q, ascending) of `rows` `[H, Q, N]` to `target` `[H,
/// chosen, N]`, on the stream: one copy for each run of consecutive rows.
///
/// # Errors
/// Buffers of other sizes, rows that do not exist or are out of order, a driver error.
pub fn take_rows(
    stream: &CudaStream,
    [num_heads, num_rows, num_image_tokens]: [usize; 3],
    rows: &CudaView<'_, f32>,
    chosen: &[usize],
    target: &mut CudaViewMut<'_, f32>,
) -> Result<(), CudaError> {
    let shape = [num_heads, num_rows, num_image_tokens];
    check_shape(OP, "rows", &shape, rows.len())?;
    let packed = [num_heads, chosen.len(), num_image_tokens];
    check_shape(OP, "target", &packed, target.len())?;
    let is_outside = |index: &usize| *index >= num_rows;
    if !chosen.is_sorted_by(|a, b| a < b) || chosen.iter().any(is_outside) {
        return Err(KernelError::IndexOutOfRange {
            op: OP,
            index: chosen.iter().copied().max().unwrap_or(0),
            len: num_rows,
        }
        .into());
    }
    let failed = |source| CudaError::Driver { op: OP, source };
    stream.context().bind_to_thread().map_err(failed)?;
    let (source, _read) = rows.device_ptr(stream);
    let (to, _written) = target.device_ptr_mut(stream);
    let row_bytes = num_image_tokens * size_of::<f32>();
    let mut done = 0;
    for run in chosen.chunk_by(|a, b| a + 1 == *b) {
        let copy = CUDA_MEMCPY2D {
            srcXInBytes: run[0] * row_bytes,
            srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcDevice: source,
            srcPitch: num_rows * row_bytes,
            dstXInBytes: done * row_bytes,
            dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstDevice: to,
            dstPitch: chosen.len() * row_bytes,
            WidthInBytes: run.len() * row_bytes,
            Height: num_heads,
            ..EMPTY
        };
        // SAFETY: both buffers have the lengths checked above and are held until the copies are
        // enqueued; by the borrow checker they are distinct.
        unsafe { cuMemcpy2DAsync_v2(&raw const copy, stream.cu_stream()) }
            .result()
            .map_err(failed)?;
        done += run.len();
    }
    Ok(())
}

const EMPTY: CUDA_MEMCPY2D = CUDA_MEMCPY2D {
    srcXInBytes: 0,
    srcY: 0,
    srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
    srcHost: std::ptr::null(),
    srcDevice: 0,
    srcArray: std::ptr::null_mut(),
    srcPitch: 0,
    dstXInBytes: 0,
    dstY: 0,
    dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
    dstHost: std::ptr::null_mut(),
    dstDevice: 0,
    dstArray: std::ptr::null_mut(),
    dstPitch: 0,
    WidthInBytes: 0,
    Height: 0,
};
