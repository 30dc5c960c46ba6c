//! Multiple testing: p values adjusted for the family of tests that they belong to.
//!
//! Families are declared before any result is known. Holm's step-down procedure keeps the
//! probability of any false claim in the family below α.

use super::error::StatsError;

/// Holm 1979: sorted ascending, p·m, p·(m − 1), …; cumulative maximum, at most 1. Returned in the
/// given order.
///
/// # Errors
/// A p value outside 0..=1.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, StatsError> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max((p_values[index] * factor).min(1.0));
        adjusted[index] = largest;
    }
    Ok(adjusted)
}

fn ascending(p_values: &[f64]) -> Result<Vec<usize>, StatsError> {
    if let Some(&value) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(StatsError::OutOfRange {
            name: "p value",
            value,
            expected: "a number from 0 to 1",
        });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-12,
                "{got} instead of {expected}"
            );
        }
    }

    #[test]
    fn four_tests_by_hand() {
        let p = [0.04, 0.01, 0.03, 0.005];
        // Sorted .005·4, .01·3, .03·2, .04·1 = .02, .03, .06, .04; the last is raised to .06.
        check_close(&holm(&p).unwrap(), &[0.06, 0.03, 0.06, 0.02]);
        check_close(&holm(&[0.6, 0.7]).unwrap(), &[1.0, 1.0]);
        assert_eq!(holm(&[]), Ok(vec![]));
    }

    #[test]
    fn what_is_no_probability_is_an_error() {
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(holm(&[0.5, bad]).is_err());
        }
    }

    proptest! {
        #[test]
        fn order_is_kept_and_nothing_falls(p in proptest::collection::vec(0.0_f64..=1.0, 1..30)) {
            let holm = holm(&p).unwrap();
            for i in 0..p.len() {
                // Between the uncorrected p and Bonferroni's.
                let bonferroni = (p[i] * p.len() as f64).min(1.0);
                prop_assert!(p[i] <= holm[i] && holm[i] <= bonferroni);
                for j in 0..p.len() {
                    if p[i] <= p[j] {
                        prop_assert!(holm[i] <= holm[j]);
                    }
                }
            }
        }
    }
}
