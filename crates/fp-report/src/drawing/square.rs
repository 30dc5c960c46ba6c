//! Images as prepared for a vision tower, reduced in size.

use fp_image::{ImageAspect, ImageSize};
use image::imageops::{FilterType, crop_imm, overlay, resize};
use image::{GenericImageView, Rgb, RgbImage};

/// Padding colour of CLIP's preprocessing: the mean colour of its training images.
const PADDING: Rgb<u8> = Rgb([122, 116, 104]);

/// The square that the token grid covers, with a side of at most `most` pixels. The image is
/// reduced before it is padded.
pub(crate) fn squared(image: &RgbImage, aspect: ImageAspect, most: u32) -> RgbImage {
    let size = ImageSize {
        height: image.height() as usize,
        width: image.width() as usize,
    };
    let square = aspect.square(size);
    let cut = |start: isize| (-start).max(0) as u32;
    let seen = |length: u32| length.min(square.side as u32);
    let view = crop_imm(
        image,
        cut(square.left),
        cut(square.top),
        seen(image.width()),
        seen(image.height()),
    );
    let scale = (f64::from(most) / square.side as f64).min(1.0);
    let shrunk = |length: f64| (length * scale).round();
    let side = |length: u32| (shrunk(f64::from(length)) as u32).max(1);
    let view = if scale < 1.0 {
        let (width, height) = (side(view.width()), side(view.height()));
        resize(&*view, width, height, FilterType::Triangle)
    } else {
        view.to_image()
    };
    let before = |start: isize| shrunk(start.max(0) as f64) as i64;
    let side = side(square.side as u32);
    let mut seen = RgbImage::from_pixel(side, side, PADDING);
    overlay(&mut seen, &view, before(square.left), before(square.top));
    seen
}

/// The image, reduced so that its longer side has at most `most` pixels.
pub(crate) fn shrunk(image: RgbImage, most: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let longest = width.max(height);
    if longest <= most {
        return image;
    }
    let side = |length: u32| {
        let shrunk = u64::from(length) * u64::from(most) / u64::from(longest);
        (shrunk as u32).max(1)
    };
    resize(&image, side(width), side(height), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_keep_the_image_in_the_middle() {
        let image = RgbImage::from_pixel(4, 2, Rgb([9, 9, 9]));
        let padded = squared(&image, ImageAspect::Pad, 9);
        assert_eq!(padded.dimensions(), (4, 4));
        assert_eq!(*padded.get_pixel(0, 0), PADDING);
        assert_eq!(*padded.get_pixel(0, 1), Rgb([9, 9, 9]));
        assert_eq!(squared(&image, ImageAspect::Crop, 9).dimensions(), (2, 2));
    }

    /// A square with the longest side that a file may have would take gigabytes.
    #[test]
    fn long_images_are_made_smaller_first() {
        let colour = Rgb([9, 90, 200]);
        for (width, height) in [(65_500, 1), (1, 65_500), (1 << 20, 3)] {
            let image = RgbImage::from_pixel(width, height, colour);
            let padded = squared(&image, ImageAspect::Pad, 224);
            assert_eq!(padded.dimensions(), (224, 224));
            let inside = padded.pixels().filter(|pixel| **pixel == colour).count();
            assert_eq!(inside, 224, "{width} × {height}");
            let cropped = squared(&image, ImageAspect::Crop, 224);
            let side = width.min(height);
            assert_eq!(cropped.dimensions(), (side, side));
            assert!(cropped.pixels().all(|pixel| *pixel == colour));
        }
        let image = RgbImage::from_pixel(800, 400, colour);
        let padded = squared(&image, ImageAspect::Pad, 200);
        assert_eq!(padded.get_pixel(7, 49), &PADDING);
        assert_eq!(padded.get_pixel(7, 50), &colour);
        assert_eq!(padded.get_pixel(7, 149), &colour);
        assert_eq!(padded.get_pixel(7, 150), &PADDING);
        let cropped = squared(&image, ImageAspect::Crop, 200);
        assert_eq!(cropped.dimensions(), (200, 200));
    }
}
