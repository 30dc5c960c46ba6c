//! The first frame of a GIF, placed on the screen that the file declares.
//!
//! If a frame does not cover the screen, Pillow fills the rest with the transparent colour of the
//! frame's palette, or with its first colour; the `image` crate would leave it black, so the
//! frame is read by index.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::super::{ImageError, RgbImage};
use super::DecodeLimits;

const FORMAT: &str = "GIF";

pub(super) fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, ImageError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    if let Some(bytes) = NonZeroU64::new(limits.max_alloc()) {
        options.set_memory_limit(MemoryLimit::Bytes(bytes));
    }
    let failed = |error: gif::DecodingError| ImageError::Decoder {
        format: FORMAT,
        source: error.into(),
    };
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(failed)?;
    let (screen_width, screen_height) = (decoder.width(), decoder.height());
    limits.check(u32::from(screen_width), u32::from(screen_height))?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);

    let info = decoder.next_frame_info().map_err(failed)?;
    let info = info.ok_or_else(|| ImageError::damaged(FORMAT, "no frame in the file"))?;
    let extent = |start: u16, length: u16| u32::from(start) + u32::from(length);
    let width = extent(info.left, info.width).max(u32::from(screen_width));
    let height = extent(info.top, info.height).max(u32::from(screen_height));
    limits.check(width, height)?;
    let (left, top) = (usize::from(info.left), usize::from(info.top));
    let (frame_width, frame_height) = (usize::from(info.width), usize::from(info.height));
    let transparent = info.transparent;
    let palette = info.palette.clone().or(global);
    let palette = palette.ok_or_else(|| ImageError::unsupported(FORMAT, "no colour table"))?;

    let mut indices = vec![0_u8; frame_width * frame_height];
    decoder.read_into_buffer(&mut indices).map_err(failed)?;

    let colours: Vec<[u8; 3]> = (0..=usize::from(u8::MAX))
        .map(|i| match palette.get(3 * i..3 * i + 3) {
            Some(&[r, g, b]) => [r, g, b],
            _ => [0; 3],
        })
        .collect();
    let (width, height) = (width as usize, height as usize);
    let around = colours[usize::from(transparent.unwrap_or(0))];
    let mut data = around.repeat(width * height);
    if frame_width > 0 {
        let rows = data.chunks_exact_mut(3 * width).skip(top);
        for (row, indices) in rows.zip(indices.chunks_exact(frame_width)) {
            for (pixel, &index) in row.chunks_exact_mut(3).skip(left).zip(indices) {
                pixel.copy_from_slice(&colours[usize::from(index)]);
            }
        }
    }
    RgbImage::new(width, height, data)
}
