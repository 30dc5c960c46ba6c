//! Location of each sample's evidence on the grid of image tokens.

use fp_data::metric::token_quality::{AreaStratum, CoverageGrid};
use fp_eval::study::{ModelSpec, SampleRecord};

use super::tokens::MeasuredRuns;
use crate::error::ReportError;
use crate::run::Run;

/// The properties of a sample's evidence by which samples are grouped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    /// Number of tokens that the boxes touch.
    pub(crate) num_tokens: usize,
    /// Third of the image, from the top, that contains the evidence's centre of area.
    pub(crate) third: Option<usize>,
}

impl Evidence {
    fn of(grid: &CoverageGrid) -> Evidence {
        let touched = grid.covered().iter().filter(|&&share| share > 0.0);
        Evidence {
            num_tokens: touched.count(),
            third: third(grid),
        }
    }
}

/// Computed on the first grid, which covers the whole image.
fn third(grid: &CoverageGrid) -> Option<usize> {
    let [columns, num_rows] = grid.first_grid();
    let (mut area, mut rows) = (0.0, 0.0);
    for (token, share) in grid.covered().iter().take(columns * num_rows).enumerate() {
        area += share;
        rows += share * ((token / columns) as f64 + 0.5);
    }
    (area > 0.0).then(|| ((3.0 * rows / area / num_rows as f64) as usize).min(2))
}

/// Measures boxes on the token grids of a run's images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvidenceGrids<'a> {
    model: &'a ModelSpec,
    /// Whether all samples have the same grid of tokens, so that a token index is always the same
    /// position.
    is_fixed: bool,
}

impl<'a> EvidenceGrids<'a> {
    pub(crate) fn new(run: &'a Run) -> EvidenceGrids<'a> {
        EvidenceGrids {
            model: &run.spec.model,
            is_fixed: run.grid_side().is_some(),
        }
    }

    /// Measures the evidence of a sample and its kept sets; `None` where the token grid is unknown.
    /// Without boxes the grid still distinguishes padding from image.
    pub(crate) fn measure(
        &self,
        record: &SampleRecord,
    ) -> Result<(Option<Evidence>, MeasuredRuns), ReportError> {
        let Some(places) = self.model.token_places(record)? else {
            return Ok((None, MeasuredRuns::none()));
        };
        let grid = CoverageGrid::over(&record.boxes, &places)?;
        let raster = (!self.is_fixed).then_some(&places);
        let measured = MeasuredRuns::new(record, &grid, raster)?;
        Ok((Some(Evidence::of(&grid)), measured))
    }
}

/// Stratum of the evidence's size; `None` without evidence.
pub(crate) fn stratum(grid: &CoverageGrid) -> Option<AreaStratum> {
    grid.has_evidence().then(|| grid.stratum())
}
