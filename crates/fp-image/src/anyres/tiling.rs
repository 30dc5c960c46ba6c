//! Cuts an image into tiles, and computes which of their features are kept.

use super::super::resample::{Canvas, Crop, resize_canvas};
use super::super::{DecodeLimits, ImageError, ImageSize, ResampleFilter, RgbImage};
use super::{AnyRes, FeaturePacking, GridPinpoints, Resolution};

/// How one image is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// The image before preprocessing.
    pub image: ImageSize,
    /// The size that it is enlarged and padded to.
    pub resolution: Resolution,
    /// Side of a tile in pixels, the vision tower's input.
    pub tile_side: usize,
    /// How padding and ends of rows are handled.
    pub form: AnyRes,
    /// Number of crops up to which features are not reduced, if there is a limit:
    /// [`GridPinpoints::most_crops`].
    pub most_crops: Option<usize>,
}

impl Tiling {
    /// Number of squares in the fixed form: the squeezed whole image and two by two tiles.
    pub const FIXED_SQUARES: usize = 5;

    /// Selects the resolution for an image of size `image`.
    ///
    /// # Errors
    /// [`ImageError::NoFittingPinpoint`], [`ImageError::TooLarge`] for a pinpoint above the
    /// limits of an image, and [`ImageError::PinpointNotTiled`] if tiles of `tile_side` do not
    /// fill the selected one.
    pub fn new(
        image: ImageSize,
        pinpoints: &GridPinpoints,
        tile_side: usize,
    ) -> Result<Self, ImageError> {
        let resolution = pinpoints.select(image)?;
        let Resolution { height, width } = resolution;
        DecodeLimits::default().check_size(ImageSize { height, width })?;
        let fills = |side: usize| side.checked_rem(tile_side) == Some(0);
        if !fills(resolution.height) || !fills(resolution.width) {
            return Err(ImageError::PinpointNotTiled {
                pinpoint: resolution,
                tile_side,
            });
        }
        Ok(Self {
            image,
            resolution,
            tile_side,
            form: AnyRes::Unpad,
            most_crops: pinpoints.most_crops(),
        })
    }

    /// Two by two tiles of `tile_side` for an image of any size, as in [`AnyRes::Fixed2880`].
    ///
    /// # Errors
    /// [`ImageError::TooLarge`] for tiles above the limits of an image, and
    /// [`ImageError::ConfigField`] for tiles without pixels.
    pub fn fixed(image: ImageSize, tile_side: usize) -> Result<Self, ImageError> {
        let side = tile_side.saturating_mul(2);
        if side == 0 {
            return Err(ImageError::ConfigField {
                field: "crop_size",
                got: "0".to_owned(),
                expected: "a square crop of at least one pixel, the side of one tile",
            });
        }
        DecodeLimits::default().check_size(ImageSize {
            height: side,
            width: side,
        })?;
        Ok(Self {
            image,
            resolution: Resolution {
                height: side,
                width: side,
            },
            tile_side,
            form: AnyRes::Fixed2880,
            most_crops: None,
        })
    }

    /// Number of rows and columns of tiles.
    #[must_use]
    pub fn grid(&self) -> [usize; 2] {
        [
            self.resolution.height / self.tile_side,
            self.resolution.width / self.tile_side,
        ]
    }

    /// The image's size after enlarging and before padding to the resolution.
    #[must_use]
    pub fn enlarged(&self) -> ImageSize {
        let Resolution { height, width } = self.resolution;
        let by_width = width as f64 / self.image.width as f64;
        let by_height = height as f64 / self.image.height as f64;
        if by_width < by_height {
            let scaled = (self.image.height as f64 * by_width).ceil() as usize;
            ImageSize {
                height: scaled.min(height),
                width,
            }
        } else {
            let scaled = (self.image.width as f64 * by_height).ceil() as usize;
            ImageSize {
                height,
                width: scaled.min(width),
            }
        }
    }

    /// Enlarges the image, centres it on black and cuts out the tiles, row by row.
    pub(crate) fn cut(
        &self,
        image: &RgbImage,
        filter: ResampleFilter,
    ) -> Result<Vec<RgbImage>, ImageError> {
        let size = self.enlarged();
        let enlarged = resize_canvas(
            image,
            Canvas::tight(image),
            size,
            &Crop::whole(size),
            filter,
        )?;
        let top = (self.resolution.height - size.height) / 2;
        let left = (self.resolution.width - size.width) / 2;
        let [rows, columns] = self.grid();
        let side = self.tile_side;
        let tile = |row: usize, column: usize| {
            let mut data = vec![0_u8; 3 * side * side];
            for (y, target) in data.chunks_exact_mut(3 * side).enumerate() {
                let Some(y) = (row * side + y)
                    .checked_sub(top)
                    .filter(|y| *y < size.height)
                else {
                    continue;
                };
                // Columns of the enlarged image within this tile.
                let first = (column * side).saturating_sub(left).min(size.width);
                let end = ((column + 1) * side).saturating_sub(left).min(size.width);
                let at = first + left - (column * side).min(first + left);
                let from = 3 * (y * size.width + first)..3 * (y * size.width + end);
                let to = 3 * at..3 * (at + end - first);
                if let (Some(to), Some(from)) = (target.get_mut(to), enlarged.as_raw().get(from)) {
                    to.copy_from_slice(from);
                }
            }
            RgbImage::new(side, side, data)
        };
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| tile(row, column))
            .collect()
    }

    /// How the features of the base image and the tiles become image tokens, for a tower of
    /// `patches_per_side` × `patches_per_side` patches per tile.
    #[must_use]
    pub fn packing(&self, patches_per_side: usize) -> FeaturePacking {
        let [tile_rows, tile_columns] = self.grid();
        let (rows, columns) = (
            tile_rows * patches_per_side,
            tile_columns * patches_per_side,
        );
        if self.form == AnyRes::Fixed2880 {
            return FeaturePacking {
                patches_per_side,
                tile_columns,
                rows: 0..rows,
                columns: 0..columns,
                has_newlines: false,
                shrunk: None,
            };
        }
        let (height, width) = (self.image.height as f64, self.image.width as f64);
        let middle = |all: usize, used: usize| {
            let padding = all.saturating_sub(used) / 2;
            padding..all - padding
        };
        // With a limit of crops, lengths are first rounded to seven decimals, as in Hugging Face.
        let whole = |length: f64| match self.most_crops {
            None => length as usize,
            Some(_) => ((length * 1e7).round_ties_even() / 1e7) as usize,
        };
        let (kept_rows, kept_columns) = if width / height > columns as f64 / rows as f64 {
            let used = whole(height * (columns as f64 / width));
            (middle(rows, used), 0..columns)
        } else {
            let used = whole(width * (rows as f64 / height));
            (0..rows, middle(columns, used))
        };
        FeaturePacking {
            patches_per_side,
            tile_columns,
            shrunk: self.most_crops.and_then(|most| {
                let size = [kept_rows.len(), kept_columns.len()];
                shrunk(size, most * patches_per_side * patches_per_side)
            }),
            rows: kept_rows,
            columns: kept_columns,
            has_newlines: true,
        }
    }
}

/// The size to which a feature map of more than `most` patches is reduced; `None` if it is only
/// slightly larger.
fn shrunk([rows, columns]: [usize; 2], most: usize) -> Option<[usize; 2]> {
    const HARDLY: f64 = 1.1;
    let ratio = ((rows * columns) as f64 / most as f64).sqrt();
    // Python's floor division.
    let smaller = |side: usize| (side as f64 / ratio).floor() as usize;
    (ratio > HARDLY).then(|| [smaller(rows), smaller(columns)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: usize, width: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn tiles_hold_the_centred_image() {
        let pinpoints = GridPinpoints::new(&[(4, 8)]).expect("valid");
        let image = RgbImage::new(5, 4, [200; 60].to_vec()).expect("right length");
        let tiling = Tiling::new(image.size(), &pinpoints, 4).expect("tiles");
        let tiles = tiling.cut(&image, ResampleFilter::Bicubic).expect("cut");
        let columns: Vec<u8> = tiles
            .iter()
            .flat_map(|t| t.as_raw()[..12].iter().step_by(3).copied())
            .collect();
        assert_eq!(columns, [0, 200, 200, 200, 200, 200, 0, 0]);
    }

    #[test]
    fn what_cannot_be_tiled_is_an_error() {
        assert!(matches!(
            GridPinpoints::new(&[]),
            Err(ImageError::NoPinpoints)
        ));
        let pinpoints = GridPinpoints::new(&[(300, 600)]).expect("ok");
        assert!(matches!(
            Tiling::new(size(10, 10), &pinpoints, 336),
            Err(ImageError::PinpointNotTiled { .. })
        ));
        assert!(matches!(
            Tiling::new(size(10, 10), &pinpoints, 0),
            Err(ImageError::PinpointNotTiled { .. })
        ));
        assert!(matches!(
            pinpoints.select(size(1, 20_000)),
            Err(ImageError::NoFittingPinpoint { .. })
        ));
    }
}
