//! Converts the `image` crate's pixel types to 8-bit RGB, by Pillow's rules.

use image::{ColorType, DynamicImage};

use super::super::{ImageError, RgbImage};

/// `has_alpha` distinguishes a file with an alpha channel from one whose alpha was derived from a
/// single transparent value: Pillow reads 16-bit grey differently in the two cases.
pub(super) fn to_rgb(
    image: DynamicImage,
    has_alpha: bool,
    format: &'static str,
) -> Result<RgbImage, ImageError> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let data = match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => grey(image.as_raw(), 1, |v| *v),
        DynamicImage::ImageLumaA8(image) => grey(image.as_raw(), 2, |v| *v),
        DynamicImage::ImageRgba8(image) => colour(image.as_raw(), 4, |v| *v),
        DynamicImage::ImageLuma16(image) => grey(image.as_raw(), 1, clipped),
        DynamicImage::ImageLumaA16(image) => grey(
            image.as_raw(),
            2,
            if has_alpha { high_byte } else { clipped },
        ),
        DynamicImage::ImageRgb16(image) => colour(image.as_raw(), 3, high_byte),
        DynamicImage::ImageRgba16(image) => colour(image.as_raw(), 4, high_byte),
        other => return Err(unknown(other.color(), format)),
    };
    RgbImage::new(width, height, data)
}

/// Checks, before decoding, that a pixel type is supported.
pub(super) fn check(color: ColorType, format: &'static str) -> Result<(), ImageError> {
    use ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    match color {
        L8 | La8 | Rgb8 | Rgba8 | L16 | La16 | Rgb16 | Rgba16 => Ok(()),
        other => Err(unknown(other, format)),
    }
}

fn unknown(color: ColorType, format: &'static str) -> ImageError {
    ImageError::unsupported(format, format!("pixels of {color:?}"))
}

fn clipped(sample: &u16) -> u8 {
    u8::try_from(*sample).unwrap_or(u8::MAX)
}

fn high_byte(sample: &u16) -> u8 {
    (sample >> 8) as u8
}

/// The first of every `channels` samples, three times.
fn grey<T>(samples: &[T], channels: usize, convert: fn(&T) -> u8) -> Vec<u8> {
    samples
        .iter()
        .step_by(channels)
        .flat_map(|sample| [convert(sample); 3])
        .collect()
}

/// The first three of every `channels` samples.
fn colour<T>(samples: &[T], channels: usize, convert: fn(&T) -> u8) -> Vec<u8> {
    samples
        .chunks_exact(channels)
        .flat_map(|pixel| pixel.iter().take(3))
        .map(convert)
        .collect()
}
