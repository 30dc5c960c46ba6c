//! Candidates by sparsity, then a finer ranking among them.

use fp_kernels::cpu::top_r;

use super::distributions::{entropy_with, min_max, variance};
use super::{HeadContext, HeadScores};
use crate::{ScoringError, StrategyCard};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "candidates by 0.6·Q + 0.4·(1 − n(E)); among them 0.3·n(E) + 0.25·n(D) + 0.25·n(g) + 0.2·n(s); up to 8 or h heads: 0.5·Q + 0.3·M + 0.2·V",
    hypothesis: "a coarse choice of focused heads leaves a pool in which variety decides",
    source: "the original project's later strategies",
};

const EPSILON: f64 = 1e-8;
/// Up to this many heads, a single stage is used.
const ONE_STAGE_HEADS: usize = 8;

/// With H ≤ h or H ≤ 8: 0.5·Q + 0.3·M + 0.2·V. Otherwise C, the min(H, max(2h, h + 4)) best heads
/// by 0.6·Q + 0.4·(1 − n₀(E)), and over C only 0.3·n₀(E) + 0.25·n₀(D) + 0.25·n₀(g) + 0.2·n₀(s)
/// with D the divergence from uniform, g the distance from the mean direction and s = 1/(√V + ε).
/// Heads outside C rank last.
pub(super) fn scores(
    heads: &HeadContext<'_>,
    num_selected_heads: usize,
) -> Result<HeadScores, ScoringError> {
    let num_heads = heads.num_heads();
    let distributions = heads.distributions()?;
    let rows: Vec<&[f64]> = distributions.rows().map(|(_, p)| p).collect();
    let squares: Vec<f64> = rows.iter().map(|p| p.iter().map(|p| p * p).sum()).collect();
    if num_heads <= num_selected_heads || num_heads <= ONE_STAGE_HEADS {
        let scores: Vec<f64> = rows
            .iter()
            .zip(&squares)
            .map(|(p, q)| 0.5 * q + 0.3 * p.iter().copied().fold(0.0, f64::max) + 0.2 * variance(p))
            .collect();
        return Ok(HeadScores {
            scores: heads.spread(distributions, &scores),
            coarse_cut: None,
        });
    }
    let entropies: Vec<f64> = rows.iter().map(|p| entropy_with(EPSILON, p)).collect();
    let coarse: Vec<f64> = squares
        .iter()
        .zip(min_max(&entropies, 0.0))
        .map(|(q, e)| 0.6 * q + 0.4 * (1.0 - e))
        .collect();
    let num_candidates = num_heads.min((2 * num_selected_heads).max(num_selected_heads + 4));
    let all_coarse = heads.spread(distributions, &coarse);
    let top = top_r(&all_coarse, num_candidates)?;
    // Heads without mass may be among the candidates; they have nothing to compare.
    let candidates: Vec<usize> = (0..rows.len())
        .filter(|&index| top.kept.binary_search(&distributions.heads[index]).is_ok())
        .collect();
    let fine = fine_scores(&candidates, &rows, &entropies);
    let mut scores = vec![f64::NEG_INFINITY; num_heads];
    for (&index, score) in candidates.iter().zip(fine) {
        scores[distributions.heads[index]] = score;
    }
    Ok(HeadScores {
        scores,
        coarse_cut: top.cut.map(|cut| (cut, all_coarse)),
    })
}

/// Scores of the second stage, over the candidates only.
fn fine_scores(candidates: &[usize], rows: &[&[f64]], entropies: &[f64]) -> Vec<f64> {
    let Some(&first) = candidates.first() else {
        return Vec::new();
    };
    let n = rows[first].len();
    let uniform = 1.0 / n as f64 + EPSILON;
    let directions: Vec<Vec<f64>> = candidates
        .iter()
        .map(|&index| {
            let norm = rows[index].iter().map(|p| p * p).sum::<f64>().sqrt();
            rows[index].iter().map(|p| p / norm).collect()
        })
        .collect();
    let mut centre = vec![0.0; n];
    for direction in &directions {
        for (sum, u) in centre.iter_mut().zip(direction) {
            *sum += u / candidates.len() as f64;
        }
    }
    let of = |measure: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        let values: Vec<f64> = candidates
            .iter()
            .map(|&index| measure(rows[index]))
            .collect();
        min_max(&values, 0.0)
    };
    let candidate_entropies: Vec<f64> = candidates.iter().map(|&index| entropies[index]).collect();
    let entropy = min_max(&candidate_entropies, 0.0);
    let divergence = of(&|p| p.iter().map(|p| p * (p / uniform + EPSILON).ln()).sum());
    let stability = of(&|p| 1.0 / (variance(p).sqrt() + EPSILON));
    let distances: Vec<f64> = directions
        .iter()
        .map(|u| {
            let squares: f64 = u.iter().zip(&centre).map(|(u, c)| (u - c) * (u - c)).sum();
            squares.sqrt()
        })
        .collect();
    let distance = min_max(&distances, 0.0);
    (0..candidates.len())
        .map(|i| 0.3 * entropy[i] + 0.25 * divergence[i] + 0.25 * distance[i] + 0.2 * stability[i])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::distributions::{HeadContext, check_scores};
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn one_stage_by_hand() {
        // Q = 1, M = 1, V = ½; and Q = ½, M = ½, V = 0.
        check_scores(
            HeadStrategy::Hierarchical,
            Normalization::L1,
            &[&[0.4, 0.0], &[0.1, 0.1]],
            &[0.5 + 0.3 + 0.1, 0.25 + 0.15],
        );
    }

    #[test]
    fn two_stages_keep_candidates_first() {
        // Ten heads, h = 2: six candidates. Head i has its mass on i + 1 tokens, so the sparsest
        // six are heads 0..6, and the others rank last.
        let values: Vec<f64> = (0..10)
            .flat_map(|i| (0..12).map(move |j| if j <= i { 0.5 } else { 0.0 }))
            .collect();
        let context = HeadContext::new(&values, 10, 12, Normalization::L1, true).unwrap();
        let scores = HeadStrategy::Hierarchical.scores(&context, 2).unwrap();
        let (cut, coarse) = scores.coarse_cut.unwrap();
        assert!(cut.last_kept > cut.first_dropped);
        assert_eq!(coarse.len(), 10);
        assert!(scores.scores[..6].iter().all(|score| score.is_finite()));
        assert!(
            scores.scores[6..]
                .iter()
                .all(|score| *score == f64::NEG_INFINITY)
        );
        // Head 5 is the most diffuse candidate (E, s = 1). Head 0 is the most peaked (D = 1), and
        // its direction (1, 0, …) is the farthest from the mean (g = 1).
        assert!(
            (scores.scores[0] - 0.5).abs() < 1e-12,
            "{}",
            scores.scores[0]
        );
    }
}
