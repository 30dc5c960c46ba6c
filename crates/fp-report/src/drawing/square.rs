//! The square of an image that a vision tower sees.

use fp_image::ImageAspect;
use image::imageops::{crop_imm, overlay};
use image::{Rgb, RgbImage};

/// What padding is filled with before CLIP: the mean colour of its training images.
const PADDING: Rgb<u8> = Rgb([122, 116, 104]);

/// The square that the grid of tokens lies on.
pub(crate) fn squared(image: &RgbImage, aspect: ImageAspect) -> RgbImage {
    let (width, height) = image.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    match aspect {
        ImageAspect::Pad => {
            let mut square = RgbImage::from_pixel(long, long, PADDING);
            let (x, y) = ((long - width) / 2, (long - height) / 2);
            overlay(&mut square, image, i64::from(x), i64::from(y));
            square
        }
        ImageAspect::Crop => {
            let (x, y) = ((width - short) / 2, (height - short) / 2);
            crop_imm(image, x, y, short, short).to_image()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_keep_the_image_in_the_middle() {
        let image = RgbImage::from_pixel(4, 2, Rgb([9, 9, 9]));
        let padded = squared(&image, ImageAspect::Pad);
        assert_eq!(padded.dimensions(), (4, 4));
        assert_eq!(*padded.get_pixel(0, 0), PADDING);
        assert_eq!(*padded.get_pixel(0, 1), Rgb([9, 9, 9]));
        assert_eq!(squared(&image, ImageAspect::Crop).dimensions(), (2, 2));
    }
}
