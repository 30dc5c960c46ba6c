//! The part of an image that the vision tower gets, and its size.

use fp_scoring::named_enum;

use super::ImageSize;

named_enum! {
    /// How an image that isn't square is handled.
    pub enum ImageAspect as "image aspect" {
        /// Centred on a square of the longer side, with the rest in the mean colour: nothing is
        /// lost. `image_aspect_ratio: pad`, as in the training of LLaVA-1.5.
        Pad = "pad",
        /// The shorter side fills the input, and the ends of the longer side are cut off: the
        /// behaviour of a Hugging Face processor on its own.
        Crop = "crop",
    }
}

/// The square of an image that the vision tower gets, in pixels of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    /// Its side.
    pub side: usize,
    /// Column of the square that holds the image's first column; negative if the square crops the
    /// image.
    pub left: isize,
    /// The same for rows.
    pub top: isize,
}

impl ImageAspect {
    /// The square of an image of `size`: of the longer side if the image is padded, of the
    /// shorter one if it is cropped. An odd remainder has its smaller half before the image.
    pub fn square(self, size: ImageSize) -> Square {
        let ImageSize { height, width } = size;
        let side = match self {
            ImageAspect::Pad => height.max(width),
            ImageAspect::Crop => height.min(width),
        };
        let before = |length: usize| {
            let half = (side.abs_diff(length) / 2) as isize;
            if length > side { -half } else { half }
        };
        Square {
            side,
            left: before(width),
            top: before(height),
        }
    }
}

/// The size whose shorter side is `edge`; the longer one is rounded down.
pub fn shortest_edge(size: ImageSize, edge: usize) -> ImageSize {
    let (short, long) = (size.height.min(size.width), size.height.max(size.width));
    let new_long = ((edge * long) as f64 / short as f64) as usize;
    if size.width <= size.height {
        ImageSize {
            height: new_long,
            width: edge,
        }
    } else {
        ImageSize {
            height: edge,
            width: new_long,
        }
    }
}

/// One axis of a centre crop: the kept input samples and their positions in the output. If the
/// crop is larger than the input, the input is centred on zeros, with the larger half of an odd
/// remainder before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CropLine {
    pub(super) source: std::ops::Range<usize>,
    pub(super) target: usize,
}

impl CropLine {
    pub(super) fn new(input: usize, crop: usize) -> Self {
        if crop <= input {
            let first = (input - crop) / 2;
            Self {
                source: first..first + crop,
                target: 0,
            }
        } else {
            Self {
                source: 0..input,
                target: (crop - input).div_ceil(2),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_side_is_rounded_down() {
        let size = |height, width| ImageSize { height, width };
        assert_eq!(shortest_edge(size(333, 500), 336), size(336, 504));
        assert_eq!(shortest_edge(size(420, 240), 336), size(588, 336));
        assert_eq!(shortest_edge(size(3, 7), 10), size(10, 23));
        assert_eq!(shortest_edge(size(5, 5), 8), size(8, 8));
    }

    #[test]
    fn squares_lie_in_the_middle() {
        let square = |aspect: ImageAspect, width, height| {
            let Square { side, left, top } = aspect.square(ImageSize { height, width });
            (side, left, top)
        };
        assert_eq!(square(ImageAspect::Pad, 101, 50), (101, 0, 25));
        assert_eq!(square(ImageAspect::Pad, 50, 101), (101, 25, 0));
        assert_eq!(square(ImageAspect::Crop, 101, 50), (50, -25, 0));
        assert_eq!(square(ImageAspect::Crop, 50, 101), (50, 0, -25));
        for aspect in [ImageAspect::Pad, ImageAspect::Crop] {
            assert_eq!(square(aspect, 7, 7), (7, 0, 0));
        }
    }

    #[test]
    fn crops_and_pads_in_the_middle() {
        assert_eq!(
            CropLine::new(10, 4),
            CropLine {
                source: 3..7,
                target: 0
            }
        );
        assert_eq!(
            CropLine::new(9, 4),
            CropLine {
                source: 2..6,
                target: 0
            }
        );
        assert_eq!(
            CropLine::new(4, 4),
            CropLine {
                source: 0..4,
                target: 0
            }
        );
        assert_eq!(
            CropLine::new(3, 6),
            CropLine {
                source: 0..3,
                target: 2
            }
        );
    }
}
