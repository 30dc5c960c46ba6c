//! Heads that are fixed in advance, for all samples.
//!
//! importance = Σ_h w_h · a_h / Σ_h w_h over the heads with a weight, where a_h is the head's
//! attention row as combined by the query strategy; the R most important tokens are kept, ties to
//! the lower index. With equal weights this is the mean over those heads, as computed for the
//! heads that a head strategy selects. This is HAWK's form.

use std::sync::Arc;

use fp_kernels::cpu::{token_importance, top_r};

use crate::{
    AttentionNeed, Evidence, KeptTokens, MethodCard, Needs, Plan, PlanError, PlanSetting,
    PruningMethod, QueryStrategy, ScoringError, SelectError, Selected, Selector, TokenLayout,
    TokenSelection, image_attention,
};

/// A fixed weight per head.
#[derive(Debug, Clone)]
pub struct FixedHeads {
    name: String,
    /// Heads and their weights, all above 0.
    weights: Arc<[(usize, f64)]>,
    /// H, if every head was given a weight.
    num_heads: Option<usize>,
}

impl FixedHeads {
    /// Equal weights for a list of heads.
    ///
    /// # Errors
    /// An empty list, or a duplicate head.
    pub fn of_heads(name: &str, heads: &[usize]) -> Result<FixedHeads, PlanError> {
        FixedHeads::new(name, heads.iter().map(|&head| (head, 1.0)).collect())
    }

    /// A weight for every head, `[H]`; heads of weight 0 are ignored.
    ///
    /// # Errors
    /// A weight that is negative or not finite, or none above 0.
    pub fn of_weights(name: &str, weights: &[f64]) -> Result<FixedHeads, PlanError> {
        if let Some(head) = weights
            .iter()
            .position(|weight| !(0.0..=f64::MAX).contains(weight))
        {
            let weight = weights[head];
            return Err(setting(
                name,
                format!("the weight of head {head} is {weight}"),
            ));
        }
        let each = weights.iter().copied().enumerate();
        let counted = each.filter(|(_, weight)| *weight > 0.0).collect();
        Ok(FixedHeads {
            num_heads: Some(weights.len()),
            ..FixedHeads::new(name, counted)?
        })
    }

    fn new(name: &str, mut weights: Vec<(usize, f64)>) -> Result<FixedHeads, PlanError> {
        weights.sort_by_key(|(head, _)| *head);
        if weights.is_empty() {
            return Err(setting(name, "no head is given".to_owned()));
        }
        if let Some(pair) = weights.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(setting(name, format!("head {} is listed twice", pair[0].0)));
        }
        Ok(FixedHeads {
            name: name.to_owned(),
            weights: weights.into(),
            num_heads: None,
        })
    }
}

fn setting(method: &str, reason: String) -> PlanError {
    PlanError::Setting {
        method: method.to_owned(),
        reason,
    }
}

impl PruningMethod for FixedHeads {
    fn name(&self) -> &str {
        &self.name
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "the weighted mean over heads that are fixed beforehand",
            source: "HAWK's form of head selection",
        }
    }

    fn takes_query(&self) -> bool {
        true
    }

    fn plan(&self, setting_of: &PlanSetting) -> Result<Plan, PlanError> {
        let num_heads = setting_of.shape.num_heads;
        if let Some((head, _)) = self.weights.iter().find(|(head, _)| *head >= num_heads) {
            let reason = format!("head {head} is not below the model's {num_heads} heads");
            return Err(setting(&self.name, reason));
        }
        if let Some(given) = self.num_heads.filter(|given| *given != num_heads) {
            let reason = format!("{given} weights for a model of {num_heads} heads");
            return Err(setting(&self.name, reason));
        }
        setting_of.staged(Arc::new(WeightedMean {
            weights: Arc::clone(&self.weights),
            query_strategy: setting_of.query_strategy,
            allow_degenerate: setting_of.allow_degenerate,
        }))
    }
}

#[derive(Debug)]
struct WeightedMean {
    weights: Arc<[(usize, f64)]>,
    query_strategy: QueryStrategy,
    allow_degenerate: bool,
}

impl WeightedMean {
    /// Importance `[N]` from attention `[H, N]`.
    fn importance(&self, rows: &[f64], num_tokens: usize) -> Result<Vec<f64>, ScoringError> {
        let first = self.weights.first().map(|(_, weight)| *weight);
        if self
            .weights
            .iter()
            .all(|(_, weight)| Some(*weight) == first)
        {
            let heads: Vec<usize> = self.weights.iter().map(|(head, _)| *head).collect();
            return Ok(token_importance(
                rows,
                rows.len() / num_tokens,
                num_tokens,
                &heads,
            )?);
        }
        let mut importance = vec![0.0; num_tokens];
        for (head, weight) in self.weights.iter() {
            let row = &rows[head * num_tokens..(head + 1) * num_tokens];
            for (sum, value) in importance.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        let total: f64 = self.weights.iter().map(|(_, weight)| weight).sum();
        importance.iter_mut().for_each(|sum| *sum /= total);
        Ok(importance)
    }
}

impl Selector for WeightedMean {
    fn needs(&self) -> Needs {
        Needs {
            attention: Some(AttentionNeed::Here),
            ..Needs::default()
        }
    }

    fn query_rows(&self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        self.query_strategy.rows_needed(layout)
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let (rows, audit) = image_attention(evidence.attention()?, self.query_strategy)?;
        let importance = self.importance(&rows, evidence.num_tokens())?;
        if importance.iter().all(|value| *value == 0.0) && !self.allow_degenerate {
            return Err(ScoringError::NoAttention { rows: audit.rows }.into());
        }
        let kept = top_r(&importance, kept).map_err(ScoringError::from)?.kept;
        Ok(TokenSelection::from(&KeptTokens::from_selection(kept)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionRows, HeadCount, HeadStrategy, Normalization, SelectOptions, select};

    const LAYOUT: TokenLayout = TokenLayout {
        num_system: 1,
        num_image: 4,
        num_text: 1,
    };

    fn chosen(method: &FixedHeads, values: &[f32], kept: usize) -> Vec<usize> {
        let rows = [5];
        let rows = AttentionRows::causal(values, &rows, 3, LAYOUT).unwrap();
        let places = [0, 1, 2, 3];
        let evidence = Evidence::new(LAYOUT, &places, 4, "a").with_attention(rows);
        let selector = WeightedMean {
            weights: Arc::clone(&method.weights),
            query_strategy: QueryStrategy::LastToken,
            allow_degenerate: false,
        };
        let selected = selector.select(&evidence, kept).unwrap();
        selected.selection.places().to_vec()
    }

    #[test]
    fn weights_by_hand() {
        #[rustfmt::skip]
        let values = [
            0.4, 0.0, 0.0, 0.1,
            0.0, 0.3, 0.0, 0.1,
            0.0, 0.0, 0.2, 0.1,
        ];
        let of = |heads: &[usize]| FixedHeads::of_heads("fixed", heads).unwrap();
        assert_eq!(chosen(&of(&[0]), &values, 2), [0, 3]);
        assert_eq!(chosen(&of(&[1, 2]), &values, 1), [1]);
        // 0.4, 0.9, 0.0, 0.4 over 4: a tie, which the lower index decides.
        let weighted = FixedHeads::of_weights("fixed", &[1.0, 3.0, 0.0]).unwrap();
        assert_eq!(chosen(&weighted, &values, 2), [0, 1]);
    }

    #[test]
    fn all_heads_alike_are_fastv() {
        let values: Vec<f32> = (0..12).map(|i| ((i * 7) % 11) as f32 / 20.0).collect();
        let rows = [5];
        let rows = AttentionRows::causal(&values, &rows, 3, LAYOUT).unwrap();
        let options = SelectOptions {
            normalization: Normalization::L1,
            num_selected_heads: HeadCount::All,
            kept: 2,
            allow_degenerate: false,
        };
        let fastv = select(&rows, HeadStrategy::Sum, QueryStrategy::LastToken, &options).unwrap();
        let all = FixedHeads::of_heads("fixed", &[2, 0, 1]).unwrap();
        assert_eq!(chosen(&all, &values, 2), fastv.kept_tokens.as_slice());
    }

    #[test]
    fn impossible_heads_are_refused() {
        let refused = |found: Result<FixedHeads, PlanError>| found.unwrap_err().to_string();
        assert!(refused(FixedHeads::of_heads("a", &[])).contains("no head"));
        assert!(refused(FixedHeads::of_heads("a", &[1, 1])).contains("twice"));
        assert!(refused(FixedHeads::of_weights("a", &[0.0])).contains("no head"));
        assert!(refused(FixedHeads::of_weights("a", &[f64::NAN])).contains("NaN"));
    }
}
