//! Gathering rows by index, from one or two tables, in one launch.

use candle_core::Tensor;
use fp_kernels::cuda::{FROM_TABLE, FeatureRows, GatherRows, RowTable, gather_rows};

use super::values::{Element, by_format, tensor, view};
use super::word::with_word;
use super::{cuda_device, driver, gpu, uninitialised};
use crate::error::Result;

/// Rows of a table, columns `first .. first + width` of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// `[V, stride]`.
    pub(crate) table: &'a Tensor,
    pub(crate) first: usize,
    pub(crate) width: usize,
}

impl<'a> Columns<'a> {
    /// All columns.
    pub(crate) fn all(table: &'a Tensor) -> Result<Columns<'a>> {
        Ok(Columns {
            table,
            first: 0,
            width: table.dim(1)?,
        })
    }
}

/// Rows `ids` of a table; the ids must be in range.
pub(crate) fn rows_of(columns: Columns<'_>, ids: &[u32]) -> Result<Tensor> {
    by_format!(columns.table.dtype(), "rows", gathered(columns, None, ids))
}

/// Rows `ids` of a table `[V, D]` followed by the rows of `features [F, D]`: an `id` of V or more
/// means row `id − V` of the features.
pub(crate) fn rows_of_both(table: &Tensor, features: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let columns = Columns::all(table)?;
    by_format!(
        table.dtype(),
        "rows",
        gathered(columns, Some(features), ids)
    )
}

fn gathered<T: Element>(
    columns: Columns<'_>,
    features: Option<&Tensor>,
    ids: &[u32],
) -> Result<Tensor> {
    let Columns {
        table,
        first,
        width,
    } = columns;
    let (num_rows, stride) = table.dims2()?;
    if ids.is_empty() {
        return Ok(table.narrow(0, 0, 0)?.narrow(1, first, width)?);
    }
    let device = cuda_device(table)?;
    let stream = device.cuda_stream();
    let mut out = uninitialised::<T>(&stream, ids.len() * width)?;
    let (storage, _) = table.storage_and_layout();
    let features_storage = features.map(|features| (features.storage_and_layout().0, features));
    // With features: one upload of the ids of the table followed by those of the features.
    let mut uploaded = ids.to_vec();
    if features.is_some() {
        let split = num_rows as u32;
        uploaded.extend(
            ids.iter()
                .map(|id| id.checked_sub(split).unwrap_or(FROM_TABLE)),
        );
    }
    let uploaded = driver("row indices", stream.clone_htod(&uploaded))?;
    let wanted = match &features_storage {
        None => None,
        Some((storage, features)) => Some(FeatureRows {
            features: RowTable {
                values: view::<T>(storage, features)?,
                num_rows: features.dim(0)?,
                stride: width,
            },
            rows: uploaded.slice(ids.len()..),
        }),
    };
    let all = view::<T>(&storage, table)?;
    with_word(&stream, |error| {
        let call = GatherRows {
            width,
            table: RowTable {
                values: all.slice(first..),
                num_rows,
                stride,
            },
            indices: uploaded.slice(..ids.len()),
            features: wanted,
            out: out.as_view_mut(),
            error,
        };
        gpu(gather_rows(&stream, call))
    })?;
    Ok(tensor(out, (ids.len(), width), device))
}
