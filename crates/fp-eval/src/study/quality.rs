//! Token quality that can be measured only while the model's values are available: concentration of
//! attention and diversity of kept tokens.

use std::collections::HashMap;

use fp_data::metric::token_quality::{
    AttentionOverlap, Concentration, CoverageGrid, Diversity, DiversityOptions,
};
use fp_model::{ImageFeatures, ModelError};
use fp_scoring::{KeptTokens, QueryStrategy, Selection};

use super::config::TokenDiversity;
use super::record::{AttentionRecord, DiversityRecord};

/// Share of the mass held by the nucleus whose size is recorded.
const NUCLEUS: f64 = 0.9;

/// Number of the node, and the query strategy.
type LookedFrom = (usize, QueryStrategy);

/// Descriptions of attention, made once for all cells that average the same heads.
#[derive(Debug, Default)]
pub(crate) struct Attentions {
    known: HashMap<(LookedFrom, Vec<usize>), Option<AttentionRecord>>,
}

impl Attentions {
    /// Describes the importance by which a selection was made; `None` if its sum is zero.
    pub(crate) fn of(
        &mut self,
        looked_from: LookedFrom,
        selection: &Selection,
        evidence: Option<&CoverageGrid>,
    ) -> Option<AttentionRecord> {
        let key = (looked_from, selection.selected_heads.clone());
        let describe = || describe(&selection.token_importance, evidence);
        self.known.entry(key).or_insert_with(describe).clone()
    }
}

fn describe(importance: &[f64], evidence: Option<&CoverageGrid>) -> Option<AttentionRecord> {
    let concentration = Concentration::new(importance).ok()?;
    let total: f64 = importance.iter().sum();
    let attention: Vec<f64> = importance.iter().map(|value| value / total).collect();
    let overlap = evidence.and_then(|grid| AttentionOverlap::new(grid, &attention).ok()?);
    let ratio =
        evidence.and_then(|grid| AttentionOverlap::ratio_to_same_size(grid, &attention).ok()?);
    Some(AttentionRecord {
        entropy: concentration.entropy as f32,
        gini: concentration.gini as f32,
        max: concentration.max as f32,
        nucleus: concentration.num_for_mass(NUCLEUS),
        box_mass: overlap.map(|overlap| overlap.mass as f32),
        box_ratio: ratio.map(|ratio| ratio as f32),
        is_pointing_hit: overlap.map(|overlap| overlap.pointing_hit),
    })
}

/// The projector's output for one image, prepared for comparing tokens.
#[derive(Debug)]
pub(crate) struct TokenFeatures {
    /// `[N, D]`.
    rows: Vec<Vec<f64>>,
    /// Cosines of all pairs, `[N, N]`; empty if some token has length zero.
    cosines: Vec<f64>,
    has_ranks: bool,
}

impl TokenFeatures {
    /// `None` if the study doesn't measure diversity.
    pub(crate) fn new(
        features: &ImageFeatures,
        diversity: TokenDiversity,
    ) -> Result<Option<TokenFeatures>, ModelError> {
        if diversity == TokenDiversity::None {
            return Ok(None);
        }
        let values = features.embeds().to_dtype(candle_core::DType::F32)?;
        let rows: Vec<Vec<f64>> = values
            .to_vec2::<f32>()?
            .into_iter()
            .map(|row| row.into_iter().map(f64::from).collect())
            .collect();
        Ok(Some(TokenFeatures {
            cosines: cosines(&rows),
            rows,
            has_ranks: diversity == TokenDiversity::Full,
        }))
    }

    /// N, the number of tokens.
    pub(crate) fn num_tokens(&self) -> usize {
        self.rows.len()
    }

    /// Diversity of the kept tokens; `None` for fewer than two.
    pub(crate) fn diversity(&self, kept: &KeptTokens) -> Option<DiversityRecord> {
        let kept = kept.as_slice();
        if kept.len() < 2 || self.cosines.is_empty() {
            return None;
        }
        let n = self.rows.len();
        let mut nearest = vec![f64::NEG_INFINITY; kept.len()];
        let (mut sum, mut largest) = (0.0, f64::NEG_INFINITY);
        for i in 1..kept.len() {
            for j in 0..i {
                let cosine = self.cosines[kept[i] * n + kept[j]];
                nearest[i] = nearest[i].max(cosine);
                nearest[j] = nearest[j].max(cosine);
                sum += cosine;
                largest = largest.max(cosine);
            }
        }
        let coverage = (0..n).map(|token| {
            let to_kept = kept.iter().map(|kept| self.cosines[token * n + kept]);
            to_kept.fold(f64::NEG_INFINITY, f64::max)
        });
        let num_pairs = (kept.len() * (kept.len() - 1) / 2) as f64;
        let ranks = self.has_ranks.then(|| self.ranks(kept)).flatten();
        Some(DiversityRecord {
            mean_cosine_distance: (1.0 - sum / num_pairs) as f32,
            min_cosine_distance: (1.0 - largest) as f32,
            redundancy: (nearest.iter().sum::<f64>() / kept.len() as f64) as f32,
            coverage: (coverage.sum::<f64>() / n as f64) as f32,
            effective_rank: ranks.map(|ranks| ranks.effective_rank as f32),
            vendi: ranks.map(|ranks| ranks.vendi as f32),
            log_det_plus_identity: ranks.map(|ranks| ranks.log_det_plus_identity as f32),
        })
    }

    fn ranks(&self, kept: &[usize]) -> Option<Diversity> {
        let features: Vec<Vec<f64>> = kept.iter().map(|&token| self.rows[token].clone()).collect();
        let options = DiversityOptions {
            has_all_ranks: false,
        };
        Diversity::new(&features, options).ok()
    }
}

/// Cosines of all pairs of rows; empty if some row has length zero.
fn cosines(rows: &[Vec<f64>]) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let unit: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            let length = dot(row, row).sqrt();
            row.iter().map(|value| value / length).collect()
        })
        .collect();
    let n = rows.len();
    let mut cosines = vec![1.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let cosine = dot(&unit[i], &unit[j]);
            cosines[i * n + j] = cosine;
            cosines[j * n + i] = cosine;
        }
    }
    if cosines.iter().all(|cosine| cosine.is_finite()) {
        cosines
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use fp_data::metric::token_quality::coverage_of_all;

    use super::*;

    #[test]
    fn cosines_give_what_the_metric_gives() {
        let rows: Vec<Vec<f64>> = (0..9)
            .map(|i| {
                (0..5)
                    .map(|j| f64::from((i * 7 + j * 3) % 11) - 4.5)
                    .collect()
            })
            .collect();
        let features = TokenFeatures {
            cosines: cosines(&rows),
            rows: rows.clone(),
            has_ranks: true,
        };
        let kept = KeptTokens::new(vec![0, 2, 3, 8], 9).unwrap();
        let found = features.diversity(&kept).unwrap();
        let chosen: Vec<Vec<f64>> = kept.as_slice().iter().map(|&i| rows[i].clone()).collect();
        let options = DiversityOptions {
            has_all_ranks: false,
        };
        let expected = Diversity::new(&chosen, options).unwrap();
        for (found, expected) in [
            (found.mean_cosine_distance, expected.mean_cosine_distance),
            (found.min_cosine_distance, expected.min_cosine_distance),
            (found.redundancy, expected.redundancy),
            (
                found.coverage,
                coverage_of_all(&rows, kept.as_slice()).unwrap(),
            ),
            (found.effective_rank.unwrap(), expected.effective_rank),
            (found.vendi.unwrap(), expected.vendi),
        ] {
            assert!(
                (f64::from(found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
        assert_eq!(
            features.diversity(&KeptTokens::new(vec![3], 9).unwrap()),
            None
        );
    }

    #[test]
    fn a_token_without_length_has_no_cosine() {
        assert!(cosines(&[vec![0.0, 0.0], vec![1.0, 0.0]]).is_empty());
    }

    #[test]
    fn attention_by_hand() {
        let record = describe(&[0.1, 0.3, 0.0, 0.0], None).unwrap();
        assert!((record.max - 0.75).abs() < 1e-6);
        assert_eq!((record.nucleus, record.box_mass), (2, None));
        assert_eq!(describe(&[0.0, 0.0], None), None);
    }
}
