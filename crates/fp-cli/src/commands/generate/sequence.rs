//! Position of the image in the sequence, and its parts.

use fp_eval::format::counted;
use fp_image::{AnyRes, Tiling};
use fp_scoring::{CropBudget, TokenLayout};
use serde::Serialize;

/// Image tokens in their sequence. A budget applies to all of them together.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sequence {
    /// N, the number of image tokens.
    num_image_tokens: usize,
    /// First position and the one after the last.
    image_range: [usize; 2],
    sequence_len: usize,
    /// Tiles of any-resolution input; `None` for a single square.
    #[serde(skip_serializing_if = "Option::is_none")]
    tiles: Option<Tiles>,
}

/// How an any-resolution image became tokens: the whole image, squeezed into a square, followed by
/// crops of it side by side.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tiles {
    form: AnyRes,
    /// Tokens of the squeezed whole image.
    num_base_tokens: usize,
    /// Number of crops.
    num_tiles: usize,
    /// Rows and columns of crops.
    tile_grid: [usize; 2],
    /// Rows and columns of patches in the crops, without removed padding, and after downsampling if
    /// there were too many.
    patch_grid: [usize; 2],
    /// Number of tokens that end a row of patches; N includes them.
    num_newline_tokens: usize,
}

impl Tiles {
    /// For an image cut into tiles with `patches_per_side` patches per side.
    pub(super) fn new(tiling: &Tiling, patches_per_side: usize) -> Tiles {
        let packing = tiling.packing(patches_per_side);
        let tile_grid = tiling.grid();
        let [rows, columns] = packing.stitched_size();
        Tiles {
            form: tiling.form,
            num_base_tokens: patches_per_side * patches_per_side,
            num_tiles: tile_grid.iter().product(),
            tile_grid,
            patch_grid: [rows, columns],
            num_newline_tokens: if packing.has_newlines { rows } else { 0 },
        }
    }
}

impl Sequence {
    pub(super) fn new(layout: TokenLayout, tiles: Option<Tiles>) -> Sequence {
        let range = layout.image_range();
        Sequence {
            num_image_tokens: layout.num_image,
            image_range: [range.start, range.end],
            sequence_len: layout.sequence_len(),
            tiles,
        }
    }

    /// Number of crops, including the squeezed whole image.
    pub(super) fn num_crops(&self) -> usize {
        self.tiles.as_ref().map_or(1, |tiles| tiles.num_tiles + 1)
    }

    /// In words; `crop_budget` is what a number of tokens applies to.
    pub(super) fn sentence(&self, crop_budget: Option<CropBudget>) -> String {
        let [start, end] = self.image_range;
        let mut text = format!(
            "{} at {start}..{end} of a sequence of {}",
            counted(self.num_image_tokens, "image token"),
            self.sequence_len
        );
        if let Some(tiles) = &self.tiles {
            let [rows, columns] = tiles.patch_grid;
            text += &format!(
                ": {} of the whole image, then {} of {rows} x {columns} patches in {} ({} x {}) and \
                 {} ({})",
                tiles.num_base_tokens,
                rows * columns,
                counted(tiles.num_tiles, "crop"),
                tiles.tile_grid[0],
                tiles.tile_grid[1],
                counted(tiles.num_newline_tokens, "newline"),
                tiles.form,
            );
            if crop_budget != Some(CropBudget::PerCrop) {
                text += "; a budget R is for all of them together";
            }
        }
        text
    }
}
