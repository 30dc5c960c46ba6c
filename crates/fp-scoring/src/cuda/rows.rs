//! Combines query rows on a GPU to one row per head.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView};
use fp_kernels::cuda::{self, CombineRows, CudaError, ErrorWord, QueryWeights, ScoreShape};

use super::allocate;
use crate::query::{QueryPlan, Weighting};
use crate::{QueryAudit, QueryStrategy, ScoringError, TokenLayout};

/// Layer K's attention of one sample on a GPU, `[H, Q, N]`, for a model with a causal mask.
#[derive(Debug)]
pub struct DeviceRows<'a> {
    /// `[H, Q, N]`.
    pub values: CudaView<'a, f32>,
    /// Positions in the sequence, ascending; rows before the image are omitted.
    pub rows: &'a [usize],
    /// H.
    pub num_heads: usize,
    /// Position of the image in the sequence.
    pub layout: TokenLayout,
}

/// One row per head on a GPU, `[H, N]`, and the rows that a strategy read.
#[derive(Debug)]
pub struct DeviceAttention {
    values: CudaSlice<f32>,
    audit: QueryAudit,
    /// Weights of the visible rows, if they depend on attention.
    weights: Option<CudaSlice<f64>>,
    num_unseen: usize,
    /// Whether one row gets all weight; ties go to the lower row.
    is_single: bool,
    error: ErrorWord,
    stream: Arc<CudaStream>,
}

impl DeviceAttention {
    /// `[H, N]`.
    pub fn values(&self) -> CudaView<'_, f32> {
        self.values.as_view()
    }

    /// Waits for the device and returns the rows that the strategy read.
    ///
    /// # Errors
    /// Attention that no softmax produces, or a GPU error.
    pub fn audit(&self) -> Result<QueryAudit, ScoringError> {
        self.error.check(&self.stream, "combining query rows")?;
        let mut audit = self.audit.clone();
        if let Some(weights) = &self.weights {
            let failed = |source| CudaError::Driver {
                op: "reading query weights",
                source,
            };
            audit.weights = vec![0.0; self.num_unseen];
            let seen = self.stream.clone_dtoh(weights).map_err(failed)?;
            // Masked rows have a total of 0: a softmax still gives it a weight, and if no total
            // is larger, 0 is the largest.
            let rest = (1.0 - seen.iter().sum::<f64>()).max(0.0);
            match (self.is_single, audit.weights.first_mut()) {
                (_, None) => {}
                (true, Some(first)) => *first = rest,
                (false, Some(_)) => audit.weights.fill(rest / self.num_unseen as f64),
            }
            audit.weights.extend(seen);
        }
        Ok(audit)
    }
}

/// As [`crate::image_attention`], on a GPU. Enqueues and returns.
///
/// # Errors
/// A required row that is missing, or a GPU error.
pub fn image_attention(
    stream: &Arc<CudaStream>,
    rows: &DeviceRows<'_>,
    strategy: QueryStrategy,
) -> Result<DeviceAttention, ScoringError> {
    let plan = strategy.plan(&rows.layout)?;
    let visible = visible_rows(rows, &plan)?;
    let shape = ScoreShape {
        batch_size: 1,
        num_heads: rows.num_heads,
        num_image_tokens: rows.layout.num_image,
    };
    let num_unseen = plan.rows.len() - visible.len();
    let mut attention = DeviceAttention {
        values: allocate(stream, rows.num_heads * rows.layout.num_image)?,
        weights: None,
        num_unseen,
        is_single: matches!(plan.weighting, Weighting::LargestTotal),
        error: ErrorWord::new(stream)?,
        stream: Arc::clone(stream),
        audit: QueryAudit {
            strategy,
            branch: plan.branch,
            rows: plan.rows,
            weights: Vec::new(),
        },
    };
    if visible.is_empty() {
        // Every row is masked: the values stay zero, as allocated. The weights then have no
        // effect, and are what the rule gives for equal totals.
        let num_rows = attention.audit.rows.len();
        attention.audit.weights = match plan.weighting {
            Weighting::Fixed(weights) => weights,
            Weighting::LargestTotal => (0..num_rows).map(|row| f64::from(row == 0)).collect(),
            Weighting::SoftmaxOfTotals => vec![1.0 / num_rows as f64; num_rows],
        };
        return Ok(attention);
    }
    // Weights that depend on attention are computed from these rows only.
    let chosen: Vec<usize> = visible.iter().map(|&index| rows.rows[index]).collect();
    let packed = match plan.weighting {
        Weighting::Fixed(_) => None,
        _ if visible.len() == rows.rows.len() => None,
        _ => Some(pack(stream, rows, &visible)?),
    };
    let alone = packed.as_ref().map(|values| DeviceRows {
        values: values.as_view(),
        rows: &chosen,
        num_heads: rows.num_heads,
        layout: rows.layout,
    });
    let rows = alone.as_ref().unwrap_or(rows);
    let weights = match plan.weighting {
        Weighting::Fixed(fixed) => {
            let mut spread = vec![0.0; rows.rows.len()];
            for (&index, weight) in visible.iter().zip(&fixed[num_unseen..]) {
                spread[index] = *weight;
            }
            attention.audit.weights = fixed;
            let failed = |source| CudaError::Driver {
                op: "query weights",
                source,
            };
            stream.clone_htod(&spread).map_err(failed)?
        }
        weighting => weigh(stream, rows, shape, &weighting, &mut attention)?,
    };
    cuda::combine_rows(
        stream,
        CombineRows {
            shape,
            num_rows: rows.rows.len(),
            rows: rows.values.slice(..),
            weights: weights.as_view(),
            attention: attention.values.as_view_mut(),
            error: &mut attention.error,
        },
    )?;
    if attention.audit.weights.is_empty() {
        attention.weights = Some(weights);
    }
    Ok(attention)
}

/// Copies the rows `chosen` (indices into the given rows) to a dense `[H, chosen, N]`.
fn pack(
    stream: &Arc<CudaStream>,
    rows: &DeviceRows<'_>,
    chosen: &[usize],
) -> Result<CudaSlice<f32>, ScoringError> {
    let num_image_tokens = rows.layout.num_image;
    let mut packed = allocate(stream, rows.num_heads * chosen.len() * num_image_tokens)?;
    cuda::take_rows(
        stream,
        [rows.num_heads, rows.rows.len(), num_image_tokens],
        &rows.values,
        chosen,
        &mut packed.as_view_mut(),
    )?;
    Ok(packed)
}

fn weigh(
    stream: &Arc<CudaStream>,
    rows: &DeviceRows<'_>,
    shape: ScoreShape,
    weighting: &Weighting,
    attention: &mut DeviceAttention,
) -> Result<CudaSlice<f64>, ScoringError> {
    let num_rows = rows.rows.len();
    let mut totals = allocate(stream, num_rows)?;
    let mut weights = allocate(stream, num_rows)?;
    cuda::query_weights(
        stream,
        QueryWeights {
            shape,
            num_rows,
            num_unseen_rows: attention.num_unseen,
            rows: rows.values.slice(..),
            weighting: match weighting {
                Weighting::LargestTotal => cuda::Weighting::LargestTotal,
                _ => cuda::Weighting::SoftmaxOfTotals,
            },
            totals: totals.as_view_mut(),
            weights: weights.as_view_mut(),
            error: &mut attention.error,
        },
    )?;
    Ok(weights)
}

/// Indices of the plan's rows among the given rows, without those before the image.
fn visible_rows(rows: &DeviceRows<'_>, plan: &QueryPlan) -> Result<Vec<usize>, ScoringError> {
    plan.rows
        .iter()
        .filter(|&&row| row >= rows.layout.num_system)
        .map(|&row| {
            rows.rows
                .binary_search(&row)
                .map_err(|_| ScoringError::MissingRow {
                    row,
                    given: rows.rows.to_vec(),
                })
        })
        .collect()
}
