//! Rows by index: embeddings of tokens, with an image's features in between.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_max, dim, reach};
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::sys;
use crate::KernelError;

/// Index that selects the row from the table, not from the features.
pub const FROM_TABLE: u32 = u32::MAX;

/// Rows `[rows, width]` to choose from.
#[derive(Debug)]
pub struct RowTable<'a, T> {
    /// Values; each row is contiguous.
    pub values: CudaView<'a, T>,
    /// Number of rows.
    pub num_rows: usize,
    /// Values from the start of one row to the start of the next.
    pub stride: usize,
}

/// Rows of features that replace rows of the table.
#[derive(Debug)]
pub struct FeatureRows<'a, T> {
    /// `[F, width]`.
    pub features: RowTable<'a, T>,
    /// `[T]`: an index into the features, or [`FROM_TABLE`].
    pub rows: CudaView<'a, u32>,
}

/// Arguments of [`gather_rows`].
#[derive(Debug)]
pub struct GatherRows<'a, T> {
    /// Values of a row.
    pub width: usize,
    /// `[V, width]`: an embedding, or any other rows.
    pub table: RowTable<'a, T>,
    /// `[T]`: rows of the table; ignored where a row of features is selected.
    pub indices: CudaView<'a, u32>,
    /// Rows that come from features.
    pub features: Option<FeatureRows<'a, T>>,
    /// Out, `[T, width]`.
    pub out: CudaViewMut<'a, T>,
    /// Reports bad indices.
    pub error: &'a mut ErrorWord,
}

impl<T: DeviceElement> RowTable<'_, T> {
    /// Address, number of rows, and stride in bytes.
    fn raw<'b>(
        &'b self,
        launch: &mut Launch<'b>,
        tensor: &'static str,
        width: usize,
    ) -> Result<(*const T, u32, usize), CudaError> {
        let op = launch.op;
        let shape = [self.num_rows, width];
        if shape.contains(&0) {
            let shape = shape.to_vec();
            return Err(KernelError::EmptyShape { op, tensor, shape }.into());
        }
        let expected = reach(&shape, &[self.stride.max(width), 1]);
        if self.stride < width || self.values.len() < expected {
            return Err(KernelError::ShapeMismatch {
                op,
                tensor,
                shape: shape.to_vec(),
                expected,
                got: self.values.len(),
            }
            .into());
        }
        Ok((
            launch.read(tensor, &self.values)?,
            dim(op, tensor, self.num_rows)?,
            self.stride.saturating_mul(size_of::<T>()),
        ))
    }
}

/// Writes row `indices[t]` of the table, or a row of the features, to row t of the output.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; a failed launch.
/// Indices of rows that do not exist are reported by the error word.
pub fn gather_rows<T: DeviceElement>(
    stream: &CudaStream,
    mut call: GatherRows<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "gather_rows";
    let (num_rows, width) = (call.indices.len(), call.width);
    let row_bytes = width.saturating_mul(size_of::<T>());
    check_max(OP, "T", num_rows, i32::MAX as usize)?;
    check_max(
        OP,
        "bytes of a row",
        row_bytes,
        sys::FP_MAX_ROW_BYTES as usize,
    )?;
    let mut launch = Launch::new(OP, stream);
    let (table, table_rows, table_stride) = call.table.raw(&mut launch, "table", width)?;
    let mut args = sys::fp_gather_rows_args {
        table: table.cast(),
        table_rows,
        table_stride,
        indices: launch.input("indices", &call.indices, &[num_rows])?,
        out: launch
            .output("out", &mut call.out, &[num_rows, width])?
            .cast(),
        error: launch.error(call.error)?,
        num_rows: dim(OP, "T", num_rows)?,
        row_bytes: dim(OP, "bytes of a row", row_bytes)?,
        ..Default::default()
    };
    if let Some(wanted) = &call.features {
        let (features, count, stride) = wanted.features.raw(&mut launch, "features", width)?;
        args.features = features.cast();
        args.num_features = count;
        args.feature_stride = stride;
        args.feature_rows = launch.input("feature rows", &wanted.rows, &[num_rows])?;
    }
    // SAFETY: every pointer is valid for as many values as sizes and strides reach, on the
    // stream's device, held until the launch is enqueued and freed in stream order. The kernel
    // checks each index before it reads at it.
    launch.run(|stream| unsafe { sys::fp_gather_rows(&args, stream) })
}
