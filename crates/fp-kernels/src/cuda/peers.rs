//! Implementations that benchmarks compare the kernels with (feature `peers`).

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut};

use super::check::dim;
use super::error::CudaError;
use super::launch::Launch;
use super::sys;

const OP: &str = "segmented sort";

/// CUB's segmented sort of rows, ascending, with its scratch memory.
#[derive(Debug)]
pub struct SegmentedSort {
    num_rows: usize,
    row_len: usize,
    offsets: CudaSlice<u32>,
    workspace: CudaSlice<u8>,
}

impl SegmentedSort {
    /// Allocates for keys `[num_rows, row_len]`.
    ///
    /// # Errors
    /// Sizes whose product exceeds 32 bits, memory that can't be allocated, or an error of CUB.
    pub fn new(
        stream: &Arc<CudaStream>,
        num_rows: usize,
        row_len: usize,
    ) -> Result<SegmentedSort, CudaError> {
        let failed = |source| CudaError::Driver { op: OP, source };
        dim(OP, "the number of keys", num_rows.saturating_mul(row_len))?;
        let offsets: Vec<u32> = (0..=num_rows).map(|row| (row * row_len) as u32).collect();
        let (rows, length) = (num_rows as u32, row_len as u32);
        let mut bytes = 0;
        // SAFETY: without a workspace it only reads the sizes and writes the number of bytes.
        let status = unsafe {
            sys::fp_peer_segmented_sort(
                std::ptr::null(),
                std::ptr::null_mut(),
                std::ptr::null(),
                rows,
                length,
                std::ptr::null_mut(),
                &mut bytes,
                std::ptr::null_mut(),
            )
        };
        check(status)?;
        Ok(SegmentedSort {
            num_rows,
            row_len,
            offsets: stream.clone_htod(&offsets).map_err(failed)?,
            // Never null: a null workspace would request the number of bytes.
            workspace: stream.alloc_zeros(bytes.max(1)).map_err(failed)?,
        })
    }

    /// Sorts `keys` into `sorted`, both `[num_rows, row_len]`.
    ///
    /// # Errors
    /// Buffers of other sizes, that overlap or are on another device; a failed launch.
    pub fn launch(
        &mut self,
        stream: &CudaStream,
        keys: &CudaView<'_, f32>,
        sorted: &mut CudaViewMut<'_, f32>,
    ) -> Result<(), CudaError> {
        let shape = [self.num_rows, self.row_len];
        let mut bytes = self.workspace.len();
        let mut launch = Launch::new(OP, stream);
        let keys = launch.input("keys", keys, &shape)?;
        let sorted = launch.output("sorted keys", sorted, &shape)?;
        let offsets = launch.input("offsets", &self.offsets, &[self.num_rows + 1])?;
        let workspace = launch.workspace(&mut self.workspace, bytes)?;
        let (rows, length) = (self.num_rows as u32, self.row_len as u32);
        // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's
        // device, held until the launch is enqueued and freed in stream order.
        launch.run(|stream| unsafe {
            sys::fp_peer_segmented_sort(
                keys, sorted, offsets, rows, length, workspace, &mut bytes, stream,
            )
        })
    }
}

fn check(status: c_int) -> Result<(), CudaError> {
    match status {
        0 => Ok(()),
        status => Err(CudaError::Launch {
            op: OP,
            status,
            reason: "CUB did not report its scratch memory size".to_owned(),
        }),
    }
}
