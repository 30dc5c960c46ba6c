//! Where the evidence of each sample lies on the grid of image tokens.

use fp_data::metric::token_quality::{AreaStratum, CoverageGrid};
use fp_eval::study::{ModelSpec, SampleRecord};

use super::tokens::MeasuredRuns;
use crate::error::ReportError;
use crate::run::Run;

/// What groups of samples ask of the evidence of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    /// Tokens that the boxes touch.
    pub(crate) num_tokens: usize,
    /// Third of the image, from the top, that the evidence's centre of area lies in.
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

/// By the first grid, which shows the whole image.
fn third(grid: &CoverageGrid) -> Option<usize> {
    let [columns, num_rows] = grid.first_grid();
    let (mut area, mut rows) = (0.0, 0.0);
    for (token, share) in grid.covered().iter().take(columns * num_rows).enumerate() {
        area += share;
        rows += share * ((token / columns) as f64 + 0.5);
    }
    (area > 0.0).then(|| ((3.0 * rows / area / num_rows as f64) as usize).min(2))
}

/// How boxes lie on the grids of a run's images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvidenceGrids<'a> {
    model: &'a ModelSpec,
    /// Whether all samples have one grid of tokens, so that each token is a place by itself.
    is_fixed: bool,
}

impl<'a> EvidenceGrids<'a> {
    pub(crate) fn new(run: &'a Run) -> EvidenceGrids<'a> {
        EvidenceGrids {
            model: &run.spec.model,
            is_fixed: run.grid_side().is_some(),
        }
    }

    /// The evidence of a sample, and its kept sets measured; none where its tokens lie on no
    /// grid that is known. Without boxes the grid still tells padding from image.
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

/// By size of the evidence; none without any.
pub(crate) fn stratum(grid: &CoverageGrid) -> Option<AreaStratum> {
    grid.has_evidence().then(|| grid.stratum())
}
