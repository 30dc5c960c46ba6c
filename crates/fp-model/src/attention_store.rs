//! Attention rows `[H, Q, N]`, stored on the device that computed them.

use std::sync::OnceLock;

use crate::error::Result;

/// Attention rows of a layer: values on the CPU, or a tensor on a GPU that is copied to the host
/// only when the values are requested.
#[derive(Debug, Default)]
pub(crate) struct AttentionStore {
    host: OnceLock<Vec<f32>>,
    #[cfg(feature = "cuda")]
    device: Option<candle_core::Tensor>,
}

impl AttentionStore {
    pub(crate) fn host(values: Vec<f32>) -> AttentionStore {
        AttentionStore {
            host: OnceLock::from(values),
            #[cfg(feature = "cuda")]
            device: None,
        }
    }

    /// A tensor `[H, Q, N]` of `f32` on a GPU.
    #[cfg(feature = "cuda")]
    pub(crate) fn device(rows: candle_core::Tensor) -> AttentionStore {
        AttentionStore {
            device: Some(rows),
            ..AttentionStore::default()
        }
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(&self) -> Option<&candle_core::Tensor> {
        self.device.as_ref()
    }

    /// The values, `[H, Q, N]`.
    pub(crate) fn values(&self) -> Result<&[f32]> {
        #[cfg(feature = "cuda")]
        if let (None, Some(rows)) = (self.host.get(), &self.device) {
            let values = rows.flatten_all()?.to_vec1()?;
            return Ok(self.host.get_or_init(|| values));
        }
        Ok(self.host.get().map_or(&[], Vec::as_slice))
    }

    /// Joins `[H, Q₁, N]` and `[H, Q₂, N]` to `[H, Q₁ + Q₂, N]`.
    pub(crate) fn join(first: &Self, second: &Self, num_heads: usize) -> Result<AttentionStore> {
        #[cfg(feature = "cuda")]
        match (&first.device, &second.device) {
            (Some(a), Some(b)) => {
                return Ok(AttentionStore::device(join_on_device(a, b)?));
            }
            (Some(rows), None) | (None, Some(rows)) => {
                return Ok(AttentionStore::device(rows.clone()));
            }
            (None, None) => {}
        }
        let joined = interleave_heads(first.values()?, second.values()?, num_heads);
        Ok(AttentionStore::host(joined))
    }
}

/// `[H, Q₁, N]` and `[H, Q₂, N]` as `[H, Q₁ + Q₂, N]`.
#[cfg(feature = "cuda")]
fn join_on_device(a: &candle_core::Tensor, b: &candle_core::Tensor) -> Result<candle_core::Tensor> {
    let ((heads, first, width), second) = (a.dims3()?, b.dim(1)?);
    // For each head, the rows of a, then those of b.
    let ids: Vec<u32> = (0..heads)
        .flat_map(|head| {
            let of_b = heads * first + head * second;
            (head * first..(head + 1) * first).chain(of_b..of_b + second)
        })
        .map(|row| row as u32)
        .collect();
    let rows = |x: &candle_core::Tensor, count: usize| x.reshape((heads * count, width));
    let joined = crate::gpu::rows_of_both(&rows(a, first)?, &rows(b, second)?, &ids)?;
    Ok(joined.reshape((heads, first + second, width))?)
}

fn interleave_heads(first: &[f32], second: &[f32], num_heads: usize) -> Vec<f32> {
    let (a, b) = (first.len() / num_heads, second.len() / num_heads);
    let mut joined = Vec::with_capacity(first.len() + second.len());
    for head in 0..num_heads {
        joined.extend_from_slice(&first[head * a..(head + 1) * a]);
        joined.extend_from_slice(&second[head * b..(head + 1) * b]);
    }
    joined
}
