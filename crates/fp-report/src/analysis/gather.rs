//! Sums over the records of a run, computed while they are read a few at a time: everything that
//! needs more than the run's columns.
//!
//! Each sum is over the samples in the order of their indices and never split, so it has the same
//! bits on any number of threads: threads share cells and groups of cells, not samples.

use fp_eval::study::{CostSums, SampleRecord};
use rayon::prelude::*;

use super::agreement::{GroupSums, groups};
use super::audit::{AuditSums, HeadCounts, LookSums};
use super::cell_index::CellIndex;
use super::described::{AttentionSums, DiversitySums};
use super::evidence::{Evidence, EvidenceGrids};
use super::left_out::LeftOut;
use super::near_ties::{NearTie, NearTies};
use super::tokens::{MeasuredRuns, QualitySums, RetentionCounts};
use crate::error::ReportError;
use crate::run::Run;

/// Receives every near-tie as it is found.
pub(crate) type NearTieSink<'a> = &'a mut (dyn FnMut(&NearTie) -> Result<(), ReportError> + Send);

/// A sample on an image, its record, and the measurements of its kept sets.
pub(super) struct Given {
    /// Index among the run's samples with images.
    pub(super) place: usize,
    pub(super) record: SampleRecord,
    pub(super) measured: MeasuredRuns,
}

/// Sums over the samples of a run.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// `[samples]`.
    pub(crate) evidence: Vec<Option<Evidence>>,
    /// `[cells]`.
    pub(super) cells: Vec<CellSums>,
    pub(super) looks: Vec<LookSums>,
    pub(super) groups: Vec<GroupSums>,
    pub(super) left_out: LeftOut,
    pub(super) near_ties: NearTies,
}

/// Sums of one cell.
#[derive(Debug)]
pub(super) struct CellSums {
    pub(super) audit: AuditSums,
    pub(super) heads: HeadCounts,
    pub(super) attention: AttentionSums,
    pub(super) diversity: DiversitySums,
    pub(super) quality: QualitySums,
    pub(super) retention: RetentionCounts,
    pub(super) cost: CostSums,
}

impl CellSums {
    fn new(run: &Run, cell: usize) -> CellSums {
        CellSums {
            audit: AuditSums::default(),
            heads: HeadCounts::new(run),
            attention: AttentionSums::default(),
            diversity: DiversitySums::default(),
            quality: QualitySums::new(run, cell),
            retention: RetentionCounts::new(run, cell),
            cost: CostSums::new(&run.spec, cell),
        }
    }

    fn add(&mut self, run: &Run, cell: usize, given: &Given) -> Result<(), ReportError> {
        let record = &given.record;
        self.audit.add(record, cell);
        self.heads.add(record, cell);
        self.attention.add(record, cell);
        self.diversity.add(record, cell);
        self.quality.add(given, cell);
        self.retention.add(given, cell);
        Ok(self.cost.add(&run.spec, record)?)
    }
}

/// Reads the records of a run once, and computes the sums. Near-ties are also passed to `sink`, in
/// the order of the samples.
pub(crate) fn gather(
    run: &Run,
    cell_index: &CellIndex,
    sink: NearTieSink<'_>,
) -> Result<Gathered, ReportError> {
    let grids = EvidenceGrids::new(run);
    let num_cells = run.spec.grid.cells.len();
    let strategies = run.spec.grid.query_strategies();
    let mut gathered = Gathered {
        evidence: vec![None; run.records.len()],
        cells: (0..num_cells)
            .map(|cell| CellSums::new(run, cell))
            .collect(),
        looks: strategies
            .iter()
            .map(|it| LookSums::new(run, *it))
            .collect(),
        groups: groups(cell_index),
        left_out: LeftOut::default(),
        near_ties: NearTies::default(),
    };
    run.stream(|records| {
        let placed = records.into_iter();
        let placed: Vec<(usize, SampleRecord)> = placed
            .filter_map(|record| Some((run.place_of(&record)?, record)))
            .collect();
        let given = placed.into_par_iter().map(|(place, record)| {
            let (evidence, measured) = grids.measure(&record)?;
            let given = Given {
                place,
                record,
                measured,
            };
            Ok((evidence, given))
        });
        let mut batch = Vec::new();
        for (evidence, given) in given.collect::<Result<Vec<_>, ReportError>>()? {
            gathered.evidence[given.place] = evidence;
            batch.push(given);
        }
        gathered.add(run, &batch, sink)
    })?;
    Ok(gathered)
}

impl Gathered {
    fn add(
        &mut self,
        run: &Run,
        batch: &[Given],
        sink: NearTieSink<'_>,
    ) -> Result<(), ReportError> {
        let cells = self.cells.par_iter_mut().enumerate();
        cells.try_for_each(|(cell, sums)| {
            let mut batch = batch.iter();
            batch.try_for_each(|given| sums.add(run, cell, given))
        })?;
        self.groups
            .par_iter_mut()
            .for_each(|sums| batch.iter().for_each(|given| sums.add(&given.record)));
        self.looks
            .par_iter_mut()
            .for_each(|sums| batch.iter().for_each(|given| sums.add(given)));
        for given in batch {
            self.left_out.add(run, &given.record);
            for (cell, of) in run.spec.grid.cells.iter().enumerate() {
                if let Some(tie) = NearTie::of(&given.record, cell, &of.id) {
                    sink(&tie)?;
                    self.near_ties.add(tie, cell);
                }
            }
        }
        Ok(())
    }
}
