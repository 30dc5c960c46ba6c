//! Where the pixels of an image lie in the square that the vision tower sees.

use fp_image::{ImageAspect, ImageSize, shortest_edge};

use crate::metric::MetricError;

/// An image's place in the square: square = scale · pixel + offset, per axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framing {
    /// Width and height of the image in pixels.
    pub size: [f64; 2],
    /// Side of the square.
    pub side: f64,
    /// Per axis.
    pub scale: [f64; 2],
    /// Per axis; negative where the square cuts the image.
    pub offset: [f64; 2],
}

impl Framing {
    /// The square of an image of `width` × `height` pixels. Padding: the side is the
    /// longer one, the image starts ⌊(longer − shorter)/2⌋ from the edge. Cropping: the
    /// shorter side becomes `input_side`, the longer one in proportion, rounded down, and
    /// ⌊(longer − `input_side`)/2⌋ of it goes before the square; `input_side` matters only
    /// here.
    ///
    /// # Errors
    /// An image or an input of no pixels.
    pub fn new(
        width: usize,
        height: usize,
        aspect: ImageAspect,
        input_side: usize,
    ) -> Result<Self, MetricError> {
        if width == 0 || height == 0 || (aspect == ImageAspect::Crop && input_side == 0) {
            return Err(MetricError::OutOfRange {
                name: "side of an image in pixels",
                value: 0.0,
                expected: "at least 1",
            });
        }
        let size = ImageSize { height, width };
        let seen = match aspect {
            ImageAspect::Pad => size,
            ImageAspect::Crop => shortest_edge(size, input_side),
        };
        let square = aspect.square(seen);
        Ok(Framing {
            size: [width as f64, height as f64],
            side: square.side as f64,
            scale: [
                seen.width as f64 / width as f64,
                seen.height as f64 / height as f64,
            ],
            offset: [square.left as f64, square.top as f64],
        })
    }

    /// A coordinate of the image along `axis` (0: x, 1: y) on a grid of `grid_side` cells.
    pub(super) fn to_grid(self, axis: usize, pixel: f64, grid_side: usize) -> f64 {
        // Multiplied first: pixels on a cell's edge come out as whole numbers.
        (pixel * self.scale[axis] + self.offset[axis]) * grid_side as f64 / self.side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_by_hand() {
        let wide = Framing::new(101, 50, ImageAspect::Pad, 0).unwrap();
        assert_eq!((wide.side, wide.offset), (101.0, [0.0, 25.0]));
        let tall = Framing::new(50, 101, ImageAspect::Pad, 0).unwrap();
        assert_eq!(tall.offset, [25.0, 0.0]);
        assert_eq!(tall.to_grid(0, 25.5, 2), 1.0);
    }

    #[test]
    fn cropping_by_hand() {
        // 300 × 200 to 67 × 45 → ⌊45·300/200⌋ = 67, of which ⌊22/2⌋ = 11 are cut before.
        let wide = Framing::new(300, 200, ImageAspect::Crop, 45).unwrap();
        assert_eq!((wide.side, wide.offset), (45.0, [-11.0, 0.0]));
        assert_eq!(wide.scale, [67.0 / 300.0, 45.0 / 200.0]);
        let square = Framing::new(30, 30, ImageAspect::Crop, 45).unwrap();
        assert_eq!((square.scale, square.offset), ([1.5; 2], [0.0; 2]));
    }

    #[test]
    fn nothing_cannot_be_framed() {
        assert!(Framing::new(0, 5, ImageAspect::Pad, 1).is_err());
        assert!(Framing::new(5, 5, ImageAspect::Crop, 0).is_err());
    }
}
