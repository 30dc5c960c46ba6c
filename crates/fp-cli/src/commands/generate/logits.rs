//! The file that `--logits` writes.

use anyhow::Result;
use safetensors::tensor::{Dtype, TensorView, serialize};

/// A safetensors file with one tensor `logits` `[vocabulary]`, f32.
pub(super) fn content(logits: &[f32]) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = logits
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, vec![logits.len()], &bytes)?;
    Ok(serialize([("logits", view)], None)?)
}
