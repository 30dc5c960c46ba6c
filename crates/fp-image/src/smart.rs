//! Sizes of Qwen2-VL's input: whole cells, a number of pixels within the model's limits, and the
//! aspect ratio kept as closely as cells allow.

use super::{ImageError, ImageSize};

/// Largest ratio of the longer to the shorter side.
const MOST_ASPECT: f64 = 200.0;

/// The rule that rounds an image's size to whole cells: `smart_resize` of Hugging Face's
/// `Qwen2VLImageProcessor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmartResize {
    /// Side in pixels of a cell, which becomes one image token.
    pub factor: usize,
    /// Fewest pixels of the resized image.
    pub min_pixels: usize,
    /// Most pixels of the resized image.
    pub max_pixels: usize,
}

impl SmartResize {
    /// The size to which an image of `size` is resized.
    ///
    /// # Errors
    /// [`ImageError::NoPixels`] for an image without pixels, [`ImageError::Elongated`] for one
    /// whose longer side is more than 200 times the shorter.
    pub fn size(&self, size: ImageSize) -> Result<ImageSize, ImageError> {
        let ImageSize { height, width } = size;
        if height == 0 || width == 0 {
            return Err(ImageError::NoPixels { width, height });
        }
        let (h, w) = (height as f64, width as f64);
        if h.max(w) / h.min(w) > MOST_ASPECT {
            return Err(ImageError::Elongated {
                size,
                most: MOST_ASPECT as usize,
            });
        }
        let factor = self.factor as f64;
        // Ties go to the even neighbour, as in Python's `round`.
        let nearest = |side: f64| (side / factor).round_ties_even() * factor;
        let (mut rows, mut columns) = (nearest(h), nearest(w));
        if rows * columns > self.max_pixels as f64 {
            let beta = (h * w / self.max_pixels as f64).sqrt();
            let smaller = |side: f64| ((side / beta / factor).floor() * factor).max(factor);
            (rows, columns) = (smaller(h), smaller(w));
        } else if rows * columns < self.min_pixels as f64 {
            let beta = (self.min_pixels as f64 / (h * w)).sqrt();
            let larger = |side: f64| (side * beta / factor).ceil() * factor;
            (rows, columns) = (larger(h), larger(w));
        }
        Ok(ImageSize {
            height: rows as usize,
            width: columns as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defaults of Qwen2-VL's own configuration.
    const RULE: SmartResize = SmartResize {
        factor: 28,
        min_pixels: 56 * 56,
        max_pixels: 28 * 28 * 1280,
    };

    #[track_caller]
    fn check(height: usize, width: usize, expected: [usize; 2]) {
        let size = RULE.size(ImageSize { height, width }).expect("a size");
        assert_eq!([size.height, size.width], expected, "{height} x {width}");
    }

    /// Values from transformers 5.24.
    #[test]
    fn sizes_are_those_of_the_reference() {
        check(448, 448, [448, 448]);
        check(336, 336, [336, 336]);
        // 15.5 and 16.5 cells: both to 16.
        check(434, 462, [448, 448]);
        check(1, 1, [56, 56]);
        check(5, 7, [56, 84]);
        check(480, 640, [476, 644]);
        check(2000, 3000, [812, 1204]);
        check(28, 5600, [28, 5600]);
    }

    #[test]
    fn what_is_too_elongated_is_refused() {
        for (height, width) in [(1, 201), (201, 1)] {
            let refused = RULE.size(ImageSize { height, width });
            assert!(matches!(refused, Err(ImageError::Elongated { .. })));
        }
        let refused = RULE.size(ImageSize {
            height: 0,
            width: 3,
        });
        assert!(matches!(refused, Err(ImageError::NoPixels { .. })));
    }
}
