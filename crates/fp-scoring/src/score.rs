//! From attention to kept tokens.

use std::collections::HashMap;

use fp_kernels::cpu::{token_importance, top_r};
use fp_kernels::{Element, Key, Keys};
use rayon::prelude::*;

use crate::audit::{CutAudit, QueryAudit, SelectionAudit};
use crate::head::{HeadContext, HeadScores};
use crate::{
    AttentionRows, BudgetError, HeadCount, HeadStrategy, KeptTokens, Normalization, QueryStrategy,
    ScoringError,
};

/// One attention row per head over the image tokens, `[H, N]`.
#[derive(Debug, Clone, Copy)]
pub struct ImageAttention<'a, T> {
    values: &'a [T],
    num_heads: usize,
    num_image_tokens: usize,
    layer: Option<usize>,
}

impl<'a, T: Element> ImageAttention<'a, T> {
    /// Attention `[H, N]`, row-major.
    ///
    /// # Errors
    /// No head, no token, or a length other than H·N.
    pub fn new(
        values: &'a [T],
        num_heads: usize,
        num_image_tokens: usize,
    ) -> Result<Self, ScoringError> {
        let expected = num_heads.saturating_mul(num_image_tokens);
        if expected == 0 || values.len() != expected {
            return Err(ScoringError::LengthMismatch {
                what: "attention [heads, image tokens]",
                expected: expected.max(1),
                got: values.len(),
            });
        }
        Ok(ImageAttention {
            values,
            num_heads,
            num_image_tokens,
            layer: None,
        })
    }

    /// Sets the layer, counted from 1, for error messages.
    #[must_use]
    pub fn with_layer(self, layer: usize) -> Self {
        ImageAttention {
            layer: Some(layer),
            ..self
        }
    }
}

/// Options of a selection besides its strategies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectOptions {
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// h.
    pub num_selected_heads: HeadCount,
    /// R.
    pub kept: usize,
    /// Continue even if no head has any attention to the image.
    pub allow_degenerate: bool,
}

/// The selection of one head strategy for one sample.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Selection {
    /// The strategy.
    pub head_strategy: HeadStrategy,
    /// h.
    pub num_selected_heads: usize,
    /// `[H]`, higher is better; −∞ for a head without mass under `l1` and for a head that isn't a
    /// candidate of `hierarchical`.
    pub head_scores: Vec<f64>,
    /// `[h]`, ascending.
    pub selected_heads: Vec<usize>,
    /// `[N]`, mean attention over the selected heads.
    pub token_importance: Vec<f64>,
    /// `[R]`, ascending.
    pub kept_tokens: KeptTokens,
    /// What decided it.
    pub audit: SelectionAudit,
}

/// Combines query rows `[H, Q, N]` to one row per head `[H, N]`, and returns the rows that the
/// strategy read.
///
/// # Errors
/// A required row that is missing, or a value that no softmax produces.
pub fn image_attention<T: Element>(
    rows: &AttentionRows<'_, T>,
    strategy: QueryStrategy,
) -> Result<(Vec<f64>, QueryAudit), ScoringError> {
    rows.combine(strategy)
}

/// Selects with one query strategy and one head strategy.
///
/// # Errors
/// As [`image_attention`] and [`score_all`].
pub fn select<T: Element>(
    rows: &AttentionRows<'_, T>,
    head: HeadStrategy,
    query: QueryStrategy,
    options: &SelectOptions,
) -> Result<Selection, ScoringError> {
    let (values, audit) = image_attention(rows, query)?;
    let n = rows.layout().num_image;
    let mut selection = score_sample(&values, rows.num_heads(), n, &[head], options)
        .map_err(|error| error.in_layer(rows.layer()).naming_rows(&audit.rows))?
        .remove(0);
    selection.audit.query = Some(audit);
    Ok(selection)
}

/// Selects with each of `strategies` on the same rows. Statistics are computed once for all, and
/// strategies that select the same heads share the remaining work.
///
/// # Errors
/// A value that no softmax produces, no mass in any head (unless allowed), or an
/// impossible h or R.
pub fn score_all<T: Element>(
    attention: &ImageAttention<'_, T>,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Selection>, ScoringError> {
    let (heads, tokens) = (attention.num_heads, attention.num_image_tokens);
    score_sample(
        &T::to_keys(attention.values),
        heads,
        tokens,
        strategies,
        options,
    )
    .map_err(|error| error.in_layer(attention.layer))
}

/// [`score_all`] for each sample of a batch `[B, H, N]`, in parallel; the result of a sample
/// depends neither on the batch nor on the number of threads.
///
/// # Errors
/// As [`score_all`], for the first sample that fails, with its index.
pub fn score_batch<T: Element>(
    values: &[T],
    batch_size: usize,
    num_heads: usize,
    num_image_tokens: usize,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Vec<Selection>>, ScoringError> {
    let sample_len = num_heads * num_image_tokens;
    if sample_len == 0 || values.len() != batch_size * sample_len {
        return Err(ScoringError::LengthMismatch {
            what: "attention [batch, heads, image tokens]",
            expected: (batch_size * sample_len).max(1),
            got: values.len(),
        });
    }
    let outcomes: Vec<_> = values
        .par_chunks(sample_len)
        .map(|sample| {
            let keys = T::to_keys(sample);
            score_sample(&keys, num_heads, num_image_tokens, strategies, options)
        })
        .collect();
    outcomes
        .into_iter()
        .enumerate()
        .map(|(sample, outcome)| {
            outcome.map_err(|source| ScoringError::Sample {
                sample,
                source: Box::new(source),
            })
        })
        .collect()
}

fn score_sample<K: Key>(
    keys: &[K],
    num_heads: usize,
    num_image_tokens: usize,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Selection>, ScoringError> {
    let shape = [num_heads, num_image_tokens];
    score_keys(K::keys(keys), shape, strategies, options)
}

/// Not generic, so that this crate compiles the scoring of both types: generic code is compiled by
/// the crate that calls it, in the Python package for size instead of speed.
fn score_keys(
    keys: Keys<'_>,
    shape: [usize; 2],
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Selection>, ScoringError> {
    match keys {
        Keys::F32(keys) => score_values(keys, shape, strategies, options),
        Keys::F64(keys) => score_values(keys, shape, strategies, options),
    }
}

fn score_values<K: Key + Element<Key = K>>(
    keys: &[K],
    [num_heads, num_image_tokens]: [usize; 2],
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<Vec<Selection>, ScoringError> {
    let num_selected_heads = options.num_selected_heads.resolve(num_heads)?;
    if options.kept == 0 || options.kept > num_image_tokens {
        return Err(ScoringError::Budget(BudgetError::Kept {
            budget: format!("kept = {}", options.kept),
            kept: options.kept as f64,
            num_image_tokens,
        }));
    }
    let order_statistics = strategies
        .iter()
        .any(|strategy| strategy.needs_order_statistics());
    let heads = HeadContext::new(
        keys,
        num_heads,
        num_image_tokens,
        options.normalization,
        order_statistics,
    )?;
    let zero_mass_heads: Vec<usize> = (0..num_heads)
        .filter(|&head| heads.statistics()[head].sum == 0.0)
        .collect();
    if zero_mass_heads.len() == num_heads && !options.allow_degenerate {
        return Err(ScoringError::NoAttention { rows: Vec::new() });
    }
    // Strategies often agree on the heads, and then on everything after.
    let mut by_heads: HashMap<Vec<usize>, TokenChoice> = HashMap::new();
    let mut selections = Vec::with_capacity(strategies.len());
    for &strategy in strategies {
        let scores = strategy.scores(&heads, num_selected_heads)?;
        let choice = HeadChoice::new(scores, num_selected_heads)?;
        if !by_heads.contains_key(&choice.selected) {
            let importance = token_importance(keys, num_heads, num_image_tokens, &choice.selected)?;
            let tokens = TokenChoice::new(importance, options.kept)?;
            by_heads.insert(choice.selected.clone(), tokens);
        }
        let tokens = &by_heads[&choice.selected];
        selections.push(Selection {
            head_strategy: strategy,
            num_selected_heads,
            audit: SelectionAudit {
                is_head_score_constant: choice.is_constant(),
                head_cut: choice.cut,
                coarse_head_cut: choice.coarse_cut,
                token_cut: tokens.cut,
                zero_mass_heads: zero_mass_heads.clone(),
                nan_heads: choice.nan_heads,
                kept_tokens_hash: tokens.hash.clone(),
                query: None,
            },
            head_scores: choice.scores,
            selected_heads: choice.selected,
            token_importance: tokens.importance.clone(),
            kept_tokens: tokens.kept.clone(),
        });
    }
    Ok(selections)
}

/// The R most important tokens, and the cut between them and the rest.
struct TokenChoice {
    importance: Vec<f64>,
    kept: KeptTokens,
    cut: Option<CutAudit>,
    hash: String,
}

impl TokenChoice {
    fn new(importance: Vec<f64>, kept: usize) -> Result<Self, ScoringError> {
        let top = top_r(&importance, kept)?;
        let kept = KeptTokens::from_selection(top.kept);
        Ok(TokenChoice {
            cut: top.cut.map(|cut| CutAudit::new(cut, &importance)),
            hash: format!("{:016x}", kept.hash64()),
            kept,
            importance,
        })
    }
}

/// The h heads with the highest scores, and the cut between them and the rest.
struct HeadChoice {
    scores: Vec<f64>,
    selected: Vec<usize>,
    cut: Option<CutAudit>,
    coarse_cut: Option<CutAudit>,
    nan_heads: Vec<usize>,
}

impl HeadChoice {
    fn new(head_scores: HeadScores, num_selected_heads: usize) -> Result<Self, ScoringError> {
        let HeadScores {
            mut scores,
            coarse_cut,
        } = head_scores;
        let nan_heads: Vec<usize> = (0..scores.len())
            .filter(|&head| scores[head].is_nan())
            .collect();
        for &head in &nan_heads {
            scores[head] = f64::NEG_INFINITY;
        }
        let top = top_r(&scores, num_selected_heads)?;
        Ok(HeadChoice {
            selected: top.kept,
            cut: top.cut.map(|cut| CutAudit::new(cut, &scores)),
            coarse_cut: coarse_cut.map(|(cut, scores)| CutAudit::new(cut, &scores)),
            scores,
            nan_heads,
        })
    }

    fn is_constant(&self) -> bool {
        self.scores.windows(2).all(|pair| pair[0] == pair[1])
    }
}
