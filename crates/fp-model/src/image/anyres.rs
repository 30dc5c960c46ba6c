//! Any-resolution input (LLaVA-NeXT): an image is enlarged to the best of a few resolutions, cut
//! into tiles, and its features are stitched together again without the padding.
//!
//! Arithmetic in f64 and its truncations are those of the original project, which decide about
//! single rows of features.

use std::fmt;
use std::ops::Range;

use candle_core::{Device, Tensor};

use super::resample::{Canvas, Crop, resize_canvas};
use super::{ImageError, ImageSize, PixelValues, ResampleFilter, RgbImage};

/// A size that an image may be enlarged to, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} px width x {} px height", self.width, self.height)
    }
}

/// The resolutions to choose from; never empty. Their order matters: of a wide and a tall one that
/// fit equally well, as for every square image, the first is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridPinpoints(Vec<Resolution>);

impl GridPinpoints {
    /// Takes pairs of `(height, width)`, as Hugging Face checkpoints have them. Checkpoints in the
    /// original layout have `(width, height)`, which the caller turns round.
    ///
    /// # Errors
    /// [`ImageError::NoPinpoints`] if there are none, [`ImageError::ConfigField`] if one has a
    /// side of 0 or beyond 65536.
    pub fn new(pairs: &[(usize, usize)]) -> Result<Self, ImageError> {
        const SIDES: std::ops::RangeInclusive<usize> = 1..=1 << 16;
        if pairs.is_empty() {
            return Err(ImageError::NoPinpoints);
        }
        pairs
            .iter()
            .map(|&(height, width)| {
                if !SIDES.contains(&height) || !SIDES.contains(&width) {
                    return Err(ImageError::ConfigField {
                        field: "image_grid_pinpoints",
                        got: format!("[{height}, {width}]"),
                        expected: "pairs of sides of 1 to 65536 pixels",
                    });
                }
                Ok(Resolution { height, width })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The resolutions in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Resolution] {
        &self.0
    }

    /// The resolution that keeps most of an image's pixels, and among those wastes least.
    ///
    /// # Errors
    /// [`ImageError::NoFittingPinpoint`] if at every pinpoint the image's short side rounds to 0.
    pub fn select(&self, image: ImageSize) -> Result<Resolution, ImageError> {
        let (width, height) = (image.width as f64, image.height as f64);
        let mut best: Option<(Resolution, usize, usize)> = None;
        for &pinpoint in &self.0 {
            let scale = (pinpoint.width as f64 / width).min(pinpoint.height as f64 / height);
            let scaled = (width * scale) as usize * (height * scale) as usize;
            let effective = scaled.min(image.width * image.height);
            let wasted = (pinpoint.width * pinpoint.height).saturating_sub(effective);
            let is_better = match best {
                None => effective > 0,
                Some((_, most, least)) => effective > most || (effective == most && wasted < least),
            };
            if is_better {
                best = Some((pinpoint, effective, wasted));
            }
        }
        best.map(|(pinpoint, ..)| pinpoint)
            .ok_or(ImageError::NoFittingPinpoint { size: image })
    }
}

/// How one image is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// The image before preprocessing.
    pub image: ImageSize,
    /// What it is enlarged and padded to.
    pub resolution: Resolution,
    /// Side of a tile in pixels, the vision tower's input.
    pub tile_side: usize,
}

impl Tiling {
    /// Chooses the resolution for an image of size `image`.
    ///
    /// # Errors
    /// [`ImageError::NoFittingPinpoint`], and [`ImageError::PinpointNotTiled`] if tiles of
    /// `tile_side` do not fill the chosen one.
    pub fn new(
        image: ImageSize,
        pinpoints: &GridPinpoints,
        tile_side: usize,
    ) -> Result<Self, ImageError> {
        let resolution = pinpoints.select(image)?;
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
        })
    }

    /// Rows and columns of tiles.
    #[must_use]
    pub fn grid(&self) -> [usize; 2] {
        [
            self.resolution.height / self.tile_side,
            self.resolution.width / self.tile_side,
        ]
    }

    /// Number of tiles, the squeezed whole image not counted.
    #[must_use]
    pub fn num_tiles(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns
    }

    /// The image's size once enlarged, before the padding to the resolution.
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
    pub(super) fn cut(
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
                // Columns of the enlarged image that fall into this tile.
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

    /// How the features of base and tiles become image tokens, for a tower of
    /// `patches_per_side` × `patches_per_side` patches per tile.
    #[must_use]
    pub fn packing(&self, patches_per_side: usize) -> FeaturePacking {
        let [tile_rows, tile_columns] = self.grid();
        let (rows, columns) = (
            tile_rows * patches_per_side,
            tile_columns * patches_per_side,
        );
        let (height, width) = (self.image.height as f64, self.image.width as f64);
        let middle = |all: usize, used: usize| {
            let padding = all.saturating_sub(used) / 2;
            padding..all - padding
        };
        let (kept_rows, kept_columns) = if width / height > columns as f64 / rows as f64 {
            let used = (height * (columns as f64 / width)) as usize;
            (middle(rows, used), 0..columns)
        } else {
            let used = (width * (rows as f64 / height)) as usize;
            (0..rows, middle(columns, used))
        };
        FeaturePacking {
            patches_per_side,
            tile_columns,
            rows: kept_rows,
            columns: kept_columns,
        }
    }
}

/// The order of image tokens: all patches of the squeezed image, then the stitched feature map
/// without its padding, row by row, a newline embedding after each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeaturePacking {
    patches_per_side: usize,
    tile_columns: usize,
    /// Rows of the stitched feature map that are kept.
    pub rows: Range<usize>,
    /// Columns of the stitched feature map that are kept.
    pub columns: Range<usize>,
}

impl FeaturePacking {
    /// Image tokens in all, newlines included.
    #[must_use]
    pub fn num_image_tokens(&self) -> usize {
        let base = self.patches_per_side * self.patches_per_side;
        base + self.rows.len() * (self.columns.len() + 1)
    }

    /// Where each image token's embedding lies.
    pub fn sources(&self) -> impl Iterator<Item = TokenSource> + '_ {
        let side = self.patches_per_side;
        let base = (0..side * side).map(|patch| TokenSource::Patch { tile: 0, patch });
        let stitched = self.rows.clone().flat_map(move |row| {
            let patch = move |column: usize| TokenSource::Patch {
                tile: 1 + row / side * self.tile_columns + column / side,
                patch: row % side * side + column % side,
            };
            self.columns
                .clone()
                .map(patch)
                .chain(std::iter::once(TokenSource::Newline))
        });
        base.chain(stitched)
    }

    /// The same as indices into the rows of `[tiles + 1, P · P, D]` features flattened to
    /// `[(tiles + 1) · P · P, D]`, with the newline embedding appended as a last row at
    /// `newline_row`.
    #[must_use]
    pub fn gather_indices(&self, newline_row: u32) -> Vec<u32> {
        let per_tile = self.patches_per_side * self.patches_per_side;
        self.sources()
            .map(|source| match source {
                TokenSource::Patch { tile, patch } => (tile * per_tile + patch) as u32,
                TokenSource::Newline => newline_row,
            })
            .collect()
    }
}

/// Where the embedding of one image token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenSource {
    /// A patch of the vision tower's output.
    Patch {
        /// 0 for the squeezed whole image, then the tiles row by row.
        tile: usize,
        /// Row-major position within the tile.
        patch: usize,
    },
    /// The learnt end of a feature row.
    Newline,
}

/// One image at any resolution, ready for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyResPixels {
    /// The squeezed whole image, then the tiles row by row; all of one size.
    pub tiles: Vec<PixelValues>,
    /// How the tiles were cut, for [`Tiling::packing`].
    pub tiling: Tiling,
}

impl AnyResPixels {
    /// The values as an f32 tensor of shape `[tiles, 3, height, width]`.
    ///
    /// # Errors
    /// Whatever candle reports, such as a device out of memory.
    pub fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        let tiles: candle_core::Result<Vec<_>> = self
            .tiles
            .iter()
            .map(|tile| tile.to_tensor(device))
            .collect();
        Tensor::cat(&tiles?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: usize, width: usize) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn a_square_image_shows_the_order_of_the_pairs() {
        let wide = Resolution {
            height: 336,
            width: 672,
        };
        let tall = Resolution {
            height: 672,
            width: 336,
        };
        for (first, second) in [(wide, tall), (tall, wide)] {
            let pairs = [first, second].map(|r| (r.height, r.width));
            let pinpoints = GridPinpoints::new(&pairs).expect("valid");
            assert_eq!(pinpoints.select(size(100, 100)).expect("fits"), first);
        }
    }

    #[test]
    fn every_kept_feature_is_named_once_and_newlines_end_the_rows() {
        let pinpoints = GridPinpoints::new(&[(4, 8)]).expect("valid");
        let tiling = Tiling::new(size(4, 8), &pinpoints, 4).expect("tiles");
        let packing = tiling.packing(2);
        assert_eq!(packing.num_image_tokens(), 4 + 2 * 5);
        // Tiles 1 and 2 side by side: rows run across both.
        assert_eq!(
            packing.gather_indices(99),
            [0, 1, 2, 3, 4, 5, 8, 9, 99, 6, 7, 10, 11, 99]
        );
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
