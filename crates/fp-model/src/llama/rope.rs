//! Rotary position embedding.

use candle_core::{DType, Tensor};
use fp_kernels::dense;

use crate::config::{RopeScaling, TextConfig};
use crate::error::Result;
use crate::ops::with_values;
use crate::positions::Position;
use crate::weights::ComputeContext;

/// Cosines and sines of a batch's positions, `[T, head_dim / 2]` each.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Tensor,
    sin: Tensor,
    head_dim: usize,
}

/// Angles `position · theta^(−2i / head_dim)` of each position, `[T, head_dim / 2]`, in `f32` as in
/// the reference. The configuration says which axis of the position rotates frequency i.
pub(super) fn angles<'p>(
    config: &TextConfig,
    positions: &'p [Position],
) -> impl Iterator<Item = f32> + use<'p> {
    let head_dim = config.head_dim();
    let half = head_dim / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|i| config.rope_theta.powf(-2.0 * i as f64 / head_dim as f64) as f32)
        .collect();
    let stretch = match config.rope_scaling {
        RopeScaling::None => 1.0,
        RopeScaling::Linear(factor) => factor as f32,
    };
    let axes = config.rope_axes();
    (0..positions.len() * half).map(move |at| {
        let (position, index) = (positions[at / half], at % half);
        let along = [position.time, position.row, position.column];
        let axis = axes.as_ref().map_or(0, |axes| axes[index]);
        along[axis] as f32 / stretch * frequencies[index]
    })
}

/// Cosines and sines of `len` angles, computed in `f64` and rounded.
pub(crate) fn cosines_and_sines(
    angles: impl Iterator<Item = f32>,
    len: usize,
) -> (Vec<f32>, Vec<f32>) {
    let (mut cosines, mut sines) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for angle in angles {
        let (sine, cosine) = f64::from(angle).sin_cos();
        cosines.push(cosine as f32);
        sines.push(sine as f32);
    }
    (cosines, sines)
}

impl Rotary {
    /// For a decoder's tokens at `positions`.
    pub(crate) fn new(
        config: &TextConfig,
        positions: &[Position],
        context: &ComputeContext,
    ) -> Result<Rotary> {
        let angles = angles(config, positions);
        Rotary::of_angles(angles, positions.len(), config.head_dim(), context)
    }

    /// For given angles, `[T, head_dim / 2]`.
    pub(crate) fn of_angles(
        angles: impl Iterator<Item = f32>,
        num_rows: usize,
        head_dim: usize,
        context: &ComputeContext,
    ) -> Result<Rotary> {
        let (cos, sin) = cosines_and_sines(angles, num_rows * (head_dim / 2));
        let tensor = |values| Tensor::from_vec(values, (num_rows, head_dim / 2), &context.device);
        Ok(Rotary {
            cos: tensor(cos)?,
            sin: tensor(sin)?,
            head_dim,
        })
    }

    /// Rotates the first `num_heads` heads of each row of CPU values in place.
    pub(crate) fn rotate_values(
        &self,
        x: &mut [f32],
        stride: usize,
        num_heads: usize,
    ) -> Result<()> {
        with_values(&self.cos, |cos| {
            with_values(&self.sin, |sin| {
                dense::rotate(x, stride, num_heads, self.head_dim, cos, sin);
                Ok(())
            })
        })
    }

    /// Like [`Rotary::rotate_values`], with the tensor library.
    pub(crate) fn rotate(&self, x: &Tensor, num_heads: usize) -> Result<Tensor> {
        let (rows, stride) = x.dims2()?;
        let (half, width) = (self.head_dim / 2, num_heads * self.head_dim);
        let heads = x
            .narrow(1, 0, width)?
            .reshape((rows, num_heads, self.head_dim))?
            .to_dtype(DType::F32)?;
        let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
        let (cos, sin) = (self.cos.unsqueeze(1)?, self.sin.unsqueeze(1)?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        let rotated = Tensor::cat(&[first, second], 2)?
            .reshape((rows, width))?
            .to_dtype(x.dtype())?;
        Ok(Tensor::cat(
            &[rotated, x.narrow(1, width, stride - width)?],
            1,
        )?)
    }
}
