//! Finds the patches of the vision tower's input that show only padding.

use super::config::ResizeTarget;
use super::framing::{CropLine, shortest_edge};
use super::{ImageAspect, ImageProcessor, ImageSize};

/// One axis, from the image to the tower's input, in pixels.
struct Line {
    /// The image's length.
    image: usize,
    /// Offset of the image on the canvas.
    before: usize,
    /// Length of the canvas, the image with its padding.
    canvas: usize,
    /// Length to which the canvas is resized.
    resized: usize,
    /// Length of the crop.
    crop: usize,
}

impl Line {
    /// Which of `cells` equal cells of the crop lie entirely outside the image. Computed exactly
    /// in integers: a cell that overlaps the image by any fraction of a pixel does not count.
    fn is_padded(&self, cells: usize) -> Vec<bool> {
        let line = CropLine::new(self.resized, self.crop);
        let wide = |number: usize| number as i128;
        let shift = wide(line.source.start) - wide(line.target);
        // All lengths are multiplied by cells · resized, in image and crop coordinates alike.
        let scale = wide(cells) * wide(self.resized);
        let image = wide(self.before) * scale..wide(self.before + self.image) * scale;
        let edge =
            |cell: usize| (wide(cell) * wide(self.crop) + shift * wide(cells)) * wide(self.canvas);
        (0..cells)
            .map(|cell| edge(cell + 1) <= image.start || edge(cell) >= image.end)
            .collect()
    }
}

impl ImageProcessor {
    /// For a grid of `columns` × `rows` patches over the result of [`ImageProcessor::preprocess`]
    /// for an image of `size`, in row-major order, which patches lie entirely in padding; all
    /// false if no padding is added. The border is that of the image itself; the resize filter
    /// may carry its colours a few pixels further.
    #[must_use]
    pub fn padded_patches(
        &self,
        size: ImageSize,
        aspect: ImageAspect,
        [columns, rows]: [usize; 2],
    ) -> Vec<bool> {
        let square = aspect.square(size);
        let (canvas, left, top) = match aspect {
            ImageAspect::Pad => (
                ImageSize {
                    height: square.side,
                    width: square.side,
                },
                square.left.unsigned_abs(),
                square.top.unsigned_abs(),
            ),
            ImageAspect::Crop => (size, 0, 0),
        };
        let resized = match self.config().resize {
            None => canvas,
            Some(ResizeTarget::Exact { height, width }) => ImageSize { height, width },
            Some(ResizeTarget::ShortestEdge(edge)) => shortest_edge(canvas, edge),
            // No padding is added.
            Some(ResizeTarget::Smart(_)) => return vec![false; columns * rows],
        };
        let [height, width] = self
            .config()
            .crop
            .unwrap_or([resized.height, resized.width]);
        let across = Line {
            image: size.width,
            before: left,
            canvas: canvas.width,
            resized: resized.width,
            crop: width,
        };
        let down = Line {
            image: size.height,
            before: top,
            canvas: canvas.height,
            resized: resized.height,
            crop: height,
        };
        let (across, down) = (across.is_padded(columns), down.is_padded(rows));
        down.iter()
            .flat_map(|row| across.iter().map(move |column| *row || *column))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PreprocessorConfig, RgbImage};

    fn processor(json: &str) -> ImageProcessor {
        ImageProcessor::new(PreprocessorConfig::from_json(json).expect("valid"))
    }

    fn size(width: usize, height: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn rows_by_hand() {
        let processor = processor(r#"{"size": 8, "crop_size": 8}"#);
        let rows = |width, height, rows| -> Vec<bool> {
            let of = processor.padded_patches(size(width, height), ImageAspect::Pad, [1, rows]);
            assert_eq!(of.len(), rows);
            of
        };
        // 100 × 50: rows 25 to 75 of 100 belong to the image.
        assert_eq!(rows(100, 50, 4), [true, false, false, true]);
        // Of five rows of 20, those at 20 to 40 and 60 to 80 overlap it.
        assert_eq!(rows(100, 50, 5), [true, false, false, false, true]);
        // 100 × 51 is at rows 24 to 75: the first row of 25 contains one row of its pixels.
        assert_eq!(rows(100, 51, 4), [false, false, false, true]);
        // An odd remainder has its smaller half before: 3 × 2 is at rows 0 to 2 of 3.
        assert_eq!(rows(3, 2, 3), [false, false, true]);
        assert_eq!(rows(64, 64, 4), [false; 4]);
        // One row of pixels lies in one of the patches.
        assert_eq!(rows(999, 1, 3), [true, false, true]);
        let columns = processor.padded_patches(size(50, 100), ImageAspect::Pad, [4, 1]);
        assert_eq!(columns, [true, false, false, true]);
    }

    #[test]
    fn patches_of_the_padding_have_its_colour() {
        // A filter without spread: outside the image every pixel has exactly the padding's
        // colour.
        let json = r#"{"size": 12, "crop_size": 12, "resample": 0, "do_normalize": false,
                       "do_rescale": false}"#;
        let processor = processor(json);
        for (width, height) in [(12, 12), (12, 6), (6, 12), (24, 5), (7, 12), (36, 20)] {
            let image = RgbImage::new(width, height, vec![3; 3 * width * height]).expect("whole");
            let pixels = processor
                .preprocess(&image, ImageAspect::Pad)
                .expect("square");
            let padded = processor.padded_patches(size(width, height), ImageAspect::Pad, [4, 4]);
            for (patch, is_padded) in padded.iter().enumerate() {
                let (row, column) = (patch / 4 * 3, patch % 4 * 3);
                let shows_image = (0..9).any(|at| {
                    let pixel = (row + at / 3) * 12 + column + at % 3;
                    (pixels.data[pixel] - 3.0).abs() < 0.5
                });
                // A patch that overlaps the image may still sample none of it.
                assert!(!(*is_padded && shows_image), "{width} × {height}, {patch}");
            }
        }
    }

    #[test]
    fn what_is_cropped_has_no_padding() {
        let processor = processor(r#"{"size": 8, "crop_size": 8}"#);
        for (width, height) in [(100, 50), (50, 100), (7, 7)] {
            let of = processor.padded_patches(size(width, height), ImageAspect::Crop, [4, 4]);
            assert_eq!(of, [false; 16]);
        }
    }

    #[test]
    fn a_crop_beyond_the_resized_image_adds_black() {
        // 4 pixels in the middle of 8.
        let processor = processor(r#"{"size": 4, "crop_size": 8}"#);
        let of = processor.padded_patches(size(9, 9), ImageAspect::Pad, [4, 4]);
        let inside: Vec<usize> = (0..16).filter(|patch| !of[*patch]).collect();
        assert_eq!(inside, [5, 6, 9, 10]);
    }
}
