//! Average pooling of the feature grid.
//!
//! The C × R grid of the projector's output is reduced to the w × h cells that `smaller_grid`
//! finds for the budget. Cell (i, j) is the mean over columns ⌊i·C/w⌋ .. ⌈(i+1)·C/w⌉ and rows
//! ⌊j·R/h⌋ .. ⌈(j+1)·R/h⌉, as in adaptive average pooling, so windows overlap by one if w doesn't
//! divide C. The w·h resulting tokens, often slightly fewer than R, are renumbered from the
//! image's first position.

use std::ops::Range;

use super::{before_decoder, check_whole, smaller_grid};
use crate::{
    Candidates, Evidence, ImageInput, MethodCard, MethodRole, Plan, PlanError, PlanSetting,
    PruningMethod, SelectError, Selected, Selector, TokenSelection,
};

/// Average pooling of the feature grid to meet the budget, before layer 1.
#[derive(Debug)]
pub struct Pool;

impl PruningMethod for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "average pooling of the feature grid to the budget, before layer 1",
            source: "adaptive average pooling, positions 0..w·h",
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
        let cells = smaller_grid(grid, setting.kept_before_decoder()?);
        let average = Average { grid, cells };
        Ok(before_decoder(setting, ImageInput::Whole, average, cells))
    }
}

#[derive(Debug)]
struct Average {
    grid: [usize; 2],
    cells: [usize; 2],
}

impl Selector for Average {
    fn candidates(&self) -> Candidates {
        Candidates::WholeGrid { rule: "pool" }
    }

    fn select(&self, evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        check_whole(evidence, self.grid)?;
        let [columns, rows] = self.grid;
        let [w, h] = self.cells;
        let mut merged = Vec::with_capacity(w * h);
        for j in 0..h {
            for i in 0..w {
                let centre =
                    (2 * j + 1) * rows / (2 * h) * columns + (2 * i + 1) * columns / (2 * w);
                let window = window(j, h, rows).flat_map(|row| {
                    window(i, w, columns).map(move |column| row * columns + column)
                });
                let tokens: Vec<usize> = window.collect();
                let weight = 1.0 / tokens.len() as f64;
                let sum = tokens.into_iter().map(|token| (token, weight)).collect();
                merged.push((centre, sum));
            }
        }
        Ok(TokenSelection::merged(merged, columns * rows)?.into())
    }
}

/// ⌊i·len/count⌋ .. ⌈(i+1)·len/count⌉.
fn window(index: usize, count: usize, len: usize) -> Range<usize> {
    index * len / count..((index + 1) * len).div_ceil(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenLayout;

    #[test]
    fn pooling_by_hand() {
        // A 4 × 3 grid to 2 × 2: columns 0–1 and 2–3, rows 0–1 and 1–2.
        let layout = TokenLayout {
            num_system: 0,
            num_image: 12,
            num_text: 0,
        };
        let places: Vec<usize> = (0..12).collect();
        let evidence = Evidence::new(layout, &places, 12, "a");
        let average = Average {
            grid: [4, 3],
            cells: [2, 2],
        };
        let selected = average.select(&evidence, 4).unwrap().selection;
        assert_eq!(selected.places(), [1, 3, 9, 11]);
        let rows = selected.merge().unwrap().rows();
        let quarter = |tokens: [usize; 4]| tokens.map(|token| (token, 0.25)).to_vec();
        assert_eq!(rows[0], quarter([0, 1, 4, 5]));
        assert_eq!(rows[3], quarter([6, 7, 10, 11]));
    }

    #[test]
    fn the_whole_grid_is_no_pooling() {
        let layout = TokenLayout {
            num_system: 1,
            num_image: 6,
            num_text: 1,
        };
        let places: Vec<usize> = (0..6).collect();
        let average = Average {
            grid: [3, 2],
            cells: [3, 2],
        };
        let evidence = Evidence::new(layout, &places, 6, "a");
        assert!(average.select(&evidence, 6).unwrap().selection.is_all(6));
    }
}
