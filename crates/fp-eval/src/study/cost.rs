//! Cost of a cell's prefill, counted from records: the only source for `study --json` and every
//! report.

use fp_scoring::{
    BudgetError, FLOPS_PER_MAC, MlpConvention, PrunedCost, TokenLayout, TokenSchedule,
};
use serde::Serialize;

use super::method::Method;
use super::record::{RunRecord, SampleRecord, VisualInputRecord};
use super::spec::RunSpec;
use super::token_flow::{Flows, TokenFlow};

/// Counted cost of one cell's prefill; means over the samples that the cell answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountedCost {
    /// The cell's id.
    pub cell: String,
    /// Number of samples.
    pub n: usize,
    /// B, the mean over layers of the visual tokens that enter a layer.
    pub average_visual_tokens: f64,
    /// The same for the visual tokens that leave a layer, as SparseVLM counts.
    pub average_by_output: f64,
    /// Visual tokens that enter the last layer.
    pub kept: f64,
    /// The visual tokens from stage to stage.
    pub schedule: TokenFlow,
    /// MACs for each convention of counting an MLP.
    pub macs: Vec<CountedMacs>,
    /// Bytes of the KV cache of the whole sequence after the prefill.
    pub kv_bytes: f64,
    /// The same without pruning.
    pub unpruned_kv_bytes: f64,
}

/// Multiply-accumulates (MACs); FLOPs are twice as many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CountedMacs {
    /// Convention for counting an MLP.
    pub mlp: MlpConvention,
    /// On image tokens alone.
    pub visual: f64,
    /// The same without pruning.
    pub unpruned_visual: f64,
    /// On the whole sequence, including scoring.
    pub sequence: f64,
    /// The same without pruning.
    pub unpruned_sequence: f64,
    /// On scoring alone; contained in `sequence`.
    pub scoring: f64,
}

impl CountedMacs {
    /// FLOPs on image tokens alone.
    pub fn visual_flops(&self) -> f64 {
        FLOPS_PER_MAC * self.visual
    }

    /// FLOPs on the whole sequence, including scoring.
    pub fn sequence_flops(&self) -> f64 {
        FLOPS_PER_MAC * self.sequence
    }

    /// Share of the unpruned MACs on image tokens.
    pub fn visual_ratio(&self) -> f64 {
        self.visual / self.unpruned_visual
    }

    /// Share of the unpruned MACs on the whole sequence.
    pub fn sequence_ratio(&self) -> f64 {
        self.sequence / self.unpruned_sequence
    }
}

/// Counts the cost of the cell at `index` of the run's grid, over `records`.
///
/// # Errors
/// A record that keeps more tokens than its image has, or a layer K that the model doesn't have.
pub fn counted_cost(
    spec: &RunSpec,
    records: &[SampleRecord],
    index: usize,
) -> Result<CountedCost, BudgetError> {
    let mut sums = CostSums::new(spec, index);
    records
        .iter()
        .try_for_each(|record| sums.add(spec, record))?;
    Ok(sums.mean())
}

/// Running sums of one cell's cost, added record by record.
#[derive(Debug)]
pub struct CostSums {
    cell: usize,
    sums: CountedCost,
    flows: Flows,
}

impl CostSums {
    /// Sums for the cell at `index` of the run's grid, before any record.
    pub fn new(spec: &RunSpec, index: usize) -> CostSums {
        CostSums {
            cell: index,
            sums: CountedCost {
                cell: spec.grid.cells[index].id.clone(),
                n: 0,
                average_visual_tokens: 0.0,
                average_by_output: 0.0,
                kept: 0.0,
                schedule: TokenFlow::default(),
                macs: MlpConvention::ALL
                    .iter()
                    .map(|&mlp| CountedMacs {
                        mlp,
                        ..CountedMacs::default()
                    })
                    .collect(),
                kv_bytes: 0.0,
                unpruned_kv_bytes: 0.0,
            },
            flows: Flows::default(),
        }
    }

    /// Adds a record, if the cell answered it.
    ///
    /// # Errors
    /// Those of [`counted_cost`].
    pub fn add(&mut self, spec: &RunSpec, record: &SampleRecord) -> Result<(), BudgetError> {
        let (Some(layout), Some(run)) = (record.layout, record.run_of(self.cell)) else {
            return Ok(());
        };
        let schedule = schedule(spec, layout, run)?;
        let rows = num_query_rows(record, layout, &spec.grid.cells[self.cell].method);
        let prune_layer = spec.config.prune_layer.first();
        self.flows.add(run, layout.num_image, prune_layer);
        let cost = &mut self.sums;
        cost.n += 1;
        cost.average_by_output += schedule.average_by_output();
        cost.kept += schedule.last() as f64;
        for (position, sums) in cost.macs.iter_mut().enumerate() {
            let model = &spec.model;
            let counted = PrunedCost::new(
                &model.shape.decoder,
                &layout,
                &schedule,
                sums.mlp,
                rows,
                model.bytes_per_value,
            );
            sums.visual += counted.visual_macs;
            sums.unpruned_visual += counted.unpruned_visual_macs;
            sums.sequence += counted.sequence_macs + counted.scoring_macs;
            sums.unpruned_sequence += counted.unpruned_sequence_macs;
            sums.scoring += counted.scoring_macs;
            // Independent of the convention for an MLP.
            if position == 0 {
                cost.average_visual_tokens += counted.average_visual_tokens;
                cost.kv_bytes += counted.kv_bytes as f64;
                cost.unpruned_kv_bytes += counted.unpruned_kv_bytes as f64;
            }
        }
        Ok(())
    }

    /// The means over the added records.
    pub fn mean(&self) -> CountedCost {
        let mut cost = self.sums.clone();
        cost.schedule = self.flows.finish();
        cost.divide();
        cost
    }
}

impl CountedCost {
    /// Divides the sums over `n` samples into means.
    fn divide(&mut self) {
        let n = self.n.max(1) as f64;
        let totals = [
            &mut self.average_visual_tokens,
            &mut self.average_by_output,
            &mut self.kept,
            &mut self.kv_bytes,
            &mut self.unpruned_kv_bytes,
        ];
        let macs = self.macs.iter_mut().flat_map(|macs| {
            [
                &mut macs.visual,
                &mut macs.unpruned_visual,
                &mut macs.sequence,
                &mut macs.unpruned_sequence,
                &mut macs.scoring,
            ]
        });
        for total in totals.into_iter().chain(macs) {
            *total /= n;
        }
    }
}

/// Number of visual tokens that enter each layer in a run.
fn schedule(
    spec: &RunSpec,
    layout: TokenLayout,
    run: &RunRecord,
) -> Result<TokenSchedule, BudgetError> {
    let num_layers = spec.model.shape.decoder.num_layers;
    match &run.seen {
        VisualInputRecord::All => Ok(TokenSchedule::constant(num_layers, layout.num_image)),
        // Without an image from the first layer on, not only after K.
        VisualInputRecord::NoImage => Ok(TokenSchedule::constant(num_layers, 0)),
        VisualInputRecord::Kept(kept) => TokenSchedule::one_stage(
            num_layers,
            layout.num_image,
            run.after_layer.unwrap_or(spec.config.prune_layer.first()),
            kept.len(),
        ),
        VisualInputRecord::Stages(seen) => {
            let sites = seen
                .stages
                .iter()
                .map(|stage| (stage.site, stage.kept.len()));
            TokenSchedule::from_sites(num_layers, layout.num_image, sites)
        }
    }
}

/// Number of rows from which a method scores a sample; rows before the image don't attend to it and
/// needn't be computed.
fn num_query_rows(record: &SampleRecord, layout: TokenLayout, method: &Method) -> usize {
    let Some(query) = method.query_strategy() else {
        return 0;
    };
    let query_rows = record
        .looks
        .iter()
        .find(|query_rows| query_rows.query_strategy == query);
    query_rows.map_or(0, |query_rows| {
        let rows = query_rows.rows.iter();
        rows.filter(|&&row| row >= layout.num_system).count()
    })
}
