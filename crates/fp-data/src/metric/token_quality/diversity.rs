//! Diversity of the kept tokens' features.
//!
//! Reports should name the layer that the features come from; usually it is the projector's output.

use super::singular_values::{
    check_matrix, dot, effective_rank, exp_entropy, norm, singular_values,
};
use crate::metric::MetricError;

/// Added to the kernel's diagonal before its logarithmic determinant.
const EPSILON: f64 = 1e-3;

/// What to compute besides the pairwise distances; each costs a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiversityOptions {
    /// Effective ranks of raw and centred features.
    pub has_all_ranks: bool,
}

/// Measures over the features X of k kept tokens, `[k, d]`; x̂ is a row of length 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Diversity {
    /// Mean of 1 − x̂·ŷ over pairs.
    pub mean_cosine_distance: f64,
    /// The smallest distance, which DivPrune (arXiv 2503.02175) maximises.
    pub min_cosine_distance: f64,
    /// The largest distance.
    pub max_cosine_distance: f64,
    /// Mean Euclidean distance of raw features over pairs.
    pub mean_distance: f64,
    /// Mean over tokens of the largest cosine with another kept token.
    pub redundancy: f64,
    /// Effective rank of the row-normalised features; at most min(k, d).
    pub effective_rank: f64,
    /// Effective rank of the raw features, if requested.
    pub effective_rank_raw: Option<f64>,
    /// Effective rank of the centred features, if requested and the features are not all equal.
    pub effective_rank_centered: Option<f64>,
    /// Vendi score: exp of the entropy of the eigenvalues of x̂x̂ᵀ/k.
    pub vendi: f64,
    /// ln det(x̂x̂ᵀ + εI), ε = 0.001.
    pub log_det: f64,
    /// ln det(I + x̂x̂ᵀ), always finite.
    pub log_det_plus_identity: f64,
}

impl Diversity {
    /// Measures the features of the kept tokens, one row each.
    ///
    /// # Errors
    /// Fewer than two tokens, rows of different lengths, NaN, or a feature vector of length 0.
    pub fn new(features: &[Vec<f64>], options: DiversityOptions) -> Result<Self, MetricError> {
        check_matrix(features)?;
        if features.len() < 2 {
            return Err(MetricError::Undefined {
                what: "the diversity of tokens",
                reason: "it needs at least two",
            });
        }
        let unit = normalized(features)?;
        let k = features.len();
        let mut largest = vec![f64::NEG_INFINITY; k];
        let (mut cosines, mut distances) = (0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 1..k {
            for j in 0..i {
                let cosine = dot(&unit[i], &unit[j]);
                largest[i] = largest[i].max(cosine);
                largest[j] = largest[j].max(cosine);
                cosines += cosine;
                min = min.min(1.0 - cosine);
                max = max.max(1.0 - cosine);
                let squares = features[i]
                    .iter()
                    .zip(&features[j])
                    .map(|(a, b)| (a - b).powi(2));
                distances += squares.sum::<f64>().sqrt();
            }
        }
        let num_pairs = (k * (k - 1) / 2) as f64;
        let values = singular_values(&unit)?;
        let rank = |features: &[Vec<f64>]| effective_rank(&singular_values(features)?);
        Ok(Diversity {
            mean_cosine_distance: 1.0 - cosines / num_pairs,
            min_cosine_distance: min,
            max_cosine_distance: max,
            mean_distance: distances / num_pairs,
            redundancy: largest.iter().sum::<f64>() / k as f64,
            effective_rank: effective_rank(&values)?,
            effective_rank_raw: if options.has_all_ranks {
                Some(rank(features)?)
            } else {
                None
            },
            // Equal features become 0 when centred.
            effective_rank_centered: if options.has_all_ranks {
                rank(&centered(features)).ok()
            } else {
                None
            },
            vendi: exp_entropy(values.iter().map(|s| s * s / k as f64)),
            log_det: log_det(&values, k, EPSILON),
            log_det_plus_identity: log_det(&values, k, 1.0),
        })
    }
}

/// Mean over **all** tokens of the largest cosine with a kept one: how well the kept tokens
/// represent the others (facility location).
///
/// # Errors
/// As [`Diversity::new`]; no tokens, or a kept index out of range.
pub fn coverage_of_all(features: &[Vec<f64>], kept: &[usize]) -> Result<f64, MetricError> {
    check_matrix(features)?;
    let unit = normalized(features)?;
    let kept: Vec<&Vec<f64>> = kept
        .iter()
        .map(|&token| {
            unit.get(token).ok_or(MetricError::OutOfRange {
                name: "kept token",
                value: token as f64,
                expected: "an index below the number of tokens",
            })
        })
        .collect::<Result<_, _>>()?;
    if kept.is_empty() {
        return Err(MetricError::Empty {
            what: "kept tokens",
        });
    }
    let nearest = |token: &Vec<f64>| {
        let cosines = kept.iter().map(|kept| dot(token, kept));
        cosines.fold(f64::NEG_INFINITY, f64::max)
    };
    Ok(unit.iter().map(nearest).sum::<f64>() / unit.len() as f64)
}

/// ln det(XXᵀ + εI) of a `[k, d]` matrix with these singular values; those beyond min(k, d) are 0.
fn log_det(singular_values: &[f64], num_rows: usize, epsilon: f64) -> f64 {
    let of_values: f64 = singular_values.iter().map(|s| (s * s + epsilon).ln()).sum();
    of_values + (num_rows - singular_values.len()) as f64 * epsilon.ln()
}

fn normalized(features: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, MetricError> {
    features
        .iter()
        .map(|row| {
            let length = norm(row);
            if length > 0.0 {
                Ok(row.iter().map(|value| value / length).collect())
            } else {
                Err(MetricError::Undefined {
                    what: "a cosine",
                    reason: "a token's features are all 0",
                })
            }
        })
        .collect()
}

/// Features minus their mean over tokens.
fn centered(features: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let k = features.len() as f64;
    let width = features.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..width)
        .map(|j| features.iter().map(|row| row[j]).sum::<f64>() / k)
        .collect();
    let centre = |row: &Vec<f64>| row.iter().zip(&mean).map(|(x, m)| x - m).collect();
    features.iter().map(centre).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: DiversityOptions = DiversityOptions {
        has_all_ranks: true,
    };

    #[track_caller]
    fn check_close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() < 1e-12,
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn three_tokens_by_hand() {
        // Two orthogonal features and a repetition, of lengths 1, 2 and 3.
        let features = [vec![1.0, 0.0], vec![0.0, 2.0], vec![0.0, 3.0]];
        let measures = Diversity::new(&features, ALL).unwrap();
        check_close(measures.mean_cosine_distance, 2.0 / 3.0);
        assert_eq!(
            (measures.min_cosine_distance, measures.max_cosine_distance),
            (0.0, 1.0)
        );
        check_close(
            measures.mean_distance,
            (5.0_f64.sqrt() + 10.0_f64.sqrt() + 1.0) / 3.0,
        );
        check_close(measures.redundancy, 2.0 / 3.0);
        // Singular values of x̂: √2 and 1.
        let total = 2.0_f64.sqrt() + 1.0;
        let p = [2.0_f64.sqrt() / total, 1.0 / total];
        let entropy = -(p[0] * p[0].ln() + p[1] * p[1].ln());
        check_close(measures.effective_rank, entropy.exp());
        // Eigenvalues of x̂x̂ᵀ/3: ⅔, ⅓, 0.
        let entropy = -(2.0 / 3.0 * (2.0_f64 / 3.0).ln() + (1.0_f64 / 3.0).ln() / 3.0);
        check_close(measures.vendi, entropy.exp());
        check_close(measures.log_det_plus_identity, 6.0_f64.ln());
        check_close(measures.log_det, (2.001_f64 * 1.001 * 0.001).ln());
        // Raw: √13 and 1.
        let total = 13.0_f64.sqrt() + 1.0;
        let p = [13.0_f64.sqrt() / total, 1.0 / total];
        let entropy = -(p[0] * p[0].ln() + p[1] * p[1].ln());
        check_close(measures.effective_rank_raw.unwrap(), entropy.exp());
    }

    #[test]
    fn orthogonal_tokens_have_full_rank_and_like_ones_rank_one() {
        let orthogonal: Vec<Vec<f64>> = (0..4)
            .map(|i| (0..6).map(|j| f64::from(u8::from(i == j))).collect())
            .collect();
        let measures = Diversity::new(&orthogonal, ALL).unwrap();
        check_close(measures.effective_rank, 4.0);
        check_close(measures.vendi, 4.0);
        // Centring removes one direction.
        check_close(measures.effective_rank_centered.unwrap(), 3.0);
        let alike = vec![vec![1.0, 2.0]; 3];
        let measures = Diversity::new(&alike, ALL).unwrap();
        check_close(measures.vendi, 1.0);
        check_close(measures.min_cosine_distance, 0.0);
        assert_eq!(measures.effective_rank_centered, None);
        check_close(measures.effective_rank, 1.0);
    }

    #[test]
    fn coverage_by_hand() {
        // Cosines with the kept first token: 1, 0, 1/√2.
        let features = [vec![1.0, 0.0], vec![0.0, 5.0], vec![1.0, 1.0]];
        check_close(
            coverage_of_all(&features, &[0]).unwrap(),
            (1.0 + 0.5_f64.sqrt()) / 3.0,
        );
        check_close(coverage_of_all(&features, &[0, 1, 2]).unwrap(), 1.0);
        assert!(coverage_of_all(&features, &[]).is_err());
        assert!(coverage_of_all(&features, &[3]).is_err());
    }

    #[test]
    fn what_has_no_diversity_is_an_error() {
        assert!(Diversity::new(&[vec![1.0]], ALL).is_err());
        assert!(Diversity::new(&[vec![1.0], vec![0.0]], ALL).is_err());
        assert!(Diversity::new(&[], ALL).is_err());
    }
}
