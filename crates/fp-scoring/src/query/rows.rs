//! Attention rows, and their combination into one row per head.

use fp_kernels::cpu::{combine_rows, row_totals};
use fp_kernels::{Element, Key};

use super::{QueryPlan, QueryStrategy, Weighting};
use crate::{QueryAudit, ScoringError, TokenLayout};

/// Layer K's attention from some query rows to the image, `[H, Q, N]`.
#[derive(Debug, Clone, Copy)]
pub struct AttentionRows<'a, T> {
    values: &'a [T],
    rows: &'a [usize],
    num_heads: usize,
    layout: TokenLayout,
    layer: Option<usize>,
    is_causal: bool,
}

impl<'a, T: Element> AttentionRows<'a, T> {
    /// Attention `[H, Q, N]` of Q `rows`, given as ascending positions in the sequence.
    ///
    /// # Errors
    /// Rows that are not ascending or lie outside the sequence, or a length other
    /// than H·Q·N.
    pub fn new(
        values: &'a [T],
        rows: &'a [usize],
        num_heads: usize,
        layout: TokenLayout,
    ) -> Result<Self, ScoringError> {
        let sequence_len = layout.sequence_len();
        let is_inside = rows.last().is_none_or(|&last| last < sequence_len);
        if !is_inside || !rows.is_sorted_by(|a, b| a < b) {
            return Err(ScoringError::InvalidRows {
                rows: rows.to_vec(),
                sequence_len,
            });
        }
        let expected = num_heads * rows.len() * layout.num_image;
        if values.len() != expected {
            let what = "attention [heads, rows, image tokens]";
            return Err(ScoringError::LengthMismatch {
                what,
                expected,
                got: values.len(),
            });
        }
        Ok(AttentionRows {
            values,
            rows,
            num_heads,
            layout,
            layer: None,
            is_causal: false,
        })
    }

    /// As [`Self::new`], for a model with a causal mask: rows before the image may be omitted,
    /// since they are zero.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn causal(
        values: &'a [T],
        rows: &'a [usize],
        num_heads: usize,
        layout: TokenLayout,
    ) -> Result<Self, ScoringError> {
        Ok(AttentionRows {
            is_causal: true,
            ..Self::new(values, rows, num_heads, layout)?
        })
    }

    /// Sets the layer, counted from 1, for error messages.
    #[must_use]
    pub fn with_layer(self, layer: usize) -> Self {
        AttentionRows {
            layer: Some(layer),
            ..self
        }
    }

    /// H.
    pub fn num_heads(&self) -> usize {
        self.num_heads
    }

    /// The rows, as ascending positions in the sequence.
    pub fn rows(&self) -> &'a [usize] {
        self.rows
    }

    /// The values, `[H, Q, N]`.
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    /// Position of the image.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// The values and rows restricted to some image tokens, ascending: their columns `[H, Q',
    /// tokens]`. Rows of other image tokens are dropped; the remaining rows are at their
    /// positions in the sequence without those tokens.
    pub(crate) fn of_tokens(&self, tokens: &[usize]) -> (Vec<T>, Vec<usize>) {
        let (image, num_gone) = (
            self.layout.image_range(),
            self.layout.num_image - tokens.len(),
        );
        let row_left = |row: usize| {
            if row < image.start {
                Some(row)
            } else if row < image.end {
                let index = tokens.binary_search(&(row - image.start)).ok()?;
                Some(image.start + index)
            } else {
                Some(row - num_gone)
            }
        };
        let left: Vec<Option<usize>> = self.rows.iter().map(|&row| row_left(row)).collect();
        let rows = self.values.chunks(self.layout.num_image.max(1));
        let is_left = left.iter().cycle().map(Option::is_some);
        let values = rows
            .zip(is_left)
            .filter(|(_, is_left)| *is_left)
            .flat_map(|(row, _)| tokens.iter().map(|&token| row[token]));
        (values.collect(), left.iter().flatten().copied().collect())
    }

    /// The same with other values, rows and layout.
    pub(crate) fn replaced<'b>(
        &self,
        values: &'b [T],
        rows: &'b [usize],
        layout: TokenLayout,
    ) -> Result<AttentionRows<'b, T>, ScoringError> {
        let replaced = AttentionRows::new(values, rows, self.num_heads, layout)?;
        Ok(AttentionRows {
            layer: self.layer,
            is_causal: self.is_causal,
            ..replaced
        })
    }

    /// Layer K, if it was set.
    pub(crate) fn layer(&self) -> Option<usize> {
        self.layer
    }

    /// Combines the rows to one per head, `[H, N]`, by `strategy`; also returns the rows that it
    /// read.
    pub(crate) fn combine(
        &self,
        strategy: QueryStrategy,
    ) -> Result<(Vec<f64>, QueryAudit), ScoringError> {
        let plan = strategy.plan(&self.layout)?;
        let positions = self.positions(&plan)?;
        for &row in positions.iter().flatten() {
            self.check_row(row)?;
        }
        let weights = self.weights(&plan, &positions)?;
        let picks: Vec<(usize, f64)> = positions
            .iter()
            .zip(&weights)
            .filter_map(|(position, &weight)| position.map(|row| (row, weight)))
            .filter(|(_, weight)| *weight != 0.0)
            .collect();
        let combined = if picks.is_empty() {
            vec![0.0; self.num_heads * self.layout.num_image]
        } else {
            let (rows, tokens) = (self.rows.len(), self.layout.num_image);
            combine_rows(self.values, self.num_heads, rows, tokens, &picks)?
        };
        Ok((
            combined,
            QueryAudit {
                strategy,
                branch: plan.branch,
                rows: plan.rows,
                weights,
            },
        ))
    }

    /// Index in `values` of each row of the plan; `None` for a row that is zero under the causal
    /// mask.
    fn positions(&self, plan: &QueryPlan) -> Result<Vec<Option<usize>>, ScoringError> {
        let find = |&row: &usize| match self.rows.binary_search(&row) {
            Ok(position) => Ok(Some(position)),
            Err(_) if self.is_causal && row < self.layout.num_system => Ok(None),
            Err(_) => Err(ScoringError::MissingRow {
                row,
                given: self.rows.to_vec(),
            }),
        };
        plan.rows.iter().map(find).collect()
    }

    fn weights(
        &self,
        plan: &QueryPlan,
        positions: &[Option<usize>],
    ) -> Result<Vec<f64>, ScoringError> {
        if let Weighting::Fixed(weights) = &plan.weighting {
            return Ok(weights.clone());
        }
        let all = if self.rows.is_empty() {
            Vec::new()
        } else {
            row_totals(
                self.values,
                self.num_heads,
                self.rows.len(),
                self.layout.num_image,
            )?
        };
        let totals: Vec<f64> = positions
            .iter()
            .map(|position| position.map_or(0.0, |row| all[row]))
            .collect();
        let max = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Ok(match plan.weighting {
            Weighting::LargestTotal => {
                let largest = totals.iter().position(|&total| total == max);
                (0..totals.len())
                    .map(|i| f64::from(u8::from(Some(i) == largest)))
                    .collect()
            }
            _ => {
                let exponentials: Vec<f64> = totals.iter().map(|t| (t - max).exp()).collect();
                let sum: f64 = exponentials.iter().sum();
                exponentials.iter().map(|e| e / sum).collect()
            }
        })
    }

    /// Checks a row for values that no softmax produces, which a weighted sum would hide.
    fn check_row(&self, row: usize) -> Result<(), ScoringError> {
        let n = self.layout.num_image;
        for head in 0..self.num_heads {
            let values = &self.values[(head * self.rows.len() + row) * n..][..n];
            let keys = T::to_keys(values);
            let is_valid = |key: &T::Key| (0.0..=f64::MAX).contains(&key.widen());
            if let Some(token) = keys.iter().position(|key| !is_valid(key)) {
                return Err(ScoringError::InvalidAttention {
                    layer: self.layer,
                    head,
                    row: Some(self.rows[row]),
                    token,
                    value: keys[token].widen(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[track_caller]
pub(super) fn check_weights(
    strategy: QueryStrategy,
    layout: TokenLayout,
    rows: &[usize],
    attention: &[f64],
    weights: &[f64],
) {
    let attention = AttentionRows::new(attention, rows, 1, layout).unwrap();
    let (_, audit) = attention.combine(strategy).unwrap();
    assert_eq!(audit.rows, rows);
    for (got, expected) in audit.weights.iter().zip(weights) {
        assert!(
            (got - expected).abs() < 1e-15,
            "{got} instead of {expected}"
        );
    }
}
