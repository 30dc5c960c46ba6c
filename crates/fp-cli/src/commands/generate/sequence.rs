//! Where the image stands in the sequence, and what it is made of.

use fp_eval::format::counted;
use fp_image::{AnyRes, Tiling};
use fp_scoring::{CropBudget, TokenLayout};
use serde::Serialize;

/// Image tokens in their sequence. A budget is for all of them together.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sequence {
    /// N.
    num_image_tokens: usize,
    /// First position and the one behind the last.
    image_range: [usize; 2],
    sequence_len: usize,
    /// Of any-resolution input; none of a single square.
    #[serde(skip_serializing_if = "Option::is_none")]
    tiles: Option<Tiles>,
}

/// How an image of any resolution became tokens: the whole image, squeezed into a square, then
/// crops of it side by side.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tiles {
    form: AnyRes,
    /// Tokens of the squeezed whole image.
    num_base_tokens: usize,
    /// Crops.
    num_tiles: usize,
    /// Rows and columns of crops.
    tile_grid: [usize; 2],
    /// Rows and columns of patches that are left of them, without padding where that is taken
    /// out, and made smaller where they are too many.
    patch_grid: [usize; 2],
    /// Tokens that end a row of patches; they are among N.
    num_newline_tokens: usize,
}

impl Tiles {
    /// Of an image that is cut into tiles of so many patches along a side.
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

    /// Crops, the squeezed whole image among them.
    pub(super) fn num_crops(&self) -> usize {
        self.tiles.as_ref().map_or(1, |tiles| tiles.num_tiles + 1)
    }

    /// In words; `crop_budget` is what a number of tokens was meant for.
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
