//! What each cell costs, counted: MACs and FLOPs by both conventions, keys and values.

use fp_scoring::{BudgetError, MlpConvention, TokenLayout, average_visual_tokens};
use serde::Serialize;

use super::kept::num_kept;
use crate::report::run::Run;
use crate::study::{Method, SampleRecord};

/// FLOPs per multiply-accumulate.
pub const FLOPS_PER_MAC: f64 = 2.0;

/// Counted cost of one cell's prefill, means over samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountedCost {
    /// The cell's id.
    pub cell: String,
    /// Samples.
    pub n: usize,
    /// B, the visual tokens of an average layer.
    pub average_visual_tokens: f64,
    /// MACs by each way to count an MLP.
    pub macs: Vec<CountedMacs>,
    /// Bytes of keys and values of the whole sequence after the prefill.
    pub kv_bytes: f64,
    /// The same without pruning.
    pub unpruned_kv_bytes: f64,
}

/// MACs; FLOPs are twice as many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CountedMacs {
    /// How an MLP is counted.
    pub mlp: MlpConvention,
    /// On image tokens alone.
    pub visual: f64,
    /// The same without pruning.
    pub unpruned_visual: f64,
    /// On the whole sequence, scoring included.
    pub sequence: f64,
    /// The same without pruning.
    pub unpruned_sequence: f64,
    /// Of scoring alone, contained in `sequence`.
    pub scoring: f64,
}

impl CountedMacs {
    /// FLOPs on image tokens alone.
    pub fn visual_flops(&self) -> f64 {
        FLOPS_PER_MAC * self.visual
    }

    /// FLOPs on the whole sequence, scoring included.
    pub fn sequence_flops(&self) -> f64 {
        FLOPS_PER_MAC * self.sequence
    }

    /// Share of the unpruned MACs on the whole sequence.
    pub fn sequence_ratio(&self) -> f64 {
        self.sequence / self.unpruned_sequence
    }
}

/// Sums over samples.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    average_tokens: f64,
    visual: f64,
    unpruned_visual: f64,
    sequence: f64,
    unpruned_sequence: f64,
    scoring: f64,
    kv: f64,
    unpruned_kv: f64,
}

pub(crate) fn costs(run: &Run) -> Result<Vec<CountedCost>, BudgetError> {
    (0..run.spec.grid.cells.len())
        .map(|cell| cost(run, cell))
        .collect()
}

fn cost(run: &Run, index: usize) -> Result<CountedCost, BudgetError> {
    let cell = &run.spec.grid.cells[index];
    let mut n = 0;
    let mut sums = [Sums::default(); 2];
    for record in &run.records {
        let (Some(layout), Some(kept)) = (record.layout, num_kept(record, index)) else {
            continue;
        };
        n += 1;
        let rows = num_rows(record, &cell.method);
        for (sums, &mlp) in sums.iter_mut().zip(MlpConvention::ALL) {
            add(run, &cell.method, layout, kept, rows, mlp, sums)?;
        }
    }
    let mean = |value: f64| if n > 0 { value / n as f64 } else { 0.0 };
    Ok(CountedCost {
        cell: cell.id.clone(),
        n,
        average_visual_tokens: mean(sums[0].average_tokens),
        macs: sums
            .iter()
            .zip(MlpConvention::ALL)
            .map(|(sums, &mlp)| CountedMacs {
                mlp,
                visual: mean(sums.visual),
                unpruned_visual: mean(sums.unpruned_visual),
                sequence: mean(sums.sequence),
                unpruned_sequence: mean(sums.unpruned_sequence),
                scoring: mean(sums.scoring),
            })
            .collect(),
        kv_bytes: mean(sums[0].kv),
        unpruned_kv_bytes: mean(sums[0].unpruned_kv),
    })
}

/// Rows that a method scores from on a sample; those before the image see nothing of
/// it and needn't be computed.
fn num_rows(record: &SampleRecord, method: &Method) -> usize {
    let Some((query, layout)) = method.query_strategy().zip(record.layout) else {
        return 0;
    };
    let look = record
        .looks
        .iter()
        .find(|look| look.query_strategy == query);
    look.map_or(0, |look| {
        let rows = look.rows.iter();
        rows.filter(|&&row| row >= layout.num_system).count()
    })
}

fn add(
    run: &Run,
    method: &Method,
    layout: TokenLayout,
    kept: usize,
    rows: usize,
    mlp: MlpConvention,
    sums: &mut Sums,
) -> Result<(), BudgetError> {
    let model = &run.spec.model;
    let (shape, k) = (&model.shape.decoder, run.spec.config.prune_layer);
    let sequence = layout.sequence_len();
    // The image is left out from the first layer on, not from the one after K.
    let before = match method {
        Method::NoImage => 0,
        _ => layout.num_image,
    };
    let text = sequence - layout.num_image;
    let macs =
        |before: usize, after: usize| shape.prefill_macs(before as f64, after as f64, k, mlp);
    let kv = |before, after| shape.kv_bytes(before, after, k, model.bytes_per_value);
    let scoring = match rows {
        0 => 0.0,
        rows => shape.scoring_macs(rows, sequence, layout.num_image),
    };
    sums.average_tokens += match before {
        0 => 0.0,
        _ => average_visual_tokens(kept as f64, layout.num_image, shape.num_layers, k),
    };
    sums.visual += macs(before, kept)?;
    sums.unpruned_visual += macs(layout.num_image, layout.num_image)?;
    sums.sequence += macs(before + text, kept + text)? + scoring;
    sums.unpruned_sequence += macs(sequence, sequence)?;
    sums.scoring += scoring;
    sums.kv += kv(before + text, kept + text)? as f64;
    sums.unpruned_kv += kv(sequence, sequence)? as f64;
    Ok(())
}
