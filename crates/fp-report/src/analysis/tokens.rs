//! What kept tokens see: evidence, spread, and where on the image they lie.

use fp_data::metric::token_quality::{AreaStratum, Overlap, Spatial, padding_waste, row_profile};
use fp_eval::study::SampleRecord;
use fp_scoring::KeptTokens;
use rayon::prelude::*;
use serde::Serialize;

use super::compare::{Judge, Judged, Pair};
use super::described::{MeanAttention, MeanDiversity, mean_attention, mean_diversity};
use super::evidence::Evidence;
use super::kept::kept_tokens;
use super::roster::Roster;
use super::scores::{Column, mean_columns};
use crate::error::ReportError;
use crate::run::Run;

/// Quality of the tokens that one cell kept, means over samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenQuality {
    /// The cell's id.
    pub cell: String,
    /// Against ground-truth boxes, over samples that have some.
    pub overlap: Option<MeanOverlap>,
    /// The same by size of the evidence as a share of the image.
    pub by_area: Vec<(AreaStratum, MeanOverlap)>,
    /// How they spread, over all samples with a square grid.
    pub spread: Option<MeanSpread>,
    /// `[rows]`, share of the kept tokens in each row of the grid, from the top.
    pub row_profile: Vec<f64>,
    /// The attention that chose them; of methods that read any.
    pub attention: Option<MeanAttention>,
    /// How different they are by the projector's output, where that was asked for.
    pub diversity: Option<MeanDiversity>,
}

/// Means of the overlap with ground-truth boxes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanOverlap {
    /// Samples.
    pub n: usize,
    /// Share of the boxes' area that is kept.
    pub area_recall: f64,
    /// Share of the kept tokens' area that is covered by boxes.
    pub area_precision: f64,
    /// Soft intersection over union.
    pub soft_iou: f64,
    /// Area recall relative to what random tokens are expected to reach.
    pub lift: f64,
    /// Share of samples with at least one token on the evidence.
    pub hit: f64,
    /// Share of the tokens on the evidence that are kept.
    pub token_recall: f64,
    /// Share of the kept tokens that lie on the evidence.
    pub token_precision: f64,
    /// The same for tokens that boxes cover by half or more; over fewer samples.
    pub half_recall: Option<f64>,
}

/// Means of the spread over the grid; distances in cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanSpread {
    /// Samples.
    pub n: usize,
    /// Root mean square distance to the centroid.
    pub rms_radius: f64,
    /// Distance to the nearest other kept token.
    pub mean_nearest: Option<f64>,
    /// Share of 4 × 4 blocks with a kept token.
    pub block_coverage: f64,
    /// Share of rows with one.
    pub rows_covered: f64,
    /// Share of columns with one.
    pub columns_covered: f64,
    /// Largest distance of any cell from the nearest kept token.
    pub fill_distance: f64,
    /// Share of the kept tokens that lie entirely in padding.
    pub padding_waste: f64,
}

/// How often each token was kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retention {
    /// The cell's id.
    pub cell: String,
    /// Samples.
    pub n: usize,
    /// `[N]`, samples that kept each token.
    pub counts: Vec<u32>,
}

/// One kept set, measured.
#[derive(Debug, Clone)]
struct Measured {
    overlap: Option<Overlap>,
    spatial: Spatial,
    padding_waste: f64,
    row_profile: Vec<f64>,
}

/// `[samples][runs]`: every distinct kept set is measured once.
#[derive(Debug, Clone)]
pub(crate) struct MeasuredRuns {
    runs: Vec<Vec<Option<Measured>>>,
    strata: Vec<Option<AreaStratum>>,
}

impl MeasuredRuns {
    pub(crate) fn new(run: &Run, evidence: &[Option<Evidence>]) -> Result<Self, ReportError> {
        let runs = run
            .records
            .par_iter()
            .zip(evidence)
            .map(|(record, evidence)| measure(record, evidence.as_ref()))
            .collect::<Result<_, _>>()?;
        let stratum = |evidence: &Evidence| {
            evidence
                .grid
                .has_evidence()
                .then(|| evidence.grid.stratum())
        };
        Ok(MeasuredRuns {
            runs,
            strata: evidence
                .iter()
                .map(|e| e.as_ref().and_then(stratum))
                .collect(),
        })
    }

    fn of(&self, run: &Run, sample: usize, cell: usize) -> Option<&Measured> {
        let index = run.records[sample].cells.get(cell)?.run?;
        self.runs[sample].get(index)?.as_ref()
    }

    /// Area recall of a cell, sample by sample.
    pub(crate) fn recall(&self, run: &Run, cell: usize) -> Column {
        (0..run.records.len())
            .map(|sample| Some(self.of(run, sample, cell)?.overlap?.area_recall))
            .collect()
    }
}

fn measure(
    record: &SampleRecord,
    evidence: Option<&Evidence>,
) -> Result<Vec<Option<Measured>>, ReportError> {
    let Some(evidence) = evidence else {
        return Ok(vec![None; record.runs.len()]);
    };
    let grid = &evidence.grid;
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
            spatial: Spatial::new(&kept, grid.side())?,
            padding_waste: padding_waste(grid, &kept)?,
            row_profile: row_profile(&kept, grid.side())?,
        })
    };
    let mut measured: Vec<Option<Measured>> = Vec::with_capacity(record.runs.len());
    for (index, run) in record.runs.iter().enumerate() {
        let tokens = match run.seen.last_tokens() {
            Some(tokens) if !tokens.is_empty() => tokens,
            _ => {
                measured.push(None);
                continue;
            }
        };
        let same = record.runs[..index]
            .iter()
            .position(|other| other.seen == run.seen);
        measured.push(match same {
            Some(same) => measured[same].clone(),
            None => Some(measure(tokens)?),
        });
    }
    Ok(measured)
}

pub(crate) fn token_quality(run: &Run, measured: &MeasuredRuns) -> Vec<TokenQuality> {
    let cells = run.spec.grid.cells.iter().enumerate();
    cells
        .filter(|(_, cell)| cell.budget.is_some())
        .map(|(index, cell)| {
            let mut overlaps = Vec::new();
            let mut all: Vec<&Measured> = Vec::new();
            for sample in 0..run.records.len() {
                if let Some(measures) = measured.of(run, sample, index) {
                    all.push(measures);
                    if let (Some(overlap), Some(stratum)) =
                        (measures.overlap, measured.strata[sample])
                    {
                        overlaps.push((stratum, overlap));
                    }
                }
            }
            let strata = [AreaStratum::Small, AreaStratum::Medium, AreaStratum::Large];
            let by_area = strata.into_iter().filter_map(|stratum| {
                let of = overlaps.iter().filter(|(other, _)| *other == stratum);
                let of: Vec<Overlap> = of.map(|(_, overlap)| *overlap).collect();
                Some((stratum, mean_overlap(&of)?))
            });
            let whole: Vec<Overlap> = overlaps.iter().map(|(_, overlap)| *overlap).collect();
            TokenQuality {
                cell: cell.id.clone(),
                overlap: mean_overlap(&whole),
                by_area: by_area.collect(),
                spread: mean_spread(&all),
                row_profile: mean_profile(&all),
                attention: mean_attention(run, index),
                diversity: mean_diversity(run, index),
            }
        })
        .collect()
}

fn mean_overlap(overlaps: &[Overlap]) -> Option<MeanOverlap> {
    let n = overlaps.len();
    let mean = |value: &dyn Fn(&Overlap) -> f64| overlaps.iter().map(value).sum::<f64>() / n as f64;
    let half: Vec<f64> = overlaps
        .iter()
        .filter_map(|overlap| Some(overlap.half?.recall))
        .collect();
    (n > 0).then(|| MeanOverlap {
        n,
        area_recall: mean(&|overlap| overlap.area_recall),
        area_precision: mean(&|overlap| overlap.area_precision),
        soft_iou: mean(&|overlap| overlap.soft_iou),
        lift: mean(&|overlap| overlap.lift),
        hit: mean(&|overlap| f64::from(u8::from(overlap.any.hit))),
        token_recall: mean(&|overlap| overlap.any.recall),
        token_precision: mean(&|overlap| overlap.any.precision),
        half_recall: (!half.is_empty()).then(|| half.iter().sum::<f64>() / half.len() as f64),
    })
}

fn mean_spread(measured: &[&Measured]) -> Option<MeanSpread> {
    let n = measured.len();
    let mean = |value: &dyn Fn(&Measured) -> f64| {
        measured.iter().map(|measures| value(measures)).sum::<f64>() / n as f64
    };
    let nearest: Option<Vec<f64>> = measured.iter().map(|m| m.spatial.mean_nearest).collect();
    (n > 0).then(|| MeanSpread {
        n,
        rms_radius: mean(&|m| m.spatial.rms_radius),
        mean_nearest: nearest.map(|values| values.iter().sum::<f64>() / n as f64),
        block_coverage: mean(&|m| m.spatial.block_coverage),
        rows_covered: mean(&|m| m.spatial.rows_covered),
        columns_covered: mean(&|m| m.spatial.columns_covered),
        fill_distance: mean(&|m| m.spatial.fill_distance),
        padding_waste: mean(&|m| m.padding_waste),
    })
}

fn mean_profile(measured: &[&Measured]) -> Vec<f64> {
    let rows = measured
        .first()
        .map_or(0, |measures| measures.row_profile.len());
    (0..rows)
        .map(|row| {
            let sum: f64 = measured
                .iter()
                .map(|measures| measures.row_profile[row])
                .sum();
            sum / measured.len() as f64
        })
        .collect()
}

/// Area recall of every studied cell against chance at its budget, a family per budget.
pub(crate) fn recall_against_random(
    run: &Run,
    roster: &Roster,
    measured: &MeasuredRuns,
    judge: &Judge,
) -> Result<Judged, ReportError> {
    let samples: Vec<usize> = (0..run.records.len()).collect();
    let mut pairs = Vec::new();
    for (budget, seeds) in roster.random.iter().enumerate() {
        if seeds.is_empty() {
            continue;
        }
        let label = &roster.budgets[budget];
        let chance: Vec<Column> = seeds
            .iter()
            .map(|&cell| measured.recall(run, cell))
            .collect();
        let chance = mean_columns(&chance.iter().collect::<Vec<_>>());
        for (.., cell) in roster.studied().filter(|(_, _, at, _)| *at == budget) {
            pairs.push(Pair::new(
                run.spec.grid.cells[cell].id.clone(),
                &measured.recall(run, cell),
                format!("random/{label}"),
                &chance,
                format!("evidence kept against random at {label}"),
            ));
        }
    }
    judge.judge(&pairs, &samples)
}

/// Of every cell with a budget, where all samples have the same number of tokens.
pub(crate) fn retention(run: &Run) -> Vec<Retention> {
    let Some(num_tokens) = run.spec.model.shape.num_image_tokens else {
        return Vec::new();
    };
    let cells = run.spec.grid.cells.iter().enumerate();
    cells
        .filter(|(_, cell)| cell.budget.is_some())
        .map(|(index, cell)| {
            let (mut n, mut counts) = (0, vec![0_u32; num_tokens]);
            for record in &run.records {
                let Some(tokens) = kept_tokens(record, index) else {
                    continue;
                };
                n += 1;
                for &token in tokens {
                    if let Some(count) = counts.get_mut(token) {
                        *count += 1;
                    }
                }
            }
            Retention {
                cell: cell.id.clone(),
                n,
                counts,
            }
        })
        .collect()
}
