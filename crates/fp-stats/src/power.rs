//! What a study can see: the difference it would find with a given power.

use super::distribution::{normal_cdf, normal_quantile};
use super::error::{StatsError, check_non_negative, check_open_unit};

/// What a paired comparison is planned with.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerPlan {
    /// Standard deviation of one strategy's scores.
    pub std_a: f64,
    /// Standard deviation of the other's.
    pub std_b: f64,
    /// Correlation of both over questions.
    pub correlation: f64,
    /// Level of the two-sided test.
    pub alpha: f64,
    /// Chance to find a difference that is there.
    pub power: f64,
}

impl Default for PowerPlan {
    /// 0/1 scores near one half, correlated by ½, α 5 %, power 80 %.
    fn default() -> Self {
        PowerPlan {
            std_a: 0.5,
            std_b: 0.5,
            correlation: 0.5,
            alpha: 0.05,
            power: 0.8,
        }
    }
}

impl PowerPlan {
    /// Questions needed to find a difference of `effect`, rounded up.
    ///
    /// # Errors
    /// An effect that is not positive, or a plan that is impossible.
    pub fn num_samples(&self, effect: f64) -> Result<u64, StatsError> {
        if effect.is_nan() || effect <= 0.0 {
            return Err(StatsError::OutOfRange {
                name: "effect",
                value: effect,
                expected: "a positive number",
            });
        }
        let reach = self.reach()?;
        let samples = reach * reach * self.variance()? / (effect * effect);
        Ok(samples.ceil() as u64)
    }

    /// Chance that `num_samples` questions show a difference of `effect`; the side
    /// where the test would err in direction is left out.
    ///
    /// # Errors
    /// No samples, or a plan that is impossible.
    pub fn power_at(&self, effect: f64, num_samples: usize) -> Result<f64, StatsError> {
        let error = self.standard_error(num_samples)?;
        check_non_negative("effect", effect)?;
        Ok(normal_cdf(
            effect / error - normal_quantile(1.0 - 0.5 * self.alpha),
        ))
    }

    /// The difference that `num_samples` questions show with the planned power.
    ///
    /// # Errors
    /// No samples, or a plan that is impossible.
    pub fn min_detectable_difference(&self, num_samples: usize) -> Result<f64, StatsError> {
        Ok(self.reach()? * self.standard_error(num_samples)?)
    }

    fn standard_error(&self, num_samples: usize) -> Result<f64, StatsError> {
        if num_samples == 0 {
            return Err(StatsError::Empty { what: "samples" });
        }
        Ok((self.variance()? / num_samples as f64).sqrt())
    }

    /// Variance of one question's difference.
    fn variance(&self) -> Result<f64, StatsError> {
        check_non_negative("std_a", self.std_a)?;
        check_non_negative("std_b", self.std_b)?;
        if !(-1.0..=1.0).contains(&self.correlation) {
            return Err(StatsError::OutOfRange {
                name: "correlation",
                value: self.correlation,
                expected: "a number from -1 to 1",
            });
        }
        let covariance = self.correlation * self.std_a * self.std_b;
        Ok(self.std_a.powi(2) + self.std_b.powi(2) - 2.0 * covariance)
    }

    fn reach(&self) -> Result<f64, StatsError> {
        reach(self.alpha, self.power)
    }
}

/// The smallest difference that a two-sided test at `alpha` finds with `power`, given
/// the standard error of the difference as measured, and by how much one disagreement
/// more moves the difference (1 / n for independent 0/1 scores).
///
/// With r = z_{1−α/2} + z_power, 2.8 at 5 % and 80 %: Δ = √((r · SE)² + (r² · step)²), at
/// most 1. A true difference Δ brings disagreement of its own; without any in the data
/// Δ = r² · step: 7.8 questions of n, of which a sign test needs to see 6, and
/// does so 80 times in 100.
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
        let plan = PowerPlan::default();
        // Variance of a difference is ¼ + ¼ − ¼ = ¼: n = 2.8016² · ¼ / 0.02² = 4905.6.
        assert_eq!(plan.num_samples(0.02), Ok(4906));
        let difference = plan.min_detectable_difference(10_000).unwrap();
        assert!((difference - reach * 0.005).abs() < 1e-15);
        assert!((plan.power_at(difference, 10_000).unwrap() - 0.8).abs() < 1e-12);
        // No effect: found by chance, on the right side, in α/2.
        assert!((plan.power_at(0.0, 100).unwrap() - 0.025).abs() < 1e-12);
    }

    #[test]
    fn impossible_plans_are_errors() {
        let plan = PowerPlan::default();
        assert!(plan.num_samples(0.0).is_err());
        assert!(plan.num_samples(f64::NAN).is_err());
        assert!(plan.power_at(0.1, 0).is_err());
        let twisted = PowerPlan {
            correlation: 2.0,
            ..plan
        };
        assert!(twisted.num_samples(0.1).is_err());
        assert!(min_detectable_difference(-1.0, 0.1, 0.05, 0.8).is_err());
        assert!(min_detectable_difference(1.0, -0.1, 0.05, 0.8).is_err());
        assert!(min_detectable_difference(1.0, 0.1, 0.0, 0.8).is_err());
    }
}
