//! Where the evidence of each sample lies on the grid of image tokens.

use fp_data::metric::token_quality::{CoverageGrid, Framing};

use crate::error::ReportError;
use crate::run::Run;

/// Boxes of a sample on its grid of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    pub(crate) grid: CoverageGrid,
}

impl Evidence {
    /// Tokens that the boxes touch.
    pub(crate) fn num_tokens(&self) -> usize {
        self.grid
            .covered()
            .iter()
            .filter(|&&share| share > 0.0)
            .count()
    }

    /// Third of the grid, from the top, that the evidence's centre of area lies in.
    pub(crate) fn third(&self) -> Option<usize> {
        let side = self.grid.side();
        let (mut area, mut rows) = (0.0, 0.0);
        for (token, share) in self.grid.covered().iter().enumerate() {
            area += share;
            rows += share * ((token / side) as f64 + 0.5);
        }
        (area > 0.0).then(|| ((3.0 * rows / area / side as f64) as usize).min(2))
    }
}

/// `[samples]`: the grid of each sample whose tokens are one square; without boxes it
/// still tells padding from image.
pub(crate) fn evidence(run: &Run) -> Result<Vec<Option<Evidence>>, ReportError> {
    let model = &run.spec.model;
    let (Some(side), Some(aspect)) = (run.grid_side(), model.image_aspect) else {
        return Ok(vec![None; run.records.len()]);
    };
    run.records
        .iter()
        .map(|record| {
            let Some([width, height]) = record.image_size else {
                return Ok(None);
            };
            let framing = Framing::new(width, height, aspect, model.image_side)?;
            let grid = CoverageGrid::new(&record.boxes, &framing, side)?;
            Ok(Some(Evidence { grid }))
        })
        .collect()
}
