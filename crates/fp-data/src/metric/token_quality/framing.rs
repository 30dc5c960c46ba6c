//! Position of an image's pixels in the frame that a grid of image tokens covers.

use fp_image::{ImageAspect, ImageSize, shortest_edge};

use crate::metric::MetricError;

/// Maps an image into the frame that a grid covers, such as the vision tower's square input: frame
/// = scale · pixel + offset, per axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framing {
    /// Width and height of the image in pixels.
    pub size: [f64; 2],
    /// Width and height of the frame.
    pub extent: [f64; 2],
    /// Per axis.
    pub scale: [f64; 2],
    /// Per axis; negative where the frame cuts the image.
    pub offset: [f64; 2],
}

impl Framing {
    /// The square for an image of `width` × `height` pixels. Padding: the side is the longer one,
    /// and the image starts ⌊(longer − shorter)/2⌋ from the edge. Cropping: the shorter side
    /// becomes `input_side`, the longer one is scaled in proportion and rounded down, and ⌊(longer
    /// − `input_side`)/2⌋ of it is cut off before the square; `input_side` matters only here.
    ///
    /// # Errors
    /// An image or an input without pixels.
    pub fn new(
        width: usize,
        height: usize,
        aspect: ImageAspect,
        input_side: usize,
    ) -> Result<Self, MetricError> {
        if width == 0 || height == 0 || (aspect == ImageAspect::Crop && input_side == 0) {
            return Err(no_pixels());
        }
        let size = ImageSize { height, width };
        let seen = match aspect {
            ImageAspect::Pad => size,
            ImageAspect::Crop => shortest_edge(size, input_side),
        };
        let square = aspect.square(seen);
        Ok(Framing {
            size: [width as f64, height as f64],
            extent: [square.side as f64; 2],
            scale: [
                seen.width as f64 / width as f64,
                seen.height as f64 / height as f64,
            ],
            offset: [square.left as f64, square.top as f64],
        })
    }

    /// The frame `area`, `[x0, y0, x1, y1]` in pixels, of an image of `width` × `height` pixels; it
    /// may extend beyond the image.
    ///
    /// # Errors
    /// An image without pixels; an area that is empty or not finite.
    pub fn of_area(width: usize, height: usize, area: [f64; 4]) -> Result<Self, MetricError> {
        if width == 0 || height == 0 {
            return Err(no_pixels());
        }
        let [x0, y0, x1, y1] = area;
        let extent = [x1 - x0, y1 - y0];
        let is_finite = area.iter().all(|edge| edge.is_finite());
        match extent.iter().find(|length| !is_finite || **length <= 0.0) {
            Some(&value) => Err(MetricError::OutOfRange {
                name: "extent of a grid over the image, in pixels",
                value,
                expected: "finite and above 0",
            }),
            None => Ok(Framing {
                size: [width as f64, height as f64],
                extent,
                scale: [1.0; 2],
                // Subtracted from 0.0 to avoid -0.0.
                offset: [0.0 - x0, 0.0 - y0],
            }),
        }
    }

    /// Converts a pixel coordinate along `axis` (0: x, 1: y) to a position on a grid with `cells`
    /// cells along that axis.
    #[must_use]
    pub fn to_grid(self, axis: usize, pixel: f64, cells: usize) -> f64 {
        // Multiplied first, so that pixels on a cell's edge give whole numbers.
        (pixel * self.scale[axis] + self.offset[axis]) * cells as f64 / self.extent[axis]
    }
}

fn no_pixels() -> MetricError {
    MetricError::OutOfRange {
        name: "side of an image in pixels",
        value: 0.0,
        expected: "at least 1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_by_hand() {
        let wide = Framing::new(101, 50, ImageAspect::Pad, 0).unwrap();
        assert_eq!((wide.extent, wide.offset), ([101.0; 2], [0.0, 25.0]));
        let tall = Framing::new(50, 101, ImageAspect::Pad, 0).unwrap();
        assert_eq!(tall.offset, [25.0, 0.0]);
        assert_eq!(tall.to_grid(0, 25.5, 2), 1.0);
    }

    #[test]
    fn cropping_by_hand() {
        // 300 × 200 to 67 × 45 → ⌊45·300/200⌋ = 67, of which ⌊22/2⌋ = 11 are cut off before the
        // square.
        let wide = Framing::new(300, 200, ImageAspect::Crop, 45).unwrap();
        assert_eq!((wide.extent, wide.offset), ([45.0; 2], [-11.0, 0.0]));
        assert_eq!(wide.scale, [67.0 / 300.0, 45.0 / 200.0]);
        let square = Framing::new(30, 30, ImageAspect::Crop, 45).unwrap();
        assert_eq!((square.scale, square.offset), ([1.5; 2], [0.0; 2]));
    }

    #[test]
    fn areas_by_hand() {
        // The lower half of 8 × 4 pixels, and two pixels below it.
        let half = Framing::of_area(8, 4, [0.0, 2.0, 8.0, 6.0]).unwrap();
        assert_eq!((half.extent, half.offset), ([8.0, 4.0], [0.0, -2.0]));
        assert_eq!(
            (half.to_grid(0, 6.0, 4), half.to_grid(1, 4.0, 2)),
            (3.0, 1.0)
        );
        for area in [
            [0.0, 0.0, 0.0, 4.0],
            [0.0, f64::NAN, 8.0, 4.0],
            [8.0, 0.0, 0.0, 4.0],
        ] {
            assert!(Framing::of_area(8, 4, area).is_err(), "{area:?}");
        }
    }

    #[test]
    fn nothing_cannot_be_framed() {
        assert!(Framing::of_area(0, 5, [0.0, 0.0, 1.0, 1.0]).is_err());
        assert!(Framing::new(0, 5, ImageAspect::Pad, 1).is_err());
        assert!(Framing::new(5, 5, ImageAspect::Crop, 0).is_err());
    }
}
