//! From a layer's attention to kept tokens.

use std::sync::Arc;

use candle_core::Tensor;
use cudarc::driver::CudaStream;
use fp_kernels::cuda::ScoreShape;
use fp_scoring::cuda::{
    DeviceAttention, DeviceRows, DeviceSelections, image_attention, score_batch,
};
use fp_scoring::{
    HeadStrategy, QueryAudit, QueryStrategy, ScoringError, SelectOptions, Selection, TokenLayout,
};

use super::{cuda_device, view};
use crate::error::{ModelError, Result};

/// The attention of some query rows to the image in one layer, on a GPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerAttention<'a> {
    /// `[H, Q, N]` in `f32`.
    pub(crate) values: &'a Tensor,
    /// Positions of the Q rows in the sequence, ascending.
    pub(crate) rows: &'a [usize],
    /// H.
    pub(crate) num_heads: usize,
    /// Token ranges of system, image and text.
    pub(crate) layout: TokenLayout,
}

/// Combined attention, one row per head, on a GPU.
#[derive(Debug)]
pub(crate) struct DeviceCombined {
    attention: DeviceAttention,
    shape: ScoreShape,
    stream: Arc<CudaStream>,
}

impl LayerAttention<'_> {
    /// Combines the rows into one per head. Enqueues the work without waiting.
    ///
    /// # Errors
    /// Those of [`fp_scoring::image_attention`], and a GPU that fails.
    pub(crate) fn combine(&self, query: QueryStrategy) -> Result<DeviceCombined> {
        let stream = cuda_device(self.values)?.cuda_stream();
        let (storage, _) = self.values.storage_and_layout();
        let rows = DeviceRows {
            values: view::<f32>(&storage, self.values)?,
            rows: self.rows,
            num_heads: self.num_heads,
            layout: self.layout,
        };
        let attention = image_attention(&stream, &rows, query)?;
        Ok(DeviceCombined {
            attention,
            shape: ScoreShape {
                batch_size: 1,
                num_heads: self.num_heads,
                num_image_tokens: self.layout.num_image,
            },
            stream,
        })
    }

    /// The selection by one pair of strategies; errors name the row.
    ///
    /// # Errors
    /// Those of [`fp_scoring::select`], and a GPU that fails.
    pub(crate) fn select(
        &self,
        head: HeadStrategy,
        query: QueryStrategy,
        options: &SelectOptions,
    ) -> Result<Selection> {
        let combined = self.combine(query)?;
        let scored = combined
            .score(std::iter::once((&[head][..], options)))
            .pop();
        let audit = combined.audit()?;
        let mut selection = scored
            .ok_or_else(|| nothing("outcomes"))?
            .map_err(|error| match error {
                ModelError::Scoring(error) => alone(error, &audit.rows).into(),
                other => other,
            })?
            .pop()
            .ok_or_else(|| nothing("selections"))?;
        selection.audit.query = Some(audit);
        Ok(selection)
    }
}

impl DeviceCombined {
    /// The selections by each request's head strategies, one per strategy. All requests are
    /// enqueued before the first result is read.
    pub(crate) fn score<'a>(
        &self,
        requests: impl Iterator<Item = (&'a [HeadStrategy], &'a SelectOptions)>,
    ) -> Vec<Result<Vec<Selection>>> {
        let enqueued: Vec<_> = requests
            .map(|(strategies, options)| {
                let values = self.attention.values();
                score_batch(&self.stream, &values, self.shape, strategies, options)
            })
            .collect();
        // All results are copied to the host at once.
        let waiting: Vec<_> = enqueued
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .collect();
        let mut outcomes = DeviceSelections::read_all(&waiting).into_iter();
        enqueued
            .iter()
            .map(|one| {
                if let Err(error) = one {
                    return Err(error.clone().into());
                }
                let outcome = outcomes.next().ok_or_else(|| nothing("outcomes"))?;
                outcome?.pop().ok_or_else(|| nothing("selections"))
            })
            .collect()
    }

    pub(crate) fn audit(&self) -> Result<QueryAudit> {
        Ok(self.attention.audit()?)
    }
}

fn nothing(what: &'static str) -> ModelError {
    ModelError::InputValue {
        what,
        found: "0".to_owned(),
        expected: "1".to_owned(),
    }
}

/// Converts an error of a batch of one, naming the rows that were read.
fn alone(error: ScoringError, rows: &[usize]) -> ScoringError {
    match error {
        ScoringError::Sample { source, .. } => match *source {
            ScoringError::NoAttention { .. } => ScoringError::NoAttention {
                rows: rows.to_vec(),
            },
            other => other,
        },
        other => other,
    }
}
