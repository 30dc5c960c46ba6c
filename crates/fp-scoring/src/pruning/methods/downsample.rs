//! The image made smaller before the vision tower.
//!
//! The tower's input image, C × R patches, is resized to the w × h patches that `smaller_grid`
//! finds for the budget. It is placed in the upper left corner of the tower's input, and the rest
//! has the colour of padding (the processor's mean), since the tower's position embeddings are
//! for one size. The tower runs on the whole input; the w·h tokens of the corner are kept,
//! renumbered from the image's first position. VTC-Bench found the same idea hard to beat.

use super::{before_decoder, check_whole, smaller_grid};
use crate::{
    Candidates, Evidence, ImageInput, MethodCard, MethodRole, Plan, PlanError, PlanSetting,
    PruningMethod, SelectError, Selected, Selector, TokenSelection,
};

/// The image made smaller to meet the budget, before the vision tower.
#[derive(Debug)]
pub struct Downsample;

impl PruningMethod for Downsample {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "the image made smaller before the vision tower, on mean colour",
            source: "after VTC-Bench's downsampling baseline, 2025",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::OptionalControl
    }

    fn takes_prune_layer(&self) -> bool {
        false
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let grid = setting.one_grid(self.name())?;
        let corner = smaller_grid(grid, setting.kept_before_decoder()?);
        if corner == grid {
            return Ok(Plan::vanilla());
        }
        let [columns, rows] = corner;
        let input = ImageInput::Shrunk { columns, rows };
        Ok(before_decoder(
            setting,
            input,
            Corner { grid, corner },
            corner,
        ))
    }
}

#[derive(Debug)]
struct Corner {
    grid: [usize; 2],
    corner: [usize; 2],
}

impl Selector for Corner {
    fn candidates(&self) -> Candidates {
        Candidates::WholeGrid { rule: "downsample" }
    }

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        check_whole(evidence, self.grid)?;
        let [columns, rows] = self.grid;
        let [w, h] = self.corner;
        let tokens = (0..h).flat_map(|row| (0..w).map(move |column| row * columns + column));
        Ok(TokenSelection::new(tokens.collect(), columns * rows)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenLayout;

    #[test]
    fn the_corner_goes_on() {
        let layout = TokenLayout {
            num_system: 2,
            num_image: 12,
            num_text: 3,
        };
        let places: Vec<usize> = (0..12).collect();
        let corner = Corner {
            grid: [4, 3],
            corner: [2, 2],
        };
        let evidence = Evidence::new(layout, &places, 12, "a");
        let selected = corner.select(&evidence, 4).unwrap().selection;
        assert_eq!(selected.places(), [0, 1, 4, 5]);
    }
}
