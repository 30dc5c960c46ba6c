//! Quantiles, and the choice of quantiles that bound an interval.

use crate::distribution::normal_quantile;

/// Two draws that differ by less than this fraction of the draws' range are equal up to rounding.
const SAME_DRAW: f64 = 1e-12;

/// Φ⁻¹ of the fraction of draws below the observed value, where equal draws count half. If all
/// are on one side, half a draw is counted on the other, since Φ⁻¹ would be infinite.
pub(super) fn bias_correction(sorted_draws: &[f64], observed: f64) -> f64 {
    let num_draws = sorted_draws.len() as f64;
    // Equal draws sum the same scores in another order, so they are equal only up to rounding.
    let rounding = match (sorted_draws.first(), sorted_draws.last()) {
        (Some(first), Some(last)) => SAME_DRAW * (last - first),
        _ => 0.0,
    };
    let below = sorted_draws.partition_point(|&draw| draw < observed - rounding);
    let up_to = sorted_draws.partition_point(|&draw| draw <= observed + rounding);
    let share = 0.5 * (below + up_to) as f64 / num_draws;
    normal_quantile(share.clamp(0.5 / num_draws, 1.0 - 0.5 / num_draws))
}

/// Σ(m − x)³ / (6 (Σ(m − x)²)^{3/2}) over the leave-one-cluster-out values; 0 if they are all
/// equal.
pub(super) fn acceleration(leave_one_out: impl IntoIterator<Item = Option<f64>>) -> f64 {
    let values: Vec<f64> = leave_one_out.into_iter().flatten().collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (squares, cubes) = values.iter().fold((0.0, 0.0), |(squares, cubes), value| {
        let deviation = mean - value;
        (
            squares + deviation * deviation,
            cubes + deviation * deviation * deviation,
        )
    });
    if squares > 0.0 {
        cubes / (6.0 * f64::powf(squares, 1.5))
    } else {
        0.0
    }
}

/// The p quantile of ascending values, linear between neighbours (Hyndman & Fan type 7).
pub fn quantile(ascending: &[f64], p: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let share = position - below as f64;
    ascending[below] + share * (ascending[above] - ascending[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let values = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.25), 1.5);
        assert_eq!(quantile(&values, 0.75), 3.0);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn acceleration_by_hand() {
        // Mean 1, deviations 1, 1, −2 → squares 6, cubes −6: −6 / (6·6^1.5).
        let values = [Some(0.0), Some(0.0), Some(3.0)];
        assert!((acceleration(values) + 6.0_f64.powf(-1.5)).abs() < 1e-15);
        assert_eq!(acceleration([Some(2.0), Some(2.0), None]), 0.0);
        // Half of the draws below, with one equal: no bias.
        assert!(bias_correction(&[1.0, 2.0, 3.0], 2.0).abs() < 1e-15);
        assert!(bias_correction(&[1.0, 2.0], 9.0).is_finite());
    }
}
