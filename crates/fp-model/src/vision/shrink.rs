//! Downsampling of large feature maps between the projector and the decoder.

use candle_core::{Device, Tensor};
use fp_image::FeaturePacking;

use crate::error::Result;
use crate::ops::{concatenated, host_values};

/// The tokens of a packing `[N, D]` with its stitched feature map downsampled to `[rows, columns]`
/// and the ends of its rows unchanged: bilinear without aligned corners, as in
/// `torch.nn.functional.interpolate`.
pub(super) fn shrunk(
    tokens: &Tensor,
    packing: &FeaturePacking,
    [rows, columns]: [usize; 2],
) -> Result<Tensor> {
    let (from_rows, from_columns) = (packing.rows.len(), packing.columns.len());
    let stride = from_columns + usize::from(packing.has_newlines);
    let (all, width) = tokens.dims2()?;
    let base = all - from_rows * stride;
    let values = host_values(&tokens.narrow(0, base, from_rows * stride)?)?;
    let row = |index: usize| &values[index * width..(index + 1) * width];
    let down = taps(from_rows, rows);
    let across = taps(from_columns, columns);
    let mut made = Vec::with_capacity(rows * (columns + 1) * width);
    for tap in &down {
        for other in &across {
            let corner = |y: usize, x: usize| row(y * stride + x);
            let above = (
                corner(tap.first, other.first),
                corner(tap.first, other.second),
            );
            let below = (
                corner(tap.second, other.first),
                corner(tap.second, other.second),
            );
            made.extend((0..width).map(|at| {
                let mix = |a: f32, b: f32, share: f32| a * (1.0 - share) + b * share;
                let upper = mix(above.0[at], above.1[at], other.share);
                let lower = mix(below.0[at], below.1[at], other.share);
                mix(upper, lower, tap.share)
            }));
        }
        if packing.has_newlines {
            made.extend_from_slice(row(from_columns));
        }
    }
    let count = made.len() / width;
    let made = Tensor::from_vec(made, (count, width), &Device::Cpu)?
        .to_dtype(tokens.dtype())?
        .to_device(tokens.device())?;
    concatenated(&[&tokens.narrow(0, 0, base)?, &made])
}

/// Two neighbouring samples, and the weight of the second.
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

/// For each of `to` samples, the source samples among `from`.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f32 / to as f32;
    let last = from.saturating_sub(1);
    (0..to)
        .map(|index| {
            let at = ((index as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (at as usize).min(last);
            Tap {
                first,
                second: (first + 1).min(last),
                share: at - first as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_means_of_neighbours() {
        let of = |from, to| -> Vec<(usize, usize, f32)> {
            let taps = taps(from, to);
            taps.iter()
                .map(|tap| (tap.first, tap.second, tap.share))
                .collect()
        };
        assert_eq!(of(4, 2), [(0, 1, 0.5), (2, 3, 0.5)]);
        assert_eq!(of(3, 3), [(0, 1, 0.0), (1, 2, 0.0), (2, 2, 0.0)]);
        assert_eq!(of(1, 1), [(0, 0, 0.0)]);
    }
}
