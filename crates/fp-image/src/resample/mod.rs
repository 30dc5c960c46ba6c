//! 8-bit RGB resampling with the arithmetic of Pillow's `Image.resize`, bit for bit.
//!
//! A horizontal pass, then a vertical pass, each rounded to 8 bits. A weight is evaluated in f64,
//! normalised, and rounded to 22 fractional bits; sums are exact in 32-bit integers, so neither
//! the order of summation nor the number of threads affects a pixel.
//!
//! Pillow 13 runs the vertical pass first if that is less work, as for most tall images, which
//! changes single samples by some steps. This module follows the earlier releases, whose order is
//! fixed and which the golden cases were generated with.
//!
//! Two optimisations keep unusual shapes cheap without changing the result. A padded image is
//! never built: the constant around it contributes the sum of the weights outside the image. And
//! if a crop follows, only the pixels inside it are computed.

mod filter;

use rayon::prelude::*;

use super::ImageAspect;
use super::rgb::{ImageSize, RgbImage};
pub use filter::ResampleFilter;
use filter::{Line, WEIGHT_BITS, Window};

/// An image placed in a larger, otherwise constant one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    pub(super) size: ImageSize,
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) fill: [u8; 3],
}

impl Canvas {
    /// The image itself, without padding.
    pub(super) fn tight(image: &RgbImage) -> Self {
        Self {
            size: image.size(),
            top: 0,
            left: 0,
            fill: [0; 3],
        }
    }

    /// The image in the middle of a square of its longer side, with the smaller half of an odd
    /// remainder above or left of it.
    pub(super) fn square(image: &RgbImage, fill: [u8; 3]) -> Self {
        let square = ImageAspect::Pad.square(image.size());
        Self {
            size: ImageSize {
                height: square.side,
                width: square.side,
            },
            // A padded square crops nothing.
            top: square.top.unsigned_abs(),
            left: square.left.unsigned_abs(),
            fill,
        }
    }
}

/// Range of rows and columns of an output that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crop {
    pub(super) rows: std::ops::Range<usize>,
    pub(super) columns: std::ops::Range<usize>,
}

impl Crop {
    pub(super) fn whole(size: ImageSize) -> Self {
        Self {
            rows: 0..size.height,
            columns: 0..size.width,
        }
    }

    fn size(&self) -> ImageSize {
        ImageSize {
            height: self.rows.len(),
            width: self.columns.len(),
        }
    }
}

/// Resizes `image` to exactly `size`, as Pillow's `Image.resize` does.
///
/// # Errors
/// [`ImageError::NoPixels`](super::ImageError::NoPixels) if a side of `size` is 0.
pub fn resize(
    image: &RgbImage,
    size: ImageSize,
    filter: ResampleFilter,
) -> Result<RgbImage, super::ImageError> {
    resize_canvas(
        image,
        Canvas::tight(image),
        size,
        &Crop::whole(size),
        filter,
    )
}

/// Places `image` on `canvas`, resizes that to `size` and returns its part `crop`.
pub(super) fn resize_canvas(
    image: &RgbImage,
    canvas: Canvas,
    size: ImageSize,
    crop: &Crop,
    filter: ResampleFilter,
) -> Result<RgbImage, super::ImageError> {
    let ImageSize { height, width } = crop.size();
    if height == 0 || width == 0 {
        return Err(super::ImageError::NoPixels { width, height });
    }
    let columns = Line {
        source: image.width(),
        offset: canvas.left,
        canvas: canvas.size.width,
        output: size.width,
        wanted: crop.columns.clone(),
    };
    let rows = Line {
        source: image.height(),
        offset: canvas.top,
        canvas: canvas.size.height,
        output: size.height,
        wanted: crop.rows.clone(),
    };
    let across = columns.windows(filter);
    let down = rows.windows(filter);

    // The vertical pass reads only rows of this range.
    let used = down.iter().filter(|w| !w.weights.is_empty());
    let first_row = used.clone().map(|w| w.first).min().unwrap_or(0);
    let end_row = used.map(|w| w.first + w.weights.len()).max().unwrap_or(0);

    let stride = 3 * width;
    let mut narrowed = vec![0_u8; stride * (end_row - first_row)];
    let source_stride = 3 * image.width();
    let source_rows = &image.as_raw()[first_row * source_stride..end_row * source_stride];
    narrowed
        .par_chunks_exact_mut(stride)
        .zip(source_rows.par_chunks_exact(source_stride))
        .with_min_len(16)
        .for_each(|(out, row)| narrow_row(row, &across, canvas.fill, out));

    // Rows around the source need no horizontal pass: a constant row resamples to that constant,
    // since the rounding of its weights is far below half a step.
    let mut data = vec![0_u8; stride * height];
    data.par_chunks_exact_mut(stride)
        .zip(&down)
        .with_min_len(4)
        .for_each_init(
            || vec![0_i32; stride],
            |sums, (out, window)| {
                let start = window.first.saturating_sub(first_row) * stride;
                let rows = narrowed
                    .get(start..)
                    .unwrap_or_default()
                    .chunks_exact(stride);
                blend_rows(rows, window, canvas.fill, sums, out);
            },
        );
    RgbImage::new(width, height, data)
}

const HALF: i32 = 1 << (WEIGHT_BITS - 1);

fn to_sample(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

fn narrow_row(row: &[u8], windows: &[Window], fill: [u8; 3], out: &mut [u8]) {
    for (pixel, window) in out.chunks_exact_mut(3).zip(windows) {
        let [mut r, mut g, mut b] = fill.map(|f| HALF + i32::from(f) * window.outside);
        let taps = row[3 * window.first..].chunks_exact(3).zip(&window.weights);
        for (tap, &weight) in taps {
            r += weight * i32::from(tap[0]);
            g += weight * i32::from(tap[1]);
            b += weight * i32::from(tap[2]);
        }
        pixel.copy_from_slice(&[r, g, b].map(to_sample));
    }
}

fn blend_rows<'a>(
    rows: impl Iterator<Item = &'a [u8]>,
    window: &Window,
    fill: [u8; 3],
    sums: &mut [i32],
    out: &mut [u8],
) {
    for sums in sums.chunks_exact_mut(3) {
        for (sum, f) in sums.iter_mut().zip(fill) {
            *sum = HALF + i32::from(f) * window.outside;
        }
    }
    for (row, &weight) in rows.zip(&window.weights) {
        for (sum, &sample) in sums.iter_mut().zip(row) {
            *sum += weight * i32::from(sample);
        }
    }
    for (sample, &sum) in out.iter_mut().zip(sums.iter()) {
        *sample = to_sample(sum);
    }
}
