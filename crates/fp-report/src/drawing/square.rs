//! The square of an image that a vision tower sees.

use fp_image::{ImageAspect, ImageSize};
use image::imageops::overlay;
use image::{Rgb, RgbImage};

/// What padding is filled with before CLIP: the mean colour of its training images.
const PADDING: Rgb<u8> = Rgb([122, 116, 104]);

/// The square that the grid of tokens lies on.
pub(crate) fn squared(image: &RgbImage, aspect: ImageAspect) -> RgbImage {
    let size = ImageSize {
        height: image.height() as usize,
        width: image.width() as usize,
    };
    let square = aspect.square(size);
    let (left, top) = (square.left as i64, square.top as i64);
    let mut seen = RgbImage::from_pixel(square.side as u32, square.side as u32, PADDING);
    overlay(&mut seen, image, left, top);
    seen
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
