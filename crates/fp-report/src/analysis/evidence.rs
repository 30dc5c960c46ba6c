//! Where the evidence of each sample lies on the grid of image tokens.

use fp_data::metric::token_quality::{AreaStratum, CoverageGrid, Framing};
use fp_eval::study::SampleRecord;
use fp_image::ImageAspect;

use super::tokens::MeasuredRuns;
use crate::error::ReportError;
use crate::run::Run;

/// What groups of samples ask of the evidence of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    /// Tokens that the boxes touch.
    pub(crate) num_tokens: usize,
    /// Third of the grid, from the top, that the evidence's centre of area lies in.
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

fn third(grid: &CoverageGrid) -> Option<usize> {
    let side = grid.side();
    let (mut area, mut rows) = (0.0, 0.0);
    for (token, share) in grid.covered().iter().enumerate() {
        area += share;
        rows += share * ((token / side) as f64 + 0.5);
    }
    (area > 0.0).then(|| ((3.0 * rows / area / side as f64) as usize).min(2))
}

/// How boxes lie on the grid of a run's model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvidenceGrids {
    /// Of models whose tokens are one square.
    grid: Option<(usize, ImageAspect)>,
    image_side: usize,
}

impl EvidenceGrids {
    pub(crate) fn new(run: &Run) -> EvidenceGrids {
        let model = &run.spec.model;
        EvidenceGrids {
            grid: run.grid_side().zip(model.image_aspect),
            image_side: model.image_side,
        }
    }

    /// The evidence of a sample, and its kept sets measured; none where its tokens aren't one
    /// square. Without boxes the grid still tells padding from image.
    pub(crate) fn measure(
        &self,
        record: &SampleRecord,
    ) -> Result<(Option<Evidence>, MeasuredRuns), ReportError> {
        let (Some((side, aspect)), Some([width, height])) = (self.grid, record.image_size) else {
            return Ok((None, MeasuredRuns::none()));
        };
        let framing = Framing::new(width, height, aspect, self.image_side)?;
        let grid = CoverageGrid::new(&record.boxes, &framing, side)?;
        let measured = MeasuredRuns::new(record, &grid)?;
        Ok((Some(Evidence::of(&grid)), measured))
    }
}

/// By size of the evidence; none without any.
pub(crate) fn stratum(grid: &CoverageGrid) -> Option<AreaStratum> {
    grid.has_evidence().then(|| grid.stratum())
}
