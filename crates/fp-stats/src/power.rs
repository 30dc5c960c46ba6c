//! Statistical power: the difference that a study would detect.

use super::distribution::normal_quantile;
use super::error::{StatsError, check_non_negative, check_open_unit};

/// The smallest difference that a two-sided test at `alpha` detects with `power`, given the
/// observed standard error of the difference, and `step`, by how much one additional disagreement
/// moves the difference (1 / n for independent 0/1 scores).
///
/// With r = z_{1−α/2} + z_power, 2.8 at 5 % and 80 %: Δ = √((r · SE)² + (r² · step)²), at most 1.
/// A true difference Δ causes disagreement of its own; without any in the data Δ = r² · step: 7.8
/// questions of n, of which a sign test needs to observe 6, which happens 80 times in 100.
///
/// # Errors
/// A negative standard error or step, or probabilities outside 0..1.
pub fn min_detectable_difference(
    standard_error: f64,
    step: f64,
    alpha: f64,
    power: f64,
) -> Result<f64, StatsError> {
    check_non_negative("standard error", standard_error)?;
    check_non_negative("step", step)?;
    let reach = reach(alpha, power)?;
    Ok((reach * standard_error)
        .hypot(reach * reach * step)
        .min(1.0))
}

/// z_{1−α/2} + z_power.
fn reach(alpha: f64, power: f64) -> Result<f64, StatsError> {
    check_open_unit("alpha", alpha)?;
    check_open_unit("power", power)?;
    Ok(normal_quantile(1.0 - 0.5 * alpha) + normal_quantile(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_plan() {
        let reach = 100.0 * min_detectable_difference(0.01, 0.0, 0.05, 0.8).unwrap();
        assert!((reach - 2.801_585_218).abs() < 1e-9);
        // 399 questions without a disagreement: 7.849 / 399.
        let unseen = min_detectable_difference(0.0, 1.0 / 399.0, 0.05, 0.8).unwrap();
        assert!((unseen - reach * reach / 399.0).abs() < 1e-15);
        assert_eq!(min_detectable_difference(1.0, 0.0, 0.05, 0.8), Ok(1.0));
    }

    #[test]
    fn impossible_plans_are_errors() {
        assert!(min_detectable_difference(-1.0, 0.1, 0.05, 0.8).is_err());
        assert!(min_detectable_difference(1.0, -0.1, 0.05, 0.8).is_err());
        assert!(min_detectable_difference(1.0, 0.1, 0.0, 0.8).is_err());
    }
}
