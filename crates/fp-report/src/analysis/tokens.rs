//! Quality of the kept tokens: evidence, spread, and position on the image.

use std::collections::HashMap;
use std::sync::Arc;

use fp_data::metric::token_quality::{
    AreaStratum, CoverageGrid, Overlap, Spatial, TokenPlaces, padding_waste, row_profile,
};
use fp_eval::study::SampleRecord;
use fp_scoring::KeptTokens;
use serde::Serialize;

use super::cell_index::CellIndex;
use super::compare::{Pair, PairedTester, TestResults};
use super::described::{MeanAttention, MeanDiversity};
use super::evidence::stratum;
use super::gather::{Gathered, Given};
use super::kept::kept_tokens;
use super::scores::{Column, mean_columns};
use crate::error::ReportError;
use crate::run::Run;

/// Quality of the tokens that one cell kept, means over samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenQuality {
    /// The cell's id.
    pub cell: String,
    /// Overlap with ground-truth boxes, over samples that have boxes.
    pub overlap: Option<MeanOverlap>,
    /// The overlap by size of the evidence relative to the image.
    pub by_area: Vec<(AreaStratum, MeanOverlap)>,
    /// Spread over the grid, over all samples with one grid.
    pub spread: Option<MeanSpread>,
    /// `[rows]`, share of the kept tokens in each row of the grid, from the top; where grids
    /// differ, in each of 24 bands of the image. Over samples with one grid.
    pub row_profile: Vec<f64>,
    /// The attention that selected the tokens; `None` for methods that read no attention.
    pub attention: Option<MeanAttention>,
    /// Diversity of their features at the projector's output, if it was requested.
    pub diversity: Option<MeanDiversity>,
}

/// Means of the overlap with ground-truth boxes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanOverlap {
    /// Number of samples.
    pub n: usize,
    /// Share of the boxes' area that is kept.
    pub area_recall: f64,
    /// Share of the kept tokens' area that is covered by boxes.
    pub area_precision: f64,
    /// Soft intersection over union.
    pub soft_iou: f64,
    /// Area recall relative to what random tokens are expected to reach.
    pub lift: f64,
    /// Share of samples with at least one kept token on the evidence.
    pub hit: f64,
    /// Share of the tokens on the evidence that are kept.
    pub token_recall: f64,
    /// Share of the kept tokens that are on the evidence.
    pub token_precision: f64,
    /// Recall of the tokens that boxes cover by at least half; over fewer samples.
    pub half_recall: Option<f64>,
}

/// Means of the spread over the grid; distances in cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanSpread {
    /// Number of samples.
    pub n: usize,
    /// Root mean square distance to the centroid.
    pub rms_radius: f64,
    /// Distance to the nearest other kept token.
    pub mean_nearest: Option<f64>,
    /// Share of 4 × 4 blocks with a kept token.
    pub block_coverage: f64,
    /// Share of rows with a kept token.
    pub rows_covered: f64,
    /// Share of columns with a kept token.
    pub columns_covered: f64,
    /// Largest distance from any cell to the nearest kept token.
    pub fill_distance: f64,
    /// Share of the kept tokens that are entirely in padding.
    pub padding_waste: f64,
}

/// Frequency with which each token was kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retention {
    /// The cell's id.
    pub cell: String,
    /// Number of samples.
    pub n: usize,
    /// `[N]`, number of samples that kept each token; empty where samples differ in N.
    pub counts: Vec<u32>,
    /// `[24 · 24]`, fraction of each cell of a raster of 24 × 24 over the image that kept tokens
    /// cover, averaged over samples and over the grids of a sample; for models whose images don't
    /// have one square of tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
}

/// Columns and rows of the raster to which grids of different shapes are converted.
pub(crate) const RASTER: [usize; 2] = [24, 24];

/// Measurements of one kept set.
#[derive(Debug, Clone)]
struct Measured {
    overlap: Option<Overlap>,
    /// Spread, if the tokens are on one grid.
    spread: Option<Spread>,
    /// `[24 · 24]`; empty unless grids differ.
    raster: Vec<f64>,
}

/// Spread of a kept set on one grid.
#[derive(Debug, Clone)]
struct Spread {
    spatial: Spatial,
    padding_waste: f64,
    row_profile: Vec<f64>,
}

impl Spread {
    /// `None` on several grids; rows are converted to bands where grids differ.
    fn new(
        kept: &KeptTokens,
        grid: &CoverageGrid,
        is_fixed: bool,
    ) -> Result<Option<Spread>, ReportError> {
        let Some(size) = grid.one_grid() else {
            return Ok(None);
        };
        let rows = row_profile(kept, size)?;
        Ok(Some(Spread {
            spatial: Spatial::new(kept, size)?,
            padding_waste: padding_waste(grid, kept)?,
            row_profile: if is_fixed { rows } else { bands(&rows) },
        }))
    }
}

/// Converts a profile with any number of rows to one with the raster's.
fn bands(rows: &[f64]) -> Vec<f64> {
    let (num_rows, num_bands) = (rows.len(), RASTER[1]);
    // In units of one row divided by the number of bands, where all borders are whole numbers.
    (0..num_bands)
        .map(|band| {
            let inside = rows.iter().enumerate().map(|(row, share)| {
                let end = ((band + 1) * num_rows).min((row + 1) * num_bands);
                let start = (band * num_rows).max(row * num_bands);
                share * end.saturating_sub(start) as f64 / num_bands as f64
            });
            inside.sum()
        })
        .collect()
}

/// The kept sets of a sample; each distinct one is measured once.
#[derive(Debug)]
pub(crate) struct MeasuredRuns {
    /// `[runs]`.
    runs: Vec<Option<Arc<Measured>>>,
    stratum: Option<AreaStratum>,
}

impl MeasuredRuns {
    /// For a sample whose token grids are unknown.
    pub(super) fn none() -> MeasuredRuns {
        MeasuredRuns {
            runs: Vec::new(),
            stratum: None,
        }
    }

    /// `places` is given where grids differ among samples.
    pub(super) fn new(
        record: &SampleRecord,
        grid: &CoverageGrid,
        places: Option<&TokenPlaces>,
    ) -> Result<Self, ReportError> {
        let measure = |tokens: &[usize]| -> Result<Measured, ReportError> {
            let kept = KeptTokens::new(tokens.to_vec(), grid.num_tokens()).map_err(|source| {
                ReportError::Kept {
                    index: record.index,
                    id: record.id.clone(),
                    source,
                }
            })?;
            Ok(Measured {
                overlap: Overlap::new(grid, &kept)?,
                spread: Spread::new(&kept, grid, places.is_none())?,
                raster: places.map_or_else(Vec::new, |places| places.raster(tokens, RASTER)),
            })
        };
        let mut known: HashMap<&[usize], Arc<Measured>> = HashMap::new();
        let mut runs = Vec::with_capacity(record.runs.len());
        for run in &record.runs {
            let tokens = run.seen.last_tokens().filter(|tokens| !tokens.is_empty());
            runs.push(match tokens {
                None => None,
                Some(tokens) => Some(match known.get(tokens) {
                    Some(measured) => measured.clone(),
                    None => {
                        let measured = Arc::new(measure(tokens)?);
                        known.insert(tokens, measured.clone());
                        measured
                    }
                }),
            });
        }
        Ok(MeasuredRuns {
            runs,
            stratum: stratum(grid),
        })
    }
}

const STRATA: [AreaStratum; 3] = [AreaStratum::Small, AreaStratum::Medium, AreaStratum::Large];

/// Sums of one cell's [`TokenQuality`].
#[derive(Debug)]
pub(super) struct QualitySums {
    has_budget: bool,
    overlap: OverlapSums,
    by_area: [OverlapSums; 3],
    spread: SpreadSums,
    row_profile: Vec<f64>,
    /// `[samples]`, area recall, NaN for missing values; empty where no sample has boxes.
    recall: Vec<f64>,
}

impl QualitySums {
    pub(super) fn new(run: &Run, cell: usize) -> QualitySums {
        let has_budget = run.spec.grid.cells[cell].budget.is_some();
        let has_boxes = run.records.iter().any(|record| !record.boxes.is_empty());
        QualitySums {
            has_budget,
            overlap: OverlapSums::default(),
            by_area: Default::default(),
            spread: SpreadSums::default(),
            row_profile: Vec::new(),
            recall: if has_budget && has_boxes {
                vec![f64::NAN; run.records.len()]
            } else {
                Vec::new()
            },
        }
    }

    pub(super) fn add(&mut self, given: &Given, cell: usize) {
        let run = given.record.cells.get(cell).and_then(|cell| cell.run);
        let measured = run.and_then(|run| given.measured.runs.get(run)?.as_deref());
        let Some(measured) = measured.filter(|_| self.has_budget) else {
            return;
        };
        if let Some(spread) = &measured.spread {
            self.spread.add(spread);
            if self.row_profile.is_empty() {
                self.row_profile = vec![0.0; spread.row_profile.len()];
            }
            for (sum, share) in self.row_profile.iter_mut().zip(&spread.row_profile) {
                *sum += share;
            }
        }
        let Some(overlap) = measured.overlap else {
            return;
        };
        if let Some(recall) = self.recall.get_mut(given.place) {
            *recall = overlap.area_recall;
        }
        if let Some(stratum) = given.measured.stratum {
            self.overlap.add(&overlap);
            let sums = STRATA.iter().zip(&mut self.by_area);
            for (_, sums) in sums.filter(|(other, _)| **other == stratum) {
                sums.add(&overlap);
            }
        }
    }

    /// Area recall, sample by sample.
    fn recall(&self, num_samples: usize) -> Column {
        let value = |at: usize| self.recall.get(at).copied().filter(|it| !it.is_nan());
        (0..num_samples).map(value).collect()
    }
}

/// Sums of [`MeanOverlap`].
#[derive(Debug, Clone, Copy, Default)]
struct OverlapSums {
    n: usize,
    area_recall: f64,
    area_precision: f64,
    soft_iou: f64,
    lift: f64,
    hit: f64,
    token_recall: f64,
    token_precision: f64,
    num_half: usize,
    half_recall: f64,
}

impl OverlapSums {
    fn add(&mut self, overlap: &Overlap) {
        self.n += 1;
        self.area_recall += overlap.area_recall;
        self.area_precision += overlap.area_precision;
        self.soft_iou += overlap.soft_iou;
        self.lift += overlap.lift;
        self.hit += f64::from(u8::from(overlap.any.hit));
        self.token_recall += overlap.any.recall;
        self.token_precision += overlap.any.precision;
        if let Some(half) = overlap.half {
            self.num_half += 1;
            self.half_recall += half.recall;
        }
    }

    fn mean(&self) -> Option<MeanOverlap> {
        let n = self.n as f64;
        (self.n > 0).then(|| MeanOverlap {
            n: self.n,
            area_recall: self.area_recall / n,
            area_precision: self.area_precision / n,
            soft_iou: self.soft_iou / n,
            lift: self.lift / n,
            hit: self.hit / n,
            token_recall: self.token_recall / n,
            token_precision: self.token_precision / n,
            half_recall: (self.num_half > 0).then(|| self.half_recall / self.num_half as f64),
        })
    }
}

/// Sums of [`MeanSpread`].
#[derive(Debug, Clone, Copy, Default)]
struct SpreadSums {
    n: usize,
    rms_radius: f64,
    nearest: f64,
    /// Whether some kept set has only one token.
    lacks_nearest: bool,
    block_coverage: f64,
    rows_covered: f64,
    columns_covered: f64,
    fill_distance: f64,
    padding_waste: f64,
}

impl SpreadSums {
    fn add(&mut self, spread: &Spread) {
        let spatial = &spread.spatial;
        self.n += 1;
        self.rms_radius += spatial.rms_radius;
        self.nearest += spatial.mean_nearest.unwrap_or_default();
        self.lacks_nearest |= spatial.mean_nearest.is_none();
        self.block_coverage += spatial.block_coverage;
        self.rows_covered += spatial.rows_covered;
        self.columns_covered += spatial.columns_covered;
        self.fill_distance += spatial.fill_distance;
        self.padding_waste += spread.padding_waste;
    }

    fn mean(&self) -> Option<MeanSpread> {
        let n = self.n as f64;
        (self.n > 0).then(|| MeanSpread {
            n: self.n,
            rms_radius: self.rms_radius / n,
            mean_nearest: (!self.lacks_nearest).then(|| self.nearest / n),
            block_coverage: self.block_coverage / n,
            rows_covered: self.rows_covered / n,
            columns_covered: self.columns_covered / n,
            fill_distance: self.fill_distance / n,
            padding_waste: self.padding_waste / n,
        })
    }
}

pub(crate) fn token_quality(run: &Run, gathered: &Gathered) -> Vec<TokenQuality> {
    let cells = run.spec.grid.cells.iter().zip(&gathered.cells);
    cells
        .filter(|(cell, _)| cell.budget.is_some())
        .map(|(cell, sums)| {
            let quality = &sums.quality;
            let by_area = STRATA.into_iter().zip(&quality.by_area);
            let n = quality.spread.n as f64;
            TokenQuality {
                cell: cell.id.clone(),
                overlap: quality.overlap.mean(),
                by_area: by_area
                    .filter_map(|(stratum, sums)| Some((stratum, sums.mean()?)))
                    .collect(),
                spread: quality.spread.mean(),
                row_profile: quality.row_profile.iter().map(|sum| sum / n).collect(),
                attention: sums.attention.mean(),
                diversity: sums.diversity.mean(),
            }
        })
        .collect()
}

/// Area recall of every studied cell against chance at its budget, one family per budget.
pub(crate) fn recall_against_random(
    run: &Run,
    cell_index: &CellIndex,
    gathered: &Gathered,
    tester: &PairedTester,
) -> Result<TestResults, ReportError> {
    let samples: Vec<usize> = (0..run.records.len()).collect();
    let recall = |cell: usize| gathered.cells[cell].quality.recall(samples.len());
    let mut tested = TestResults::default();
    for (budget, seeds) in cell_index.random.iter().enumerate() {
        if seeds.is_empty() {
            continue;
        }
        let label = &cell_index.budgets[budget];
        let chance: Vec<Column> = seeds.iter().map(|&cell| recall(cell)).collect();
        let chance = mean_columns(&chance.iter().collect::<Vec<_>>());
        let of_budget = cell_index.studied().filter(|(_, _, at, _)| *at == budget);
        let pairs = of_budget.map(|(.., cell)| {
            Pair::new(
                run.spec.grid.cells[cell].id.clone(),
                &recall(cell),
                format!("random/{label}"),
                &chance,
                format!("evidence kept against random at {label}"),
            )
        });
        // One budget at a time, to limit the memory of the columns.
        tested.extend(tester.test(&pairs.collect::<Vec<_>>(), &samples)?);
    }
    Ok(tested)
}

/// Counts of how often one cell kept each token.
#[derive(Debug)]
pub(super) struct RetentionCounts {
    has_budget: bool,
    n: usize,
    /// `[N]`; empty for cells without a budget, and where samples differ in N.
    counts: Vec<u32>,
    /// Sums of rasters; empty where every sample has one square.
    shares: Vec<f64>,
    num_shares: usize,
}

impl RetentionCounts {
    pub(super) fn new(run: &Run, cell: usize) -> RetentionCounts {
        let num_tokens = run.spec.model.shape.num_image_tokens;
        let has_budget = run.spec.grid.cells[cell].budget.is_some();
        RetentionCounts {
            has_budget,
            n: 0,
            counts: vec![0; num_tokens.filter(|_| has_budget).unwrap_or(0)],
            shares: Vec::new(),
            num_shares: 0,
        }
    }

    pub(super) fn add(&mut self, given: &Given, cell: usize) {
        let Some(tokens) = kept_tokens(&given.record, cell).filter(|_| self.has_budget) else {
            return;
        };
        self.n += 1;
        for &token in tokens {
            if let Some(count) = self.counts.get_mut(token) {
                *count += 1;
            }
        }
        let run = given.record.cells.get(cell).and_then(|cell| cell.run);
        let measured = run.and_then(|run| given.measured.runs.get(run)?.as_deref());
        if let Some(measured) = measured.filter(|measured| !measured.raster.is_empty()) {
            self.shares.resize(measured.raster.len(), 0.0);
            self.num_shares += 1;
            for (sum, share) in self.shares.iter_mut().zip(&measured.raster) {
                *sum += share;
            }
        }
    }

    fn shares(&self) -> Vec<f64> {
        let n = self.num_shares as f64;
        self.shares.iter().map(|sum| sum / n).collect()
    }
}

/// Retention of every cell with a budget, where all samples have the same number of tokens or known
/// grids.
pub(crate) fn retention(run: &Run, gathered: &Gathered) -> Vec<Retention> {
    let has_shares = gathered
        .cells
        .iter()
        .any(|sums| !sums.retention.shares.is_empty());
    if run.spec.model.shape.num_image_tokens.is_none() && !has_shares {
        return Vec::new();
    }
    let cells = run.spec.grid.cells.iter().zip(&gathered.cells);
    cells
        .filter(|(cell, _)| cell.budget.is_some())
        .map(|(cell, sums)| Retention {
            cell: cell.id.clone(),
            n: sums.retention.n,
            counts: sums.retention.counts.clone(),
            shares: sums.retention.shares(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_by_hand() {
        let whole = bands(&[0.25, 0.75]);
        assert_eq!(
            (whole.len(), whole[0], whole[23]),
            (24, 0.25 / 12.0, 0.75 / 12.0)
        );
        // Each of the 48 rows is half a band.
        let mut rows = vec![0.0; 48];
        (rows[0], rows[1], rows[47]) = (0.5, 0.25, 0.25);
        let fine = bands(&rows);
        assert_eq!((fine[0], fine[1], fine[23]), (0.75, 0.0, 0.25));
        assert!((bands(&[0.2; 5]).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
